"""The command line as a user meets it."""

from __future__ import annotations

import gc
import io
import json
import os
import re
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console

import carbonroute
from carbonroute.cli import main
from carbonroute.cli.results import print_run
from carbonroute.scenario.written.limits import share
from helpers import small, studies
from helpers.grids import grid
from helpers.terminals import on_terminal

COMMAND = str(Path(sys.executable).with_name("carbonroute"))
SMALL = ["simulate", "published", "--sim-hours", "3", "--no-figures", "--output"]


def start(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    settings = {**os.environ, **environment}
    return subprocess.run([COMMAND, *arguments], env=settings, capture_output=True, text=True, check=False)


def test_the_policy_table_and_the_finding_are_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", "published", "--no-figures", "--output", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert err == ""  # no progress where there is no terminal
    for text in ("Constrained Hybrid †", "clairvoyant", "59.6", "1.01", "over 5 % violations"):
        assert text in out
    answer = "requests meet 117.7 g CO₂e/kWh instead of the 268.7 of Latency-First (56.2 % less)"
    assert f"With Hybrid (α=0.7), {answer}" in out
    assert "\x1b" not in out


def test_violations_are_printed_with_their_interval(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", "published", "--no-figures", "--output", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "1.01 [0.90, 1.12]" in out
    assert "< 0.0089" in out
    assert (
        "– No violation means 0 of 33,600 requests: below 0.0089 % at 95 % confidence (Latency-First)." in out
    )
    assert max(map(len, out[: out.index("†")].splitlines())) <= 160


@pytest.mark.parametrize("scenario", ["published", "five-aws-regions"])
def test_replications_are_printed_with_half_widths(
    scenario: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--sim-hours", "24", "--replications", "5", "--no-figures", "--output", str(tmp_path)]
    assert main(["simulate", scenario, *options]) == 0
    table, _, below = capsys.readouterr().out.partition("† clairvoyant")
    assert max(map(len, table.splitlines())) <= 160
    intervals = pl.read_csv(tmp_path / "tables" / "intervals.csv").filter(pl.col("workload").is_null())
    row = intervals.filter(policy="Carbon-First", figure="avg_latency_ms").row(0, named=True)
    ((value, half_width),) = re.findall(r"Carbon-First +([\d.]+) ± ([\d.]+)", table)
    assert float(value) == pytest.approx(row["value"], abs=0.05)
    assert float(half_width) == pytest.approx(row["high"] - row["value"], rel=0.05)
    late = intervals.filter(policy="Carbon-First", figure="slo_violation_pct").row(0, named=True)
    ((value, low, high),) = re.findall(r"Carbon-First .*?([\d.]+) \[([\d.]+), ([\d.]+)\]", table)
    assert [float(value), float(low), float(high)] == pytest.approx(
        [late["value"], late["low"], late["high"]], abs=0.05
    )
    assert table.count("±") >= 4 * 7 - 1  # shares have both ends
    assert "over 5 replications" in below


def test_a_narrow_terminal_gets_intervals_on_lines_of_their_own_and_grams_in_a_second_table() -> None:
    result = carbonroute.run("five-aws-regions", {"horizon.hours": 5}, replications=4)
    shown = io.StringIO()
    print_run(Console(file=shown, width=80), result)
    first, second = shown.getvalue().partition("† clairvoyant")[0].split("five-aws-regions")[1:]
    assert "…" not in first + second
    assert re.search(r"Latency-First +[\d.]+ +< [\d.]+ +[\d.]+ ", first)
    figures = ["avg_latency_ms", "slo_violation_pct", "avg_carbon_g_per_kwh"]  # P95 stands by workload
    figures += ["total_kg", "emissions_reduction_pct"]  # one reduction, of emissions
    whole = result.tables.intervals.filter(pl.col("workload").is_null(), pl.col("figure").is_in(figures))
    whole = whole.filter(pl.col("low").is_not_null(), ~pl.col("method").str.starts_with("rule of three"))
    assert whole.height > 2 * 9 + 2 * 9
    assert sum(table.count(mark) for table in (first, second) for mark in "±[") == whole.height
    assert "Verdict" in first
    assert "Emissions" in second
    assert all(policy.split()[0] in second for policy in result.tables.policies["policy"])


def test_replications_end_when_they_may(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, str(tmp_path), "--until", "avg_latency_ms +- 4", "--replications", "40"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"– avg_latency_ms ± 4 reached: ± [\d.]+ under .*, the widest interval\.", out)
    assert 10 <= len(json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))["seeds"]) < 40
    assert main([*SMALL, str(tmp_path), "--until", "avg_latency_ms +- 0.001", "--replications", "10"]) == 0
    assert "– avg_latency_ms ± 0.001 not reached: ± " in capsys.readouterr().out


def test_workers_change_no_byte(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenario = str(small.write(tmp_path))
    found = []
    for workers in ("1", "2"):
        place = tmp_path / workers
        options = ["--workers", workers, "--no-figures", "--quiet", "--output", str(place)]
        assert main(["simulate", scenario, *options]) == 0
        found.append({p.name: p.read_bytes() for p in place.rglob("*") if p.is_file()})
    assert found[0] == found[1]
    assert main([*SMALL, str(tmp_path / "published"), "--workers", "2", "--quiet"]) == 0
    assert capsys.readouterr().err.startswith("note: the published scheme draws from one generator")


def test_json_has_full_precision_and_nothing_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*SMALL, str(tmp_path), "--json"]) == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert err == ""
    rows = {row["policy"]: row for row in document["policies"]}
    result = carbonroute.run("published", {"horizon.hours": 3})
    for row in result.tables.policies.rows(named=True):
        assert rows[row["policy"]]["avg_latency_ms"] == row["avg_latency_ms"]
    assert rows["Constrained Hybrid"]["clairvoyant"] is True
    assert rows["Latency-First"]["requests_Singapore"] + rows["Latency-First"]["requests_EU-West"] > 0
    assert document["seed"] == 42
    assert len(document["workloads"]) == 7 * 3
    assert document["intervals"] == result.tables.intervals.rows(named=True)
    assert document["objectives"] == document["agreement"] == []


def test_quiet_prints_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, str(tmp_path), "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_options_change_the_scenario(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "--sim-hours",
        "2",
        "--reqs-per-hour",
        "50",
        "--seed",
        "7",
        "--json",
        "--no-figures",
        "--output",
    ]
    assert main(["simulate", *arguments, str(tmp_path)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["seed"] == 7
    assert sum(row["requests"] for row in document["workloads"]) == 7 * 100


@pytest.mark.parametrize(
    ("text", "value"), [("5%", 0.05), ("0.05", 0.05), ("1 %", 0.01), ("0", 0), ("100%", 1)]
)
def test_a_share_is_a_percentage_or_a_number_up_to_one(text: str, value: float) -> None:
    assert share(text) == value


@pytest.mark.parametrize("text", ["5", "-1%", "101%", "five", "", "nan", "5%%"])
def test_any_other_share_is_refused(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, str(tmp_path), f"--max-violation={text}"]) == 2
    assert "'5%'" in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_the_limit_decides_what_is_viable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, str(tmp_path), "--max-violation", "60%", "--json"]) == 0
    viable = {row["policy"]: row["viable"] for row in json.loads(capsys.readouterr().out)["policies"]}
    assert viable["Hybrid (α=0.2)"]
    assert not viable["Carbon-First"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["simulate", "--no-figure"], "--no-figures"),
        (["simluate"], "simulate"),
        (["simulate", "published", "--seed", "many"], "many"),
        (["simulate", "publishd"], "did you mean 'published'?"),
        (["simulate", "published", "--engine", "guessed"], "sampled"),
        (
            ["simulate", "published", "--replications", "0"],
            "error: --replications: found 0; 1 or more is expected",
        ),
        (["simulate", "published", "--workers", "-1"], "error: --workers: found -1; 1 or more is expected"),
        (["simulate", "published", "--until", "p95_latency ± 1"], "did you mean 'p95_latency_ms'?"),
        (["simulate", "published", "--engine", "exact", "--replications", "9"], "computes expected values"),
        (["simulate", "published", "--format", "gif"], "svg"),
        (
            ["simulate", "published", "--seed", "-1"],
            "error: --seed: found -1; it should be greater than or equal",
        ),
        (
            ["simulate", "published", "--sim-hours", "0"],
            "error: --sim-hours: found 0; it should be greater than",
        ),
        (["headroom", "published", "--at", "0"], "error: --at: found 0; numbers above 0"),
        (
            ["simulate", "published", "--max-violation", "5"],
            "0.05 is expected. See: carbonroute simulate --help",
        ),
        (["figures"], "RUN"),
        (["init"], "FILE"),
    ],
)
def test_wrong_usage_ends_with_2_and_a_hint(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert words in " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["simulate", "--no-figure"],
            "error: Unknown option: --no-figure. Did you mean --no-figures? See: carbonroute simulate --help",
        ),
        (
            ["study", "run", "a.toml", "b.toml"],
            "error: Nothing takes 'b.toml'; leave it out, or quote what belongs together. See: carbonroute "
            "study run --help",
        ),
    ],
)
def test_wrong_usage_is_one_line_like_every_error(
    arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr() == ("", f"{line}\n")


def test_scenarios_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scenarios", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {"published", "starter"} <= {one["name"] for one in listed}
    assert all(one["description"] for one in listed)


def test_version_scenarios_policies(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == carbonroute.__version__
    assert main(["scenarios"]) == 0
    assert "published" in capsys.readouterr().out
    assert main(["policies"]) == 0
    out = capsys.readouterr().out
    for name in ("latency-first", "carbon-first", "hybrid", "constrained-hybrid", "margin_ms"):
        assert name in out


def test_init_validate_simulate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "mine.toml")
    assert main(["init", path]) == 0
    assert main(["validate", path]) == 0
    assert (
        "valid. 168 hours, 84,000 requests, 2 origins, 2 workloads, 3 regions, 4 policies."
        in capsys.readouterr().out
    )
    assert (
        main(["simulate", path, "--sim-hours", "2", "--no-figures", "--output", str(tmp_path / "run")]) == 0
    )
    before = Path(path).read_bytes()
    assert main(["init", path]) == 2
    assert "is there already" in capsys.readouterr().err
    assert Path(path).read_bytes() == before
    assert main(["init", str(tmp_path / "published.toml"), "--from", "published"]) == 0
    assert main(["init", str(tmp_path / "other.toml"), "--from", "publshed"]) == 2
    assert "did you mean 'published'?" in capsys.readouterr().err


def test_an_interrupted_run_ends_with_130(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(studies.OWN, encoding="utf-8")
    scenario = small.write(tmp_path)
    with scenario.open("a", encoding="utf-8") as file:
        file.write('[[policies]]\nuse = "own.py:Own"\nseconds = 3600.0\n')
    arguments = ["simulate", str(scenario), "--output", str(tmp_path / "outputs")]
    process = subprocess.Popen(
        [COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    studies.wait_until((tmp_path / "begun.txt").exists)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=600)
    assert (process.returncode, out, err) == (130, "", "interrupted\n")


def run_on_terminal(tmp_path: Path, **environment: str) -> str:
    """Simulate on a pseudo-terminal and return what it shows."""
    arguments = [COMMAND, "simulate", "--reqs-per-hour", "500", "--no-figures", "--output", str(tmp_path)]
    return on_terminal(arguments, **{"TERM": "xterm-256color", **environment})


def test_a_terminal_shows_progress_and_colour(tmp_path: Path) -> None:
    shown = run_on_terminal(tmp_path)
    assert "simulating" in shown
    assert "ETA" in shown
    assert "\x1b[9" in shown or "\x1b[3" in shown


def test_no_color_is_honoured(tmp_path: Path) -> None:
    shown = run_on_terminal(tmp_path, NO_COLOR="1")
    assert "simulating" in shown
    assert "\x1b[9" not in shown
    assert "\x1b[3" not in shown


@pytest.mark.parametrize(
    "arguments",
    grid(
        [["simulate", "published", "--no-figures", "--quiet"], ["validate", "published"], ["--help"]],
        one_of=2,
    ),
)
def test_the_common_path_imports_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    code = (
        "import sys; from carbonroute.cli import main; code = main(sys.argv[1:]); "
        "heavy = {'distributed', 'jinja2', 'matplotlib', 'numba', 'scipy.stats'}; "
        "print(sorted(heavy & set(sys.modules)), code, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stderr == "[] 0\n"


def test_garbage_is_collected_while_a_command_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not while modules are imported; a process of one command sets aside what it has by then."""
    collecting: list[bool] = []
    monkeypatch.setattr("carbonroute.cli.scenarios.print_json", lambda _: collecting.append(gc.isenabled()))
    frozen: list[None] = []
    monkeypatch.setattr(gc, "freeze", lambda: frozen.append(None))
    assert main(["scenarios", "--json"]) == 0
    assert frozen == []
    assert collecting == [True]
    code = (
        "import gc, sys; from carbonroute.cli import main; main(); "
        "print(gc.isenabled(), gc.get_freeze_count() > 0, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "scenarios"], capture_output=True, text=True, check=False
    )
    assert done.stderr == "True True\n"


def test_help_needs_no_arrays() -> None:
    code = "import sys; from carbonroute.cli import main; main(['--help']); sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "unneeded"),
    [
        (["scenarios"], {"numpy", "pydantic", "polars.dataframe"}),
        (["validate", "published"], {"polars.dataframe"}),
        (["simulate", "published", "--no-figures", "--quiet"], {"numpy.ma", "rich"}),
    ],
)
def test_a_command_imports_what_it_needs(arguments: list[str], unneeded: set[str], tmp_path: Path) -> None:
    code = (
        "import sys; from carbonroute.cli import main; code = main(sys.argv[1:]); "
        "print(code, *sorted(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    code_number, *imported = done.stderr.split()
    assert code_number == "0"
    if tuple(map(int, version("scipy").split(".")[:2])) >= (
        1,
        18,
    ):  # its special functions bring all of NumPy
        unneeded = unneeded - {"numpy.ma"}
    assert not unneeded & set(imported)


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "carbonroute", "--version"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, carbonroute.__version__)


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("simulate", "figures", "init", "validate", "policies", "scenarios", "report", "study"):
        assert main([command, "--help"]) == 0
        assert f"carbonroute {command}" in capsys.readouterr().out


def test_json_needs_no_more_than_ascii_and_goes_with_quiet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*SMALL, str(tmp_path), "--json", "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert (out.isascii(), err) == (True, "")
    assert "Hybrid (α=0.2)" in [row["policy"] for row in json.loads(out)["policies"]]


def test_an_interrupt_ends_with_130(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from carbonroute.cli import simulate

    def interrupted(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(simulate, "run", interrupted)
    assert main([*SMALL, str(tmp_path / "run")]) == 130
    assert capsys.readouterr() == ("", "interrupted\n")
    assert not (tmp_path / "run").exists()


def start_into(stdout: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run with output that is buffered, as it is by default: what fails may fail again at the end."""
    settings = {**os.environ, "PYTHONUNBUFFERED": ""}
    return subprocess.run(
        [COMMAND, *arguments], env=settings, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False
    )


@pytest.mark.parametrize("options", grid([["--json"], []], one_of=2))
def test_results_that_cannot_be_printed_are_an_error(options: list[str], tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = start_into(full.fileno(), *SMALL, str(tmp_path), *options)
    assert done.returncode == 2
    assert done.stderr.startswith("error: standard output: No space left on device; ")
    assert len(done.stderr.splitlines()) == 1
    assert (tmp_path / "manifest.json").is_file()


@pytest.mark.parametrize("options", grid([[], ["--json"]], one_of=2))
def test_a_reader_may_leave_early(options: list[str], tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = start_into(writing, *SMALL, str(tmp_path), *options)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_log_without_greek_letters_gets_their_names(tmp_path: Path) -> None:
    """And signs in ASCII; tables are as wide as they are then, and files are in UTF-8."""
    done = start(*SMALL, str(tmp_path), PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()
    said = (
        "|Hybrid (alpha=0.2)",
        "|Constrained Hybrid +",
        "+ clairvoyant:",
        "g CO2e/kWh instead",
        "- No viol",
    )
    assert [one for one in said if one not in done.stdout] == []
    table = done.stdout[: done.stdout.index("P95 latency")].strip().splitlines()[1:]
    assert len({len(line.rstrip()) for line in table}) == 1
    assert "Hybrid (α=0.2)" in (tmp_path / "tables/simulation_results.csv").read_text(encoding="utf-8")
    refused = start("simulate", "published", "--until", "latency ≤ 1", PYTHONIOENCODING="ascii")
    assert "found 'latency <= 1'" in refused.stderr


def test_a_terminal_of_80_characters_shows_all_names_and_numbers(tmp_path: Path) -> None:
    shown = run_on_terminal(tmp_path, NO_COLOR="1", COLUMNS="80")
    table = shown[shown.index("published") :]
    assert "\x1b" not in table
    assert "…" not in table
    for text in ("Latency-First", "Hybrid (α=0.2)", "Constrained", "Violations", "Reduction", "Verdict"):
        assert text in table


def test_a_narrow_terminal_lists_what_no_table_has_room_for(tmp_path: Path) -> None:
    shown = run_on_terminal(tmp_path, NO_COLOR="1", COLUMNS="40")
    lines = shown[shown.index("published") :].replace("\r", "").split("\n")
    place = lines.index("Hybrid (α=0.2)")
    assert [line.split(":")[0].strip() for line in lines[place + 1 : place + 7]] == [
        "Latency ms", "P95 ms", "Violations %", "Carbon g/kWh", "Reduction %", "Verdict",
    ]  # fmt: skip
    assert lines[place + 6].strip().startswith("Verdict: over 5 % violations")


def test_a_rate_for_traffic_that_brings_its_own_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rates.csv").write_text("a\n5\n5\n", encoding="utf-8")
    rates = 'kind = "rate-file"\npath = "rates.csv"\nwindow = "3h"\nunit = "requests/h"\n'
    scenario = small.write(tmp_path, ('kind = "fixed-rate"\nrequests_per_hour = 50\n', rates))
    arguments = ["simulate", str(scenario), "--output", str(tmp_path / "out"), "--no-figures"]
    assert main([*arguments, "--reqs-per-hour", "7"]) == 2
    assert "--reqs-per-hour: traffic of kind 'rate-file' brings its own rate" in capsys.readouterr().err
    assert main(arguments) == 0
