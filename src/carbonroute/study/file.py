"""The study file, schema 1: a base scenario, the axes of the grid, and how cells are run."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator
from pydantic_core import to_jsonable_python

from carbonroute.errors import Fault, InputError, did_you_mean
from carbonroute.files.toml import as_found, parse
from carbonroute.metrics.measure import GRAMS, INTENSITY
from carbonroute.metrics.policies import COLUMNS
from carbonroute.runs import MAX_VIOLATION
from carbonroute.scenario.written.faults import refuse
from carbonroute.scenario.written.load import builtin_scenarios, validated
from carbonroute.scenario.written.mistaken import refuse_data, refuse_other
from carbonroute.scenario.written.model import MAX_TEXT, Members
from carbonroute.scenario.written.names import Name, is_name
from carbonroute.scenario.written.places import Written
from carbonroute.spec import Spec

SCHEMA = 1
#: Columns of the results that are no axis and no metric.
FIXED = ("cell", "digest", "status", "error", "policy", "clairvoyant")
#: Columns that results always have: findings need them.
KEPT = (
    "slo_violation_pct",
    INTENSITY.reduction,
    GRAMS.reduction,
    "baseline",
    "max_violation_pct",
    "viable",
)
#: Path of the seed: results are averaged over an axis that sets nothing else.
SEED = "sampling.seed"
MAX_VALUES = 1_000_000

_RANGE = ({"from", "to"}, {"from", "to", "step"})
#: A table with one of these keys replaces the existing table as a whole.
_TAGS = ("kind", "law")


@dataclass(frozen=True)
class Value:
    """One value of an axis.

    Attributes
    ----------
    label
        Its name, as text.
    number
        Its number, or None.
    changes
        Values that it sets in the scenario, by path.
    """

    label: str
    number: int | float | None
    changes: Mapping[str, Any]

    @property
    def stated(self) -> Any:
        """It as JSON: its label, and its changes where the label does not state them."""
        only = next(iter(self.changes.values())) if len(self.changes) == 1 else None
        if only is not None and not isinstance(only, list | dict) and _text(only) == self.label:
            return self.label
        return {"label": self.label, "changes": to_jsonable_python(self.changes)}


@dataclass(frozen=True)
class Axis:
    """One dimension of the grid of cells.

    Attributes
    ----------
    name
        Of its column.
    values
        In the order of the file.
    """

    name: str
    values: tuple[Value, ...]

    @property
    def numeric(self) -> bool:
        """Whether its column holds numbers."""
        return all(value.number is not None for value in self.values)

    @property
    def averaged(self) -> bool:
        """Whether it varies the seed alone."""
        return all(set(value.changes) == {SEED} for value in self.values)


class Variant(Spec):
    """Changes that belong together: one value of an axis.

    Attributes
    ----------
    axis
        The axis; all variants of the same axis stand beside each other, different axes are crossed.
    label
        Its name.
    changes
        Values that it sets, by path.
    """

    axis: Name = "variant"
    label: Name
    changes: dict[str, Any]


class StudyFile(Spec):
    """Everything that defines a study.

    Attributes
    ----------
    schema_version
        1; ``schema`` in the file.
    name, description
        Its name, and a description.
    scenario
        The base scenario: a built-in scenario's name, or a TOML file beside the study's.
    engine
        Of all cells; by default queued where a cell states pools of servers, and sampled elsewhere.
    replications, until
        Of each cell; as of `carbonroute.run`.
    max_violation
        Share of SLO violations up to which a policy counts as viable, 0…1.
    baseline
        Label of the policy of the same cell that reductions refer to; by default Latency-First, as in a run.
    metrics
        Columns of the policy table that the results keep; all, by default.
    changes
        Values that all cells set, by path.
    grid
        Values by path; cells are all their combinations.
    variants
        Changes that belong together.
    """

    schema_version: int = Field(alias="schema")
    name: Name
    description: str = Field(default="", max_length=MAX_TEXT)
    scenario: str
    engine: Literal["sampled", "exact", "queued"] | None = None
    replications: int | None = Field(default=None, ge=1)
    until: str | None = None
    max_violation: Annotated[float, Field(ge=0, le=1)] = MAX_VIOLATION
    baseline: Name | None = None
    metrics: Members[str] = ()
    changes: dict[str, Any] = Field(default_factory=dict)
    grid: dict[str, Any] = Field(default_factory=dict)
    variants: Members[Variant] = ()

    @field_validator("schema_version")
    @classmethod
    def _known_schema(cls, version: int) -> int:
        if version != SCHEMA:
            raise ValueError(f"found {version}; this version of carbonroute reads study schema {SCHEMA}")
        return version

    @field_validator("metrics")
    @classmethod
    def _known_metrics(cls, metrics: tuple[str, ...]) -> tuple[str, ...]:
        known = [name for name in COLUMNS if name not in FIXED]
        refuse(
            Fault(f"[{place}]", as_found(name), did_you_mean(name, known))
            for place, name in enumerate(metrics)
            if name not in known
        )
        return metrics

    @field_validator("changes")
    @classmethod
    def _by_path(cls, changes: dict[str, Any]) -> dict[str, Any]:
        return by_path(changes)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the policy table that the results keep."""
        metrics = self.metrics or COLUMNS
        return tuple(name for name in COLUMNS if name in {*metrics, *KEPT} and name not in FIXED)


def read(path: Path) -> StudyFile:
    """Read and check a study file.

    Raises
    ------
    InputError
        With all faults in it. Those of its cells are found by `carbonroute.study.cells.cells_of`.
    """
    if str(path) in builtin_scenarios() and not path.exists():
        remedy = f"run it: `carbonroute simulate {path}`"
        raise InputError(str(path), [Fault("", "is a built-in scenario, not a study", remedy, "wrong-file")])
    refuse_data(path, "a study")
    written = Written(path)
    try:
        tables = parse(path)
    except InputError as error:
        raise written.located(error) from error
    refuse_other(path, tables, "a study")
    return validated(StudyFile, tables, str(path), path.parent, written=written)


def axes_of(file: StudyFile, source: str) -> tuple[Axis, ...]:
    """Return the axes of the grid, then those of the variants; `source` names the file in errors.

    Raises
    ------
    InputError
        If an axis has no values, a name that is taken, or values with the same label.
    """
    grid: list[tuple[str, list[Any]]] = []
    for path, values in _of_grid(file.grid, source):
        grid.append((path, values))
        _require_cells([len(values) for _, values in grid], source)  # before the next axis takes memory
    axes = [Axis(path, tuple(_labelled(path, values))) for path, values in grid]
    by_axis: dict[str, list[Value]] = {}
    for variant in file.variants:
        value = Value(variant.label, None, by_path(variant.changes))
        by_axis.setdefault(variant.axis, []).append(value)
    axes += [Axis(name, tuple(values)) for name, values in by_axis.items()]
    _require_cells([len(axis.values) for axis in axes], source)
    if faults := list(_faults(axes)):
        raise InputError(source, faults)
    return tuple(axes)


def _require_cells(counts: Sequence[int], source: str) -> None:
    """Refuse axes of so many values if their cells are too many."""
    total = math.prod(counts)
    if total > MAX_VALUES:
        problem = f"{total:,} cells"
        raise InputError(source, [Fault("grid", problem, f"at most {MAX_VALUES:,} are expected")])


def by_path(changes: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Return changes as values by path: tables within tables set single keys.

    A table that states its kind (or law) replaces the existing table as a whole.

    >>> by_path({"network": {"jitter_std_ms": 3}, "carbon": {"kind": "file", "path": "a.csv"}})
    {'network.jitter_std_ms': 3, 'carbon': {'kind': 'file', 'path': 'a.csv'}}
    """
    flat: dict[str, Any] = {}
    for key, value in changes.items():
        path = f"{above}.{_in_path(key)}" if above else key
        if isinstance(value, dict) and not any(tag in value for tag in _TAGS):
            flat |= by_path(value, path)
        else:
            flat[path] = value
    return flat


def _in_path(key: str) -> str:
    return f'"{key}"' if set(key) & set('.[]"') else key


def _of_grid(grid: Mapping[str, Any], source: str, above: str = "") -> Iterator[tuple[str, list[Any]]]:
    """Yield the path of each axis and its values."""
    for key, values in grid.items():
        path = f"{above}.{_in_path(key)}" if above else key
        if isinstance(values, dict) and set(values) in _RANGE:
            yield path, _numbers(values, source, f"grid.{path}")
        elif isinstance(values, dict):
            yield from _of_grid(values, source, path)
        elif isinstance(values, list):
            yield path, values
        else:
            remedy = "an array of values is expected, or { from = 1, to = 10, step = 1 }"
            raise InputError(source, [Fault(f"grid.{path}", as_found(values), remedy)])


def _numbers(steps: Mapping[str, Any], source: str, where: str) -> list[int | float]:
    """Return the numbers of a range, both ends included."""
    first, last, step = steps["from"], steps["to"], steps.get("step", 1)
    if not all(isinstance(one, int | float) and not isinstance(one, bool) for one in (first, last, step)):
        raise InputError(source, [Fault(where, as_found(dict(steps)), "numbers are expected")])
    count = (last - first) / step + 1 if step else math.nan
    if not 1 <= count <= MAX_VALUES:
        remedy = f"a step that leads from one to the other is expected, with at most {MAX_VALUES:,} values"
        raise InputError(source, [Fault(where, as_found(dict(steps)), remedy)])
    whole = all(isinstance(one, int) for one in (first, last, step))
    # Rounded, so that ten steps of 0.1 are exactly 1.
    return [
        first + place * step if whole else float(f"{first + place * step:.12g}")
        for place in range(math.floor(count + 1e-9))
    ]


def _labelled(path: str, values: Sequence[Any]) -> Iterator[Value]:
    for value in values:
        number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
        yield Value(_text(value), number, {path: value})


def _text(value: Any) -> str:
    """Return a short text for a value.

    >>> _text([{"use": "hybrid", "alpha": 0.7}, {"use": "carbon-first"}]), _text(True), _text(3.0)
    ('hybrid(alpha=0.7), carbon-first', 'true', '3')
    """
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    if isinstance(value, dict):
        return _text_of_table(value)
    if isinstance(value, datetime):
        return _text_of_time(value)
    if isinstance(value, float):
        return f"{value:.15g}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _text_of_time(time: datetime) -> str:
    """Write a time, and of midnight in UTC the day alone.

    >>> from datetime import UTC
    >>> [_text_of_time(datetime(2021, 1, 2, hour, tzinfo=UTC)) for hour in (0, 6)]
    ['2021-01-02', '2021-01-02 06:00Z']
    """
    if time.tzinfo is None or time.utcoffset():
        return time.isoformat(" ")
    rest = time.strftime("%H:%M:%S").removesuffix(":00")
    return time.date().isoformat() + ("" if rest == "00:00" else f" {rest}Z")


def _text_of_table(table: Mapping[str, Any]) -> str:
    if "label" in table:
        return str(table["label"])
    called = next((key for key in ("name", "id", "use", "kind", "law") if key in table), None)
    rest = ", ".join(f"{key}={_text(value)}" for key, value in table.items() if key != called)
    if called is None:
        return rest
    return f"{table[called]}({rest})" if rest else str(table[called])


def _faults(axes: Sequence[Axis]) -> Iterator[Fault]:
    taken = {*FIXED, *COLUMNS, "n"}
    for place, axis in enumerate(axes):
        if axis.name in taken:
            yield Fault(axis.name, "is a column of the results", "give the axis another name")
        if axis.name in {one.name for one in axes[:place]}:
            yield Fault(axis.name, "is an axis of the grid and of variants", "axes must differ in name")
        if not is_name(axis.name):
            yield Fault(axis.name, "is no name of an axis", "give the values in variants, with an axis")
        for value in axis.values:
            if not value.label.isprintable():
                remedy = "state it as a variant, with a label in printable characters"
                yield Fault(axis.name, as_found(value.label), remedy)
        if not axis.values:
            yield Fault(axis.name, "has no values", "one value or more is expected")
        yield from _alike(axis)
    paths = [(path, axis.name) for axis in axes for path in dict.fromkeys(_paths(axis))]
    for place, (path, name) in enumerate(paths):
        other = next((first for same, first in paths[:place] if same == path), None)
        if other is not None:
            yield Fault(name, f"sets {path}, as axis {other} does", "one axis per path is expected")


def _alike(axis: Axis) -> Iterator[Fault]:
    """Yield a fault for each value that has the label of an earlier one."""
    seen: dict[str, Mapping[str, Any]] = {}
    for value in axis.values:
        if value.label in seen:
            same = json.dumps(seen[value.label], default=str) == json.dumps(value.changes, default=str)
            problem = f"{value.label!r} stands there twice"
            remedy = "leave one out" if same else "tell them apart: state both as variants, with labels"
            yield Fault(axis.name, problem, remedy)
        seen[value.label] = value.changes


def _paths(axis: Axis) -> Iterator[str]:
    for value in axis.values:
        yield from value.changes
