"""What can be known of a grid's long run before the horizon begins."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from helpers import small
from helpers.carbon_sources import START, ask, table


def before(hours: int) -> dict[str, list[float | None]]:
    """Return 48 hours from `START` and some before them; until then A was clean and B dirty."""
    clean, dirty = [20.0] * hours, [300.0 + i for i in range(hours)]
    return {"A": [*clean, *[300.0] * 48], "B": [*dirty, *[20.0] * 48]}


@pytest.mark.parametrize(("hours", "used"), [(24, 24), (30, 30), (48, 48), (168, 168), (200, 168)])
def test_the_mean_is_of_a_week_before_or_what_there_is(hours: int, used: int, tmp_path: Path) -> None:
    text = table(before(hours), START - timedelta(hours=hours))
    found = ask(tmp_path, text, hours=48, reference=True).reference_g_per_kwh
    assert found is not None
    assert found.tolist() == [20, np.mean([300.0 + i for i in range(hours - used, hours)])]


def test_a_long_horizon_looks_back_as_far(tmp_path: Path) -> None:
    dirty = [300.0 + i for i in range(300)]
    text = table({"A": [*dirty, *[20.0] * 200]}, START - timedelta(hours=300))
    found = ask(tmp_path, text, zones=("A",), hours=200, reference=True).reference_g_per_kwh
    assert found is not None
    assert found.tolist() == [np.mean(dirty[-200:])]


def test_the_zone_that_begins_last_decides_for_all(tmp_path: Path) -> None:
    text = table(before(48), START - timedelta(hours=48))
    stamps = [line.partition(",")[0] for line in text.splitlines()[1:]]
    rows = [f"{stamp},A,20" for stamp in stamps] + [f"{stamps[i]},X,{i}" for i in range(18, len(stamps))]
    text = "\n".join(["time,zone,value", *rows])
    found = ask(tmp_path, text, small.LONG, zones=("A", "X"), hours=48, reference=True)
    assert found.reference_g_per_kwh is not None
    assert found.reference_g_per_kwh.tolist() == [20, np.mean(range(18, 48))]


def test_less_than_a_day_says_nothing_of_the_long_run(tmp_path: Path) -> None:
    text = table(before(23), START - timedelta(hours=23))
    assert ask(tmp_path, text, hours=48, reference=True).reference_g_per_kwh is None


def test_the_long_run_mean_is_of_the_hours_that_are_known(tmp_path: Path) -> None:
    values = before(30)
    values["A"][4] = None
    text = table(values, START - timedelta(hours=30))
    found = ask(tmp_path, text, hours=48, history_hours=30)
    assert found.reference_g_per_kwh is None
    assert np.isnan(found.measured_g_per_kwh[4, 0])
    known = ask(tmp_path, text, hours=48, reference=True).reference_g_per_kwh
    assert known is not None
    assert known.tolist() == [20, np.mean([300.0 + i for i in range(30)])]
    values["B"][:8] = [None] * 8
    few = table(values, START - timedelta(hours=30))
    assert ask(tmp_path, few, hours=48, reference=True).reference_g_per_kwh is None
    filled = ask(tmp_path, text, f'{small.WIDE}gaps = "interpolate:1h"\n', hours=48, reference=True)
    assert filled.reference_g_per_kwh is not None
    assert filled.reference_g_per_kwh[0] == 20
    assert filled.cleaning["carbon.csv"]["filled"]["by_zone"] == {"A": 1}
