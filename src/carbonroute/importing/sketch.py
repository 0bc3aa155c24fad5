"""Quantiles of any number of values in constant memory, whatever their order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from carbonroute.arrays import Array, Integers

#: Bits of a float64 that are rounded away: 12 bits of the mantissa are kept, a relative error of 1.2e-4.
_CUT = 40
#: Keys between the least and the greatest value, up to which an array of counts is made: some 40 powers of 2.
_DENSE = 40 * 4096


class Sketch:
    """Counts of values, each rounded to 13 significant bits: whole numbers up to 8,192 are exact.

    The rounding is of the number's own bits, so that the counts, and all that is worked out from them, do not
    depend on the order of the values.

    >>> sketch = Sketch()
    >>> sketch.add(np.arange(1.0, 101.0))
    >>> sketch.count, sketch.quantile(0.5), sketch.quantile(0.95)
    (100, 50.0, 95.0)
    """

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add(self, values: Array) -> None:
        """Count values ≥ 0, shape (n,)."""
        keys = keys_of(values)
        if not len(keys):
            return
        low = int(keys.min())
        if int(keys.max()) - low < _DENSE:  # an array of all keys between is faster than sorting
            counts = np.bincount(keys - low)
            present = np.flatnonzero(counts)
            keys, counts = present + low, counts[present]
        else:
            keys, counts = np.unique(keys, return_counts=True)
        all_counts = self._counts
        for key, count in zip(keys.tolist(), counts.tolist(), strict=True):
            all_counts[key] += count

    def merge(self, other: Sketch) -> None:
        """Add the counts of another sketch."""
        self._counts.update(other._counts)

    @property
    def count(self) -> int:
        """How many values were counted."""
        return self._counts.total()

    def quantile(self, p: float) -> float:
        """Return the ⌈p·n⌉-th of n values in ascending order."""
        return float(self.quantiles(np.array([p]))[0])

    def quantiles(self, p: Array | Sequence[float]) -> Array:
        """Return quantiles at probabilities, shape of `p`; NaN without values."""
        if not self._counts:
            return np.full(np.shape(p), np.nan)
        keys = np.array(sorted(self._counts), dtype=np.int64)
        until = np.cumsum([self._counts[key] for key in keys.tolist()])
        rank = np.maximum(np.ceil(np.asarray(p) * until[-1] - 1e-9), 1)
        values: Array = (keys << _CUT).view(np.float64)[np.searchsorted(until, rank)]
        return values

    def moments(self) -> tuple[float, float]:
        """Return mean and standard deviation; NaN without values."""
        if not self._counts:
            return float("nan"), float("nan")
        keys = np.array(sorted(self._counts), dtype=np.int64)
        weights = np.array([self._counts[key] for key in keys.tolist()], dtype=np.float64)
        values = (keys << _CUT).view(np.float64)
        mean = np.average(values, weights=weights)
        return float(mean), float(np.sqrt(np.average((values - mean) ** 2, weights=weights)))


def keys_of(values: Array) -> Integers:
    """Return values ≥ 0 rounded to 13 significant bits, as whole numbers in the same order."""
    bits = np.ascontiguousarray(values, dtype=np.float64).view(np.int64)
    keys: Integers = (bits + (1 << (_CUT - 1))) >> _CUT
    return keys
