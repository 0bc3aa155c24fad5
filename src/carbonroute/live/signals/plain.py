"""Plain CSV files of carbon values, read without the library for tables, whose code takes 55 MiB of memory.

What is not plain (quotes, marks, local times, words, patterns of names) is left to it, and so is every fault.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from carbonroute.carbon import FileSource
from carbonroute.carbon.files import CarbonFile
from carbonroute.live.signals.provider import Point
from carbonroute.units import G_PER_KWH

#: Longer files are none that somebody writes anew every few minutes.
_MAX_BYTES = 2**20
#: Times with their offset, and numbers, of which every reader makes the same.
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)", re.ASCII)
_NUMBER = re.compile(r"\d{1,9}(\.\d{1,6})?", re.ASCII)
_PATTERN = re.compile(r"[*?\[{]")
#: Keys of a file source that change how a row is read; their defaults are plain.
_KEYS = (
    "time_zone", "stamp", "start", "where", "clocks_back", "unit_column", "zone_units", "separator",
    "decimal", "thousands", "skip_rows",
)  # fmt: skip

Row = tuple[str, str, str]


class _NotPlainError(Exception):
    """A file, or how it is read, is not plain."""


def plain_points(source: FileSource, zones: Sequence[str], folder: Path) -> dict[str, list[Point]] | None:
    """Return the values of a plain file by zone, in its order; None where it is not plain.

    `folder`: the folder that its path is relative to.
    """
    try:
        rows = list(_rows(*_plain(source, folder), zones))
        points: dict[str, list[Point]] = {zone: [] for zone in zones}
        for time, zone, value in rows:
            points[zone].append(_point(time, value, source))
    except _NotPlainError:
        return None
    return points if all(points.values()) else None


def _plain(source: FileSource, folder: Path) -> tuple[CarbonFile, list[list[str]]]:
    """Return a plain source, and the fields of its lines."""
    if not isinstance(source, CarbonFile) or source.step.until_next or not isinstance(source.path, str):
        raise _NotPlainError
    fields = type(source).model_fields
    if any(getattr(source, key) != fields[key].get_default(call_default_factory=True) for key in _KEYS):
        raise _NotPlainError
    place = folder / source.path
    if _PATTERN.search(source.path) or place.suffix != ".csv" or not place.is_file():
        raise _NotPlainError
    try:
        with place.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        text = data.decode("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise _NotPlainError from error
    if len(data) > _MAX_BYTES or '"' in text or "\r" in text:
        raise _NotPlainError
    lines = [line.split(",") for line in text.removesuffix("\n").split("\n")]
    head = lines[0]
    if len(head) < 2 or len(set(head)) < len(head) or any(len(line) != len(head) for line in lines):
        raise _NotPlainError
    return source, lines


def _rows(source: CarbonFile, lines: list[list[str]], zones: Sequence[str]) -> Iterator[Row]:
    """Yield time, zone and value of each row, as text, of the zones that are asked for."""
    place = {name: index for index, name in enumerate(lines[0])}
    wide = source.layout == "wide"
    columns = {zone: zone + source.column_suffix if wide else source.value_column for zone in zones}
    needed = (source.time_column, *columns.values(), *(() if wide else (source.zone_column,)))
    if not all(name in place for name in needed):
        raise _NotPlainError
    time_at = place[str(source.time_column)]
    for line in lines[1:]:
        for zone, column in columns.items():
            if wide or line[place[str(source.zone_column)]] == zone:
                yield line[time_at], zone, line[place[str(column)]]


def _point(time: str, value: str, source: FileSource) -> Point:
    """Return a row's value."""
    unit = getattr(source, "unit", None)
    if not _TIME.fullmatch(time) or unit is None or (value and not _NUMBER.fullmatch(value)):
        raise _NotPlainError
    try:
        start = datetime.fromisoformat(time).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise _NotPlainError from error
    length = timedelta(minutes=source.step.minutes)
    return Point(start, start + length, float(value) * G_PER_KWH[unit] if value else None)
