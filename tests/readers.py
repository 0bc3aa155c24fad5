"""What the tests of carbon readers share: a query, and a file to read."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carbonroute.carbon.signal import Query
from carbonroute.carbon.source import FileSource, Readings

START = datetime(2024, 3, 1, tzinfo=UTC)
DATA = Path(__file__).parents[2] / "shared" / "data" / "carbon"


def query(
    folder: Path, *zones: str, start: datetime | None = START, hours: int = 2, history: int = 0
) -> Query:
    def no_dice() -> NDArray[np.float64]:
        raise AssertionError("a file needs no dice")

    return Query(
        regions=tuple(f"region {zone}" for zone in zones),
        zones=zones,
        mean_g_per_kwh=(None,) * len(zones),
        profiles=(None,) * len(zones),
        hours=hours,
        start=start,
        folder=folder,
        history_hours=history,
        reference=False,
        uniform=no_dice,
        normal=no_dice,
    )


def write(folder: Path, name: str, content: Any) -> str:
    """Write a file (what is no text is written as JSON) and return its name."""
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / name).write_text(text, encoding="utf-8")
    return name


def values(readings: Readings, zone: str) -> dict[str, float | None]:
    """Return a zone's values by the time that their intervals start at."""
    rows = readings.table.filter(readings.table["zone"] == zone).to_dicts()
    return {f"{row['time']:%Y-%m-%d %H:%M}": row["value"] for row in rows}


def loaded(member: type[FileSource], /, **keys: Any) -> FileSource:
    """Return a source as a scenario that spells these keys makes it."""
    return member.model_validate(keys)
