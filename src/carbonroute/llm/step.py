"""How long one step of a replica takes: the roofline of memory and arithmetic, and the work of the server."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from carbonroute.arrays import Array


@dataclass(frozen=True)
class StepLaw:
    """Time of a step: overhead + max(memory, arithmetic) + link + server work per sequence.

    A step computes one token of every sequence that writes its answer, and a chunk of the prompts.

    Attributes
    ----------
    overhead_ms
        Of every step, whatever is in it: scheduling, launches, sampling.
    weights_ms
        Reading the weights that every token needs.
    kv_ms_per_token
        Reading the keys and values of one token held in the cache.
    compute_ms_per_token
        Arithmetic of one computed token.
    experts_ms
        Reading the weights of all experts of a sparse model; 0 of a dense one.
    expert_share
        Part of the experts that one token needs, 0…1.
    link_ms, link_ms_per_token
        Exchange between the accelerators of a replica: of every step, and of each computed token.
    sequence_ms
        Work of the server for each sequence of the batch in every step: sampling, text, answers.

    Examples
    --------
    >>> law = StepLaw(overhead_ms=1.0, weights_ms=17.5, kv_ms_per_token=0.00015, compute_ms_per_token=0.12)
    >>> law.step_ms(8, 10_000).round(1).tolist(), law.step_ms(2048, 10_000).round(1).tolist()
    (20.0, 246.8)
    """

    overhead_ms: float
    weights_ms: float
    kv_ms_per_token: float
    compute_ms_per_token: float
    experts_ms: float = 0.0
    expert_share: float = 1.0
    link_ms: float = 0.0
    link_ms_per_token: float = 0.0
    sequence_ms: float = 0.0

    def step_ms(self, computed: ArrayLike, held: ArrayLike, sequences: ArrayLike = 0) -> Array:
        """Return the time of steps, ms.

        `computed`, `held`, `sequences`: tokens that the step computes, tokens in the cache at its end, and
        sequences in the batch, of shapes that broadcast.
        """
        tokens, cached = np.asarray(computed, dtype=np.float64), np.asarray(held, dtype=np.float64)
        # Formula step-time.
        experts_ms = self.experts_ms * (1 - (1 - self.expert_share) ** tokens)
        memory_ms = self.weights_ms + experts_ms + self.kv_ms_per_token * cached
        busy_ms = np.maximum(memory_ms, self.compute_ms_per_token * tokens)
        link_ms = self.link_ms + self.link_ms_per_token * tokens
        step_ms: Array = self.overhead_ms + busy_ms + link_ms + self.sequence_ms * np.asarray(sequences)
        return step_ms
