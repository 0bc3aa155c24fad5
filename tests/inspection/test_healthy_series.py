"""Suggestions keep the mean of any healthy series to 1e-12, and one fault in it is reported."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carbonroute.carbon.grid import hourly, placed
from carbonroute.carbon.rules import Rules
from carbonroute.inspection.carbon import SeriesDescription, describe
from carbonroute.units import US_PER_MINUTE, US_PER_S
from helpers.grids import examples

START = datetime(2024, 1, 1, tzinfo=UTC)
START_US = int(START.timestamp()) * US_PER_S
STEPS = (5, 10, 15, 20, 30, 60, 120, 180, 240, 360, 720, 1440)
SPELT = {**{minutes: f"{minutes}min" for minutes in STEPS[:5]}, 60: "1h", 120: "2h", 180: "3h", 240: "4h"}
SPELT |= {360: "6h", 720: "12h", 1440: "1d"}
#: What the finding on a fault says, in one of these words.
FAULTS = {
    "unit": ("looks like kg/kWh", "in another unit"),
    "zero": ('0 for "no data"',),
    "step": (
        "off the grid",
        "some of their",
        "missing hours",
        "begin within",
        "the step changes",
        "min apart",
    ),
    "clock": ("missing hours", "further rows", "begin within", "off the grid", "some of their"),
    "order": ("earlier than the one before",),
    "duplicate": ("further rows",),
}
ONE = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)


NAMES = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12)
#: Names of zones, of which there are at least so many; a strategy takes longer to make than to draw from.
ZONES = {least: st.lists(NAMES, min_size=least, max_size=3, unique=True) for least in (1, 2)}


@dataclass(frozen=True)
class Grid:
    """A healthy series: values, shape (rows, zones), every `step` minutes."""

    step: int
    zones: tuple[str, ...]
    values: np.ndarray

    def table(self) -> pl.DataFrame:
        """Return it as a source reads it."""
        minutes = np.tile(np.arange(len(self.values)) * self.step, len(self.zones))
        return rows(minutes, zone_by_zone(self.zones, len(self.values)), self.values.T.ravel())


def zone_by_zone(zones: tuple[str, ...], count: int) -> pl.Series:
    """Return the zone of each row."""
    return pl.Series(zones).gather(np.repeat(np.arange(len(zones)), count))


def rows(minutes: np.ndarray, zones: pl.Series, values: np.ndarray) -> pl.DataFrame:
    """Return rows as a source reads them; the text of a value is looked at only where it is no number."""
    return pl.DataFrame(
        {
            "file": pl.repeat("f.csv", len(values), eager=True),
            "place": pl.int_range(2, len(values) + 2, eager=True),
            "time": pl.Series(START_US + minutes * US_PER_MINUTE).cast(pl.Datetime("us", "UTC")),
            "zone": zones,
            "raw": pl.repeat("a number", len(values), eager=True),
            "value": values,
        }
    )


@st.composite
def grids(draw: st.DrawFn, least_zones: int = 1, steps: tuple[int, ...] = STEPS) -> Grid:
    """Draw a healthy series: a daily swing, weather, a trend, and dips at the same hours of every day."""
    step = draw(st.sampled_from(steps))
    zones = tuple(draw(ZONES[least_zones]))
    dice = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    days = int(dice.integers(2, 6)) * (1 if step < 120 else 4)
    level, swing = dice.uniform(100, 600), dice.uniform(0, 0.5)
    weather, trend = dice.uniform(0, 0.3), dice.uniform(-0.3, 0.3)
    dip, at, wide = dice.choice([0, 0, 0.6, 0.9]), dice.integers(0, 20), dice.integers(1, 6)
    count = days * 1440 // step
    hour = np.arange(count)[:, np.newaxis] * step / 60
    noise = np.cumsum(dice.normal(0, 1, (count, len(zones))), axis=0) / np.sqrt(count)
    shape = 1 + swing * np.sin(2 * np.pi * hour / 24) + weather * np.clip(noise, -1.5, 1.5)
    shape *= 1 + trend * hour / (24 * days)
    dips = (hour % 24 >= at) & (hour % 24 < at + wide)
    values = np.round(
        level * np.maximum(shape, 0.2) * np.where(dips & (step < 1440), 1 - dip, 1.0), draw(st.integers(0, 3))
    )
    return Grid(step, zones, np.maximum(values, 5.0))


def mean_of(table: pl.DataFrame, series: SeriesDescription) -> np.ndarray:
    """Return the means by zone that a scenario with the suggested rules has."""
    rules = Rules.spelled(**series.rules())
    means: np.ndarray = hourly(placed(table, series.hours.zones, rules, START), rules).values.mean(axis=0)
    return means


@settings(ONE, max_examples=examples(4002))
@given(grid=grids())
def test_the_suggestion_keeps_the_mean_of_a_healthy_series(grid: Grid) -> None:
    table = grid.table()
    series = describe(table, "f.csv", in_grams=True)
    assert series.rules() == ({} if grid.step == 60 else {"step": SPELT[grid.step]})
    assert not series.proposed
    for fault in ("gaps", "missing_hours", "spikes", "duplicates", "absurd"):
        assert not series.table[fault].sum(), fault
    assert mean_of(table, series) == pytest.approx(grid.values.mean(axis=0), rel=1e-12)
    said = " ".join(series.findings)
    assert not any(words in said for all_words in FAULTS.values() for words in all_words), said


def with_fault(grid: Grid, fault: str, where: float, size: float) -> pl.DataFrame:
    """Return a series with one fault at a place from 0 to 1, in its first zone."""
    count, step = len(grid.values), grid.step
    values = grid.values.copy()
    minutes = np.tile(np.arange(count) * step, len(grid.zones)).reshape(len(grid.zones), -1)
    at = 1 + int(where * (count - 3))
    if fault == "unit":
        values[:, 0] /= 1000
    if fault == "zero":
        usual = values[:, 0] >= max(20, 0.5 * np.median(values[:, 0]))
        beside = np.flatnonzero(usual[:-2] & usual[2:]) + 1
        values[beside[int(where * (len(beside) - 1))], 0] = 0
    if fault == "step":  # rows stand closer, or further apart, from there on
        later = minutes[:, at:]
        minutes[:, at:] = later[:, :1] + (later - later[:, :1]) * (2 if size < 0.5 else 0.5)
    if fault == "clock":
        minutes[:, at:] += 60 if size < 0.5 else -60
    table = rows(minutes.ravel(), zone_by_zone(grid.zones, count), values.T.ravel())
    order = np.arange(len(table))
    if fault == "order":
        order[at : at + 2] = at + 1, at
    if fault == "duplicate":
        order = np.insert(order, at + 1, at)
    if fault in ("order", "duplicate"):
        table = table.select(pl.all().gather(order))
    if fault == "duplicate" and size < 0.5:
        again = pl.Series(np.arange(len(table)) == at + 1)
        table = table.with_columns(value=pl.when(again).then(pl.col("value") + 1).otherwise("value"))
    return table


@settings(ONE, max_examples=examples(2001))
@given(
    grid=grids(least_zones=2),
    fault=st.sampled_from(sorted(FAULTS)),
    where=st.floats(0, 1),
    size=st.floats(0, 1),
)
def test_one_fault_is_reported(grid: Grid, fault: str, where: float, size: float) -> None:
    series = describe(with_fault(grid, fault, where, size), "f.csv", in_grams=True)
    said = " ".join(series.findings)
    assert any(words in said for words in FAULTS[fault]), said


def test_a_value_that_only_a_fault_has_is_a_spike_and_a_dip_of_every_day_is_none() -> None:
    values = np.tile(np.where((np.arange(24) >= 11) & (np.arange(24) <= 13), 40.0, 400.0), 14)
    values += np.arange(len(values)) % 3
    values[100] = 4000.0 / 3
    table = rows(np.arange(len(values)) * 60, zone_by_zone(("Z",), len(values)), values)
    series = describe(table, "f.csv", in_grams=True)
    assert series.table["spikes"].to_list() == [1]
    (spike, gap) = sorted(series.proposed, key=lambda rule: rule.key, reverse=True)
    assert "takes out Z 43 h" in str(spike)
    assert "42 of them recur at the same hour of other days" in str(spike)
    assert gap.key == "gaps"


def test_hours_of_local_time_that_a_change_of_clocks_doubles_or_skips() -> None:
    hours = np.arange(96)
    values = 300.0 + hours % 7
    back = np.where(hours < 50, hours, hours - 1)
    series = describe(rows(back * 60, zone_by_zone(("Z",), 96), values), "f.csv", in_grams=True)
    assert any("1 further rows" in finding and "differ" in finding for finding in series.findings)
    assert START + timedelta(hours=94) == series.quantities["last"]
