"""With --no-code nothing but carbonroute's own code runs; and what a folder of results holds never does."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

import carbonroute
from carbonroute import study
from carbonroute.cli import drawing, main
from carbonroute.errors import InputError
from carbonroute.report import write
from carbonroute.runs.store import RunFolder, read_manifest
from helpers import damage, small

#: Leaves a file behind where it is run.
OWN = """
from pathlib import Path

Path(__file__).with_name("it-ran").touch()


class Own:
    name = "Own"

    def cost(self, view):
        return view.rtt_ms
"""
USES = ("own.py:Own", "package_of_ours:Own", "ours")
COMMANDS = ("simulate", "validate", "inspect", "frontier", "sensitivity", "headroom")


def scenario(folder: Path, use: str, *changes: small.Change) -> Path:
    own = f'[[policies]]\nlabel = "Mine"\nuse = "{use}"\n[[policies]]'
    return small.write(folder, ("[[policies]]", own), *changes)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder in which a policy is a file, a module, and what an installed package brings."""
    for name in ("own", "package_of_ours"):
        (tmp_path / f"{name}.py").write_text(OWN, encoding="utf-8")
    metadata = tmp_path / "ours-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: ours\nVersion: 1.0\n", encoding="utf-8")
    points = "[carbonroute.policies]\nours = package_of_ours:Own\n"
    (metadata / "entry_points.txt").write_text(points, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "package_of_ours", raising=False)
    return tmp_path


def ran(folder: Path) -> bool:
    """Whether the policy's code has run."""
    return (folder / "it-ran").exists()


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_policy_from_outside_is_refused(
    command: str, use: str, place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    path = scenario(place, use)
    assert main([command, str(path), "--no-code"]) == 2
    said = capsys.readouterr().err
    assert f"policies[0].use: '{use}' (Mine) is code from outside carbonroute, and is not run; " in said
    assert not ran(place)
    assert not (place / "outputs").exists()


@pytest.mark.parametrize("use", USES)
def test_without_the_option_it_runs(use: str, place: Path) -> None:
    """What makes the test above able to fail."""
    assert main(["validate", str(scenario(place, use))]) == 0
    assert ran(place)


def test_all_other_faults_are_told_too(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = scenario(place, "own.py:Own", ("hours = 6", "hours = 0"), ("alpha = 0.5", "alhpa = 0.5"))
    assert main(["validate", str(path), "--no-code"]) == 2
    said = capsys.readouterr().err
    for found in ("policies[0].use: 'own.py:Own'", "horizon.hours: found 0", "did you mean 'alpha'?"):
        assert found in said


def test_built_in_policies_are_none_of_it(tmp_path: Path) -> None:
    path = small.write(tmp_path, ('"latency-first"', '"nearest-greenest:2"'))
    assert main(["validate", str(path), "--no-code"]) == 0


def test_an_unknown_name_is_unknown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = small.write(tmp_path, ('"latency-first"', '"latency-frist"'))
    assert main(["validate", str(path), "--no-code"]) == 2
    assert "did you mean 'latency-first'?" in capsys.readouterr().err


@pytest.mark.parametrize("where", ["scenario", "changes", "grid"])
def test_a_study_is_refused_before_anything_of_it_runs(
    where: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small.write(place) if where != "scenario" else scenario(place, "own.py:Own")
    lines = {"scenario": "", "changes": "[changes]\n'policies[0].use' = 'own.py:Own'\n"}
    lines["grid"] = "[grid]\n'policies[0].use' = ['latency-first', 'own.py:Own']\n"
    file = place / "study.toml"
    file.write_text(f'schema = 1\nname = "s"\nscenario = "small.toml"\n{lines[where]}', encoding="utf-8")
    out = place / "out"
    assert main(["study", "run", str(file), "--output", str(out), "--workers", "1", "--no-code"]) == 2
    assert "policies[0].use: 'own.py:Own'" in capsys.readouterr().err
    assert not ran(place)
    assert not out.exists()
    with pytest.raises(InputError, match=r"own\.py:Own"):
        study.run(file, out, workers=1, code=False)


def test_from_python(place: Path) -> None:
    with pytest.raises(InputError, match=r"'ours' \(Mine\) is code from outside"):
        carbonroute.load(scenario(place, "ours"), code=False)
    assert not ran(place)


@pytest.mark.usefixtures("few_drawn")
def test_a_folder_of_results_runs_nothing(
    tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run's folder from elsewhere, whose scenario names code that lies in it."""
    folder = tmp_path / "from-elsewhere"
    shutil.copytree(finished, folder)
    for name in ("own.py", "sitecustomize.py", "numpy.py", "conftest.py"):
        (folder / name).write_text(OWN, encoding="utf-8")
    manifest = read_manifest(folder)
    policies = [{"use": "own.py:Own"}, {"use": "own:Own"}]
    evil = {**manifest, "scenario": {**manifest["scenario"], "policies": policies}}
    RunFolder.reopen(folder, "figures").finish(evil)
    assert main(["report", str(folder), "--no-code"]) == 0
    damage.draw_nothing(monkeypatch)
    monkeypatch.setattr(drawing, "_saved", lambda *_: b"")
    assert main(["figures", str(folder), "--quiet", "--no-code"]) == 0
    assert main(["report", str(folder), "--output", str(tmp_path / "page.html")]) == 0
    carbonroute.read_tables(folder)
    assert not ran(folder)


def test_a_folder_of_a_study_runs_nothing(tmp_path: Path) -> None:
    small.write(tmp_path)
    file = tmp_path / "study.toml"
    file.write_text('schema = 1\nname = "s"\nscenario = "small.toml"\n', encoding="utf-8")
    folder = tmp_path / "out"
    study.run(file, folder, workers=1)
    (folder / "own.py").write_text(OWN, encoding="utf-8")
    settings = json.loads((folder / "study.json").read_text(encoding="utf-8"))
    settings["first_scenario"]["policies"] = [{"use": "own.py:Own"}]
    (folder / "study.json").write_text(json.dumps(settings), encoding="utf-8")
    for command in (["study", "status"], ["study", "show"]):
        assert main([*command, str(folder)]) == 0
    write(folder)
    assert not ran(folder)
