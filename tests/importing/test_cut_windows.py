"""A log that begins or ends within a window: it is said that the window counts as a whole one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from helpers import logs
from helpers.logs import imported

_NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def _notes(folder: Path, first_min: int, last_min: int, *, every_s: int = 60, **settings: int) -> list[str]:
    """Return the notes on the ends of a log with requests from one minute to another after noon."""
    seconds = range(60 * first_min, 60 * last_min, every_s)
    rows = [f"{(_NOON + timedelta(seconds=second)).isoformat()},eu,m,80" for second in seconds]
    path = logs.write(folder / "t.csv", ["time,region,model,latency_ms", *rows])
    return [note for note in imported(path, **settings).rates.notes if "of a whole one" in note]


@pytest.mark.parametrize(
    ("first_min", "last_min", "ends"),
    [(0, 120, ""), (3, 117, ""), (20, 120, "first"), (0, 100, "last"), (20, 100, "first last")],
)
def test_each_end_that_is_cut_is_said_and_no_other(
    tmp_path: Path, first_min: int, last_min: int, ends: str
) -> None:
    notes = _notes(tmp_path, first_min, last_min)
    assert [note.split()[4] for note in notes] == ends.split()


def test_few_requests_may_leave_the_ends_of_their_windows_empty(tmp_path: Path) -> None:
    assert _notes(tmp_path, 20, 100, every_s=600) == []


def test_what_is_named_leaves_the_window_out(tmp_path: Path) -> None:
    (note,) = _notes(tmp_path, 20, 120)
    assert note.endswith("--from leaves it out")
    since_us = int((_NOON + timedelta(hours=1)).timestamp() * 1_000_000)
    assert _notes(tmp_path, 20, 120, since_us=since_us) == []
