"""Files and folders given to a command that takes others: the one that takes them is named, and works."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from carbonroute.cli import main
from helpers import small

STUDY = 'schema = 1\nname = "s"\nscenario = "small.toml"\nengine = "exact"\n[grid]\nsampling.seed = [1]\n'


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with one of each."""
    place = tmp_path_factory.mktemp("kinds")
    small.write(place, ("hours = 6", "hours = 2"))
    (place / "study.toml").write_text(STUDY, encoding="utf-8")
    (place / "a.csv").write_text(small.WIDE_CSV, encoding="utf-8")
    (place / "other").mkdir()
    run = ["simulate", str(place / "small.toml"), "--output", str(place / "run"), "--engine", "queued"]
    assert main([*run, "--no-figures", "--quiet", "--journal", str(place / "journal")]) == 0
    assert main(["study", "run", str(place / "study.toml"), "--output", str(place / "st"), "--quiet"]) == 0
    return place


#: Commands, the file or folder that they were given, and the command that takes it.
MISTAKEN = {
    "simulate study.toml": "carbonroute study run study.toml",
    "frontier study.toml": "carbonroute study run study.toml",
    "study run small.toml": "carbonroute simulate small.toml",
    "study run published": "carbonroute simulate published",
    "simulate run": "carbonroute report run",
    "study run run": "carbonroute report run",
    "simulate st": "carbonroute study show st",
    "figures st": "carbonroute study show st",
    "study show run": "carbonroute report run",
    "study status run": "carbonroute report run",
    "simulate a.csv": "carbonroute inspect a.csv",
    "study run a.csv": "carbonroute inspect a.csv",
    "report a.csv": "carbonroute inspect a.csv",
    "report small.toml": "carbonroute simulate small.toml",
    "report study.toml": "carbonroute study run study.toml",
    "study status small.toml": "carbonroute simulate small.toml",
    "report journal": "carbonroute replay journal",
}


@pytest.mark.usefixtures("few_drawn")
@pytest.mark.parametrize("words", MISTAKEN)
def test_the_command_that_takes_it_is_named_and_works(
    words: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    assert main(words.split()) == 2
    message = capsys.readouterr().err
    named = re.search("`(.*)`", message)
    assert named, message
    assert named[1] == MISTAKEN[words]
    if "study run" not in named[1] and "simulate" not in named[1]:  # these write below the working folder
        assert main(shlex.split(named[1])[1:]) == 0


@pytest.mark.parametrize(
    "words", ["report other", "report .", "simulate other", "replay run", "report run/manifest.json"]
)
def test_other_folders_are_refused_with_a_remedy(
    words: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    assert main(words.split()) == 2
    assert re.fullmatch("error: .+: .+; .*name (a|the) f.+\n", capsys.readouterr().err)
