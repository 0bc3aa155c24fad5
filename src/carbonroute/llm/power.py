"""The electrical power of a replica: idle, reading prompts, and by how many sequences it decodes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from carbonroute.arrays import Array


@dataclass(frozen=True)
class PowerLaw:
    """IT power of a replica, all of its accelerators together.

    Attributes
    ----------
    idle_w
        While it has no request, W.
    prefill_w
        In a step that is all prompt, W.
    batches, decode_w
        Power of steps that only decode, W, at some numbers of sequences, ascending: straight lines over the
        logarithm of the batch between them, and flat beyond the ends; shape (K,) each.
    """

    idle_w: float
    prefill_w: float
    batches: tuple[float, ...]
    decode_w: tuple[float, ...]

    def at_w(self, batch: ArrayLike, prompt_share: ArrayLike = 0.0) -> Array:
        """Return the power of steps, W.

        Parameters
        ----------
        batch
            Sequences that decode; 0 while nothing runs.
        prompt_share
            Prompt tokens in the step over the most that a step may compute, 0…1.
        """
        sequences, share = np.asarray(batch, dtype=np.float64), np.asarray(prompt_share, dtype=np.float64)
        # Formula step-power.
        decoding_w = np.interp(np.log(np.maximum(sequences, 1)), np.log(self.batches), self.decode_w)
        decoding_w = np.where(sequences > 0, decoding_w, self.idle_w)
        power_w: Array = decoding_w + share * np.maximum(self.prefill_w - decoding_w, 0.0)
        return power_w
