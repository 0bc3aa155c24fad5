"""From a scenario with language models to its tables, files, figure and page, and back from its journal."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from carbonroute.analysis.alterations import Alterations
from carbonroute.cli import main
from carbonroute.errors import InputError
from carbonroute.scenario import load
from helpers import damage, llm

COMMON = ["--quiet"]


@pytest.fixture(scope="module", autouse=True)
def own_figure(pytestconfig: pytest.Config) -> Iterator[None]:
    """Draw the figure of tokens, and one more; all of them with `--full`."""
    with pytest.MonkeyPatch.context() as patch:
        if not pytestconfig.getoption("full"):
            damage.draw_few(patch, ("first_tokens", "carbon_traces"))
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, own_figure: None) -> Path:
    """Return a folder with the scenario, the outputs of its run and its journal."""
    place = tmp_path_factory.mktemp("llm")
    text = llm.SCENARIO.replace("requests_per_hour = 20000", "requests_per_hour = 120000")
    text = text.replace("hours = 2", "hours = 1")
    (place / "llm.toml").write_text(text, encoding="utf-8")
    options = ["--output", str(place / "out"), "--report", "--journal", str(place / "journal"), *COMMON]
    assert main(["simulate", str(place / "llm.toml"), *options]) == 0
    return place


def test_tables_of_tokens_and_replicas_are_consistent(folder: Path) -> None:
    tokens = pl.read_csv(folder / "out/tables/tokens.csv")
    replicas = pl.read_csv(folder / "out/tables/replicas.csv")
    results = pl.read_csv(folder / "out/tables/per_workload_results.csv")
    assert tokens["policy"].to_list() == ["Latency-First", "Carbon-First", "Spill"]
    assert replicas.height == 3 * 2
    for time in ("ttft", "tpot", "latency"):
        ascending = tokens.select(f"p50_{time}_ms", f"p95_{time}_ms", f"p99_{time}_ms").to_numpy()
        assert (ascending[:, 1:] >= ascending[:, :-1]).all()
    assert tokens["avg_latency_ms"].to_list() == pytest.approx(results["avg_latency_ms"].to_list(), abs=0.05)
    assert tokens["slo_violation_pct"].to_list() == pytest.approx(
        results["slo_violation_pct"].to_list(), abs=0.005
    )
    per_policy = replicas.group_by("policy", maintain_order=True).agg(pl.col("answer_tokens_per_s").sum())
    assert per_policy["answer_tokens_per_s"].to_list() == pytest.approx(
        tokens["answer_tokens_per_s"].to_list(), rel=1e-3
    )
    assert (replicas["kv_use_pct"] <= replicas["peak_kv_use_pct"]).all()
    assert (replicas["peak_kv_use_pct"] <= 100).all()
    assert replicas.filter(policy="Carbon-First", region="A")["j_per_answer_token"][0] is None
    late = tokens.filter(policy="Carbon-First").row(0, named=True)
    assert late["goodput_per_s"] == pytest.approx(
        late["requests"] / 3600 * (1 - late["slo_violation_pct"] / 100)
    )


def test_the_page_and_the_figure_show_them(folder: Path) -> None:
    page = (folder / "out/report.html").read_text(encoding="utf-8")
    assert "First tokens and batches" in page
    assert 'id="figure-first_tokens"' in page
    assert (folder / "out/graphs/first_tokens.png").stat().st_size > 10_000


def test_a_run_folder_is_read_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (folder / "out/report.html").read_bytes()
    assert main(["report", str(folder / "out")]) == 0
    assert (folder / "out/report.html").read_bytes() == before
    assert main(["tables", str(folder / "out"), "--format", "markdown"]) == 0
    assert "Spill" in capsys.readouterr().out


def test_tables_for_papers_have_words_units_and_few_digits(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    headings = {
        "tokens": "Policy|Workload|First token P50 (ms)|First token P95 (ms)|First token limit (ms)|"
        "Further token P50 (ms)|Further token P95 (ms)|Further token limit (ms)|Last token P95 (ms)|Late (%)|"
        "Goodput (requests/s)",
        "replicas": "Policy|Pool|Replicas|In batches|Waiting|Cache in use (%)|Fullest cache (%)|"
        "Preemptions|Output (tokens/s)|Energy (J/token)",
    }
    for table, expected in headings.items():
        assert main(["tables", str(folder / "out"), "--table", table]) == 0
        first, _, *rows = capsys.readouterr().out.splitlines()
        assert [cell.strip() for cell in first.strip("| ").split(" | ")] == expected.split("|")
        for cell in (cell.strip() for row in rows[:3] for cell in row.strip("| ").split(" | ")):
            assert len(cell) <= 14, cell


def test_headrooms_of_the_same_replicas_are_said_to_be_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "llm.toml").write_text(llm.SCENARIO.replace("= 20000", "= 500"), encoding="utf-8")
    options = ["--at", "0.5,1,inf", "--no-figures", "--json", "--output", str(tmp_path / "out")]
    assert main(["headroom", str(tmp_path / "llm.toml"), *options]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {point["servers"] for point in document["points"]} == {2}
    *_, whole, endless = document["finding"]
    assert whole.startswith("Servers are whole: 0.5 × and 1 × the load are the same 2, enough for ")
    assert "inf is left out" in endless


def test_limits_of_tokens_can_be_asked_about(tmp_path: Path) -> None:
    inputs = llm.inputs(tmp_path)
    altered = Alterations(slo=("chat=ttft:1s", "Chat=tpot:80ms")).read(inputs)
    assert altered.text == (
        "the limit of the first token of chat is 1 s and the limit of further tokens of Chat is 80 ms"
    )
    scenario = load(tmp_path / "llm.toml", altered.changes(tomllib.loads(llm.SCENARIO), inputs.scenario))
    workload = scenario.workloads[0]
    assert (workload.slo_ms, workload.ttft_slo_ms, workload.tpot_slo_ms) == (10_000, 1000, 80)
    with pytest.raises(InputError, match="stands twice"):
        Alterations(slo=("chat=ttft:1s", "chat=ttft:2s")).read(inputs)


def test_decisions_replay_to_the_bit(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (spill,) = (path for path in (folder / "journal").iterdir() if "spill" in path.name)
    assert main(["replay", str(spill), "--json"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    assert answer["records"] >= 60
    assert answer["differ"] == 0


@pytest.mark.parametrize(
    "command",
    [
        ["whatif", "--traffic", "2x"],
        ["headroom", "--at", "1,2,inf"],
        ["validate"],
    ],
    ids=lambda command: command[0],
)
def test_other_commands_take_it(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "llm.toml").write_text(llm.SCENARIO, encoding="utf-8")
    name, *options = command
    output = [] if name in ("validate", "whatif") else ["--output", str(tmp_path / "out")]
    assert main([name, str(tmp_path / "llm.toml"), *options, *output]) in (0, 1)


@pytest.mark.parametrize(
    "command",
    [["simulate", "--engine", "sampled"], ["simulate", "--engine", "both"], ["simulate", "--engine", "exact"],
     ["frontier"], ["sensitivity"]],
    ids=" ".join,
)  # fmt: skip
def test_engines_without_batches_refuse_it_with_a_remedy(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "llm.toml").write_text(llm.SCENARIO, encoding="utf-8")
    name, *options = command
    assert main([name, str(tmp_path / "llm.toml"), *options, "--output", str(tmp_path / "out")]) == 2
    assert "run carbonroute simulate with --engine queued" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def test_replications_give_intervals_of_every_printed_figure_of_tokens(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "llm.toml").write_text(llm.SCENARIO.replace("= 20000", "= 2000"), encoding="utf-8")
    options = ["--replications", "3", "--no-figures", "--json", "--output", str(tmp_path / "out")]
    assert main(["simulate", str(tmp_path / "llm.toml"), *options]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [len(document[name]) for name in ("tokens", "replicas")] == [3, 3 * 2]
    intervals = pl.read_csv(tmp_path / "out/tables/intervals.csv").filter(policy="Latency-First")
    tokens = pl.read_csv(tmp_path / "out/tables/tokens.csv").filter(policy="Latency-First")
    for figure in ("avg_ttft_ms", "p95_ttft_ms", "avg_tpot_ms", "p95_tpot_ms", "goodput_per_s"):
        (row,) = intervals.filter(workload="chat", figure=figure).rows(named=True)
        assert row["low"] < row["value"] < row["high"]
        assert row["value"] == pytest.approx(tokens[figure][0])
    (late,) = intervals.filter(workload="chat", figure="ttft_violation_pct").rows(named=True)
    assert late["method"] == "Korn-Graubard over 3 replications"
