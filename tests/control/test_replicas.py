"""What a router expects of replicas, worked by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.special import ndtr

from carbonroute.control.replicas import LoadedTimes
from carbonroute.control.views import estimates_ms
from carbonroute.scenario import Inputs
from carbonroute.workloads import Tokens
from helpers import llm


@pytest.fixture
def inputs(tmp_path: Path) -> Inputs:
    return llm.inputs(tmp_path)


def loaded(inputs: Inputs) -> LoadedTimes:
    return LoadedTimes(inputs.site, estimates_ms(inputs.site, inputs.candidates[0].information))


def test_an_idle_region_takes_as_long_as_a_request_alone(inputs: Inputs) -> None:
    times = loaded(inputs).at(np.zeros((1, 2)), np.zeros((1, 2)), np.full((1, 2), 2.0))
    curve = inputs.capacity.replicas[0].curve
    assert times.queue_ms.tolist() == [[[0.0, 0.0]]]
    assert times.tpot_ms[0, 0, 0] == pytest.approx(curve.tpot_ms[0])
    assert times.ttft_ms[0, 0, 0] == pytest.approx(curve.prefill_ms[0, 0])
    assert (loaded(inputs).excess_ms(times) < 0.1 * curve.tpot_ms[0] * 60).all()


def test_a_batch_slows_tokens_and_a_line_first_ones(inputs: Inputs) -> None:
    running, waiting = np.array([[0.0, 20.0]]), np.array([[0.0, 6.0]])
    times = loaded(inputs).at(running, waiting, np.full((1, 2), 2.0))
    replicas = inputs.capacity.replicas[1]
    assert times.tpot_ms[0, 0, 1] == pytest.approx(replicas.curve.tpot_ms[9])  # 10 in each of 2 batches
    assert times.queue_ms[0, 0, 1] == pytest.approx(3 * replicas.mean_busy_ms[9])
    assert (np.diff(times.ttft_ms[0, 0]) > 0).all()


def test_the_usual_batch_completes_what_comes(inputs: Inputs) -> None:
    replicas = inputs.capacity.replicas[0]
    rate_per_ms = 1 / replicas.mean_busy_ms[5]  # of each of 2 replicas with 6 sequences
    load = 2 * rate_per_ms * replicas.mean_busy_ms[replicas.most]
    times = loaded(inputs).usual(np.full((1, 2), load), np.zeros((1, 2)), np.full((1, 2), 2.0))
    assert times.tpot_ms[0, 0] == pytest.approx([replicas.curve.tpot_ms[5]] * 2)


def test_the_risk_is_the_largest_of_its_parts(inputs: Inputs) -> None:
    own, site = loaded(inputs), inputs.site
    calm = own.at(np.zeros((1, 2)), np.zeros((1, 2)), np.full((1, 2), 2.0))
    law = site.laws[0]
    assert isinstance(law, Tokens)
    prompts = (500.0 - site.rtt_ms[0]) / (calm.prefill_ms[0, 0] / 200)
    answers = (10_000.0 - site.rtt_ms[0] - calm.ttft_ms[0, 0]) / calm.tpot_ms[0, 0] + 1
    by_length = [ndtr(-law.prompts.score(prompts)), ndtr(-law.answer_tokens.score(answers))]
    assert own.late_share(calm)[0, 0, 0] == pytest.approx(np.maximum(*by_length), rel=1e-9)
    line = own.at(np.full((1, 2), 32.0), np.full((1, 2), 40.0), np.full((1, 2), 2.0))
    left_ms = 500.0 - site.rtt_ms[0] - line.prefill_ms[0, 0]
    waits = np.exp(-left_ms / line.queue_ms[0, 0])
    assert (waits > 0.5).all()
    assert own.late_share(line)[0, 0, 0] == pytest.approx(waits)


def test_further_tokens_beyond_their_limit_are_late_for_all(tmp_path: Path) -> None:
    inputs = llm.inputs(tmp_path, ("tpot_slo_ms = 40", "tpot_slo_ms = 5"))
    own = loaded(inputs)
    calm = own.at(np.zeros((1, 2)), np.zeros((1, 2)), np.full((1, 2), 2.0))
    assert (own.late_share(calm) == 1).all()
