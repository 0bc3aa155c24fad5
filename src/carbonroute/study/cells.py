"""The cells of a study: every combination of its axes, each with the digest of its full scenario."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from carbonroute.errors import MAX_FAULTS, Fault, InputError, did_you_mean
from carbonroute.runs.run_plan import RunPlan
from carbonroute.scenario import Scenario
from carbonroute.scenario.written.changes import changed
from carbonroute.scenario.written.load import checked, tables
from carbonroute.study import file as study_file
from carbonroute.study.file import Axis, StudyFile, Value
from carbonroute.study.folder import CELLS


@dataclass(frozen=True)
class Base:
    """The base scenario and settings of a study; sent to a worker with each cell.

    Attributes
    ----------
    file
        The study.
    data
        The tables of its base scenario, as in TOML, with the changes common to all cells.
    source
        Name of the source, for errors.
    folder
        Folder that paths are relative to.
    code
        Whether code of others may be run: policies of files, modules and installed packages.
    """

    file: StudyFile
    data: Mapping[str, Any]
    source: str
    folder: Path
    code: bool = True

    def scenario(self, changes: Mapping[str, Any]) -> Scenario:
        """Return a cell's scenario.

        Raises
        ------
        InputError
            If there can be no such scenario.
        """
        return checked(self.data, self.source, self.folder, changes, code=self.code)


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

    Attributes
    ----------
    path
        Its file.
    base
        Its base scenario and settings.
    axes
        The axes of its grid.
    cells
        All of them, in the grid's order.
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


def read(path: Path, progress: Callable[[int, int], None] | None = None, *, code: bool = True) -> Study:
    """Read a study file and check all of its cells; `progress` gets the number checked, and of all.

    Raises
    ------
    InputError
        With all faults of the file, or of its cells.
    """
    source = str(path)
    file = study_file.read(path)
    axes = study_file.axes_of(file, source)
    RunPlan.read(file.engine or "sampled", 1, file.replications, file.until)
    data, folder = tables(file.scenario, path.parent.absolute())  # workers may be begun elsewhere
    base = Base(file, data, file.scenario, folder, code)
    base = replace(base, data=_with_changes(base, source))
    return Study(path, base, axes, cells_of(base, axes, source, progress))


def _with_changes(base: Base, source: str) -> dict[str, Any]:
    return changed(base.data, base.file.changes, f"{source}: changes")


def cells_of(
    base: Base, axes: Sequence[Axis], source: str, progress: Callable[[int, int], None] | None = None
) -> tuple[Cell, ...]:
    """Return all combinations of axes, checked.

    Raises
    ------
    InputError
        With the faults of cells: each fault once, with the first cell that has it.
    """
    total = math.prod(len(axis.values) for axis in axes)
    cells: list[Cell] = []
    faults: dict[tuple[str, str], Fault] = {}
    seen: dict[str, int] = {}
    for index, values in enumerate(combinations(axes)):
        cell = Cell(index, "", values)
        try:
            scenario = base.scenario(cell.changes)
        except InputError as error:
            for fault in error.faults:
                where = f"{in_words(cell, axes)}: {fault.where}"
                faults.setdefault((fault.where, fault.found), Fault(where, fault.found, fault.remedy))
        else:
            cell = Cell(index, digest(scenario), values)
            faults |= _faults(base, cell, scenario, seen, axes)
            seen.setdefault(cell.digest, index)
            cells.append(cell)
        if len(faults) > MAX_FAULTS:
            break
        if progress:
            progress(index + 1, total)
    if faults:
        raise InputError(source, faults.values())
    return tuple(cells)


def combinations(axes: Sequence[Axis]) -> Iterator[tuple[Value, ...]]:
    """Yield the values of each cell on the axes; the last axis varies fastest."""
    if not axes:
        yield ()
        return
    for value in axes[0].values:
        for rest in combinations(axes[1:]):
            yield (value, *rest)


def _faults(
    base: Base, cell: Cell, scenario: Scenario, seen: Mapping[str, int], axes: Sequence[Axis]
) -> dict[tuple[str, str], Fault]:
    """Return the faults of a cell whose scenario is valid by itself."""
    faults: dict[tuple[str, str], Fault] = {}
    if cell.digest in seen:
        text = f"is the same scenario as cell {seen[cell.digest]}"
        faults["digest", ""] = Fault(in_words(cell, axes), text, "leave out changes without effect")
    labels = [entry.shown for entry in scenario.policies]
    if base.file.baseline and base.file.baseline not in labels:
        text = f"there is no policy {base.file.baseline!r} in {in_words(cell, axes)}"
        faults["baseline", ""] = Fault("baseline", text, did_you_mean(base.file.baseline, labels))
    return faults


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
