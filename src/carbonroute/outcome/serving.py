"""First tokens, further tokens and batches of regions that serve language models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import reduce
from typing import Any

import numpy as np

from carbonroute.arrays import Array
from carbonroute.outcome.distribution import Counts, LatencyDistribution, Sums, joined


@dataclass(frozen=True)
class Serving:
    """Counts of the served requests that pools with continuous batching took; S slots of time, P pools.

    Attributes
    ----------
    requests
        Number of them, shape (O, W, R).
    ttft, tpot
        Distributions of the time to the first token, network included, and of the time per further token, ms;
        the second over requests of two tokens or more.
    ttft_sum_ms, tpot_sum_ms
        Sums of both, ms, shape (O, W, R).
    several
        Number of requests of two tokens or more, shape (O, W, R).
    ttft_late, tpot_late
        Number of requests over either limit, shape (O, W, R).
    prompt_tokens, answer_tokens
        Sums of the lengths, tokens, shape (O, W, R).
    running, held_share
        Mean number of sequences in the batches, and the mean share of the cache's tokens that are held, shape
        (S, P); NaN of a pool of another kind.
    prompt_tokens_per_s, answer_tokens_per_s
        Tokens computed and produced per second within the horizon, shape (S, P); tokens that are computed
        again count.
    preemptions
        How often a sequence lost its place within the horizon, shape (P,).
    energy_j, produced
        IT energy of the replicas, J, and tokens of answers that they produced, shape (P,), as far as grams
        are counted: not in the warm-up, and after the horizon of replicas with a sequence. Energy is NaN
        where their power is not stated.
    runs
        Of how many runs these are the sums and means.
    """

    requests: Counts
    ttft: LatencyDistribution
    tpot: LatencyDistribution
    ttft_sum_ms: Sums
    tpot_sum_ms: Sums
    several: Counts
    ttft_late: Counts
    tpot_late: Counts
    prompt_tokens: Sums
    answer_tokens: Sums
    running: Array
    held_share: Array
    prompt_tokens_per_s: Array
    answer_tokens_per_s: Array
    preemptions: Array
    energy_j: Array
    produced: Array
    runs: int = 1

    @classmethod
    def merged(cls, parts: Sequence[Serving | None]) -> Serving | None:
        """Return that of several runs, or None where one of them has none.

        Counts and sums add up; values by slot and pool are means over the runs.
        """
        known = [part for part in parts if part is not None]
        if not known or len(known) < len(parts):
            return None
        runs = sum(part.runs for part in known)
        columns: dict[str, Any] = {"runs": runs}
        for field in fields(cls):
            values = [getattr(part, field.name) for part in known]
            if field.name in ("ttft", "tpot"):
                columns[field.name] = joined(values)
            elif field.name in _MEANS:
                total = reduce(np.add, [value * part.runs for value, part in zip(values, known, strict=True)])
                columns[field.name] = total / runs
            elif field.name != "runs":
                columns[field.name] = reduce(np.add, values)
        return cls(**columns)


_MEANS = frozenset(
    (
        "running",
        "held_share",
        "prompt_tokens_per_s",
        "answer_tokens_per_s",
        "preemptions",
        "energy_j",
        "produced",
    )
)
