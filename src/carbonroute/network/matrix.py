"""Round-trip times from a CSV matrix: rows are where a request comes from, columns where it goes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from carbonroute.arrays import Array
from carbonroute.errors import Fault, InputError, did_you_mean, first_faults
from carbonroute.files.text import Digests

if TYPE_CHECKING:
    from carbonroute.files.preview import Preview, Recognition

#: Light needs 134 ms around the Earth and back in vacuum; a minute is a fault of unit.
MAX_RTT_MS = 60_000.0

#: What to do about a round-trip time that is not there: refuse the matrix, or estimate the time by distance.
Missing = Literal["refuse", "great-circle"]


def recognise_matrix(preview: Preview) -> Recognition | None:
    """Recognise a table whose first column holds the names of its other columns, which hold numbers."""
    import polars as pl

    from carbonroute.files.preview import MOST, Certainty, Recognition

    first, *rest = preview.head.columns or [""]
    if not rest or preview.head[first].dtype != pl.String or first in preview.times:
        return None
    rows, columns = set(preview.head[first].drop_nulls()), set(rest)
    numbers = columns & set(preview.numbers)
    if not numbers:
        return None
    alike = len(rows & columns) >= 0.5 * min(len(rows), len(rest)) and len(numbers) >= MOST * len(rest)
    certainty = Certainty.COLUMNS if alike else Certainty.POSSIBLE
    return Recognition(certainty, "matrix", lists={"row names": (first,), "columns": tuple(rest)})


def read_matrix(
    path: Path,
    file_name: str,
    origins: Sequence[str],
    regions: Sequence[str],
    missing: Missing = "refuse",
    digests: Digests | None = None,
) -> Array:
    """Return the round-trip time of each origin and region, ms, shape (O, R).

    Parameters
    ----------
    path, file_name
        The CSV (also ``.gz``) or Parquet file, and its name in messages. Its first column names
        the origins.
    origins, regions
        Names of the rows and columns to return, in order.
    missing
        With ``"great-circle"``, a row, column or value that is not there gives NaN, to be estimated.
    digests
        Where the digest of the file is noted.

    Raises
    ------
    InputError
        If a row or column is missing or stands twice, or a value is not a number from 0 to `MAX_RTT_MS`; with
        ``"great-circle"``, if one stands twice, a value is there and no such number, or none is there.
    """
    import polars as pl

    from carbonroute.files.tables import FIRST_LINE, column_numbers, column_text, found_text, read_table

    table = read_table(path, file_name, digests)
    names, columns = column_text(table.to_series(0), file_name).to_list(), table.columns[1:]
    optional = missing == "great-circle"
    misplaced = (
        *_misplaced("row", origins, names, optional),
        *_misplaced("column", regions, columns, optional),
    )
    if misplaced:
        raise InputError(file_name, misplaced)
    row_of = {name: row for row, name in enumerate(names)}
    rows = pl.Series([row_of.get(origin) for origin in origins], dtype=pl.UInt32)
    nothing = pl.repeat(None, len(names), dtype=pl.String, eager=True)
    known = set(columns)
    texts = [
        (column_text(table[region], file_name) if region in known else nothing).gather(rows)
        for region in regions
    ]
    rtt_ms = np.stack([column_numbers(column).to_numpy() for column in texts], axis=1)
    unfit = ~((rtt_ms >= 0) & (rtt_ms <= MAX_RTT_MS))  # True for NaN
    if optional:
        unfit &= np.stack(
            [(column.str.strip_chars() != "").fill_null(False).to_numpy() for column in texts], 1
        )
    faults = first_faults(
        Fault(
            f"line {row_of[origins[o]] + FIRST_LINE}, {origins[o]} to {regions[r]}",
            found_text(texts[r][int(o)]),
            f"milliseconds from 0 to {MAX_RTT_MS:g} are expected",
        )
        for o, r in np.argwhere(unfit)
    )
    if faults:
        raise InputError(file_name, faults)
    if np.isnan(rtt_ms).all():  # the wrong file, or names of another kind: say what is missing
        return read_matrix(path, file_name, origins, regions)
    return rtt_ms


def _misplaced(
    what: str, expected: Sequence[str], names: Sequence[str | None], optional: bool
) -> tuple[Fault, ...]:
    """Return a fault for each wanted name that stands twice among a table's names, or not without need."""
    counts = Counter(names)
    known = [name for name in counts if name]
    return first_faults(
        Fault(f"{what} {name!r}", f"stands {counts[name]} times", "keep one")
        if counts[name]
        else Fault(f"{what} {name!r}", "missing", did_you_mean(name, known))
        for name in expected
        if counts[name] > 1 or not (counts[name] or optional)
    )
