"""Steps that change within a file: read by ``until-next``, or refused with the place and that remedy."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from helpers import small
from helpers.carbon_sources import START, ask, refusal, says

QUARTERS = (0, 15, 30, 45)


def rows(*minutes: int, values: dict[int, float] | None = None) -> str:
    """Return a wide file with rows so many minutes from the start on, by default of value 100 + minutes."""
    lines = (
        f"{(START + timedelta(minutes=m)).isoformat()},{(values or {}).get(m, 100 + m)},500\n"
        for m in minutes
    )
    return "time,A,B\n" + "".join(lines)


def with_step(step: str, **rules: str) -> str:
    return small.WIDE + "".join(f'{key} = "{rule}"\n' for key, rule in {"step": step, **rules}.items())


def remedy_of(message: str) -> str:
    """Return the step that a message says to state."""
    found = re.search(r"state step = '([^']+)'", message)
    assert found, message
    return found[1]


#: Minutes of the rows, the stated step, words of the refusal, and the mean of each hour by the remedy.
CHANGES: dict[str, tuple[list[int], str, tuple[str, ...], list[float]]] = {
    "an hour has one row": (
        [*QUARTERS, 60, *(120 + q for q in QUARTERS)],
        "15min",
        ("line 6, zone A: the hour from 2021-01-01T01:00Z", "at line 6 from 15min to 1h"),
        [122.5, 160, 242.5],
    ),
    "hours, then quarters": (
        [0, *(60 + q for q in QUARTERS), *(120 + q for q in QUARTERS)],
        "15min",
        ("line 2, zone A: the hour from", "at line 3 from 1h to 15min"),
        [100, 182.5, 242.5],
    ),
    "hours, then quarters, taken as hours": (
        [0, 60, *(120 + q for q in QUARTERS)],
        "1h",
        ("line 5, zone A: time 2021-01-01T02:15", "at line 4 from 1h to 15min"),
        [100, 160, 242.5],
    ),
    "half hours, then quarters": (
        [0, 30, 60, 90, *(120 + q for q in QUARTERS)],
        "30min",
        ("line 7, zone A: time 2021-01-01T02:15", "at line 6 from 30min to 15min"),
        [115, 175, 242.5],
    ),
    "quarters, then half hours": (
        [*QUARTERS, *(60 + q for q in QUARTERS), 120, 150],
        "15min",
        ("line 10, zone A: the hour from 2021-01-01T02:00Z", "at line 10 from 15min to 30min"),
        [122.5, 182.5, 235],
    ),
    "five minutes, then quarters": (
        [*range(0, 60, 5), *(60 + q for q in QUARTERS), *(120 + q for q in QUARTERS)],
        "5min",
        ("line 14, zone A: the hour from", "at line 14 from 5min to 15min"),
        [127.5, 182.5, 242.5],
    ),
    "three hours, then one": (
        [0, 180, 360, 420, 480],
        "3h",
        ("line 5, zone A: begins within 3h", "at line 4 from 3h to 1h"),
        [100, 100, 100, 280, 280, 280, 460, 520],
    ),
    "an hour, then three": (
        [0, 60, 120, 300, 480],
        "1h",
        ("zone A: 4 of 8 hours have no value", "at line 4 from 1h to 3h"),
        [100, 160, 220, 220, 220, 400, 400, 400],
    ),
}


#: Where a rule fills gaps, hours that are not there are gaps.
WITH_GAPS = [
    (name, gaps)
    for name in CHANGES
    for gaps in ("refuse", "interpolate:6h")
    if gaps == "refuse" or name != "an hour, then three"
]


@pytest.mark.parametrize(("name", "gaps"), WITH_GAPS)
def test_a_step_that_changes_is_refused_with_its_place_and_the_remedy_works(
    name: str, gaps: str, tmp_path: Path
) -> None:
    minutes, step, words, means = CHANGES[name]
    asked = {"hours": len(means)}
    message = refusal(tmp_path, rows(*minutes), with_step(step, gaps=gaps), **asked)
    assert says(message, *words), message
    found = ask(tmp_path, rows(*minutes), with_step(remedy_of(message)), **asked)
    assert found.g_per_kwh[:, 0].tolist() == pytest.approx(means)
    assert found.g_per_kwh[:, 1].tolist() == [500] * len(means)


def test_rows_only_where_the_value_changes(tmp_path: Path) -> None:
    text = rows(0, 20, 200, 240, values={0: 60, 20: 90, 200: 120, 240: 30})
    found = ask(tmp_path, text, with_step("until-next:6h"), hours=4)
    assert found.g_per_kwh[:, 0].tolist() == pytest.approx([80, 90, 90, 110])
    message = refusal(tmp_path, text, with_step("until-next:6h"), hours=5)  # the last one stands for 40 min
    assert says(message, "zone A: 1 of 5 hours have no value: 2021-01-01T04:00Z")
    counts = found.cleaning["carbon.csv"]["until_next"]
    assert counts == {"rule": "until-next:6h", "intervals_by_minutes": {"20": 2, "40": 2, "180": 2}}
    assert says(found.notes[0], "values stand until the next one (2 for 20 min, 2 for 40 min, 2 for 180 min)")
    message = refusal(tmp_path, text, with_step("until-next:2h"), hours=4)  # 20 + 120 min: half of hour 2
    assert says(message, "zone A: 2 of 4 hours have no value: 2021-01-01T02:00Z, 2021-01-01T03:00Z")


def test_the_last_value_stands_as_long_as_the_one_before_it(tmp_path: Path) -> None:
    text = rows(0, 60, *(120 + q for q in QUARTERS))
    assert ask(tmp_path, text, with_step("until-next:1h"), hours=3).g_per_kwh[2, 0] == 242.5
    message = refusal(tmp_path, text, with_step("until-next:1h"), hours=4)
    assert says(message, "zone A: 1 of 4 hours have no value: 2021-01-01T03:00Z", "choose a horizon within")


def test_an_empty_row_ends_the_value_before_it(tmp_path: Path) -> None:
    text = rows(0, 60, 120).replace(",160,", ",,")
    message = refusal(tmp_path, text, with_step("until-next:3h"), hours=3)
    assert says(message, "line 3, zone A: no value")


def test_lost_rows_are_gaps_where_they_follow_no_step(tmp_path: Path) -> None:
    minutes = [*QUARTERS, 60, 75, 105, *(120 + q for q in QUARTERS)]
    found = ask(tmp_path, rows(*minutes), with_step("15min", gaps="interpolate:1h"), hours=3)
    assert found.g_per_kwh[:, 0].tolist() == [122.5, 182.5, 242.5]
    one = [*QUARTERS, 60, *(120 + q for q in QUARTERS)]
    message = refusal(tmp_path, rows(*one), with_step("15min", gaps="interpolate:1h"), hours=3)
    assert says(message, "or 'until-next:15min' if rows are lost")
    lost = ask(tmp_path, rows(*one), with_step("until-next:15min", gaps="interpolate:1h"), hours=3)
    assert lost.g_per_kwh[:, 0].tolist() == [122.5, 182.5, 242.5]


def test_times_off_every_mark_are_refused_without_a_step_that_does_not_help(tmp_path: Path) -> None:
    text = rows(0, 60, 127)
    for step in ("1h", "until-next:1h"):
        message = refusal(tmp_path, text, with_step(step), hours=3)
        assert says(message, "line 4, zone A: time 2021-01-01T02:07", "times on marks of 5 min"), message
        assert "or another step" not in message


def test_an_unknown_step_names_the_rule(tmp_path: Path) -> None:
    for step in ("until-next:7min", "until-next", "until_next:1h"):
        with pytest.raises(ValueError, match="until-next:1h"):
            ask(tmp_path, rows(0), with_step(step))


@pytest.mark.parametrize("step", ["5min", "15min", "30min", "1h", "3h"])
def test_a_regular_file_is_the_same_by_either_rule(step: str, tmp_path: Path) -> None:
    minutes = {"5min": 5, "15min": 15, "30min": 30, "1h": 60, "3h": 180}[step]
    text = rows(*range(0, 6 * 60, minutes))
    either = [ask(tmp_path, text, with_step(s)).g_per_kwh for s in (step, f"until-next:{step}")]
    assert either[0] == pytest.approx(either[1])


def test_a_last_row_at_the_end_of_the_horizon_is_no_change(tmp_path: Path) -> None:
    text = rows(*range(0, 181, 15))
    found = ask(tmp_path, text, with_step("15min", gaps="interpolate:1h"), hours=3)
    assert found.g_per_kwh[:, 0].tolist() == [122.5, 182.5, 242.5]


def test_values_without_any_step_stand_until_the_next_one(tmp_path: Path) -> None:
    text = rows(0, 150, 195, 360, values={0: 300, 150: 400, 195: 200, 360: 100})
    message = refusal(tmp_path, text, small.WIDE)
    assert "line 3, zone A: time 2021-01-01T02:30:00+00:00" in message
    assert "state another step" not in message
    step = remedy_of(message)
    assert step == "until-next:3h"
    assert ask(tmp_path, text, with_step(step)).g_per_kwh[:, 0].tolist() == [300, 300, 350, 250, 200, 200]


def test_a_stray_row_is_no_reason_for_another_step(tmp_path: Path) -> None:
    message = refusal(tmp_path, rows(0, 60, 120, 150, 180, 240, 300), small.WIDE)
    assert "until-next:3h" not in message


@pytest.mark.parametrize("minutes", [15, 30])
def test_ends_of_intervals_taken_for_beginnings_are_named_and_the_horizon_is_another(
    minutes: int, tmp_path: Path
) -> None:
    text = rows(*range(minutes, 6 * 60 + 1, minutes))
    message = refusal(tmp_path, text, with_step(f"{minutes}min"))
    assert "zone A: 1 of 6 hours have no value: 2021-01-01T00:00Z" in message
    assert "choose a horizon within 2021-01-01T01:00Z … 2021-01-01T05:00Z" in message
    assert "if times are the ends of their intervals, state stamp = 'end'" in message
    ended = ask(tmp_path, text, with_step(f"{minutes}min", stamp="end")).g_per_kwh[:, 0]
    assert ended.tolist() == [130 + 60 * h + minutes / 2 for h in range(6)]
    later = ask(
        tmp_path, text, with_step(f"{minutes}min"), start=START + timedelta(hours=1), hours=5
    ).g_per_kwh[:, 0]
    assert later.tolist() == [190 + 60 * h - minutes / 2 for h in range(5)]


@pytest.mark.parametrize(
    ("step", "minutes", "begun"),
    [
        ("15min", range(0, 180, 15), [0] * 12),
        (
            "until-next:30min",
            [*range(0, 90, 30), *range(90, 180, 15)],
            [0, 5, 10, 15, 20, 25] * 3 + [0, 5, 10] * 6,
        ),
    ],
)
def test_values_within_the_hour_are_those_of_the_file_and_tell_when_their_interval_began(
    step: str, minutes: list[int], begun: list[int], tmp_path: Path
) -> None:
    text = rows(*minutes)
    assert ask(tmp_path, text, with_step(step), hours=3).within_hour is None  # nobody asks for them
    found = ask(
        tmp_path,
        text,
        with_step(step),
        hours=2,
        start=START + timedelta(hours=1),
        history_hours=1,
        within_hour=True,
    )
    fine = found.within_hour
    assert fine is not None
    assert fine.per_hour == len(begun) // 3
    assert fine.begun_minutes[:, 0].tolist() == begun
    starts = [minute - since for minute, since in zip(range(0, 180, fine.step_minutes), begun, strict=True)]
    assert fine.g_per_kwh[:, 0].tolist() == [100 + start for start in starts]
    assert found.g_per_kwh[0, 0] == np.mean(fine.g_per_kwh[fine.per_hour : 2 * fine.per_hour, 0])


def test_a_spike_is_removed_from_values_within_the_hour_too(tmp_path: Path) -> None:
    text = rows(*range(0, 24 * 60, 30), values={720: 1900, 750: 1900})
    found = ask(
        tmp_path,
        text,
        with_step("30min", spikes="remove:10", gaps="interpolate:1h"),
        hours=24,
        within_hour=True,
    )
    assert found.within_hour is not None
    assert np.flatnonzero(np.isnan(found.within_hour.g_per_kwh[:, 0])).tolist() == [24, 25]
    assert not np.isnan(found.g_per_kwh).any()


def test_hourly_files_have_no_values_within_the_hour(tmp_path: Path) -> None:
    assert ask(tmp_path, small.WIDE_CSV, within_hour=True).within_hour is None
