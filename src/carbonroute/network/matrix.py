"""Round-trip times from a CSV matrix: rows are where a request comes from, columns where it goes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from carbonroute.errors import Fault, InputError, did_you_mean, first_faults
from carbonroute.tablefile import FIRST_LINE, column_numbers, column_text, found_text, read_table

#: Light needs 134 ms around the Earth and back in vacuum; a minute is a fault of unit.
MAX_RTT_MS = 60_000.0


def read_matrix(
    path: Path, shown: str, origins: Sequence[str], regions: Sequence[str]
) -> NDArray[np.float64]:
    """Return the round-trip time of each origin and region, ms, shape (O, R).

    Parameters
    ----------
    path, shown
        The CSV (also ``.gz``) or Parquet file, and what it is called in messages. Its first column names
        the origins.
    origins, regions
        Names of the rows and columns to return, in order.

    Raises
    ------
    InputError
        If a row or column is missing or stands twice, or a value is not a number from 0 to `MAX_RTT_MS`.
    """
    table = read_table(path, shown)
    names = column_text(table.to_series(0), shown).to_list()
    misplaced = (*_misplaced("row", origins, names), *_misplaced("column", regions, table.columns[1:]))
    if misplaced:
        raise InputError(shown, misplaced)
    row_of = {name: row for row, name in enumerate(names)}
    rows = [row_of[origin] for origin in origins]
    found = [column_text(table[region], shown).gather(rows) for region in regions]
    rtt_ms = np.stack([column_numbers(column).to_numpy() for column in found], axis=1)
    faults = [
        Fault(
            f"line {rows[o] + FIRST_LINE}, {origins[o]} to {regions[r]}",
            found_text(found[r][int(o)]),
            f"milliseconds from 0 to {MAX_RTT_MS:g} are expected",
        )
        for o, r in np.argwhere(~((rtt_ms >= 0) & (rtt_ms <= MAX_RTT_MS)))  # False for NaN
    ]
    if faults:
        raise InputError(shown, faults)
    return rtt_ms


def _misplaced(what: str, wanted: Sequence[str], names: Sequence[str | None]) -> tuple[Fault, ...]:
    """Return a fault for each wanted name that does not stand exactly once among the names of a table."""
    counts = Counter(names)
    known = [name for name in counts if name]
    return first_faults(
        Fault(f"{what} {name!r}", f"stands {counts[name]} times", "keep one")
        if counts[name]
        else Fault(f"{what} {name!r}", "missing", did_you_mean(name, known))
        for name in wanted
        if counts[name] != 1
    )
