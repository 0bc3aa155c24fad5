"""Pages of the documentation: their blocks, and the commands in them, carried out as a reader would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

#: What simulates the horizon of a scenario: a week, or a year.
SIMULATING = re.compile(r"^(scripts/simulate|carbonroute (simulate|frontier|sensitivity|headroom|whatif))\b")
_BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    """Return the blocks of code in a language, in their order."""
    return [text for one, _, text in _BLOCK.findall(page.read_text(encoding="utf-8")) if one == language]


def files(page: Path) -> dict[str, str]:
    """Return the files that a page has its reader save, by name: the blocks with a title."""
    return {name: text for _, name, text in _BLOCK.findall(page.read_text(encoding="utf-8")) if name}


def commands(page: Path) -> list[str]:
    """Return the commands of a page, in their order; those that run the tests are left out."""
    lines = [line for block in blocks(page, "console") for line in block.splitlines()]
    return [line for line in lines if line != "scripts/test"]


def reads_data(command: str) -> bool:
    """Whether a command runs an example that reads files which are not part of this repository."""
    return "examples/" in command and not re.search(r"limits\.toml|access\.log", command)


def carry_out(commands: list[str], folder: Path) -> None:
    """Run commands in a folder, which has the examples, and fail with the first that fails."""
    (folder / "examples").symlink_to(ROOT / "examples")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    imported = {  # scenarios as long as their logs
        re.findall(r"--output (\S+)", command)[0]
        for command in commands
        if command.startswith("carbonroute import")
    }
    for command in commands:
        arguments = [re.sub("^scripts/", f"{ROOT}/scripts/", word) for word in command.split()]
        is_short = "--sim-hours" in arguments or not imported.isdisjoint(arguments)
        if SIMULATING.search(command) and not is_short:  # two days or hours will do
            arguments += ["--sim-hours", "2" if "capacity" in command else "48"]
        done = subprocess.run(
            arguments, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
