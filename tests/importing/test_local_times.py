"""Times without an offset where clocks change: if one lacks or comes twice, their zone is asked for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from carbonroute.errors import InputError
from helpers import logs
from helpers.logs import imported

_BERLIN = ZoneInfo("Europe/Berlin")
_SPRING, _AUTUMN = datetime(2025, 3, 29, 20, tzinfo=UTC), datetime(2025, 10, 25, 20, tzinfo=UTC)
_REMEDY = "; or, if times are local, state their zone: --time-zone$"


def _local(start: datetime) -> list[datetime]:
    return [(start + timedelta(hours=hour)).astimezone(_BERLIN) for hour in range(10)]


def _table(folder: Path, start: datetime) -> Path:
    rows = [f"{time:%Y-%m-%d %H:%M},eu,60" for time in _local(start)]
    return logs.write(folder / "t.csv", ["time,region,requests", *rows])


def _trace(folder: Path, start: datetime) -> Path:
    rows = [f"{time:%Y-%m-%d %H:%M:%S},eu,chat,80" for time in _local(start)]
    return logs.write(folder / "t.csv", ["time,region,model,latency_ms", *rows])


def _haproxy(folder: Path, start: datetime) -> Path:
    line = (
        "10.0.1.2:33317 [{:%d/%b/%Y:%H:%M:%S}.655] fe api/eu1 10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0"
    )
    rows = [line.format(time) + ' "POST /v1/chat HTTP/1.1"' for time in _local(start)]
    return logs.write(folder / "ha.log", rows)


@pytest.mark.parametrize(
    ("write", "start", "problem"),
    [
        (_table, _SPRING, "a row is missing"),
        (_trace, _SPRING, "a window is missing"),
        (_haproxy, _SPRING, "a window is missing"),
        (_table, _AUTUMN, "eu has this time twice"),
    ],
)
def test_the_zone_is_asked_for_and_mends_it(
    tmp_path: Path, write: Callable[[Path, datetime], Path], start: datetime, problem: str
) -> None:
    path = write(tmp_path, start)
    with pytest.raises(InputError, match=f"{problem}.*{_REMEDY}"):
        imported(path)
    rates = imported(path, time_zone="Europe/Berlin").rates
    assert (rates.hours, (rates.requests.sum(axis=1) > 0).all()) == (10, True)


def test_no_zone_is_asked_for_where_times_state_it(tmp_path: Path) -> None:
    rows = [f"2026-11-01T0{hour}:00Z,eu,60" for hour in (0, 1, 2, 4)]
    path = logs.write(tmp_path / "t.csv", ["time,region,requests", *rows])
    with pytest.raises(InputError, match="a row is missing") as caught:
        imported(path)
    assert "--time-zone" not in str(caught.value)
