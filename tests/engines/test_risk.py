"""The risk that a policy promises is the risk that its requests meet, on every scenario that comes with it.

Whether so many violations are possible at a promised share is asked of the binomial law, at a failure
probability of 1e-6 (Clopper–Pearson): requests are late independently of each other, each with its own
probability of at most the promise.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from carbonroute.engines import exact, sampled
from carbonroute.outcome import Outcome
from carbonroute.scenario import Inputs, builtin_scenarios, load, resolve
from carbonroute.scenario.builtin import builtin_text
from helpers.scenarios import Document, inputs_of
from test_examples import EXAMPLES, SMALL, example

FAILURE = 1e-6
PROMISES = (0.01, 0.05)
RULES: list[Document] = [
    {"use": "constrained-hybrid", "max_violation": share, **budget}
    for budget in ({}, {"budget": "per-workload"})
    for share in PROMISES
]


def too_many(violations: int, requests: int, share: float) -> bool:
    """Whether so many violations hardly ever come of requests that are late with at most that probability."""
    return bool(stats.binom.sf(violations - 1, requests, share) < FAILURE)


def plausible(violations: int, requests: int, share: float) -> bool:
    """Whether so many come of requests that are late with exactly that probability."""
    interval = stats.binomtest(violations, requests).proportion_ci(1 - FAILURE, method="exact")
    return bool(interval.low <= share <= interval.high)


def assert_promises_hold(inputs: Inputs, outcomes: tuple[Outcome, ...]) -> int:
    """Check each rule's promise wherever a region can keep it, and return how many were checked."""
    checked, least = 0, inputs.site.latency.violation_share.min(axis=2)
    for rule, outcome in zip(RULES, outcomes, strict=True):
        promise = rule["max_violation"]
        requests, violations = outcome.requests.sum(axis=2), outcome.violations.sum(axis=2)
        if "budget" in rule:
            # In the worst hour all of a workload's requests come from the origin of most risk.
            possible = least.max(axis=0) <= promise
            requests, violations = requests.sum(axis=0), violations.sum(axis=0)
        else:
            possible = least <= promise
        for of, late in zip(requests[possible].tolist(), violations[possible].tolist(), strict=True):
            assert not too_many(late, of, promise), f"{outcome.policy}: {late} of {of} late"
            checked += of > 0
    return checked


def small(hours: int, per_hour: int) -> dict[str, object]:
    return {"horizon.hours": hours, "traffic.requests_per_hour": per_hour, "policies": RULES}


@pytest.mark.parametrize(
    "name", [name for name in builtin_scenarios() if "[[pools]]" not in builtin_text(name)]
)
def test_promises_hold_in_built_in_scenarios(name: str) -> None:
    inputs = resolve(load(name, small(60, 2000)))
    assert assert_promises_hold(inputs, sampled.run(inputs)) > 10


@pytest.mark.parametrize(
    "name", sorted(EXAMPLES.keys() - SMALL.keys() - {"llm-azure-replicas"})
)  # nobody waits
def test_promises_hold_in_examples(name: str) -> None:
    path = example(name)
    traffic = tomllib.loads(path.read_text(encoding="utf-8"))["traffic"]
    if traffic["kind"] == "replay":
        assert_promises_hold_for_prompts(path, traffic["logs"])
        return
    inputs = resolve(load(path, small(60, 2000)))
    assert not inputs.arrivals.own
    assert assert_promises_hold(inputs, sampled.run(inputs)) > 10


def assert_promises_hold_for_prompts(path: Path, logs: list[Document]) -> None:
    """Replay a log's prompts, with answers by the law that policies believe in.

    Who leaves the nearest region has found a region that keeps the promise after this very prompt.
    """
    rules = RULES[:2]  # the logs' prompts have no law: there is no risk of all requests
    prompts = [{key: log[key] for key in log if key != "answer_tokens_column"} for log in logs]
    inputs = resolve(load(path, {"traffic.logs": prompts, "policies": rules}))
    away = np.ones((len(inputs.origin_share), inputs.shape[3]), dtype=bool)
    away[np.arange(len(away)), inputs.rtt_ms.argmin(axis=1)] = False
    for rule, outcome in zip(rules, sampled.run(inputs), strict=True):
        of, late = (counts.sum(axis=1)[away].sum() for counts in (outcome.requests, outcome.violations))
        assert of > 5_000
        assert not too_many(int(late), int(of), rule["max_violation"])


def document(**changes: object) -> Document:
    """Return an hour of one workload; the farther a region, the cleaner, and the later the answers."""
    return {
        "schema": 1,
        "name": "risky",
        "horizon": {"hours": 1},
        "traffic": {"kind": "fixed-rate", "requests_per_hour": 60_000},
        "carbon": {"kind": "synthetic", "noise": 0.0},
        "network": {
            "jitter_std_ms": 6,
            "rtt_ms": {"o": {"near": 5, "mid": 50, "far": 80}, "p": {"near": 20, "mid": 51, "far": 60}},
        },
        "origins": [{"name": "o", "share": 0.3}, {"name": "p", "share": 0.7}],
        "regions": [
            {"name": "near", "carbon_g_per_kwh": 400},
            {"name": "mid", "carbon_g_per_kwh": 200},
            {"name": "far", "carbon_g_per_kwh": 40},
        ],
        "workloads": [
            {
                "id": "w",
                "name": "w",
                "model": "w",
                "share": 1.0,
                "slo_ms": 100,
                "service_ms": {"law": "normal", "mean": 30, "std": 8, "floor": 1},
            }
        ],
        "policies": [{"use": "constrained-hybrid", "max_violation": 0.05}],
        **changes,
    }


def test_the_risk_of_a_region_is_that_of_the_law_and_no_smaller() -> None:
    inputs = inputs_of(document())
    (outcome,) = sampled.run(inputs)
    risk = inputs.site.latency.violation_share[:, 0]
    assert outcome.requests[:, 0].astype(bool).tolist() == [[False, True, False], [False, True, False]]
    assert (risk[:, 1] > 0.02).all()  # the promise of 5 % is not slack
    assert (risk[:, 2] > 0.05).all()
    for origin in range(2):
        late, of = int(outcome.violations[origin, 0, 1]), int(outcome.requests[origin, 0, 1])
        assert plausible(late, of, risk[origin, 1])
        assert not plausible(late, of, 1.3 * risk[origin, 1])  # the check can fail


def test_a_budget_is_spent_whole_and_not_exceeded() -> None:
    entry = {"use": "constrained-hybrid", "max_violation": 0.05, "budget": "per-workload"}
    inputs = inputs_of(document(policies=[entry, *document()["policies"]]))
    budget, rule = sampled.run(inputs)
    of, late = int(budget.requests.sum()), int(budget.violations.sum())
    assert plausible(late, of, 0.05)
    assert not plausible(late, of, 0.06)
    assert budget.carbon_sum_g_per_kwh.sum() < 0.9 * rule.carbon_sum_g_per_kwh.sum()
    assert (budget.requests[:, 0] > 0).sum() == 3  # one origin is split, between two regions


def test_the_exact_engine_finds_the_promised_share_and_no_more() -> None:
    both = [{**document()["policies"][0], **budget} for budget in ({}, {"budget": "per-workload"})]
    inputs = inputs_of(document(policies=both))
    rule, budget = exact.run(inputs)
    share = (
        inputs.origin_share @ inputs.site.latency.violation_share[:, 0, 1]
    )  # all go to the region in the middle
    assert rule.violations.sum() / rule.requests.sum() == pytest.approx(share, rel=1e-9)
    assert 0.05 * (1 - 1e-8) < budget.violations.sum() / budget.requests.sum() <= 0.05


def test_a_budget_holds_for_requests_with_tokens() -> None:
    tokens = document(
        policies=[{"use": "constrained-hybrid", "max_violation": 0.1, "budget": "per-workload"}]
    )
    tokens["workloads"][0] |= {
        "service_ms": {
            "law": "tokens",
            "prefill_ms_per_token": 0.05,
            "decode_ms_per_token": 0.5,
            "prompt_tokens": {"law": "lognormal", "mean": 200, "std": 100},
            "answer_tokens": {"law": "gamma", "mean": 30, "std": 20},
        },
    }
    (outcome,) = sampled.run(inputs_of(tokens))
    assert (outcome.requests[:, 0] > 0).sum() == 3
    late = int(outcome.violations.sum())
    assert plausible(late, 60_000, 0.1)
    assert not plausible(late, 60_000, 0.11)


def test_a_promise_that_is_broken_is_found() -> None:
    """The check itself: one percent more than promised does not pass."""
    assert too_many(1_200, 20_000, 0.05)
    assert not too_many(1_060, 20_000, 0.05)


def test_a_risk_is_the_same_whatever_service_times_are_said_to_be_known() -> None:
    for service_time in ("mean", "quantile:0.9", "actual"):
        inputs = inputs_of(document(information={"service_time": service_time}))
        (outcome,) = sampled.run(inputs)
        assert not outcome.clairvoyant
        assert outcome.requests[:, 0, 1].sum() == 60_000
