"""Runs whose regions serve language models: counts, times, energy, and what policies see of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from carbonroute.engines import queued
from carbonroute.engines.draws import SCHEMES
from carbonroute.engines.queued.replicas import ReplicaSystem
from carbonroute.outcome import Outcome, Samples
from carbonroute.scenario import Inputs
from carbonroute.units import J_PER_KWH, MS_PER, S_PER_HOUR
from helpers import llm

#: An hour under load.
HOUR = ("hours = 2", "hours = 1")
BUSY = (("requests_per_hour = 20000", "requests_per_hour = 120000"), HOUR)
NEAREST_ALONE = ('[[policies]]\nuse = "carbon-first"\n[[policies]]\nuse = "spill"\n', "")
CLEANEST_ALONE = (
    'use = "latency-first"\n[[policies]]\nuse = "carbon-first"\n[[policies]]\nuse = "spill"\n',
    'use = "carbon-first"\n',
)


def run(inputs: Inputs) -> dict[str, Outcome]:
    return {outcome.policy: outcome for outcome in queued.run(inputs)}


def alone(inputs: Inputs, region: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return wait, service and first-token times, ms, and answers, of all requests in one region."""
    replicas = inputs.capacity.replicas[region]
    system = ReplicaSystem(
        [replicas.pool], inputs.capacity.servers[:1], inputs.capacity.queue_limit[:1], np.zeros((0, 4))
    )
    answers = []
    for _, blocks in SCHEMES["streams"](inputs):
        for block in blocks:
            time_s = inputs.arrivals.times(block.index, block.requests)
            rank = np.argsort(block.order)
            assert block.tokens is not None
            tokens = block.tokens[:, rank]
            outward_s = inputs.rtt_ms[block.requests.origin, region] / 2 / MS_PER["s"]
            system.send(time_s + outward_s, 0, *tokens)
            answers.append(np.maximum(np.rint(tokens[1]), 1))
    system.advance(np.inf)
    answer = np.concatenate(answers)
    settled = system.settle(len(answer))
    return settled.wait_ms, settled.service_ms, settled.first_ms, answer


def test_times_are_those_of_the_replicas_alone(tmp_path: Path) -> None:
    inputs = llm.inputs(tmp_path, *BUSY)
    outcome = run(inputs)["Carbon-First"]  # all go to the second region
    wait_ms, service_ms, first_ms, answer = alone(inputs, 1)
    serving, queueing = outcome.serving, outcome.queueing
    assert serving is not None
    assert queueing is not None
    assert outcome.requests[..., 0].sum() == 0
    assert serving.requests.sum() == len(answer)
    assert queueing.wait_sum_ms.sum() == pytest.approx(wait_ms.sum())
    several = answer > 1
    tpot_ms = (wait_ms + service_ms - first_ms)[several] / (answer - 1)[several]
    assert serving.tpot_sum_ms.sum() == pytest.approx(tpot_ms.sum())
    assert isinstance(serving.tpot, Samples)
    np.testing.assert_allclose(np.sort(np.concatenate(serving.tpot.parts[0])), np.sort(tpot_ms), rtol=1e-9)
    travel_ms = outcome.latency_sum_ms.sum() - (wait_ms + service_ms).sum()
    assert serving.ttft_sum_ms.sum() == pytest.approx(first_ms.sum() + travel_ms)
    assert serving.answer_tokens.sum() == answer.sum()


def test_a_request_is_late_if_any_limit_is_broken(tmp_path: Path) -> None:
    loose = ("ttft_slo_ms = 500\ntpot_slo_ms = 40\n", "")
    free = run(llm.inputs(tmp_path, *BUSY, loose, NEAREST_ALONE))["Latency-First"]
    assert free.serving is not None
    assert not free.serving.ttft_late.any()
    assert not free.serving.tpot_late.any()
    assert free.serving.ttft_sum_ms.sum() > 0
    end_late = free.violations.sum()
    for stated, field in (("ttft_slo_ms = 30", "ttft_late"), ("tpot_slo_ms = 11", "tpot_late")):
        limit = (loose[0], f"{stated}\n")
        tight = run(llm.inputs(tmp_path, *BUSY, limit, NEAREST_ALONE))["Latency-First"]
        assert tight.serving is not None
        late = getattr(tight.serving, field).sum()
        assert 0 < late < tight.requests.sum()
        assert max(late, end_late) <= tight.violations.sum() <= late + end_late


def test_grams_are_the_joules_of_the_replicas(tmp_path: Path) -> None:
    inputs = llm.inputs(tmp_path, *BUSY)
    for outcome in queued.run(inputs):
        serving, emissions = outcome.serving, outcome.emissions
        assert serving is not None
        assert emissions is not None
        assert emissions.idle_g is not None
        carbon = np.array([400.0, 50.0]) * [1.2, 1.0]
        assert emissions.total_g.sum() == pytest.approx(serving.energy_j @ carbon / J_PER_KWH, rel=1e-3)
        idle_j = 100.0 * 2 * S_PER_HOUR * np.ones(2)
        assert emissions.idle_g.sum() == pytest.approx(idle_j @ carbon / J_PER_KWH, rel=1e-3)


@pytest.mark.parametrize("limit", ["ttft_slo_ms = 2", "tpot_slo_ms = 10.2", "tpot_slo_ms = 1"])
def test_grams_do_not_depend_on_limits(limit: str, tmp_path: Path) -> None:
    loose = ("ttft_slo_ms = 500\ntpot_slo_ms = 40\n", "")
    free, tight = (
        run(llm.inputs(tmp_path, *BUSY, (loose[0], stated), NEAREST_ALONE))["Latency-First"]
        for stated in ("", f"{limit}\n")
    )
    assert free.emissions is not None
    assert tight.emissions is not None
    assert tight.emissions.total_g.sum() == pytest.approx(free.emissions.total_g.sum(), rel=1e-12)
    assert tight.emissions.idle_g is not None
    assert free.emissions.idle_g is not None
    assert tight.emissions.idle_g.sum() == pytest.approx(free.emissions.idle_g.sum(), rel=1e-12)


def test_an_overload_draws_no_more_than_its_replicas_can(tmp_path: Path) -> None:
    flood = ("requests_per_hour = 20000", "requests_per_hour = 400000")
    inputs = llm.inputs(tmp_path, flood, HOUR, CLEANEST_ALONE)
    greedy = run(inputs)["Carbon-First"]
    serving, queueing = greedy.serving, greedy.queueing
    assert serving is not None
    assert queueing is not None
    most = 2 * 16 / 0.010  # two batches of 16, and no step below 10 ms
    assert serving.answer_tokens_per_s.max() < most
    assert queueing.waiting.max() < greedy.requests.sum()
    assert serving.held_share.max() <= 1
    assert (serving.running[-1] > 30)[1]  # full to the end of the horizon, and after it


def test_readings_add_up_to_the_requests(tmp_path: Path) -> None:
    inputs = llm.inputs(tmp_path, *BUSY)
    for outcome in queued.run(inputs):
        serving, queueing = outcome.serving, outcome.queueing
        assert serving is not None
        assert queueing is not None
        assert not queueing.rejected.any()
        assert serving.produced.sum() == serving.answer_tokens.sum()
        # The rates end with the horizon, and with some tokens still to come.
        within = serving.answer_tokens_per_s.sum() * queueing.slot_s
        assert 0.999 * serving.answer_tokens.sum() < within < serving.answer_tokens.sum()
        computed = serving.prompt_tokens_per_s.sum() * queueing.slot_s
        if not serving.preemptions.any():
            assert computed == pytest.approx(serving.prompt_tokens.sum(), rel=1e-3)
        assert (serving.held_share <= 1).all()
        assert (serving.running <= 2 * 16).all()


def test_capacity_changes_where_requests_go(tmp_path: Path) -> None:
    few, many = (
        run(llm.inputs(tmp_path, *changes))["Spill"]
        for changes in ((), (*BUSY, ("servers = 2", "servers = 1")))
    )
    assert few.requests[..., 0].sum() == 0  # all fit where it is clean
    assert many.requests[..., 0].sum() > 0
    few_servers = ("servers = 2", "servers = 1")
    greedy = run(llm.inputs(tmp_path, *BUSY, few_servers, CLEANEST_ALONE))["Carbon-First"]
    assert greedy.violations.sum() > 20 * many.violations.sum()


def test_policies_see_tokens(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "class Own:\n"
        "    name, reads = 'Own', frozenset({'rtt_ms', 'ttft_ms', 'tpot_ms', 'ttft_slo_ms', 'tpot_slo_ms'})\n"
        "    def cost(self, view):\n"
        "        assert (view.ttft_slo_ms == 500).all() and (view.tpot_slo_ms == 40).all()\n"
        "        assert (view.tpot_ms >= 10).all()\n"
        "        return view.ttft_ms + view.rtt_ms\n"
    )
    added = (NEAREST_ALONE[0], '[[policies]]\nuse = "own.py:Own"\n')
    light = run(llm.inputs(tmp_path, added))
    # An all but idle replica answers in 30 ms anywhere: the round trip decides.
    moved = np.abs(light["Own"].requests - light["Latency-First"].requests).sum() / 2
    assert moved < 0.05 * light["Own"].requests.sum()
    steps = ("[traffic]", "[control]\ninterval_s = 10\nmax_step = 0.05\n[traffic]")
    flood = ("requests_per_hour = 20000", "requests_per_hour = 250000")
    loaded = run(llm.inputs(tmp_path, flood, HOUR, steps, added))
    far = [loaded[policy].requests[[0, 1], 0, [1, 0]].sum() for policy in ("Latency-First", "Own")]
    assert far[0] == 0
    assert far[1] > 0.02 * loaded["Own"].requests.sum()


def test_pools_of_both_kinds_stand_side_by_side(tmp_path: Path) -> None:
    plain = ("carbon_g_per_kwh = 50\n", "carbon_g_per_kwh = 50\npools = [{ servers = 40 }]\n")
    law = ('law = "tokens", ', 'law = "tokens", prefill_ms_per_token = 0.05, decode_ms_per_token = 10, ')
    loose = ("ttft_slo_ms = 500\ntpot_slo_ms = 40\n", "")
    inputs = llm.inputs(tmp_path, plain, law, loose)
    nearest = run(inputs)["Latency-First"]
    assert nearest.serving is not None
    assert nearest.requests[..., 1].sum() > 0
    assert nearest.serving.requests[..., 1].sum() == 0
    assert nearest.serving.requests.sum() == nearest.requests[..., 0].sum() > 0
    assert np.isnan(nearest.serving.running[:, 1]).all()


def test_the_same_bits_again_and_in_replications(tmp_path: Path) -> None:
    first, again = (run(llm.inputs(tmp_path, *BUSY))["Spill"] for _ in range(2))
    assert first.serving is not None
    assert again.serving is not None
    assert first.serving.ttft_sum_ms.tobytes() == again.serving.ttft_sum_ms.tobytes()
    both = Outcome.merged([first, again])
    assert both.serving is not None
    assert both.serving.requests.sum() == 2 * first.serving.requests.sum()
    np.testing.assert_allclose(both.serving.running, first.serving.running)
