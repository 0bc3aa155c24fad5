from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from carbonroute import memory
from carbonroute.arrays import Array
from carbonroute.control.information import Information
from carbonroute.engines import sampled
from carbonroute.errors import InputError
from carbonroute.policies import Policy, View
from carbonroute.policies.constrained_hybrid import ConstrainedHybrid
from carbonroute.scenario import Inputs, load, resolve
from carbonroute.units import MAX_CARBON_G_PER_KWH

ACTUAL, MEAN = Information.spelled(service_time="actual"), Information.spelled(service_time="mean")


class Listening(Policy):
    """Latency-First that keeps what it was shown."""

    reads = frozenset({"rtt_ms"})

    def __init__(self) -> None:
        self.views: list[View] = []

    def cost(self, view: View) -> Array:
        self.views.append(view)
        return view.rtt_ms


def published(changes: dict[str, object] | None = None) -> Inputs:
    return resolve(load("published", changes))


def with_policy(inputs: Inputs, policy: Policy, information: Information) -> Inputs:
    return replace(inputs, candidates=(inputs.candidate("it", policy, information),))


def test_a_policy_is_asked_once_per_distinct_cell() -> None:
    class Looking(Listening):
        reads = frozenset({"rtt_ms", "carbon_g_per_kwh"})

    policy = Looking()
    sampled.run(with_policy(published(), policy, ACTUAL))
    rows = np.concatenate([np.column_stack([v.rtt_ms, v.carbon_g_per_kwh, v.slo_ms]) for v in policy.views])
    assert len(rows) == len(np.unique(rows, axis=0))
    assert 0.95 * 168 * 4 * 3 < len(rows) <= 168 * 4 * 3  # a rare cell has no request


def test_what_a_policy_does_not_declare_to_read_is_an_estimate() -> None:
    policy = Listening()
    (outcome,) = sampled.run(with_policy(published(), policy, ACTUAL))
    assert not outcome.clairvoyant
    shown = {float(value) for view in policy.views for value in view.service_ms}
    assert sorted(shown) == pytest.approx([12, 18, 60], abs=1e-3)


def test_carbon_that_a_policy_does_not_declare_to_read_is_hidden() -> None:
    policy = Listening()
    sampled.run(with_policy(published(), policy, ACTUAL))
    assert {float(view.carbon_g_per_kwh.min()) for view in policy.views} == {MAX_CARBON_G_PER_KWH}


def test_a_run_without_a_request_is_refused() -> None:
    traffic = {"kind": "poisson", "requests_per_hour": 1e-6}
    changes = {"traffic": traffic, "sampling": {"scheme": "streams"}, "horizon.hours": 1}
    with pytest.raises(
        InputError, match=r"traffic: no request came in 1 hours, 1e-06 were expected; lengthen"
    ):
        sampled.run(published(changes))


def test_a_clairvoyant_policy_sees_every_request() -> None:
    class Seeing(Listening):
        reads = frozenset({"rtt_ms", "service_ms"})

    policy = Seeing()
    (outcome,) = sampled.run(with_policy(published({"horizon.hours": 24}), policy, ACTUAL))
    assert outcome.clairvoyant
    assert len(np.unique(np.concatenate([view.service_ms for view in policy.views]))) == 24 * 200


def test_views_are_read_only() -> None:
    class Scribbling(Listening):
        def cost(self, view: View) -> Array:
            view.carbon_g_per_kwh[...] = 0
            return view.rtt_ms

    with pytest.raises(Exception, match=r"policy 'Scribbling': ValueError: .*read-only"):
        sampled.run(with_policy(published({"horizon.hours": 1}), Scribbling(), MEAN))


def test_all_policies_meet_the_same_requests_where_draws_are_common() -> None:
    twice = [{"use": "hybrid", "alpha": 0.7, "label": label} for label in ("one", "two")]
    for sampling in ({"scheme": "streams"}, {"scheme": "published", "restart": "per-policy"}):
        one, two = sampled.run(published({"policies": twice, "sampling": sampling}))
        np.testing.assert_array_equal(one.latency_sum_ms, two.latency_sum_ms)
    one, two = sampled.run(published({"policies": twice, "sampling": {"scheme": "published"}}))
    assert (one.requests == two.requests).all()
    assert one.latency_sum_ms.sum() != two.latency_sum_ms.sum()


def test_another_policy_changes_nobody_else_s_results() -> None:
    sampling = {"scheme": "streams", "seed": 9}
    alone = sampled.run(published({"sampling": sampling, "policies": [{"use": "carbon-first"}]}))[0]
    beside = sampled.run(published({"sampling": sampling}))[1]
    np.testing.assert_array_equal(alone.latency_sum_ms, beside.latency_sum_ms)


def test_another_seed_gives_other_numbers_and_the_same_seed_the_same() -> None:
    seeds = [
        sampled.run(published({"sampling": {"seed": seed}}))[0].latency_sum_ms.sum() for seed in (1, 1, 2)
    ]
    assert seeds[0] == seeds[1] != seeds[2]


def test_foresight_keeps_violations_lower_than_the_mean_does() -> None:
    entries = [
        {"use": "constrained-hybrid"},
        {"use": "constrained-hybrid", "label": "mean", "information": MEAN.model_dump()},
    ]
    seeing, honest = sampled.run(published({"policies": entries, "sampling": {"scheme": "streams"}}))
    assert honest.violations.sum() > 1.2 * seeing.violations.sum()


def test_a_margin_and_a_quantile_lower_violations() -> None:
    inputs = published({"sampling": {"scheme": "streams"}})
    careful = Information.spelled(service_time="quantile:0.99")
    candidates = (
        inputs.candidate("mean", ConstrainedHybrid(), MEAN),
        inputs.candidate("margin", ConstrainedHybrid(margin_ms=9), MEAN),
        inputs.candidate("quantile", ConstrainedHybrid(), careful),
    )
    mean, margin, quantile = sampled.run(replace(inputs, candidates=candidates))
    assert mean.violations.sum() > margin.violations.sum() > quantile.violations.sum()


def test_progress_reaches_the_end() -> None:
    seen: list[tuple[int, int]] = []
    sampled.run(
        published({"traffic.requests_per_hour": 1000}), lambda done, total: seen.append((done, total))
    )
    assert seen[-1] == (168_000 * 7, 168_000 * 7)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_a_run_that_does_not_fit_says_so_before_it_starts() -> None:
    with pytest.raises(
        InputError, match=r"sampling 168,000,000,000,000 requests in the published order would take .* GiB"
    ):
        sampled.run(published({"traffic.requests_per_hour": 10**12}))


def test_the_limit_is_the_machine_s_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 1000}.__getitem__)
    memory.require(3_200_000, "it", "traffic", "a run")
    with pytest.raises(InputError, match="it: traffic: a run would take"):
        memory.require(3_300_000, "it", "traffic", "a run")
