"""Policies that split traffic or decide for an hour as a whole: what they see, and what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import ClassVar

import numpy as np
import pytest
from scipy import stats

from carbonroute import rng
from carbonroute.arrays import Array
from carbonroute.control.information import Information
from carbonroute.engines import routing, sampled
from carbonroute.engines.draws import SCHEMES
from carbonroute.engines.routing import Answer, Dispatcher
from carbonroute.errors import PolicyError
from carbonroute.policies import PolicyLike, SplittingPolicy, View
from carbonroute.policies.base import VIEW_FIELDS
from carbonroute.policies.constrained_hybrid import ConstrainedHybrid
from carbonroute.policies.hybrid import Hybrid
from carbonroute.policies.latency_first import LatencyFirst
from carbonroute.scenario import Candidate, Inputs
from carbonroute.traffic import Requests
from helpers.blind import blinded
from helpers.scenarios import Document, inputs_of

FAILURE = 1e-6


def document(**changes: object) -> Document:
    """Return three hours of two origins, two workloads and three regions."""
    law = {"law": "normal", "mean": 30, "std": 8}
    return {
        "schema": 1,
        "name": "split",
        "horizon": {"hours": 3},
        "traffic": {"kind": "fixed-rate", "requests_per_hour": 40_000},
        "carbon": {"kind": "synthetic", "noise": 0.1},
        "network": {"rtt_ms": {"o": {"a": 5, "b": 50, "c": 80}, "p": {"a": 90, "b": 20, "c": 60}}},
        "origins": [{"name": "o", "share": 0.25}, {"name": "p", "share": 0.75}],
        "regions": [{"name": name, "carbon_g_per_kwh": 100 * i} for i, name in enumerate("abc", 1)],
        "workloads": [
            {"id": "v", "name": "v", "model": "v", "share": 0.4, "slo_ms": 100, "service_ms": law},
            {"id": "w", "name": "w", "model": "w", "share": 0.6, "slo_ms": 200, "service_ms": law},
        ],
        "policies": [{"use": "latency-first"}],
        **changes,
    }


def with_policy(
    inputs: Inputs, policy: PolicyLike, information: Information | None = None
) -> tuple[Candidate, Inputs]:
    """Return a policy with what it knows, and the inputs with it alone."""
    candidate = inputs.candidate("ours", policy, information or Information())
    return candidate, replace(inputs, candidates=(candidate,))


class ByOrigin(SplittingPolicy):
    """The first region is never used; what is nearer gets more."""

    def weights(self, view: View) -> Array:
        weights = np.stack([np.zeros_like(view.slo_ms), view.rtt_ms[..., 2], view.rtt_ms[..., 1]], axis=-1)
        shares: Array = weights / weights.sum(axis=-1, keepdims=True)
        return shares


def test_regions_are_drawn_by_the_weights_of_each_cell() -> None:
    inputs = inputs_of(document())
    _, ours = with_policy(inputs, ByOrigin())
    (outcome,) = sampled.run(ours)
    assert outcome.requests[..., 0].sum() == 0
    for origin, (b_ms, c_ms) in enumerate([(50, 80), (20, 60)]):
        counts = outcome.requests[origin, :, 1:].sum(axis=0)
        expected = counts.sum() * np.array([c_ms, b_ms]) / (b_ms + c_ms)
        assert stats.chisquare(counts, expected).pvalue > FAILURE
        assert stats.chisquare(counts, expected[::-1]).pvalue < FAILURE  # the check can fail
        by_workload = outcome.requests[origin, :, 1:]
        assert stats.chi2_contingency(by_workload).pvalue > FAILURE  # whose dice are the same law


@dataclass
class Recorder:
    """A joint policy that sends an hour's traffic by the hour's carbon, and notes what it is shown."""

    name: ClassVar[str] = "Recorder"
    splits: ClassVar[bool] = True
    joint: ClassVar[bool] = True
    reads: frozenset[str] = VIEW_FIELDS - {"jitter_ms", "turn"}
    views: list[View] = field(default_factory=list)

    def weights(self, view: View) -> Array:
        self.views.append(view)
        shares: Array = view.carbon_g_per_kwh / view.carbon_g_per_kwh.sum(axis=-1, keepdims=True)
        return shares


def test_a_joint_policy_sees_whole_hours() -> None:
    inputs = inputs_of(document())
    recorder = Recorder()
    candidate, _ = with_policy(inputs, recorder)
    of = Requests(np.array([2, 0, 2]), np.array([1, 1, 0]), np.array([0, 1, 0]))
    weights = Dispatcher.of(candidate, inputs).ask(of)
    (view,) = recorder.views
    assert view.rtt_ms.shape == (2, 2, 2, 3)
    assert view.service_ms.shape == (2, 2, 2)
    np.testing.assert_array_equal(view.rtt_ms[0, 1, 0], [90, 20, 60])
    np.testing.assert_array_equal(view.slo_ms[1, 0], [100, 200])
    np.testing.assert_array_equal(view.carbon_g_per_kwh[:, 0, 0], inputs.carbon.g_per_kwh[[0, 2]])
    assert view.traffic_share is not None
    np.testing.assert_allclose(view.traffic_share[1], [[0.1, 0.15], [0.3, 0.45]])
    assert view.violation_share is not None
    np.testing.assert_array_equal(view.violation_share[1], inputs.site.latency.violation_share)
    assert view.jitter_ms is None
    assert view.turn is None
    carbon = inputs.carbon.g_per_kwh[[2, 0, 2]]
    np.testing.assert_allclose(weights, carbon / carbon.sum(axis=1, keepdims=True), rtol=1e-12)


def test_what_it_expects_of_the_traffic_follows_the_clock_of_each_origin() -> None:
    daily = {"hourly": [1] * 12 + [0] * 12}
    moved = document(traffic={"kind": "poisson", "requests_per_hour": 100, "diurnal": daily})
    moved["horizon"]["hours"] = 24
    moved["origins"][1]["utc_offset_hours"] = 6
    moved["horizon"]["start"] = datetime(2021, 1, 1, tzinfo=UTC)
    inputs = inputs_of(moved)
    share, recorder = inputs.traffic_share, Recorder()
    np.testing.assert_allclose(share.sum(axis=(1, 2)), 1)
    by_origin = share.sum(axis=2)
    np.testing.assert_allclose(by_origin[3], [0.25, 0.75])  # morning here, noon there
    np.testing.assert_allclose(by_origin[8], [1, 0])  # evening there
    np.testing.assert_allclose(by_origin[14], [0.25, 0.75])  # nobody comes: as stated
    np.testing.assert_allclose(by_origin[20], [0, 1])  # the next morning there
    candidate, _ = with_policy(inputs, recorder)
    Dispatcher.of(candidate, inputs).ask(Requests(np.array([20, 3]), *np.zeros((2, 2), dtype=np.intp)))
    np.testing.assert_array_equal(recorder.views[0].traffic_share, share[[3, 20]])


def test_no_hour_is_asked_about_twice_where_answers_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rng, "BLOCK", 7_000)
    inputs = inputs_of(document())
    recorder = Recorder()
    candidate, _ = with_policy(inputs, recorder)
    ((_, blocks),) = SCHEMES["streams"](inputs)
    kept: dict[int, Answer] = {}
    dispatcher = Dispatcher.of(candidate, inputs)
    for block in blocks:
        _, region = dispatcher.route(block, kept)
        np.testing.assert_array_equal(region, dispatcher.route(block)[1])
        assert min(kept) == block.cells.of.hour.min()  # what is past is forgotten
    asked = sum(len(view.slo_ms) for view in recorder.views)
    blocks_and_hours = 18 + 2  # each without kept answers, two of them in two hours
    assert asked == 3 + blocks_and_hours


def test_a_question_of_many_hours_is_put_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = inputs_of(document())
    of = Requests(*(axis.ravel() for axis in np.indices((3, 2, 2))))
    recorder = Recorder()
    candidate, _ = with_policy(inputs, recorder)
    whole = Dispatcher.of(candidate, inputs).ask(of)
    monkeypatch.setattr(routing, "_QUESTION", 25)  # two hours have 24 numbers
    np.testing.assert_array_equal(Dispatcher.of(candidate, inputs).ask(of), whole)
    assert [len(view.slo_ms) for view in recorder.views] == [3, 2, 1]


class NearestJointly(LatencyFirst):
    """A joint policy that splits nothing."""

    joint: ClassVar[bool] = True


def test_a_joint_policy_may_choose() -> None:
    inputs = inputs_of(document())
    outcomes = [
        sampled.run(with_policy(inputs, policy)[1])[0] for policy in (LatencyFirst(), NearestJointly())
    ]
    np.testing.assert_array_equal(outcomes[0].requests, outcomes[1].requests)


def test_hours_whose_carbon_is_unknown_go_to_the_lowest_rtt() -> None:
    inputs = inputs_of(document())
    candidate, _ = with_policy(inputs, Recorder())
    blind = blinded(candidate, [False, True, False])
    of = Requests(np.array([0, 1, 1]), np.array([0, 0, 1]), np.array([0, 0, 1]))
    weights = Dispatcher.of(blind, inputs).ask(of)
    np.testing.assert_array_equal(weights[1:], [[1, 0, 0], [0, 1, 0]])
    np.testing.assert_array_equal(weights[0], Dispatcher.of(candidate, inputs).ask(of)[0])


class SeesAll(ByOrigin):
    """A bound that splits traffic."""

    oracle: ClassVar[bool] = True


def test_policies_that_are_asked_about_cells_are_never_clairvoyant() -> None:
    inputs = inputs_of(document())
    actual = Information.spelled(service_time="actual")
    recorder = Recorder()
    candidate, ours = with_policy(inputs, recorder, actual)
    (outcome,) = sampled.run(ours)
    assert not outcome.clairvoyant
    assert not candidate.by_request(inputs.site)
    assert not with_policy(inputs, SeesAll())[0].by_request(inputs.site)
    assert with_policy(inputs, SeesAll())[0].clairvoyant  # an oracle is one, whatever it is asked about
    assert {float(time) for view in recorder.views for time in view.service_ms.ravel()} == {
        inputs.laws[0].average()
    }


TOKENS = {
    "law": "tokens",
    "overhead_ms": 10,
    "prefill_ms_per_token": 0.5,
    "decode_ms_per_token": 5,
    "prompt_tokens": {"law": "lognormal", "mean": 100, "std": 50},
    "answer_tokens": {"law": "gamma", "mean": 20, "std": 20},
}


def test_cells_are_shown_average_tokens() -> None:
    tokens = document()
    tokens["workloads"][0]["energy_j"] = 7
    tokens["workloads"][1] |= {
        "service_ms": TOKENS,
        "energy_j_per_prompt_token": 0.25,
        "energy_j_per_answer_token": 2,
    }
    tokens["regions"][1]["pue"] = 1.5
    inputs = inputs_of(tokens)
    recorder = Recorder()
    candidate, _ = with_policy(inputs, recorder)
    Dispatcher.of(candidate, inputs).ask(Requests(*np.zeros((3, 1), dtype=np.intp)))
    (view,) = recorder.views
    np.testing.assert_allclose(view.service_ms[0, 0], [inputs.laws[0].average(), 10 + 0.5 * 100 + 5 * 20])
    assert view.energy_j is not None
    joules = 0.25 * 100 + 2 * 20
    np.testing.assert_allclose(view.energy_j[0, 0], [[7, 7 * 1.5, 7], [joules, joules * 1.5, joules]])


def test_weights_that_are_no_shares_are_refused() -> None:
    class Greedy(ByOrigin):
        def weights(self, view: View) -> Array:
            return 2 * super().weights(view)

    _, ours = with_policy(inputs_of(document()), Greedy())
    with pytest.raises(PolicyError, match="that add up to 2"):
        sampled.run(ours)


@pytest.mark.parametrize("blind", [[False, False, False], [False, True, False]])
@pytest.mark.parametrize("bound", [{}, {"allowed_regions": ["b", "c"]}])
@pytest.mark.parametrize("question", [10**6, 12])
def test_policies_that_are_shown_the_same_are_asked_together(
    blind: list[bool], bound: Document, question: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers are those of each alone, to the bit; the view is made once."""
    monkeypatch.setattr(routing, "_QUESTION", question)
    shared = document()
    inputs = inputs_of({**shared, "origins": [{**shared["origins"][0], **bound}, shared["origins"][1]]})
    budgets = [ConstrainedHybrid(max_violation=x, budget="per-workload") for x in (0.3, 1e-4, 0.01, 0.02)]
    knowledge = None
    for policies in (budgets, [Hybrid(alpha=x / 8) for x in range(9)], [LatencyFirst()]):
        dispatchers = []
        for policy in policies:
            candidate = inputs.candidate(policy.name, policy, Information(), knowledge=knowledge)
            candidate = candidate if knowledge else blinded(candidate, blind)
            knowledge = candidate.knowledge
            dispatchers.append(Dispatcher.of(candidate, inputs))
        assert len({dispatcher.shown for dispatcher in dispatchers}) == 1
        hour, origin, workload = np.indices((3, 2, 2)).reshape(3, -1)
        of = Requests(hour, origin, workload)
        together = dispatchers[0].ask_with(dispatchers[1:], of)
        for dispatcher, answer in zip(dispatchers, together, strict=True):
            np.testing.assert_array_equal(answer, dispatcher.ask(of))
        assert len({answer.tobytes() for answer in together}) >= min(2, len(policies))


def test_policies_that_are_shown_other_values_are_not_asked_together() -> None:
    inputs = inputs_of(document())
    faster = Information.spelled(service_time="quantile:0.9")
    policies: list[tuple[PolicyLike, Information]] = [
        (Hybrid(alpha=0.1), Information()),
        (LatencyFirst(), Information()),
        (ConstrainedHybrid(margin_ms=3), Information()),
        (ConstrainedHybrid(margin_ms=3), faster),
        (ConstrainedHybrid(max_violation=0.1), Information()),
        (ConstrainedHybrid(max_violation=0.1, budget="per-workload"), Information()),
        (ByOrigin(), Information()),
    ]
    shown = [
        Dispatcher.of(with_policy(inputs, policy, information)[0], inputs).shown
        for policy, information in policies
    ]
    assert len(set(shown)) == len(shown)
