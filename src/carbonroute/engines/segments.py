"""Segments of a random variable on which a policy's choice is constant.

A segment lies above its lower end and up to its upper end, which it includes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from carbonroute.arrays import Array, Index, Mask
from carbonroute.policies.base import Regions
from carbonroute.workloads import Law, Normal, Tokens

#: Scores between which all but one value in 10¹⁶ lie, and how many of them a search begins with.
FARTHEST, SEARCHED = 8.25, 257
#: How closely a search finds a change, relative to itself.
_CLOSE = 1e-12
#: A value of probability above 0 that is so near to where the choice changes is asked about by itself.
ROUNDING = 1e-9

#: From cells and a value for each, the region that is chosen, shape (m,).
Chosen = Callable[[Index, Array], Regions]


@dataclass(frozen=True)
class Segments:
    """The regions of n cells' requests, in m rows that are sorted by cell and by value.

    Attributes
    ----------
    cell
        Index of the cell, shape (m,).
    region
        Where the requests of the segment go, shape (m,).
    part
        Which part of them does, shape (m,): 1 but where traffic is split.
    low, high
        Ends of the segment, shape (m,).
    """

    cell: Index
    region: Regions
    part: Array
    low: Array
    high: Array

    @classmethod
    def whole(cls, cell: Index, region: Regions, part: Array) -> Segments:
        """Return rows of a single segment per cell."""
        return cls(cell, region, part, *(np.broadcast_to(end, part.shape) for end in (-np.inf, np.inf)))


@dataclass(frozen=True)
class Span:
    """The range of the conditioning variable, for each workload.

    `low`, `high`: where the values begin and end, but for one in 10¹⁶, shape (W,).
    `atoms`: values of which each has a probability above 0, ascending.
    """

    low: Array
    high: Array
    atoms: tuple[Array, ...]

    @classmethod
    def of(cls, laws: Sequence[Law | None]) -> Span:
        """Return the values of some laws; without one, there is only 0."""
        values = grid(laws)
        return cls(values[:, 0], values[:, -1], tuple(_atoms(law) if law else np.zeros(1) for law in laws))

    def atoms_near(self, workload: Index, values: Array) -> Array:
        """Return the atom that is no further from each value than rounding, shape (n, …); NaN where none is.

        `workload`: of the values, shape (n,).
        `values`: shape (n, …).
        """
        near = np.full(values.shape, np.nan)
        for index, known in enumerate(self.atoms):
            rows = np.flatnonzero(workload == index)
            if not (len(known) and len(rows)):
                continue
            place = np.searchsorted(known, values[rows])
            below, above = known[np.maximum(place - 1, 0)], known[np.minimum(place, len(known) - 1)]
            nearest = np.where(values[rows] - below < above - values[rows], below, above)
            close = np.abs(values[rows] - nearest) <= ROUNDING * np.abs(nearest)
            near[rows] = np.where(close, nearest, np.nan)
        return near


def grid(laws: Sequence[Law | None]) -> Array:
    """Return values of each law, ascending, shape (W, G): less than 1.2 % lies between two."""
    even = np.linspace(-1, 1, SEARCHED)
    z = FARTHEST * even * (0.4 + 0.6 * even**2)
    return np.stack([law.at(z) if law else np.zeros_like(z) for law in laws])


def segments(workload: Index, breaks: Array, span: Span, chosen: Chosen) -> Segments:
    """Return the segments between breaks, with neighbours of the same region made one.

    `workload`: of each cell, shape (n,).
    `breaks`: values where the choice may change, shape (n, K), in any order; NaN for none.
    """
    cell, low, high = between(workload, breaks, span)
    region = chosen(cell, inside(low, high, span, workload[cell]))
    first = np.flatnonzero(np.append(True, (np.diff(cell) != 0) | (np.diff(region) != 0)))
    last = np.append(first[1:], len(cell)) - 1
    return Segments(cell[first], region[first], np.ones(len(first)), low[first], high[last])


def between(workload: Index, breaks: Array, span: Span) -> tuple[Index, Array, Array]:
    """Return the segments between breaks: the cell, the lower and the upper end of each, shape (m,)."""
    breaks = _with_atoms(workload, breaks, span)
    lowest, highest = span.low[workload, np.newaxis], span.high[workload, np.newaxis]
    ends = np.sort(np.where((breaks >= lowest) & (breaks < highest), breaks, np.nan), axis=1)
    edge = np.full((len(ends), 1), np.inf)
    low, high = np.hstack([-edge, ends]), np.hstack([ends, edge])
    high[np.isnan(high)] = np.inf
    cell, place = np.nonzero(low < high)  # no NaN is below anything
    return cell, low[cell, place], high[cell, place]


def inside(low: Array, high: Array, span: Span, workload: Index) -> Array:
    """Return a value of each segment: one of probability above 0, where there is one by itself."""
    low, high = np.maximum(low, span.low[workload]), np.minimum(high, span.high[workload])
    return np.where(np.nextafter(low, np.inf) >= high, high, low + (high - low) / 2)


@dataclass(frozen=True)
class _Bracket:
    """Brackets of a change: a cell's values where it has not come yet, and where it has; shape (n,) each."""

    cell: Index
    low: Array
    high: Array
    before: Regions
    after: Regions

    def __getitem__(self, rows: Mask) -> _Bracket:
        return _Bracket(*(column[rows] for column in vars(self).values()))

    def __add__(self, other: _Bracket) -> _Bracket:
        both = zip(vars(self).values(), vars(other).values(), strict=True)
        return _Bracket(*(np.concatenate(columns) for columns in both))

    def halved(self, middle: Array, between: Regions) -> _Bracket:
        """Return the brackets of the first change in each; where there is one more, that one's too."""
        same = between == self.before
        third = ~same & (between != self.after)
        low, high = np.where(same, middle, self.low), np.where(same, self.high, middle)
        first = _Bracket(self.cell, low, high, self.before, np.where(same, self.after, between))
        second = _Bracket(self.cell, middle, self.high, between, self.after)
        return first + second[third]


def searched(workload: Index, values: Array, chosen: Chosen) -> Array:
    """Search for the values at which the choice changes.

    Between two values with different choices every change is found, whatever lies between them. A segment
    between two values with the same choice is missed.

    Parameters
    ----------
    workload
        Of each cell, shape (n,).
    values
        Ascending, with which the search begins, shape (W, G).

    Returns
    -------
    The highest value before each change, to 1e-12 of itself, shape (n, K); NaN for none.
    """
    cells, count = len(workload), values.shape[1]
    steps = values[workload]
    region = chosen(np.repeat(np.arange(cells), count), steps.ravel()).reshape(cells, count)
    cell, place = np.nonzero(np.diff(region, axis=1))
    ends = steps[cell, place], steps[cell, place + 1]
    open_ = _Bracket(cell, *ends, region[cell, place], region[cell, place + 1])
    done = open_[np.zeros(len(cell), dtype=bool)]
    while len(open_.cell):
        middle = open_.low + (open_.high - open_.low) / 2
        halves = open_.halved(middle, chosen(open_.cell, middle))
        narrow = halves.high - halves.low <= _CLOSE * (1 + np.abs(halves.high))
        open_, done = halves[~narrow], done + halves[narrow]
    return _by_cell(done.cell, done.low, cells)


def _atoms(law: Law) -> Array:
    """Return the values of a law that have a probability above 0 each, ascending."""
    if law.steps is not None:
        return np.unique(law.steps)
    if isinstance(law, Tokens):
        prompts = _atoms(law.prompts) if law.prefill_ms_per_token else np.zeros(1)
        return np.unique(law.time_ms(prompts[:, np.newaxis], _atoms(law.answer_tokens)))
    return np.array([law.floor]) if isinstance(law, Normal) else np.empty(0)


def _with_atoms(workload: Index, breaks: Array, span: Span) -> Array:
    """Return the breaks, with two around every atom that is next to one: it is a segment of its own."""
    if not any(len(values) for values in span.atoms):
        return breaks
    near = span.atoms_near(workload, breaks)
    none = np.isnan(near)
    return np.hstack([np.where(none, breaks, np.nextafter(near, -np.inf)), np.where(none, np.nan, near)])


def _by_cell(cell: Index, values: Array, cells: int) -> Array:
    """Return each cell's values as a row, shape (cells, K), NaN behind the last."""
    order = np.argsort(cell, kind="stable")
    cell, values = cell[order], values[order]
    rank = np.arange(len(cell)) - np.searchsorted(cell, cell)
    rows = np.full((cells, int(rank.max(initial=-1)) + 1), np.nan)
    rows[cell, rank] = values
    return rows
