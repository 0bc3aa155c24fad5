"""A replica in steady state, by how many sequences it decodes: times, requests per second, power."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from carbonroute.arrays import Array
from carbonroute.llm.pool import LlmPool

#: Beyond them, a batch that runs short of blocks is rare enough not to be the rule.
_DEVIATIONS = 2.0


@dataclass(frozen=True)
class MeanRequests:
    """The mean requests of W workloads.

    Attributes
    ----------
    prompt, answer
        Mean lengths, tokens, shape (W,).
    prompt_square, answer_square
        Means of the squares of the lengths, shape (W,): long answers are in a batch more often.
    share
        Of each workload in the requests, shape (W,); sums to 1.
    """

    prompt: Array
    answer: Array
    prompt_square: Array
    answer_square: Array
    share: Array

    @property
    def held(self) -> float:
        """Mean tokens that the cache holds of a sequence that decodes: its prompt, and half of its answer."""
        # Formula length-biased.
        tokens = self.prompt * self.answer + self.answer_square / 2
        return float(self.share @ tokens / (self.share @ self.answer))

    @property
    def held_square(self) -> float:
        """Mean square of these tokens, with answers of the mean length in a batch."""
        part = self.answer_square / (2 * self.answer)
        squares = self.prompt_square + 2 * self.prompt * part + 4 / 3 * part**2
        return float(self.share @ (self.answer * squares) / (self.share @ self.answer))


@dataclass(frozen=True)
class TimeLimits:
    """Most time that a request of each workload may take in a region, ms, shape (W,); inf for none.

    Attributes
    ----------
    ttft_ms, tpot_ms, service_ms
        To the first token, for each further one, and to the last one.
    """

    ttft_ms: Array
    tpot_ms: Array
    service_ms: Array


@dataclass(frozen=True)
class LoadCurve:
    """Steady states of a replica that never pauses, with 1 … B sequences that decode. W workloads.

    Mean lengths stand for all; at most one prompt is read in a step. docs/llm.md says how far that is off.

    Attributes
    ----------
    batch
        Sequences, shape (B,): up to the limit of the batch or of the cache.
    tpot_ms
        Time per token of an answer, after the first, ms, shape (B,).
    prefill_ms
        Time from admission to the first token, ms, shape (W, B).
    busy_ms
        Part of the replica's time that a request takes, ms, shape (W, B).
    answer_ms, prompt_ms
        The same of each token of an answer after the first, and of each computed token of a prompt, ms,
        shape (B,).
    power_w
        Mean power, W, shape (B,); NaN where it is not stated.
    roomy
        Index of the largest batch that can be kept up: prompts are read in less than all of the time, and the
        cache has room for the mean and two standard deviations of the tokens that it holds, with a Poisson
        number of sequences.
    """

    batch: Array
    tpot_ms: Array
    prefill_ms: Array
    busy_ms: Array
    answer_ms: Array
    prompt_ms: Array
    power_w: Array
    roomy: int

    @classmethod
    def of(cls, pool: LlmPool, requests: MeanRequests) -> LoadCurve:
        """Return the curve of a pool's replicas under some requests."""
        held = requests.held
        fitting = int(np.clip(pool.kv_cache_tokens // max(held, 1.0), 1, pool.max_num_seqs))
        batch = np.arange(1.0, fitting + 1)
        # Formula cache-room.
        most_held = batch * held + _DEVIATIONS * np.sqrt(batch * requests.held_square)
        decode_ms = pool.law.step_ms(batch, batch * held, batch)
        prompt = np.maximum(requests.prompt * (1 - pool.prefix_hit_share), 1.0)[:, np.newaxis]
        # Formula chunked-load.
        chunks = np.maximum(1.0, prompt / np.maximum(pool.max_num_batched_tokens - batch, 1.0))
        chunk_ms = pool.law.step_ms(
            batch + prompt / chunks, batch * held + requests.prompt[:, np.newaxis], batch + 1
        )
        further = np.maximum(requests.answer - 1, 0.0)[:, np.newaxis]
        longer_ms = chunks * (chunk_ms - np.where(further > 0, decode_ms, 0.0))
        busy_ms = decode_ms * further / batch + longer_ms
        tokens, busy = requests.share @ further, requests.share @ busy_ms
        tpot_ms = batch * busy / tokens if tokens > 0 else decode_ms
        reading = requests.share @ (chunks * chunk_ms) / busy
        kept_up = (most_held <= pool.kv_cache_tokens) & (reading <= 1)
        return cls(
            batch=batch,
            tpot_ms=tpot_ms,
            prefill_ms=decode_ms / 2 + chunks * chunk_ms,
            busy_ms=busy_ms,
            answer_ms=decode_ms / batch,
            prompt_ms=requests.share @ longer_ms / (requests.share @ prompt),
            power_w=_power_w(pool, batch, requests.share @ (prompt / chunks), reading),
            roomy=max(0, int(np.argmin(np.append(kept_up, False))) - 1),
        )

    def most(self, requests: MeanRequests, limits: TimeLimits) -> int:
        """Return the index of the largest batch that has room and at which all workloads keep their limits.

        That is the mean request of each; 0 where none does.
        """
        further = np.maximum(requests.answer - 1, 0.0)[:, np.newaxis]
        service_ms = self.prefill_ms + further * self.tpot_ms
        kept = (
            (self.prefill_ms <= limits.ttft_ms[:, np.newaxis])
            & ((self.tpot_ms <= limits.tpot_ms[:, np.newaxis]) | (further == 0))
            & (service_ms <= limits.service_ms[:, np.newaxis])
        ).all(axis=0)
        return min(self.roomy, max(0, int(np.argmin(np.append(kept, False))) - 1))


def _power_w(pool: LlmPool, batch: Array, chunk: Array, reading: Array) -> Array:
    """Return the mean power, W, shape (B,).

    `pool`, `batch`: the replica, and its numbers of sequences, shape (B,).
    `chunk`, `reading`: prompt tokens of a step that reads prompts, and the part of the time spent in such
    steps, shape (B,).
    """
    if pool.power is None:
        return np.full(len(batch), np.nan)
    part, of_time = np.minimum(chunk / pool.max_num_batched_tokens, 1.0), np.minimum(reading, 1.0)
    power_w: Array = (1 - of_time) * pool.power.at_w(batch) + of_time * pool.power.at_w(batch, part)
    return power_w
