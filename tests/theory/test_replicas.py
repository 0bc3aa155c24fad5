"""Replicas that batch continuously beside queueing theory: M/G/1 one by one, processor sharing in batches."""

from __future__ import annotations

import math

import numpy as np
import pytest

from carbonroute.arrays import Array
from carbonroute.control.capacity import UNLIMITED
from carbonroute.engines.queued.base import Settled
from carbonroute.engines.queued.replicas import ReplicaSystem
from carbonroute.llm import LlmPool, StepLaw
from carbonroute.units import MS_PER

#: Independent runs, whose means say how far a mean may be off; and how many of its standard errors.
RUNS, ERRORS = 40, 5


def runs(pool: LlmPool, rate_per_s: float, prompt: Array, answer: Array) -> list[Settled]:
    """Return independent runs, each in a pool of its own; lengths have shape (RUNS, n)."""
    dice = np.random.default_rng(8)
    none = np.zeros((0, 4))
    system = ReplicaSystem([pool] * RUNS, np.ones(RUNS), np.full(RUNS, UNLIMITED), none)
    reach_s = dice.exponential(1 / rate_per_s, prompt.shape).cumsum(axis=1)
    index = np.repeat(np.arange(RUNS), prompt.shape[1])
    system.send(reach_s.ravel(), index, prompt.ravel(), answer.ravel())
    system.advance(np.inf)
    settled = system.settle(prompt.size)
    return [Settled(*(column[index == run] for column in settled)) for run in range(RUNS)]


def close(means_ms: Array, theory_ms: float, bias_ms: float = 0.0) -> None:
    """Assert that the mean of runs is that of theory, and that the test could tell another one."""
    tolerance_ms = ERRORS * means_ms.std(ddof=1) / math.sqrt(RUNS) + bias_ms
    assert tolerance_ms < 0.08 * theory_ms
    assert abs(means_ms.mean() - theory_ms) < tolerance_ms


@pytest.mark.parametrize("load", [0.3, 0.7])
def test_one_sequence_at_a_time_waits_as_in_m_g_1(load: float) -> None:
    """Pollaczek and Khinchine: W = λE[S²]/(2(1 − ρ)), S the sum of the steps of a request."""
    law = StepLaw(overhead_ms=1.0, weights_ms=8.0, kv_ms_per_token=0.02, compute_ms_per_token=0.5)
    kinds = np.array([(5, 10), (40, 30), (300, 80)])
    chances = np.array([0.5, 0.3, 0.2])
    service_ms = np.array(
        [
            law.step_ms(prompt, prompt) + law.step_ms(1, prompt + np.arange(1, answer)).sum()
            for prompt, answer in kinds
        ]
    )
    mean_ms, square = chances @ service_ms, chances @ service_ms**2
    rate_per_ms = load / mean_ms
    theory_ms = rate_per_ms * square / (2 * (1 - load))
    kind = np.random.default_rng(7).choice(3, (RUNS, 20_000), p=chances)
    pool = LlmPool(law, None, max_num_seqs=1, max_num_batched_tokens=1000, kv_blocks=1000)
    found = runs(pool, rate_per_ms * MS_PER["s"], kinds[kind, 0], kinds[kind, 1])
    np.testing.assert_allclose(found[0].service_ms, service_ms[kind[0]], rtol=0, atol=1e-5)
    close(np.array([one.wait_ms[1000:].mean() for one in found]), float(theory_ms))


@pytest.mark.parametrize("chance", [1.0, 0.1])
def test_a_step_as_long_as_its_batch_shares_the_processor(chance: float) -> None:
    """Sojourn E[S]/(1 − ρ) of M/G/1 processor sharing, whatever the law of the lengths (insensitivity).

    Every step takes c ms for each of its sequences and gives one token to each, so that the tokens of the
    others delay a request as they do where all are served at once. It waits for the end of a step besides,
    and a step is as long as its batch: c·E[n]/(1 − ρ) bounds both.
    """
    each_ms, load, mean = 1.0, 0.6, 400
    law = StepLaw(0.0, 0.0, 0.0, compute_ms_per_token=each_ms)
    long = np.random.default_rng(6).random((RUNS, 10_000)) < chance
    answer = np.where(long, (mean - 100 * (1 - chance)) / chance, 100)
    pool = LlmPool(law, None, max_num_seqs=4096, max_num_batched_tokens=4096, kv_blocks=10**7)
    rate_per_s = load / (mean * each_ms) * MS_PER["s"]
    found = runs(pool, rate_per_s, np.ones_like(answer), answer)
    sojourns_ms = np.array([(one.wait_ms + one.service_ms)[500:].mean() for one in found])
    bias_ms = each_ms * load / (1 - load) ** 2
    close(sojourns_ms, mean * each_ms / (1 - load), bias_ms)
