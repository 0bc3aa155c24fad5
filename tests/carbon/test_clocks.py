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


@pytest.mark.parametrize("layout", [small.WIDE, small.LONG])
@pytest.mark.parametrize("minutes", [60, 15])
def test_rows_from_the_newest_to_the_oldest(layout: str, minutes: int, tmp_path: Path) -> None:
    text = wide(timedelta(minutes=minutes)) if layout == small.WIDE else long()
    step = f"{minutes}min" if layout == small.WIDE and minutes < 60 else "1h"
    header, *lines = text.splitlines(keepends=True)
    section = f'{layout}{LOCAL}{ORDER}step = "{step}"\n'
    forwards = ask(tmp_path, text, section, **ASKED)
    backwards = ask(tmp_path, header + "".join(reversed(lines)), section, **ASKED)
    assert backwards.g_per_kwh.tolist() == forwards.g_per_kwh.tolist()


SPRING = {"start": datetime(2021, 3, 14, 5, tzinfo=UTC), "hours": 4, "zones": ("A", "B")}


def spring(skipped: str) -> str:
    """Return hours around the one that clocks skip, which holds this text in both zones."""
    values = {2: skipped}
    rows = (f"2021-03-14 0{h}:00:00,{values.get(h, 100 + h)},{values.get(h, 200 + h)}\n" for h in range(6))
    return "time,A,B\n" + "".join(rows)


@pytest.mark.parametrize("skipped", ["", "NaN", "n/a", " "])
def test_an_empty_row_in_an_hour_that_clocks_skip_is_left_out(skipped: str, tmp_path: Path) -> None:
    found = ask(tmp_path, spring(skipped), small.WIDE + LOCAL, **SPRING)
    assert found.g_per_kwh[:, 0].tolist() == [100, 101, 103, 104]
    assert found.notes == ("carbon.csv: 1 empty rows in hours that clocks skip, left out",)
    long = "time,zone,value\n" + "".join(
        f"2021-03-14 0{h}:00:00,{zone},{skipped if h == 2 else 100 + h}\n" for zone in "AB" for h in range(6)
    )
    found = ask(tmp_path, long, small.LONG + LOCAL, **SPRING)
    assert found.g_per_kwh.tolist() == [[h, h] for h in (100, 101, 103, 104)]


def test_a_value_in_an_hour_that_clocks_skip_is_refused_and_each_remedy_works(tmp_path: Path) -> None:
    text = spring("777")
    message = refusal(tmp_path, text, small.WIDE + LOCAL, **SPRING)
    assert says(message, "line 4, time: 2021-03-14T02:00:00 never happens", "leave line 4 out", "'Etc/GMT+5'")
    lines = text.splitlines(keepends=True)
    without = "".join(lines[:3] + lines[4:])
    found = ask(tmp_path, without, small.WIDE + LOCAL, **SPRING)
    assert found.g_per_kwh[:, 0].tolist() == [100, 101, 103, 104]
    for zone, hours in (("UTC", 0), ("Etc/GMT+5", 5)):
        at = SPRING | {"start": datetime(2021, 3, 14, hours, tzinfo=UTC)}
        found = ask(tmp_path, text, f'{small.WIDE}time_zone = "{zone}"\n', **at)
        assert found.g_per_kwh[:, 0].tolist() == [100, 101, 777, 103]


def test_times_in_utc_that_are_said_to_be_local_are_refused_and_read_as_utc(tmp_path: Path) -> None:
    rows = [datetime(2024, 10, 26, tzinfo=UTC) + timedelta(hours=i) for i in range(60)]
    text = "time,A,B\n" + "".join(f"{t:%Y-%m-%dT%H:%M:%S},{100 + i},9\n" for i, t in enumerate(rows))
    asked = {"start": rows[12], "hours": 40}
    for order in ("", ORDER):
        section = f'{small.WIDE}time_zone = "Europe/London"\n{order}'
        message = refusal(tmp_path, text, section, **asked)
        assert says(
            message, "line 27, time: 2024-10-27T01:00:00 happens twice", "once only", "time_zone = 'UTC'"
        )
    found = ask(tmp_path, text, f'{small.WIDE}time_zone = "UTC"\n', **asked)
    assert found.g_per_kwh[:, 0].tolist() == [112 + i for i in range(40)]


def test_a_skipped_hour_with_a_value_tells_of_utc_outside_the_horizon_too(tmp_path: Path) -> None:
    rows = [datetime(2024, 3, 30, tzinfo=UTC) + timedelta(hours=i) for i in range(96)]
    text = "time,A,B\n" + "".join(f"{t:%Y-%m-%dT%H:%M:%S},{100 + i},9\n" for i, t in enumerate(rows))
    asked = {"start": rows[60], "hours": 24}
    message = refusal(tmp_path, text, f'{small.WIDE}time_zone = "Europe/London"\n', **asked)
    assert says(message, "line 27, time: 2024-03-31T01:00:00 never happens", "state time_zone = 'UTC'")
