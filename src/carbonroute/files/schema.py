"""Tables of our own, read back: columns, types, what is never null, and what stands once."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from carbonroute.errors import RunFolderError
from carbonroute.files.limits import MAX_BYTES

#: No figure of a run is larger; what is would end in overflows.
LARGEST = 1e30
#: How far below 0 rounding takes what cannot be negative.
ROUNDING = 1e-6
_MAX_ROWS = 20_000_000


@dataclass(frozen=True)
class Shape:
    """The required shape of a table.

    Attributes
    ----------
    columns
        Their types, by name, in order: one, or several that will do.
    key
        Columns every combination of whose values has one row.
    at_least_0
        Columns of numbers that are never negative.
    unbounded
        Columns of numbers that may be infinite.
    names
        Columns of names: text of printable characters.
    """

    columns: Mapping[str, Any]
    required: frozenset[str]
    key: tuple[str, ...] = ()
    at_least_0: frozenset[str] = frozenset()
    unbounded: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()


def read_shaped(data: bytes, shape: Shape, place: str, remedy: str) -> pl.DataFrame:
    """Return a table from the content of a Parquet file.

    Raises RunFolderError if it is no Parquet file, too large, or a table of another shape.

    Parameters
    ----------
    data
        The file's content.
    shape
        Its required shape.
    place, remedy
        The text of an error before and behind the fault.
    """
    try:
        lazy = pl.scan_parquet(io.BytesIO(data))
        problem = _misfit_of_columns(lazy.collect_schema(), shape) or _too_large(lazy)
        if not problem:
            table = lazy.collect()
            problem = next(_misfits(table, shape), "")
    except pl.exceptions.PolarsError as error:
        problem = f"is not a Parquet file ({str(error).splitlines()[0]})"
    except pl.exceptions.PanicException:  # no subclass of Exception: some damage kills the reader
        problem = "is a damaged Parquet file"
    if problem:
        raise RunFolderError(f"{place}: {problem}; {remedy}")
    return table


def _misfit_of_columns(schema: Mapping[str, pl.DataType], shape: Shape) -> str:
    for name in shape.columns:
        if name not in schema:
            return f"has no column {name!r}"
    for name, kind in schema.items():
        if name not in shape.columns:
            return f"has a column {name!r}, which is none of ours"
        expected = shape.columns[name]
        kinds = expected if isinstance(expected, tuple) else (expected,)
        if kind not in kinds:
            return f"column {name!r} holds {kind}, where {' or '.join(map(str, kinds))} is expected"
    return "" if list(schema) == list(shape.columns) else "has its columns in another order"


def _too_large(lazy: pl.LazyFrame) -> str:
    texts = pl.col(pl.String).str.len_bytes().cast(pl.Int64).sum()
    sizes = lazy.select(pl.len().alias("the number of rows"), texts).collect(engine="streaming")
    rows, *of_texts = sizes.row(0)
    if rows > _MAX_ROWS:
        return f"has {rows:,} rows, and the limit is {_MAX_ROWS:,}"
    return (
        f"has {sum(of_texts):,} bytes of text, and the limit is {MAX_BYTES:,}"
        if sum(of_texts) > MAX_BYTES
        else ""
    )


def _misfits(table: pl.DataFrame, shape: Shape) -> Iterator[str]:
    """Yield the faults in the values of a table."""
    for name in shape.columns:
        column, finite = table[name], name not in shape.unbounded
        if name in shape.required:
            yield from _where(table, name, column.is_null())
        if column.dtype.is_float():
            yield from _where(table, name, column.is_nan() | (finite & (column.abs() > LARGEST)))
        if column.dtype.is_numeric() and name in shape.at_least_0:
            yield from _where(table, name, column < -ROUNDING)
        if name in shape.names:
            unnamed = column.map_elements(lambda text: not (text and text.isprintable()), pl.Boolean)
            yield from _where(table, name, unnamed.fill_null(value=False))
    if shape.key:
        combinations = math.prod(table[name].n_unique() for name in shape.key)
        key = ", ".join(shape.key)
        if table.select(shape.key).is_duplicated().any():
            yield f"has two rows of the same {key}"
        if table.height != combinations:
            yield f"has {table.height:,} rows, where {combinations:,} combinations of {key} are expected"


def _where(table: pl.DataFrame, name: str, wrong: pl.Series) -> Iterator[str]:
    if wrong.any():
        row = wrong.arg_true()[0]
        yield f"column {name!r} holds {table[name][row]!r} in row {row}"
