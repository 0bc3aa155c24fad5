"""Tables of a study: results per cell and policy, the axes, and means over seeds with intervals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl

from carbonroute.metrics import slo
from carbonroute.metrics.intervals import ends
from carbonroute.metrics.policies import TEXTS
from carbonroute.study.cells import Study
from carbonroute.study.file import FIXED, Axis
from carbonroute.study.journal import DONE, Record, records

RESULTS = "results.parquet"
#: Records that are turned into a table at a time.
_CHUNK = 2000
#: Columns of `StudyTables.axes`.
AXES = MappingProxyType({"axis": pl.String, "label": pl.String, "number": pl.Float64, "averaged": pl.Boolean})
_FLAGS = ("clairvoyant", "viable")
#: Columns that every study has.
ALWAYS = MappingProxyType({"cell": pl.Int64, "digest": pl.String, "status": pl.String, "error": pl.String})


@dataclass(frozen=True)
class StudyTables:
    """Results of a study, at full precision.

    Attributes
    ----------
    results
        A row per cell and policy, in the grid's order: ``cell``, ``digest`` (SHA-256 of the cell's scenario),
        ``status`` (``"done"`` or ``"failed"``), ``error`` (or null), a column per axis under its name
        (numbers where all its values are numbers, else labels), ``policy``, ``clairvoyant``, and columns of
        `Tables.policies`. A failed cell has one row, with nulls.
    axes
        A row per value, in order: ``axis`` (column of `results`), ``label``, ``number`` (or null),
        ``averaged`` (whether the axis varies the seed alone).
    summary
        A row per policy and combination of the axes that are not averaged, failed cells left out: the axes,
        ``policy``, ``clairvoyant``, ``n`` (cells behind it), each number's mean under its own name, with
        ``<name>_low`` and ``<name>_high`` (95 % intervals over the averaged axes, made like those of
        replications; null where n < 2, and of a share that is 0 in all cells, or 100 %),
        ``viable`` (whether the mean of violations, of the worst workload where the limit is each workload's,
        is within the limit), ``max_violation_pct``, ``baseline``, ``limit_per``, ``worst_workload`` (of the
        cell where its violations are most).
    """

    results: pl.DataFrame
    axes: pl.DataFrame
    summary: pl.DataFrame
    manifest: Mapping[str, Any]


def results_of(study: Study, folder: Path) -> pl.DataFrame:
    """Return the results of all cells that a study's folder has; see `StudyTables.results`."""
    frames, columns = [], ("policy", "clairvoyant", *study.file.columns)
    schema = _schema(study.axes, columns)
    last: dict[int, int] = {}
    for number, record in enumerate(records(folder)):
        last[record.cell] = number
    chunk: list[Record] = []
    for number, record in enumerate(records(folder)):
        if last[record.cell] == number:
            chunk.append(record)
        if len(chunk) == _CHUNK:
            frames.append(_frame(chunk, study, columns, schema))
            chunk = []
    frames.append(_frame(chunk, study, columns, schema))
    return pl.concat(frames).sort("cell", maintain_order=True)


def _schema(axes: Sequence[Axis], columns: Sequence[str]) -> dict[str, Any]:
    of_axes = {axis.name: _type_of(axis) for axis in axes}
    return {**ALWAYS, **of_axes, **types_of(columns)}


def types_of(columns: Iterable[str]) -> dict[str, Any]:
    """Return the types of columns of the policy table."""
    return {
        name: pl.String if name in TEXTS else pl.Boolean if name in _FLAGS else pl.Float64 for name in columns
    }


def _type_of(axis: Axis) -> Any:
    if not axis.numeric:
        return pl.String
    return pl.Int64 if all(isinstance(value.number, int) for value in axis.values) else pl.Float64


def _frame(
    chunk: Sequence[Record], study: Study, columns: Sequence[str], schema: Mapping[str, Any]
) -> pl.DataFrame:
    """Return the rows of some cells."""
    data: dict[str, list[Any]] = {name: [] for name in schema}
    for record in chunk:
        height = len(record.columns["policy"]) if record.status == DONE else 1
        fixed = [record.cell, record.digest, record.status, record.error or None]
        for name, value in zip(list(schema)[: len(fixed)], fixed, strict=True):
            data[name] += [value] * height
        for axis, value in zip(study.axes, study.cells[record.cell].values, strict=True):
            data[axis.name] += [value.number if axis.numeric else value.label] * height
        for name in columns:
            data[name] += record.columns[name] if record.status == DONE else [None]
    return pl.DataFrame([pl.Series(name, data[name], schema[name], strict=False) for name in schema])


def axes_of(axes: Sequence[Axis]) -> pl.DataFrame:
    """Return a study's axes; see `StudyTables.axes`."""
    rows = [
        (axis.name, value.label, None if value.number is None else float(value.number), axis.averaged)
        for axis in axes
        for value in axis.values
    ]
    return pl.DataFrame(rows, dict(AXES), orient="row")


def summary_of(results: pl.DataFrame, axes: pl.DataFrame) -> pl.DataFrame:
    """Return means over seeds, with their intervals; see `StudyTables.summary`."""
    names = axes["axis"].unique(maintain_order=True).to_list()
    averaged = set(axes.filter("averaged")["axis"])
    fixed = [name for name in names if name not in averaged]
    keys = [*fixed, "policy", "clairvoyant"]
    numbers = [
        name
        for name, kind in results.schema.items()
        if kind == pl.Float64 and name not in {*names, *FIXED, "max_violation_pct"}
    ]
    kept = [name for name in ("baseline", "max_violation_pct", slo.PER) if name in results.columns]
    worst = [slo.WORST] if slo.WORST in results.columns else []
    done = results.filter(status=DONE)
    table = done.group_by(keys, maintain_order=True).agg(
        pl.len().cast(pl.Int64).alias("n"),
        pl.col(*numbers).mean(),
        pl.col(*numbers).std().name.suffix(" std"),
        # A figure that some cells lack has no interval.
        pl.col(*numbers).null_count().name.suffix(" nulls"),
        pl.col(*kept).first(),
        *(pl.col(name).sort_by(slo.WORST_PCT, descending=True, nulls_last=True).first() for name in worst),
    )
    intervals = [column for name in numbers for column in _interval(table, name)]
    return table.with_columns(*intervals, slo.viable(table).alias("viable")).select(
        *keys,
        "n",
        *(f"{name}{end}" for name in numbers for end in ("", "_low", "_high")),
        *(name for name in kept if name != slo.PER),
        "viable",
        *worst,
        *(name for name in kept if name == slo.PER),
    )


def _interval(table: pl.DataFrame, name: str) -> Iterator[pl.Series]:
    mean, std, n = (table[column].cast(pl.Float64).to_numpy() for column in (name, f"{name} std", "n"))
    known = (table[f"{name} nulls"] == 0).to_numpy()
    for end, values in zip(("low", "high"), ends(name, mean, std, n), strict=True):
        yield pl.Series(f"{name}_{end}", np.where(known, values, np.nan)).fill_nan(None)
