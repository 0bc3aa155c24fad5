"""What-if: each change worked out by hand on two regions, and both engines on the same question."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import polars as pl
import pytest

from carbonroute.analysis import whatif
from carbonroute.analysis.alterations import Alterations
from carbonroute.analysis.whatif import WhatIf, finding, run
from carbonroute.engines import ENGINES
from carbonroute.errors import InputError
from carbonroute.metrics.headlines.whatif import KG_PER_YEAR, MEDIAN
from carbonroute.metrics.measure import GRAMS, INTENSITY
from carbonroute.metrics.slo import WORST_PCT
from carbonroute.outcome import Outcome
from carbonroute.runs import replications as replications_of_runs
from carbonroute.scenario import Inputs, load, resolve
from helpers import small

#: 40 % of the requests are nearest to A (400 g/kWh), 60 % to B (50 g/kWh); all are in time everywhere.
STILL = (
    ("noise = 0.1", "noise = 0"),
    ("jitter_std_ms = 3", "jitter_std_ms = 0"),
    ("alpha = 0.5\n", 'alpha = 0.5\n[[policies]]\nuse = "carbon-first"\n'),
)
NEAR, GREEN = "Latency-First", "Carbon-First"
NEAREST_G = 0.4 * 400 + 0.6 * 50
#: 1 Wh a request: 50 requests an hour meet as many g/kWh as Wh.
IN_GRAMS = (
    ("mean = 20, std = 4 }", "mean = 20, std = 4 }\nenergy_j = 3600"),
    ("floor = 1 }", "floor = 1 }\nenergy_j = 3600"),
)
MANY = ("requests_per_hour = 50", "requests_per_hour = 2000")


def asked(folder: Path, alterations: Alterations, *changes: small.Change, **options: Any) -> WhatIf:
    """Return the exact answer for the still scenario, changed."""
    scenario = small.write(folder, *STILL, *changes)
    return run(scenario, alterations, **{"engine": "exact", **options})


def value(result: WhatIf, policy: str, figure: str, side: str = "then") -> float:
    return float(
        result.rows.row(by_predicate=(pl.col("policy") == policy) & (pl.col("figure") == figure), named=True)[
            side
        ]
    )


def reduction(green: float, near: float) -> float:
    return 100 * (1 - green / near)


def test_now_is_the_scenario_as_it_is(tmp_path: Path) -> None:
    result = asked(tmp_path, Alterations(full=("B",)))
    assert value(result, NEAR, INTENSITY.amount, "now") == pytest.approx(NEAREST_G)
    assert value(result, GREEN, INTENSITY.amount, "now") == pytest.approx(50)
    assert value(result, GREEN, INTENSITY.reduction, "now") == pytest.approx(reduction(50, NEAREST_G))


def test_a_full_region_serves_the_origins_that_it_is_nearest_to(tmp_path: Path) -> None:
    """All who would move to B stay at A: Carbon-First is Latency-First."""
    result = asked(tmp_path, Alterations(full=("B",)))
    assert value(result, GREEN, INTENSITY.amount) == pytest.approx(NEAREST_G)
    assert value(result, GREEN, INTENSITY.reduction) == pytest.approx(0, abs=1e-9)
    assert value(result, GREEN, INTENSITY.amount, "difference") == pytest.approx(NEAREST_G - 50)
    assert value(result, NEAR, INTENSITY.amount, "difference") == 0


def test_a_full_region_that_nobody_wants_changes_nothing(tmp_path: Path) -> None:
    result = asked(tmp_path, Alterations(full=("A",)))
    assert (result.rows["difference"].abs() < 1e-9).all()


@pytest.mark.parametrize("engine", ["sampled", "exact"])
@pytest.mark.parametrize("units", [(), IN_GRAMS], ids=["intensity", "grams"])
def test_what_does_not_change_is_said_to_stay(
    engine: str, units: tuple[small.Change, ...], tmp_path: Path
) -> None:
    """Carbon-First serves all in B: without A, the same grams are summed in another order."""
    result = asked(tmp_path, Alterations(without=("A",)), *units, engine=engine)
    amount = "It still emits 21.9 kg CO₂e a year" if units else "Its requests still meet 50.0 g CO₂e/kWh"
    assert finding(result)[1] == f"{amount}; the median request is as fast."


def test_a_region_that_is_nearest_to_nobody_serves_nobody_when_full(tmp_path: Path) -> None:
    """C is greenest, and nobody's nearest: full, it is as if it were not there."""
    third = (
        ("B = 65 }", "B = 65, C = 90 }"),
        ("B = 10 }", "B = 10, C = 90 }"),
        (
            'name = "B"\ncarbon_g_per_kwh = 50',
            'name = "C"\ncarbon_g_per_kwh = 5\n[[regions]]\nname = "B"\ncarbon_g_per_kwh = 50',
        ),
    )
    full = asked(tmp_path, Alterations(full=("C",)), *third)
    gone = asked(tmp_path, Alterations(without=("C",)), *third)
    assert value(full, GREEN, INTENSITY.amount, "now") == pytest.approx(5)
    assert value(full, GREEN, INTENSITY.amount) == pytest.approx(50)
    for policy in (NEAR, GREEN):  # a hybrid still scales by what it sees of C
        rows = [result.rows.filter(policy=policy)["then"].to_list() for result in (full, gone)]
        assert rows[0] == pytest.approx(rows[1]), policy
    assert any("C is the nearest region of no origin" in note for note in full.notes)


def test_without_a_region_its_users_are_served_elsewhere(tmp_path: Path) -> None:
    result = asked(tmp_path, Alterations(without=("B",)))
    for policy in (NEAR, GREEN):
        assert value(result, policy, INTENSITY.amount) == pytest.approx(400)
    # To A, with 5 ms from West and 80 ms from East; services of 20 ± 4 ms (short) and 120 ± 25 ms (long).
    for workload, laws in {"short": ((25, 4), (100, 4)), "long": ((125, 25), (200, 25))}.items():
        median = value(result, NEAR, f"{MEDIAN}[{workload}]")
        below = sum(share * NormalDist(*law).cdf(median) for share, law in zip((0.4, 0.6), laws, strict=True))
        assert below == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize(
    ("amount", "a_g"), [("+50%", 600), ("-25%", 300), ("-100", 300), ("+20", 420), ("100", 100)]
)
def test_carbon_of_a_region_is_multiplied(amount: str, a_g: float, tmp_path: Path) -> None:
    result = asked(tmp_path, Alterations(carbon=(f"A={amount}",)))
    near = 0.4 * a_g + 0.6 * 50
    assert value(result, NEAR, INTENSITY.amount) == pytest.approx(near)
    assert value(result, GREEN, INTENSITY.reduction) == pytest.approx(reduction(50, near))


def test_carbon_of_a_zone_is_that_of_all_its_regions(tmp_path: Path) -> None:
    zones = [(f'name = "{name}"\ncarbon', f'name = "{name}"\nzone = "DE"\ncarbon') for name in "AB"]
    result = asked(tmp_path, Alterations(carbon=("de=+20%",)), *zones)
    assert value(result, NEAR, INTENSITY.amount) == pytest.approx(1.2 * NEAREST_G)
    assert value(result, GREEN, INTENSITY.reduction, "difference") == pytest.approx(0, abs=1e-9)
    assert "the carbon intensity of DE is 20 % higher" in result.altered.words


def test_carbon_of_a_file_is_multiplied_as_well(tmp_path: Path) -> None:
    """A: 400 … 405, B: 50 … 55. A mean of 100 for A is every hour times 100/402.5: never above 101."""
    scenario = small.write_with_carbon(tmp_path, small.WIDE_CSV, small.WIDE, *STILL[1:])
    result = run(scenario, Alterations(carbon=("A=100",)), engine="exact")
    assert value(result, NEAR, INTENSITY.amount, "now") == pytest.approx(0.4 * 402.5 + 0.6 * 52.5)
    assert value(result, NEAR, INTENSITY.amount) == pytest.approx(0.4 * 100 + 0.6 * 52.5)


def test_twice_the_traffic_is_twice_the_emissions(tmp_path: Path) -> None:
    result = asked(tmp_path, Alterations(traffic="2x"), *IN_GRAMS)
    yearly_kg = 50 * 8760 * NEAREST_G / 1e6
    assert value(result, NEAR, KG_PER_YEAR, "now") == pytest.approx(yearly_kg)
    assert value(result, NEAR, KG_PER_YEAR, "difference") == pytest.approx(yearly_kg)
    assert value(result, GREEN, GRAMS.reduction, "difference") == pytest.approx(0, abs=1e-9)


def test_a_tighter_limit_makes_requests_late(tmp_path: Path) -> None:
    """From West to B a short request takes 85 ms: over 50 ms. They are 40 % of the short ones."""
    result = asked(tmp_path, Alterations(slo=("short=50ms",)))
    assert value(result, GREEN, WORST_PCT) == pytest.approx(40, abs=1e-3)
    row = result.rows.filter(policy=GREEN, figure=WORST_PCT).row(0, named=True)
    assert (row["now_viable"], row["then_viable"], row["then_workload"]) == (True, False, "Short answers")
    by_name = asked(tmp_path, Alterations(slo=("Short answers=0.05s",)))
    assert by_name.rows["then"].to_list() == result.rows["then"].to_list()


def test_changes_hold_together(tmp_path: Path) -> None:
    """A at 600 g/kWh, B full, twice the traffic: all stay where they are."""
    together = Alterations(full=("B",), carbon=("A=+50%",), traffic="2x")
    result = asked(tmp_path, together, *IN_GRAMS)
    g_per_kwh = 0.4 * 600 + 0.6 * 50
    for policy in (NEAR, GREEN):
        assert value(result, policy, KG_PER_YEAR) == pytest.approx(2 * 50 * 8760 * g_per_kwh / 1e6)
    condition = "B is full, the carbon intensity of A is 50 % higher and traffic is 2 times as much"
    assert finding(result)[0].startswith(
        f"If {condition}, Carbon-First saves nothing, instead of 73.7 % of emissions, and 0.00 % of "
    )


def test_a_region_of_the_catalogue_is_added(tmp_path: Path) -> None:
    """Its mean carbon is below that of B, so that Carbon-First moves there in some hours at least."""
    places = (
        ('name = "West"\n', 'name = "West"\nlatitude = 53.3\nlongitude = -6.3\n'),
        ('name = "East"\n', 'name = "East"\nlatitude = 38.9\nlongitude = -77.4\n'),
    )
    result = asked(tmp_path, Alterations(add=("aws:eu-north-1",)), *places)
    assert value(result, GREEN, INTENSITY.amount) < value(result, GREEN, INTENSITY.amount, "now") == 50
    assert value(result, NEAR, INTENSITY.amount, "difference") == 0  # it is nobody's nearest region
    assert result.altered.text == "there is aws:eu-north-1 as well"


EVERY = (
    *("latency-first", "carbon-first", "static-greenest", "nearest-greenest", "round-robin", "random"),
    *("least-loaded", "power-of-two", "spill", "optimal", "provision", "clairvoyant-bound"),
)


def _of_every_policy(folder: Path, *changes: small.Change) -> Path:
    entries = "".join(
        f'[[policies]]\nuse = "{use}"\n{"k = 1" * (use == "nearest-greenest")}\n' for use in EVERY
    )
    return small.write(folder, *STILL[1:2], ('[[policies]]\nuse = "latency-first"\n', entries), *changes)


@pytest.fixture(scope="module", params=["sampled", "queued"])
def free(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Inputs, tuple[Outcome, ...]]:
    """Return an engine, a scenario of every policy, and its outcomes where no region is full."""
    pools = ("[[policies]]", "[control]\ninterval_s = 600\n[[pools]]\nservers = 3\n[[policies]]")
    scenario = _of_every_policy(tmp_path_factory.mktemp("every"), pools, ("hours = 6", "hours = 1"))
    inputs = resolve(load(scenario))
    return request.param, inputs, ENGINES[request.param](inputs)


@pytest.mark.parametrize("full", [(0,), (1,), (0, 1)])
def test_no_policy_sends_others_to_a_full_region(
    full: tuple[int, ...], free: tuple[str, Inputs, tuple[Outcome, ...]]
) -> None:
    engine, inputs, unlimited = free
    takes = np.ones((2, 2), dtype=bool)
    for region in full:
        takes[1 - region, region] = False  # West is nearest to A, East to B
    outcomes = ENGINES[engine](replace(inputs, allowed=takes[:, np.newaxis].repeat(2, axis=1)))
    for outcome in outcomes:
        astray = outcome.requests.sum(axis=1)[~takes]
        assert not astray.any(), outcome.policy
    # Without the rule, they do: there is something to keep them from.
    assert any(outcome.requests.sum(axis=1)[~takes].any() for outcome in unlimited)


PAIRS = ("jitter_std_ms = 0\n", 'jitter = { law = "lognormal", p90_file = "p90.csv" }\n')


@pytest.mark.parametrize("changes", [STILL, (*STILL, PAIRS)])
def test_expected_requests_stay_out_of_a_full_region(
    changes: tuple[small.Change, ...], tmp_path: Path
) -> None:
    """Whatever is known of them: nothing, their service time, or with the bound their jitter too."""
    (tmp_path / "p90.csv").write_text(",A,B\nWest,9,80\nEast,99,14\n", encoding="utf-8")
    bound = ('use = "carbon-first"\n', 'use = "carbon-first"\n[[policies]]\nuse = "clairvoyant-bound"\n')
    inputs = resolve(load(small.write(tmp_path, *changes, bound)))
    takes = np.array([[True, False], [True, True]])
    for outcome in ENGINES["exact"](replace(inputs, allowed=takes[:, np.newaxis].repeat(2, axis=1))):
        assert outcome.requests.sum(axis=1)[0, 1] == 0, outcome.policy
        assert outcome.requests.sum() == pytest.approx(300)
    free = {outcome.policy: outcome.requests.sum(axis=1)[0, 1] for outcome in ENGINES["exact"](inputs)}
    assert {policy for policy, moved in free.items() if moved > 0} >= {GREEN, "Clairvoyant bound"}


#: Requests from the West may be served in A alone, or in a third region far from all.
HOME = ("share = 0.4\n", 'share = 0.4\nallowed_regions = ["A", "C"]\n')
THIRD = (
    ("B = 65 }", "B = 65, C = 90 }"),
    ("B = 10 }", "B = 10, C = 95 }"),
    ("[[workloads]]", '[[regions]]\nname = "C"\ncarbon_g_per_kwh = 300\n[[workloads]]'),
)


def test_a_full_region_is_left_to_those_that_may_not_go_nearer(tmp_path: Path) -> None:
    """B is nearest to the East; of what the West may use, A is: it keeps its requests when A is full."""
    path = small.write(tmp_path, *STILL, *THIRD, HOME)
    inputs = resolve(load(path))
    altered = Alterations(full=("A",)).read(inputs)
    assert inputs.allowed is not None
    allowed = altered.allowed(inputs.rtt_ms, inputs.allowed)
    assert allowed[:, 0].tolist() == [[True, False, True], [False, True, True]]
    result = run(path, Alterations(full=("A", "B")), engine="exact")
    assert value(result, GREEN, INTENSITY.amount) == pytest.approx(0.4 * 300 + 0.6 * 50)


def test_a_region_that_is_taken_away_is_allowed_to_nobody(tmp_path: Path) -> None:
    path = small.write(tmp_path, *STILL, *THIRD, HOME)
    result = run(path, Alterations(without=("C",)), engine="exact")
    assert value(result, GREEN, INTENSITY.amount, "now") == pytest.approx(0.4 * 300 + 0.6 * 50)
    assert value(result, GREEN, INTENSITY.amount) == pytest.approx(NEAREST_G)


def test_the_last_allowed_region_cannot_be_taken_away(tmp_path: Path) -> None:
    path = small.write(tmp_path, *STILL, *THIRD, HOME)
    with pytest.raises(InputError, match="requests of West may be served in A, C alone; leave one of these"):
        run(path, Alterations(without=("A", "C")), engine="exact")


def test_forecasts_are_multiplied_as_what_they_forecast(tmp_path: Path) -> None:
    """Carbon-First by forecasts: A is forecast at 10 g/kWh, B at 50; six times as much sends all to B."""
    rows = [
        f"2021-01-01T00:00:00Z,{lead},{zone},{value}\n"
        for lead in range(6)
        for zone, value in (("A", 10), ("B", 50))
    ]
    (tmp_path / "fc.csv").write_text("".join(["issue,lead,zone,value\n", *rows]), encoding="utf-8")
    forecast = (
        "noise = 0\n",
        'noise = 0\n[carbon.forecast]\npath = "fc.csv"\nissue_column = "issue"\nlead_column = "lead"\n'
        'zone_column = "zone"\nvalue_column = "value"\nunit = "g/kWh"\n',
    )
    by_forecast = ('service_time = "mean"', 'service_time = "mean"\ncarbon = "forecast"\ncarbon_age = "0h"')
    result = asked(tmp_path, Alterations(carbon=("A=+500%",)), forecast, by_forecast, ("= 400", "= 100"))
    assert value(result, GREEN, INTENSITY.amount, "now") == pytest.approx(100)
    assert value(result, GREEN, INTENSITY.amount) == pytest.approx(50)


def test_remarks_on_what_is_not_quite_as_asked(tmp_path: Path) -> None:
    assert asked(tmp_path, Alterations(traffic="0.33x")).notes[-1] == (
        "Traffic is 16 requests an hour, the whole number nearest to 16.5"
    )
    published = ('scheme = "streams"', 'scheme = "published"')
    result = asked(tmp_path, Alterations(without=("A",)), published, engine="sampled", replications=2)
    assert "The published scheme draws carbon noise region by region" in result.notes[-1]
    assert result.notes[0] == "2 replications, each with the same seed on both sides"


@pytest.mark.parametrize(
    "alterations", [Alterations(full=("B",)), Alterations(carbon=("B=300",), slo=("short=80ms",))]
)
def test_sampled_and_exact_answers_agree(alterations: Alterations, tmp_path: Path) -> None:
    """A 95 % interval of t(4) is 2.78 standard errors: three times as far is beyond 0.1 % of all cases."""
    scenario = small.write(tmp_path, *STILL, MANY)
    exact = run(scenario, alterations, engine="exact")
    sampled = run(scenario, alterations, engine="sampled")
    columns = ("policy", "figure", "then", "difference")
    compared = sampled.rows.join(exact.rows.select(columns), on=("policy", "figure"), suffix="_exact")
    assert compared.height == 4 * (3 + 2)  # policies, figures of all requests, medians
    for side in ("then", "difference"):
        known = compared.drop_nulls(f"{side}_low")
        assert known.height > 8
        half_width = (known[f"{side}_high"] - known[f"{side}_low"]) / 2
        apart = (known[side] - known[f"{side}_exact"]).abs()
        assert (apart <= 3 * half_width + 1e-9).all(), known.filter(apart > 3 * half_width + 1e-9)
    assert exact.rows["difference_low"].null_count() == exact.rows.height


def test_common_random_numbers_cancel_in_the_difference(tmp_path: Path) -> None:
    """The same requests on both sides: the difference is known far better than either side."""
    scenario = small.write(tmp_path, *IN_GRAMS)
    result = run(scenario, Alterations(carbon=("A=+10%",)), engine="sampled")
    row = result.rows.filter(policy=NEAR, figure=KG_PER_YEAR).row(0, named=True)
    widths = [row[f"{side}_high"] - row[f"{side}_low"] for side in ("then", "difference")]
    assert 0 < widths[1] < widths[0] / 4


def test_a_share_of_the_load_makes_no_new_servers(tmp_path: Path) -> None:
    """With load shares, twice the traffic meets the servers that there are."""
    many = ("requests_per_hour = 50", "requests_per_hour = 20_000_000")
    scenario = small.write(
        tmp_path, *STILL, many, ("[[policies]]", "[[pools]]\nload_share = 0.9\n[[policies]]")
    )
    now = resolve(load(scenario))
    altered = Alterations(traffic="2x").read(now)
    then = resolve(load(scenario, {"traffic.requests_per_hour": 40_000_000}))
    assert then.capacity.servers.tolist() > now.capacity.servers.tolist()
    assert whatif._altered(now, then, altered).capacity.servers.tolist() == now.capacity.servers.tolist()


def test_queued_answers_are_paired_on_the_same_capacity(tmp_path: Path) -> None:
    """Servers in plenty: queues change nothing, and the answer is that without them."""
    scenario = small.write(tmp_path, *STILL, ("[[policies]]", "[[pools]]\nservers = 500\n[[policies]]"))
    result = run(scenario, Alterations(full=("B",)), replications=2)
    assert result.engine == "queued"
    assert value(result, GREEN, INTENSITY.reduction) == pytest.approx(0, abs=1e-9)
    assert value(result, GREEN, INTENSITY.amount, "now") == pytest.approx(50)


@pytest.mark.parametrize(("engine", "replications"), [("queued", 2), ("exact", None)])
def test_other_processes_give_the_same_bits(
    engine: str, replications: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Now, then and all replications are worked out elsewhere: here, there is no engine to do so."""
    pools = ("[[policies]]", "[[pools]]\nservers = 2\n[[policies]]")
    scenario = small.write(tmp_path, *[pools] * (engine == "queued"))
    options: dict[str, Any] = {"engine": engine, "replications": replications}
    one = run(scenario, Alterations(full=("B",)), **options)
    monkeypatch.setattr(replications_of_runs, "ENGINES", {})
    steps: list[tuple[int, int]] = []
    others = run(
        scenario, Alterations(full=("B",)), workers=3, progress=lambda *step: steps.append(step), **options
    )
    assert others.rows.equals(one.rows)
    assert (others.now.equals(one.now), others.then.equals(one.then)) == (True, True)
    assert steps[-1] == (2 * (replications or 1),) * 2


@pytest.mark.parametrize(
    ("alterations", "words"),
    [
        (Alterations(), "found no change; state one"),
        (Alterations(full=("Aa",)), "there is no region 'Aa'; did you mean 'A'"),
        (Alterations(without=("West",)), "'West' is an origin alone: no region of that name serves requests"),
        (Alterations(without=("A", "B")), "found every region of the scenario; leave one"),
        (Alterations(full=("A",), without=("A",)), "'A' is taken away as well"),
        (Alterations(carbon=("A=+5%",), without=("A",)), "A is taken away as well"),
        (Alterations(carbon=("A=+5%", "A=+6%")), "A stands twice"),
        (Alterations(carbon=("A",)), "found 'A'; a name and a value are expected: de="),
        (Alterations(carbon=("A=20%",)), "found '20%' for A; [+]20% or -20%"),
        (Alterations(carbon=("A=x",)), "found 'x' for A"),
        (Alterations(carbon=("A=-500",)), "of the 400.0 g/kWh of A; no less than -400.0 is"),
        (Alterations(carbon=("A=-120%",)), "no less than -100% is expected"),
        (Alterations(slo=("short=ttft:1s",)), "no pool of the scenario states llm; limit .*: short=1s"),
        (Alterations(carbon=("Q=3",)), "there is no region or zone 'Q'"),
        (Alterations(traffic="2"), "found '2'; 2x, 0.5x"),
        (Alterations(traffic="-100%"), "found '-100%'; 2x"),
        (Alterations(slo=("short=50",)), "found '50' for short; a time is expected: 8s or 200ms"),
        (Alterations(slo=("short=0ms",)), "found '0ms' for short"),
        (Alterations(slo=("shrt=5s",)), "there is no workload 'shrt'; did you mean 'short'"),
        (Alterations(add=("aws:eu-nort-1",)), "the catalogue has no region 'aws:eu-nort-1'; did you mean"),
        (Alterations(add=("aws:eu-north-1",)), "'West': has no coordinates, and no round-trip time"),
        (Alterations(carbon=("A=+900%",)), "reaches 4,000 g/kWh; 2000 is the limit"),
    ],
)  # fmt: skip
def test_changes_that_cannot_be_made_are_refused(
    alterations: Alterations, words: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=words):
        asked(tmp_path, alterations)


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        asked(tmp_path, Alterations(full=("X",), without=("Y",), slo=("Z=1s",), traffic="much"))
    assert [fault.file for fault in refused.value.faults] == ["--full", "--without", "--traffic", "--slo"]


def test_requests_of_a_log_cannot_be_multiplied(tmp_path: Path) -> None:
    rows = [f"2021-01-01T00:{minute:02}:00Z,West,short\n" for minute in range(60)]
    (tmp_path / "log.csv").write_text("".join(["T,WHO,WHAT\n", *rows]), encoding="utf-8")
    replay = (
        'kind = "fixed-rate"\nrequests_per_hour = 50\n',
        'kind = "replay"\n[[traffic.logs]]\npath = "log.csv"\ntime_column = "T"\norigin_column = "WHO"\n'
        'workload_column = "WHAT"\n',
    )
    with pytest.raises(InputError, match="traffic of kind 'replay' is that of its logs; state rates"):
        asked(tmp_path, Alterations(traffic="2x"), replay, engine="sampled")


def test_names_are_taken_in_upper_or_lower_case_if_none_is_as_given(tmp_path: Path) -> None:
    result = asked(tmp_path, Alterations(full=("b",)))
    assert result.altered.words == ("B is full",)
