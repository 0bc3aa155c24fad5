"""Believed values on disk, so that a restart does not begin without any."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from carbonroute.errors import CarbonrouteError, InputError, described
from carbonroute.files.folder import move, read_file, write_whole
from carbonroute.files.strict_json import parse_json
from carbonroute.live.signals.provider import Point

_SCHEMA = 1
_MAX_BYTES = 16 * 2**20


class DamagedError(CarbonrouteError):
    """A cache does not hold what was written into it."""


def write(folder: Path, name: str, key: str, points: Mapping[str, Sequence[Point]]) -> None:
    """Write values by zone into a file, whole or not at all.

    `folder`, `name`: where; the folder is made.
    `key`: whose values they are, and what they count; values of another key are not read.
    Raises OSError if it cannot be written.
    """
    values = {
        zone: [
            [each.start.timestamp(), each.end.timestamp(), each.g_per_kwh]
            for each in of_zone
            if each.g_per_kwh is not None
        ]
        for zone, of_zone in points.items()
    }
    body = json.dumps({"key": key, "points": values}, sort_keys=True)
    digest = hashlib.sha256(body.encode()).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    data = json.dumps({"schema": _SCHEMA, "sha256": digest, "body": body}).encode()
    write_whole(folder, name, data)


def read(folder: Path, name: str, key: str) -> dict[str, list[Point]]:
    """Return the values of a file by zone; none where there is no file, or it is of another key.

    Raises DamagedError if it is not as it was written. It has another name then, and is not read again.
    """
    if not (folder / name).exists():
        return {}
    try:
        body = _body(read_file(folder, name, _MAX_BYTES), name)
        if body["key"] != key:
            return {}
        return {zone: [_point(*each) for each in of_zone] for zone, of_zone in body["points"].items()}
    except (
        CarbonrouteError,
        AttributeError,
        KeyError,
        TypeError,
        ValueError,
        OverflowError,
        OSError,
    ) as error:
        aside = f"{name}.damaged"
        with suppress(OSError):
            move(folder, name, aside)
        raise DamagedError(
            f"{folder / name}: is damaged ({described(error)}); it was set aside as {aside}"
        ) from error


def _body(data: bytes, name: str) -> Any:
    content = parse_json(data, name)
    if content["schema"] != _SCHEMA:
        raise ValueError(f"schema {content['schema']}")
    if hashlib.sha256(content["body"].encode()).hexdigest() != content["sha256"]:
        raise ValueError("its digest is another")
    try:
        return parse_json(content["body"].encode(), name)
    except InputError as error:
        raise ValueError(str(error)) from error


def _point(start_s: float, end_s: float, g_per_kwh: float) -> Point:
    if not (math.isfinite(g_per_kwh) and start_s < end_s):
        raise ValueError("no value")
    return Point(datetime.fromtimestamp(start_s, UTC), datetime.fromtimestamp(end_s, UTC), g_per_kwh)
