"""Policies that decide by another scenario than their requests meet: sampled beside exact, and by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from carbonroute.analysis.sensitivity import changes
from carbonroute.engines import exact, sampled
from carbonroute.engines.queued import run as queued
from carbonroute.engines.routing import Dispatcher
from carbonroute.outcome import Outcome
from carbonroute.scenario import Inputs, load, resolve
from helpers import small
from helpers.grids import grid

POLICIES = """\
[[policies]]
use = "latency-first"
[[policies]]
use = "hybrid"
alpha = 0.5
[[policies]]
use = "constrained-hybrid"
margin_ms = 5
[[policies]]
use = "constrained-hybrid"
label = "By a quantile"
margin_ms = 0
information = { service_time = "quantile:0.9" }
[[policies]]
use = "constrained-hybrid"
label = "Knows service times"
margin_ms = 0
information = { service_time = "actual" }
[[policies]]
use = "constrained-hybrid"
label = "By risk"
max_violation = 0.05
[[policies]]
use = "constrained-hybrid"
label = "By budget"
max_violation = 0.05
budget = "per-workload"
[[policies]]
use = "static-greenest"
[[policies]]
use = "clairvoyant-bound"
label = "Bound"
"""
OLD_POLICIES = small.SCENARIO[small.SCENARIO.index("[[policies]]") :]
#: Several regions may answer in time, and which ones hangs on the last tenth of what is believed.
NEAR_THE_LIMIT = (
    ("hours = 6", "hours = 24"),
    ("requests_per_hour = 50", "requests_per_hour = 1000"),
    ("noise = 0.1", "noise = 0.5"),
    ("slo_ms = 100", "slo_ms = 93"),
    ("slo_ms = 300", "slo_ms = 230"),
)
TOKENS = (
    'service_ms = { law = "normal", mean = 120, std = 25, floor = 1 }',
    'service_ms = { law = "tokens", prefill_ms_per_token = 0.2, decode_ms_per_token = 1, '
    'prompt_tokens = { law = "lognormal", mean = 200, std = 120 }, '
    'answer_tokens = { law = "normal", mean = 80, std = 15, floor = 1 } }',
)
Z = 5  # two-sided failure probability 6e-7 for each of some hundred comparisons


def inputs_of(folder: Path, *more: small.Change) -> Inputs:
    return resolve(load(small.write(folder, *NEAR_THE_LIMIT, *more, (OLD_POLICIES, POLICIES))))


def believing(beliefs: Inputs, truth: Inputs) -> Inputs:
    """Return a run in which policies decide by one scenario, and requests meet another."""
    return replace(
        truth, candidates=tuple(replace(candidate, beliefs=beliefs) for candidate in beliefs.candidates)
    )


def assert_agree(drawn: Outcome, expected: Outcome) -> None:
    """Assert that counted violations and routes are those expected, as far as chance allows."""
    n = int(drawn.requests.sum())
    for found, theory in (
        (drawn.violations.sum(), expected.violations.sum()),
        *zip(drawn.requests.sum(axis=(0, 1)), expected.requests.sum(axis=(0, 1)), strict=True),
    ):
        p = theory / expected.requests.sum()
        assert abs(found - n * p) <= Z * math.sqrt(n * p * (1 - p)) + 1e-6 * n, (drawn.policy, found, n * p)


#: What makes answers later.
CHANGED = {
    "Round-trip times": 1.1,
    "Latency limits (SLO)": 0.9,
    "Mean service times": 1.1,
    "Spread of service times": 1.1,
}


@pytest.mark.parametrize(("name", "kept", "tokens"), grid(CHANGED, [True, False], [(), (TOKENS,)], one_of=2))
def test_both_engines_agree_on_policies_that_are_wrong(
    name: str, kept: bool, tokens: tuple[small.Change, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beliefs = inputs_of(tmp_path, *tokens)
    if tokens:
        beliefs = replace(beliefs, candidates=beliefs.candidates[:-1])  # no bound by prompts and jitter
    run = believing(beliefs, replace(beliefs, **dict(changes(beliefs))[name](CHANGED[name])))
    if not kept:
        monkeypatch.setattr(sampled, "KEPT", 0)
    told = exact.run(replace(run, candidates=beliefs.candidates))
    expected = exact.run(run)
    for drawn, theory in zip(sampled.run(run), expected, strict=True):
        assert_agree(drawn, theory)
    differ = {
        one.policy
        for one, other in zip(told, expected, strict=True)
        if abs(one.violations.sum() - other.violations.sum()) > 1e-3 * one.requests.sum()
    }
    assert {"Latency-First", "Bound"}.isdisjoint(differ)
    if name != "Spread of service times":
        assert differ & {"By risk", "By budget"}


@pytest.mark.parametrize("name", ["Carbon of B", "Requests from West"])
def test_carbon_and_shares_that_are_believed_wrongly(name: str, tmp_path: Path) -> None:
    beliefs = inputs_of(tmp_path)
    truth = replace(beliefs, **dict(changes(beliefs))[name](1.1))
    expected = exact.run(believing(beliefs, truth))
    for before, after in zip(exact.run(beliefs), expected, strict=True):
        if after.policy == "Bound":
            continue  # sees the truth
        # What each origin and workload does is what it did, whatever came of it.
        share = before.requests / before.requests.sum(axis=2, keepdims=True)
        np.testing.assert_allclose(
            after.requests / after.requests.sum(axis=2, keepdims=True), share, atol=1e-12
        )


def test_who_believes_the_truth_decides_as_ever(tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path)
    for engine in (exact, sampled):
        for plain, same in zip(engine.run(inputs), engine.run(believing(inputs, inputs)), strict=True):
            assert (plain.requests == same.requests).all()
            assert (plain.violations == same.violations).all()
            assert (plain.carbon_sum_g_per_kwh == same.carbon_sum_g_per_kwh).all()


def test_an_estimate_is_of_the_laws_that_are_believed_in(tmp_path: Path) -> None:
    beliefs = inputs_of(tmp_path)
    truth = replace(beliefs, **dict(changes(beliefs))["Mean service times"](1.1))
    margin = believing(beliefs, truth).candidates[2]
    assert Dispatcher.of(margin, truth).estimates_ms() == pytest.approx([20, 120])
    assert Dispatcher.of(replace(margin, beliefs=None), truth).estimates_ms() == pytest.approx([22, 132])


def test_the_queued_engine_knows_of_no_beliefs(tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path)
    with pytest.raises(ValueError, match="decide by the scenario that their requests meet"):
        queued(believing(inputs, inputs))
