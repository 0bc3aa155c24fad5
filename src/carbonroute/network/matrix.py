"""Round-trip times from a file: a matrix, whose rows are where a request comes from, or a long table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from carbonroute.arrays import Array, Mask
from carbonroute.errors import Fault, InputError, did_you_mean, first_faults
from carbonroute.files.text import Digests
from carbonroute.files.toml import key_text
from carbonroute.network.pairs import (
    RTT_COLUMNS,
    PairColumns,
    has_columns,
    pair_columns,
    pairs_of,
    repeated_pairs,
)

if TYPE_CHECKING:
    import polars as pl

    from carbonroute.files.preview import Preview, Recognition

#: Light needs 134 ms around the Earth and back in vacuum; a minute is a fault of unit.
MAX_RTT_MS = 60_000.0

#: The unit at the end of a column's name, such as ``A (ms)``.
_UNIT = re.compile(r"\s*[(\[]\s*(?:(ms)|s|secs?|seconds|us|µs|ns)\s*[)\]]$", re.I)

#: What to do about a round-trip time that is not there: refuse the file, take that of the way back, or
#: estimate the time by distance.
Missing = Literal["refuse", "reverse", "great-circle"]


def recognise_matrix(preview: Preview) -> Recognition | None:
    """Recognise a table whose first column holds the names of its other columns, which hold numbers."""
    import polars as pl

    from carbonroute.files.preview import MOST, Certainty, Recognition

    first, *rest = preview.names or [""]
    if not rest or first in preview.times or (names := preview.first(first)).dtype != pl.String:
        return None
    rows, columns = set(names.drop_nulls()), set(rest)
    numbers = columns & set(preview.numbers)
    columns = {_UNIT.sub("", name) for name in rest}
    if not numbers:
        return None
    alike = len(rows & columns) >= 0.5 * min(len(rows), len(rest)) and len(numbers) >= MOST * len(rest)
    certainty = Certainty.COLUMNS if alike else Certainty.POSSIBLE
    return Recognition(certainty, "matrix", lists={"row names": (first,), "columns": tuple(rest)})


def read_matrix(  # noqa: PLR0913  a file, its names, and how its gaps are taken
    path: Path,
    file_name: str,
    origins: Sequence[str],
    regions: Sequence[str],
    missing: Missing = "refuse",
    digests: Digests | None = None,
    *,
    columns: PairColumns | None = None,
    usual: PairColumns | None = None,
    stated: Mask | None = None,
    key: str = RTT_COLUMNS,
    skip_rows: int = 0,
) -> Array:
    """Return the round-trip time of each origin and region, ms, shape (O, R).

    Raises InputError if a row, column or pair is missing or stands twice, or a value is not a number from 0
    to `MAX_RTT_MS`; where values may be missing, if one stands twice, a value is there and no such number, or
    none is there.

    Parameters
    ----------
    path, file_name
        The CSV (also ``.gz``) or Parquet file, and its name in messages: a matrix, whose first column names
        the origins, or a long table with a row for each pair.
    origins, regions
        Names of the rows and columns to return, in order.
    missing
        Unless it is ``"refuse"``, a row, column or value that is not there gives NaN, to be filled.
    columns
        Those of a long table; by default they are told by their names.
    usual
        Columns that are taken before, where the table has them.
    stated
        Pairs whose time is stated elsewhere, shape (O, R): the file need not have them.
    key
        That of the scenario which states `columns`.
    skip_rows
        Number of lines above the header of a CSV file; the scenario's key for it is `key`, but for its end.
    """
    from carbonroute.files.csv_layout import CsvLayout
    from carbonroute.files.numbers import column_numbers
    from carbonroute.files.tables import found_text, read_table

    layout = CsvLayout(skip_rows=skip_rows, skip_key=f"{key.removesuffix('columns')}skip_rows =")
    table = read_table(path, file_name, digests, layout)
    if usual is not None and columns is None and has_columns(table, usual):
        columns = usual
    columns = columns or pair_columns(table, regions, file_name, key)
    optional = missing != "refuse"
    elsewhere = np.zeros((len(origins), len(regions)), dtype=bool) if stated is None else stated
    find = partial(_of_pairs, columns=columns, key=key) if columns is not None else _of_matrix
    values = find(
        _Table(table, file_name, layout.first_line), origins, regions, None if optional else ~elsewhere
    )
    rtt_ms = np.stack([column_numbers(text).to_numpy() for text in values.texts], axis=1)
    given = np.stack([(text.str.strip_chars() != "").fill_null(value=False) for text in values.texts], axis=1)
    unfit = ~((rtt_ms >= 0) & (rtt_ms <= MAX_RTT_MS)) & ~elsewhere  # True for NaN
    if optional:
        unfit &= given
    right = f"milliseconds from 0 to {MAX_RTT_MS:g} are expected"
    faults = first_faults(
        Fault(
            f"{values.place(int(o), int(r))}{origins[o]} to {regions[r]}{_diagonal(origins[o], regions[r])}",
            found_text(values.texts[r][int(o)]),
            right if given[o, r] or key != RTT_COLUMNS else f"{right}; or {filling(origins[o], regions[r])}",
        )
        for o, r in np.argwhere(unfit)
    )
    if faults:
        raise InputError(file_name, faults)
    nothing = np.isnan(rtt_ms).all() and not elsewhere.any()
    if nothing and missing == "great-circle":  # the wrong file, or names of another kind: say what is missing
        return read_matrix(path, file_name, origins, regions, columns=columns, key=key, skip_rows=skip_rows)
    return rtt_ms


def without_unit(table: pl.DataFrame, file_name: str, regions: Collection[str] = ()) -> pl.DataFrame:
    """Return a matrix whose columns are called as their places, where all state the unit too: ``A (ms)``.

    `regions`: names that stay as they are.
    Raises InputError if columns state another unit.
    """
    columns = table.columns[1:]
    units = [None if name in regions else _UNIT.search(name) for name in columns]
    if not columns or not all(units):
        return table
    remedy = "milliseconds are expected: convert them"
    faults = [
        Fault(f"column {name!r}", "states another unit", remedy)
        for name, unit in zip(columns, units, strict=True)
        if unit and unit[1] is None
    ]
    if faults:
        raise InputError(file_name, faults)
    names = {name: _UNIT.sub("", name) for name in columns}
    return table.rename(names) if len({table.columns[0], *names.values()}) == len(table.columns) else table


def filling(origin: str, region: str) -> str:
    """Return how a scenario may fill a pair without a time: a place has no way back from itself."""
    rules = "missing = 'great-circle'" if origin == region else "missing = 'reverse' or 'great-circle'"
    return f"state network.rtt_ms.{key_text(origin)}.{key_text(region)}, or {rules}"


def _diagonal(origin: str, region: str) -> str:
    return " (the diagonal)" if origin == region else ""


_WAY_BACK = "add its rows, or state missing = 'reverse', by which a pair has the time of the way back"


@dataclass(frozen=True)
class _Table:
    """A table, its file's name in messages, and the line of its first row."""

    table: pl.DataFrame
    name: str
    first_line: int


@dataclass(frozen=True)
class _Values:
    """Texts of a file, one series of O for each region, and where those of an origin and region stand."""

    texts: list[pl.Series]
    place: Callable[[int, int], str]


def _of_matrix(
    file: _Table,
    origins: Sequence[str],
    regions: Sequence[str],
    needed: Mask | None,
) -> _Values:
    """Return the values of a matrix; `needed` says which must be there, None that none must."""
    import polars as pl

    from carbonroute.files.tables import column_text

    table = without_unit(file.table, file.name, regions)
    names, columns = column_text(table.to_series(0), file.name).to_list(), table.columns[1:]
    every: Mask = np.zeros((len(origins), len(regions)), dtype=bool) if needed is None else needed
    misplaced = (
        *_misplaced("row", origins, names, np.any(every, axis=1)),
        *_misplaced("column", regions, columns, np.any(every, axis=0)),
    )
    if misplaced:
        raise InputError(file.name, misplaced)
    row_of = {name: row for row, name in enumerate(names)}
    rows = pl.Series([row_of.get(origin) for origin in origins], dtype=pl.UInt32)
    nothing = pl.repeat(None, len(names), dtype=pl.String, eager=True)
    known = set(columns)
    texts = [
        (column_text(table[region], file.name) if region in known else nothing).gather(rows)
        for region in regions
    ]
    return _Values(texts, lambda o, _r: f"line {row_of[origins[o]] + file.first_line}, ")


def _of_pairs(
    file: _Table,
    origins: Sequence[str],
    regions: Sequence[str],
    needed: Mask | None,
    columns: PairColumns,
    key: str,
) -> _Values:
    """Return the values of a long table; `needed` says which names must be there, None that none must."""
    import polars as pl

    all_pairs = pairs_of(file.table, columns, file.name, file.first_line, key)
    pairs = all_pairs.filter(pl.col("from").is_in(origins) & pl.col("to").is_in(regions))
    twice = first_faults(
        Fault(
            f"lines {', '.join(map(str, lines))}", f"{start} to {end} stands {len(lines)} times", "keep one"
        )
        for start, end, lines in repeated_pairs(pairs)
    )
    every: Mask = np.zeros((len(origins), len(regions)), dtype=bool) if needed is None else needed
    ends = (
        (columns.from_, origins, all_pairs["from"], all_pairs["to"], np.any(every, axis=1)),
        (columns.to, regions, all_pairs["to"], all_pairs["from"], np.any(every, axis=0)),
    )
    absent = [
        fault
        for name, expected, names, others, must in ends
        for fault in _misplaced(
            f"column {name!r}:", expected, names.unique(maintain_order=True), must, set(others)
        )
    ]
    if twice or absent:
        raise InputError(file.name, (*absent, *twice))
    place = {(start, end): line for start, end, line in pairs.select("from", "to", "line").rows()}
    text = {(start, end): ms for start, end, ms in pairs.select("from", "to", "ms").rows()}
    texts = [
        pl.Series([text.get((origin, region)) for origin in origins], dtype=pl.String) for region in regions
    ]

    def at(origin: int, region: int) -> str:
        line = place.get((origins[origin], regions[region]))
        return "" if line is None else f"line {line}, "

    return _Values(texts, at)


def _misplaced(
    what: str,
    expected: Sequence[str],
    names: Iterable[str | None],
    needed: Mask,
    elsewhere: Collection[str | None] = (),
) -> tuple[Fault, ...]:
    """Return a fault for each name that stands twice among a table's names, or not although it is needed.

    `elsewhere`: names at the other end of pairs, from which there is a way back.
    """
    counts = Counter(names)
    known = [name for name in counts if name]
    return first_faults(
        Fault(f"{what} {name!r}", f"stands {counts[name]} times", "keep one")
        if counts[name]
        else Fault(f"{what} {name!r}", "missing, and stands at the other end", _WAY_BACK)
        if name in elsewhere
        else Fault(f"{what} {name!r}", "missing", did_you_mean(name, known))
        for name, must in zip(expected, needed.tolist(), strict=True)
        if counts[name] > 1 or (must and not counts[name])
    )
