"""Round-trip times from a long table: a row for each pair of names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from carbonroute.errors import Fault, InputError
from carbonroute.spec import Spec

if TYPE_CHECKING:
    import polars as pl

    from carbonroute.files.preview import Preview, Recognition

_FROM = re.compile(r"(^|[_\s-])(from|src|source|origin|client)([_\s-]|$)", re.I)
_TO = re.compile(r"(^|[_\s-])(to|dst|dest|destination|target|region|server)([_\s-]|$)", re.I)
_TIME = re.compile(r"rtt|latency|ping|round|(^|[_\s(])ms\)?$", re.I)
#: Names that state another unit than ms.
_OTHER_UNIT = re.compile(r"(^|[_\s(\[])(s|secs?|seconds|us|µs|ns)[)\]]?$", re.I)
#: Share of a column's entries that must be numbers.
_MOST = 0.8
#: A table with more of them is a matrix.
_MOST_COLUMNS = 30
#: The key that states the columns of the file of round-trip times.
RTT_COLUMNS = "network.rtt_columns"


class PairColumns(Spec):
    """The columns of a long table.

    Attributes
    ----------
    from_
        Holds where a request comes from; ``from`` in the file.
    to
        Holds where it goes.
    ms
        Holds the round-trip time, ms.
    """

    from_: str = Field(alias="from")
    to: str
    ms: str


def pair_columns(
    table: pl.DataFrame, regions: Sequence[str], file_name: str, key: str = RTT_COLUMNS
) -> PairColumns | None:
    """Return the columns of a long table; None for a matrix: one of its columns is called like a region.

    `regions`: names that columns of a matrix have.
    `key`: that of the scenario which states the columns.
    Raises InputError if it is a long table, and several of its columns, or one of another unit, may hold the
    times.
    """
    if len(table.columns) > _MOST_COLUMNS or set(table.columns[1:]) & set(regions):
        return None
    numbers = [name for name in table.columns if _share_of_numbers(table[name]) >= _MOST]
    words = [name for name in table.columns if name not in numbers]
    from_ = next((name for name in words if _FROM.search(name)), None)
    to = next((name for name in words if _TO.search(name) and name != from_), None)
    rest = [name for name in table.columns if name not in (from_, to)]
    times = [name for name in rest if _TIME.search(name)] or numbers
    if from_ is None or to is None:
        if len(words) != 2 or len(numbers) != 1:
            return None
        others = [name for name in words if name not in (from_, to)]
        from_, to, times = from_ or others.pop(0), to or others.pop(), numbers
    if not times:
        return None
    if len(times) != 1:
        listed = ", ".join(map(repr, times))
        best = next((name for name in times if key != RTT_COLUMNS and "90" in name), times[0])
        remedy = f"state {key} = {{ from = {from_!r}, to = {to!r}, ms = {best!r} }}"
        raise InputError(file_name, [Fault("", f"several columns may hold the times: {listed}", remedy)])
    _require_ms(times[0], file_name)
    return PairColumns.spelled(**{"from": from_, "to": to, "ms": times[0]})


def recognise_pairs(preview: Preview) -> Recognition | None:
    """Recognise a table with a row for each pair of names, and the time between them."""
    from carbonroute.files.preview import Certainty, Recognition

    if preview.times or preview.is_json or len(preview.words) < 2:
        return None
    first, *rest = preview.names
    if set(rest) & set(map(str, preview.first(first).drop_nulls())):
        return None  # a matrix: its rows are called as its columns are
    columns = pair_columns(preview.head, (), preview.file_name)
    if columns is None:
        return None
    told = _FROM.search(columns.from_) and _TO.search(columns.to) and _TIME.search(columns.ms)
    roles = {"from": columns.from_, "to": columns.to, "round-trip time": columns.ms}
    return Recognition(Certainty.COLUMNS if told else Certainty.POSSIBLE, "pairs", roles)


def has_columns(table: pl.DataFrame, columns: PairColumns) -> bool:
    """Whether a table has the columns of a long table."""
    return {columns.from_, columns.to, columns.ms} <= set(table.columns)


def repeated_pairs(pairs: pl.DataFrame) -> list[tuple[str, str, list[int]]]:
    """Return the pairs that stand several times, with their lines: columns ``from``, ``to`` and ``line``."""
    import polars as pl

    lines = (
        pairs.group_by("from", "to", maintain_order=True).agg("line").filter(pl.col("line").list.len() > 1)
    )
    return lines.rows()


def pairs_of(
    table: pl.DataFrame, columns: PairColumns, file_name: str, first_line: int, key: str = RTT_COLUMNS
) -> pl.DataFrame:
    """Return a long table as text: columns ``from``, ``to``, ``ms`` and ``line``; `key` as `pair_columns`.

    `first_line` is the line of the first row.
    Raises InputError if there is no such column, or that of the times states another unit than ms.
    """
    import polars as pl

    from carbonroute.files.tables import column_text, required

    roles = {"from": columns.from_, "to": columns.to, "ms": columns.ms}
    required({f"{key}.{role}": name for role, name in roles.items()}, table.columns, file_name)
    _require_ms(columns.ms, file_name)
    texts = [
        column_text(table[name], file_name).str.strip_chars().alias(role) for role, name in roles.items()
    ]
    line = pl.int_range(first_line, first_line + len(table), dtype=pl.Int64, eager=True).alias("line")
    return pl.DataFrame([*texts, line])


def _require_ms(column: str, file_name: str) -> None:
    """Raise InputError if a column of times states another unit, also where a scenario names that column."""
    if _OTHER_UNIT.search(column):
        remedy = "milliseconds are expected: convert them"
        raise InputError(file_name, [Fault("", f"column {column!r} states another unit", remedy)])


def _share_of_numbers(column: pl.Series) -> float:
    """Return the share of a column's entries that are numbers; of a column without entries, 1."""
    import polars as pl

    from carbonroute.files.numbers import column_numbers

    if column.dtype != pl.String:
        return float(column.dtype.is_numeric())
    known = column.drop_nulls()
    known = known.filter(known.str.strip_chars() != "")
    return float(column_numbers(known).is_not_null().sum() / len(known)) if len(known) else 1.0
