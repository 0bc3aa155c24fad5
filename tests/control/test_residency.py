"""A router keeps requests within their allowed regions: by hand, and as if there were no other regions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest

from carbonroute.control.draw import drawn, limits_of
from carbonroute.control.router import Control, Router
from carbonroute.policies import POLICIES, View, splits
from carbonroute.policies.base import Policy, PolicyLike
from carbonroute.policies.carbon_first import CarbonFirst
from carbonroute.policies.constrained_hybrid import ConstrainedHybrid
from carbonroute.policies.latency_first import LatencyFirst
from carbonroute.policies.optimal import Optimal
from carbonroute.policies.plan import plan
from carbonroute.policies.power_of_two import PowerOfTwo
from carbonroute.policies.provision import Provision
from carbonroute.policies.random_region import RandomRegion
from carbonroute.policies.random_views import random_views
from carbonroute.policies.recording import Observed
from carbonroute.policies.spill import Spill
from helpers.residency import HOSTILE

NO, YES = False, True


def cell(rtt_ms: list[float], carbon: list[float], **masks: list[bool]) -> View:
    """Return a view of one cell."""

    def shaped(values: Any) -> np.ndarray:
        return np.array(values).reshape(1, 1, 1, -1)

    one = np.ones((1, 1, 1))
    more = {name: shaped(values) for name, values in masks.items()}
    return View(shaped(rtt_ms), shaped(carbon), 20.0 * one, 100.0 * one, **more)


def test_the_lowest_rtt_is_that_of_an_allowed_region_where_none_takes_requests() -> None:
    seen = cell([5.0, 9.0, 7.0], [1.0, 2.0, 3.0], allowed=[NO, YES, YES], available=[YES, NO, NO])
    assert Router(CarbonFirst(), Control()).decide(seen, None).weights.tolist() == [[[0, 0, 1]]]
    assert Router(RandomRegion(), Control()).decide(seen, None).weights.tolist() == [[[0, 0, 1]]]


def test_weight_outside_goes_to_the_allowed_regions_in_proportion() -> None:
    seen = cell([5.0, 9.0, 7.0, 8.0], [1.0, 2.0, 3.0, 4.0], allowed=[NO, YES, YES, NO])
    weights = Router(RandomRegion(), Control()).decide(seen, None).weights
    np.testing.assert_allclose(weights, [[[0, 0.5, 0.5, 0]]], rtol=1e-15)


def test_home_is_the_nearest_allowed_region() -> None:
    seen = cell([5.0, 9.0, 7.0], [1.0, 2.0, 3.0], allowed=[NO, YES, YES])
    weights = Router(CarbonFirst(), Control(min_home_share=0.3)).decide(seen, None).weights
    np.testing.assert_allclose(weights, [[[0, 0.7, 0.3]]], rtol=1e-15)


def test_weights_that_are_held_outside_move_at_once() -> None:
    seen = cell([5.0, 9.0, 7.0], [1.0, 2.0, 3.0], allowed=[NO, YES, YES])
    held = np.array([[[0.8, 0.0, 0.2]]])
    control = Control(max_step=0.05, hysteresis=0.9)
    weights = Router(LatencyFirst(), control).decide(seen, held).weights
    np.testing.assert_allclose(weights, [[[0, 0, 1]]], atol=1e-15)


def test_a_share_of_all_traffic_is_broken_rather_than_residency() -> None:
    seen = cell([5.0, 9.0, 7.0], [1.0, 2.0, 3.0], allowed=[NO, YES, NO])
    weights = Router(LatencyFirst(), Control(max_region_share=0.4)).decide(seen, None).weights
    assert weights.tolist() == [[[0, 1, 0]]]


def test_no_die_falls_beyond_the_last_region_with_a_weight() -> None:
    weights = np.array([[0.1] * 10 + [0.0, 0.0]])
    assert weights.cumsum()[-1] < 1  # rounding leaves a gap
    highest = np.array([np.nextafter(1.0, 0.0)])
    assert drawn(limits_of(weights), highest).tolist() == [9]
    assert drawn(limits_of(np.array([[0.0, 1.0, 0.0]])), np.zeros(1)).tolist() == [1]


def masked(seen: View, allowed: np.ndarray) -> View:
    up = np.ones(seen.rtt_ms.shape, dtype=bool) if seen.available is None else seen.available
    return replace(seen, allowed=allowed, available=up & allowed)


def masks(seen: View, seed: int) -> np.ndarray:
    """Return random allowed regions, one at least in each row."""
    dice = np.random.default_rng(seed)
    allowed = dice.random(seen.rtt_ms.shape) < 0.5
    some = dice.integers(seen.rtt_ms.shape[-1], size=seen.rtt_ms.shape[:-1])
    np.put_along_axis(allowed, some[..., np.newaxis], YES, axis=-1)
    return allowed


JOINT = (
    Optimal(),
    Optimal(max_violation=1, max_region_share=0.4),
    Provision(max_violation=1),
    Spill(),
    Spill(max_violation=0.1),
    ConstrainedHybrid(max_violation=0.05, budget="per-workload"),
    PowerOfTwo(),
)


@pytest.mark.parametrize("policy", JOINT, ids=lambda policy: policy.name)
@pytest.mark.parametrize("out", [NO, YES], ids=["some available", "none available"])
def test_policies_that_split_hold_nothing_outside_by_themselves(policy: Any, *, out: bool) -> None:
    for number, seen in enumerate(random_views(3, policy)):
        bound = masked(seen, masks(seen, number))
        if out:
            bound = replace(bound, available=np.zeros(seen.rtt_ms.shape, dtype=bool))
        weights = plan(policy, bound).weights
        assert not weights[~masks(seen, number)].any()
        np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=1e-9)


def members() -> list[PolicyLike]:
    kinds = cast("list[type[Policy]]", list(POLICIES.members.values()))
    return [policy for kind in kinds if kind.__name__ != "Provision" for policy in kind.examples()]


@pytest.mark.parametrize("policy", members(), ids=lambda policy: policy.name)
def test_a_policy_decides_as_if_there_were_no_other_regions(policy: PolicyLike) -> None:
    """With the same allowed regions in all rows, the view can be cut to these: the answers agree.

    Not those of Provision, whose budget is all installed servers, wherever they are.
    """
    for number, seen in enumerate(random_views(11, policy)):
        regions = seen.rtt_ms.shape[-1]
        kept = np.flatnonzero(np.random.default_rng(number).random(regions) < 0.6)
        if not len(kept):
            continue
        allowed = np.broadcast_to(np.isin(np.arange(regions), kept), seen.rtt_ms.shape)
        cut = View(
            **{
                name: values[..., kept] if values.ndim > seen.slo_ms.ndim else values
                for name, values in vars(seen).items()
                if values is not None
            }
        )
        router, bound = Router(policy, Control()), masked(seen, allowed)
        if splits(policy):
            weights = router.ask(bound).weights
            assert not weights[~allowed].any()
            expected = router.ask(cut).weights
            np.testing.assert_allclose(weights[..., kept], expected, atol=1e-7)
        else:
            np.testing.assert_array_equal(router.choose(bound), kept[router.choose(cut)])


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_policies_are_kept_inside(kind: Any) -> None:
    policy = kind() if hasattr(kind, "reads") else Observed(kind())
    for number, seen in enumerate(random_views(5, policy)):
        bound = masked(seen, masks(seen, number))
        true = masks(seen, number)  # the worst case: the view's own can be written to
        router = Router(policy, Control())
        if splits(policy):
            assert not router.ask(bound).weights[~true].any()
        else:
            assert np.take_along_axis(true, router.choose(bound)[..., np.newaxis], axis=-1).all()
