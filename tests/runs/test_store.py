"""The run folder: whole files, true digests, nothing left over, and nothing of anybody else's touched."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from carbonroute.cli import drawing, main
from carbonroute.errors import RunFolderError
from carbonroute.figures import available
from carbonroute.runs import run
from carbonroute.runs.store import RunFolder, read_manifest, read_tables
from helpers import needs
from helpers.grids import grid
from helpers.refusals import content

SMALL = ["simulate", "published", "--quiet", "--sim-hours", "3", "--output"]


@pytest.fixture(scope="module")
def undrawn_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run without figures; to be copied."""
    out = tmp_path_factory.mktemp("undrawn") / "run"
    assert main([*SMALL, str(out), "--no-figures"]) == 0
    return out


#: How many figures are drawn.
FIGURES = grid([2, 11], one_of=2)


def draw(figures: int, *arguments: str) -> None:
    """Run a command that draws no more than so many figures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, "available", lambda tables: available(tables)[:figures])
        assert main(list(arguments)) == 0


@pytest.fixture(scope="module", params=FIGURES)
def drawn_run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """Return the folder of the same run with figures, to be copied, and their number."""
    out = tmp_path_factory.mktemp("drawn") / "run"
    draw(request.param, *SMALL, str(out))
    return out, request.param


@pytest.fixture
def folder(undrawn_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(undrawn_run, tmp_path / "run")


def test_the_manifest_lists_every_file_with_its_digest(folder: Path) -> None:
    files = content(folder)
    manifest = json.loads(files.pop("manifest.json"))
    assert manifest["outputs"] == {
        name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())
    }
    assert {
        "tables/simulation_results.csv",
        "tables/per_workload_results.csv",
        "tables/intervals.csv",
        "data/carbon_intensity_traces.csv",
        "data/latency_matrix.csv",
    } <= files.keys()
    assert manifest["seed"] == 42
    assert manifest["seeds"] == [42]
    assert manifest["objectives"] == []
    assert manifest["scenario"]["horizon"] == {"hours": 3}
    assert manifest["clairvoyant"] == ["Constrained Hybrid"]
    assert set(manifest["versions"]) == {"python", "matplotlib", "numpy", "polars", "pydantic", "scipy"}


def test_the_manifest_s_scenario_runs_again(folder: Path) -> None:
    from carbonroute.scenario import Scenario

    document = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["scenario"]
    again = run(Scenario.model_validate(document))
    assert again.tables.policies.equals(read_tables(folder).policies)


def test_the_same_run_gives_the_same_bytes(drawn_run: tuple[Path, int], tmp_path: Path) -> None:
    first, figures = drawn_run
    draw(figures, *SMALL, str(tmp_path / "again"))
    assert content(tmp_path / "again") == content(first)
    assert len(content(first)) == 17 + figures


def test_tables_come_back_as_they_were(folder: Path) -> None:
    tables, result = read_tables(folder), run("published", {"horizon.hours": 3})
    for name, table in vars(result.tables).items():
        assert getattr(tables, name).equals(table), name


def test_replications_are_written_and_come_back(tmp_path: Path) -> None:
    place = tmp_path / "run"
    assert main([*SMALL, str(place), "--no-figures", "--replications", "4"]) == 0
    result = run("published", {"horizon.hours": 3}, replications=4)
    assert read_manifest(place)["seeds"] == list(result.seeds)
    for name, table in vars(result.tables).items():
        assert getattr(read_tables(place), name).equals(table), name
    intervals = pl.read_csv(place / "tables" / "intervals.csv")
    assert intervals["value"].to_list() == result.tables.intervals["value"].to_list()
    assert intervals["method"].unique().sort().to_list() == [
        "Korn-Graubard over 4 replications",
        "paired with Latency-First, t over 4 replications",
        "rule of three",
        "rule of three by the hour",
        "t over 4 replications",
    ]


def test_what_an_earlier_run_left_over_is_removed_and_nothing_else(
    drawn_run: tuple[Path, int], tmp_path: Path
) -> None:
    folder = shutil.copytree(drawn_run[0], tmp_path / "run")
    assert (folder / "graphs" / "tradeoff_curve.png").is_file()
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    assert main([*SMALL, str(folder), "--no-figures"]) == 0
    assert not (folder / "graphs" / "tradeoff_curve.png").exists()
    assert (folder / "notes.txt").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("figures", FIGURES)
def test_figures_are_drawn_again_from_the_folder_alone(figures: int, folder: Path) -> None:
    before = content(folder)
    draw(figures, "figures", str(folder), "--quiet", "--format", "svg")
    after = content(folder)
    assert {name for name in after if name.endswith(".png")} == {
        name.replace(".svg", ".png") for name in after if name.endswith(".svg")
    }
    assert len(after) == len(before) + 2 * figures
    assert {name for name in before if before[name] != after[name]} == {"manifest.json"}
    assert set(read_manifest(folder)["outputs"]) == after.keys() - {"manifest.json"}


def test_a_changed_table_is_not_drawn(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = folder / "data" / "policies.parquet"
    table.write_bytes(table.read_bytes() + b" ")
    assert main(["figures", str(folder)]) == 2
    assert "policies.parquet: does not match the manifest" in capsys.readouterr().err
    assert not (folder / "graphs").exists()


@pytest.mark.parametrize(
    "text", [None, "", "[]", "{}", '{"outputs": {"../precious.txt": "0"}}', "\x00", "[" * 10_000]
)
def test_a_folder_that_is_no_run_s_is_refused(text: str | None, tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine", encoding="utf-8")
    place = tmp_path / "run"
    place.mkdir()
    if text is not None:
        (place / "manifest.json").write_text(text, encoding="utf-8")
        assert main([*SMALL, str(place), "--no-figures"]) == 2
        assert [path.name for path in place.iterdir()] == ["manifest.json"]
    assert main(["figures", str(place)]) == 2
    assert (tmp_path / "precious.txt").read_text(encoding="utf-8") == "mine"


def test_a_full_disk_leaves_the_old_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = content(folder)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with (
        pytest.raises(RunFolderError, match=r"simulation_results.csv: cannot write here \(No space left"),
        RunFolder(folder) as opened,
    ):
        opened.write("tables/simulation_results.csv", b"new")
    assert content(folder) == before  # no partial file either


def test_a_file_in_the_way_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").write_text("mine", encoding="utf-8")
    assert main([*SMALL, str(tmp_path / "taken")]) == 2
    assert f"error: {tmp_path / 'taken'}: cannot write here" in capsys.readouterr().err
    assert (tmp_path / "taken").read_text(encoding="utf-8") == "mine"


def failing_at(call: int, error: BaseException) -> Callable[[int], None]:
    """Return what stands in for `os.fsync` and fails at one of its calls."""
    calls = itertools.count(1)

    def fsync(_descriptor: int) -> None:
        if next(calls) == call:
            raise error

    return fsync


@pytest.mark.parametrize("call", grid(range(1, 24), one_of=3))
def test_a_disk_that_fills_up_leaves_one_run_or_none(
    call: int, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    new = run_into(folder.with_name("new"), 2)
    old = content(folder)
    monkeypatch.setattr(os, "fsync", failing_at(call, OSError(28, "No space left on device")))
    assert main([*SMALL, str(folder), "--no-figures", "--seed", "2"]) == 2
    message = capsys.readouterr().err
    assert (
        "cannot write here (No space left on device); make room and rights, or name another place" in message
    )
    monkeypatch.undo()
    after = {name: data for name, data in content(folder).items() if not name.startswith(".")}
    assert "manifest.json" not in after or after in (old, new)
    assert run_into(folder, 2) == new


def run_into(folder: Path, seed: int) -> dict[str, bytes]:
    assert main([*SMALL, str(folder), "--no-figures", "--seed", str(seed)]) == 0
    return content(folder)


def test_an_interrupted_run_leaves_whole_files(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old = content(folder)
    monkeypatch.setattr(os, "fsync", failing_at(5, KeyboardInterrupt()))
    assert main([*SMALL, str(folder), "--no-figures", "--seed", "2"]) == 130
    assert capsys.readouterr().err == "interrupted\n"
    assert content(folder) == old
    assert not (folder / ".staging").exists()


def test_a_place_that_cannot_be_replaced_keeps_its_file(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = folder / "tables" / "simulation_results.csv"
    table.unlink()
    (table / "mine").mkdir(parents=True)
    assert main([*SMALL, str(folder), "--no-figures"]) == 2
    assert f"error: {table}: cannot write here (" in capsys.readouterr().err
    assert [path.name for path in table.parent.iterdir() if path.name.startswith(".")] == []


@needs.no_root
def test_a_folder_without_permission_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = content(folder)
    (folder / "tables").chmod(0o500)
    assert main([*SMALL, str(folder), "--no-figures", "--seed", "2"]) == 2
    assert "cannot write here (Permission denied)" in capsys.readouterr().err
    assert content(folder) == old


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_files_have_the_rights_that_the_user_gives(mask: int, mode: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        folder = RunFolder(tmp_path / "run")
        path = folder.write("tables/a.csv", b"1")
        folder.finish({})
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == mode


@pytest.mark.parametrize(("threads", "seed"), [("4", "2"), pytest.param("1", "1", marks=pytest.mark.full)])
def test_neither_threads_nor_hashes_change_a_byte(
    threads: str, seed: str, folder: Path, tmp_path: Path
) -> None:
    environment = {**os.environ, "POLARS_MAX_THREADS": threads, "PYTHONHASHSEED": seed}
    code = "import sys; from carbonroute.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, *SMALL, str(tmp_path / "other"), "--no-figures"]
    subprocess.run(command, env=environment, check=True)
    assert content(tmp_path / "other") == content(folder)


def test_a_table_that_is_none_is_refused_even_with_its_digest(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "data" / "policies.parquet").write_bytes(b"none")
    manifest = read_manifest(folder)
    manifest["outputs"]["data/policies.parquet"] = hashlib.sha256(b"none").hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert main(["figures", str(folder)]) == 2
    assert "policies.parquet: is not a Parquet file" in capsys.readouterr().err


def test_a_run_into_another_tool_s_folder_starts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "manifest.json").write_text('{"name": "an extension"}', encoding="utf-8")
    assert main([*SMALL, str(tmp_path)]) == 2
    message = f"error: {tmp_path / 'manifest.json'}: does not state 'outputs'; name another folder"
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]
