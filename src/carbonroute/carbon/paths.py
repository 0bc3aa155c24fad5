"""The files of a carbon source: by name, by pattern, and with each zone in the name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from carbonroute.carbon.signal import Query
from carbonroute.errors import Fault, InputError, did_you_mean
from carbonroute.files import patterns

#: Stands in a path for the zone whose values a file holds.
ZONE = "{zone}"


def _require_names(path: object) -> object:
    """Refuse what is no path, with one message where its two forms would each have their own."""
    names = path if isinstance(path, list | tuple) else [path]
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ValueError(f"found {path!r}; the name of a file is expected, or an array of names")
    return path


Name = Annotated[str, Field(min_length=1)]
#: A name or pattern, or several.
Names = Annotated[
    Name | Annotated[tuple[Name, ...], Field(strict=False, min_length=1)], BeforeValidator(_require_names)
]


@dataclass(frozen=True)
class DataFile:
    """One file of a source.

    `name`, `path`: its name in messages, as the scenario would give it, and where it is.
    `query`: of the regions whose values it may hold: where its name has a zone, those of that zone.
    """

    name: str
    path: Path
    query: Query


def names_of(path: str | tuple[str, ...]) -> tuple[str, ...]:
    """Return the names and patterns of a path."""
    return (path,) if isinstance(path, str) else path


def located(names: Sequence[str], query: Query) -> dict[str, DataFile]:
    """Return the files that names and patterns mean, by name.

    A name that a file has is that file. In others, ``*``, ``?`` and ``[…]`` stand for what they do in a
    shell, and ``{zone}`` for each zone of the query. A file that fits several zones is of the longest.

    `names`: as the scenario has them, relative to the query's folder.
    Raises InputError with each pattern, and each zone, that no file fits.
    """
    files: dict[str, DataFile] = {}
    faults: list[Fault] = []
    for name in names:
        if patterns.is_name(name, query.folder):
            files[name] = DataFile(name, query.folder / name, query)
        elif patterns.unknown_mark(name, [ZONE]):
            faults.append(_nothing(name, query))
        elif ZONE not in name:
            found = patterns.fitting(name, query.folder)
            files |= {each: DataFile(each, query.folder / each, query) for each in found}
            if not found:
                faults.append(_nothing(name, query))
        else:
            of_zones, missing = _of_zones(name, query)
            files |= of_zones
            faults += missing
    if faults:
        raise InputError(", ".join(names), sorted(faults, key=lambda fault: fault.where))
    return files


def _of_zones(pattern: str, query: Query) -> tuple[dict[str, DataFile], list[Fault]]:
    """Return the files of each zone of a query, and a fault for each zone that has none."""
    files: dict[str, DataFile] = {}
    faults: list[Fault] = []
    zones = sorted(dict.fromkeys(query.zones), key=len, reverse=True)
    named = patterns.shared_out(pattern, [{ZONE: zone} for zone in zones], query.folder)
    for zone, found in zip(zones, named, strict=True):
        rows = [row for row, other in enumerate(query.zones) if other == zone]
        one = query.part(rows, query.key)
        files |= {each: DataFile(each, query.folder / each, one) for each in found}
        if not found:
            known = patterns.words_in(pattern, ZONE, query.folder)
            remedy = (
                did_you_mean(zone, known) if known else patterns.remedy_for_nothing(pattern, query.folder)
            )
            problem = f"there is no file {pattern.replace(ZONE, zone)!r}"
            faults.append(Fault(f"{query.place(rows[0])}.zone", problem, remedy))
    return files, faults


def only_zone(query: Query, file_name: str) -> str:
    """Return the zone of a file that names none: the only one that is asked for.

    Raises InputError if several zones are.
    """
    zones = list(dict.fromkeys(query.zones))
    if len(zones) > 1:
        found = f"missing, and {len(zones)} zones are asked for: {', '.join(zones[:5])}"
        remedy = f"state it, or {ZONE} in path, such as 'grid/{ZONE}.csv'"
        if not query.key.endswith(".forecast"):  # forecasts are of all regions
            remedy += f", or one source per region: [[regions]] carbon = {{ path = {file_name!r} }}"
        raise InputError(file_name, [Fault(f"{query.key}.zone_column", found, remedy)])
    return zones[0]


def _nothing(pattern: str, query: Query) -> Fault:
    """Return the fault of a pattern that no file fits."""
    if braces := patterns.unknown_mark(pattern, [ZONE]):
        remedy = f"{ZONE} alone is known: write * for what else differs"
        return Fault(f"{query.key}.path", f"found {braces} in {pattern!r}", remedy)
    remedy = patterns.remedy_for_nothing(pattern, query.folder)
    return Fault(f"{query.key}.path", f"no file fits {pattern!r}", remedy)
