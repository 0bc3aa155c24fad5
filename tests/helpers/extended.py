"""A copy of the package with one member more: one file, and one line in its family's register."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from helpers.package import copied


def extended(folder: Path, file: str, text: str, *, line: str, after: str) -> Path:
    """Copy the package into a folder, add a file, and a line to its family's `__init__`."""
    member = copied(folder) / file
    member.write_text(text, encoding="utf-8")
    family = member.parent / "__init__.py"
    register = family.read_text(encoding="utf-8")
    assert register.count(after) == 1
    family.write_text(register.replace(after, after + line), encoding="utf-8")
    return folder


def run(package: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder, with the package in another."""
    environment = os.environ | {"PYTHONPATH": str(package)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
