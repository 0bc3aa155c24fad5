"""Inspecting a matrix of round-trip times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from carbonroute.files import toml
from carbonroute.files.numbers import column_numbers
from carbonroute.files.preview import Preview, Recognition
from carbonroute.files.tables import column_text
from carbonroute.files.text import listed, refused
from carbonroute.inspection.result import Inspection
from carbonroute.inspection.statistics import asymmetry
from carbonroute.network import MAX_RTT_MS, PairColumns, pairs_of, repeated_pairs, without_unit

_NAMED = 5


def inspect(preview: Preview, recognition: Recognition) -> Inspection:
    """Inspect a matrix, whose rows are where requests come from and columns where they go, or a long table.

    Raises InputError if the file is no table.
    """
    file_name = preview.file_name
    table = preview.table()
    settings: dict[str, Any] = {"rtt_file": file_name}
    if recognition.format == "pairs":
        matrix = _pairs(table, recognition, preview)
        columns_of = {role: recognition.columns[role] for role in ("from", "to")}
        settings["rtt_columns"] = {**columns_of, "ms": recognition.columns["round-trip time"]}
    else:
        matrix = _matrix(without_unit(table, file_name), preview)
    if skip_rows := preview.layout.skip_rows:
        settings["rtt_skip_rows"] = skip_rows
    rows, columns, findings = matrix.rows, matrix.columns, list(matrix.findings)
    if matrix.absurd:
        named = ", ".join(matrix.absurd[:_NAMED])
        findings.append(f"{len(matrix.absurd):,} values that are no round-trip time: {named}")
    quantities, more = describe(matrix.rtt_ms, rows, columns, file_name)
    comments = [
        f"rows, for [[origins]]: {toml.names(list(dict.fromkeys(rows)))}",
        f"columns, for [[regions]]: {toml.names(columns)}",
    ]
    if quantities["missing_pairs"] or matrix.absurd:
        comments.append('missing = "reverse" takes the time of the way back, where that is there')
    if quantities["missing_pairs"] or quantities["missing_diagonal"] or matrix.absurd:
        comments.append('missing = "great-circle" estimates what is not there from latitude and longitude')
        comments.append("network.rtt_ms beside the file states single pairs")
    return Inspection(
        name=file_name,
        kind="rtt",
        reading=recognition.reading() | {"unit of values": "ms, which is what a scenario reads"},
        quantities=quantities,
        table=pl.DataFrame(),
        findings=(*findings, *more),
        suggestion=toml.section("[network]", settings, comments),
        pictures={"matrix": long(matrix.rtt_ms, rows, columns)},
    )


@dataclass(frozen=True)
class _RoundTrips:
    """The values of a file, ms, shape (rows, columns); NaN where there is none, or one that is none."""

    rtt_ms: NDArray[np.float64]
    rows: list[str]
    columns: list[str]
    absurd: Sequence[str]
    findings: Sequence[str]


def _matrix(table: pl.DataFrame, preview: Preview) -> _RoundTrips:
    texts = [column_text(column, preview.file_name) for column in table.iter_columns()]
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
    first_line = preview.layout.first_line
    named = [
        f"line {first_line + row}, {rows[row]} to {columns[column]}: {texts[column + 1][int(row)]!r}"
        for row, column in np.argwhere(absurd)
    ]
    return _RoundTrips(np.where(absurd, np.nan, raw), rows, columns, named, findings)


def _pairs(table: pl.DataFrame, recognition: Recognition, preview: Preview) -> _RoundTrips:
    known = recognition.columns
    columns = PairColumns.spelled(
        **{"from": known["from"], "to": known["to"], "ms": known["round-trip time"]}
    )
    pairs = pairs_of(table, columns, preview.file_name, preview.layout.first_line)
    pairs = pairs.drop_nulls(["from", "to"])
    starts, ends = (pairs[name].unique(maintain_order=True).to_list() for name in ("from", "to"))
    if {*starts} - {*ends} and {*ends} - {*starts} and {*starts} & {*ends}:  # one place in both: of one kind
        starts = ends = list(dict.fromkeys([*starts, *ends]))
    findings = [
        f"lines {', '.join(map(str, lines))} are all of {start} to {end}: keep one"
        for start, end, lines in repeated_pairs(pairs)
    ]
    value = column_numbers(pairs["ms"])
    fits = value.is_between(0, MAX_RTT_MS).fill_null(value=False)
    blank = pairs["ms"].fill_null("") == ""
    absurd = pairs.filter(~fits & ~blank).select("line", "from", "to", "ms").rows()
    rtt_ms = np.full((len(starts), len(ends)), np.nan)
    row_of, column_of = ({name: place for place, name in enumerate(names)} for names in (starts, ends))
    for start, end, ms in zip(pairs["from"], pairs["to"], value.set(~fits, None), strict=True):
        if ms is not None:
            rtt_ms[row_of[start], column_of[end]] = ms
    named = [f"line {line}, {start} to {end}: {text!r}" for line, start, end, text in absurd]
    return _RoundTrips(rtt_ms, starts, ends, named, findings)


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

    `matrix`: milliseconds, shape (rows, columns), NaN where there is none.
    Raises InputError if there is no value at all.
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
        "missing_pairs": int((~known & ~same).sum()),
        "missing_diagonal": int((~known & same).sum()),
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
    for lacks, words in (
        (~known & ~same, "pairs without a value"),
        (~known & same, "names without a time to themselves (the diagonal)"),
    ):
        if missing := int(lacks.sum()):
            named = [f"{rows[r]} to {columns[c]}" for r, c in np.argwhere(lacks)]
            findings.append(f"{missing:,} {words}: {listed(named, _NAMED)}")
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
