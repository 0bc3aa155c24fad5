"""The files of a carbon source: by name, by pattern, and with each zone in the name."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from carbonroute.carbon.signal import Query
from carbonroute.errors import Fault, InputError, did_you_mean

#: Stands in a path for the zone whose values a file holds.
ZONE = "{zone}"


@dataclass(frozen=True)
class DataFile:
    """One file of a source.

    Attributes
    ----------
    name, path
        Its name in messages, as the scenario would give it, and where it is.
    query
        Of the regions whose values it may hold: where its name has a zone, those of that zone.
    """

    name: str
    path: Path
    query: Query


def located(names: Sequence[str], query: Query) -> dict[str, DataFile]:
    """Return the files that names and patterns mean, by name.

    A name that a file has is that file. In others, ``*``, ``?`` and ``[…]`` stand for what they do in a
    shell, and ``{zone}`` for each zone of the query. A file that fits several zones is of the longest.

    Parameters
    ----------
    names
        As the scenario has them, relative to the query's folder.
    query
        Regions and zones.

    Raises
    ------
    InputError
        With each pattern, and each zone, that no file fits.
    """
    files: dict[str, DataFile] = {}
    faults: list[Fault] = []
    longest_first = sorted(dict.fromkeys(query.zones), key=len, reverse=True)
    for name in names:
        if _is_name(name, query.folder):
            files[name] = DataFile(name, query.folder / name, query)
        elif re.search(r"\{\w*\}", name.replace(ZONE, "")):
            faults.append(_nothing(name, query))
        elif ZONE not in name:
            found = _matches(name, query.folder)
            files |= {each: DataFile(each, query.folder / each, query) for each in found}
            if not found:
                faults.append(_nothing(name, query))
        else:
            taken: set[str] = set()
            for zone in longest_first:
                rows = [row for row, other in enumerate(query.zones) if other == zone]
                one = query.part(rows, query.key)
                found = [each for each in _of_zone(name, zone, query.folder) if each not in taken]
                taken.update(found)
                files |= {each: DataFile(each, query.folder / each, one) for each in found}
                if not found:
                    remedy = did_you_mean(zone, _zones_in(name, query.folder))
                    wanted = name.replace(ZONE, zone)
                    faults.append(
                        Fault(f"{query.place(rows[0])}.zone", f"there is no file {wanted!r}", remedy)
                    )
    if faults:
        raise InputError(", ".join(names), sorted(faults, key=lambda fault: fault.where))
    return files


def only_zone(query: Query, file_name: str) -> str:
    """Return the zone of a file that names none: the only one that is asked for.

    Raises
    ------
    InputError
        If several zones are.
    """
    zones = list(dict.fromkeys(query.zones))
    if len(zones) > 1:
        found = f"missing, and {len(zones)} zones are asked for: {', '.join(zones[:5])}"
        remedy = (
            f"state it, or {ZONE} in path, such as 'grid/{ZONE}.csv', or one source per region: "
            f"[[regions]] carbon = {{ path = {file_name!r} }}"
        )
        raise InputError(file_name, [Fault(f"{query.key}.zone_column", found, remedy)])
    return zones[0]


def _is_name(name: str, folder: Path) -> bool:
    """Whether a name is no pattern, or there is a file of this very name."""
    return not (ZONE in name or re.search(r"[*?\[]|\{\w*\}", name)) or (folder / name).is_file()


def _of_zone(pattern: str, zone: str, folder: Path) -> list[str]:
    exact = pattern.replace(ZONE, zone)
    return (
        [exact] if (folder / exact).is_file() else _matches(pattern.replace(ZONE, glob.escape(zone)), folder)
    )


def _matches(pattern: str, folder: Path) -> list[str]:
    return sorted(name for name in glob.glob(pattern, root_dir=folder) if (folder / name).is_file())  # noqa: PTH207  Path.glob takes no absolute patterns


def _zones_in(pattern: str, folder: Path) -> list[str]:
    """Return the zones for which there are files."""
    parts = re.split(r"(\{zone\}|\*|\?)", pattern)
    words = {ZONE: "(?P<zone>[^/]+)", "*": "[^/]*", "?": "[^/]"}
    first = parts.index(ZONE)
    regex = "".join(
        words.get(part, re.escape(part)) if place <= first or part != ZONE else "(?P=zone)"
        for place, part in enumerate(parts)
    )
    names: Iterator[re.Match[str] | None] = (
        re.fullmatch(regex, name) for name in _matches(pattern.replace(ZONE, "*"), folder)
    )
    return sorted({match["zone"] for match in names if match})


def _nothing(pattern: str, query: Query) -> Fault:
    """Return the fault of a pattern that no file fits."""
    if braces := re.search(r"\{\w*\}", pattern.replace(ZONE, "")):
        remedy = f"{ZONE} alone is known: write * for what else differs"
        return Fault(f"{query.key}.path", f"found {braces[0]} in {pattern!r}", remedy)
    near = _matches(str(Path(pattern).parent / "*"), query.folder)
    return Fault(f"{query.key}.path", f"no file fits {pattern!r}", did_you_mean(pattern, near))
