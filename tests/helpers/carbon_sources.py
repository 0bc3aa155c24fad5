"""What tests of carbon sources share: files, queries for their hours, and asking a source directly."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from carbonroute.arrays import Array
from carbonroute.carbon import Query, Signal
from carbonroute.carbon.files import CarbonFile
from carbonroute.carbon.signal import GridDice
from carbonroute.carbon.source import CarbonReadings, FileSource
from carbonroute.errors import InputError
from helpers import small
from helpers.refusals import has_parts

START = datetime(2021, 1, 1, tzinfo=UTC)
MARCH = datetime(2024, 3, 1, tzinfo=UTC)
DATA = Path(__file__).parents[3] / "shared" / "data" / "carbon"


def query(folder: Path = Path(), **changes: Any) -> Query:
    """Return a query for 6 hours of regions A and B from 2021-01-01, changed."""
    zones = tuple(changes.get("zones", ("A", "B")))
    shape = len(zones), changes.get("hours", 6) + changes.get("history_hours", 0)
    given: dict[str, Any] = {
        "regions": zones,
        "zones": zones,
        "mean_g_per_kwh": (None,) * len(zones),
        "profiles": (None,) * len(zones),
        "hours": 6,
        "start": START,
        "folder": folder,
        "history_hours": 0,
        "reference": False,
        "uniform": lambda: np.full(shape, 0.5),
        "normal": lambda: np.zeros(shape),
        "grid_dice": lambda _, days: GridDice(np.zeros((len(zones), days)), np.zeros((len(zones), days, 24))),
    }
    return Query(**{**given, **changes})


def march(folder: Path, *zones: str, **changes: Any) -> Query:
    """Return a query for the first two hours of March 2024, changed; it has no dice to give."""

    def no_dice() -> Array:
        raise AssertionError("a file needs no dice")

    given: dict[str, Any] = {"start": MARCH, "hours": 2, "uniform": no_dice, "normal": no_dice}
    return query(folder, zones=zones, **{**given, **changes})


def source(section: str) -> CarbonFile:
    """Return the source that a section of a scenario spells."""
    return CarbonFile.model_validate(tomllib.loads(section))


def ask(folder: Path, data: str | bytes, section: str = small.WIDE, **changes: Any) -> Signal:
    """Write a carbon file and return what the section's source makes of it."""
    asked = source(section)
    assert isinstance(asked.path, str)
    (folder / asked.path).write_bytes(data.encode() if isinstance(data, str) else data)
    return asked.signal(query(folder, **changes))


def write(folder: Path, name: str, content: Any) -> str:
    """Write a file (what is no text is written as JSON) and return its name."""
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / name).write_text(text, encoding="utf-8")
    return name


def values(readings: CarbonReadings, zone: str) -> dict[str, float | None]:
    """Return a zone's values by the time that their intervals start at."""
    rows = readings.table.filter(readings.table["zone"] == zone).to_dicts()
    return {f"{row['time']:%Y-%m-%d %H:%M}": row["value"] for row in rows}


def loaded(member: type[FileSource], /, **keys: Any) -> FileSource:
    """Return a source as a scenario that spells these keys makes it."""
    return member.model_validate(keys)


def refusal(folder: Path, data: str | bytes, section: str = small.WIDE, **changes: Any) -> str:
    """Return the message with which a file is refused; every fault has a place, a finding and a remedy."""
    with pytest.raises(InputError) as caught:
        ask(folder, data, section, **changes)
    message = str(caught.value)
    faults = message.splitlines()
    assert all(has_parts(fault) for fault in (faults[1:] or faults)), message
    return message


def says(message: str, *words: str) -> bool:
    """Whether one line of a message has all these words."""
    return any(all(word in line for word in words) for line in message.splitlines())


def table(
    values: Mapping[str, Sequence[float | str | None]], start: datetime = START, minutes: int = 60
) -> str:
    """Return a wide file of zones and their values; None is an empty field."""
    lines = [f"time,{','.join(values)}"]
    for i, row in enumerate(zip(*values.values(), strict=True)):
        fields = ["" if value is None else str(value) for value in row]
        lines.append(",".join([(start + timedelta(minutes=minutes * i)).isoformat(), *fields]))
    return "\n".join(lines) + "\n"
