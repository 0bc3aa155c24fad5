"""Files with steps shorter than an hour: ages in minutes see their values, whole hours see hourly means."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from carbonroute.cli.app import run as command
from carbonroute.control.chain import journals, records
from carbonroute.scenario import load, resolve
from helpers.carbon_sources import START
from helpers.small import changed

MINUTES = 120
SCENARIO = """\
schema = 1
name = "fine"
[horizon]
hours = 2
start = 2021-01-01T01:00:00Z
[control]
interval_s = 60
[information]
carbon_age = "5min"
[traffic]
kind = "fixed-rate"
requests_per_hour = 60
[carbon]
kind = "file"
path = "carbon.csv"
layout = "wide"
time_column = "time"
unit = "g/kWh"
step = "5min"
[network.rtt_ms]
here = { near = 10, far = 40 }
[[origins]]
name = "here"
share = 1
[[regions]]
name = "near"
[[regions]]
name = "far"
[[workloads]]
id = "w"
name = "w"
model = "w"
share = 1
slo_ms = 2000
service_ms = { law = "normal", mean = 500, std = 50 }
[[policies]]
use = "carbon-first"
"""


def value(minute: int) -> float:
    """Carbon of the far region, by minutes from the start of the horizon on: high in one interval alone."""
    return 400.0 if 30 <= minute < 35 else 100.0 + minute // 5


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the scenario and its file, which begins an hour before the horizon."""
    rows = [
        f"{(START + timedelta(minutes=60 + minute)).isoformat()},200,{value(minute)}\n"
        for minute in range(-60, MINUTES, 5)
    ]
    (tmp_path / "carbon.csv").write_text("time,near,far\n" + "".join(rows), encoding="utf-8")
    (tmp_path / "fine.toml").write_text(SCENARIO, encoding="utf-8")
    return tmp_path


def recorded(folder: Path, *more: str) -> list[tuple[float, float | None, float | None, list[float]]]:
    """Return the time of each decision, s, the far region's known value and its age, s, and the weights."""
    journal = folder / "journal"
    options = ["--quiet", "--no-figures", "--engine", "queued", "--journal", str(journal)]
    assert (
        command(["simulate", str(folder / "fine.toml"), *options, "--output", str(folder / "out"), *more])
        == 0
    )
    (of_policy,) = journals(journal)
    assert command(["replay", str(journal)]) == 0
    return [
        (
            one.monotonic_s,
            one.known[1].g_per_kwh,
            one.known[1].age_s,
            np.ravel(np.array(one.weights, dtype=float)).tolist(),
        )
        for one in records(of_policy)
    ]


def test_a_value_of_five_minutes_is_decided_on_five_minutes_after_its_interval_began(folder: Path) -> None:
    """The interval of 400 g from minute 30 on is known from minute 35 to 40; only then is near cleaner."""
    decisions = recorded(folder)
    assert [time_s for time_s, *_ in decisions] == [60.0 * minute for minute in range(MINUTES)]
    for time_s, g_per_kwh, age_s, weights in decisions:
        minute = int(time_s) // 60
        assert g_per_kwh == value(minute - 5 - minute % 5)
        assert age_s == 60 * (5 + minute % 5)
        assert weights == ([1, 0] if 35 <= minute < 40 else [0, 1])


def test_the_account_is_hourly_and_ages_of_whole_hours_see_hourly_means(folder: Path) -> None:
    fine = resolve(load(folder / "fine.toml"))
    means = [np.mean([value(minute) for minute in range(hour, hour + 60, 5)]) for hour in (-60, 0, 60)]
    np.testing.assert_allclose(fine.carbon.g_per_kwh[:, 1], means[1:])
    (candidate,) = fine.candidates
    assert candidate.knowledge.steps_per_hour == 12
    whole = resolve(load(folder / "fine.toml", {"information.carbon_age": "1h"}))
    assert np.array_equal(whole.carbon.g_per_kwh, fine.carbon.g_per_kwh)
    assert whole.carbon.within_hour is None
    np.testing.assert_allclose(whole.candidates[0].knowledge.g_per_kwh[:, 1], means[:2])


def test_a_scale_holds_for_values_within_the_hour(folder: Path) -> None:
    path = folder / "fine.toml"
    path.write_text(
        changed(SCENARIO, ('name = "far"\n', 'name = "far"\ncarbon_scale = 1.5\n')), encoding="utf-8"
    )
    assert recorded(folder)[36][1] == 1.5 * 400


def test_a_missing_value_within_the_hour_is_the_last_one_and_its_age_is_told(folder: Path) -> None:
    """The account's hour is filled by rule; decisions see what was measured in it, and nothing else."""
    rows = (folder / "carbon.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    (row,) = [place for place, text in enumerate(rows) if text.endswith(",400.0\n")]
    before = "previous-day:24h"
    rows[row] = rows[row].replace("400.0", "")
    day_before = [
        f"{(START + timedelta(minutes=60 + minute)).isoformat()},200,90\n" for minute in range(-1500, -60, 5)
    ]
    (folder / "carbon.csv").write_text("".join([rows[0], *day_before, *rows[1:]]), encoding="utf-8")
    text = changed(SCENARIO, ('step = "5min"\n', f'step = "5min"\ngaps = "{before}"\n'))
    text = changed(text, ('carbon_age = "5min"\n', 'carbon_age = "5min"\ncarbon_missing = "last:1h"\n'))
    (folder / "fine.toml").write_text(text, encoding="utf-8")
    assert resolve(load(folder / "fine.toml")).carbon.g_per_kwh[0, 1] == 90
    decisions = recorded(folder)
    assert decisions[35][1:3] == (value(25), 600)
    assert decisions[39][1:3] == (value(25), 840)
    assert decisions[40][1:3] == (value(35), 300)
