"""The answer to "is it worth it", from a run whose figures are worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from carbonroute.metrics import Comparison, policies, saving, workloads
from carbonroute.metrics.headlines.run import finding
from carbonroute.metrics.headlines.worth import Evidence, doubts, recommended, worth
from carbonroute.metrics.intervals import violations
from carbonroute.metrics.masses import mass_in_words
from carbonroute.outcome import Outcome, Queueing, Samples
from carbonroute.scenario import Scenario, load
from carbonroute.workloads.energy import Emissions
from helpers import small


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    return load(small.write(tmp_path_factory.mktemp("worth")))


def outcome(
    policy: str, grams: float | None, latency_ms: float, late: int = 0, *, clairvoyant: bool = False
) -> Outcome:
    """Return an outcome of 900 short and 100 long requests, of which `late` long ones are late."""
    counts = np.array([900, 100]).reshape(1, 2, 1)
    nothing = np.zeros_like(counts, dtype=float)
    emissions = None if grams is None else Emissions(counts * grams, nothing, nothing)
    return Outcome(
        policy=policy,
        clairvoyant=clairvoyant,
        requests=counts,
        violations=np.array([0, late]).reshape(1, 2, 1),
        latency_sum_ms=counts * latency_ms,
        carbon_sum_g_per_kwh=counts * (grams or 1.0) * 100,
        latency=Samples(((np.full(900, latency_ms),), (np.full(100, latency_ms),))),
        emissions=emissions,
    )


NEAR = outcome("Near", 2.0, 20.0)


def with_servers(one: Outcome, servers: list[float]) -> Outcome:
    """Return an outcome with so many servers switched on in two pools."""
    nothing = np.zeros((1, 2, 1))
    idle = np.zeros((1, 2))
    queueing = Queueing(
        rejected=nothing.astype(int),
        wait_sum_ms=nothing,
        wait=Samples(((np.zeros(900),), (np.zeros(100),))),
        utilisation=idle,
        servers=np.array([servers]),
        waiting=idle,
        offered=idle,
        hours_over_capacity=np.zeros(2),
        flips_per_day=0.0,
    )
    return replace(one, queueing=queueing)


def evidence_of(
    scenario: Scenario,
    *outcomes: Outcome,
    fixed: Outcome | None = None,
    hourly: Outcome | None = None,
    baseline: Outcome = NEAR,
    hours: float = 10.0,
    sampled: bool = True,
) -> Evidence:
    known = {"latency-first": baseline, "static-greenest": fixed, "hourly routing": hourly}
    steps = {name: step for name, step in known.items() if step} if fixed else {}
    comparison = Comparison(baseline, {}, steps)
    tables = policies.table(scenario, outcomes, comparison)
    intervals = violations([workload.id for workload in scenario.workloads], outcomes)
    return Evidence(
        policies=tables,
        workloads=workloads.table(scenario, outcomes),
        saving=saving.table(scenario, comparison),
        intervals=intervals if sampled else intervals.clear(),
        baseline=baseline,
        outcomes={one.policy: one for one in outcomes},
        hours=hours,
        horizon_h=10,
    )


def said(scenario: Scenario, *outcomes: Outcome, **conditions: Any) -> str:
    evidence = evidence_of(scenario, *outcomes, **conditions)
    return " ".join(worth(evidence, recommended(evidence)))


def doubted(evidence: Evidence) -> list[str]:
    return list(doubts(evidence, recommended(evidence)))


def test_grams_are_of_a_year(scenario: Scenario) -> None:
    """1,000 requests in 10 h are 876,000 a year; half a gram less of 2 g each is 438 kg of 1.752 t."""
    answer = said(scenario, NEAR, outcome("Far", 1.5, 50.0, late=1))
    assert answer.startswith(
        "In a year like these 10 hours, Far saves 438 kg of the 1.75 t CO₂e of Near (25.0 %), "
    )
    assert "and the median request is 30.0 ms slower." in answer
    assert "Late are 1.00 % of Long answers and less of the other workload (limit 5 %)." in answer


def test_a_limit_on_all_requests_stands_beside_the_share_of_all(tmp_path: Path) -> None:
    """20 of 1,000 requests are within 5 %, although they are a fifth of the long ones."""
    limits = load(small.write(tmp_path, ("[horizon]", '[limits]\nper = "all"\n[horizon]')))
    assert (
        "Late are 2.00 % of all requests (limit 5 %): 20.00 % of Long answers and less of the other workload."
    ) in said(limits, NEAR, outcome("Far", 1.5, 50.0, late=20))


def test_a_limit_below_what_is_printed_is_named(tmp_path: Path) -> None:
    limits = load(small.write(tmp_path, ("[horizon]", "[limits]\nviolations = 0.00001\n[horizon]")))
    answer = said(limits, NEAR, outcome("Far", 1.5, 50.0), sampled=False)
    assert "No workload is late more often than its limit allows (0.001 %)." in answer


@pytest.mark.parametrize("hours", [8760.0, 8784.0])
def test_a_year_is_a_year(scenario: Scenario, hours: float) -> None:
    """The grams of a leap year are those that the table shows, as those of any other year."""
    answer = said(scenario, NEAR, outcome("Far", 1.5, 50.0, late=1), hours=hours)
    assert "saves 500 g of the 2.00 kg CO₂e of Near" in answer


def test_a_clairvoyant_policy_never_leads(scenario: Scenario) -> None:
    seer = outcome("Seer", 0.1, 20.0, clairvoyant=True)
    assert "(25.0 %)" in said(scenario, seer, NEAR, outcome("Far", 1.5, 20.0))
    assert said(scenario, seer, NEAR) == "Routing by carbon is not worth it here."


@pytest.mark.parametrize(
    ("fixed", "words"),
    [
        (1.5, "Routing by the hour adds nothing: the fixed choice (Fixed) earns it all (25.0 %)."),
        (1.8, "Routing by the hour with Far adds 15.0 points to the 10.0 % of the fixed choice (Fixed)."),
        (2.0, "Routing by the hour with Far adds 25.0 points to the 0.0 % of the fixed choice (Fixed)."),
        (2.1, "A fixed choice (Fixed) raises emissions by 5.0 %."),
    ],
)
def test_hourly_routing_is_held_against_a_fixed_choice(fixed: float, words: str, scenario: Scenario) -> None:
    far = outcome("Far", 1.5, 50.0)
    assert words in said(scenario, NEAR, far, fixed=outcome("Fixed", fixed, 50.0))


@pytest.mark.parametrize(
    ("on", "late", "words"),
    [
        (
            [4.0, 0.5],
            0,
            "Switching servers off and placing them adds 15.0 points to the 10.0 % of the fixed choice "
            "(Fixed), which has all of them on; routing by the hour alone (Hourly) adds 2.0.",
        ),
        (
            [4.0, 0.5],
            20,
            "Switching servers off and placing them adds 15.0 points to the 10.0 % of the fixed choice "
            "(Fixed), which has all of them on.",
        ),
        (
            [4.0, 2.0],
            0,
            "Routing by the hour with Far adds 15.0 points to the 10.0 % of the fixed choice (Fixed).",
        ),
    ],
)
def test_servers_that_are_switched_off_are_no_merit_of_routing(
    on: list[float], late: int, words: str, scenario: Scenario
) -> None:
    near = with_servers(NEAR, [4.0, 2.0])
    far = with_servers(outcome("Far", 1.5, 50.0), on)
    fixed, hourly = outcome("Fixed", 1.8, 50.0), outcome("Hourly", 1.76, 50.0, late=late)
    assert words in said(scenario, near, far, fixed=fixed, hourly=hourly, baseline=near)


def test_a_fixed_choice_over_the_limit_is_no_choice(scenario: Scenario) -> None:
    """2 % of all requests are late, 20 % of the long answers."""
    answer = said(scenario, NEAR, outcome("Far", 1.5, 50.0), fixed=outcome("Fixed", 1.0, 50.0, late=20))
    assert "A fixed choice (Fixed) would save 50.0 %, but 20.00 % of Long answers would be late." in answer


def test_little_is_hardly_worth_it_and_nothing_is_not(scenario: Scenario) -> None:
    assert "Less than 1 % is hardly worth it." in said(scenario, NEAR, outcome("Far", 1.99, 20.0))
    assert said(scenario, NEAR, outcome("Far", 2.0, 20.0)) == "Routing by carbon is not worth it here."


def test_doubt_about_the_limit_is_told(scenario: Scenario) -> None:
    doubt = "Whether Far stays within the limit is not beyond doubt."
    assert doubt in said(scenario, NEAR, outcome("Far", 1.0, 20.0, late=4))
    assert doubt not in said(scenario, NEAR, outcome("Far", 1.0, 20.0))


def test_the_slowest_workload_stands_for_the_median_request(scenario: Scenario) -> None:
    """Over both workloads together, the median would be that of the short answers alone."""
    far = outcome("Far", 1.5, 50.0)
    latency = Samples(((np.full(900, 21.0),), (np.full(100, 95.0),)))
    assert "the median request is up to 75.0 ms slower." in said(
        scenario, NEAR, replace(far, latency=latency)
    )


def test_nobody_late_is_told_as_it_is_known(scenario: Scenario) -> None:
    """1,000 requests of which none is late do not say that less than a ten-thousandth is."""
    assert "No simulated request is late (limit 5 %)." in said(scenario, NEAR, outcome("Far", 1.5, 50.0))
    expected = said(scenario, NEAR, outcome("Far", 1.5, 50.0), sampled=False)
    assert "Less than 0.01 % of any workload is late (limit 5 %)." in expected


@pytest.mark.parametrize(
    ("late", "sure"),
    [(6, False), (8, False), (30, True)],  # of 100: limits of confidence from 2.2, 3.5 and 21.2 % on
)
def test_what_is_not_worth_it_says_how_unsure_it_is(late: int, sure: bool, scenario: Scenario) -> None:
    outcomes = (NEAR, outcome("Far", 1.0, 20.0, late=late), outcome("Farther", 1.9, 20.0, late=90))
    doubt = (
        "After 1,000 simulated requests, this is not sure: Far saves 50.0 %, and whether it breaks the limit "
        "is not beyond doubt."
    )
    assert doubted(evidence_of(scenario, *outcomes)) == ([] if sure else [doubt])
    assert doubted(evidence_of(scenario, *outcomes, sampled=False)) == []


def test_a_saving_that_may_be_there_is_told(scenario: Scenario) -> None:
    """Nothing is saved in these requests, but the interval leaves room for it."""
    evidence = evidence_of(scenario, NEAR, outcome("Far", 2.0, 20.0))
    row = {**dict.fromkeys(evidence.intervals.columns), "policy": "Far", "figure": evidence.reduction}
    for high, found in (
        (
            7.25,
            [
                "After 1,000 simulated requests, this is not sure: Far may save up to 7.2 % at "
                "95 % confidence."
            ],
        ),
        (0.5, []),
    ):
        more = pl.DataFrame([{**row, "low": -3.0, "high": high}], schema=evidence.intervals.schema)
        intervals = pl.concat([evidence.intervals, more])
        assert doubted(replace(evidence, intervals=intervals)) == found


def test_a_saving_is_no_doubt(scenario: Scenario) -> None:
    assert doubted(evidence_of(scenario, NEAR, outcome("Far", 1.0, 20.0, late=4))) == []


def test_without_energies_intensities_are_compared(scenario: Scenario) -> None:
    near, far = outcome("Near", None, 20.0), replace(outcome("Far", None, 20.0))
    far = replace(far, carbon_sum_g_per_kwh=far.carbon_sum_g_per_kwh / 4)
    comparison = Comparison(near, {}, {})
    outcomes = (near, far)
    evidence = Evidence(
        policies=policies.table(scenario, outcomes, comparison),
        workloads=workloads.table(scenario, outcomes),
        saving=saving.table(scenario, comparison),
        intervals=violations([workload.id for workload in scenario.workloads], outcomes),
        baseline=near,
        outcomes={one.policy: one for one in outcomes},
        hours=10.0,
        horizon_h=10,
    )
    assert next(worth(evidence, recommended(evidence))) == (
        "With Far, requests meet 25.0 g CO₂e/kWh instead of the 100.0 of Near (75.0 % less), and the median "
        "request is as fast."
    )


def test_nothing_is_told_twice(scenario: Scenario) -> None:
    comparison, outcomes = Comparison(NEAR, {}, {}), (NEAR, outcome("Far", 1.5, 50.0, late=1))
    table = policies.table(scenario, outcomes, comparison)
    sentence = finding(table, table.row(1, named=True))
    assert (
        sentence
        == "Of the policies compared, none that a router can run saves more within 5 % SLO violations "
        "in every workload."
    )
    seer = outcome("Seer", 0.5, 20.0, clairvoyant=True)
    table = policies.table(scenario, (*outcomes, seer), comparison)
    assert finding(table, table.row(1, named=True)).endswith(
        "; with clairvoyance, Seer cuts emissions by 75.0 %."
    )


def test_what_a_full_region_saves_is_no_saving_of_routing(scenario: Scenario) -> None:
    """Requests that find their own region full go to a cleaner one, under Latency-First too."""
    near, free = with_servers(outcome("Near", 1.0, 20.0), [4.0, 4.0]), NEAR
    comparison = Comparison(
        free, {}, {}, unlimited={"Near": free}, unlimited_baseline=free, same_capacity=near
    )
    table = policies.table(scenario, [near], comparison)
    assert table["emissions_reduction_pct"].to_list() == [50.0]
    assert finding(table, table.row(0, named=True)) == "Against Near, nothing is saved."


@pytest.mark.parametrize(
    ("kg", "words"),
    [(0.0000123, "12.3 mg"), (0.0123, "12.3 g"), (999.4, "999 kg"), (1234.0, "1.23 t"), (5.6e6, "5,600 t")],
)
def test_units_fit_the_size(kg: float, words: str) -> None:
    assert mass_in_words(kg) == words
