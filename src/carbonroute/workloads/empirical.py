"""The empirical distribution of measured service times."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import Field, PrivateAttr

from carbonroute.arrays import Array
from carbonroute.errors import Fault, InputError, did_you_mean
from carbonroute.files.limits import SkipRows
from carbonroute.files.text import Digests
from carbonroute.units import MAX_TIME_MS, MS_PER
from carbonroute.workloads.service import Law, score_of

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
    skip_rows
        Number of lines above the header of a CSV file, such as its source and licence.
    """

    law: Literal["empirical"]
    path: str = Field(min_length=1)
    column: str = Field(min_length=1)
    unit: Literal["ms", "s"]
    skip_rows: SkipRows = 0
    #: Ascending float64 ms, as bytes: they compare by value and cannot be changed.
    _times_ms: bytes = PrivateAttr(default=b"")
    #: Sums of the first 0, 1, …, n times and of their squares, float64, shape (2, n + 1).
    _sums: bytes = PrivateAttr(default=b"")

    @property
    def file(self) -> str:
        """The data file that the law needs, as the scenario names it."""
        return self.path

    def read(self, folder: Path, digests: Digests | None = None) -> Self:
        """Return the law with its times.

        Raises InputError if the file cannot be read, has no such column or less than two times, or one of
        them is missing, not a number, not above 0, or more than `MAX_TIME_MS`.
        """
        from carbonroute.files.csv_layout import CsvLayout
        from carbonroute.files.numbers import column_numbers
        from carbonroute.files.tables import column_text, found_text, read_table

        layout = CsvLayout(skip_rows=self.skip_rows)
        table = read_table(folder / self.path, self.path, digests, layout)
        where = f"column {self.column!r}"
        if self.column not in table.columns:
            raise InputError(self.path, [Fault(where, "missing", did_you_mean(self.column, table.columns))])
        text = column_text(table[self.column], self.path)
        times_ms = column_numbers(text).to_numpy() * MS_PER[self.unit]
        expected = f"a time above 0 is expected, up to {MAX_TIME_MS / MS_PER[self.unit]:g} {self.unit}"
        faults = [
            Fault(f"line {row + layout.first_line}, {self.column}", found_text(text[int(row)]), expected)
            for row in np.flatnonzero(~((times_ms > 0) & (times_ms <= MAX_TIME_MS)))  # False for NaN
        ]
        if not faults and len(times_ms) < 2:
            faults = [Fault(where, "holds a single time", "a distribution needs more")]
        if faults:
            raise InputError(self.path, faults)
        return self.with_times(times_ms)

    def with_times(self, times_ms: Array) -> Self:
        """Return the law of some times, ms, in any order; negative ones become 0."""
        law, ordered_ms = self.model_copy(), np.sort(np.maximum(times_ms, 0.0))
        law._times_ms = ordered_ms.tobytes()
        law._sums = np.pad(np.cumsum([ordered_ms, ordered_ms**2], axis=1), ((0, 0), (1, 0))).tobytes()
        return law

    @property
    def times_ms(self) -> Array:
        """The times in ascending order, ms, shape (n,); read-only."""
        if not self._times_ms:
            raise RuntimeError(f"the times of {self.path} are not there yet: use the law that read() returns")
        return np.frombuffer(self._times_ms)

    def at(self, z: Array) -> Array:
        """Return the service time at standard-normal scores, ms, shape of `z`."""
        from carbonroute.special import ndtr

        times_ms = self.times_ms
        rank = np.ceil(ndtr(z) * (len(times_ms) * (1 - _ROUNDING)))
        at_rank: Array = times_ms[np.maximum(rank, 1).astype(np.intp) - 1]
        return at_rank

    def score(self, value: Array) -> Array:
        """Return the standard-normal score of the share of times up to values, shape of `value`."""
        times_ms = self.times_ms
        count = np.searchsorted(times_ms, value, side="right")
        return score_of(count / len(times_ms), (len(times_ms) - count) / len(times_ms))

    def partial(self, value: Array) -> Array:
        """Return E[S·1(S ≤ value)] and E[S²·1(S ≤ value)], shape (2, …) for values of shape (…)."""
        times_ms = self.times_ms
        sums: Array = np.frombuffer(self._sums).reshape(2, -1)
        return sums[:, np.searchsorted(times_ms, value, side="right")] / len(times_ms)

    @property
    def steps(self) -> Array:
        """The times."""
        return self.times_ms

    def average(self) -> float:
        """Return the mean of the times, ms."""
        return float(self.times_ms.mean())
