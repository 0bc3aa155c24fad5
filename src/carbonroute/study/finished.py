"""Reading a study's folder: its journal is checked against the study, its results against the manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import AfterValidator, Field

from carbonroute.errors import RunFolderError, did_you_mean
from carbonroute.files.folder import digest, reading, stands
from carbonroute.files.schema import LARGEST, Shape, read_shaped
from carbonroute.metrics.policies import COLUMNS
from carbonroute.runs.folder import read_stated, require_unchanged
from carbonroute.runs.manifest import (
    MANIFEST,
    STUDY,
    Manifest,
    Sha256,
    Subdocument,
    is_sealed,
    read_manifest,
    unverified,
)
from carbonroute.scenario.written.mistaken import remedy_for
from carbonroute.study.cells import Study
from carbonroute.study.journal import DONE, FAILED, Record, Value
from carbonroute.study.tables import ALWAYS, AXES, RESULTS, StudyTables, summary_of, types_of

_AGAIN = "`carbonroute study run` makes it again from its journal"
#: Columns without nulls in finished cells, and the keys of `CellResult.about`.
_NEVER_NULL = ("policy", "clairvoyant", "baseline", "max_violation_pct", "viable")
_ABOUT = frozenset(("accounting", "carbon_source", "traffic_source"))


def _is_number(value: Value) -> bool:
    return value is None or (
        isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST
    )


#: Whether a journal's value fits the type of a column.
_TAKES: Mapping[Any, Callable[[Value], bool]] = MappingProxyType(
    {
        pl.String: lambda value: value is None or isinstance(value, str),
        pl.Boolean: lambda value: value is None or isinstance(value, bool),
        pl.Float64: _is_number,
    }
)


def misfits_of(study: Study, record: Record) -> Iterator[str]:
    """Yield the faults of a record in the journal of a study."""
    if record.cell >= len(study.cells) or record.digest != study.cells[record.cell].digest:
        yield "is of a cell that this study does not have"
    if record.status == FAILED:
        if record.columns or not record.error:
            yield "is of a cell that failed, and has figures or no error"
        return
    if record.error or record.about.keys() != _ABOUT:
        yield "does not state where its figures come from"
    columns = record.columns
    kinds = types_of(("policy", "clairvoyant", *study.file.columns))
    if columns.keys() != kinds.keys() or len(set(map(len, columns.values()))) != 1:
        yield "has other columns than the study asks for, or not all of the same length"
        return
    for name, kind in kinds.items():
        if not all(map(_TAKES[kind], columns[name])):
            yield f"holds something other than {kind} in column {name!r}"
        if name in _NEVER_NULL and None in columns[name]:
            yield f"lacks a value in column {name!r}"
    if not columns["policy"] or len(set(columns["policy"])) < len(columns["policy"]):
        yield "has no policy, or one twice"


def _is_metric(name: str) -> str:
    if name not in COLUMNS:
        raise ValueError(did_you_mean(name, COLUMNS))
    return name


_Metric = Annotated[str, AfterValidator(_is_metric)]


def _is_printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("printable characters are expected")
    return text


_Shown = Annotated[str, AfterValidator(_is_printable)]


class _AxisValue(Subdocument):
    axis: _Shown
    label: _Shown
    number: float | None
    averaged: bool


class _Failed(Subdocument):
    cell: int
    where: str
    error: str


class _About(Subdocument):
    accounting: str
    carbon_source: str
    traffic_source: str
    cells: int


class _Note(Subdocument):
    note: str
    cells: int


class StudyManifest(Manifest):
    """The manifest of a study; see `carbonroute.study.manifest.manifest_of`."""

    kind: Literal["study"]
    carbonroute: str
    name: str
    description: str = ""
    command: str = ""
    engine: str | None
    max_violation_pct: float
    metrics: list[_Metric]
    axes: list[_AxisValue]
    cells: Annotated[int, Field(ge=1)]
    digest: Sha256
    failed: list[_Failed]
    finding: list[str]
    about: list[_About]
    notes: list[_Note]
    versions: dict[str, str]
    inputs: dict[str, Sha256]

    @property
    def shape(self) -> Shape:
        """The schema of its results."""
        kinds = {
            name: (pl.Int64, pl.Float64) if all(value.number is not None for value in values) else pl.String
            for name, values in self.by_axis.items()
        }
        columns = {**ALWAYS, **kinds, **types_of(("policy", "clairvoyant", *self.metrics))}
        return Shape(
            columns,
            frozenset(("cell", "digest", "status", *kinds)),
            at_least_0=frozenset(("cell",)),
            names=frozenset(("policy", "baseline")) & columns.keys(),
        )

    @property
    def by_axis(self) -> dict[str, list[_AxisValue]]:
        """The values of each axis, in order."""
        values: dict[str, list[_AxisValue]] = {}
        for value in self.axes:
            values.setdefault(value.axis, []).append(value)
        return values


def is_finished(path: Path, failed: Set[int]) -> bool:
    """Whether a folder has the results that its manifest states, with the failed cells of its journal."""
    with reading(path):
        if not stands(path, MANIFEST):
            return False
        manifest = unverified(path, StudyManifest)
        if not is_sealed(manifest):
            return False
        stated = manifest["outputs"].get(RESULTS)
        return digest(path, RESULTS) == stated and {one["cell"] for one in manifest["failed"]} == failed


def read(folder: str | Path) -> StudyTables:
    """Return the tables of a study's folder, after checking all files against its manifest.

    Raises RunFolderError if it is not the folder of a finished study, or a file of it was changed since.
    """
    path = Path(folder)
    outputs = read_manifest(path)["outputs"]
    require_unchanged(path, outputs)
    return tables_in(path, outputs)


def tables_in(path: Path, outputs: Mapping[str, str]) -> StudyTables:
    """Return the tables of a study's folder whose outputs are checked already.

    Raises RunFolderError if it is not the folder of a study, or its results are none that its manifest can be
    of.
    """
    if read_manifest(path).get("kind") != STUDY:
        remedy = remedy_for(path, "name the folder of a study")
        raise RunFolderError(f"{path}: holds a run, not a study; {remedy}")
    document = read_manifest(path, StudyManifest)
    manifest = StudyManifest.model_validate(document)
    place = str(path / RESULTS)
    results = read_shaped(read_stated(path, RESULTS, outputs), manifest.shape, place, _AGAIN)
    for misfit in _misfits(results, manifest):
        raise RunFolderError(f"{place}: {misfit}; {_AGAIN}")
    axes = pl.DataFrame(document["axes"], dict(AXES))
    return StudyTables(results, axes, summary_of(results, axes), document)


def _misfits(results: pl.DataFrame, manifest: StudyManifest) -> Iterator[str]:
    """Yield inconsistencies between the results of a study and its manifest."""
    if (
        set(results["cell"]) != set(range(results["cell"].n_unique()))
        or results["cell"].n_unique() != manifest.cells
    ):
        yield f"has other cells than the {manifest.cells:,} of the manifest"
    failed = results.filter(pl.col("status") != DONE)
    if set(failed["cell"]) != {one.cell for one in manifest.failed}:
        yield "has other failed cells than the manifest"
    if results.select("cell", "policy").is_duplicated().any():
        yield "has a policy twice in a cell"
    done = results.filter(status=DONE)
    for name in _NEVER_NULL:
        if done[name].null_count():
            yield f"lacks {name!r} in a cell that is done"
    for name, values in manifest.by_axis.items():
        known = {value.label if results.schema[name] == pl.String else value.number for value in values}
        if not set(results[name]) <= known:
            yield f"has a value of {name!r} that the manifest has not"
