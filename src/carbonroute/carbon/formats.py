"""What the readers of published formats share: what they know of their labels and columns."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from pydantic import model_validator

from carbonroute.carbon.signal import Accounting
from carbonroute.carbon.source import FileSource
from carbonroute.errors import Fault, InputError, did_you_mean


class PublishedFormat(FileSource):
    """A file source whose format says in which zone its times are, and some of what its numbers count."""

    @property
    def labels(self) -> Accounting:
        """What numbers in this format count; what it leaves open is the scenario's to state."""
        return Accounting()

    @model_validator(mode="after")
    def _as_the_format_says(self) -> PublishedFormat:
        labelled(self.accounting, self.labels)
        if self.time_zone not in (None, "UTC"):
            raise ValueError(
                f"found time_zone {self.time_zone!r}; times in this format are in UTC or have their offset, "
                "leave it out"
            )
        return self


def labelled(stated: Accounting, known: Accounting) -> Accounting:
    """Return the stated labels, completed by the known ones.

    Raises
    ------
    ValueError
        If a stated label contradicts a known one.
    """
    labels = known.model_dump(exclude_none=True)
    for name, label in stated.model_dump(exclude_none=True).items():
        if labels.setdefault(name, label) != label:
            raise ValueError(
                f"found accounting.{name} {label!r}; numbers in this format are {labels[name]!r}"
            )
    return Accounting(**labels)


def joined(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Return the rows of several files as `Readings.table`, without those of no zone."""
    table = pl.concat(part.select("file", "place", "time", "zone", "raw", "value") for part in parts)
    return table.filter(pl.col("zone").is_not_null())


def column_named(table: pl.DataFrame, names: Sequence[str], shown: str) -> pl.Series:
    """Return the one column that has one of these names, in capitals or not.

    Raises
    ------
    InputError
        If there is none, or more than one.
    """
    known = [column for column in table.columns if column.strip().lower() in names]
    if len(known) == 1:
        return table[known[0]]
    if known:
        found = f"there are several columns for one thing: {', '.join(map(repr, known))}"
        raise InputError(shown, [Fault("line 1", found, "keep one of them")])
    remedy = did_you_mean(names[0], table.columns)
    raise InputError(shown, [Fault("line 1", f"there is no column {names[0]!r}", remedy)])
