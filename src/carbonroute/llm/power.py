"""The electrical power of a replica: idle, reading prompts, and by how many sequences it decodes."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike

from carbonroute.arrays import Array

#: Idle power over the thermal design power, where no source states it: a V100 with weights loaded draws 53 of
#: 300 W (zai-org/GLM-130B issue 32).
IDLE_SHARE = 0.18
#: Power while decoding over the thermal design power, by sequences: medians of the H100 near each number, in
#: ML.ENERGY Benchmark v3 (Chung et al., NeurIPS Datasets and Benchmarks 2025).
DECODE_SHARES = MappingProxyType({8.0: 0.63, 64.0: 0.74, 256.0: 0.84})


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

        `batch`: sequences that decode; 0 while nothing runs.
        `prompt_share`: prompt tokens in the step over the most that a step may compute, 0…1.
        """
        sequences, share = np.asarray(batch, dtype=np.float64), np.asarray(prompt_share, dtype=np.float64)
        # Formula step-power.
        decoding_w = np.interp(np.log(np.maximum(sequences, 1)), np.log(self.batches), self.decode_w)
        decoding_w = np.where(sequences > 0, decoding_w, self.idle_w)
        power_w: Array = decoding_w + share * np.maximum(self.prefill_w - decoding_w, 0.0)
        return power_w


def sheet_power(tdp_w: float, idle_w: float | None = None, *, gpus: int = 1) -> PowerLaw:
    """Return the power of a replica of which data sheets alone are known.

    Prompts draw all of the thermal design power (Patel et al., ASPLOS 2024: prompts reach it, decoding stays
    below); decoding by `DECODE_SHARES`. docs/llm.md has how far this is off.

    `tdp_w`, `idle_w`: thermal design power of one GPU, and its power with weights loaded and no request, W;
    None assumes `IDLE_SHARE`.

    >>> law = sheet_power(700.0, gpus=2)
    >>> law.idle_w, law.prefill_w, law.at_w([0, 8, 1000]).tolist()
    (252.0, 1400.0, [252.0, 882.0, 1176.0])
    """
    whole_w = tdp_w * gpus
    return PowerLaw(
        idle_w=whole_w * IDLE_SHARE if idle_w is None else idle_w * gpus,
        prefill_w=whole_w,
        batches=tuple(DECODE_SHARES),
        decode_w=tuple(share * whole_w for share in DECODE_SHARES.values()),
    )
