"""Whatever becomes of a file of a study's folder, its readers refuse it, or print what was there before."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from itertools import product
from pathlib import Path

import pytest

from carbonroute.cli import main
from helpers import studies
from helpers.damage import draw_nothing, made_study, refused

OTHER = studies.Made(
    'engine = "exact"\n[grid]\n"network.jitter_std_ms" = [3, 4]\n"workloads[short].slo_ms" = [61, 101]\n', 4
)
NAMES = ("study.json", "journal.jsonl", "manifest.json", "results.parquet")
#: What is done to a file, given the same file of another study.
DAMAGES: dict[str, Callable[[Path, Path], object]] = {
    "cut": lambda file, _: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
    "empty": lambda file, _: file.write_bytes(b""),
    "removed": lambda file, _: file.unlink(),
    "of another study": lambda file, other: file.write_bytes(other.read_bytes()),
    "deep": lambda file, _: file.write_bytes(b"[" * 100_000),
    "not UTF-8": lambda file, _: file.write_bytes(b"\xff\xfe" + file.read_bytes()),
    "a bit": lambda file, _: file.write_bytes(bytes([file.read_bytes()[0] ^ 1]) + file.read_bytes()[1:]),
    "twice": lambda file, _: file.write_bytes(file.read_bytes() * 2),
}
READERS = (["study", "status"], ["study", "show"], ["study", "show", "--csv"], ["report"])


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the folders of two studies, to be copied."""
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    made_study(one)
    assert main(["study", "run", str(OTHER.write(two)), "--output", str(two / "out"), "--quiet"]) == 0
    return one / "out", two / "out"


@pytest.fixture(scope="module")
def answers(places: tuple[Path, Path]) -> dict[str, str]:
    """Return what each command that reads a study prints of the whole one."""
    printed = {}
    for words in READERS[:-1]:
        with redirect_stdout(StringIO()) as out:
            assert main([*words[:2], str(places[0]), *words[2:]]) == 0
        printed[" ".join(words)] = out.getvalue()
    return printed


@pytest.mark.parametrize(("name", "damage"), list(product(NAMES, DAMAGES)))
def test_a_damaged_file_is_refused_or_changes_nothing(
    name: str,
    damage: str,
    places: tuple[Path, Path],
    answers: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    draw_nothing(monkeypatch)
    out = shutil.copytree(places[0], tmp_path / "out")
    DAMAGES[damage](out / name, places[1] / name)
    is_refused = []
    for words in READERS:
        code = main([*words[: 2 if words[0] == "study" else 1], str(out), *words[2:]])
        printed = capsys.readouterr()
        assert code in (0, 2), words
        if code == 2:
            is_refused.append(words)
            assert printed.err.startswith("error: ")
            assert printed.out == ""
        elif words[0] == "study":
            assert printed.out == answers[" ".join(words)] or name == "study.json", words
    # A status counts cells, and the other study has as many; a run refuses its journal and settings.
    assert is_refused or (name in NAMES[:2] and damage == "of another study")


@pytest.mark.parametrize("lines", [0, 1, 3])
def test_the_status_of_a_finished_study_that_lost_cells_is_refused(
    lines: int, places: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = shutil.copytree(places[0], tmp_path / "out")
    kept = (out / "journal.jsonl").read_bytes().splitlines(keepends=True)[:lines]
    (out / "journal.jsonl").write_bytes(b"".join(kept))
    remedy = f"lacks {4 - lines} cells of a finished study; `carbonroute study run` runs them again"
    refused(["study", "status", str(out)], capsys, remedy)
    file = places[0].parent / "study.toml"
    assert main(["study", "run", str(file), "--output", str(out), "--quiet"]) == 0
    assert main(["study", "status", str(out)]) == 0
    assert "finished. 4 of 4 cells" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *product(["manifest.json"], ["cut", "empty", "of another study", "deep", "not UTF-8", "a number"]),
        *product(["results.parquet"], ["cut", "empty", "removed", "of another study"]),
    ],
)
def test_the_status_of_a_finished_study_says_which_file_is_damaged(
    name: str, damage: str, places: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = shutil.copytree(places[0], tmp_path / "out")
    if damage == "a number":
        (out / name).write_text("7", encoding="utf-8")
    elif (name, damage) == ("manifest.json", "of another study"):
        (out / name).write_bytes((places[1] / name).read_bytes())
        name = "results.parquet"  # whose digest it states
    else:
        DAMAGES[damage](out / name, places[1] / name)
    refused(["study", "status", str(out)], capsys, name)


@pytest.mark.parametrize("name", NAMES[:2])
@pytest.mark.parametrize("damage", ["cut", "empty", "deep", "not UTF-8"])
@pytest.mark.parametrize("words", [["study", "show"], ["report"]])
def test_verified_results_are_shown_with_a_note_on_a_damaged_file(
    words: list[str],
    damage: str,
    name: str,
    places: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    draw_nothing(monkeypatch)
    out = shutil.copytree(places[0], tmp_path / "out")
    assert main([*words, str(out)]) == 0
    assert "note: the results are" not in capsys.readouterr().err
    DAMAGES[damage](out / name, places[1] / name)
    assert main([*words, str(out)]) == 0
    said = capsys.readouterr().err
    assert said.startswith("note: the results are those of the manifest, but ")
    assert name in said
