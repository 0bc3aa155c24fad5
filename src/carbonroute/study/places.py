"""Where a fault of a study is written: in the study's own file, or in that of its base scenario."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

from carbonroute.errors import Fault, InputError
from carbonroute.files.toml_lines import line_of
from carbonroute.scenario.builtin import builtin_scenarios
from carbonroute.scenario.written.changes import canonical, changed
from carbonroute.scenario.written.places import Written, place_in

#: Between the keys and members of a place.
_STEP = re.compile(r"[.\[\]]+")


def in_study(path: Path, faults: Iterable[tuple[str, Fault]]) -> InputError | None:
    """Return the faults of a study file as one error, if there are any, each with its line.

    `faults`: each with the key of the file that it is of.
    """
    stated = list(faults)
    lines = Written(path).lines() or {} if stated else {}
    return (
        InputError(
            str(path), [replace(fault, line=fault.line or line_of(lines, key)) for key, fault in stated]
        )
        if stated
        else None
    )


@dataclass(frozen=True)
class ScenarioPlaces:
    """The files of a study's scenarios.

    Attributes
    ----------
    source, folder
        The base scenario as the study names it, and the folder of its paths.
    data
        Its tables, without any change.
    changes, stated
        Values that all cells set, by path, and the keys of the study file that state them.
    everywhere
        Place and problem of each fault that all cells have.
    """

    path: Path
    source: str
    folder: Path
    data: Mapping[str, Any]
    changes: Mapping[str, Any]
    stated: Mapping[str, str]
    everywhere: frozenset[tuple[str, str]] = field(default=frozenset())

    @property
    def base(self) -> str:
        """Name of the base scenario's file in errors."""
        base = self._file
        return self.source if base is None else str(base)

    @property
    def _file(self) -> Path | None:
        is_builtin = self.source in builtin_scenarios()
        return None if is_builtin else self.path.parent / self.source

    def located(
        self, error: InputError, changes: Mapping[str, Any], stated: Mapping[str, str], words: str
    ) -> InputError:
        """Return the faults of a cell's scenario, each with the file and line in which it is written.

        Parameters
        ----------
        error
            The faults, with their places in the scenario.
        changes, stated
            Values that the cell sets, by path, and the keys of the study file that state them.
        words
            The cell, for what is not so in all cells.
        """
        places = self._places(changes, stated)
        found = Written(self._file, tuple(places)).located(error, self.source)
        lines = Written(self.path).lines() or {}
        faults = []
        for fault in found.faults:
            file = found.file_of(fault)
            inner = None if self._file else place_in(self.data, file, fault.where)
            if file not in {self.base, self.source} and inner is None:
                faults.append(replace(fault, file=file))
                continue
            place = fault.where if inner is None else inner
            shared = (place, fault.found) in self.everywhere
            key = _key(place, places, below=self._file is None or not shared)
            if key is None and self._file is None:  # it is valid by itself: a change is the cause
                key = _nearest(place, places)
            where = f"{words}: {place}" if key or not shared else place
            if key is not None:
                faults.append(replace(fault, where=where, line=line_of(lines, key), file=str(self.path)))
            else:
                faults.append(replace(fault, where=where, file=self.base))
        joint = InputError(str(self.path), faults)
        joint.more |= error.more
        return joint

    def written(self, changes: Mapping[str, Any]) -> Written:
        """Return where a cell's scenario is written, but for the values that are set."""
        return Written(self._file, tuple(self._places(changes, dict.fromkeys(changes, ""))))

    def _places(self, changes: Mapping[str, Any], stated: Mapping[str, str]) -> dict[str, str]:
        """Return the key of the study file of each value that is set, by its place in the scenario."""
        keys = {**self.stated, **stated}
        places: dict[str, str] = {}
        data = self.data
        for path, value in {**self.changes, **changes}.items():
            try:
                (reached,) = canonical(data, {path: value}, self.source).values()
                places |= dict.fromkeys(reached, keys[path])
                data = changed(data, {path: value}, self.source)
            except InputError as error:  # it leads nowhere: the fault names how far it leads
                places |= {fault.where: keys[path] for fault in error.faults}
        return places


def _key(where: str, places: Mapping[str, str], *, below: bool) -> str | None:
    """Return the key of the study file that states a place of the scenario, or something `below` it."""
    above = [place for place in places if where == place or where.startswith((f"{place}.", f"{place}["))]
    if above:
        place = max(above, key=len)
        return places[place] + where[len(place) :]
    inner = [place for place in places if where and place.startswith((f"{where}.", f"{where}["))]
    return places[inner[-1]] if below and inner else None


def _nearest(where: str, places: Mapping[str, str]) -> str | None:
    """Return the key of the study file that states the value whose place has most in common with one.

    >>> _nearest("policies[3].label", {"policies[2].alpha": "a", "policies[3].alpha": "b", "horizon": "c"})
    'b'
    """

    def in_common(place: str) -> int:
        pairs = zip(_STEP.split(where), _STEP.split(place), strict=False)
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))

    return places[max(places, key=in_common)] if places else None
