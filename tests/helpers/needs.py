"""Marks of tests that need something that is not everywhere; each reason begins with "needs"."""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DATA = "needs data files that are not part of this repository"

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux: peak memory is read from /proc")
full = pytest.mark.skip(reason="needs scripts/test --full")
no_root = pytest.mark.skipif(os.geteuid() == 0, reason="needs a user other than root")


def path_of(name: str) -> str | None:
    """Return the path of a program that scripts/live-tools installs, or None."""
    ours = ROOT / ".tools" / name / "bin" / name
    return str(ours) if ours.exists() else shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/bin")


def data(*paths: Path) -> pytest.MarkDecorator:
    """Return the mark of a test that reads files or folders of real data."""
    return pytest.mark.skipif(not all(path.exists() for path in paths), reason=DATA)


def program(name: str) -> pytest.MarkDecorator:
    """Return the mark of a test that runs a program of the live stack."""
    return pytest.mark.skipif(
        path_of(name) is None, reason=f"needs {name}, which scripts/live-tools installs"
    )


def said_of(reasons: Sequence[str]) -> str:
    """Return a line that counts the reasons of skipped tests, the most frequent first."""
    parts = []
    counts = Counter(reason.removeprefix("Skipped: ") for reason in reasons)
    for reason, count in sorted(counts.items(), key=lambda one: (-one[1], one[0])):
        need = reason.removeprefix("needs ")
        parts.append(f"{count}: {reason}" if need == reason else f"{count} need{'s' * (count == 1)} {need}")
    return f"{len(reasons)} skipped: {', '.join(parts)}"
