"""The cells of a study: every combination of its axes, each with the digest of its full scenario."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from carbonroute.errors import MAX_FAULTS, Fault, InputError, did_you_mean
from carbonroute.runs.run_plan import RunPlan
from carbonroute.scenario import Scenario, resolve
from carbonroute.scenario.loading import examined
from carbonroute.scenario.written.changes import changed, members_called, parts
from carbonroute.scenario.written.load import checked, tables
from carbonroute.study import file as study_file
from carbonroute.study.file import Axis, StudyFile, Value, by_path, places_of
from carbonroute.study.folder import CELLS
from carbonroute.study.places import ScenarioPlaces, in_study


@dataclass(frozen=True)
class Base:
    """The base scenario and settings of a study; sent to a worker with each cell.

    `data`: the tables of its base scenario, as in TOML, with the changes common to all cells.
    `code`: whether code of others may be run: policies of files, modules and installed packages.
    """

    file: StudyFile
    data: Mapping[str, Any]
    source: str
    folder: Path
    code: bool = True

    def scenario(self, changes: Mapping[str, Any]) -> Scenario:
        """Return a cell's scenario.

        A policy whose parameter changes from cell to cell keeps one label in all of them: its name without
        the parameters in parentheses behind it, where no other policy has that name.

        Raises InputError if there can be no such scenario.
        """
        scenario = checked(self.data, self.source, self.folder, changes, code=self.code)
        labels = dict(self._steady_labels(scenario, changes))
        if labels:
            scenario = checked(self.data, self.source, self.folder, {**changes, **labels}, code=self.code)
        return scenario.within(self.file.max_violation)

    def _steady_labels(self, scenario: Scenario, changes: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Yield the label of each policy with a changed parameter whose name states parameters, by path."""
        entries = changed(self.data, changes, self.source).get("policies", [])
        varied: set[int] = set()
        for path in map(parts, changes):
            if len(path) > 2 and path[0] == "policies" and isinstance(path[1], tuple):
                varied.update(members_called(entries, path[1][0], self.source, "policies"))
        names = [entry.shown for entry in scenario.policies]
        short = [_PARAMETERS.sub("", name) if place in varied else name for place, name in enumerate(names)]
        for place in sorted(varied):
            steady = short[place] not in names and short.count(short[place]) == 1
            if steady and scenario.policies[place].label is None:
                yield f"policies[{place}].label", short[place]


#: Parameters that a policy states behind its name.
_PARAMETERS = re.compile(r" \([^()]*\)$")


@dataclass(frozen=True)
class Cell:
    """One scenario of a study.

    Attributes
    ----------
    index
        Its index in the grid, from 0; the last axis varies fastest.
    digest
        SHA-256 of its full scenario, in hexadecimal.
    values
        Its value on each axis.
    """

    index: int
    digest: str
    values: tuple[Value, ...]

    @property
    def changes(self) -> dict[str, Any]:
        """Values that it sets in the base scenario, by path."""
        return {path: value for one in self.values for path, value in one.changes.items()}


@dataclass(frozen=True)
class Study:
    """A study that can be run: all of its cells have a valid scenario.

    `cells`: all of them, in the grid's order.
    """

    path: Path
    base: Base
    axes: tuple[Axis, ...]
    cells: tuple[Cell, ...]

    @property
    def file(self) -> StudyFile:
        """The study file."""
        return self.base.file

    @property
    def settings(self) -> dict[str, Any]:
        """The identity of a study: one with other settings cannot resume in its folder."""
        stated = self.file.model_dump(mode="json", by_alias=True, exclude_none=True)
        axes = {axis.name: [value.stated for value in axis.values] for axis in self.axes}
        left = {name: value for name, value in stated.items() if name not in {"changes", "grid", "variants"}}
        scenario = self.base.scenario(self.cells[0].changes)
        return {
            **left,
            "axes": axes,
            "first_scenario": dump(scenario),
            CELLS: hashlib.sha256("".join(cell.digest for cell in self.cells).encode()).hexdigest(),
        }


def read(
    path: Path,
    progress: Callable[[int, int], None] | None = None,
    *,
    code: bool = True,
    data: bool = False,
) -> Study:
    """Read a study file and check all of its cells.

    `progress`: called with the number of cells checked, and of all.
    `data`: whether to read the data files too: those of the first cell, and of each that differs from it by
    one value of an axis. They are read where there are other faults, for the first cell alone.
    Raises InputError with all faults of the file, of its base scenario, of its cells and of those data.
    """
    return _StudyFaults(path, code).study(progress, data=data)


class _StudyFaults:
    """The faults of a study, as far as they can be known with those that there are already."""

    def __init__(self, path: Path, code: bool) -> None:
        self.path, self.code = path, code
        self.errors: list[InputError] = []

    def study(self, progress: Callable[[int, int], None] | None, *, data: bool) -> Study:
        """Return the study, or raise all of its faults."""
        file, axes = self._file_and_axes()
        base, places = self._base(file) if file else (None, None)
        cells: tuple[Cell, ...] = ()
        if base and places:
            checked_cells = _Cells(base, axes, places)
            cells = checked_cells.all(progress, alone=not self.errors)
            told = [*self.errors, *checked_cells.errors]
            if (data or told) and not any(error.more for error in told):
                checked_cells.read_data(every_value=data)
            self.errors += checked_cells.errors
        if self.errors or base is None:
            raise (
                self.errors[0] if len(self.errors) == 1 else InputError.together(str(self.path), self.errors)
            )
        return Study(self.path, base, axes, cells)

    def _file_and_axes(self) -> tuple[StudyFile | None, tuple[Axis, ...]]:
        tables = study_file.tables_of(self.path)
        try:
            file = study_file.checked(tables, self.path)
            variants = dict(enumerate(file.variants))
        except InputError as error:
            self.errors.append(error)
            known = study_file.mended(tables, error)
            if known is None:
                return None, ()
            file, variants = known
        axes, faults = study_file.axes_and_faults(file.grid, variants)
        try:
            RunPlan.read(file.engine or "sampled", 1, file.replications, file.until)
        except InputError as error:
            faults += [(error.source, replace(fault, where=error.source)) for fault in error.faults]
        if wrong := in_study(self.path, faults):
            self.errors.append(wrong)
        return file, axes

    def _base(self, file: StudyFile) -> tuple[Base | None, ScenarioPlaces | None]:
        try:
            data, folder = tables(
                file.scenario, self.path.parent.absolute()
            )  # workers may be begun elsewhere
        except InputError as error:
            self.errors.append(self._of_base(file, error))
            return None, None
        changes = by_path(file.changes)
        stated = places_of(file.changes, "changes")
        places = ScenarioPlaces(self.path, file.scenario, folder, data, changes, stated)
        faults = []
        for change, value in changes.items():
            try:
                data = changed(data, {change: value}, file.scenario)
            except InputError as error:
                faults += [
                    (stated[change], replace(fault, where=fault.where or change)) for fault in error.faults
                ]
        if wrong := in_study(self.path, faults):
            self.errors.append(wrong)
        return Base(file, data, file.scenario, folder, self.code), places

    def _of_base(self, file: StudyFile, error: InputError) -> InputError:
        """Return the faults of a base scenario that cannot be read: no such file is one of the study."""
        if all(fault.id in {"unreadable-file", "wrong-file"} for fault in error.faults):
            faults = [
                ("scenario", replace(fault, where="scenario", found=f"{file.scenario!r}: {fault.found}"))
                for fault in error.faults
            ]
            return in_study(self.path, faults) or error
        return error


class _Cells:
    """The cells of a study while they are checked.

    `errors`: those of the cells, each fault once, with the first cell that has it.
    """

    def __init__(self, base: Base, axes: Sequence[Axis], places: ScenarioPlaces) -> None:
        self.base, self.axes = base, axes
        self.errors: list[InputError] = []
        self._places = places
        self._told: set[tuple[object, ...]] = set()
        self._faults: list[tuple[str, Fault]] = []

    def all(self, progress: Callable[[int, int], None] | None, *, alone: bool) -> tuple[Cell, ...]:
        """Return the cells that have no fault; where others were found before, `alone` is false."""
        total = math.prod(len(axis.values) for axis in self.axes)
        cells: list[Cell] = []
        seen: dict[str, int] = {}
        for index, values in enumerate(combinations(self.axes)):
            cell = Cell(index, "", values)
            try:
                scenario = self.base.scenario(cell.changes)
            except InputError as error:
                self._note(cell, error)
            else:
                cell = Cell(index, digest(scenario), values)
                self._compare(cell, scenario, seen if alone else {})
                seen.setdefault(cell.digest, index)
                cells.append(cell)
            if len(self._told) > MAX_FAULTS:
                break
            if progress:
                progress(index + 1, total)
        if wrong := in_study(self._places.path, self._faults):
            self.errors.append(wrong)
        return tuple(cells)

    def read_data(self, *, every_value: bool) -> None:
        """Note the faults of the first cell's data; with `every_value`, of each value of an axis too."""
        for cell in self._representatives() if every_value else [Cell(0, "", self._first)]:
            try:
                data = changed(self.base.data, cell.changes, self.base.source)
                written = self._places.written(cell.changes)
                resolve(examined(data, self.base.source, self.base.folder, written, code=self.base.code))
            except InputError as error:
                self._note(cell, error)

    @property
    def _first(self) -> tuple[Value, ...]:
        return tuple(axis.values[0] for axis in self.axes)

    def _representatives(self) -> Iterator[Cell]:
        """Yield the first cell, and those that differ from it by one value that is more than a seed."""
        yield Cell(0, "", self._first)
        counts = [len(axis.values) for axis in self.axes]
        for place, axis in enumerate(self.axes):
            for number, value in enumerate(() if axis.averaged else axis.values):
                if number:
                    values = (*self._first[:place], value, *self._first[place + 1 :])
                    yield Cell(number * math.prod(counts[place + 1 :]), "", values)

    @cached_property
    def _everywhere(self) -> frozenset[tuple[str, str]]:
        """Place and problem of each fault of the base scenario by itself."""
        try:
            self.base.scenario({})
        except InputError as error:
            return frozenset((fault.where, fault.found) for fault in error.faults)
        return frozenset()

    def _located(self, cell: Cell, error: InputError) -> InputError:
        stated = {path: place for one in cell.values for path, place in one.places.items()}
        places = replace(self._places, everywhere=self._everywhere)
        told = InputError(error.source, [_told_apart(fault, cell.changes) for fault in error.faults])
        told.more = error.more
        return places.located(told, cell.changes, stated, in_words(cell, self.axes))

    def _note(self, cell: Cell, error: InputError) -> None:
        """Note those of the faults of a cell that no cell before it had."""
        ours = {self._places.base, self._places.source}
        fresh = {
            key: fault
            for fault in error.faults
            if (key := (error.file_of(fault) in ours or error.file_of(fault), fault.where, fault.found))
            not in self._told
        }
        self._told.update(fresh)
        if fresh:
            self.errors.append(self._located(cell, InputError(error.source, fresh.values())))

    def _compare(self, cell: Cell, scenario: Scenario, seen: Mapping[str, int]) -> None:
        """Note the faults of a cell whose scenario is valid by itself."""
        if cell.digest in seen and ("digest",) not in self._told:
            self._told.add(("digest",))
            text, remedy = (
                f"is the same scenario as cell {seen[cell.digest]}",
                "leave out changes without effect",
            )
            place = next((place for one in cell.values for place in one.places.values()), "grid")
            self._faults.append((place, Fault(in_words(cell, self.axes), text, remedy)))
        labels = [entry.shown for entry in scenario.policies]
        baseline = self.base.file.baseline
        if baseline and baseline not in labels and ("baseline",) not in self._told:
            self._told.add(("baseline",))
            text = f"there is no policy {baseline!r} in {in_words(cell, self.axes)}"
            self._faults.append(
                ("baseline", Fault("baseline", text, did_you_mean(baseline, labels), "unknown-name"))
            )


def combinations(axes: Sequence[Axis]) -> Iterator[tuple[Value, ...]]:
    """Yield the values of each cell on the axes; the last axis varies fastest."""
    if not axes:
        yield ()
        return
    for value in axes[0].values:
        for rest in combinations(axes[1:]):
            yield (value, *rest)


def in_words(cell: Cell, axes: Sequence[Axis]) -> str:
    """Return a cell's index and values in words."""
    places = ", ".join(f"{axis.name} = {value.label}" for axis, value in zip(axes, cell.values, strict=True))
    return f"cell {cell.index} ({places})" if places else f"cell {cell.index}"


def dump(scenario: Scenario) -> dict[str, Any]:
    """Return a scenario as JSON, with all defaults."""
    return scenario.model_dump(mode="json", by_alias=True, exclude_none=True)


def digest(scenario: Scenario) -> str:
    """Return the SHA-256 of a scenario with all its defaults, in hexadecimal."""
    text = json.dumps(dump(scenario), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _told_apart(fault: Fault, changes: Mapping[str, object]) -> Fault:
    """Return a fault of policies that a change has made alike with the remedy that changes one of them."""
    alike = re.fullmatch(r"policies\[(\d+)\]\.label", fault.where) if fault.id == "repeated-name" else None
    path = next((path for path in changes if re.match(r"policies\[[^\]]*\D[^\]]*\]", path)), None)
    if alike is None or path is None:
        return fault
    one = re.sub(r"\[[^\]]*\]", f"[{alike[1]}]", path, count=1)
    return replace(fault, remedy=f"{path} changes every policy of that use: {one} changes this one alone")
