"""Any number of times in ascending order, in constant memory: on the disk where they are many."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile, gettempdir
from typing import Self
from weakref import finalize

import numpy as np

from carbonroute.arrays import Integers
from carbonroute.errors import RunFolderError

#: Values that are held in memory; beyond, they are in a temporary file.
HELD = 2**21
_BYTES = np.dtype(np.int64).itemsize


@dataclass
class _Run:
    """Ascending values, one after the other in the file: from which one to which (exclusive)."""

    begin: int
    end: int
    last: int


class Ordered:
    """Integers that come in any order, to be read in ascending order as often as wanted.

    A log that is in order is one run, and is read as it was written; other runs are merged.

    `held`: how many values memory is taken for.
    `low`, `high`: the least and the greatest of them; of none, 0.
    """

    def __init__(self, held: int = HELD) -> None:
        self.count = 0
        self.low = 0
        self.high = 0
        self._held = held
        self._runs: list[_Run] = []
        self._file = SpooledTemporaryFile(max_size=held * _BYTES)  # noqa: SIM115  closed with this object
        finalize(self, self._file.close)

    @classmethod
    def of(cls, values: Integers) -> Self:
        """Return values that are all there."""
        ordered = cls()
        ordered.add(values)
        return ordered

    def add(self, values: Integers) -> None:
        """Take values in, in any order."""
        if not len(values):
            return
        values = np.sort(values)
        first, last = int(values[0]), int(values[-1])
        self.low = min(self.low, first) if self.count else first
        self.high = max(self.high, last) if self.count else last
        end = self.count + len(values)
        if self._runs and first >= self._runs[-1].last:
            self._runs[-1] = _Run(self._runs[-1].begin, end, last)
        else:
            self._runs.append(_Run(self.count, end, last))
        try:
            self._file.seek(self.count * _BYTES)
            self._file.write(values.tobytes())
        except OSError as error:
            problem = f"{gettempdir()}: cannot hold the times of a log ({error.strerror or error})"
            raise RunFolderError(f"{problem}; make room, or name another folder in TMPDIR") from error
        self.count = end

    def ascending(self) -> Iterator[Integers]:
        """Yield all values in ascending order, in batches."""
        size = max(self._held // (8 * max(len(self._runs), 1)), 2**6)
        held = [self._read(run.begin, min(run.begin + size, run.end)) for run in self._runs]
        place = [run.begin + len(values) for run, values in zip(self._runs, held, strict=True)]
        while held:
            more = [
                values[-1] for values, at, run in zip(held, place, self._runs, strict=True) if at < run.end
            ]
            until = min(more, default=self.high)
            cuts = [int(np.searchsorted(values, until, side="right")) for values in held]
            ready = [values[:cut] for values, cut in zip(held, cuts, strict=True) if cut]
            yield np.sort(np.concatenate(ready), kind="stable") if len(ready) > 1 else ready[0]
            held = [values[cut:] for values, cut in zip(held, cuts, strict=True)]
            for index, run in enumerate(self._runs):
                if not len(held[index]) and place[index] < run.end:
                    held[index] = self._read(place[index], min(place[index] + size, run.end))
                    place[index] += len(held[index])
            if not more:
                return

    def _read(self, begin: int, end: int) -> Integers:
        self._file.seek(begin * _BYTES)
        return np.frombuffer(self._file.read((end - begin) * _BYTES), dtype=np.int64)
