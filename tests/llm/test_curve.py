"""The steady states of a replica, worked by hand and against its parts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from carbonroute.llm import LlmPool, LoadCurve, MeanRequests, PowerLaw, StepLaw, TimeLimits

#: 10 ms of memory, 0.1 ms of arithmetic per token: 100 tokens are where one overtakes the other.
LAW = StepLaw(overhead_ms=0.0, weights_ms=10.0, kv_ms_per_token=0.0, compute_ms_per_token=0.1)
POOL = LlmPool(LAW, None, max_num_seqs=8, max_num_batched_tokens=208, kv_blocks=1000)
NO_LIMITS = TimeLimits(*(np.full(1, np.inf),) * 3)


def one(prompt: float, answer: float) -> MeanRequests:
    columns = np.array([[prompt], [answer], [prompt**2], [answer**2]])
    return MeanRequests(columns[0], columns[1], columns[2], columns[3], np.ones(1))


def test_a_request_takes_its_share_of_decode_steps_and_what_its_prompt_adds() -> None:
    curve = LoadCurve.of(POOL, one(prompt=192.0, answer=11.0))
    # With 8 sequences a step reads 200 tokens of a prompt at most, so that 192 are one chunk: 20 ms, not 10.
    assert curve.busy_ms[0, 7] == pytest.approx(10 * 10 / 8 + (20 - 10))
    # 8 sequences of 10 further tokens each: tokens per second by requests per second.
    assert curve.tpot_ms[7] == pytest.approx(8 * curve.busy_ms[0, 7] / 10)
    assert curve.answer_ms[7] == pytest.approx(10 / 8)
    assert curve.prompt_ms[7] == pytest.approx(10 / 192)
    assert curve.prefill_ms[0, 7] == pytest.approx(10 / 2 + 20)


def test_a_longer_prompt_is_read_in_chunks() -> None:
    curve = LoadCurve.of(POOL, one(prompt=400.0, answer=11.0))
    chunks = 400 / (208 - 8)
    assert curve.busy_ms[0, 7] == pytest.approx(10 * 10 / 8 + chunks * (0.1 * 208 - 10))


def test_a_prompt_in_the_cache_is_not_computed() -> None:
    half = replace(POOL, prefix_hit_share=0.5)
    assert LoadCurve.of(half, one(384.0, 11.0)).busy_ms[0, 7] == pytest.approx(
        LoadCurve.of(POOL, one(192.0, 11.0)).busy_ms[0, 7]
    )


def test_answers_of_one_token_are_prompts_alone() -> None:
    curve = LoadCurve.of(POOL, one(prompt=192.0, answer=1.0))
    assert curve.busy_ms[0, 7] == pytest.approx(20)
    assert np.isfinite(curve.tpot_ms).all()


def test_the_cache_limits_the_batch() -> None:
    small = replace(POOL, kv_blocks=32, block_tokens=16)  # 512 tokens, of which a request holds 197.5
    assert len(LoadCurve.of(small, one(prompt=192.0, answer=11.0)).batch) == 2
    tiny = replace(POOL, kv_blocks=4, block_tokens=16)
    assert len(LoadCurve.of(tiny, one(prompt=192.0, answer=11.0)).batch) == 1


@pytest.mark.parametrize("limit", ["ttft_ms", "tpot_ms", "service_ms"])
def test_full_is_the_largest_batch_within_every_limit(limit: str) -> None:
    requests = one(prompt=192.0, answer=11.0)
    curve = LoadCurve.of(POOL, requests)
    assert curve.most(requests, NO_LIMITS) == 7
    values = {
        "ttft_ms": curve.prefill_ms[0],
        "tpot_ms": curve.tpot_ms,
        "service_ms": curve.prefill_ms[0] + 10 * curve.tpot_ms,
    }[limit]
    assert np.all(np.diff(values) > 0)
    kept = replace(NO_LIMITS, **{limit: np.array([values[4]])})
    assert curve.most(requests, kept) == 4
    assert curve.most(requests, replace(NO_LIMITS, **{limit: np.array([values[0] / 2])})) == 0


def test_a_mix_takes_the_sum_of_its_parts() -> None:
    answers = np.array([11.0, 31.0])
    prompts = np.array([192.0, 96.0])
    mix = MeanRequests(prompts, answers, prompts**2, answers**2, np.array([0.25, 0.75]))
    curve = LoadCurve.of(POOL, mix)
    further = np.array([10.0, 30.0])
    assert curve.tpot_ms[7] == pytest.approx(8 * (mix.share @ curve.busy_ms[:, 7]) / (mix.share @ further))


def test_power_is_between_decoding_and_reading() -> None:
    power = PowerLaw(100.0, 400.0, (1.0, 8.0), (200.0, 300.0))
    curve = LoadCurve.of(replace(POOL, power=power), one(prompt=192.0, answer=11.0))
    assert curve.power_w[0] > 200
    assert 300 < curve.power_w[7] < 400
    # 20 of 22.5 ms per request are in steps that read prompts, 192/208 full.
    part = 20 / 22.5
    expected = (1 - part) * 300 + part * (300 + 192 / 208 * 100)
    assert curve.power_w[7] == pytest.approx(expected)
    assert np.isnan(LoadCurve.of(POOL, one(192.0, 11.0)).power_w).all()


def test_long_answers_are_in_a_batch_more_often() -> None:
    # Answers of 10 and 90 tokens, one of each: of 100 steps, 90 are with the long one.
    columns = np.array([[100.0], [50.0], [100.0**2], [(10**2 + 90**2) / 2]])
    spread = MeanRequests(columns[0], columns[1], columns[2], columns[3], np.ones(1))
    assert spread.held == pytest.approx(100 + (10 * 10 / 2 + 90 * 90 / 2) / 100)


def test_a_cache_has_room_for_the_spread_of_a_batch() -> None:
    # 100 tokens each: 4 sequences hold 400, and two deviations are some 2 · √4 · 100 = 400 more.
    columns = np.array([[79.5], [41.0], [79.5**2], [41.0**2]])
    requests = MeanRequests(columns[0], columns[1], columns[2], columns[3], np.ones(1))
    assert requests.held == pytest.approx(100)
    assert requests.held_square == pytest.approx(100**2 + 41**2 / 12, rel=1e-3)
    room = LoadCurve.of(replace(POOL, kv_blocks=81, block_tokens=10), requests)
    assert (len(room.batch), room.roomy) == (8, 3)
    assert room.most(requests, NO_LIMITS) == 3


def test_prompts_in_small_chunks_take_all_of_the_time_in_larger_batches() -> None:
    # A step of 16 tokens reads 16 − b of a prompt of 60: with 8 sequences, 7.5 steps of 10 ms.
    narrow = replace(POOL, max_num_batched_tokens=16)
    requests = one(prompt=60.0, answer=7.0)
    curve = LoadCurve.of(narrow, requests)
    chunks = 60 / (16 - curve.batch)
    fits = chunks * 10 <= curve.busy_ms[0]
    assert fits[: curve.roomy + 1].all()
    assert not fits[curve.roomy + 1]
    assert curve.most(requests, NO_LIMITS) == curve.roomy
    wide = LoadCurve.of(POOL, requests)
    assert wide.most(requests, NO_LIMITS) > curve.roomy
