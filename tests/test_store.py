"""The run folder: whole files, true digests, nothing left over, and nothing of anybody else's touched."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from carbonroute.cli import main
from carbonroute.errors import RunFolderError
from carbonroute.store import RunFolder, read_manifest, read_tables
from carbonroute.study import run

SMALL = ["simulate", "published", "--quiet", "--sim-hours", "3", "--output"]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    assert main([*SMALL, str(tmp_path / "run"), "--no-figures"]) == 0
    return tmp_path / "run"


def test_the_manifest_lists_every_file_with_its_digest(folder: Path) -> None:
    files = contents(folder)
    manifest = json.loads(files.pop("manifest.json"))
    assert manifest["outputs"] == {
        name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())
    }
    assert {
        "tables/simulation_results.csv",
        "tables/per_workload_results.csv",
        "data/carbon_intensity_traces.csv",
        "data/latency_matrix.csv",
    } <= files.keys()
    assert manifest["seed"] == 42
    assert manifest["scenario"]["horizon"] == {"hours": 3}
    assert manifest["clairvoyant"] == ["Constrained Hybrid"]
    assert set(manifest["versions"]) == {"python", "matplotlib", "numpy", "polars", "pydantic"}


def test_the_manifest_s_scenario_runs_again(folder: Path) -> None:
    from carbonroute.scenario import Scenario

    document = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["scenario"]
    again = run(Scenario.model_validate(document))
    assert again.tables.policies.equals(read_tables(folder).policies)


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for place in (first, second):
        assert main([*SMALL, str(place), "--format", "svg", "--format", "pdf"]) == 0
    assert contents(first) == contents(second)
    assert len(contents(first)) == 12 + 3 * 11


def test_tables_come_back_as_they_were(folder: Path) -> None:
    tables, result = read_tables(folder), run("published", {"horizon.hours": 3})
    for name, table in vars(result.tables).items():
        assert getattr(tables, name).equals(table), name


def test_what_an_earlier_run_left_over_is_removed_and_nothing_else(folder: Path) -> None:
    assert main([*SMALL, str(folder)]) == 0
    assert (folder / "graphs" / "tradeoff_curve.png").is_file()
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    assert main([*SMALL, str(folder), "--no-figures"]) == 0
    assert not (folder / "graphs" / "tradeoff_curve.png").exists()
    assert (folder / "notes.txt").read_text(encoding="utf-8") == "mine"


def test_figures_are_drawn_again_from_the_folder_alone(folder: Path) -> None:
    before = contents(folder)
    assert main(["figures", str(folder), "--quiet", "--format", "svg"]) == 0
    after = contents(folder)
    assert {name for name in after if name.endswith(".png")} == {
        name.replace(".svg", ".png") for name in after if name.endswith(".svg")
    }
    assert len(after) == len(before) + 22
    assert {name for name in before if before[name] != after[name]} == {"manifest.json"}
    assert set(read_manifest(folder)["outputs"]) == after.keys() - {"manifest.json"}


def test_a_changed_table_is_not_drawn(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = folder / "data" / "policies.parquet"
    table.write_bytes(table.read_bytes() + b" ")
    assert main(["figures", str(folder)]) == 2
    assert "policies.parquet: is not what the manifest says" in capsys.readouterr().err
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
    before = contents(folder)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunFolderError, match=r"simulation_results.csv: cannot write here \(No space left"):
        RunFolder(folder).write("tables/simulation_results.csv", b"new")
    assert contents(folder) == before  # no partial file either


def test_a_file_in_the_way_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").write_text("mine", encoding="utf-8")
    assert main([*SMALL, str(tmp_path / "taken")]) == 2
    assert f"error: {tmp_path / 'taken'}: cannot write here" in capsys.readouterr().err
    assert (tmp_path / "taken").read_text(encoding="utf-8") == "mine"


def test_partial_files_of_a_killed_run_are_cleared_away_later(folder: Path) -> None:
    old, young = folder / ".a.csv.0.partial", folder / ".b.csv.0.partial"
    for partial in (old, young):
        partial.write_bytes(b"half")
    os.utime(old, (0, 0))
    assert main([*SMALL, str(folder), "--no-figures"]) == 0
    assert not old.exists()
    assert young.exists()  # its run may still be writing
