"""The wheel holds all that the installed command needs, and the lock files all that the project asks for."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import distribution, version
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = [line for lines in PROJECT["project"]["optional-dependencies"].values() for line in lines]


def pins(lock: str) -> list[Requirement]:
    """Return what a lock file pins, for every Python and platform."""
    lines = (ROOT / "requirements" / f"{lock}.txt").read_text(encoding="utf-8").splitlines()
    return [Requirement(line.rstrip("\\")) for line in lines if line[:1] not in {" ", "#", ""}]


def here(lock: str) -> dict[str, str]:
    """Return the versions that a lock file pins for this Python and platform, by name."""
    chosen = [pin for pin in pins(lock) if pin.marker is None or pin.marker.evaluate()]
    return {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in chosen}


def wanted(lock: str) -> list[Requirement]:
    """Return the requirements in pyproject.toml that a lock file is made from."""
    groups, lines = PROJECT["dependency-groups"], list(PROJECT["project"]["dependencies"])
    lines += groups["build"]
    if lock == "dev":
        lines += EXTRAS
        lines += [line for line in groups["dev"] if isinstance(line, str)]
    return [Requirement(line) for line in lines]


def test_the_wheel_is_complete(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*command, "--no-build-isolation", "--wheel-dir", str(tmp_path), str(ROOT)], check=True)
    (wheel,) = tmp_path.glob("carbonroute-0.1.0-*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in (ROOT / "src").rglob("*"):
        if path.suffix in {".py", ".toml", ".typed", ".j2", ".css", ".js"}:
            assert path.relative_to(ROOT / "src").as_posix() in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


@pytest.mark.parametrize("lock", ["run", "dev"])
def test_a_lock_holds_all_that_is_asked_for(lock: str) -> None:
    # Nothing is resolved when it is installed: what any of its packages asks for must be in it.
    locked = here(lock)
    assert {name: version(name) for name in locked} == locked
    asked, seen = wanted(lock), set[str]()
    while asked:
        requirement = asked.pop()
        name = canonicalize_name(requirement.name)
        assert requirement.specifier.contains(locked[name], prereleases=True), requirement
        if str(requirement) not in seen:
            seen.add(str(requirement))
            extras = requirement.extras or {""}
            further = [Requirement(line) for line in distribution(name).requires or ()]
            asked += [
                needed
                for needed in further
                if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras)
            ]
    assert {canonicalize_name(Requirement(line).name) for line in seen} == locked.keys()


def test_nothing_is_locked_in_two_ways() -> None:
    assert {str(pin) for pin in pins("run")} < {str(pin) for pin in pins("dev")}
    names = {pin.name for pin in pins("run")}
    assert {pin for pin in pins("dev") if pin.name in names} == set(pins("run"))


@pytest.mark.parametrize("lock", ["run", "dev", "docs"])
def test_a_lock_pins_by_hashes_and_names_no_place(lock: str) -> None:
    text = (ROOT / "requirements" / f"{lock}.txt").read_text(encoding="utf-8")
    for entry in re.split(r"\n(?=\S)", re.sub(r" *#.*\n", "", text).strip()):
        assert re.fullmatch(
            r"[\w.-]+==[\w.]+( ; [^\\\n]+)? \\\n(    --hash=sha256:\w{64}( \\\n|$))+", entry
        ), entry
    assert "://" not in text


def test_every_requirement_is_bounded_on_both_sides() -> None:
    for line in [*PROJECT["project"]["dependencies"], *EXTRAS]:
        assert {part.operator for part in Requirement(line).specifier} == {">=", "<"}, line
