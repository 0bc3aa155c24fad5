"""`scripts/install` installs what a lock file says, with any pip, from an index that also holds newer ones.

Index and project are made up: no network is needed. The pips are the one beside these tests, the one that is
part of Python, and those in the folder CARBONROUTE_PIPS: `scripts/versions` gets the oldest and the newest.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pip
import pytest
from packaging.version import Version

ROOT = Path(__file__).parents[1]

#: A Python whose virtual environments have the pip of a given folder.
PYTHON = """#!/usr/bin/env bash
set -euo pipefail
if [ "$1" = -m ]; then
    "{python}" -m venv --without-pip "${{@:3}}"
    for place in "${{@: -1}}"/lib/python*/site-packages; do echo "{pip}" >"$place/pip.pth"; done
else
    exec "{python}" "$@"
fi
"""

#: Does nothing but tell what it was asked for; fails where a lock file is the one that FAIL names.
NO_PIP = """
import os, sys, sysconfig
from pathlib import Path

if "--editable" in sys.argv:
    Path(sysconfig.get_path("purelib"), "carbonroute.pth").write_text(str(Path("src").resolve()))
else:
    print(sys.argv[-1])
    sys.exit(sys.argv[-1] == os.environ.get("FAIL"))
"""

#: Builds the project as hatchling does for an editable install: a wheel with the path of its sources.
BACKEND = """
import zipfile
from pathlib import Path

FILES = {
    "carbonroute.pth": str(Path("src").resolve()),
    "carbonroute-1.0.dist-info/METADATA": "Metadata-Version: 2.1\\nName: carbonroute\\nVersion: 1.0\\n",
    "carbonroute-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    "carbonroute-1.0.dist-info/RECORD": "",
}


def build_editable(folder, settings=None, metadata=None):
    name = "carbonroute-1.0-py3-none-any.whl"
    with zipfile.ZipFile(Path(folder, name), "w") as wheel:
        for file, text in FILES.items():
            wheel.writestr(file, text)
    return name
"""


def wheels() -> dict[str, Path]:
    """Return the wheels of pip that are at hand: that of Python itself, and others by their version."""
    bundle = sysconfig.get_config_var("WHEEL_PKG_DIR") or f"{sysconfig.get_path('stdlib')}/ensurepip/_bundled"
    (own,) = Path(bundle).glob("pip-*.whl")
    others = Path(os.environ.get("CARBONROUTE_PIPS", "nowhere")).glob("pip-*.whl")
    return {"Python's own": own, **{path.name.split("-")[1]: path for path in others}}


@pytest.fixture(scope="module", params=["installed", "Python's own", "22.3", "newest"])
def some_pip(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that holds a pip, as site-packages would."""
    folder, name, known = tmp_path_factory.mktemp("pip"), str(request.param), wheels()
    if name == "installed":
        (place,) = pip.__path__
        shutil.copytree(place, folder / "pip")
        return folder
    if name == "22.3" and sys.version_info >= (3, 12):
        pytest.skip("needs Python 3.11: pip 22.3 runs on no later one")
    if name == "newest":
        name = max(known.keys() - {"Python's own"}, key=Version, default=name)
    if name not in known:
        pytest.skip("needs wheels of pip, in the folder that CARBONROUTE_PIPS names")
    zipfile.ZipFile(known[name]).extractall(folder)
    return folder


@pytest.fixture
def no_pip(tmp_path: Path) -> Path:
    """Return a folder that holds a pip that installs nothing."""
    (tmp_path / "no pip" / "pip").mkdir(parents=True)
    (tmp_path / "no pip" / "pip" / "__main__.py").write_text(NO_PIP, encoding="utf-8")
    return tmp_path / "no pip"


@dataclass(frozen=True)
class Project:
    """A made-up project around `scripts/install`, with an index of packages and a Python of its own."""

    folder: Path
    index: Path
    python: Path

    def release(self, name: str, version: str, *metadata: str) -> str:
        """Put a release of a package into the index; return what a lock file says of it."""
        info = f"{name}-{version}.dist-info"
        files = {
            f"{name}.py": f'VERSION = "{version}"\n',
            f"{info}/METADATA": "\n".join(
                ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *metadata, ""]
            ),
            f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        path = self.index / f"{name}-{version}-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as wheel:
            lines = []
            for file, text in files.items():
                wheel.writestr(file, text)
                digest = (
                    base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
                )
                lines.append(f"{file},sha256={digest},{len(text)}")
            wheel.writestr(f"{info}/RECORD", "\n".join([*lines, f"{info}/RECORD,,", ""]))
        return f"{name}=={version} \\\n    --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"

    def lock(self, name: str, *lines: str) -> None:
        (self.folder / "requirements").mkdir(exist_ok=True)
        (self.folder / "requirements" / f"{name}.txt").write_text("".join(lines), encoding="utf-8")

    def install(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the script in an environment that knows nothing but the index."""
        known = {"PATH": os.environ["PATH"], "HOME": str(self.folder.parent), "PYTHON": str(self.python)}
        known |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.index), "PIP_CONFIG_FILE": os.devnull}
        return subprocess.run(
            [str(self.folder / "scripts" / "install"), *arguments],
            env=known | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def installed(self) -> dict[str, str]:
        """Return the versions of what is installed, pip left out."""
        script = "import json; from importlib.metadata import distributions as all\n"
        script += "print(json.dumps({found.metadata['Name']: found.version for found in all()}))"
        command = [str(self.folder / ".venv" / "bin" / "python"), "-c", script]
        versions: dict[str, str] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        return {name: version for name, version in versions.items() if name != "pip"}


def made(folder: Path, pip: Path) -> Project:
    """Return a project in a folder with a space in its name, with lock files and releases for them."""
    made = Project(folder / "a project", folder / "index", folder / "python")
    for place in (made.folder / "scripts", made.folder / "src" / "carbonroute", made.index):
        place.mkdir(parents=True)
    made.python.write_text(PYTHON.format(python=sys.executable, pip=pip), encoding="utf-8")
    made.python.chmod(0o755)
    shutil.copy(ROOT / "scripts" / "install", made.folder / "scripts")
    (made.folder / "backend.py").write_text(BACKEND, encoding="utf-8")
    (made.folder / "src" / "carbonroute" / "__init__.py").touch()
    (made.folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "carbonroute"\nversion = "1.0"\n',
        encoding="utf-8",
    )
    # As pytest-cov asks for coverage[toml]: an extra of a pinned package, and newer releases of either. What
    # `nowhere` is, no index knows: who asked for it would fail.
    measuring = made.release(
        "measuring", "1.0", "Requires-Dist: covering[toml]>=1.0", "Requires-Dist: nowhere"
    )
    covering = made.release(
        "covering", "1.0", "Provides-Extra: toml", 'Requires-Dist: tables; extra == "toml"'
    )
    helping = made.release("helping", "1.0", "Requires-Dist: covering>=1.0")
    for name in ("measuring", "covering", "helping", "tables"):
        made.release(name, "2.0", "Provides-Extra: toml")
    made.lock("run", measuring, covering)
    made.lock("dev", measuring, covering, helping)
    return made


def test_what_is_locked_is_installed_and_nothing_else(some_pip: Path, tmp_path: Path) -> None:
    project = made(tmp_path, some_pip)
    run = {"carbonroute": "1.0", "measuring": "1.0", "covering": "1.0"}
    done = project.install()
    assert (done.returncode, project.installed()) == (0, run), done.stderr
    done = project.install("dev")
    assert (done.returncode, project.installed()) == (0, {**run, "helping": "1.0"}), done.stderr

    project.release("covering", "1.0", "Summary: not what it was")
    (project.folder / ".venv" / "installed-from").write_text("run from something else", encoding="utf-8")
    done = project.install()
    assert done.returncode != 0
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in done.stderr


RUN, DEV = "requirements/run.txt\n", "requirements/dev.txt\n"


def test_nothing_is_asked_for_twice(no_pip: Path, tmp_path: Path) -> None:
    project = made(tmp_path, no_pip)
    asked = [project.install(*words).stdout for words in ([], [], ["run"], ["dev"], ["dev"], [])]
    assert asked == [RUN, "", "", DEV, "", ""]
    assert made(tmp_path / "tests first", no_pip).install("dev").stdout == RUN + DEV


def test_an_install_that_failed_is_done_anew(no_pip: Path, tmp_path: Path) -> None:
    project = made(tmp_path, no_pip)
    for _ in range(2):
        done = project.install(FAIL=RUN.strip())
        assert (done.returncode != 0, done.stdout) == (True, RUN)
    assert project.install().stdout == RUN
    # What is there stays of use where the tests' packages cannot be had.
    assert project.install("dev", FAIL=DEV.strip()).returncode != 0
    done = project.install()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert project.install("dev").stdout == DEV


def test_what_was_made_from_something_else_is_set_up_anew(no_pip: Path, tmp_path: Path) -> None:
    project = made(tmp_path, no_pip)
    assert project.install("dev").stdout == RUN + DEV
    left = project.folder / ".venv" / "left"
    left.touch()
    project.lock("run", "covering==1.1\n")
    assert project.install().stdout == RUN
    assert not left.exists()

    moved = Project(tmp_path / "moved", project.index, project.python)
    project.folder.rename(moved.folder)
    assert moved.install().stdout == RUN
    (path,) = (moved.folder / ".venv" / "lib").glob("python*/site-packages/carbonroute.pth")
    assert path.read_text(encoding="utf-8") == str(moved.folder / "src")

    gone = moved.folder / ".venv" / "bin" / "python"
    gone.unlink()
    gone.symlink_to(tmp_path / "removed")
    assert moved.install().stdout == RUN
    other = without(tmp_path / "other", "import sys; print(sys.version)", "echo another one", project.python)
    assert moved.install(PYTHON=str(other)).stdout == RUN


def test_a_venv_that_was_cut_short_is_made_anew(no_pip: Path, tmp_path: Path) -> None:
    project = made(tmp_path, no_pip)
    cut = without(tmp_path / "cut", "venv", "mkdir .venv/bin; false", project.python)
    assert project.install(PYTHON=str(cut)).returncode != 0
    assert (project.folder / ".venv" / "bin").is_dir()
    assert project.install().stdout == RUN


def test_a_link_is_not_followed(no_pip: Path, tmp_path: Path) -> None:
    project = made(tmp_path, no_pip)
    assert project.install("dev").stdout == RUN + DEV
    other = made(tmp_path / "other", no_pip)
    (other.folder / ".venv").symlink_to(project.folder / ".venv")
    before = sorted(project.folder.rglob("*"))
    done = other.install()
    assert (done.returncode, done.stdout) == (2, "")
    assert ".venv is a link" in done.stderr
    assert sorted(project.folder.rglob("*")) == before
    assert project.install("dev").stdout == ""


def test_a_venv_of_somebody_is_used_and_kept(no_pip: Path, tmp_path: Path) -> None:
    project = made(tmp_path, no_pip)
    place = project.folder / ".venv"
    place.mkdir()
    (place / "mine").touch()
    done = project.install()
    assert (done.returncode, done.stdout) == (2, "")
    assert "Move it away" in done.stderr
    subprocess.run([project.python, "-m", "venv", place], check=True)
    assert project.install().stdout == RUN
    assert (place / "mine").exists()


def without(path: Path, asked: str, answer: str, python: Path) -> Path:
    """Write a Python that answers something of its own when it is asked a certain thing."""
    script = f'#!/bin/sh\n[ "$2" != "{asked}" ] || {{ {answer}; exit; }}\nexec "{python}" "$@"\n'
    path.write_text(script, encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("lacking", "words"),
    [
        ("import sys; sys.exit(sys.version_info < (3, 11))", "needs Python 3.11 or later; found: Python 3."),
        ("import ensurepip, venv", f"sudo apt-get install python3.{sys.version_info.minor}-venv"),
    ],
)
def test_what_python_lacks_is_told(lacking: str, words: str, no_pip: Path, tmp_path: Path) -> None:
    project = made(tmp_path, no_pip)
    poor = without(tmp_path / "poor", lacking, "false", project.python)
    done = project.install(PYTHON=str(poor))
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert not (project.folder / ".venv").exists()


def test_no_python_and_no_such_lock_are_told(no_pip: Path, tmp_path: Path) -> None:
    project = made(tmp_path, no_pip)
    done = project.install(PYTHON="no-such-python")
    assert (done.returncode, done.stdout) == (2, "")
    assert "carbonroute needs Python 3.11 or later; found: none.\n" in done.stderr
    done = project.install("tests")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("scripts/install [run|dev]\n")
