"""Laws of network jitter, driven by a standard-normal score like the laws of service time.

All have `by_pair`, whether jitter depends on where a request comes from and goes to, and
`at(z, origin, region)`, the jitter in ms: `origin` and `region` are indices that broadcast with `z`. The way
back is `score(jitter_ms, origin, region)`: P(J ≤ jitter) = Φ(score), ½ at a jitter of 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from carbonroute.arrays import Array, Index
from carbonroute.errors import Fault, InputError, first_faults
from carbonroute.files.limits import SkipRows
from carbonroute.files.text import Digests
from carbonroute.network.matrix import read_matrix
from carbonroute.network.pairs import PairColumns
from carbonroute.spec import Spec

#: Milliseconds ÷ a smaller std overflow: it is no jitter.
_LEAST_STD_MS = 1e-200
#: A 90th percentile of so many medians is milliseconds over seconds.
MAX_RATIO = 1000.0


class HalfNormal(Spec):
    """Jitter max(0, N(0, std²)), ms: none for one half of the requests, half a normal for the other.

    Attributes
    ----------
    std_ms
        Standard deviation of the normal before it is cut, ms.
    """

    by_pair: ClassVar[bool] = False

    std_ms: float = Field(ge=0)

    def at(self, z: Array, _origin: Index | None = None, _region: Index | None = None) -> Array:
        """Return the jitter at standard-normal scores, ms, shape of `z`; it is the same for all pairs."""
        return np.maximum(0.0, self.std_ms * z)

    def score(self, jitter_ms: Array, _origin: Index | None = None, _region: Index | None = None) -> Array:
        """Return the standard-normal score of jitters, shape of `jitter_ms`: −∞ below 0."""
        if self.none:
            return np.where(jitter_ms < 0, -np.inf, np.inf)
        return np.where(jitter_ms < 0, -np.inf, jitter_ms / self.std_ms)

    def moments(self, _origin: Index | None = None, _region: Index | None = None) -> tuple[Array, Array]:
        """Return E[J] and E[J²], ms and ms²."""
        # Formula jitter-moments.
        return np.array(self.std_ms / math.sqrt(2 * math.pi)), np.array(self.std_ms**2 / 2)

    @property
    def none(self) -> bool:
        """Whether there is no jitter at all."""
        return self.std_ms < _LEAST_STD_MS


@dataclass(frozen=True)
class PairLognormal:
    """Jitter max(0, p50·(e^(σz) − 1)), ms: the time of a lognormal round trip beyond its median.

    Half of the requests meet the median, as if none were faster; the others meet the lognormal's upper half.
    Median and 90th percentile of round trip and jitter are therefore exactly the stated ones.

    `p50_ms`: median round trip, shape (O, R).
    `sigma`: ln(p90 / p50) / Φ⁻¹(0.9), shape (O, R).
    """

    by_pair: ClassVar[bool] = True

    p50_ms: Array
    sigma: Array

    def at(self, z: Array, origin: Index, region: Index) -> Array:
        """Return the jitter at standard-normal scores, ms, for indices of origins and regions."""
        pair = origin, region
        excess_ms: Array = np.maximum(0.0, self.p50_ms[pair] * np.expm1(self.sigma[pair] * z))
        return excess_ms

    def score(self, jitter_ms: Array, origin: Index, region: Index) -> Array:
        """Return the standard-normal score of jitters, for indices of origins and regions: −∞ below 0."""
        p50_ms, sigma = self.p50_ms[origin, region], self.sigma[origin, region]
        none = p50_ms * sigma == 0
        ratio = np.maximum(jitter_ms, 0.0) / np.where(none, 1.0, p50_ms)
        scores = np.where(none, np.inf, np.log1p(ratio) / np.where(none, 1.0, sigma))
        return np.where(jitter_ms < 0, -np.inf, scores)

    def moments(self, origin: Index, region: Index) -> tuple[Array, Array]:
        """Return E[J] and E[J²], ms and ms², for indices of origins and regions.

        Over Z > 0, the integral of e^(kσZ) is m(k) = e^(k²σ²/2)·Φ(kσ).
        """
        from carbonroute.special import ndtr

        p50_ms, sigma = self.p50_ms[origin, region], self.sigma[origin, region]
        once, twice = (np.exp((k * sigma) ** 2 / 2) * ndtr(k * sigma) for k in (1, 2))
        # Formula jitter-moments.
        return p50_ms * (once - 0.5), p50_ms**2 * (twice - 2 * once + 0.5)

    @property
    def none(self) -> bool:
        """Whether there is no jitter at all."""
        return not (self.p50_ms * self.sigma).any()


class LognormalJitter(Spec):
    """Jitter as measured: lognormal round trips with the matrix of medians and one of 90th percentiles.

    Attributes
    ----------
    p90_file
        Matrix or long table like that of the round-trip times, with the 90th percentiles in ms; relative to
        the scenario file.
    p90_columns
        Columns of a long table; by default the network's `rtt_columns` where it has them, and else told by
        their names.
    p90_skip_rows
        Number of lines above the header of a CSV file.
    """

    law: Literal["lognormal"]
    p90_file: str = Field(min_length=1)
    p90_columns: PairColumns | None = None
    p90_skip_rows: SkipRows = 0

    def fit(
        self,
        folder: Path,
        origins: Sequence[str],
        regions: Sequence[str],
        p50_ms: Array,
        digests: Digests | None = None,
        usual: PairColumns | None = None,
    ) -> PairLognormal:
        """Return the jitter of each pair.

        Raises InputError if the file is no such matrix, or a 90th percentile is below its median, or
        `MAX_RATIO` times as large or more: where the median is 0, it must be 0.

        Parameters
        ----------
        folder
            Folder to which `p90_file` is relative.
        origins, regions
            Names of rows and columns, in the order of `p50_ms`.
        p50_ms
            Median round trips, shape (O, R).
        usual
            Columns of the table of round-trip times, where they are stated.
        """
        p90_ms = read_matrix(
            folder / self.p90_file,
            self.p90_file,
            origins,
            regions,
            digests=digests,
            columns=self.p90_columns,
            usual=usual,
            key="network.jitter.p90_columns",
            skip_rows=self.p90_skip_rows,
        )
        faults = first_faults(
            Fault(
                f"{origins[o]} to {regions[r]}",
                f"found a 90th percentile of {p90_ms[o, r]:g} ms, and a median of {p50_ms[o, r]:g} ms",
                f"as much is expected, or more, below {MAX_RATIO:g} times: are both in milliseconds?",
            )
            for o, r in np.argwhere((p90_ms < p50_ms) | (p90_ms >= MAX_RATIO * p50_ms) & (p90_ms > 0))
        )
        if faults:
            raise InputError(self.p90_file, faults)
        ratio = np.divide(p90_ms, p50_ms, out=np.ones_like(p50_ms), where=p50_ms > 0)
        return PairLognormal(p50_ms, np.log(ratio) / NormalDist().inv_cdf(0.9))
