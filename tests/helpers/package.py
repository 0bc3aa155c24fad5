"""Copies of the package to change."""

from __future__ import annotations

import shutil
from pathlib import Path

import carbonroute

SOURCE = Path(carbonroute.__file__).parent


def copied(folder: Path, *, loops: bool = True) -> Path:
    """Copy the package into a folder, with its compiled modules, which need not be compiled again.

    `loops`: with numba's loops too. These do not see that a function which they call has changed.
    """
    being_written = ("*.pyc.*", "*.tmp.*")
    left_out = being_written if loops else (*being_written, "*.nb?")
    shutil.copytree(SOURCE, folder / "carbonroute", ignore=shutil.ignore_patterns(*left_out))
    return folder / "carbonroute"
