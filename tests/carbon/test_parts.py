"""The arithmetic behind the cleaning rules, on arrays: its properties, whatever the numbers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from carbonroute.arrays import Array, Mask
from carbonroute.carbon.calendar import nearest_year
from carbonroute.carbon.gaps import filled, runs_of
from carbonroute.carbon.quality import copies, standstills
from carbonroute.carbon.spikes import _spikes, _surely_none, spikes

HOLED = arrays(
    np.float64,
    st.tuples(st.integers(1, 80), st.integers(1, 3)),
    elements=st.one_of(st.just(np.nan), st.floats(0, 2000)),
)


@given(arrays(np.bool_, st.tuples(st.integers(0, 40), st.integers(1, 3))))
def test_runs_are_those_that_one_finds_by_looking(flags: Mask) -> None:
    looked = []
    for column in range(flags.shape[1]):
        row = 0
        for value, group in groupby(flags[:, column].tolist()):
            length = len(list(group))
            if value:
                looked.append((column, row, length))
            row += length
    runs = runs_of(flags)
    assert list(zip(runs.column.tolist(), runs.begin.tolist(), runs.length.tolist(), strict=True)) == looked


@given(HOLED, st.integers(1, 30))
def test_interpolation_stays_between_its_neighbours(values: Array, longest: int) -> None:
    found = filled(values, "interpolate", longest)
    known = ~np.isnan(values)
    assert np.array_equal(found[known], values[known])
    runs = runs_of(~known)
    for column, begin, length in zip(runs.column, runs.begin, runs.length, strict=True):
        gap = found[begin : begin + length, column]
        if length <= longest and begin > 0 and begin + length < len(values):
            left, right = values[begin - 1, column], values[begin + length, column]
            assert (min(left, right) <= gap).all()
            assert (gap <= max(left, right)).all()
            assert np.allclose(gap, np.linspace(left, right, length + 2)[1:-1])
        else:
            assert np.isnan(gap).all()


@given(HOLED, st.integers(1, 60))
def test_the_previous_day_gives_only_what_was_measured_at_that_hour(values: Array, longest: int) -> None:
    found = filled(values, "previous-day", longest)
    for hour, column in np.argwhere(np.isnan(values) & ~np.isnan(found)):
        earlier = values[hour % 24 : hour : 24, column]
        assert found[hour, column] in earlier[~np.isnan(earlier)]
    known = ~np.isnan(values)
    assert np.array_equal(found[known], values[known])


HOURS_OF_TWO_YEARS = 2 * 8760


@given(
    st.integers(-50_000, 50_000).map(lambda h: datetime(2021, 1, 1, tzinfo=UTC) + timedelta(hours=h)),
    st.integers(0, 20_000),
    st.integers(8784, 30_000),
)
def test_another_year_has_the_same_calendar_hour(start: datetime, first: int, hours: int) -> None:
    wanted = np.arange(-3000, 40_000, 7)
    found = nearest_year(wanted, first, first + hours - 1, start)
    inside = (wanted >= first) & (wanted < first + hours)
    assert np.array_equal(found[inside], wanted[inside])
    assert ((found >= first) & (found < first + hours)).all()
    for hour, other in list(zip(wanted.tolist(), found.tolist(), strict=True))[::97]:
        asked, given_ = start + timedelta(hours=hour), start + timedelta(hours=other)
        leap = (asked.month, asked.day) == (2, 29) and (given_.month, given_.day) == (2, 28)
        assert leap or (asked.month, asked.day) == (given_.month, given_.day)
        assert asked.hour == given_.hour


def test_the_nearest_year_is_the_nearest_there_is() -> None:
    start = datetime(2020, 1, 1, tzinfo=UTC)
    last = 3 * 8760 + 24 - 1  # 2020, 2021 and 2022
    of_2025 = (datetime(2025, 6, 1, 5, tzinfo=UTC) - start) // timedelta(hours=1)
    of_2022 = (datetime(2022, 6, 1, 5, tzinfo=UTC) - start) // timedelta(hours=1)
    of_2018 = (datetime(2018, 6, 1, 5, tzinfo=UTC) - start) // timedelta(hours=1)
    of_2020 = (datetime(2020, 6, 1, 5, tzinfo=UTC) - start) // timedelta(hours=1)
    found = nearest_year(np.array([of_2025, of_2018]), 0, last, start)
    assert found.tolist() == [of_2022, of_2020]
    leap = (datetime(2024, 2, 29, 5, tzinfo=UTC) - start) // timedelta(hours=1)
    of_28th = (datetime(2022, 2, 28, 5, tzinfo=UTC) - start) // timedelta(hours=1)
    assert nearest_year(np.array([leap]), 0, last, start).tolist() == [of_28th]


def wave(hours: int) -> Array:
    """Return a grid with a day: 300 ± 40 g/kWh, and up to 10.4 from hour to hour."""
    return (300 + 40 * np.sin(2 * np.pi * np.arange(hours) / 24))[:, np.newaxis]


@pytest.mark.parametrize("length", range(1, 7))
@pytest.mark.parametrize("level", [0.0, 40.0, 1900.0])
def test_up_to_six_absurd_hours_are_found_and_no_others(length: int, level: float) -> None:
    for begin in range(20, 60):
        values = wave(240)
        values[begin : begin + length] = level
        expected = np.zeros_like(values, dtype=bool)
        expected[begin : begin + length] = True
        # The usual change is 7.3 g/kWh: the day spans 11 of them, and is 30 and more from the levels.
        assert np.array_equal(spikes(values, 15), expected)


def test_a_lasting_step_is_no_spike_and_a_still_zone_is_not_judged() -> None:
    step = wave(240)
    step[120:] += 1000
    assert not spikes(step, 12).any()
    still = np.full((240, 1), 300.0)
    still[100] = 1500
    assert not spikes(still, 1).any()
    assert not spikes(np.full((240, 1), np.nan), 1).any()
    lonely = np.full((240, 1), np.nan)
    lonely[::7] = wave(240)[::7]
    assert not spikes(lonely, 1).any()


@given(arrays(np.float64, (60, 2), elements=st.floats(0, 2000)), st.floats(1, 100))
def test_spikes_do_not_depend_on_the_unit(values: Array, limit: float) -> None:
    assert np.array_equal(spikes(values, limit), spikes(values * 4, limit))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 40)), min_size=1, max_size=8))
def test_standstills_are_the_long_runs(parts: list[tuple[int, int]]) -> None:
    values = np.concatenate([np.full(length, float(level)) for level, length in parts])
    runs = standstills(values[:, np.newaxis])
    looked, row = [], 0
    for _, group in groupby(values.tolist()):
        length = len(list(group))
        if length >= 24:
            looked.append((row, length))
        row += length
    assert list(zip(runs.begin.tolist(), runs.length.tolist(), strict=True)) == looked


def test_a_copy_is_one_however_much_else_there_is() -> None:
    values = np.random.default_rng(1).uniform(0, 900, (8760, 30))
    values[:, 20] = values[:, 4]
    values[:700, 20] += 1  # 8 % differ
    values[:, 29] = values[:, 20]
    assert copies(values) == [(20, 4, 8060), (29, 4, 8060)]
    values[:2300, 29] += 1  # more than a quarter differs
    assert copies(values)[:1] == [(20, 4, 8060)]
    assert len(copies(values)) == 1
    assert copies(values[:23]) == []


def test_what_is_missing_in_both_agrees_with_nothing() -> None:
    values: Any = np.full((48, 2), np.nan)
    assert copies(values) == []


@given(seed=st.integers(0, 2**32 - 1), hours=st.integers(1, 400), wild=st.floats(0, 60), gaps=st.booleans())
def test_zones_that_need_no_look_for_spikes_have_none(seed: int, hours: int, wild: float, gaps: bool) -> None:
    dice = np.random.default_rng(seed)
    values = 300 + np.cumsum(dice.normal(0, 5, (hours, 3)), axis=0)
    values[dice.integers(0, hours, 2), dice.integers(0, 3, 2)] += wild * 5
    values[:, 2] = np.round(values[:, 2], -1)
    if gaps:
        values[dice.random(values.shape) < 0.2] = np.nan
    every = _spikes(values, 40.0)
    assert np.array_equal(spikes(values, 40.0), every)
    assert not every[:, _surely_none(values, 40.0)].any()
