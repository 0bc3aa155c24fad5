"""Requests with tokens: a router knows prompts and not answers, and grams follow the tokens."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from carbonroute.engines import sampled
from carbonroute.engines.draws import SCHEMES
from carbonroute.engines.routing import Dispatcher
from carbonroute.errors import InputError
from carbonroute.outcome import Outcome
from carbonroute.runs import run
from carbonroute.scenario import Inputs, resolve
from carbonroute.scenario.written.entry import PolicyEntry
from carbonroute.scenario.written.load import checked
from carbonroute.units import J_PER_KWH
from helpers import grids
from helpers.scenarios import Document, inputs_of

LAW = {
    "law": "tokens",
    "overhead_ms": 10,
    "prefill_ms_per_token": 0.5,
    "decode_ms_per_token": 5,
    "prompt_tokens": {"law": "lognormal", "mean": 100, "std": 150},
    "answer_tokens": {"law": "gamma", "mean": 20, "std": 20},
}
RTT = {"o": {"near": 5, "far": 60}}


def document(**workload: object) -> Document:
    """Return a scenario of one workload with tokens and two regions, the farther of them cleaner."""
    return {
        "schema": 1,
        "name": "tokens",
        "horizon": {"hours": 3},
        "traffic": {"kind": "fixed-rate", "requests_per_hour": 700},
        "carbon": {"kind": "synthetic", "noise": 0.2},
        "network": {"rtt_ms": RTT},
        "origins": [{"name": "o", "share": 1.0}],
        "regions": [
            {"name": "near", "carbon_g_per_kwh": 400, "pue": 1.5, "hardware_factor": 2.0},
            {"name": "far", "carbon_g_per_kwh": 40},
        ],
        "workloads": [
            {
                "id": "w",
                "name": "w",
                "model": "w",
                "share": 1.0,
                "slo_ms": 220,
                "service_ms": copy.deepcopy(LAW),
                "energy_j": 3,
                "energy_j_per_prompt_token": 0.02,
                "energy_j_per_answer_token": 0.5,
                **workload,
            }
        ],
        "policies": [{"use": "constrained-hybrid"}],
    }


def routed(inputs: Inputs) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return region, latency, and prompt and answer tokens of each request, in one order."""
    ((_, blocks),) = SCHEMES["streams"](inputs)
    (block,) = blocks
    dispatcher = Dispatcher.of(inputs.candidates[0], inputs)
    cells, region, latency_ms = sampled.serve(dispatcher, inputs.site, block)
    assert block.tokens is not None
    return np.repeat(region, cells.counts), latency_ms, *block.tokens


def test_a_router_goes_by_the_prompt_and_the_expected_answer() -> None:
    region, latency_ms, prompt, answer = routed(inputs_of(document()))
    estimate_ms = 10 + 0.5 * prompt + 5 * 20
    np.testing.assert_array_equal(region, np.where(60 + estimate_ms <= 220, 1, 0))
    assert 0.2 < region.mean() < 0.9
    service_ms = 10 + 0.5 * prompt + 5 * answer
    np.testing.assert_allclose(latency_ms, np.where(region == 1, 60, 5) + service_ms)


def test_a_careful_router_goes_by_a_longer_answer() -> None:
    careful = document()
    careful["information"] = {"service_time": "quantile:0.9"}
    region, _, prompt, _ = routed(inputs_of(careful))
    longest = 20 * -np.log(1 - 0.9)  # an exponential's quantile
    np.testing.assert_array_equal(region, np.where(60 + 10 + 0.5 * prompt + 5 * longest <= 220, 1, 0))


def test_a_seer_goes_by_the_answer() -> None:
    seer = document()
    seer["information"] = {"service_time": "actual"}
    inputs = inputs_of(seer)
    region, _, prompt, answer = routed(inputs)
    np.testing.assert_array_equal(region, np.where(60 + 10 + 0.5 * prompt + 5 * answer <= 220, 1, 0))
    (outcome,) = sampled.run(inputs)
    assert outcome.clairvoyant


RISK = [{"use": "constrained-hybrid", "max_violation": 0.2}]


def late_share(prompt: np.ndarray, rtt_ms: float, slo_ms: float) -> np.ndarray:
    """Return the probability that an answer takes too long after a prompt: its length is exponential."""
    answer = (slo_ms - rtt_ms - 10 - 0.5 * prompt) / 5
    return np.exp(-np.maximum(answer, 0) / 20)


def test_a_risk_is_that_of_the_answer_after_the_prompt() -> None:
    inputs = inputs_of(document(slo_ms=300) | {"policies": RISK})
    region, latency_ms, prompt, _ = routed(inputs)
    risk = late_share(prompt, 60, 300)
    np.testing.assert_array_equal(region, np.where(risk <= 0.2, 1, 0))
    assert 0.6 < region.mean() < 0.9
    late = latency_ms > 300
    expected = np.where(region == 1, risk, late_share(prompt, 5, 300))
    # Each request is late by itself, so the variance of their number is known: 5 sigma are one in 10⁶.
    assert abs(late.sum() - expected.sum()) < 5 * np.sqrt((expected * (1 - expected)).sum())
    assert late[region == 1].mean() < 0.2
    (outcome,) = sampled.run(inputs)
    assert not outcome.clairvoyant


def test_the_prompts_of_a_log_are_what_a_risk_is_reckoned_from(tmp_path: Path) -> None:
    columns = {"prompt_tokens_column": "prompt"}
    inputs = with_policies(replay(tmp_path, LOG, **columns), RISK)
    region, _, prompt, _ = routed(inputs)
    np.testing.assert_array_equal(prompt, 10.0 * np.arange(60))
    np.testing.assert_array_equal(region, np.where(late_share(prompt, 60, 300) <= 0.2, 1, 0))
    assert 0 < region.mean() < 1


def test_a_budget_for_all_requests_needs_a_law_of_their_prompts(tmp_path: Path) -> None:
    budget = [{**RISK[0], "budget": "per-workload"}]
    inputs = replay(tmp_path, LOG, prompt_tokens_column="prompt")
    assert with_policies(inputs, budget).candidates[0].on_cells
    (workload,) = inputs.scenario.workloads
    law = workload.service_ms.model_copy(update={"prompt_tokens": None})
    workload = workload.model_copy(update={"service_ms": law})
    scenario = inputs.scenario.model_copy(update={"workloads": (workload,)})
    with pytest.raises(InputError) as refusal:
        with_policies(replace(inputs, scenario=scenario), budget)
    assert "workloads[0]: Constrained Hybrid (≤ 20 % violations per workload) goes by the risk of all" in str(
        refusal.value
    )
    assert "; state service_ms.prompt_tokens, or leave out its budget" in str(refusal.value)
    with_policies(replace(inputs, scenario=scenario), RISK)


def with_policies(inputs: Inputs, entries: list[dict[str, object]]) -> Inputs:
    """Return a scenario's inputs with other policies."""
    policies = tuple(PolicyEntry.model_validate(entry) for entry in entries)
    return resolve(inputs.scenario.model_copy(update={"policies": policies}))


def test_grams_follow_the_tokens() -> None:
    inputs = inputs_of(document())
    region, _, prompt, answer = routed(inputs)
    ((_, blocks),) = SCHEMES["streams"](inputs)
    (block,) = blocks
    carbon = inputs.carbon.g_per_kwh[np.repeat(block.cells.of.hour, block.cells.counts), region]
    it_j = (3 + 0.02 * prompt + 0.5 * answer) * np.where(region == 0, 2.0, 1.0)
    grams = it_j / J_PER_KWH * np.where(region == 0, 1.5, 1.0) * carbon
    (outcome,) = sampled.run(inputs)
    assert outcome.emissions is not None
    np.testing.assert_allclose(
        outcome.emissions.operational_g[0, 0],
        [grams[region == 0].sum(), grams[region == 1].sum()],
        rtol=1e-12,
    )


def test_energy_by_the_token_equals_energy_by_the_request_where_tokens_are_constant() -> None:
    constant = {
        **LAW,
        **{f"{what}_tokens": {"law": "normal", "mean": 50, "std": 0} for what in ("prompt", "answer")},
    }
    token_wise = document(service_ms=constant, slo_ms=500)
    request_wise = copy.deepcopy(token_wise)
    (workload,) = request_wise["workloads"]
    del workload["energy_j_per_prompt_token"], workload["energy_j_per_answer_token"]
    workload["energy_j"] = 3 + 0.02 * 50 + 0.5 * 50
    one, other = (sampled.run(inputs_of(each))[0].emissions for each in (token_wise, request_wise))
    assert one is not None
    assert other is not None
    np.testing.assert_allclose(one.total_g, other.total_g, rtol=1e-12)


LOG = "time,prompt,answer,ms\n" + "".join(
    f"2021-01-01T00:{minute:02}:00Z,{10 * minute},{minute % 7},{'' if minute % 3 else 100 + minute}\n"
    for minute in range(60)
)


def replay(folder: Path, log: str, **columns: str) -> Inputs:
    (folder / "log.csv").write_text(log, encoding="utf-8")
    replayed = document(slo_ms=300)
    replayed["horizon"] = {"hours": 1, "start": "2021-01-01T00:00:00Z"}
    replayed["traffic"] = {
        "kind": "replay",
        "logs": [{"path": str(folder / "log.csv"), "time_column": "time", "workload": "w", **columns}],
    }
    from datetime import UTC, datetime

    replayed["horizon"]["start"] = datetime(2021, 1, 1, tzinfo=UTC)
    return inputs_of(replayed)


TOKENS = {"prompt_tokens_column": "prompt", "answer_tokens_column": "answer"}


def test_a_log_states_tokens_and_no_answer_is_known_before(tmp_path: Path) -> None:
    region, latency_ms, prompt, answer = routed(replay(tmp_path, LOG, **TOKENS))
    np.testing.assert_array_equal(prompt, 10.0 * np.arange(60))
    np.testing.assert_array_equal(answer, np.arange(60) % 7)
    np.testing.assert_array_equal(region, np.where(60 + 10 + 0.5 * prompt + 5 * 20 <= 300, 1, 0))
    np.testing.assert_allclose(latency_ms, np.where(region == 1, 60, 5) + 10 + 0.5 * prompt + 5 * answer)
    longer = LOG.replace(",0,", ",6,").replace(",5,", ",600,")
    np.testing.assert_array_equal(routed(replay(tmp_path, longer, **TOKENS))[0], region)


def test_a_log_s_measured_times_come_before_the_law_s(tmp_path: Path) -> None:
    columns = {**TOKENS, "service_column": "ms", "service_unit": "ms"}
    region, latency_ms, prompt, answer = routed(replay(tmp_path, LOG, **columns))
    minute = np.arange(60)
    service_ms = np.where(minute % 3 == 0, 100 + minute, 10 + 0.5 * prompt + 5 * answer)
    np.testing.assert_allclose(latency_ms, np.where(region == 1, 60, 5) + service_ms)


def test_requests_without_tokens_are_refused_where_something_depends_on_them(tmp_path: Path) -> None:
    inputs = replay(tmp_path, LOG)
    assert sampled.run(inputs)[0].requests.sum() == 60  # the law draws them
    without = inputs.scenario.workloads[0].model_copy(
        update={
            "service_ms": inputs.scenario.workloads[0].service_ms.model_copy(update={"prompt_tokens": None})
        }
    )
    scenario = inputs.scenario.model_copy(update={"workloads": (without,)})
    with pytest.raises(InputError, match=r"workloads\[0\]: a request of 'w' has no prompt tokens; replay"):
        sampled.run(replace(inputs, scenario=scenario, laws=(without.service_ms,)))


def test_the_same_tokens_are_drawn_for_everyone_and_every_time() -> None:
    first, again = (sampled.run(inputs_of(document())) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert isinstance(one, Outcome)
        np.testing.assert_array_equal(one.latency_sum_ms, other.latency_sum_ms)


@pytest.mark.parametrize(
    ("engine", "prefill_ms"),
    grids.grid(["sampled", "exact"], [5e-324, 1e-323, 1e-308, 1e-250, 1e-190, 1e-100], one_of=2),
)
def test_prompts_that_take_next_to_no_time_are_as_those_that_take_none(
    engine: str, prefill_ms: float
) -> None:
    def mean_latency_ms(prefill_ms: float) -> list[float]:
        law = {**copy.deepcopy(LAW), "prefill_ms_per_token": prefill_ms}
        bounds = {"rtt_bounds_ms": [0, 200], "carbon_bounds_g_per_kwh": [0, 900]}
        policies = [{"use": "constrained-hybrid", "margin_ms": 5}, {"use": "hybrid", "alpha": 0.5, **bounds}]
        scenario = checked({**document(service_ms=law), "policies": policies}, "small", Path())
        return run(scenario, engine=engine).tables.policies["avg_latency_ms"].to_list()

    assert mean_latency_ms(prefill_ms) == pytest.approx(mean_latency_ms(0.0), rel=1e-9)
