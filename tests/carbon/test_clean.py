"""Every cleaning rule, by numbers worked out by hand: what it does and leaves, and that it is counted."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers import small
from helpers.carbon_sources import START, ask, refusal, says, table

NAN = np.nan
PLAIN = [100.0, 110, 120, 130, 140, 150]


def keys(**rules: str) -> str:
    """Return the section of a wide file with these rules."""
    return small.WIDE + "".join(f'{name} = "{rule}"\n' for name, rule in rules.items())


def one(folder: Path, values: list[Any], section: str, **changes: Any) -> Any:
    return ask(folder, table({"A": values}), section, **{"zones": ("A",), "hours": len(values), **changes})


def test_a_clean_file_says_nothing(tmp_path: Path) -> None:
    everything = keys(gaps="interpolate:6h", duplicates="mean", spikes="remove:40", absurd="missing")
    found = one(tmp_path, PLAIN, everything)
    assert (found.notes, found.cleaning) == ((), {})
    assert found.g_per_kwh[:, 0].tolist() == PLAIN


def test_interpolation_is_linear_in_time_and_counted(tmp_path: Path) -> None:
    found = one(tmp_path, [100, None, None, 160, "nan", 150], keys(gaps="interpolate:2h"))
    assert found.g_per_kwh[:, 0].tolist() == [100, 120, 140, 160, 155, 150]
    expected = np.array([[100], [NAN], [NAN], [160], [NAN], [150]])
    assert np.array_equal(found.measured_g_per_kwh, expected, equal_nan=True)
    times = ["2021-01-01T01:00Z", "2021-01-01T02:00Z", "2021-01-01T04:00Z"]
    done = {"rule": "interpolate:2h", "by_zone": {"A": 3}, "first": {"A": times}}
    assert found.cleaning == {"carbon.csv": {"filled": done}}
    assert found.notes == (f"carbon.csv: 3 missing hours filled by interpolate:2h (A 3: {', '.join(times)})",)


def test_a_gap_longer_than_the_rule_allows_is_refused_whole(tmp_path: Path) -> None:
    text = table({"A": [100, None, None, None, 150, None, 140]})
    message = refusal(tmp_path, text, keys(gaps="interpolate:2h"), zones=("A",))
    assert message == (
        "carbon.csv: line 3, zone A: 3 hours in a row have no value, from 2021-01-01T01:00Z; gaps = "
        "'interpolate:2h' fills up to 2 in a row: allow more, or choose another horizon"
    )


def test_the_rule_that_a_gap_between_rows_asks_for_fills_it(tmp_path: Path) -> None:
    """No horizon within the file's hours is without the gap: rules are named, and both work."""
    lines = table({"A": [100 + hour for hour in range(30)]}).splitlines(keepends=True)
    text = "".join(lines[:26] + lines[27:])
    message = refusal(tmp_path, text, zones=("A",), hours=30)
    assert says(message, "zone A: 1 of 30 hours have no value: 2021-01-02T01:00Z; name a rule: gaps = ")
    assert "choose a horizon" not in message
    rules = re.findall(r"'([a-z-]+:\d+h)'", message)
    assert len(rules) == 2
    for rule in rules:
        found = ask(tmp_path, text, keys(gaps=rule), zones=("A",), hours=30)
        assert np.isfinite(found.g_per_kwh).all()


def test_a_gap_at_the_edge_has_nothing_to_be_filled_from(tmp_path: Path) -> None:
    for values in ([None, 110, 120], [100, 110, None]):
        message = refusal(tmp_path, table({"A": values}), keys(gaps="interpolate:6h"), zones=("A",), hours=3)
        assert says(message, "zone A: 1 of 3 hours have no value", "or complete the file")


def test_what_is_missing_outside_the_horizon_does_no_harm_but_its_neighbours_help(tmp_path: Path) -> None:
    text = table({"A": [None, 100, None, 120, None, None, None, 200]})
    found = ask(
        tmp_path,
        text,
        keys(gaps="interpolate:1h"),
        zones=("A",),
        start=START + timedelta(hours=2),
        hours=2,
        history_hours=2,
    )
    assert found.g_per_kwh[:, 0].tolist() == [110, 120]
    assert np.array_equal(found.measured_g_per_kwh[:, 0], [NAN, 100, NAN, 120], equal_nan=True)


def test_the_previous_day_fills_hour_by_hour_and_day_by_day(tmp_path: Path) -> None:
    day = [100.0 + hour for hour in range(24)]
    values: list[Any] = [
        *day,
        *day[:2],
        *[None] * 25,
        300,
        301,
    ]
    found = one(tmp_path, values, keys(gaps="previous-day:25h"))
    assert found.g_per_kwh[26:51, 0].tolist() == [*day[2:], *day[:2], day[2]]
    assert np.isnan(found.measured_g_per_kwh[26:51]).all()
    assert says(found.notes[0], "25 missing hours filled by previous-day:25h")


def test_the_previous_day_is_only_taken_as_it_was_measured(tmp_path: Path) -> None:
    values: list[Any] = [float(100 + hour) for hour in range(72)]
    values[30] = values[54] = None  # the same hour of two days
    message = refusal(tmp_path, table({"A": values}), keys(gaps="previous-day:2h"), zones=("A",), hours=72)
    assert says(message, "line 56, zone A: 1 hour has no value", "finds nothing there to fill it from")
    values[30] = 130.0
    assert one(tmp_path, values, keys(gaps="previous-day:2h")).g_per_kwh[54, 0] == 130


TWICE = small.WIDE_CSV + f"{small.HOURS[1]},501,\n{small.HOURS[1]},451,61\n"


@pytest.mark.parametrize(
    ("rule", "a", "b"), [("first", 401, 51), ("last", 451, 61), ("mean", (401 + 501 + 451) / 3, 56)]
)
def test_duplicates_are_resolved_among_those_that_are_there(
    rule: str, a: float, b: float, tmp_path: Path
) -> None:
    found = ask(tmp_path, TWICE, keys(duplicates=rule))
    assert found.g_per_kwh[1].tolist() == [a, b]
    assert np.array_equal(np.delete(found.g_per_kwh, 1, axis=0)[0], [400, 50])
    done = found.cleaning["carbon.csv"]["duplicates"]
    assert done["by_zone"] == {"A": 2, "B": 2}
    assert says(found.notes[0], f"4 further rows for the same time, duplicates = '{rule}'")


def test_duplicates_are_refused_with_all_their_lines(tmp_path: Path) -> None:
    message = refusal(tmp_path, TWICE)
    for line in (8, 9):
        assert says(message, f"line {line}, zone A: a second value for 2021-01-01T01:00Z", "duplicates = ")


def test_rows_out_of_order_are_sorted_and_counted(tmp_path: Path) -> None:
    header, *rows = small.WIDE_CSV.splitlines(keepends=True)
    shuffled = [rows[i] for i in (1, 0, 2, 5, 4, 3)]  # 0 after 1, 4 after 5, 3 after 4
    found = ask(tmp_path, header + "".join(shuffled))
    assert np.array_equal(found.g_per_kwh[:, 0], [400.0 + i for i in range(6)])
    assert found.cleaning["carbon.csv"]["out_of_order_rows"] == 3
    assert found.notes == ("carbon.csv: 3 rows out of order, sorted",)


@pytest.mark.parametrize(("step", "per_hour"), [("5min", 12), ("15min", 4), ("20min", 3), ("30min", 2)])
def test_shorter_steps_are_averaged_into_hours(step: str, per_hour: int, tmp_path: Path) -> None:
    values = [100.0 + 3 * i for i in range(3 * per_hour)]
    text = table({"A": values}, minutes=60 // per_hour)
    found = ask(tmp_path, text, keys(step=step), zones=("A",), hours=3)
    means = [sum(values[i : i + per_hour]) / per_hour for i in range(0, len(values), per_hour)]
    assert found.g_per_kwh[:, 0].tolist() == pytest.approx(means)
    assert found.cleaning["carbon.csv"] == {"averaged_from": step}
    assert found.notes == (f"carbon.csv: hours are means of values of {step}",)


def test_an_hour_that_lacks_a_step_is_missing(tmp_path: Path) -> None:
    text = table({"A": [100, 120, 130, None, 160, 180]}, minutes=30)
    message = refusal(tmp_path, text, keys(step="30min"), zones=("A",), hours=3)
    assert says(message, "line 5, zone A: no value", "gaps = 'interpolate:6h'")
    lines = text.splitlines(keepends=True)
    message = refusal(tmp_path, "".join([*lines[:4], *lines[5:]]), keys(step="30min"), zones=("A",), hours=3)
    assert says(message, "line 4, zone A: the hour from 2021-01-01T01:00Z has fewer values")
    found = ask(tmp_path, text, keys(step="30min", gaps="interpolate:1h"), zones=("A",), hours=3)
    assert found.g_per_kwh[:, 0].tolist() == [110, 140, 170]
    assert np.isnan(found.measured_g_per_kwh[1, 0])


def test_a_longer_step_stands_for_each_of_its_hours(tmp_path: Path) -> None:
    text = table({"A": [100, 130, 70]}, minutes=180)
    found = ask(tmp_path, text, keys(step="3h"), zones=("A",), hours=7, start=START + timedelta(hours=1))
    assert found.g_per_kwh[:, 0].tolist() == [100, 100, 130, 130, 130, 70, 70]
    assert np.array_equal(found.measured_g_per_kwh, found.g_per_kwh)
    assert found.notes == ("carbon.csv: every value of 3h stands for each of its hours",)
    lost = table({"A": [100, 130, 70, 90]}, minutes=180).splitlines(keepends=True)
    del lost[2]
    message = refusal(tmp_path, "".join(lost), keys(step="3h"), zones=("A",), hours=9)
    assert says(message, "zone A: 3 of 9 hours have no value: 2021-01-01T03:00Z, 2021-01-01T04:00Z")
    message = refusal(tmp_path, text, keys(step="3h"), zones=("A",), hours=10)
    assert says(message, "zone A: 1 of 10 hours have no value: 2021-01-01T09:00Z")


@pytest.mark.parametrize(
    ("minutes", "step", "words"),
    [
        (180, "1h", ("zone A: 4 of 6 hours have no value", "180 min apart: state another step than '1h'")),
        (60, "15min", ("zone A: 6 of 6 hours have no value", "60 min apart: state another step")),
        (15, "1h", ("line 3, zone A: time 2021-01-01T00:15:00+00:00", "or another step")),
        (60, "3h", ("line 3, zone A: begins within 3h of the value before it", "step = '3h'")),
    ],
)
def test_a_wrong_step_is_found_out(minutes: int, step: str, words: tuple[str, ...], tmp_path: Path) -> None:
    message = refusal(tmp_path, table({"A": PLAIN * 4}, minutes=minutes), keys(step=step), zones=("A",))
    assert says(message, *words), message


def test_spikes_are_removed_filled_and_counted(tmp_path: Path) -> None:
    values = [300.0 + (i % 2) for i in range(48)]  # the usual change is 1 g/kWh
    values[20:24] = [40.0, 41, 40, 41]
    values[36] = 339.0  # 38.5 or 39 changes from the median around it
    found = one(tmp_path, values, keys(spikes="remove:40", gaps="interpolate:4h"))
    assert found.g_per_kwh[19:25, 0].tolist() == pytest.approx([301, 300.8, 300.6, 300.4, 300.2, 300])
    assert np.isnan(found.measured_g_per_kwh[20:24]).all()
    assert found.g_per_kwh[36, 0] == 339
    assert found.cleaning["carbon.csv"]["spikes"]["by_zone"] == {"A": 4}
    message = refusal(tmp_path, table({"A": values}), keys(spikes="remove:40"), zones=("A",), hours=48)
    assert says(message, "line 22, zone A: found '40.0', 40 g/kWh, removed as a spike", "name a rule")
    assert one(tmp_path, values, keys()).g_per_kwh[20, 0] == 40


def test_absurd_values_may_count_as_missing(tmp_path: Path) -> None:
    values: list[Any] = [100, -1, 120, 9e9, "-", 150]
    found = one(tmp_path, values, keys(absurd="missing", gaps="interpolate:2h"))
    assert found.g_per_kwh[:, 0].tolist() == pytest.approx([100, 110, 120, 130, 140, 150])
    assert found.cleaning["carbon.csv"]["absurd"]["by_zone"] == {"A": 3}
    assert says(found.notes[0], "3 values that are no carbon intensity taken as missing (A 3: ")
    message = refusal(tmp_path, table({"A": values}), keys(absurd="missing"), zones=("A",))
    assert says(message, "line 3, zone A: found '-1'", "name a rule")
    message = refusal(tmp_path, table({"A": values}), keys(gaps="interpolate:2h"), zones=("A",))
    assert [line.strip().split(":")[0] for line in message.splitlines()[1:4]] == [
        f"line {line}, zone A" for line in (3, 5, 6)
    ]


def test_absurd_values_in_the_history_are_refused_and_missing_ones_are_not(tmp_path: Path) -> None:
    later: dict[str, Any] = {
        "start": START + timedelta(hours=2),
        "hours": 2,
        "zones": ("A",),
        "history_hours": 2,
    }
    found = ask(tmp_path, table({"A": [None, 110, 120, 130]}), **later)
    assert np.array_equal(found.measured_g_per_kwh[:, 0], [NAN, 110, 120, 130], equal_nan=True)
    message = refusal(tmp_path, table({"A": [-1, 110, 120, 130]}), **later)
    assert says(message, "line 2, zone A: found '-1'")


def test_standstills_and_copies_are_kept_and_said(tmp_path: Path) -> None:
    moving = [200.0 + i for i in range(40)]
    still = [300.0] * 24 + moving[24:]
    nearly = [400.0 if i < 10 else v for i, v in enumerate(moving)]  # equal in 30 of 40 hours
    shortly = [250.0] * 23 + moving[23:]
    text = table({"A": moving, "B": still, "C": nearly, "D": shortly})
    found = ask(tmp_path, text, zones=("A", "B", "C", "D"), hours=40)
    done = found.cleaning["carbon.csv"]
    assert done["standstills"] == [
        {"zone": "B", "from": "2021-01-01T00:00Z", "hours": 24, "g_per_kwh": 300.0}
    ]
    assert done["copies"] == [{"zone": "C", "same_as": "A", "hours": 30}]
    assert says(found.notes[0], "B 24 h from 2021-01-01T00:00Z", "C equals A in 30 of 40 hours")
    assert np.array_equal(found.g_per_kwh, np.array([moving, still, nearly, shortly]).T)


YEAR = [float(100 + i % 1000) for i in range(8760)]


def test_a_year_is_repeated_by_the_calendar(tmp_path: Path) -> None:
    text = table({"A": YEAR})
    start = datetime(2024, 2, 28, 22, tzinfo=UTC)
    found = ask(tmp_path, text, keys(repeat="year"), zones=("A",), start=start, hours=50, history_hours=1)
    first = (31 + 27) * 24 + 21  # 28 February, 21:00
    of_28th = [YEAR[first - 21 + hour] for hour in range(24)]
    expected = [*of_28th[22:], *of_28th, *YEAR[first + 3 : first + 27]]
    assert found.g_per_kwh[:, 0].tolist() == expected
    assert found.measured_g_per_kwh[0, 0] == of_28th[21]
    assert found.cleaning["carbon.csv"]["repeated"]["by_zone"] == {"A": 51}
    assert says(found.notes[0], "51 hours outside the file taken from the nearest year in it")


def test_a_repeated_year_goes_on_where_the_file_ends(tmp_path: Path) -> None:
    text = table({"A": YEAR})
    end = START + timedelta(hours=8758)
    found = ask(tmp_path, text, keys(repeat="year"), zones=("A",), start=end, hours=4, reference=True)
    assert found.g_per_kwh[:, 0].tolist() == [*YEAR[8758:], *YEAR[:2]]
    before = ask(tmp_path, text, keys(repeat="year"), zones=("A",), start=datetime(2019, 7, 1, tzinfo=UTC))
    assert before.g_per_kwh[:, 0].tolist() == YEAR[181 * 24 : 181 * 24 + 6]


@pytest.mark.parametrize("year", [2021, 2022])
def test_the_long_run_of_a_repeated_year_is_the_week_before(year: int, tmp_path: Path) -> None:
    text, start = table({"A": YEAR}), datetime(year, 3, 1, tzinfo=UTC)
    asked: dict[str, Any] = {"zones": ("A",), "hours": 48, "reference": True}
    found = ask(tmp_path, text, keys(repeat="year"), start=start, **asked).reference_g_per_kwh
    assert found is not None
    assert found[0] == pytest.approx(np.mean(YEAR[59 * 24 - 168 : 59 * 24]))


@pytest.mark.parametrize(("hours", "known"), [(8760, 0), (8737, 0), (8736, 24), (8700, 60)])
def test_hours_of_the_horizon_are_never_its_own_long_run(hours: int, known: int, tmp_path: Path) -> None:
    text, start = table({"A": YEAR}), datetime(2022, 1, 1, tzinfo=UTC)
    asked: dict[str, Any] = {"zones": ("A",), "hours": hours, "reference": True}
    found = ask(tmp_path, text, keys(repeat="year"), start=start, **asked).reference_g_per_kwh
    assert (found is None) == (known == 0)
    if found is not None:
        assert found[0] == pytest.approx(np.mean(YEAR[-known:]))


def test_less_than_a_year_is_not_repeated_and_nothing_is_without_the_rule(tmp_path: Path) -> None:
    message = refusal(tmp_path, table({"A": YEAR[:8759]}), keys(repeat="year"), zones=("A",))
    assert says(message, "zone A: its values span 8,759 hours", "needs a whole year, 8,760 hours")
    later = datetime(2022, 1, 1, tzinfo=UTC)
    message = refusal(tmp_path, table({"A": YEAR}), zones=("A",), start=later)
    assert says(message, "6 of 6 hours have no value", "within 2021-01-01T00:00Z … 2021-12-31T23:00Z")


def test_times_far_apart_are_refused_before_they_fill_the_memory(tmp_path: Path) -> None:
    text = table({"A": YEAR}) + "9999-12-31T00:00Z,100\n"
    section = keys(repeat="year", step="5min")
    message = refusal(tmp_path, text, section, zones=("A",))
    assert says(
        message,
        "8,761 rows run from 2021-01-01T00:00Z to 9999-12-31T00:00Z",
        "check the times, first of all line 8762",
    )
    assert ask(tmp_path, text, zones=("A",)).g_per_kwh[:, 0].tolist() == YEAR[:6]


@pytest.mark.parametrize(
    ("unit", "value", "fine"), [("g/kWh", 0.4, False), ("g/kWh", 0.0, True), ("kg/kWh", 0.4, True)]
)
def test_a_file_in_kilograms_is_not_taken_for_one_in_grams(
    unit: str, value: float, fine: bool, tmp_path: Path
) -> None:
    section = small.changed(keys(), ("g/kWh", unit))
    if fine:
        assert one(tmp_path, [value] * 6, section).g_per_kwh[0, 0] == pytest.approx(value * 1000)
        return
    message = refusal(tmp_path, table({"A": [value] * 6}), section, zones=("A",))
    assert says(message, "carbon: no value of A is above 0.4 g/kWh, which looks like kg/kWh", "tiny = 'keep'")
    assert one(tmp_path, [value] * 6, section + 'tiny = "keep"\n').g_per_kwh[0, 0] == value


def test_only_what_is_used_is_counted(tmp_path: Path) -> None:
    values: list[Any] = [300.0 + i % 2 for i in range(120)]
    values[1], values[2], values[8:12], values[30:60] = -1, None, [10] * 4, [305.0] * 30
    text = table({"A": values}) + "2021-01-01T05:00Z,300\n" + "2021-01-04T12:00Z,300\n"
    every = keys(gaps="interpolate:6h", spikes="remove:40", absurd="missing", duplicates="first")
    later: dict[str, Any] = {"zones": ("A",), "hours": 24, "start": START + timedelta(days=3)}
    assert set(ask(tmp_path, text, every, **later).cleaning["carbon.csv"]) == {
        "out_of_order_rows",
        "duplicates",
    }
    assert ask(tmp_path, text, every, **later).cleaning["carbon.csv"]["duplicates"]["by_zone"] == {"A": 1}
    done = ask(tmp_path, text, every, **later, history_hours=72).cleaning["carbon.csv"]
    assert done["absurd"]["by_zone"] == {"A": 1}
    assert done["spikes"]["by_zone"] == {"A": 4}
    assert done["duplicates"]["by_zone"] == {"A": 2}
    assert done["standstills"][0]["hours"] == 30
    assert "filled" not in done  # nothing is filled in the history: a router is not told of it


def test_zones_that_are_not_wanted_stand_between_those_that_are(tmp_path: Path) -> None:
    levels = {"C": 100, "B": 200, "X": 300, "A": 400}
    rows = [f"{hour},{zone},{levels[zone] + i}" for i, hour in enumerate(small.HOURS) for zone in levels]
    found = ask(tmp_path, "\n".join(["time,zone,value", *rows]), small.LONG, zones=("A", "C", "B"))
    assert found.g_per_kwh.tolist() == [[400.0 + i, 100 + i, 200 + i] for i in range(6)]
    assert found.notes == ()
