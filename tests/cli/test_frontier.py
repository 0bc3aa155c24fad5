"""``carbonroute frontier`` and ``carbonroute sensitivity`` as a user meets them."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import polars as pl
import pytest

from carbonroute import runs
from carbonroute.cli import main
from carbonroute.runs.folder import require_unchanged
from carbonroute.runs.store import read_manifest
from helpers import small
from helpers.refusals import content

#: Three regions, of which the nearest is never the cleanest; two hours.
VARIED = (
    ("hours = 6", "hours = 2"),
    ("West = { A = 5, B = 65 }", "West = { A = 5, B = 65, C = 72 }"),
    ("East = { A = 80, B = 10 }", "East = { A = 80, B = 10, C = 75 }"),
    (
        'name = "B"\ncarbon_g_per_kwh = 50',
        'name = "B"\ncarbon_g_per_kwh = 200\n[[regions]]\nname = "C"\ncarbon_g_per_kwh = 100',
    ),
)
LAST = 'use = "constrained-hybrid"\nmargin_ms = 5\n'


@pytest.fixture
def scenario(tmp_path: Path) -> str:
    return str(small.write(tmp_path, *VARIED))


@pytest.fixture(scope="module")
def finished_frontier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a scenario and its frontier, not to be changed."""
    folder = tmp_path_factory.mktemp("frontier")
    path = str(small.write(folder, *VARIED))
    assert main(["frontier", path, "--output", str(folder / "out"), "--format", "svg", "--quiet"]) == 0
    return folder


def test_findings_table_and_entry_are_printed(
    scenario: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["frontier", scenario, "--output", str(out), "--no-figures"]) == 0
    said, err = capsys.readouterr()
    assert err == ""
    points = pl.read_csv(out / "tables" / "frontier.csv")
    best = points.filter("recommended").row(0, named=True)
    assert f"For at most 5 % SLO violations in every workload, use {best['policy']}: it saves" in said
    for name in (
        "Latency-First",
        "Hybrid (α=0.5)",
        "Constrained Hybrid (5 ms margin)",
        "Clairvoyant bound †",
    ):
        assert name in said
    for word in ("recommended, ", "bound", "fixed choice", "knee", "† clairvoyant", "beyond the limits"):
        assert word in said
    table = said[: said.index("† clairvoyant")]  # the recommended policy leads, and the bound comes last
    assert "recommended" in next(line for line in table.splitlines() if best["policy"][:20] in line)
    assert (
        table.index(best["policy"][:20]) < table.index("Latency-First") < table.index("Clairvoyant bound †")
    )
    assert (out / "policy.toml").read_text(encoding="utf-8") in said
    assert f"{points.height} policies that decide differently, {points['on_front'].sum()} of them" in said
    assert "\x1b" not in said
    assert sorted(content(out)) == ["manifest.json", "policy.toml", "tables/frontier.csv"]


def test_the_entry_can_be_appended_to_the_scenario(finished_frontier: Path, tmp_path: Path) -> None:
    entry = (finished_frontier / "out" / "policy.toml").read_text(encoding="utf-8")
    assert list(tomllib.loads(entry)) == ["policies"]
    path = tmp_path / "mine.toml"
    path.write_text((finished_frontier / "small.toml").read_text(encoding="utf-8") + entry, encoding="utf-8")
    row = runs.run(path, engine="exact").tables.policies.row(-1, named=True)
    best = (
        pl.read_csv(finished_frontier / "out" / "tables" / "frontier.csv")
        .filter("recommended")
        .row(0, named=True)
    )
    assert row["policy"] == f"Recommended: {best['policy']}"
    for name in ("slo_violation_pct", "carbon_reduction_pct", "p95_latency_ms", "avg_latency_ms"):
        assert row[name] == pytest.approx(best[name], rel=1e-9)


def test_json_has_full_precision_and_nothing_beside_it(
    scenario: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["frontier", scenario, "--output", str(out), "--no-figures", "--json", "--quiet"]) == 0
    said, err = capsys.readouterr()
    assert err == ""
    document = json.loads(said)
    points = pl.read_csv(out / "tables" / "frontier.csv")
    for name in ("policy", "slo_violation_pct", "carbon_reduction_pct", "avg_latency_ms", "on_front"):
        assert [point[name] for point in document["points"]] == points[name].to_list()
    assert document["entry"] == (out / "policy.toml").read_text(encoding="utf-8")
    assert document["recommended"] == [point for point in document["points"] if point["recommended"]]
    assert document["limits"] == {"slo_violation_pct": 5.0}
    assert document["finding"] == read_manifest(out)["frontier"]["finding"]


def test_quiet_prints_nothing(scenario: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["frontier", scenario, "--output", str(tmp_path / "out"), "--no-figures", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("options", "limits"),
    [
        (["--max-violation", "0.02"], {"slo_violation_pct": 2.0}),
        (["--max-p95", "215", "--max-violation=5%"], {"slo_violation_pct": 5.0, "p95_latency_ms": 215.0}),
        (["--max-latency", "70"], {"avg_latency_ms": 70.0}),
    ],
)
def test_limits_are_those_that_are_asked_for(
    options: list[str],
    limits: dict[str, float],
    scenario: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = [scenario, "--output", str(tmp_path / "out"), "--no-figures", "--json"]
    assert main(["frontier", *arguments, *options]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["limits"] == limits
    (best,) = document["recommended"]
    assert all(best[name] <= limit * (1 + 1e-9) for name, limit in limits.items())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--max-violation", "5"], "'5%'"),
        (["--max-violation", "101%"], "'5%'"),
        (["--max-p95", "0"], "--max-p95: found 0; a time above 0 in ms is expected"),
        (["--max-p95", "nan"], "--max-p95: found nan; a time above 0 in ms is expected"),
        (["--max-latency", "-3"], "--max-latency: found -3; a time above 0 in ms is expected"),
        (["--max-latency", "soon"], "soon"),
        (["--sim-hours", "0"], "greater than or equal to 1"),
        (["--seed", "-1"], "greater than or equal to 0"),
        (["--format", "gif"], "svg"),
        (["--max-p59", "7"], "--max-p95"),
    ],
)
@pytest.mark.parametrize("command", ["frontier", "sensitivity"])
def test_wrong_usage_ends_with_2_and_a_hint(
    command: str,
    options: list[str],
    words: str,
    scenario: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    assert main([command, scenario, "--output", str(out), *options]) == 2
    err = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert words in err
    assert "Traceback" not in err
    assert not out.exists()


@pytest.mark.parametrize("command", ["frontier", "sensitivity"])
def test_requests_with_service_times_of_their_own_are_refused(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    replay = small.timed_log(tmp_path)
    path = small.write(tmp_path, ('kind = "fixed-rate"\nrequests_per_hour = 50\n', replay))
    out = tmp_path / "out"
    assert main([command, str(path), "--output", str(out)]) == 2
    err = capsys.readouterr().err
    assert "service times" in err
    assert "compare policies with carbonroute simulate" in err
    assert "Traceback" not in err
    assert not out.exists()


def test_where_no_policy_keeps_the_limits_the_exit_code_is_1_and_no_entry_stays(
    scenario: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [scenario, "--output", str(tmp_path / "out"), "--no-figures"]
    assert main(["frontier", *arguments]) == 0
    assert (tmp_path / "out" / "policy.toml").is_file()
    capsys.readouterr()
    assert main(["frontier", *arguments, "--max-p95", "20"]) == 1
    said = capsys.readouterr().out
    assert "No policy that a router can run keeps to a P95 of at most 20 ms; " in said
    assert "Latency-First comes nearest: it is the baseline, and saves nothing (violations" in said
    assert "[[policies]]" not in said
    assert not (tmp_path / "out" / "policy.toml").exists()
    assert "policy.toml" not in read_manifest(tmp_path / "out")["outputs"]
    assert main(["sensitivity", *arguments, "--max-p95", "20"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("No policy that a router can run keeps to a P95 of at most 20 ms; ")


def test_a_policy_that_counts_requests_is_left_out_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = small.write(tmp_path, *VARIED, (LAST, LAST + '[[policies]]\nuse = "round-robin"\n'))
    assert main(["frontier", str(path), "--output", str(tmp_path / "out"), "--no-figures"]) == 0
    assert "– Left out: Round-Robin goes by the order of requests" in capsys.readouterr().out


def test_the_same_scenario_gives_the_same_bytes(finished_frontier: Path, tmp_path: Path) -> None:
    path = str(finished_frontier / "small.toml")
    assert main(["frontier", path, "--output", str(tmp_path), "--format", "svg", "--quiet"]) == 0
    assert content(tmp_path) == content(finished_frontier / "out")
    graphs = [name for name in content(tmp_path) if name.startswith("graphs")]
    assert sorted(graphs) == ["graphs/pareto_front.png", "graphs/pareto_front.svg"]


def test_what_a_run_of_another_scenario_left_does_not_stay(tmp_path: Path) -> None:
    path, out = str(small.write(tmp_path, *VARIED)), tmp_path / "out"
    arguments = [path, "--output", str(out), "--no-figures", "--quiet"]
    assert main(["simulate", *arguments]) == 0
    assert main(["frontier", *arguments, "--sim-hours", "1"]) == 0
    assert sorted(content(out)) == ["manifest.json", "policy.toml", "tables/frontier.csv"]
    assert "engine" not in read_manifest(out)


def test_a_folder_that_cannot_be_written_is_an_error(
    scenario: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("a file", encoding="utf-8")
    assert main(["frontier", scenario, "--output", str(tmp_path / "out"), "--no-figures"]) == 2
    assert "out" in capsys.readouterr().err


def test_the_sensitivity_is_printed_drawn_and_written_beside_a_run_and_its_frontier(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = str(small.write(tmp_path, ("hours = 6", "hours = 1"))), tmp_path / "out"
    assert main(["simulate", path, "--output", str(out), "--no-figures", "--quiet"]) == 0
    before = content(out)
    assert main(["frontier", path, "--output", str(out), "--no-figures", "--quiet"]) == 0
    assert main(["sensitivity", path, "--output", str(out)]) == 0
    said, err = capsys.readouterr()
    assert err == ""
    table = pl.read_csv(out / "tables" / "sensitivity.csv")
    for name in table["input"].unique():
        assert name in said
    assert f"The savings of {table['policy'][0]} are most sensitive to {table['input'][0]}" in said
    assert "unchanged, and the policy recommended instead" in said
    after, manifest = content(out), read_manifest(out)
    added = {"tables/frontier.csv", "policy.toml", "tables/sensitivity.csv", "graphs/sensitivity.png"}
    assert after.keys() - before.keys() == added
    assert all(after[name] == content for name, content in before.items() if name != "manifest.json")
    assert added < manifest["outputs"].keys()
    assert {"finding", "frontier", "sensitivity", "engine"} < manifest.keys()
    require_unchanged(out, manifest["outputs"])  # the run is still whole


def test_the_sensitivity_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = str(small.write(tmp_path, ("hours = 6", "hours = 1"))), tmp_path / "out"
    assert main(["sensitivity", path, "--output", str(out), "--no-figures", "--json", "--quiet"]) == 0
    said, err = capsys.readouterr()
    document = json.loads(said)
    table = pl.read_csv(out / "tables" / "sensitivity.csv")
    assert err == ""
    assert [row["saved_pct"] for row in document["changes"]] == table["saved_pct"].to_list()
    assert document["limits"] == {"slo_violation_pct": 5.0}
    assert sorted(content(out)) == ["manifest.json", "tables/sensitivity.csv"]


def test_nothing_heavy_is_imported_without_figures(scenario: str, tmp_path: Path) -> None:
    code = (
        "import sys; from carbonroute.cli import main; code = main(sys.argv[1:]); "
        "print(sorted({'matplotlib', 'numba', 'scipy.stats'} & set(sys.modules)), code, file=sys.stderr)"
    )
    arguments = ["frontier", scenario, "--output", str(tmp_path / "out"), "--no-figures", "--quiet"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert done.stderr == "[] 0\n"


def test_a_frontier_within_another_limit_keeps_the_run_beside_it(
    scenario: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    where = ["--output", str(out), "--no-figures", "--quiet"]
    assert main(["simulate", scenario, "--report", *where]) == 0
    before = content(out)
    assert main(["frontier", scenario, "--max-violation", "1%", *where]) == 0
    after = content(out)
    assert {name: after[name] for name in before if name != "manifest.json"} == {
        name: data for name, data in before.items() if name != "manifest.json"
    }
    manifest = read_manifest(out)
    assert (manifest["max_violation_pct"], manifest["frontier"]["limits"]) == (5, {"slo_violation_pct": 1})
    assert capsys.readouterr() == ("", "")


def test_results_of_another_scenario_are_not_replaced_without_a_word(
    scenario: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    where = ["--output", str(out), "--no-figures", "--quiet"]
    assert main(["frontier", scenario, *where]) == 0
    assert main(["frontier", scenario, "--sim-hours", "1", *where]) == 0
    assert capsys.readouterr().err == (
        f"note: {out}: its 2 files were of another scenario (horizon), and have been replaced; "
        "--output names another folder\n"
    )


@pytest.mark.parametrize("command", ["report", "figures", "tables"])
def test_a_folder_without_a_run_is_told_from_a_damaged_one(
    command: str, finished_frontier: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = finished_frontier / "out"
    assert main([command, str(folder)]) == 2
    assert capsys.readouterr().err == (
        f"error: {folder}: holds the results of frontier, and no run; "
        "`carbonroute simulate SCENARIO` makes one\n"
    )
