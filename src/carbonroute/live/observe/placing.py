"""From series with labels to arrays by origin, workload and region; what has no series is unknown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from carbonroute.arrays import Array, Mask
from carbonroute.live.observe.prometheus import Sample

#: No count, time, energy or number of servers is above it: such values are of another unit, or none at all.
_MOST = 1e15
#: Label values that are named in an alarm.
_MOST_NAMED = 3


@dataclass(frozen=True)
class LabelAxis:
    """One axis of an array: the label that series name it by, and the label's values in order.

    `label`: none where series have none: they are of all members together, and the axis has one member.
    `values`: the label's value for each member.
    """

    label: str | None
    values: Sequence[str]

    def __len__(self) -> int:
        return len(self.values) if self.label else 1

    def whole(self) -> LabelAxis:
        """Return the axis of series that do not tell its members apart."""
        return LabelAxis(None, self.values)

    def place(self, labels: Mapping[str, str]) -> int | None:
        """Return the place of a series; None where its label has another value."""
        if self.label is None:
            return 0
        value = labels.get(self.label, "")
        return self.values.index(value) if value in self.values else None


@dataclass
class Placed:
    """Values by some axes.

    Attributes
    ----------
    values
        Sums of the series of each place, the shape of the axes; NaN where there is none.
    summed
        Whether several series have the same place, the shape of the axes.
    strangers
        Labels whose value is that of no member, as text.
    """

    values: Array
    summed: Mask
    strangers: set[str] = field(default_factory=set)

    @property
    def problem(self) -> str:
        """The values of no member, in words; empty where there are none."""
        named = sorted(self.strangers)[:_MOST_NAMED]
        more = len(self.strangers) - len(named)
        return ", ".join(named) + (f" and {more} more" if more else "")


def placed(samples: Sequence[Sample], axes: Sequence[LabelAxis]) -> Placed:
    """Return the values of series by axes; those that no quantity here can have are left out."""
    shape = [len(axis) for axis in axes]
    result = Placed(np.full(shape, np.nan), np.zeros(shape, dtype=bool))
    for sample in samples:
        place = [axis.place(sample.labels) for axis in axes]
        for axis, index in zip(axes, place, strict=True):
            if index is None:
                result.strangers.add(f'{axis.label}="{sample.labels.get(axis.label or "", "")}"')
        if None in place or not 0 <= sample.value <= _MOST:
            continue
        at = tuple(index for index in place if index is not None)
        before = result.values[at]
        result.summed[at] = not np.isnan(before)
        result.values[at] = sample.value if np.isnan(before) else before + sample.value
    return result


def split_cells(counts: Array, share: Array) -> Array:
    """Return counts of every cell and region, shape (O, W, R).

    `counts`: shape (O or 1, W or 1, R): 1 where series do not tell them apart; NaN where unknown.
    `share`: expected part of each cell in the requests, shape (O, W).
    """
    axes = tuple(axis for axis in (0, 1) if counts.shape[axis] == 1)
    whole = share.sum(axis=axes, keepdims=True)
    even = 1 / np.prod([share.shape[axis] for axis in axes])
    part = np.divide(share, whole, out=np.full(share.shape, even), where=whole > 0)
    cells: Array = counts * part[:, :, np.newaxis]
    return cells
