"""All faults of a study in one pass: its file, its base, axes, cells and data, each with file and line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from carbonroute.cli import main
from helpers import small
from helpers.refusals import places

FAULTY = """\
schema = 1
name = "x"
scenario = "small.toml"
engin = "exact"
replications = 0
metrics = ["latency"]
[changes]
network.jitter_std_ms = -1
"regions[Q].pue" = 1.2
[grid]
sampling.seed = [1, -2]
horizon.hours = 3
"regions[A].pue" = [
  1.0,
  0.5,
]
"workloads[0].slo_ms" = { from = 100, to = 1 }
policies = [[{ use = "latency-first" }], [{ use = "hybird" }]]
[[variants]]
label = "a"
[[variants]]
label = "b"
changes = { "workloads[short].slo_ms" = -1 }
"""
#: File, line and id of each of its faults.
EXPECTED = {
    ("study.toml", 4, "unknown-key"),
    ("study.toml", 5, "out-of-range"),
    ("study.toml", 6, "invalid-value"),
    ("study.toml", 8, "out-of-range"),
    ("study.toml", 9, "invalid-value"),
    ("study.toml", 11, "out-of-range"),
    ("study.toml", 12, "wrong-type"),
    ("study.toml", 15, "out-of-range"),
    ("study.toml", 17, "out-of-range"),
    ("study.toml", 18, "unknown-name"),
    ("study.toml", 19, "missing-key"),
    ("study.toml", 23, "out-of-range"),
    ("small.toml", 6, "unknown-key"),
    ("small.toml", 35, "percentage"),
    ("carbon.csv", None, "unreadable-file"),
}


def study_of(folder: Path, text: str, *changes: small.Change) -> Path:
    """Write a study of the small scenario, changed, beside it."""
    small.write(folder, *changes)
    path = folder / "study.toml"
    path.write_text(text, encoding="utf-8")
    return path


def head(text: str) -> str:
    return f'schema = 1\nname = "x"\nscenario = "small.toml"\n{text}'


def faults_of(path: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    assert main(["validate", str(path), "--json"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert (document["study"], document["valid"]) == (str(path), False)
    faults: list[dict[str, Any]] = document["faults"]
    assert all(fault["found"] and fault["remedy"] and fault["file"] and fault["id"] for fault in faults)
    return faults


def test_a_study_its_base_its_cells_and_data_are_reported_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = [
        ("hours = 6", "hours = 6\nhuors = 2"),
        (small.SYNTHETIC, small.WIDE),
        ("share = 0.4", "share = 40"),
    ]
    path = study_of(tmp_path, FAULTY, *changes)
    faults = faults_of(path, capsys)
    assert places(faults) == EXPECTED
    assert len(faults) == len(EXPECTED), "none twice, none that follows from another"
    out = tmp_path / "out"
    assert main(["study", "run", str(path), "--output", str(out)]) == 2
    told = capsys.readouterr().err
    assert f"{len(EXPECTED)} faults" in told
    assert all(f"line {line}, " in told for _, line, _ in EXPECTED if line)
    assert not out.exists()


def test_a_base_that_is_mended_by_all_cells_has_no_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = head('[changes]\n"origins[West].share" = 0.4\n[grid]\nhorizon.hours = [2, 3]\n')
    path = study_of(tmp_path, text, ("share = 0.4", "share = 40"), ("hours = 6", "hours = -6"))
    assert main(["validate", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: valid. 2 cells of small.toml; axes: horizon.hours (2).\n"
    assert main(["validate", str(path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == {
        "study": str(path), "valid": True, "base": "small.toml", "cells": 2,
        "axes": {"horizon.hours": 2}, "notes": [], "faults": [],
    }  # fmt: skip


CELLS: dict[str, tuple[str, list[small.Change], str, int, str]] = {
    "a value beside one of the base": (
        '[grid]\ncontrol.warmup_hours = [\n1,\n7]\n', [],
        "study.toml", 7, "cell 1 (control.warmup_hours = 7): ",
    ),
    "a value that the base does not go with": (
        "[grid]\nhorizon.hours = [6, 2]\n", [("[traffic]", "[control]\nwarmup_hours = 3\n[traffic]")],
        "small.toml", 16, "cell 1 (horizon.hours = 2): control.warmup_hours",
    ),
    "a share of a sum": (
        '[grid]\n"origins[West].share" = [0.4,\n0.5]\n', [],
        "study.toml", 6, "cell 1 (origins[West].share = 0.5): origins",
    ),
    "a part of a value": (
        '[grid]\npolicies = [[{ use = "latency-first" }],\n'
        '[\n{ use = "latency-first" },\n{ use = "hybrid" }]]\n',
        [], "study.toml", 8, "policies[1].alpha",
    ),
    "a quoted key of a table": (
        '[[variants]]\nlabel = "a"\n[variants.changes.network.rtt_ms."East"]\n"A" = -1\n', [],
        "study.toml", 7, "network.rtt_ms.East.A",
    ),
    "a member that is called by its number": (
        '[grid]\n"regions[1].pue" = [1.0,\n0.1]\n', [], "study.toml", 6, "regions[1].pue",
    ),
    "a range": ('[grid]\nsampling.seed = { from = -1, to = 0 }\n', [], "study.toml", 5, "sampling.seed"),
    "a path that leads nowhere": ('[grid]\n"regions[Q].pue" = [1.0]\n', [], "study.toml", 5, "regions"),
    "a key of the base in every cell": (
        "[grid]\nsampling.seed = [1, 2]\n", [("noise = 0.1", "nosie = 0.1")],
        "small.toml", 21, "carbon.nosie",
    ),
    "a section that the base lacks": (
        "[grid]\nsampling.seed = [1, 2]\n", [("[horizon]\nhours = 6\nstart = 2021-01-01T00:00:00Z\n", "")],
        "small.toml", 1, "horizon",
    ),
    "a baseline": ('baseline = "Nobody"\n', [], "study.toml", 4, "baseline"),
    "a stopping rule": ('until = "x"\n', [], "study.toml", 4, "until"),
    "no such base": ("", [], "study.toml", 3, "scenario"),
    "a column of the results": (
        '[[variants]]\naxis = "a"\nlabel = "x"\nchanges = {}\n[[variants]]\naxis = "policy"\nlabel = "x"\n'
        "changes = {}\n", [], "study.toml", 8, "policy",
    ),
    "two values alike": ("[grid]\nhorizon.hours = [\n2,\n3,\n2]\n", [], "study.toml", 8, "horizon.hours"),
    "the same scenario": (
        '[grid]\nname = ["small"]\n[[variants]]\nlabel = "a"\nchanges = {}\n[[variants]]\nlabel = "b"\n'
        "changes = { network.jitter_std_ms = 3 }\n", [],
        "study.toml", 5, "cell 1 (name = small, variant = b)",
    ),
    "a file of one value's data": (
        '[[variants]]\nlabel = "a"\nchanges = {}\n[[variants]]\nlabel = "b"\n[variants.changes]\n'
        'carbon = { kind = "file", path = "no.csv", layout = "wide", time_column = "time", '
        'unit = "g/kWh" }\n',
        [], "no.csv", 0, "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CELLS)
def test_the_fault_of_a_cell_is_where_it_is_written(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, changes, file, line, where = CELLS[case]
    path = study_of(tmp_path, head(text), *changes)
    if case == "no such base":
        (tmp_path / "small.toml").rename(tmp_path / "other.toml")
    (fault,) = faults_of(path, capsys)
    assert (Path(fault["file"]).name, fault["line"] or 0) == (file, line)
    assert where in fault["where"]


BUILTIN = {
    "a value of several members": (
        '[grid]\nhorizon.hours = [2,\n3]\n"policies[hybrid].alpha" = [0.3,\n7]\n', {7, 8}
    ),
    "a value beside one of the base": ("[grid]\ncontrol.warmup_hours = [\n1,\n999]\n", {7}),
    "a sum": ('[grid]\n"origins[0].share" = [0.1,\n0.5]\n', {5, 6}),
    "a sum that all cells have": (
        '[changes]\n"origins[0].share" = 0.9\n[grid]\nhorizon.hours = [2, 3]\n', {5}
    ),
    "a member too many": (
        "[[variants]]\nlabel = 'a'\n[[variants.changes.policies]]\nuse = 'hybrid'\nalpha = 0.3\n"
        "[[variants.changes.policies]]\nuse = 'hybrid'\nalpha = 0.3\n", {7, 9}
    ),
    "a source of data": (
        "[grid]\nhorizon.hours = [3]\n[[variants]]\nlabel = 'a'\n[variants.changes.carbon]\n"
        "kind = 'file'\npath = 'no.csv'\nlayout = 'wide'\ntime_column = 'time'\nunit = 'g/kWh'\n", {5}
    ),
    "an engine's limit": ('engine = "queued"\n[grid]\n"workloads[0].slo_ms" = [\n5, -5]\n', {7}),
    "a key that leads nowhere": ("[grid]\nhorizn.hours = [\n1]\n", {5, 6}),
}  # fmt: skip


@pytest.mark.parametrize("case", BUILTIN)
def test_a_fault_of_a_study_on_a_built_in_scenario_is_the_studys(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The built-in scenario is valid: a change of the study is the cause, and has a line."""
    text, lines = BUILTIN[case]
    (tmp_path / "study.toml").write_text(head(text).replace("small.toml", "published"), encoding="utf-8")
    faults = faults_of(tmp_path / "study.toml", capsys)
    assert {Path(fault["file"]).name for fault in faults} <= {"study.toml", "no.csv"}
    assert {fault["line"] for fault in faults if fault["file"].endswith("study.toml")} <= lines, faults
    assert faults


def test_what_remedies_say_makes_the_study_valid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = study_of(
        tmp_path, head("[grid]\nhorizon.huors = [2, 3]\n"), ("share = 0.4", "share = 40"), ("noise", "nosie")
    )
    remedies = {fault["where"].rpartition(": ")[2]: fault["remedy"] for fault in faults_of(path, capsys)}
    assert "did you mean 'hours'?" in remedies["horizon.huors"]
    assert "did you mean 'noise'?" in remedies["carbon.nosie"]
    assert remedies["origins[0].share"].endswith("0.4?")
    path = study_of(tmp_path, head("[grid]\nhorizon.hours = [2, 3]\n"))
    assert main(["validate", str(path)]) == 0


def test_a_base_that_is_no_toml_is_reported_beside_the_study(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = study_of(
        tmp_path, head("engin = 1\n[grid]\nhorizon.hours = []\n"), ('name = "small"', "name = small")
    )
    assert places(faults_of(path, capsys)) == {
        ("study.toml", 4, "unknown-key"), ("study.toml", 6, "invalid-value"), ("small.toml", 2, "not-toml"),
    }  # fmt: skip


def test_a_value_that_an_option_set_by_a_name_has_no_line(tmp_path: Path) -> None:
    from carbonroute.errors import InputError
    from carbonroute.scenario import load

    path = small.write(tmp_path, ('name = "A"\n', 'name = "A"\npue = 1.1\n'))
    with pytest.raises(InputError) as caught:
        load(path, {"regions[A].pue": 0.5})
    assert [(fault.where, fault.line) for fault in caught.value.faults] == [("regions[0].pue", None)]
