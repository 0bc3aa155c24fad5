"""What a policy decides on: never fresher than it may be, and never a value that is not there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbonroute.carbon import Signal, StepValues
from carbonroute.control.information import Information
from carbonroute.control.knowledge import KINDS, history_hours, known
from carbonroute.engines import sampled
from carbonroute.errors import InputError
from carbonroute.policies import POLICIES
from carbonroute.runs import run
from carbonroute.scenario import Inputs, load, resolve
from carbonroute.units import MAX_CARBON_G_PER_KWH
from helpers.grids import examples

NAN = np.nan


def signal(measured: list[list[float]], hours: int) -> Signal:
    seen = np.array(measured, dtype=float)
    truth = np.where(np.isnan(seen), 77.0, seen)[len(seen) - hours :]
    return Signal(truth, seen, reference_g_per_kwh=np.full(seen.shape[1], 500.0))


def seen(rule: str, measured: list[list[float]], hours: int, age: str = "0h") -> list[list[float]]:
    information = Information.spelled(carbon_missing=rule, carbon_age=age)
    values: list[list[float]] = known(information, signal(measured, hours), None).shown_g_per_kwh.tolist()
    return values


def test_values_are_as_old_as_stated() -> None:
    hourly = [[float(10 * hour), float(hour)] for hour in range(6)]
    assert seen("refuse", hourly, 3) == hourly[3:]
    assert seen("refuse", hourly, 3, "1h") == hourly[2:5]
    assert seen("refuse", hourly, 3, "3h") == hourly[:3]


def test_the_last_value_stands_in_for_so_long_and_no_longer() -> None:
    measured = [[1.0, 9.0], [2.0, NAN], [3.0, NAN], [4.0, NAN], [5.0, 8.0]]
    everything = known(Information.spelled(carbon_missing="last:2h"), signal(measured, 4), None)
    blind = [MAX_CARBON_G_PER_KWH] * 2
    assert everything.shown_g_per_kwh.tolist() == [[2, 9], [3, 9], blind, [5, 8]]
    assert everything.blind.tolist() == [False, False, True, False]
    assert (everything.missing, everything.substituted) == (3, 2)


def test_age_comes_before_the_last_value() -> None:
    measured = [[1.0], [2.0], [NAN], [4.0], [5.0]]
    assert seen("last:1h", measured, 2, "1h") == [[2.0], [4.0]]


def test_the_long_run_mean_stands_in() -> None:
    assert seen("static", [[NAN, 1.0], [3.0, NAN]], 2) == [[500, 1], [3, 500]]


def test_a_forecast_is_asked_for_by_its_age_and_what_it_leaves_out_is_kept() -> None:
    asked: list[int] = []

    def forecast(age: int) -> tuple[np.ndarray, dict[str, int]]:
        asked.append(age)
        return np.array([[NAN, 5.0], [7.0, 8.0]]), {"absurd": 1, "repeated": 0}

    information = Information.spelled(carbon="forecast", carbon_age="9h", carbon_missing="static")
    found = known(information, signal([[1.0, 2.0], [3.0, 4.0]], 2), forecast)
    assert asked == [9]
    assert found.g_per_kwh.tolist() == [[500, 5], [7, 8]]
    assert found.facts["forecast"] == {"absurd": 1, "repeated": 0}
    assert found.notes == ("forecasts: 1 absurd values taken as missing",)


def test_an_hour_without_all_values_is_routed_by_latency() -> None:
    top = MAX_CARBON_G_PER_KWH
    assert seen("latency-only", [[NAN, 1.0], [3.0, 4.0]], 2) == [[top, top], [3, 4]]


def test_every_value_has_its_age_and_kind_at_any_moment() -> None:
    measured = [[1.0, 9.0], [2.0, NAN], [3.0, NAN], [4.0, NAN], [5.0, 8.0]]
    last = known(Information.spelled(carbon_missing="last:2h", carbon_age="1h"), signal(measured, 3), None)
    moments = last.at(np.array([0.0, 3599.5, 3600.0, 2 * 3600.0 + 60, 9e9]))
    assert [[KINDS[kind] for kind in row] for row in moments.kind] == [
        ["measured", "substituted"],
        ["measured", "substituted"],
        ["measured", "substituted"],
        ["measured", "unknown"],
        ["measured", "unknown"],
    ]
    np.testing.assert_array_equal(moments.g_per_kwh[:, 1], [9, 9, 9, NAN, NAN])
    assert moments.age_s[:3].tolist() == [[3600, 2 * 3600], [7199.5, 10799.5], [3600, 3 * 3600]]
    assert moments.age_s[3, 0] == 3660
    assert np.isnan(moments.age_s[3, 1])
    assert moments.unknown.tolist() == [False, False, False, True, True]
    assert (moments.shown_g_per_kwh[3] == MAX_CARBON_G_PER_KWH).all()
    static = known(Information.spelled(carbon_missing="static"), signal(measured, 3), None).at(np.zeros(1))
    assert KINDS[static.kind[0, 1]] == "static"
    assert np.isnan(static.age_s[0, 1])
    said = known(Information.spelled(carbon="forecast", carbon_age="2h"), signal(measured, 3), _three_hours)
    assert KINDS[said.at(np.zeros(1)).kind[0, 0]] == "forecast"
    assert said.at(np.full(1, 60.0)).age_s[0, 0] == 7260


def test_values_may_be_minutes_old() -> None:
    """A value that is published 20 min late is the one before until then, at whatever minute it is asked."""
    measured = [[1.0], [2.0], [3.0]]
    late = known(Information.spelled(carbon_age="20min"), signal(measured, 2), None)
    moments = late.at(np.array([0.0, 1199.0, 1200.0, 3599.0, 4799.0, 4800.0, 9e9]))
    assert moments.g_per_kwh[:, 0].tolist() == [1, 1, 2, 2, 2, 3, 3]
    assert moments.age_s[:6, 0].tolist() == [3600, 4799, 1200, 3599, 4799, 1200]
    assert late.shown_g_per_kwh[:, 0].tolist() == [1, 2]  # for engines that decide by the hour


def test_measured_values_may_be_finer_than_an_hour() -> None:
    quarters = np.arange(12.0)[:, np.newaxis]
    quarters[9] = NAN
    within = StepValues(quarters, 4, np.zeros((12, 1), dtype=np.int64))
    fine = Signal(np.ones((2, 1)), np.full((3, 1), 77.0), within_hour=within)
    rule = Information.spelled(carbon_age="10min", carbon_missing="last:1h")
    late = known(rule, fine, None)
    moments = late.at(np.array([0.0, 599.0, 600.0, 1500.0, 5400.0, 6000.0, 7199.0]))
    assert moments.g_per_kwh[:, 0].tolist() == [3, 3, 4, 5, 8, 10, 11]
    assert moments.age_s[:, 0].tolist() == [900, 1499, 600, 600, 1800, 600, 899]
    assert late.substituted == late.missing == 3
    hours = known(Information.spelled(carbon_age="1h"), fine, None)
    assert (hours.g_per_kwh == 77).all()  # an age in whole hours is one of hourly means
    assert hours.steps_per_hour == 1


def test_an_age_counts_from_the_beginning_of_the_interval_that_a_value_stands_for() -> None:
    """Beside quarters of an hour, hourly values stand in four steps each; hour 1 of them is missing."""
    values = np.column_stack([np.arange(8.0), np.repeat([1.0, NAN], 4)])
    begun_minutes = np.column_stack([np.zeros(8, dtype=np.int64), np.tile([0, 15, 30, 45], 2)])
    fine = Signal(np.ones((1, 2)), np.ones((2, 2)), within_hour=StepValues(values, 4, begun_minutes))
    rule = Information.spelled(carbon_age="5min", carbon_missing="last:1h")
    moments = known(rule, fine, None).at(np.array([0.0, 299.0, 300.0, 1200.0, 3540.0]))
    assert moments.g_per_kwh.tolist() == [[3, 1], [3, 1], [4, 1], [5, 1], [7, 1]]
    since_quarter_s, since_hour_s = [900, 1199, 300, 300, 840], [3600, 3899, 3900, 4800, 7140]
    np.testing.assert_allclose(moments.age_s, np.column_stack([since_quarter_s, since_hour_s]), rtol=1e-12)
    kinds = [KINDS[kind] for kind in moments.kind[:, 1]]
    assert kinds == ["measured", "measured", "substituted", "substituted", "substituted"]


def test_forecasts_are_known_by_the_hour() -> None:
    with pytest.raises(ValueError, match="carbon_age of a forecast: found '90min'; whole hours are expected"):
        Information.spelled(carbon="forecast", carbon_age="90min")


def _three_hours(_age: int) -> tuple[np.ndarray, dict[str, int]]:
    return np.ones((3, 2)), {}


def test_missing_values_are_refused_by_default() -> None:
    with pytest.raises(InputError) as refusal:
        seen("refuse", [[1.0, 2.0], [NAN, 1.0], [3.0, NAN]], 3)
    assert "carbon_missing: 2 of 6 measured values are missing" in str(refusal.value)
    assert "the first in hour 1; state what then: 'last:<max>'" in str(refusal.value)


def test_history_reaches_as_far_as_a_policy_may_look() -> None:
    assert history_hours(Information.spelled(carbon_age="6h", carbon_missing="last:2d")) == 54


@pytest.mark.parametrize("text", ["-1h", "1.5h", "1", "one hour", "367d", "٣h", ""])
def test_an_age_is_a_span_of_time(text: str) -> None:
    with pytest.raises(ValueError, match=r"(is|are) expected"):
        Information.spelled(carbon_age=text)


def run_with(inputs: Inputs, carbon: Signal, information: Information) -> list[np.ndarray]:
    """Return where every policy that goes by carbon sends the requests of each cell."""
    inputs = replace(inputs, carbon=carbon)
    policies = [entry for entry in inputs.scenario.policies if entry.use != "clairvoyant-bound"]
    candidates = tuple(inputs.candidate(entry.shown, entry.policy, information) for entry in policies)
    return [outcome.requests for outcome in sampled.run(replace(inputs, candidates=candidates))]


@settings(max_examples=examples(40))
@given(
    seed=st.integers(0, 2**32 - 1),
    rule=st.sampled_from(["last:3h", "static", "latency-only"]),
    age=st.sampled_from(["0h", "1h", "6h"]),
)
def test_no_request_is_routed_by_a_value_that_is_missing(seed: int, rule: str, age: str) -> None:
    """With 1 % of the values missing, nothing hangs on what they would have been."""
    inputs = resolve(load("five-aws-regions", {"horizon.hours": 72, "traffic.requests_per_hour": 20}))
    information = Information.spelled(carbon_age=age, carbon_missing=rule)
    dice = np.random.default_rng(seed)
    measured = np.vstack([inputs.carbon.g_per_kwh[: history_hours(information)], inputs.carbon.g_per_kwh])
    missing = np.asarray(dice.random(measured.shape) < 0.01)
    measured[missing] = np.nan
    hidden = missing[len(measured) - 72 :]
    routed = []
    for value in (0.0, MAX_CARBON_G_PER_KWH):
        truth = np.where(hidden, value, inputs.carbon.g_per_kwh)
        carbon = replace(inputs.carbon, g_per_kwh=truth, measured_g_per_kwh=measured)
        routed.append(run_with(inputs, carbon, information))
    for green, dirty in zip(*routed, strict=True):
        np.testing.assert_array_equal(green, dirty)


def test_blind_hours_are_routed_by_latency_alone() -> None:
    inputs = resolve(load("five-aws-regions", {"horizon.hours": 6, "traffic.requests_per_hour": 500}))
    nothing = replace(inputs.carbon, measured_g_per_kwh=np.full_like(inputs.carbon.measured_g_per_kwh, NAN))
    routed = run_with(inputs, nothing, Information.spelled(carbon_missing="latency-only"))
    by_latency = run_with(inputs, inputs.carbon, Information())
    names = [entry.use for entry in inputs.scenario.policies if entry.use != "clairvoyant-bound"]
    nearest = by_latency[names.index("latency-first")]
    for name, requests in zip(names, routed, strict=True):
        if name not in {"static-greenest", "random", "round-robin"}:  # none of them goes by the hour's carbon
            np.testing.assert_array_equal(requests, nearest, err_msg=name)


def test_old_values_cost_grams_and_the_run_says_how_many() -> None:
    fresh, old = (
        run("five-aws-regions", {"horizon.hours": 2000, "information.carbon_age": age})
        for age in ("0h", "6h")
    )
    table = old.tables.policies
    rows = {row["policy"]: row for row in table.rows(named=True)}
    mine = rows["Constrained Hybrid"]
    before = {row["policy"]: row for row in fresh.tables.policies.rows(named=True)}["Constrained Hybrid"]
    assert mine["total_kg"] > before["total_kg"]
    assert mine["fresh_total_kg"] == before["total_kg"]
    assert mine["extra_vs_fresh_pct"] == pytest.approx(100 * (mine["total_kg"] / before["total_kg"] - 1))
    (note,) = [note for note in old.tables.overview["notes"][0] if note.startswith("Carbon values")]
    assert note.startswith("Carbon values that are 6h old cost, in grams against perfectly fresh data: ")
    assert f"Constrained Hybrid {mine['extra_vs_fresh_pct']:+.2f} %" in note
    assert rows["Latency-First"]["extra_vs_fresh_pct"] is None
    assert before["extra_vs_fresh_pct"] is None


def test_every_policy_that_goes_by_carbon_is_covered() -> None:
    names = {entry.use for entry in load("five-aws-regions").policies}
    assert (
        {"carbon-first", "hybrid", "constrained-hybrid", "nearest-greenest"} <= names <= set(POLICIES.members)
    )
