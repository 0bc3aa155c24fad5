"""Times at the ends of intervals and days, of the wrong day, of no clock, and none at all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from helpers import small
from helpers.carbon_sources import START, ask, refusal, says, table

END = f'{small.WIDE}stamp = "end"\n'


def day(first: int, last: int, midnight: str) -> list[str]:
    """Return the rows of two days by the end of each hour, the last of a day written as `midnight` does."""
    lines = []
    for hour in range(first, last + 1):
        end = datetime(2021, 1, 1) + timedelta(hours=hour)
        before = end - timedelta(days=1) if end.hour == 0 else end
        stamp = before.strftime(midnight) if end.hour == 0 else end.strftime("%Y-%m-%d %H:%M")
        lines.append(f"{stamp},{100 + hour},{200 + hour}\n")
    return lines


def test_stamps_at_the_end_of_intervals(tmp_path: Path) -> None:
    found = ask(tmp_path, table({"A": [10, 20, 30], "B": [40, 50, 60]}), END, hours=2)
    assert found.g_per_kwh.tolist() == [[20, 50], [30, 60]]
    quarters = table({"A": list(range(8, 17)), "B": [9] * 9}, minutes=15)
    found = ask(tmp_path, quarters, f'{END}step = "15min"\n', hours=2)
    assert found.g_per_kwh[:, 0].tolist() == [10.5, 14.5]
    days = table({"A": [10, 20, 30], "B": [1, 2, 3]}, minutes=1440)
    found = ask(tmp_path, days, f'{END}step = "1d"\ntiny = "keep"\n', hours=48)
    assert found.g_per_kwh[:, 0].tolist() == [20] * 24 + [30] * 24


def test_stamps_at_the_end_of_intervals_that_change(tmp_path: Path) -> None:
    ends = [60, 120, 135, 150, 165, 180, 240]
    text = "time,A,B\n" + "".join(f"{(START + timedelta(minutes=m)).isoformat()},{m},9\n" for m in ends)
    found = ask(tmp_path, text, f'{END}step = "until-next:1h"\n', hours=4)
    assert found.g_per_kwh[:, 0].tolist() == [60, 120, 157.5, 240]


def test_stamps_of_a_long_file_and_of_local_time(tmp_path: Path) -> None:
    found = ask(tmp_path, small.LONG_CSV, f'{small.LONG}stamp = "end"\n', hours=5)
    assert found.g_per_kwh.tolist() == [[401 + i, 51 + i] for i in range(5)]
    local = "time,A,B\n" + "".join(day(1, 24, "%Y-%m-%d 24:00"))
    asked: dict[str, Any] = {"start": datetime(2020, 12, 31, 23, tzinfo=UTC), "hours": 24}
    found = ask(tmp_path, local, f'{END}time_zone = "Europe/Berlin"\n', **asked)
    assert found.g_per_kwh[:, 0].tolist() == [101 + i for i in range(24)]


@pytest.mark.parametrize("midnight", ["%Y-%m-%d 24:00", "%Y-%m-%d 24:00:00"])
def test_hour_24_is_the_end_of_the_day_and_what_times_are_is_asked(midnight: str, tmp_path: Path) -> None:
    text = "time,A,B\n" + "".join(day(1, 48, midnight))
    zone = 'time_zone = "UTC"\n'
    message = refusal(tmp_path, text, small.WIDE + zone)
    assert says(message, "line 25, time: found '2021-01-01 24:00", "state stamp = 'end'", "or 'start'")
    found = ask(tmp_path, text, END + zone, hours=48)
    assert found.g_per_kwh[:, 0].tolist() == [101 + i for i in range(48)]
    found = ask(
        tmp_path, text, f'{small.WIDE}{zone}stamp = "start"\n', start=START + timedelta(hours=1), hours=48
    )
    assert found.g_per_kwh[:, 0].tolist() == [101 + i for i in range(48)]
    message = refusal(tmp_path, text.replace("24:00", "24:01"), END + zone)
    assert says(message, "line 25, time: found", "an ISO 8601 time is expected")


@pytest.mark.parametrize("backwards", [False, True])
def test_a_midnight_of_the_wrong_day_is_refused_and_the_right_one_read(
    backwards: bool, tmp_path: Path
) -> None:
    zone = 'time_zone = "UTC"\n'

    def text(midnight: str) -> str:
        lines = day(1, 72, midnight)
        return "time,A,B\n" + "".join(reversed(lines) if backwards else lines)

    message = refusal(tmp_path, text("%Y-%m-%d 00:00"), END + zone, hours=48)
    lines = (2, 26, 50) if backwards else (25, 49, 73)
    for line in lines:
        assert says(message, f"line {line}, zone A: ", "another day is next", "write the date"), message
    mended = text("%Y-%m-%d 00:00")
    for number in (3, 2, 1):
        right = f"2021-01-0{number + 1} 00:00,{100 + 24 * number}"
        mended = mended.replace(f"2021-01-0{number} 00:00,{100 + 24 * number}", right)
    assert ask(tmp_path, mended, END + zone, hours=48).g_per_kwh[:, 0].tolist() == [
        101 + i for i in range(48)
    ]


def test_shuffled_rows_are_of_no_wrong_day(tmp_path: Path) -> None:
    lines = [f"2021-01-0{d} {h:02}:00,{100 + h},{200 + d}\n" for h in range(24) for d in (1, 2)]
    found = ask(tmp_path, "time,A,B\n" + "".join(lines), f'{small.WIDE}time_zone = "UTC"\n', hours=48)
    assert found.g_per_kwh[:, 0].tolist() == [100.0 + h for h in range(24)] * 2


UNTIMED = small.changed(small.WIDE, ('time_column = "time"\n', ""))
STATED = f'{UNTIMED}start = 2021-01-01T00:00:00Z\nstep = "1h"\n'


def test_carbon_without_times_has_its_start_and_step_stated(tmp_path: Path) -> None:
    text = "A,B\n" + "".join(f"{100 + i},{200 + i}\n" for i in range(8))
    assert ask(tmp_path, text, STATED).g_per_kwh[:, 0].tolist() == [100 + i for i in range(6)]
    halves = STATED.replace('"1h"', '"30min"')
    assert ask(tmp_path, text, halves, hours=4).g_per_kwh[:, 1].tolist() == [200.5 + 2 * i for i in range(4)]
    message = refusal(tmp_path, text, STATED, hours=9)
    assert says(message, "zone A: 1 of 9 hours have no value: 2021-01-01T08:00Z")
    long = "zone,value\n" + "".join(f"A,{100 + i}\nB,{200 + i}\n" for i in range(6))
    keys = small.changed(small.LONG, ('time_column = "time"\n', "")) + STATED[len(UNTIMED) :]
    assert ask(tmp_path, long, keys).g_per_kwh.tolist() == [[100 + i, 200 + i] for i in range(6)]


@pytest.mark.parametrize(
    ("section", "words"),
    [
        (UNTIMED, "missing; this key is required: time_column, or start where a file has no times"),
        (STATED + 'time_column = "time"\n', "found 'time', and start too: time_column, or start"),
        (STATED.replace('step = "1h"\n', ""), "start needs a step"),
        (STATED.replace('"1h"', '"until-next:1h"'), "start needs a step"),
        (STATED + 'stamp = "end"\n', "stamp belongs to time_column"),
        (STATED.replace("00Z", "00"), "has no offset; write 2021-01-01T00:00:00Z"),
    ],
)
def test_times_are_stated_in_one_way(section: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=words):
        ask(tmp_path, "A,B\n1,2\n", section)
