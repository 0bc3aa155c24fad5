from __future__ import annotations

import numpy as np
import pytest

import carbonroute
from carbonroute.errors import PolicyError
from carbonroute.policies import POLICIES, Policy, View, decide
from carbonroute.policies.base import Array, Regions
from carbonroute.policies.carbon_first import CarbonFirst
from carbonroute.policies.checks import CHECKS, check_policy
from carbonroute.policies.clairvoyant_bound import ClairvoyantBound
from carbonroute.policies.constrained_hybrid import ConstrainedHybrid
from carbonroute.policies.hybrid import Hybrid
from carbonroute.policies.latency_first import LatencyFirst
from carbonroute.policies.nearest_greenest import NearestGreenest
from carbonroute.policies.random_region import RandomRegion
from carbonroute.policies.round_robin import RoundRobin
from carbonroute.policies.static_greenest import StaticGreenest

MEMBERS = [
    LatencyFirst(),
    CarbonFirst(),
    Hybrid(alpha=0.0),
    Hybrid(alpha=0.3),
    Hybrid(alpha=1.0),
    Hybrid(alpha=0.5, rtt_bounds_ms=(5, 300), carbon_bounds_g_per_kwh=(5, 900)),
    ConstrainedHybrid(),
    ConstrainedHybrid(margin_ms=9),
    StaticGreenest(),
    NearestGreenest(k=1),
    NearestGreenest(k=3),
    RoundRobin(),
    RandomRegion(),
    ClairvoyantBound(),
]


@pytest.mark.parametrize("policy", MEMBERS, ids=repr)
def test_every_member_keeps_the_contract(policy: Policy) -> None:
    check_policy(policy)


def test_no_member_is_left_out() -> None:
    assert {type(policy) for policy in MEMBERS} == set(POLICIES.members.values())


class NormalisesOverTheBatch(Policy):
    """Broken: scales by the extremes of all requests that happen to be asked together."""

    def cost(self, view: View) -> Array:
        latency = (view.rtt_ms - view.rtt_ms.min()) / np.ptp(view.rtt_ms)
        carbon = (view.carbon_g_per_kwh - view.carbon_g_per_kwh.min()) / np.ptp(view.carbon_g_per_kwh)
        cost: Array = latency**2 + carbon
        return cost


class IgnoresEligibility(ConstrainedHybrid):
    """Broken: chooses the cleanest region, whatever its cost says of eligibility."""

    def choose(self, view: View) -> Regions:
        region: Regions = view.carbon_g_per_kwh.argmin(axis=-1)
        return region


class DrawsFromNumpy(Policy):
    """Broken: breaks ties with the global generator."""

    def cost(self, view: View) -> Array:
        return view.rtt_ms + 1e-9 * np.random.random(view.rtt_ms.shape)  # noqa: NPY002  the fault to be found


class SeedsNumpy(Policy):
    """Broken: hides its dice behind a seed of its own, in everybody's generator."""

    def cost(self, view: View) -> Array:
        np.random.seed(0)  # noqa: NPY002  the fault to be found
        return view.rtt_ms + 0.0


class PrefersTheLast(Policy):
    """Broken: the order of regions decides."""

    def cost(self, view: View) -> Array:
        return view.rtt_ms - 1000.0 * np.arange(view.rtt_ms.shape[-1])


class ReadsMoreThanItSays(Policy):
    """Broken: declares to read carbon alone."""

    reads = frozenset({"carbon_g_per_kwh"})

    def cost(self, view: View) -> Array:
        return view.carbon_g_per_kwh + view.rtt_ms


class ChangesItsInput(Policy):
    """Broken: sorts the view in place."""

    def cost(self, view: View) -> Array:
        view.rtt_ms.sort(axis=-1)
        return view.rtt_ms


class IsNotANumber(Policy):
    """Broken: 0/0 where all regions are alike, and everywhere else for good measure."""

    def cost(self, view: View) -> Array:
        return np.full_like(view.rtt_ms, np.nan)


class OneCostForAll(Policy):
    """Broken: no axis of regions."""

    def cost(self, view: View) -> Array:
        cost: Array = view.rtt_ms.min(axis=-1)
        return cost


class Raises(Policy):
    """Broken: simply."""

    def cost(self, view: View) -> Array:
        raise KeyError("zone")


BROKEN = {
    NormalisesOverTheBatch: "batch",
    IgnoresEligibility: "eligibility",
    DrawsFromNumpy: "determinism",
    SeedsNumpy: "dice",
    PrefersTheLast: "permutation",
    ReadsMoreThanItSays: "reads",
    ChangesItsInput: "input",
    IsNotANumber: "NaN",
    OneCostForAll: "shape",
    Raises: "KeyError: 'zone'",
}


@pytest.mark.parametrize(
    ("broken", "problem"), BROKEN.items(), ids=lambda value: getattr(value, "__name__", value)
)
def test_a_broken_policy_is_caught_by_name(broken: type[Policy], problem: str) -> None:
    with pytest.raises(PolicyError, match=problem) as caught:
        check_policy(broken())
    assert caught.value.policy in {broken.__name__, "Constrained Hybrid"}


def test_every_check_is_needed() -> None:
    assert {problem.split(":")[0] for problem in BROKEN.values()} >= {
        check.__name__.strip("_") for check in CHECKS
    } - {"one_by_one"} | {"batch"}


class OnlyWhatTheProtocolAsks:
    """A policy that inherits nothing."""

    name = "Plain"

    def cost(self, view: View) -> Array:
        return np.where(view.rtt_ms < 100, view.carbon_g_per_kwh, np.inf)


def test_a_policy_needs_no_base_class() -> None:
    check_policy(OnlyWhatTheProtocolAsks())
    assert carbonroute.check_policy is check_policy


def view(rtt_ms: list[float], carbon: list[float], service_ms: float = 10, slo_ms: float = 100) -> View:
    return View(np.array(rtt_ms), np.array(carbon), np.array(service_ms), np.array(slo_ms))


def test_the_first_region_wins_ties() -> None:
    assert decide(LatencyFirst(), view([7, 5, 5], [1, 2, 3])) == 1
    assert decide(CarbonFirst(), view([7, 5, 5], [4, 4, 4])) == 0


def test_the_lowest_rtt_serves_where_no_region_is_eligible() -> None:
    assert decide(ConstrainedHybrid(), view([95, 91, 99], [1, 900, 2])) == 1


def test_the_constraint_is_met_with_equality() -> None:
    assert decide(ConstrainedHybrid(), view([90, 5], [1, 2])) == 0
    assert decide(ConstrainedHybrid(margin_ms=0.001), view([90, 5], [1, 2])) == 1


def test_a_range_of_zero_counts_as_one() -> None:
    assert decide(Hybrid(alpha=0.9), view([50, 50], [30, 20])) == 1


def test_fixed_bounds_are_clipped() -> None:
    # Beyond its bounds carbon makes no difference, and latency decides.
    policy = Hybrid(alpha=0.5, rtt_bounds_ms=(0, 200), carbon_bounds_g_per_kwh=(100, 200))
    assert decide(policy, view([60, 50], [10, 90])) == 1
    assert decide(Hybrid(alpha=0.5), view([60, 50, 200], [10, 90, 90])) == 0


def test_a_region_that_does_not_exist_is_refused() -> None:
    class Beyond(LatencyFirst):
        def choose(self, view: View) -> Regions:
            return np.full(view.slo_ms.shape, view.rtt_ms.shape[-1])

    with pytest.raises(PolicyError, match=r"region 3 … 3; there are 3"):
        decide(Beyond(), view([7, 5, 5], [1, 2, 3]))
