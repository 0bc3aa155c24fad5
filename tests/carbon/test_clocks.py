"""Local times where clocks are put back: refused, or told apart by their order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from helpers import small
from helpers.carbon_sources import ask, refusal, says

NEW_YORK = ZoneInfo("America/New_York")
BACK = datetime(2021, 11, 7, 6, tzinfo=UTC)  # 1:00 EST, for the second time
LOCAL = 'time_zone = "America/New_York"\n'
ORDER = 'clocks_back = "in-order"\n'
ASKED = {"start": BACK - timedelta(hours=4), "hours": 8, "zones": ("A", "B")}


def stamps(step: timedelta) -> list[str]:
    """Return half a day of local times around the change, without offset."""
    first = BACK - timedelta(hours=6)
    times = (first + i * step for i in range(timedelta(hours=12) // step))
    return [time.astimezone(NEW_YORK).strftime("%Y-%m-%d %H:%M:%S") for time in times]


def wide(step: timedelta = timedelta(hours=1)) -> str:
    return "time,A,B\n" + "".join(f"{stamp},{100 + i},{200 + i}\n" for i, stamp in enumerate(stamps(step)))


def long() -> str:
    rows = enumerate(stamps(timedelta(hours=1)))
    return "time,zone,value\n" + "".join(f"{t},A,{100 + i}\n{t},B,{200 + i}\n" for i, t in rows)


@pytest.mark.parametrize(("text", "layout"), [(wide(), small.WIDE), (long(), small.LONG)])
def test_the_hour_that_comes_twice_is_told_apart_by_its_order(text: str, layout: str, tmp_path: Path) -> None:
    found = ask(tmp_path, text, layout + LOCAL + ORDER, **ASKED)
    assert found.g_per_kwh.tolist() == [[102 + i, 202 + i] for i in range(8)]
    count = 2 if layout == small.WIDE else 4
    assert found.notes == (
        f"carbon.csv: {count} local times told apart by their order where clocks are put back",
    )


def test_quarters_of_that_hour_too(tmp_path: Path) -> None:
    text = wide(timedelta(minutes=15))
    found = ask(tmp_path, text, f'{small.WIDE}{LOCAL}{ORDER}step = "15min"\n', **ASKED)
    assert found.g_per_kwh[:, 0].tolist() == [100 + 4 * (2 + i) + 1.5 for i in range(8)]


def test_without_the_rule_or_the_second_one_it_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path, wide(), small.WIDE + LOCAL, **ASKED)
    assert says(message, "2021-11-07T01:00:00 happens twice", "clocks_back = 'in-order'")
    lines = wide().splitlines(keepends=True)
    once = "".join(line for i, line in enumerate(lines) if i != 7)
    message = refusal(tmp_path, once, small.WIDE + LOCAL + ORDER, **ASKED)
    assert says(message, "happens twice", "stands here once only", "time_zone = 'UTC'")


def test_an_hour_that_never_comes_is_refused_all_the_same(tmp_path: Path) -> None:
    rows = "".join(f"2021-03-14 0{hour}:00:00,1{hour}0,200\n" for hour in range(6))
    asked = {**ASKED, "start": datetime(2021, 3, 14, 5, tzinfo=UTC), "hours": 4}
    message = refusal(tmp_path, "time,A,B\n" + rows, small.WIDE + LOCAL + ORDER, **asked)
    assert says(message, "2021-03-14T02:00:00 never happens", "leave line 4 out")
