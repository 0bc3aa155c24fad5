"""Inspecting a matrix of round-trip times."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from carbonroute.files import toml
from carbonroute.files.preview import Preview, Recognition
from carbonroute.files.tables import FIRST_LINE, column_numbers, column_text, read_table
from carbonroute.files.text import listed, refused
from carbonroute.inspection.result import Inspection
from carbonroute.inspection.statistics import asymmetry
from carbonroute.network import MAX_RTT_MS

_NAMED = 5


def inspect(preview: Preview, recognition: Recognition) -> Inspection:
    """Inspect a matrix file: rows are where requests come from, columns where they go, in ms.

    Raises
    ------
    InputError
        If the file is no table.
    """
    file_name = preview.file_name
    table = read_table(preview.path, file_name)
    texts = [column_text(column, file_name) for column in table.iter_columns()]
    rows = [name or "" for name in texts[0]]
    columns = table.columns[1:]
    raw = np.stack([column_numbers(text).fill_null(np.nan).to_numpy() for text in texts[1:]], axis=1).astype(
        float
    )
    findings = [
        f"{count} {what} called {name!r}: it must be one"
        for what, names in (("rows are", rows), ("columns are", columns))
        for name, count in Counter(names).items()
        if count > 1
    ]
    blank = np.stack([text.fill_null("").str.strip_chars() == "" for text in texts[1:]], axis=1)
    absurd = ~blank & ~((raw >= 0) & (raw <= MAX_RTT_MS))
    if absurd.any():
        named = [
            f"line {FIRST_LINE + row}, {rows[row]} to {columns[column]}: {texts[column + 1][int(row)]!r}"
            for row, column in np.argwhere(absurd)[:_NAMED]
        ]
        findings.append(f"{int(absurd.sum()):,} values that are no round-trip time: {', '.join(named)}")
    quantities, more = describe(np.where(absurd, np.nan, raw), rows, columns, file_name)
    comments = [
        f"rows, for [[origins]]: {toml.names(list(dict.fromkeys(rows)))}",
        f"columns, for [[regions]]: {toml.names(columns)}",
    ]
    if quantities["missing_pairs"] or absurd.any():
        comments.append('missing = "great-circle" estimates what is not there from latitude and longitude')
    return Inspection(
        name=file_name,
        kind="rtt",
        reading=recognition.reading() | {"unit of values": "ms, which is what a scenario reads"},
        quantities=quantities,
        table=pl.DataFrame(),
        findings=(*findings, *more),
        suggestion=toml.section("[network]", {"rtt_file": file_name}, comments),
        pictures={"matrix": long(np.where(absurd, np.nan, raw), rows, columns)},
    )


def long(matrix: NDArray[np.float64], rows: list[str], columns: list[str]) -> pl.DataFrame:
    """Return a matrix as the picture's table: ``origin``, ``region``, ``rtt_ms``, row by row."""
    return pl.DataFrame(
        {
            "origin": pl.Series(rows).repeat_by(len(columns)).explode(),
            "region": columns * len(rows),
            "rtt_ms": matrix.ravel(),
        }
    )


def describe(
    matrix: NDArray[np.float64], rows: list[str], columns: list[str], file_name: str
) -> tuple[dict[str, Any], list[str]]:
    """Describe a matrix.

    Parameters
    ----------
    matrix
        Milliseconds, shape (rows, columns), NaN where there is none.
    rows, columns
        Their names.
    file_name
        Its name in messages.

    Raises
    ------
    InputError
        If there is no value at all.
    """
    known = np.isfinite(matrix)
    if not known.any():
        raise refused(file_name, "holds no round-trip time", "numbers in ms are expected")
    same = np.array(rows)[:, np.newaxis] == np.array(columns)[np.newaxis]
    inner, outer = matrix[known & same], matrix[known & ~same]
    apart = asymmetry(matrix, list(dict.fromkeys(rows)), columns) if len(set(rows)) == len(rows) else None
    nothing = float("nan")
    quantities = {
        "rows": len(rows),
        "columns": len(columns),
        "missing_pairs": int((~known).sum()),
        "min_ms": float(outer.min()) if len(outer) else nothing,
        "median_ms": float(np.median(outer)) if len(outer) else nothing,
        "max_ms": float(outer.max()) if len(outer) else nothing,
        "diagonal_min_ms": float(inner.min()) if len(inner) else nothing,
        "diagonal_median_ms": float(np.median(inner)) if len(inner) else nothing,
        "diagonal_max_ms": float(inner.max()) if len(inner) else nothing,
        "asymmetry_median_ms": apart.median if apart else nothing,
        "asymmetry_max_ms": apart.largest if apart else nothing,
    }
    findings = []
    if missing := int((~known).sum()):
        named = [f"{rows[r]} to {columns[c]}" for r, c in np.argwhere(~known)]
        findings.append(f"{missing:,} pairs without a value: {listed(named, _NAMED)}")
    if zero := int(((matrix == 0) & ~same).sum()):
        findings.append(f"{zero:,} pairs of different names at 0 ms")
    if apart and apart.at and apart.largest > 0:
        row, column = apart.at
        findings.append(
            f"directions differ most between {rows[row]} and {columns[column]}: by {apart.largest:.4g} ms"
        )
    if outer.max(initial=0) < 1 and len(outer):
        findings.append("all values are below 1, which looks like seconds")
    return quantities, findings
