"""Runs: replications with seeds of their own, how narrow is enough, and which options go together."""

from __future__ import annotations

from html.parser import HTMLParser
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from carbonroute import rng
from carbonroute.errors import InputError
from carbonroute.metrics import Tables
from carbonroute.outcome import Histogram, Outcome, Paired, Samples
from carbonroute.runs import Result, replications, run
from carbonroute.runs.precision import FEWEST, Precision
from carbonroute.runs.replications import seeds, with_seed
from carbonroute.scenario import Scenario, load
from helpers import small

#: A policy that breaks SLOs.
GREEDY = 'use = "constrained-hybrid"\nmargin_ms = 5', 'use = "carbon-first"'
#: Latency-First runs unseen then, behind the others.
WITHOUT_BASELINE = 'use = "latency-first"\n[[policies]]\n', ""
WHOLE = pl.col("workload").is_null()


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    return load(small.write(tmp_path_factory.mktemp("small")))


def intervals(tables: Tables, figure: str) -> pl.DataFrame:
    return tables.intervals.filter(WHOLE, figure=figure)


def test_the_first_seed_is_the_scenario_s_and_all_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    first = list(islice(seeds(42), 200))
    assert first[0] == 42
    assert len(set(first)) == 200
    assert all(0 <= seed <= rng.MAX_SEED for seed in first)
    assert list(islice(seeds(42), 20)) == first[:20]
    assert set(islice(seeds(43), 200)).isdisjoint(first)
    monkeypatch.setattr(rng, "MAX_SEED", 9)  # where seeds must come twice
    assert sorted(islice(seeds(4), 10)) == list(range(10))


def test_one_replication_is_the_plain_run(scenario: Scenario) -> None:
    plain, one = run(scenario), run(scenario, replications=1)
    assert plain.seeds == one.seeds == (7,)
    for name, table in vars(plain.tables).items():
        assert getattr(one.tables, name).equals(table), name


@pytest.mark.parametrize("until", [None, "slo_violation_pct ± 50"])
def test_replications_of_queues_are_shared(
    until: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other processes give the same bits; here, there is no engine to work them out."""
    pools = ("[[policies]]", "[[pools]]\nservers = 2\n[[policies]]")
    queued = load(small.write(tmp_path, pools))
    most = 3 if until is None else None
    alone = run(queued, replications=most, until=until)
    monkeypatch.setattr(replications, "ENGINES", {})
    together = run(queued, replications=most, until=until, workers=2)
    assert together.seeds == alone.seeds
    for name, table in vars(alone.tables).items():
        assert getattr(together.tables, name).equals(table), name


def test_replications_are_runs_with_other_seeds_together(scenario: Scenario) -> None:
    together = run(scenario, replications=4)
    alone = [run(with_seed(scenario, seed)) for seed in together.seeds]
    for place, outcome in enumerate(together.outcomes):
        parts = [result.outcomes[place] for result in alone]
        assert (outcome.requests == sum(part.requests for part in parts)).all()
        assert outcome.latency.quantile(0.95) == Outcome.merged(parts).latency.quantile(0.95)
        row = together.tables.policies.row(place, named=True)
        assert row["requests"] == 4 * 300
        means = [result.tables.policies["avg_latency_ms"][place] for result in alone]
        assert row["avg_latency_ms"] == pytest.approx(np.mean(means))
    assert alone[0].inputs.carbon.g_per_kwh.tolist() != alone[1].inputs.carbon.g_per_kwh.tolist()
    assert together.tables.carbon.equals(alone[0].tables.carbon)


@pytest.mark.parametrize(
    "figure", ["avg_latency_ms", "p95_latency_ms", "avg_carbon_g_per_kwh", "carbon_reduction_pct"]
)
def test_intervals_over_replications_are_student_s(figure: str, scenario: Scenario) -> None:
    together = run(scenario, replications=4)
    alone = [run(with_seed(scenario, seed)).tables.policies for seed in together.seeds]
    for place, policy in enumerate(together.tables.policies["policy"]):
        values = [policies[figure][place] for policies in alone]
        row = intervals(together.tables, figure).row(by_predicate=pl.col("policy") == policy, named=True)
        assert row["value"] == together.tables.policies[figure][place]
        if np.ptp(values) == 0:
            continue
        low, high = stats.t.interval(0.95, 3, row["value"], stats.sem(values))
        assert (row["low"], row["high"]) == pytest.approx((low, high))
        assert (row["method"], row["n"], row["confidence"]) == ("t over 4 replications", 4, 0.95)


@pytest.mark.parametrize("figure", ["slo_violation_pct", "share_A"])
def test_intervals_of_shares_over_replications_are_korn_and_graubard_s(
    figure: str, scenario: Scenario
) -> None:
    together = run(scenario, replications=4)
    shares = [
        run(with_seed(scenario, seed)).tables.intervals.filter(WHOLE, figure=figure)
        if figure == "slo_violation_pct"
        else run(with_seed(scenario, seed)).tables.routing.filter(region="A").rename({"share": "value"})
        for seed in together.seeds
    ]
    whole = 100 if figure == "slo_violation_pct" else 1
    for place, row in enumerate(intervals(together.tables, figure).rows(named=True)):
        values = np.array([table["value"][place] for table in shares]) / whole
        mean = row["value"] / whole
        trials = mean * (1 - mean) / (values.var(ddof=1) / 4) * (1.959964 / 3.182446) ** 2 if mean else 0
        if trials == 0:
            continue
        low = stats.beta.ppf(0.025, mean * trials, trials - mean * trials + 1)
        high = stats.beta.ppf(0.975, mean * trials + 1, trials - mean * trials)
        assert (row["low"], row["high"]) == pytest.approx((whole * low, whole * high), rel=1e-5)
        assert (row["method"], row["n"]) == ("Korn-Graubard over 4 replications", 4)


def test_differences_are_those_of_each_replication(scenario: Scenario) -> None:
    together = run(scenario, replications=4)
    first, last = (together.tables.policies.row(i, named=True) for i in (0, -1))
    for figure in ("avg_latency_ms", "avg_carbon_g_per_kwh", "slo_violation_pct"):
        rows = intervals(together.tables, f"{figure}_difference")
        assert rows["policy"].to_list() == together.tables.policies["policy"].to_list()[1:]
        row = rows.row(-1, named=True)
        alone = [run(with_seed(scenario, seed)).tables.policies[figure] for seed in together.seeds]
        values = [policies[-1] - policies[0] for policies in alone]
        low, high = stats.t.interval(0.95, 3, last[figure] - first[figure], stats.sem(values))
        assert (row["low"], row["high"]) == pytest.approx((low, high))
        assert row["method"] == "paired with Latency-First, t over 4 replications"


def test_every_printed_figure_has_its_interval(scenario: Scenario) -> None:
    tables = run(scenario, replications=3).tables
    found = set(tables.intervals.select("policy", "workload", "figure").iter_rows())
    policies = tables.policies["policy"].to_list()
    figures = [
        "avg_latency_ms",
        "p95_latency_ms",
        "slo_violation_pct",
        "avg_carbon_g_per_kwh",
        "carbon_reduction_pct",
    ]
    of_a_workload = figures[:3]
    shares = [f"share_{region}" for region in "AB"]
    differences = [f"{figures[i]}_difference" for i in (0, 2, 3)]
    expected: set[tuple[Any, ...]] = {
        (policy, None, figure) for policy in policies for figure in figures + shares
    }
    expected |= {
        (policy, workload, figure)
        for policy in policies
        for workload in ("short", "long")
        for figure in of_a_workload
    }
    expected |= {(policy, None, figure) for policy in policies[1:] for figure in differences}
    assert found == expected
    assert tables.intervals.height == len(expected)
    assert (tables.intervals["low"] <= tables.intervals["value"]).all()
    assert (tables.intervals["value"] <= tables.intervals["high"]).all()


def test_without_a_violation_all_requests_of_all_replications_are_counted(scenario: Scenario) -> None:
    tables = run(scenario, replications=3).tables
    row = intervals(tables, "slo_violation_pct").row(0, named=True)
    assert (row["value"], row["low"], row["high"], row["n"]) == (0, 0, pytest.approx(100 * 3 / 900), 900)
    assert row["method"] == "rule of three"
    assert "No violation means 0 of 900 requests: below 0.33 % at 95 % confidence" in " ".join(
        tables.overview["notes"][0]
    )


def test_grams_are_those_of_one_horizon(tmp_path: Path) -> None:
    changes = {"horizon.hours": 3, "traffic.requests_per_hour": 40}
    alone, together = (
        run("five-aws-regions", changes).tables,
        run("five-aws-regions", changes, replications=3).tables,
    )
    for one, mean in zip(alone.policies["total_kg"], together.policies["total_kg"], strict=True):
        assert mean == pytest.approx(one, rel=0.8)  # not three times as much
    per_request = together.policies["emissions_g_per_request"] * together.policies["requests"] / 1000 / 3
    assert together.policies["total_kg"].to_list() == pytest.approx(per_request.to_list())
    steps = together.saving.filter(step="latency-first")["total_kg"]
    assert steps.to_list() == pytest.approx(
        together.policies.filter(policy="Latency-First")["total_kg"].to_list()
    )
    kg = intervals(together, "total_kg")
    assert kg["value"].to_list() == together.policies["total_kg"].to_list()
    assert ((kg["low"] < kg["value"]) & (kg["value"] < kg["high"])).all()


def test_what_age_costs_is_pooled_too(tmp_path: Path) -> None:
    old = small.write(tmp_path, ('service_time = "mean"', 'service_time = "mean"\ncarbon_age = "2h"'))
    together = run(old, replications=3)
    fresh = together.tables.policies["fresh_carbon_g_per_kwh"]
    assert fresh.null_count() == 1  # Latency-First reads no carbon
    assert intervals(together.tables, "extra_vs_fresh_pct").height == 2
    alone = [run(with_seed(together.inputs.scenario, seed)).tables.policies for seed in together.seeds]
    assert fresh[1] == pytest.approx(np.mean([policies["fresh_carbon_g_per_kwh"][1] for policies in alone]))


@pytest.mark.parametrize("text", ["avg_latency_ms ± 1.2", "avg_latency_ms +- 1.2", "avg_latency_ms+/-1.2"])
def test_replications_end_when_the_interval_is_narrow_enough(text: str, scenario: Scenario) -> None:
    done = run(scenario, until=text)
    count = len(done.seeds)
    assert count > FEWEST

    def widest(result: Result) -> float:
        rows = intervals(result.tables, "avg_latency_ms")
        return float(max(((rows["high"] - rows["low"]) / 2).to_list()))

    assert widest(done) <= 1.2 < widest(run(scenario, replications=count - 1))
    assert f"avg_latency_ms ± 1.2 reached: ± {widest(done):.3g} under" in " ".join(
        done.tables.overview["notes"][0]
    )
    assert run(scenario, until=text).seeds == done.seeds


def test_no_interval_of_few_replications_is_believed(scenario: Scenario) -> None:
    assert len(run(scenario, until="avg_latency_ms ± 1000").seeds) == FEWEST


def test_what_was_not_reached_is_said(scenario: Scenario) -> None:
    done = run(scenario, until="slo_violation_pct ± 0.001", replications=11)
    assert len(done.seeds) == 11
    (note,) = [note for note in done.tables.overview["notes"][0] if "±" in note]
    assert note.startswith("slo_violation_pct ± 0.001 not reached: ± ")
    assert note.endswith("the widest interval")


def test_without_violations_the_rule_of_three_must_be_narrow_enough(tmp_path: Path) -> None:
    """Replications that do not differ would be enough after the fewest."""
    slow = [("slo_ms = 100", "slo_ms = 100000"), ("slo_ms = 300", "slo_ms = 300000")]
    done = run(small.write(tmp_path, *slow), until="slo_violation_pct ± 0.04")
    assert 100 * 3 / (300 * len(done.seeds)) / 2 <= 0.04 < 100 * 3 / (300 * (len(done.seeds) - 1)) / 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"replications": 0}, "replications: found 0; 1 or more is expected"),
        ({"workers": 0}, "workers: found 0; 1 or more is expected"),
        ({"until": "avg_latency_ms ± 1", "replications": 9}, "replications: found 9; 10 or more is expected"),
        ({"until": "avg_latency_ms"}, "until: found 'avg_latency_ms'; a figure and a half-width"),
        ({"until": "avg_latency_ms ± 0"}, "until: found 'avg_latency_ms ± 0'; a figure and a half-width"),
        (
            {"until": "avg_latncy_ms ± 1"},
            "until: there is no figure 'avg_latncy_ms'; did you mean 'avg_latency_ms'?",
        ),
        ({"until": "total_kg ± 1"}, "until: this run has no total_kg; name another figure"),
        ({"engine": "exact", "replications": 2}, "replications: engine 'exact' computes expected values"),
        ({"engine": "both", "until": "avg_latency_ms ± 1"}, "until: engine 'both' computes expected values"),
        ({"engine": "exact", "workers": 2}, "workers: the exact engine draws no requests; leave it out"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: Any, message: str, scenario: Scenario) -> None:
    with pytest.raises(InputError) as refusal:
        run(scenario, **options)
    assert str(refusal.value).startswith(message)


def test_a_precision_is_what_it_says() -> None:
    assert Precision.read(" slo_violation_pct±.05 ") == Precision("slo_violation_pct", 0.05)
    assert str(Precision.read("slo_violation_pct +- 0.050")) == "slo_violation_pct ± 0.05"


def test_progress_counts_all_replications(scenario: Scenario) -> None:
    seen: list[tuple[int, int]] = []
    run(scenario, replications=3, progress=lambda done, total: seen.append((done, total)))
    assert {total for _, total in seen} == {3 * 3 * 300}
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1][0] == 3 * 3 * 300


def test_policies_are_held_against_the_baseline_request_by_request(tmp_path: Path) -> None:
    tight = ("slo_ms = 100", "slo_ms = 85")
    still = load(small.write(tmp_path, ("noise = 0.1", "noise = 0"), tight, GREEDY))
    result = run(still)
    first, last = result.outcomes[0], result.outcomes[-1]
    paired = last.paired
    assert paired is not None
    assert isinstance(first.latency, Samples)
    assert isinstance(last.latency, Samples)
    ours, theirs = (
        [np.concatenate(parts) for parts in samples.parts] for samples in (last.latency, first.latency)
    )
    longer_ms = np.concatenate(ours) - np.concatenate(theirs)
    elsewhere = np.count_nonzero(longer_ms)
    assert 0 < elsewhere < 300
    assert (paired.policy, paired.requests) == ("Latency-First", 300)
    assert paired.latency_ms == pytest.approx(longer_ms.sum())
    assert paired.latency_square_ms2 == pytest.approx((longer_ms**2).sum())
    assert paired.carbon_square == pytest.approx(350**2 * elsewhere)  # A has 400 g/kWh, B 50
    assert paired.carbon_g_per_kwh == pytest.approx(
        last.carbon_sum_g_per_kwh.sum() - first.carbon_sum_g_per_kwh.sum()
    )
    slo_ms = [workload.slo_ms for workload in still.workloads]
    late_here = sum(np.sum((a > slo) & (b <= slo)) for a, b, slo in zip(ours, theirs, slo_ms, strict=True))
    late_there = sum(np.sum((a <= slo) & (b > slo)) for a, b, slo in zip(ours, theirs, slo_ms, strict=True))
    assert (paired.late_here, paired.late_there) == (late_here, late_there)
    assert late_here > 0


def test_differences_within_a_run_are_those_of_its_averages(tmp_path: Path) -> None:
    result = run(small.write(tmp_path, ("slo_ms = 100", "slo_ms = 85"), GREEDY))
    assert result.tables.policies["slo_violation_pct"][2] > result.tables.policies["slo_violation_pct"][0]
    policies = {row["policy"]: row for row in result.tables.policies.rows(named=True)}
    found = result.tables.intervals.filter(pl.col("figure").str.ends_with("_difference")).rows(named=True)
    assert len(found) == 3 * (len(policies) - 1)
    for row in found:
        figure = row["figure"].removesuffix("_difference")
        difference = policies[row["policy"]][figure] - policies["Latency-First"][figure]
        assert row["value"] == pytest.approx(difference, abs=1e-9)
        assert row["low"] <= row["value"] <= row["high"]
        assert (row["method"], row["n"]) == ("paired with Latency-First", 300)


@pytest.mark.parametrize(("restart", "differences"), [("never", 0), ("per-policy", 6)])
def test_policies_that_met_other_requests_are_not_paired(
    restart: str, differences: int, tmp_path: Path
) -> None:
    scheme = ('scheme = "streams"', f'scheme = "published"\nrestart = "{restart}"')
    found = run(small.write(tmp_path, scheme, WITHOUT_BASELINE)).tables.intervals
    assert found.filter(pl.col("figure").str.ends_with("_difference")).height == differences


def test_an_unseen_baseline_is_a_baseline_too(tmp_path: Path) -> None:
    found = run(small.write(tmp_path, WITHOUT_BASELINE)).tables.intervals.filter(
        figure="avg_latency_ms_difference"
    )
    assert found["policy"].to_list() == ["Hybrid (α=0.5)", "Constrained Hybrid (5 ms margin)"]


def test_the_latencies_of_many_replications_are_counted_by_bin(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = run(scenario, replications=3)
    monkeypatch.setattr(replications, "KEPT", 3 * 900 - 1)  # room for two of the three
    counted = run(scenario, replications=3)
    assert isinstance(kept.outcomes[0].latency, Samples)
    assert isinstance(counted.outcomes[0].latency, Histogram)
    for name in ("avg_latency_ms", "slo_violation_pct", "avg_carbon_g_per_kwh"):
        assert counted.tables.policies[name].to_list() == kept.tables.policies[name].to_list()
    p95_ms = counted.tables.policies["p95_latency_ms"].to_list()
    assert p95_ms == pytest.approx(kept.tables.policies["p95_latency_ms"].to_list(), rel=1e-3)


def test_sums_over_pairs_add_up() -> None:
    dice = np.random.default_rng(5)
    latency_ms, carbon, late = dice.random((2, 40)), dice.random((2, 40)), dice.random((2, 40)) < 0.4

    def paired(some: slice) -> Paired:
        (a, b), (c, d), (e, f) = latency_ms[:, some], late[:, some], carbon[:, some]
        return Paired.of("it", (a, b), (c, d), (e, f))

    here, there = late
    assert paired(slice(40)).late_here == sum(a and not b for a, b in zip(here, there, strict=True))
    whole, parts = paired(slice(40)), paired(slice(13)) + paired(slice(13, 40))
    assert (parts.policy, parts.requests) == ("it", 40)
    assert [*vars(parts).values()][1:] == pytest.approx([*vars(whole).values()][1:])
    assert whole.late_here != whole.late_there


def test_a_policy_that_was_searched_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n"
        "class Mine:\n"
        "    name = 'Mine'\n"
        "    def cost(self, view):\n"
        "        in_time = view.rtt_ms + view.service_ms[..., None] <= view.slo_ms[..., None]\n"
        "        return np.where(in_time, view.carbon_g_per_kwh, np.inf)\n"
    )
    mine = ('use = "latency-first"', 'use = "mine.py:Mine"\ninformation = { service_time = "actual" }')
    notes = run(small.write(tmp_path, mine), engine="exact").tables.overview["notes"][0].to_list()
    assert [note for note in notes if note.startswith("Mine does not tell where its choice changes")]
    assert not [note for note in notes if note.startswith("Constrained Hybrid")]


@pytest.mark.parametrize(("engine", "said"), [("sampled", True), ("exact", True), ("queued", False)])
def test_control_that_an_engine_does_not_know_is_said(tmp_path: Path, engine: str, said: bool) -> None:
    path = small.write(tmp_path, ("[horizon]", "[control]\nmax_step = 0.5\n[horizon]"))
    notes = run(path, engine=engine).tables.overview["notes"][0]
    assert any("max_utilisation have no effect" in note for note in notes) == said


def test_a_table_is_asked_for_by_its_name(scenario: Scenario) -> None:
    result = run(scenario)
    assert result.table() is result.tables.policies
    assert all(result.table(name) is table for name, table in vars(result.tables).items())
    with pytest.raises(InputError) as refusal:
        result.table("polices")
    assert str(refusal.value).startswith(
        "table: there is none called 'polices'; did you mean 'policies'? Known: policies, routing,"
    )


class Shown(HTMLParser):
    """What a page of HTML holds: its elements, its text, and the cells of its table."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.text = ""
        self.rows: list[list[str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: object) -> None:
        self.elements.add(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.lasttag in {"td", "th"} and data.strip():
            self.rows[-1][-1] += data


def test_a_notebook_shows_the_finding_and_the_policies(tmp_path: Path) -> None:
    hostile = '</td><img src=x onerror="alert(1)">'
    named = f'use = "hybrid"\nalpha = 0.5\nlabel = {hostile!r}'
    actual = 'service_time = "mean"', 'service_time = "actual"'
    result = run(small.write(tmp_path, ('use = "hybrid"\nalpha = 0.5', named), actual))
    shown = Shown(result._repr_html_())
    assert shown.elements == {"p", "table", "tr", "th", "td"}
    assert shown.text.startswith(result.table("overview")["finding"][0])
    heading, *rows = shown.rows
    assert heading[:3] == ["Policy", "Latency, ms", "P95, ms"]
    marks = [" †" if clairvoyant else "" for clairvoyant in result.table()["clairvoyant"]]
    assert marks == ["", "", " †"]
    names = ["Latency-First", hostile, result.table()["policy"][2]]
    assert [row[0] for row in rows] == [name + mark for name, mark in zip(names, marks, strict=True)]
    assert [float(row[1]) for row in rows] == pytest.approx(
        result.table()["avg_latency_ms"].to_list(), abs=0.051
    )
    assert "† clairvoyant: decides on what no router can know." in shown.text
    assert "clairvoyant" not in run(small.write(tmp_path))._repr_html_()


def test_a_notebook_shows_grams_where_there_are_any() -> None:
    result = run("five-aws-regions", {"horizon.hours": 2, "traffic.requests_per_hour": 30})
    heading, first, *_ = Shown(result._repr_html_()).rows
    assert heading[-2:] == ["Emissions, kg", "Reduction of emissions, %"]
    assert float(first[-2]) == pytest.approx(result.table()["total_kg"][0], rel=1e-3)


def test_a_result_is_named_in_a_line() -> None:
    result = run("published", {"horizon.hours": 1, "policies": [{"use": "latency-first"}]})
    assert repr(result) == (
        "<Result of 'published': 1 hours, engine 'sampled', policies Latency-First; table() has the figures>"
    )
