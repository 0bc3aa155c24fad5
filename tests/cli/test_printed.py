"""Nothing that is printed commands a terminal, whatever file, name or exception it comes from."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from itertools import product
from pathlib import Path

import polars as pl
import pytest

from carbonroute.cli import main
from carbonroute.errors import visible
from carbonroute.report import page_of, render
from carbonroute.runs.store import RunFolder, read_manifest
from helpers import small
from helpers.grids import grid
from helpers.terminals import on_terminal

#: Colour, title (OSC), bell, carriage return, DEL, a C1 control; marks of direction, separators; markup.
EVIL = (
    "\x1b[31mA\x1b]0;title\x07\r\x7f\x9b2J"
    "\u061c\u200e\u200f\u202a\u202e\u2066\u2069\u2028\u2029\ufeff[red]B[/red]"
)
#: The same, as far as tables of text have no lone carriage return within a line.
CELL = EVIL.replace("\r", "")
WIDE = f"time,{CELL},B\n2021-01-01T00:00Z,4,5\n2021-01-01T01:00Z,4,5\n"
#: Stands behind what each command prints.
END = "-- ended with"
EVIL_TOML = json.dumps(EVIL.replace("\x7f", ""))  # JSON's strings are TOML's, but for DEL

POLICY = f"""
import logging, sys, warnings

EVIL = {EVIL!r}
print(EVIL)
print(EVIL, file=sys.stderr)
warnings.warn(EVIL)
logging.warning(EVIL)

class Loud:
    name = "Loud"
    def cost(self, view):
        print(EVIL)
        return view.rtt_ms

class Failing(Loud):
    name = "Failing"
    def cost(self, view):
        raise RuntimeError(EVIL)

class Named(Loud):
    name = EVIL

class Unmade(Loud):
    def __init__(self):
        raise RuntimeError(EVIL)
"""


def with_policy(name: str) -> Callable[[Path], list[str]]:
    def make(folder: Path) -> list[str]:
        (folder / "own.py").write_text(POLICY, encoding="utf-8")
        use = f'[[policies]]\nuse = "own.py:{name}"\n[[policies]]'
        path = small.write(folder, ("[[policies]]", use))
        return ["simulate", str(path), "--no-figures", "--output", str(folder / "out")]

    return make


def changed(*changes: small.Change) -> Callable[[Path], list[str]]:
    def make(folder: Path) -> list[str]:
        return ["validate", str(small.write(folder, *changes))]

    return make


def inspected(name: str, content: str, *more: str) -> Callable[[Path], list[str]]:
    def make(folder: Path) -> list[str]:
        (folder / name).write_text(content, encoding="utf-8")
        return ["inspect", str(folder / name), *more]

    return make


def file_name(folder: Path) -> list[str]:
    path = folder / f"{EVIL.replace('/', '')}.toml"
    path.write_text(small.SCENARIO, encoding="utf-8")
    return ["simulate", str(path), "--no-figures", "--output", str(folder / EVIL.replace("/", ""))]


def carbon_file(folder: Path) -> list[str]:
    """A column that the scenario does not ask for, in an error that lists what there is."""
    data = small.WIDE_CSV.replace("time,A,B", f"time,{CELL},B")
    return ["validate", str(small.write_with_carbon(folder, data))]


PLANTED = {
    "overview": [pl.lit(CELL).alias(name) for name in ("finding", "accounting", "source", "traffic_source")],
    "policies": [pl.col("policy").replace({"Latency-First": CELL})],
}


def foreign_run(folder: Path, fields: tuple[str, ...] = ("overview",)) -> list[str]:
    """The folder of a run whose tables and manifest hold such texts, with digests that are right."""
    out = folder / "out"
    assert main(["simulate", str(small.write(folder)), "--no-figures", "--quiet", "--output", str(out)]) == 0
    manifest = read_manifest(out)
    run = RunFolder.reopen(out, "simulate")
    for name in fields:
        path = out / "data" / f"{name}.parquet"
        pl.read_parquet(path).with_columns(*PLANTED[name]).write_parquet(path)
        run.write(f"data/{path.name}", path.read_bytes())
    run.finish({**manifest, "command": EVIL})
    return ["figures", str(out), "--format", "svg"]


def foreign_policies(folder: Path) -> list[str]:
    """Names that no run would have let in."""
    return foreign_run(folder, ("policies",))


def study(*lines: str) -> Callable[[Path], list[str]]:
    def make(folder: Path) -> list[str]:
        (folder / "own.py").write_text(POLICY, encoding="utf-8")
        small.write(folder)
        text = ['schema = 1\nname = "evil"\nscenario = "small.toml"\n', *lines]
        (folder / "study.toml").write_text("\n".join(text), encoding="utf-8")
        options = ["--output", str(folder / "study"), "--workers", "1"]
        return ["study", "run", str(folder / "study.toml"), *options]

    return make


#: Every place from which text comes to a command, and whether the command refuses it.
PLACES: dict[str, tuple[Callable[[Path], list[str]], int]] = {
    "an argument": (lambda _: ["validate", EVIL], 2),
    "a value of an option": (lambda _: ["simulate", "published", "--seed", EVIL], 2),
    "an unknown option": (lambda _: ["simulate", f"--{EVIL}"], 2),
    "an unknown command": (lambda _: [EVIL], 2),
    "the name of a file and a folder": (file_name, 0),
    "the name of a scenario": (changed(('"small"', EVIL_TOML)), 2),
    "the name of a region": (changed(('name = "A"', f"name = {EVIL_TOML}")), 2),
    "the id of a workload": (changed(('id = "short"', f"id = {EVIL_TOML}")), 2),
    "the label of a policy": (changed(('"latency-first"', f'"latency-first"\nlabel = {EVIL_TOML}')), 2),
    "a policy that is named": (changed(('"latency-first"', EVIL_TOML)), 2),
    "an unknown key": (changed(("[horizon]", f"{EVIL_TOML} = 1\n[horizon]")), 2),
    "a description": (changed(("[horizon]", f"description = {EVIL_TOML}\n[horizon]")), 0),
    "TOML that is none": (changed(("[horizon]", "[horizon\u202e\u2028")), 2),
    "a path": (changed((small.SYNTHETIC, small.WIDE.replace('"carbon.csv"', EVIL_TOML))), 2),
    "a time": (changed(("start = 2021-01-01T00:00:00Z", f"start = {EVIL_TOML}")), 2),
    "a policy that prints": (with_policy("Loud"), 0),
    "a policy that raises": (with_policy("Failing"), 2),
    "a policy's own name": (with_policy("Named"), 2),
    "a policy that cannot be made": (with_policy("Unmade"), 2),
    "a column of a carbon file": (carbon_file, 2),
    "a column of a file": (inspected("a.csv", WIDE), 0),
    "a column of a file, as JSON": (
        inspected("a.csv", WIDE, "--json"),
        0,
    ),
    "a zone of a file": (
        inspected("a.csv", f"time,zone,carbon\n2021-01-01T00:00Z,{CELL},5\n2021-01-01T01:00Z,{CELL},5\n"),
        0,
    ),
    "a value of a file": (inspected("a.csv", f"time,B\n{CELL},5\n2021-01-01T01:00Z,{CELL}\n"), 2),
    "a round-trip matrix": (inspected("a.csv", f"origin,{CELL},B\nWest,4,5\nEast,5,6\n", "--as", "rtt"), 0),
    "a run folder": (foreign_run, 0),
    "a run folder's policies": (foreign_policies, 2),
    "a study's label": (study(f"[grid]\ndescription = [{EVIL_TOML}, 'other']"), 2),
    "a study's cell that fails": (study("[changes]\n'policies[0].use' = 'own.py:Failing'"), 1),
}  # fmt: skip


def commanding(text: str) -> set[str]:
    """Return the characters of a text that could command a terminal, or turn round what it shows."""
    odd = {c for c in text if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}}
    return odd - {"\n"}


#: Runs commands in turn, each with its exit code behind what it prints; draws so many figures at most.
DRIVER = f"""
import json, sys
from carbonroute.cli import drawing, main
available, figures = drawing.available, int(sys.argv[2])
drawing.available = lambda tables: available(tables)[:figures]
for arguments in json.load(open(sys.argv[1])):
    code = main(arguments)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    print("{END}", code, flush=True)
"""

Shown = list[tuple[str, int]]


def parted(shown: str) -> Shown:
    """Return what each command printed, and its exit code."""
    *parts, rest = re.split(f"{END} (\\d+)\n", shown)
    assert rest == ""
    return [(text, int(code)) for text, code in zip(parts[::2], parts[1::2], strict=True)]


def through_pipes(command: list[str]) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True)
    return done.stdout.decode()


def without_colours(command: list[str]) -> str:
    return on_terminal(command, TERM="dumb", NO_COLOR="1").replace("\r\n", "\n")


@pytest.fixture(scope="module", params=grid(product([without_colours, through_pipes], [3, 99]), one_of=4))
def printed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[str, int]]:
    """Return what a command prints, and its exit code, for every place."""
    folder = tmp_path_factory.mktemp("printed")
    commands = []
    for number, (make, _) in enumerate(PLACES.values()):
        (folder / str(number)).mkdir()
        commands.append(make(folder / str(number)))
    (folder / "commands.json").write_text(json.dumps(commands), encoding="utf-8")
    run, figures = request.param
    shown = run([sys.executable, "-c", DRIVER, str(folder / "commands.json"), str(figures)])
    return dict(zip(PLACES, parted(shown), strict=True))


@pytest.mark.parametrize("place", PLACES)
def test_no_control_character_arrives_from(place: str, printed: dict[str, tuple[str, int]]) -> None:
    text, code = printed[place]
    assert code == PLACES[place][1], text
    assert not commanding(text), text
    assert "Traceback" not in text


def test_what_is_planted_is_shown_as_escapes(printed: dict[str, tuple[str, int]]) -> None:
    """What makes the test above able to fail: the texts do arrive, only not as commands."""
    assert commanding(EVIL) == set(EVIL) - set("[31mA]0;title2J[red]B[/red]")
    shown, _ = printed["a policy that raises"]
    assert "RuntimeError: \\x1b[31mA\\x1b]0;title\\x07" in shown
    for place in ("a policy that prints", "a column of a file", "the name of a file and a folder"):
        shown, _ = printed[place]
        assert "\\u202e" in shown
        assert "[red]B[" in shown


def test_names_of_an_inspected_file_bring_no_lines_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    times = ["2021-01-01T00:00:00Z", "2021-01-01T01:00:00Z"]
    values = {"A\nerror: all is lost": [4.0, 5.0], "B": [5.0, 6.0]}
    pl.DataFrame({"time": times, **values}).write_parquet(tmp_path / "a.parquet")
    assert main(["inspect", str(tmp_path / "a.parquet")]) == 0
    out, err = capsys.readouterr()
    assert "A\\nerror" in out
    assert "\nerror" not in out + err


def test_a_page_and_its_drawings_hold_no_control_character(tmp_path: Path) -> None:
    foreign_run(tmp_path)
    page = render(page_of(tmp_path / "out"))
    assert not commanding(page)
    assert "\\u202e" in page
    assert page.count("<svg") > 5


@pytest.mark.parametrize("text", ["", "α = 0.7 †", "a\nb", "1\u00a0000", "東京 🌍"])
def test_plain_text_is_printed_as_it_is(text: str) -> None:
    assert visible(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [("\x1b[0m", "\\x1b[0m"), ("\u202e", "\\u202e"), ("\udcff", "\\udcff"), ("\U000e0041", "\\U000e0041")],
)
def test_other_text_is_printed_as_its_escape(text: str, shown: str) -> None:
    assert visible(text) == shown
