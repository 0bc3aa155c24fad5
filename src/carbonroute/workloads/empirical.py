"""Measured service times, taken as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import Field, PrivateAttr

from carbonroute.errors import Fault, InputError, did_you_mean
from carbonroute.tablefile import FIRST_LINE, column_numbers, column_text, found_text, read_table
from carbonroute.units import MAX_TIME_MS, MS_PER
from carbonroute.workloads.service import Array, Law

#: A probability so close below a multiple of 1/n counts as that multiple: rounding shall not add a rank.
_ROUNDING = 1e-12


class Empirical(Law):
    """The distribution of measured service times: each of n times has probability 1/n.

    At probability p it is the ⌈p·n⌉-th of them in ascending order, so that nothing is ever drawn that was not
    measured; a tail beyond the longest time does not exist.

    Attributes
    ----------
    path
        CSV (also ``.gz``) or Parquet file, relative to the scenario file.
    column
        Where the times stand.
    unit
        Of the times.
    """

    law: Literal["empirical"]
    path: str = Field(min_length=1)
    column: str = Field(min_length=1)
    unit: Literal["ms", "s"]
    #: Ascending float64 ms, as bytes: they compare by value and cannot be changed.
    _times_ms: bytes = PrivateAttr(default=b"")

    @property
    def file(self) -> str:
        """The data file that the law needs, as the scenario names it."""
        return self.path

    def read(self, folder: Path) -> Self:
        """Return the law with its times.

        Raises
        ------
        InputError
            If the file cannot be read, has no such column or less than two times, or one of them is missing,
            not a number, not above 0, or more than `MAX_TIME_MS`.
        """
        table = read_table(folder / self.path, self.path)
        where = f"column {self.column!r}"
        if self.column not in table.columns:
            raise InputError(self.path, [Fault(where, "missing", did_you_mean(self.column, table.columns))])
        text = column_text(table[self.column], self.path)
        times_ms = column_numbers(text).to_numpy() * MS_PER[self.unit]
        expected = f"a time above 0 is expected, up to {MAX_TIME_MS / MS_PER[self.unit]:g} {self.unit}"
        faults = [
            Fault(f"line {row + FIRST_LINE}, {self.column}", found_text(text[int(row)]), expected)
            for row in np.flatnonzero(~((times_ms > 0) & (times_ms <= MAX_TIME_MS)))  # False for NaN
        ]
        if not faults and len(times_ms) < 2:
            faults = [Fault(where, "holds a single time", "a distribution needs more")]
        if faults:
            raise InputError(self.path, faults)
        law = self.model_copy()
        law._times_ms = np.sort(times_ms).tobytes()
        return law

    @property
    def times_ms(self) -> Array:
        """The times in ascending order, ms, shape (n,); read-only."""
        if not self._times_ms:
            raise RuntimeError(f"the times of {self.path} are not there yet: use the law that read() returns")
        return np.frombuffer(self._times_ms)

    def at(self, z: Array) -> Array:
        """Return the service time at standard-normal scores, ms, shape of `z`."""
        from scipy.special import ndtr

        times_ms = self.times_ms
        rank = np.ceil(ndtr(z) * (len(times_ms) * (1 - _ROUNDING)))
        found: Array = times_ms[np.maximum(rank, 1).astype(np.intp) - 1]
        return found

    def average(self) -> float:
        """Return the mean of the times, ms."""
        return float(self.times_ms.mean())
