"""``carbonroute whatif``: as printed, as JSON and CSV, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from carbonroute.cli import main
from carbonroute.runs.store import read_manifest
from helpers import small
from helpers.refusals import content

FULL = ("--full", "B")
GREEN = ("alpha = 0.5\n", 'alpha = 0.5\n[[policies]]\nuse = "carbon-first"\n')
FAST = ("--engine", "exact")


def command(folder: Path, *options: str) -> list[str]:
    scenario = small.write(folder, GREEN)
    return ["whatif", str(scenario), *options, "--output", str(folder / "out")]


def test_the_answer_comes_first_and_then_one_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(tmp_path, *FULL, "--replications", "2")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("If B is full, ")
    assert "(limit 5 %)" in lines[0]
    heading = next(line for line in lines if "Difference" in line)
    assert heading.split() == ["Policy", "Figure", "Now", "Then", "Difference"]
    assert any("Median latency of short, ms" in line and "[" in line for line in lines)
    assert lines[-1] == f"Wrote {tmp_path / 'out'}/tables/whatif.csv."


def test_json_csv_and_file_have_the_same_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = command(tmp_path, *FULL, *FAST)
    assert main([*arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["if"] == ["B is full"]
    assert document["engine"] == "exact"
    assert document["finding"][0].startswith("If B is full")
    assert main([*arguments, "--csv"]) == 0
    printed = capsys.readouterr().out
    assert printed == (tmp_path / "out/tables/whatif.csv").read_text(encoding="utf-8")
    table = pl.read_csv(printed.encode(), infer_schema_length=None)
    assert table["then"].to_list() == [row["then"] for row in document["figures"]]
    assert table.filter(recommended=True)["policy"].unique().to_list() == [document["figures"][0]["policy"]]
    assert read_manifest(tmp_path / "out")["whatif"]["finding"] == document["finding"]


def test_the_same_question_has_the_same_bytes(tmp_path: Path) -> None:
    arguments = command(tmp_path, *FULL, "--traffic=-20%", "--slo", "short=90ms", "--quiet")
    assert main([*arguments, "--replications", "2"]) == 0
    first = content(tmp_path / "out")
    assert main([*arguments, "--replications", "2", "--workers", "2"]) == 0
    assert content(tmp_path / "out") == first
    assert main([*arguments, "--replications", "2", "--seed", "8"]) == 0
    assert content(tmp_path / "out") != first


def test_changes_may_be_given_again_and_with_a_minus(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--carbon", "A=-50", "--carbon", "B=+20%", "--traffic", "-50%", "--slo", "long=1s")
    assert main(command(tmp_path, *options, *FAST, "--json")) == 0
    assert json.loads(capsys.readouterr().out)["if"] == [
        "the carbon intensity of A is 50 g/kWh lower",
        "the carbon intensity of B is 20 % higher",
        "traffic is 0.5 times as much",
        "the limit of long is 1 s",
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "whatif: found no change"),
        (("--full", "Bb"), "--full: there is no region 'Bb'; did you mean 'B'?"),
        (("--without", "A", "--without", "B"), "--without: found every region of the scenario"),
        (("--traffic", "twice"), "--traffic: found 'twice'; 2x, 0.5x, +20% or -20% is expected"),
        ((*FULL, "--json", "--csv"), "--csv: found --json as well; leave one of them out"),
        ((*FULL, *FAST, "--replications", "3"), "replications would all be the same; leave it out"),
    ],
)
def test_wrong_questions_end_with_2(
    options: tuple[str, ...], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(tmp_path, *options)) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_scenario_with_code_of_others_is_refused_without_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text("raise SystemExit('ran')\n", encoding="utf-8")
    scenario = small.write(tmp_path, ('use = "latency-first"', 'use = "mine.py:Mine"'))
    assert main(["whatif", str(scenario), *FULL, "--no-code", "--output", str(tmp_path / "out")]) == 2
    assert "ran" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        (
            ("carbon_g_per_kwh = 400", "carbon_g_per_kwh = 0"),
            "If B is full: no policy that a router can run saves anything within 5 % SLO violations in every "
            "workload, as now.",
        ),
        (
            ("slo_ms = 100", "slo_ms = 1"),
            "If B is full: no policy that a router can run stays within 5 % SLO violations in every workload "
            "(Latency-First comes nearest with 100.00 % of Short answers), as now.",
        ),
    ],
)
def test_nothing_can_be_saved_or_kept(
    change: small.Change, answer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario = small.write(tmp_path, change, ("carbon_g_per_kwh = 50", "carbon_g_per_kwh = 0"))
    assert main(["whatif", str(scenario), *FULL, *FAST, "--output", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.splitlines()[0] == answer


def test_it_is_written_beside_a_run_of_the_same_scenario(tmp_path: Path) -> None:
    arguments = command(tmp_path, *FULL, *FAST, "--quiet")
    out = str(tmp_path / "out")
    assert main(["simulate", arguments[1], "--output", out, "--no-figures", "--quiet"]) == 0
    before = content(tmp_path / "out")
    assert main(arguments) == 0
    after = content(tmp_path / "out")
    assert after.keys() - before.keys() == {"tables/whatif.csv"}
    assert all(after[name] == content for name, content in before.items() if name != "manifest.json")


def test_help_says_how_changes_are_combined(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["whatif", "--help"]) == 0
    assert "All changes that are given hold together" in " ".join(capsys.readouterr().out.split())


def test_a_share_over_the_limit_does_not_read_as_the_limit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The limit lies between what is late then and the same with two decimals: 7.5807 % and 7.58 %."""
    arguments = command(tmp_path, "--slo", "short=90ms", *FAST)
    assert main([*arguments, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)["figures"]
    late = max(row["then"] for row in figures if row["figure"] == "worst_violations_pct")
    limit_pct = (late + round(late, 2)) / 2
    assert round(late, 2) < limit_pct < late
    assert main([*arguments, "--max-violation", f"{limit_pct:.6f}%"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "Late of the worst workload" in line]
    most = max(float(line.split("%")[1].split()[1]) for line in lines)
    assert most == pytest.approx(late, abs=0.0005)
    assert most > limit_pct
