"""Options that mean the same everywhere are everywhere, but for the commands that this file names."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from carbonroute.cli import main
from carbonroute.cli.app import app
from carbonroute.cli.commands import COMMANDS
from helpers import small

_WRITES = "it writes a file and prints its place: it has no table and no verdict"
_FOLDER = "it writes into the folder that it is given, which lists what belongs to it"
_PRINTS = "it writes no file"
_NO_RUN = "it runs nothing more than once"
_NO_PAGE = "a report is the page of a run or a study, and it makes neither"
NOT_WITH = {
    "--json": {
        **dict.fromkeys(("init", "live init", "figures", "study figures", "report"), _WRITES),
        "live run": "its decisions are JSON already, in the journal; live status --json has the last one",
    },
    "--output": {
        "init": "the file is its argument",
        **dict.fromkeys(("figures", "study figures"), _FOLDER),
        **dict.fromkeys(
            (
                *("validate", "study status", "study show", "policies", "replay", "live check"),
                *("live status", "live savings", "scenarios", "regions", "models", "gpus"),
            ),
            _PRINTS,
        ),
        "inspect": "it writes no results; --picture names the file of its picture",
        "live run": "the live file names its journal",
    },
    "--workers": {
        "frontier": "one run of the exact engine, whose policies share most of the work",
        **dict.fromkeys(
            (
                *("init", "validate", "figures", "report", "tables", "study status", "study show"),
                *("study figures", "policies", "replay", "calibrate", "live init", "live check"),
                *("live run", "live status", "live savings", "scenarios", "regions", "models"),
                *("gpus", "inspect", "fetch", "import"),
            ),
            _NO_RUN,
        ),
    },
    "--report": {
        name: _NO_PAGE for command in COMMANDS if (name := command.name) not in {"simulate", "study run"}
    },
}


def option_names(command: str) -> set[str]:
    found = app
    for word in command.split():
        found = found[word]
    return {name for argument in found.assemble_argument_collection() for name in argument.names}


@pytest.mark.parametrize("option", NOT_WITH)
def test_an_option_is_of_every_command_that_has_use_for_it(option: str) -> None:
    without = {command.name for command in COMMANDS if option not in option_names(command.name)}
    assert without == {*NOT_WITH[option]}


def test_a_command_without_results_of_a_run_has_no_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the exceptions say: its folder alone cannot be made a page."""
    place = str(tmp_path / "out")
    assert main(["frontier", str(small.write(tmp_path)), "--no-figures", "--quiet", "--output", place]) in {
        0,
        1,
    }
    assert main(["report", place]) == 2
    assert "holds the results of frontier, and no run" in capsys.readouterr().err


def test_processes_change_no_byte_of_a_sensitivity(tmp_path: Path) -> None:
    found = []
    for workers in ("1", "3"):
        place = tmp_path / workers
        given = ["--workers", workers, "--no-figures", "--quiet", "--output", str(place)]
        assert main(["sensitivity", str(small.write(tmp_path)), "--max-violation", "60%", *given]) == 0
        found.append((place / "tables/sensitivity.csv").read_bytes())
    assert found[0] == found[1]


@pytest.mark.parametrize("command", ["simulate", "sensitivity", "whatif", "headroom"])
def test_a_number_of_processes_below_one_is_refused(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pools = ("[[origins]]", "[[pools]]\nservers = 30\n[[origins]]")
    scenario = small.write(tmp_path, *[pools] * (command == "headroom"))
    change = ["--traffic", "2x"] * (command == "whatif")
    given = [command, str(scenario), *change, "--workers", "0", "--output", str(tmp_path / "out")]
    assert main([*given, "--max-violation", "60%"]) == 2
    assert capsys.readouterr().err == "error: --workers: found 0; 1 or more is expected\n"


def test_a_table_as_json_has_full_precision(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, file = str(tmp_path / "run"), tmp_path / "workloads.json"
    assert main(["simulate", str(small.write(tmp_path)), "--no-figures", "--json", "--output", run]) == 0
    whole = json.loads(capsys.readouterr().out)
    assert main(["tables", run, "--table", "workloads", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == whole["workloads"]
    assert main(["tables", run, "--table", "workloads", "--json", "--output", str(file)]) == 0
    assert json.loads(file.read_text(encoding="utf-8")) == whole["workloads"]
    capsys.readouterr()
    assert main(["tables", run, "--json", "--format", "csv"]) == 2
    assert "--format: found --json as well" in capsys.readouterr().err


#: A region whose name begins with a dash.
DASHED = (
    ('name = "B"', 'name = "-b"'),
    ("A = 5, B = 65", 'A = 5, "-b" = 65'),
    ("A = 80, B = 10", 'A = 80, "-b" = 10'),
)


@pytest.mark.parametrize(
    ("option", "before"),
    [("--without", ["--without=A"]), ("--full", ["--traffic", "2x"]), ("--carbon", []), ("--slo", [])],
)
def test_a_value_that_begins_with_a_dash_is_told_how_to_be_given(
    option: str, before: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["whatif", str(small.write(tmp_path)), *before, option, "-b c", "--json"]) == 2
    said = capsys.readouterr().err
    assert f"{option} requires an argument; one that begins with a dash is given as '{option}=-b c'." in said


def test_an_option_that_follows_another_is_no_value_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "published", "--output", "--json"]) == 2
    assert "--output requires an argument. See:" in capsys.readouterr().err


def test_what_the_error_says_works(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenario = small.write(tmp_path, *DASHED)
    arguments = ["whatif", str(scenario), "--replications", "2", "--output", str(tmp_path / "out")]
    assert main([*arguments, "--without", "-b"]) == 2
    remedy = re.search(r"given as (\S+)\. ", capsys.readouterr().err)
    assert remedy
    assert main([*arguments, remedy[1]]) == 0
    assert "If there is no -b" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["simulate", "validate", "regions", "inspect", "report"])
def test_a_name_that_begins_with_a_dash_comes_after_two(
    command: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([command, "-mine.toml"]) == 2
    said = capsys.readouterr().err
    assert (
        "-mine.toml is no option; a name that begins with a dash comes after two of them, and options "
        in said
    )
    remedy = re.search(r"before: carbonroute (.*)\. See: ", said)
    assert remedy
    assert main(shlex.split(remedy[1])) in {1, 2}
    assert "-mine.toml" in capsys.readouterr().err.replace("'", "")
