"""What is left of a saving the less capacity there is to spare: as a function, and as a user meets it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from carbonroute import runs
from carbonroute.analysis.headroom import Headroom, finding, run
from carbonroute.cli import main
from carbonroute.control.capacity import Capacity
from carbonroute.engines import queued
from carbonroute.errors import InputError
from carbonroute.runs import capacities as runs_on_capacities
from carbonroute.runs.store import read_manifest
from carbonroute.scenario import Inputs, load, resolve
from helpers import small
from helpers.queued_runs import inputs_of
from helpers.refusals import content

#: Two regions; 0.7 · 2 s + 0.3 · 12 s = 5 s of a server for a request, 0.8 a second: 4 servers of work.
#: A has twice the servers of B, which is cleaner, and all but Latency-First send everything there.
BUSY = (
    ("hours = 6", "hours = 2"),
    ("requests_per_hour = 50", "requests_per_hour = 2880"),
    ('name = "A"\ncarbon_g_per_kwh = 400', 'name = "A"\ncarbon_g_per_kwh = 400\npools = [{ servers = 8 }]'),
    (
        'name = "B"\ncarbon_g_per_kwh = 50',
        'name = "B"\ncarbon_g_per_kwh = 50\npools = [{ servers = 4, queue_limit = 5 }]',
    ),
    ("slo_ms = 100", "slo_ms = 8000"),
    ("mean = 20, std = 4", "mean = 2000, std = 400"),
    ("slo_ms = 300", "slo_ms = 30000"),
    ("mean = 120, std = 25", "mean = 12000, std = 2500"),
    ("alpha = 0.5", "alpha = 0.3"),
)
STEPS = (0.5, 1.0, 2.5, 6.0, math.inf)
AT = ["--at", "0.5,1,2.5,6,inf"]


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.write(tmp_path_factory.mktemp("headroom"), *BUSY)


@pytest.fixture(scope="module")
def found(busy: Path) -> Headroom:
    return run(busy, STEPS)


@pytest.fixture(scope="module")
def finished(busy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that the command wrote, not to be changed."""
    out = tmp_path_factory.mktemp("finished")
    assert main(["headroom", str(busy), *AT, "--output", str(out), "--format", "svg", "--quiet"]) == 0
    return out


def of(found: Headroom, policy: str) -> pl.DataFrame:
    return found.points.filter(policy=policy)


HYBRID = "Constrained Hybrid (5 ms margin)"
POLICIES = ("Latency-First", "Hybrid (α=0.3)", HYBRID)


def test_there_is_a_row_per_headroom_and_policy(found: Headroom) -> None:
    assert found.points.select("headroom", "policy").rows() == [
        (step, policy) for step in STEPS for policy in POLICIES
    ]


def test_servers_are_multiplied_until_they_carry_so_many_times_the_load(found: Headroom) -> None:
    # 12 servers, 4 of work: 1 is a third of either region's, rounded up: 3 of 8 and 2 of 4.
    assert of(found, HYBRID)["servers"].to_list() == [2 + 1, 3 + 2, 7 + 4, 16 + 8, None]


def test_regions_without_a_limit_keep_none_and_count_for_nothing(tmp_path: Path) -> None:
    found = run(small.write(tmp_path, *BUSY, ("pools = [{ servers = 8 }]", "")), (1.0, 2.0))
    assert of(found, HYBRID)["servers"].to_list() == [4, 8]


def test_more_headroom_rejects_less_and_makes_nobody_wait_longer(found: Headroom) -> None:
    for policy in POLICIES:
        rows = of(found, policy)
        for column in ("rejected_pct", "avg_wait_ms", "slo_violation_pct"):
            known = rows[column].drop_nulls().to_list()
            assert known == sorted(known, reverse=True), (policy, column)
    assert of(found, HYBRID)["rejected_pct"][0] > 50  # one server of four
    assert of(found, HYBRID)["rejected_pct"][-1] == 0


def test_what_is_rejected_is_at_least_what_no_server_has_time_for(found: Headroom) -> None:
    """Of four servers' work, c servers can serve c / 4, but for the luck of service times."""
    requests, mean_s, std_s = 2 * 2880, 5, 4.8  # 0.7 · 2² + 0.3 · 12² + (noise within) − 5², root
    for servers, rejected_pct in zip((1, 2, 4), of(found, HYBRID)["rejected_pct"], strict=False):
        # Long requests are rejected as often as short ones, so that a share of work is a share of requests.
        # What is in the system at the end is still served: the servers' own and five waiting.
        served = min(1, servers / 4 + (servers + 5) / requests)
        luck = 5 * (std_s / mean_s) / math.sqrt(requests)
        assert rejected_pct / 100 >= 1 - served - luck, servers
        assert rejected_pct / 100 <= 1 - servers / 4 + 0.25, servers


def test_without_limits_figures_are_those_of_the_sampled_engine(busy: Path, found: Headroom) -> None:
    free = runs.run(busy, engine="sampled").tables.policies
    for policy in POLICIES:
        last, alone = of(found, policy).row(-1, named=True), free.filter(policy=policy).row(0, named=True)
        for name in ("avg_latency_ms", "p95_latency_ms", "slo_violation_pct", "avg_carbon_g_per_kwh"):
            assert last[name] == pytest.approx(alone[name], rel=1e-12), (policy, name)
        assert last["carbon_reduction_pct"] == pytest.approx(alone["carbon_reduction_pct"], abs=1e-10)


@pytest.mark.parametrize(("headroom", "servers"), [(2.5, (7, 4)), (6.0, (16, 8))])
def test_every_step_is_a_run_of_the_scenario_with_so_many_servers(
    headroom: float, servers: tuple[int, int], tmp_path: Path, found: Headroom
) -> None:
    stated = (("servers = 8", f"servers = {servers[0]}"), ("servers = 4", f"servers = {servers[1]}"))
    alone = runs.run(small.write(tmp_path, *BUSY, *stated)).tables.policies
    step = found.points.filter(headroom=headroom)
    for name in set(step.columns) & set(alone.columns) - {"clairvoyant"}:
        assert step[name].to_list() == alone[name].to_list(), name


def test_what_survives_is_held_against_no_limits(found: Headroom) -> None:
    rows = of(found, HYBRID)
    free_pct = rows["carbon_reduction_pct"][-1]
    assert rows["slo_violation_pct"][3] < 5 < rows["slo_violation_pct"][2]
    assert rows["survives_pct"][3] == pytest.approx(100 * rows["carbon_reduction_pct"][3] / free_pct)
    assert rows["survives_pct"][:3].null_count() == 3  # where requests are late, a saving is none


def test_headrooms_are_sorted_and_run_once(busy: Path) -> None:
    calls: list[tuple[int, int]] = []
    found = run(busy, (2.5, 1.0, 2.5), progress=lambda done, total: calls.append((done, total)))
    assert found.points["headroom"].unique(maintain_order=True).to_list() == [1.0, 2.5]
    done, totals = zip(*calls, strict=True)
    assert list(done) == sorted(done)
    assert set(totals) == {done[-1]}


@pytest.mark.parametrize("seed", [1, 2])
def test_progress_never_goes_back_and_ends(seed: int, tmp_path: Path) -> None:
    """Under limits, Latency-First of its own comes on top; and fewer requests come than are expected."""
    own = ('use = "latency-first"', 'use = "latency-first"\nmax_utilisation = 0.8'), ("fixed-rate", "poisson")
    parts: list[float] = []
    run(
        small.write(tmp_path, *BUSY, *own, ("seed = 7", f"seed = {seed}")),
        (1.0, 2.5),
        replications=2,
        progress=lambda done, total: parts.append(done / total),
    )
    assert parts == sorted(parts)
    assert 0 < parts[0] < parts[-1] == 1


def test_headrooms_of_the_same_servers_are_run_once(busy: Path) -> None:
    """Servers are whole: 12 of them carry 2.99 and 3 times the load; in all, what is new is one headroom."""
    calls: list[int] = []
    found = run(busy, (2.99, 3.0), progress=lambda _, total: calls.append(total))
    assert found.points["servers"].unique().to_list() == [12]
    one, other = found.points.partition_by("headroom", maintain_order=True)
    assert one.drop("headroom").equals(other.drop("headroom"))
    single: list[int] = []
    run(busy, (3.0,), progress=lambda _, total: single.append(total))
    assert set(calls) == set(single)


def test_a_loaded_scenario_and_changes_are_taken(busy: Path, found: Headroom) -> None:
    loaded = run(load(busy), (1.0,))
    assert loaded.points.rows() == found.points.filter(headroom=1).rows()
    other = run(busy, (1.0,), {"sampling.seed": 8})
    assert other.points["rejected_pct"].to_list() != loaded.points["rejected_pct"].to_list()


@pytest.mark.parametrize(
    ("headrooms", "words"),
    [
        ((), "found none"),
        ((1.0, 0.0), "found 0"),
        ((-1.0,), "found -1"),
        ((math.nan,), "found nan"),
        ((-math.inf,), "found -inf"),
        ((1e6,), "found 1e+06"),
    ],
)
def test_headrooms_out_of_range_are_refused(headrooms: Sequence[float], words: str, busy: Path) -> None:
    with pytest.raises(InputError, match=rf"headroom: {words.replace('+', '[+]')}; numbers above 0"):
        run(busy, headrooms)


def test_a_scenario_without_servers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"pools: no region has a number of servers; state how capacity"):
        run(small.write(tmp_path))


def test_a_load_that_only_the_log_tells_is_refused(tmp_path: Path) -> None:
    replayed = ('kind = "fixed-rate"\nrequests_per_hour = 2880\n', small.timed_log(tmp_path))
    with pytest.raises(InputError, match="traffic: service times come with the log"):
        run(small.write(tmp_path, *BUSY, replayed))


def points(*rows: dict[str, Any]) -> pl.DataFrame:
    """Return points of which a test states only what it is about."""
    usual = {"clairvoyant": False, "slo_violation_pct": 0.5, "baseline": "Near without limits"}
    schema = {
        "headroom": pl.Float64,
        "policy": pl.String,
        "clairvoyant": pl.Boolean,
        "slo_violation_pct": pl.Float64,
        "carbon_reduction_pct": pl.Float64,
        "emissions_reduction_pct": pl.Float64,
        "baseline": pl.String,
        "same_capacity_baseline": pl.String,
        "same_capacity_carbon_reduction_pct": pl.Float64,
        "same_capacity_emissions_reduction_pct": pl.Float64,
    }
    return pl.DataFrame([usual | row for row in rows], schema=schema)


def said(*rows: dict[str, Any]) -> list[str]:
    inputs = resolve(load("starter"))
    return finding(Headroom(inputs, points(*rows), 5.0))


def test_the_finding_names_the_best_that_is_viable_and_what_survives() -> None:
    greedy = {"policy": "Greedy", "slo_violation_pct": 60.0, "carbon_reduction_pct": 90.0}
    seer = {"policy": "Seer", "clairvoyant": True, "carbon_reduction_pct": 80.0}
    spill = {"policy": "Spill", "slo_violation_pct": 5.0}
    assert said(
        *({"headroom": 1.25, **row} for row in (greedy, seer, {**spill, "carbon_reduction_pct": 20.0})),
        {"headroom": math.inf, **spill, "carbon_reduction_pct": 40.0},
    ) == [
        "With capacity for 1.25 × the load: Spill saves 20.0 % of mean carbon intensity against Near without "
        "limits at 5.00 % violations, 50.0 % of the saving without limits",
        "Without limits: Spill saves 40.0 % of mean carbon intensity against Near without limits at 5.00 % "
        "violations",
    ]


def test_the_finding_ranks_by_grams_where_energies_are_stated() -> None:
    """One policy saves most of mean intensity, another one most grams; 87.1 of 87.5 % are 99.5 %."""
    spill = {"policy": "Spill", "carbon_reduction_pct": 83.3, "emissions_reduction_pct": 46.3}
    best = {"policy": "Optimal", "carbon_reduction_pct": 46.9, "emissions_reduction_pct": 87.1}
    same = {
        "same_capacity_baseline": "Near on the same capacity",
        "same_capacity_carbon_reduction_pct": 46.9,
        "same_capacity_emissions_reduction_pct": 90.0,
    }
    alike = {**best, "policy": "As good", "emissions_reduction_pct": 87.06}
    assert said(
        {"headroom": 6.0, **spill},
        {"headroom": 6.0, **best, **same},
        {"headroom": 6.0, **alike},
        {"headroom": math.inf, **spill, "emissions_reduction_pct": 87.5},
    ) == [
        "With capacity for 6 × the load: Optimal saves 87.1 % of emissions against Near without limits at "
        "0.50 % violations (as does As good), 99.5 % of the saving without limits",
        "With capacity for 6 × the load: Optimal saves 90.0 % of emissions against Near on the same capacity",
        "Without limits: Spill saves 87.5 % of emissions against Near without limits at 0.50 % violations",
    ]


def test_the_finding_says_where_nothing_is_viable_and_where_there_is_nothing_to_save() -> None:
    late = {"policy": "Late", "slo_violation_pct": 5.01, "carbon_reduction_pct": 90.0}
    nothing = {"policy": "Near", "carbon_reduction_pct": None}
    near = {"policy": "Near", "carbon_reduction_pct": 0.0}
    none = "no policy that a router can run stays within 5 % violations"
    assert said({"headroom": 1.0, **late}) == [f"With capacity for 1 × the load: {none}"]
    assert said({"headroom": 1.0, **nothing}, {"headroom": math.inf, **nothing}) == [
        "With capacity for 1 × the load: there is nothing to save",
        "Without limits: there is nothing to save",
    ]
    cuts = "no policy cuts mean carbon intensity against Near without limits; Near, the best,"
    assert said({"headroom": 1.0, **near, "carbon_reduction_pct": -3.0}, {"headroom": math.inf, **near}) == [
        f"With capacity for 1 × the load: {cuts} raises it by 3.0 % at 0.50 % violations",
        f"Without limits: {cuts} does not change it at 0.50 % violations",
    ]
    more = {"policy": "Near", "carbon_reduction_pct": -30.5}
    free = {"policy": "Near", "carbon_reduction_pct": 87.5}
    assert said({"headroom": 1.0, **more}, {"headroom": math.inf, **free})[0] == (
        f"With capacity for 1 × the load: {cuts} raises it by 30.5 % at 0.50 % violations, nothing of the "
        "saving without limits"
    )


def test_the_table_and_the_findings_are_printed(
    busy: Path, found: Headroom, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["headroom", str(busy), *AT, "--output", str(out), "--no-figures"]) == 0
    said, err = capsys.readouterr()
    assert err == ""
    assert "\x1b" not in said
    for word in (*POLICIES, "0.5 ×", "2.5 ×", "∞"):
        assert word in said
    heading = next(line for line in said.splitlines() if "Policy" in line)
    assert heading.split() == ["Policy", "3", "5", "11", "24"]  # servers, below the headrooms
    last = of(found, HYBRID).row(-1, named=True)
    assert f"{last['carbon_reduction_pct']:.1f}" in said
    assert f"({of(found, HYBRID)['worst_violations_pct'][0]:.2f})" in said
    for sentence in finding(found):
        assert f"– {sentence}." in said
    assert said.endswith("tables/headroom.csv.\n")
    assert sorted(content(out)) == ["manifest.json", "tables/headroom.csv"]


def test_clairvoyant_policies_are_marked_and_never_named_best(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = small.write(tmp_path, *BUSY, ('service_time = "mean"', 'service_time = "actual"'))
    arguments = ["headroom", str(path), "--at", "inf", "--output", str(tmp_path / "out"), "--no-figures"]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert f"{HYBRID} †" in said.replace("\n", "")
    assert "† clairvoyant: decides on what no router can know." in said
    assert "Without limits: Hybrid (α=0.3) saves" in said


def test_files_and_manifest(found: Headroom, finished: Path) -> None:
    assert sorted(content(finished)) == [
        "graphs/headroom.png",
        "graphs/headroom.svg",
        "manifest.json",
        "tables/headroom.csv",
    ]
    table = pl.read_csv(finished / "tables" / "headroom.csv", infer_schema_length=None)
    assert table.columns == found.points.columns
    for name in ("headroom", "servers", "slo_violation_pct", "rejected_pct", "carbon_reduction_pct"):
        assert table[name].to_list() == found.points[name].to_list(), name
    manifest = read_manifest(finished)
    assert manifest["headroom"]["finding"] == finding(found)
    assert manifest["outputs"].keys() == content(finished).keys() - {"manifest.json"}


def test_the_same_scenario_gives_the_same_bytes(busy: Path, finished: Path, tmp_path: Path) -> None:
    assert main(["headroom", str(busy), *AT, "--output", str(tmp_path), "--format", "svg", "--quiet"]) == 0
    assert content(tmp_path) == content(finished)


def test_json_has_full_precision_and_null_for_no_limit(
    busy: Path, found: Headroom, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ["headroom", str(busy), *AT, "--output", str(out), "--no-figures", "--json", "--quiet"]
    assert main([*arguments, "--max-violation", "3%"]) == 0
    said, err = capsys.readouterr()
    assert err == ""
    document = json.loads(said)
    assert [point["headroom"] for point in document["points"]][:: len(POLICIES)] == [*STEPS[:-1], None]
    for name in ("policy", "servers", "slo_violation_pct", "avg_wait_ms", "carbon_reduction_pct"):
        assert [point[name] for point in document["points"]] == found.points[name].to_list(), name
    assert document["max_violation_pct"] == 3
    assert document["finding"] == finding(replace(found, max_violation_pct=3.0))


def test_quiet_prints_nothing(busy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "--at",
        "1",
        "--sim-hours",
        "1",
        "--output",
        str(tmp_path / "out"),
        "--no-figures",
        "--quiet",
    ]
    assert main(["headroom", str(busy), *arguments]) == 0
    assert capsys.readouterr() == ("", "")


def test_options_change_the_scenario(busy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--at", "1", "--sim-hours", "1", "--seed", "8", "--no-figures", "--json"]
    assert main(["headroom", str(busy), *options, "--output", str(tmp_path)]) == 0
    points = json.loads(capsys.readouterr().out)["points"]
    expected = run(busy, (1.0,), {"horizon.hours": 1, "sampling.seed": 8}).points
    assert [point["rejected_pct"] for point in points] == expected["rejected_pct"].to_list()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--at", "1,,2"], "--at: found '1,,2'; numbers with commas are expected"),
        (["--at", "much"], "--at: found 'much'"),
        (["--at", ""], "--at: found ''"),
        (["--at", "1,-2"], "error: --at: found -2; numbers above 0 and up to 1000 are expected"),
        (["--at", "nan"], "error: --at: found nan"),
        (["--max-violation", "5"], "'5%'"),
        (["--sim-hours", "0"], "greater than or equal to 1"),
        (["--seed", "-1"], "greater than or equal to 0"),
        (["--format", "gif"], "svg"),
        (["--att", "1"], "--at"),
    ],
)
def test_wrong_usage_ends_with_2_and_a_hint(
    options: list[str], words: str, busy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["headroom", str(busy), "--output", str(out), *options]) == 2
    err = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert words in err
    assert "Traceback" not in err
    assert not out.exists()


def test_a_scenario_without_pools_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["headroom", "published", "--output", str(tmp_path / "out")]) == 2
    assert "no region has a number of servers" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_it_is_written_beside_a_run_of_the_same_scenario(busy: Path, tmp_path: Path) -> None:
    out = str(tmp_path)
    assert main(["simulate", str(busy), "--output", out, "--no-figures", "--quiet"]) == 0
    before = content(tmp_path)
    assert main(["headroom", str(busy), "--at", "1,inf", "--output", out, "--no-figures", "--quiet"]) == 0
    after = content(tmp_path)
    assert after.keys() - before.keys() == {"tables/headroom.csv"}
    assert all(after[name] == content for name, content in before.items() if name != "manifest.json")
    assert {"finding", "headroom", "engine"} < read_manifest(tmp_path).keys()


def test_a_figure_of_an_earlier_call_does_not_stay(busy: Path, tmp_path: Path) -> None:
    arguments = ["headroom", str(busy), "--at", "2", "--output", str(tmp_path), "--quiet"]
    assert main(arguments) == 0
    assert "graphs/headroom.png" in content(tmp_path)
    assert main([*arguments, "--no-figures"]) == 0
    assert sorted(content(tmp_path)) == ["manifest.json", "tables/headroom.csv"]


def test_regions_with_and_without_a_limit_are_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A states no servers: nothing of it is multiplied, and table, sentences and JSON say so."""
    scenario = small.write(tmp_path, *BUSY, ("pools = [{ servers = 8 }]", ""))
    found = run(scenario, (1.0,))
    assert (found.limited, found.unlimited) == (("B",), ("A",))
    sentence = "No limit is stated for A: unlimited at every headroom; only the servers of B are multiplied"
    assert finding(found)[-1] == sentence
    command = ["headroom", str(scenario), "--at", "1", "--output", str(tmp_path / "out"), "--no-figures"]
    assert main(command) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "by headroom and servers of B; no limit stated: A" in printed
    assert sentence in printed
    assert main([*command, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["limited"], document["no_limit_stated"]) == (["B"], ["A"])


def test_nothing_is_said_where_all_regions_have_limits(found: Headroom) -> None:
    assert (found.limited, found.unlimited) == (("A", "B"), ())
    assert not any("No limit is stated" in sentence for sentence in finding(found))


UNSURE = ("carbon_reduction_pct", "same_capacity_carbon_reduction_pct", "worst_violations_pct")


@pytest.fixture(scope="module")
def several(busy: Path) -> Headroom:
    """Return three replications, of two headrooms."""
    return run(busy, (2.5, math.inf), replications=3)


def test_replications_give_savings_and_violations_their_intervals(busy: Path, several: Headroom) -> None:
    """As many single runs with these seeds have the same spread; of a reduction that makes a t interval."""
    alone = [run(busy, (2.5, math.inf), {"sampling.seed": seed}).points for seed in several.seeds]
    assert len(set(several.seeds)) == 3
    assert several.points["replications"].to_list() == [3] * 2 * len(POLICIES)
    narrow = several.points.filter(headroom=2.5)
    assert narrow["carbon_reduction_pct_low"].is_not_null().sum() >= 2
    for name in UNSURE:
        values = np.array([table[name].to_numpy() for table in alone])
        std = values.std(axis=0, ddof=1)
        low, high = (several.points[f"{name}_{end}"].to_numpy() for end in ("low", "high"))
        if name != "worst_violations_pct":
            half_width = stats.t.ppf(0.975, 2) * std / math.sqrt(3)
            np.testing.assert_allclose(
                high - several.points[name].to_numpy(), half_width, rtol=1e-6, atol=1e-9
            )
            np.testing.assert_allclose(
                several.points[name].to_numpy() - low, half_width, rtol=1e-6, atol=1e-9
            )
            continue
        # Korn and Graubard: as many requests as would spread that much, fewer as the spread is an estimate.
        share = several.points[name].to_numpy() / 100
        spread = np.flatnonzero((share > 0) & (share < 1) & (std > 0))
        assert len(spread) >= 2
        for place in spread:
            effective = share[place] * (1 - share[place]) / (std[place] ** 2 / 1e4 / 3)
            effective *= (stats.norm.ppf(0.975) / stats.t.ppf(0.975, 2)) ** 2
            late = share[place] * effective
            assert low[place] == pytest.approx(100 * stats.beta.ppf(0.025, late, effective - late + 1))
            assert high[place] == pytest.approx(100 * stats.beta.ppf(0.975, late + 1, effective - late))


def test_one_run_has_no_intervals(found: Headroom) -> None:
    assert found.points["replications"].unique().to_list() == [1]
    for name in UNSURE:
        assert found.points[f"{name}_low"].null_count() == found.points.height, name


def test_workers_share_the_runs_and_change_nothing(busy: Path, several: Headroom) -> None:
    calls: list[tuple[int, int]] = []
    shared = run(
        busy,
        (2.5, math.inf),
        replications=3,
        workers=2,
        progress=lambda done, total: calls.append((done, total)),
    )
    assert shared.points.equals(several.points)
    parts = 3 * (1 + 3)  # of each replication: without limits, and each policy on both capacities
    assert calls == [(done, parts) for done in range(1, parts + 1)]


def test_portions_of_capacities_and_policies_in_any_order_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With several workers the joint policy comes first; with little room, one capacity after the other."""
    joint = (
        'use = "latency-first"',
        'use = "latency-first"\n[[policies]]\nuse = "spill"\n[[policies]]\nuse = "optimal"',
    )
    scenario = small.write(tmp_path, *BUSY, joint)
    whole = run(scenario, (1, 2.5, 6.0))
    assert run(scenario, (1, 2.5, 6.0), workers=2).points.equals(whole.points)
    assert whole.points["headroom"].unique(maintain_order=True).to_list() == [1.0, 2.5, 6.0]
    portions, policies = list[int](), whole.points["policy"].n_unique()

    def watched(inputs: Inputs, capacities: Sequence[Capacity], *args: Any, **kwargs: Any) -> Any:
        portions.append(len(capacities))
        return queued.run_beside(inputs, capacities, *args, **kwargs)

    monkeypatch.setattr(runs_on_capacities, "queued", SimpleNamespace(run_beside=watched))
    for name, bound in (("_LATENCIES", 2 * 5760 * policies), ("_WAITING", 2 * 5760)):
        with monkeypatch.context() as patch:
            patch.setattr(runs_on_capacities, name, bound)
            assert run(scenario, (1, 2.5, 6.0)).points.equals(whole.points)
        assert portions == [2] * policies + [1] * policies
        portions.clear()


def test_no_replications_and_no_workers_are_refused(busy: Path) -> None:
    with pytest.raises(InputError, match="replications: found 0"):
        run(busy, (1.0,), replications=0)
    with pytest.raises(InputError, match="workers: found 0"):
        run(busy, (1.0,), workers=0)


def sure(headroom: float, policy: str, late: tuple[float, float, float]) -> dict[str, Any]:
    """Return a point with an interval of its violations, and with one of its saving, of five replications."""
    saved = 10 * min(headroom, 5)
    return {
        "headroom": headroom,
        "policy": policy,
        "carbon_reduction_pct": saved,
        "carbon_reduction_pct_low": saved - 1,
        "carbon_reduction_pct_high": saved + 2,
        "slo_violation_pct": late[0],
        "slo_violation_pct_low": late[1],
        "slo_violation_pct_high": late[2],
    }


def test_the_finding_says_how_sure_it_is() -> None:
    rows = [
        sure(1.0, "Spill", (9.0, 8.0, 10.0)),
        sure(1.5, "Spill", (5.5, 4.0, 7.0)),
        sure(2.0, "Spill", (4.5, 4.0, 5.5)),
        sure(3.0, "Spill", (1.0, 0.5, 2.0)),
        sure(math.inf, "Spill", (0.5, 0.4, 0.6)),
    ]
    table = points(*rows)
    ends = [
        f"{name}_{end}" for name in ("carbon_reduction_pct", "slo_violation_pct") for end in ("low", "high")
    ]
    table = table.with_columns(*(pl.Series(name, [row[name] for row in rows]) for name in ends))
    table = table.with_columns(pl.lit(5).alias("replications"))
    sentences = finding(Headroom(resolve(load("starter")), table, 5.0))
    unsettled = "not settled whether these stay within 5 % violations: Spill"
    assert [sentence for sentence in sentences if "settled" in sentence] == [
        f"With capacity for 1.5 × the load: {unsettled} (4.00 to 7.00 %)",
        f"With capacity for 2 × the load: {unsettled} (4.00 to 5.50 %)",
    ]
    assert any(
        "Spill saves 20.0 % (95 % interval 19.0 to 22.0 %) of mean carbon" in each for each in sentences
    )
    assert sentences[-3] == (
        "Spill stays within 5 % violations from 2 × the load on, of the capacities tried. At 95 % confidence "
        "it does from 3 × on, and does not up to 1 ×"
    )


def test_intervals_are_printed_below_their_figures(
    busy: Path, several: Headroom, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["headroom", str(busy), "--at", "2.5,inf", "--output", str(tmp_path), "--no-figures"]
    assert main([*command, "--replications", "3", "--workers", "1"]) == 0
    printed = capsys.readouterr().out
    assert "with 95 % intervals of 3 replications" in " ".join(printed.split())
    assert "One run" not in printed
    row = of(several, HYBRID).row(0, named=True)
    for name, digits in (("carbon_reduction_pct", 1), ("worst_violations_pct", 2)):
        assert f"[{row[f'{name}_low']:.{digits}f}, {row[f'{name}_high']:.{digits}f}]" in printed
    assert read_manifest(tmp_path)["headroom"]["seeds"] == list(several.seeds)
    assert main([*command, "--json", "--replications", "3"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["seeds"] == list(several.seeds)
    assert document["points"][0].keys() == set(several.points.columns)
    assert main(command) == 0
    assert "One run: how sure these figures are, --replications 5 tells." in capsys.readouterr().out


@pytest.mark.parametrize("queue_limit", [50, None])
def test_capacities_are_run_together_where_no_request_is_expected(queue_limit: int | None) -> None:
    pools = [{"servers": 2} if queue_limit is None else {"servers": 2, "queue_limit": queue_limit}]
    capacity = inputs_of(pools=pools).capacity
    assert runs_on_capacities.in_portions([capacity] * 3, 0.0, 4) == [[capacity] * 3]
