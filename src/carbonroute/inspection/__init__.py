"""Inspection of data before it is used: the format of a file, a description of its content, and its faults.

A file is not refused for its faults, as long as its rows can be read: they are counted and reported.
"""

from __future__ import annotations

from pathlib import Path

from carbonroute.inspection.recognise import recognised
from carbonroute.inspection.result import KINDS, Inspection, Kind

__all__ = ["KINDS", "Inspection", "Kind", "inspect_file"]


def inspect_file(path: Path, kind: Kind | None = None) -> Inspection:
    """Describe a file of carbon intensities, requests, request rates or round-trip times.

    `kind`: its kind; recognised if not given.
    Raises InputError if it cannot be read, or is not recognised.
    """
    return recognised(path, str(path), kind).inspection()
