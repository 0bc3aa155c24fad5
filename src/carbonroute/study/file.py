"""The study file, schema 1: a base scenario, the axes of the grid, and how cells are run."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_core import to_jsonable_python

from carbonroute.errors import Fault, InputError, did_you_mean
from carbonroute.files.toml import as_found, key_text, parse
from carbonroute.metrics.measure import GRAMS, INTENSITY
from carbonroute.metrics.policies import COLUMNS
from carbonroute.metrics.slo import PER, WORST, WORST_PCT
from carbonroute.scenario.builtin import builtin_scenarios
from carbonroute.scenario.written.faults import refuse
from carbonroute.scenario.written.load import validated
from carbonroute.scenario.written.mistaken import refuse_data, refuse_other
from carbonroute.scenario.written.names import Name, is_name
from carbonroute.scenario.written.places import Written
from carbonroute.scenario.written.sections import MAX_TEXT, Members
from carbonroute.spec import SCHEMA, SchemaVersion, Spec

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
    WORST,
    WORST_PCT,
    PER,
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
    number
        Its number, or None.
    changes
        Values that it sets in the scenario, by path.
    places
        The keys of the study file that state them, by path.
    """

    label: str
    number: int | float | None
    changes: Mapping[str, Any]
    places: Mapping[str, str] = field(default_factory=dict, compare=False)

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

    `values`: in the order of the file.
    `place`: the key of the study file that states it.
    """

    name: str
    values: tuple[Value, ...]
    place: str = field(default="", compare=False)

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
        Share of SLO violations up to which a policy counts as viable, 0…1, instead of the scenario's limit.
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

    schema_version: SchemaVersion = Field(alias="schema")
    name: Name
    description: str = Field(default="", max_length=MAX_TEXT)
    scenario: str
    engine: Literal["sampled", "exact", "queued"] | None = None
    replications: int | None = Field(default=None, ge=1)
    until: str | None = None
    max_violation: Annotated[float, Field(ge=0, le=1)] | None = None
    baseline: Name | None = None
    metrics: Members[str] = ()
    changes: dict[str, Any] = Field(default_factory=dict)
    grid: dict[str, Any] = Field(default_factory=dict)
    variants: Members[Variant] = ()

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

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the policy table that the results keep."""
        metrics = self.metrics or COLUMNS
        return tuple(name for name in COLUMNS if name in {*metrics, *KEPT} and name not in FIXED)


def tables_of(path: Path) -> dict[str, Any]:
    """Return the tables of a study file, unchecked.

    Raises InputError if it is no TOML, or a file of another kind.
    """
    if str(path) in builtin_scenarios() and not path.exists():
        remedy = f"run it: `carbonroute simulate {path}`"
        raise InputError(str(path), [Fault("", "is a built-in scenario, not a study", remedy, "wrong-file")])
    refuse_data(path, "a study")
    try:
        tables = parse(path)
    except InputError as error:
        raise Written(path).located(error) from error
    refuse_other(path, tables, "a study")
    return tables


def read(path: Path) -> StudyFile:
    """Read and check a study file.

    Raises InputError with all faults in it. Those of its cells are found by
    `carbonroute.study.cells.cells_of`.
    """
    return checked(tables_of(path), path)


def checked(tables: Mapping[str, Any], path: Path) -> StudyFile:
    """Return the study that the tables of a file spell.

    Raises InputError with all faults in them.
    """
    return validated(StudyFile, tables, str(path), path.parent, written=Written(path))


def mended(tables: Mapping[str, Any], error: InputError) -> tuple[StudyFile, dict[int, Variant]] | None:
    """Return what can be known of a faulty study: without its faulty keys, and its valid variants by number.

    None where it names no base scenario.
    """
    faulty = {re.split(r"[.\[]", fault.where)[0] for fault in error.faults}
    kept = {key: value for key, value in tables.items() if key not in faulty}
    variants = tables.get("variants")
    valid: dict[int, Variant] = {}
    for place, variant in enumerate(variants if isinstance(variants, list) else []):
        with suppress(ValidationError):
            valid[place] = Variant.model_validate(variant)
    try:
        file = StudyFile.model_validate({"schema": SCHEMA, "name": "x", **kept, "variants": []})
    except ValidationError:
        return None
    return file, valid


def axes_of(file: StudyFile, source: str) -> tuple[Axis, ...]:
    """Return the axes of the grid, then those of the variants; `source` names the file in errors.

    Raises InputError if an axis has no values, a name that is taken, or values with the same label.
    """
    axes, faults = axes_and_faults(file.grid, dict(enumerate(file.variants)))
    if faults:
        raise InputError(source, (fault for _, fault in faults))
    return axes


def axes_and_faults(
    grid: Mapping[str, Any], variants: Mapping[int, Variant]
) -> tuple[tuple[Axis, ...], list[tuple[str, Fault]]]:
    """Return the axes that can be known, and the faults of all, each with the key that it is of.

    `variants`: of the study file, by their numbers there.
    """
    faults: list[tuple[str, Fault]] = []
    stated: list[tuple[str, str, list[Any]]] = []
    for one in _of_grid(grid, faults):
        stated.append(one)
        if not _are_few([len(values) for _, _, values in stated], faults):
            return (), faults  # before the next axis takes memory, or any of them labels
    axes = [Axis(path, _labelled(path, place, values), place) for path, place, values in stated]
    by_axis: dict[str, list[Value]] = {}
    first: dict[str, str] = {}
    for index, variant in variants.items():
        place = f"variants[{index}]"
        value = Value(
            variant.label, None, by_path(variant.changes), places_of(variant.changes, f"{place}.changes")
        )
        by_axis.setdefault(variant.axis, []).append(value)
        first.setdefault(variant.axis, place)
    axes += [Axis(name, tuple(values), first[name]) for name, values in by_axis.items()]
    if not _are_few([len(axis.values) for axis in axes], faults):
        return (), faults
    wrong = list(_faults(axes))
    unfit = {fault.where for _, fault in wrong}
    return tuple(axis for axis in axes if axis.name not in unfit), faults + wrong


def _labelled(path: str, place: str, values: list[Any]) -> tuple[Value, ...]:
    """Return the values of an axis of the grid; each has a key of the file but those of a range."""
    stated = values if isinstance(values, _Steps) else list(enumerate(values))
    return tuple(
        Value(
            _text(value),
            _number(value),
            {path: value},
            {path: place if index is None else f"{place}[{index}]"},
        )
        for index, value in stated
    )


def _are_few(counts: Sequence[int], faults: list[tuple[str, Fault]]) -> bool:
    """Whether axes of so many values have few enough cells; note a fault if not."""
    total = math.prod(counts)
    if total > MAX_VALUES:
        remedy = f"at most {MAX_VALUES:,} are expected"
        faults.append(("grid", Fault("grid", f"{total:,} cells", remedy, "out-of-range")))
    return total <= MAX_VALUES


def by_path(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return changes as values by path: tables within tables set single keys.

    A table that states its kind (or law) replaces the existing table as a whole.

    >>> by_path({"network": {"jitter_std_ms": 3}, "carbon": {"kind": "file", "path": "a.csv"}})
    {'network.jitter_std_ms': 3, 'carbon': {'kind': 'file', 'path': 'a.csv'}}
    """
    return {path: value for path, _, value in _flat(changes, "")}


def places_of(changes: Mapping[str, Any], place: str) -> dict[str, str]:
    """Return the key of the study file that states each change, by path; `place` is that of all of them."""
    return {path: key for path, key, _ in _flat(changes, "", place)}


def _flat(changes: Mapping[str, Any], above: str, place: str = "") -> Iterator[tuple[str, str, Any]]:
    """Yield path, key in the file and value of each change."""
    for key, value in changes.items():
        path = f"{above}.{_in_path(key)}" if above else key
        stated = f"{place}.{key_text(key)}"
        if isinstance(value, dict) and not any(tag in value for tag in _TAGS):
            yield from _flat(value, path, stated)
        else:
            yield path, stated, value


def _in_path(key: str) -> str:
    return f'"{key}"' if set(key) & set('.[]"') else key


class _Steps(list[tuple[None, Any]]):
    """The numbers of a range, none of which the file states by itself."""


def _of_grid(
    grid: Mapping[str, Any], faults: list[tuple[str, Fault]], above: str = "", place: str = "grid"
) -> Iterator[tuple[str, str, list[Any]]]:
    """Yield path, key in the file and values of each axis; note the faults of the others."""
    for key, values in grid.items():
        path = f"{above}.{_in_path(key)}" if above else key
        stated = f"{place}.{key_text(key)}"
        fault: Fault | None = None
        if isinstance(values, dict) and set(values) in _RANGE:
            steps = _numbers(values, f"grid.{path}")
            if not isinstance(steps, Fault):
                yield path, stated, _Steps((None, number) for number in steps)
                continue
            fault = steps
        elif isinstance(values, dict):
            yield from _of_grid(values, faults, path, stated)
        elif isinstance(values, list):
            yield path, stated, values
        else:
            remedy = "an array of values is expected, or { from = 1, to = 10, step = 1 }"
            fault = Fault(f"grid.{path}", as_found(values), remedy, "wrong-type")
        if fault:
            faults.append((stated, fault))


def _numbers(steps: Mapping[str, Any], where: str) -> list[int | float] | Fault:
    """Return the numbers of a range, both ends included; or its fault."""
    first, last, step = steps["from"], steps["to"], steps.get("step", 1)
    if not all(isinstance(one, int | float) and not isinstance(one, bool) for one in (first, last, step)):
        return Fault(where, as_found(dict(steps)), "numbers are expected", "wrong-type")
    count = (last - first) / step + 1 if step else math.nan
    if not 1 <= count <= MAX_VALUES:
        remedy = f"a step that leads from one to the other is expected, with at most {MAX_VALUES:,} values"
        return Fault(where, as_found(dict(steps)), remedy, "out-of-range")
    whole = all(isinstance(one, int) for one in (first, last, step))
    # Rounded, so that ten steps of 0.1 are exactly 1.
    return [
        first + place * step if whole else float(f"{first + place * step:.12g}")
        for place in range(math.floor(count + 1e-9))
    ]


def _number(value: Any) -> int | float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


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


def _faults(axes: Sequence[Axis]) -> Iterator[tuple[str, Fault]]:
    """Yield the faults of axes, each with the key that it is of."""
    taken = {*FIXED, *COLUMNS, "n"}
    for place, axis in enumerate(axes):
        if axis.name in taken:
            remedy = "give the axis another name"
            yield axis.place, Fault(axis.name, "is a column of the results", remedy, "repeated-name")
        if axis.name in {one.name for one in axes[:place]}:
            problem, remedy = "is an axis of the grid and of variants", "axes must differ in name"
            yield axis.place, Fault(axis.name, problem, remedy, "repeated-name")
        if not is_name(axis.name):
            remedy = "give the values in variants, with an axis"
            yield axis.place, Fault(axis.name, "is no name of an axis", remedy)
        for value in axis.values:
            if not value.label.isprintable():
                remedy = "state it as a variant, with a label in printable characters"
                yield _place(axis, value), Fault(axis.name, as_found(value.label), remedy)
        if not axis.values:
            yield axis.place, Fault(axis.name, "has no values", "one value or more is expected")
        yield from _alike(axis)
    paths = [(path, axis) for axis in axes for path in dict.fromkeys(_paths(axis))]
    for place, (path, axis) in enumerate(paths):
        other = next((first for same, first in paths[:place] if same == path), None)
        if other is not None:
            problem = f"sets {path}, as axis {other.name} does"
            yield axis.place, Fault(axis.name, problem, "one axis per path is expected", "repeated-name")


def _alike(axis: Axis) -> Iterator[tuple[str, Fault]]:
    """Yield a fault for each value that has the label of an earlier one."""
    seen: dict[str, Mapping[str, Any]] = {}
    for value in axis.values:
        if value.label in seen:
            same = json.dumps(seen[value.label], default=str) == json.dumps(value.changes, default=str)
            problem = f"{value.label!r} stands there twice"
            remedy = "leave one out" if same else "tell them apart: state both as variants, with labels"
            yield _place(axis, value), Fault(axis.name, problem, remedy, "repeated-name")
        seen[value.label] = value.changes


def _place(axis: Axis, value: Value) -> str:
    """Return the key of the study file that states a value, or else its axis."""
    return next(iter(value.places.values()), axis.place)


def _paths(axis: Axis) -> Iterator[str]:
    for value in axis.values:
        yield from value.changes
