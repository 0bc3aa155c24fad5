"""Progress of a study, read from its folder by any process at any time."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from carbonroute.errors import RunFolderError
from carbonroute.files.folder import is_held, reading, stands
from carbonroute.runs.folder import require_unchanged
from carbonroute.runs.manifest import MANIFEST, SETTINGS, read_manifest
from carbonroute.study.finished import StudyManifest
from carbonroute.study.folder import read_settings
from carbonroute.study.journal import FAILED, NAME, Record, records
from carbonroute.units import in_clock

#: Number of latest cells that the rate is estimated from.
LATEST = 200


@dataclass(frozen=True)
class Progress:
    """Progress of a running study.

    `done`: cells that have ended, in earlier runs too, failed ones included.
    `cells_per_s`: rate of the latest cells; None before there are two.
    """

    done: int
    failed: int
    total: int
    cells_per_s: float | None


@dataclass(frozen=True)
class Status:
    """Status of a study, running or not.

    Attributes
    ----------
    total, done, failed
        Cells: all; those that have ended, failed ones included; those that failed.
    running
        Whether a process is running it.
    cells_per_s
        Rate of the latest cells, while one is; else null.
    remaining_s
        Time left at that rate; else null.
    """

    name: str
    total: int
    done: int
    failed: int
    running: bool
    cells_per_s: float | None
    remaining_s: float | None
    errors: dict[int, str]

    def __str__(self) -> str:
        parts = [f"{self.done:,} of {self.total:,} cells"]
        if self.cells_per_s is not None:
            parts.append(f"{self.cells_per_s:.3g} cells/s")
        if self.remaining_s is not None:
            parts.append(f"ETA {in_clock(self.remaining_s)}")
        if self.failed:
            parts.append(f"{self.failed:,} failed")
        return ", ".join(parts)


def status(folder: str | Path) -> Status:
    """Return the status of the study in a folder, finished or not.

    Raises RunFolderError if there is no study in it, or its journal is damaged: a finished study has all of
    its cells; or the manifest or a file of a finished study is damaged.
    """
    place = Path(folder)
    settings = read_settings(place)
    total = math.prod(map(len, settings.axes.values()))
    ended: dict[int, str] = {}
    moments: deque[float] = deque(maxlen=LATEST)
    for record in records(place, partial(_unknown, total)):
        ended[record.cell] = record.error if record.status == FAILED else ""
        moments.append(record.at)
    running = is_held(place)
    if not running:
        _require_whole(place, total - len(ended))
    cells_per_s = rate(moments) if running else None
    return Status(
        name=settings.name,
        total=total,
        done=len(ended),
        failed=sum(map(bool, ended.values())),
        running=running,
        cells_per_s=cells_per_s,
        remaining_s=(total - len(ended)) / cells_per_s if cells_per_s else None,
        errors={cell: error for cell, error in sorted(ended.items()) if error},
    )


def damage_of(folder: str | Path) -> str | None:
    """Return the damage to the settings or the journal of a study, which its results do not need; else None.

    Where neither is there, as in a copy of the results alone, nothing is damaged.
    """
    place = Path(folder)
    try:
        with reading(place):
            if not stands(place, SETTINGS):
                return None
        status(place)
    except RunFolderError as error:
        return str(error)
    return None


def _require_whole(folder: Path, lost: int) -> None:
    """Refuse a finished study that lacks cells, which were run, or whose results do not fit its manifest."""
    with reading(folder):
        is_finished = stands(folder, MANIFEST)
    if not is_finished:
        return
    if lost:
        remedy = "`carbonroute study run` runs them again"
        raise RunFolderError(f"{folder / NAME}: lacks {lost:,} cells of a finished study; {remedy}")
    require_unchanged(folder, read_manifest(folder, StudyManifest)["outputs"])


def _unknown(total: int, record: Record) -> Iterator[str]:
    if record.cell >= total:
        yield "is of a cell that this study does not have"


def rate(moments: Sequence[float]) -> float | None:
    """Return the rate of events, 1/s, by the times of the latest ones; None for fewer than two."""
    took_s = moments[-1] - moments[0] if len(moments) > 1 else 0.0
    return (len(moments) - 1) / took_s if took_s > 0 else None
