"""A log larger than memory streams: what is held does not grow with the file."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from helpers import needs
from helpers.grids import runs

#: Reads all of a log, and prints its requests and the peak memory before and after, KiB.
READ = """
import re, sys
from datetime import UTC, datetime
from pathlib import Path
import numpy as np
from carbonroute.traffic import Demand
from carbonroute.traffic.replay import Replay
from carbonroute.traffic.log import Log

log = Log(path=sys.argv[1], time_column="time", workload_column="workload", prompt_tokens_column="prompt",
          answer_tokens_column="answer")
demand = Demand(1_000_000, datetime(2021, 1, 1, tzinfo=UTC), ("o",), ("chat", "code"), np.ones(1),
                np.array([0.5, 0.5]), np.zeros(1), 1, Path())
def peak():  # of this program alone, unlike ru_maxrss
    return re.search("VmHWM:\\s*([0-9]+) kB", Path("/proc/self/status").read_text())[1]

before = peak()
arrivals = Replay(kind="replay", logs=(log,)).arrivals(demand)
count = sum(len(block) for block in arrivals.blocks())
print(count, before, peak())
"""
#: Columns that a request has in memory: hour, origin, workload, time, and two of tokens; 8 bytes each.
BYTES_PER_REQUEST = 48
#: Of text per request.
BYTES_PER_LINE = 42


pytestmark = needs.linux


def write_log(path: Path, size_bytes: int) -> int:
    """Write a CSV log of some size, batch by batch, and return its number of requests."""
    dice, rows, start = (
        np.random.default_rng(1),
        size_bytes // BYTES_PER_LINE,
        datetime(2021, 1, 1, tzinfo=UTC),
    )
    with path.open("wb") as file:
        for first in range(0, rows, 500_000):
            n = min(500_000, rows - first)
            begin = start + timedelta(seconds=first / 10)
            times = pl.datetime_range(
                begin, interval="100ms", end=begin + timedelta(days=9), eager=True
            ).head(n)
            pl.DataFrame(
                {
                    "time": times.dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"),
                    "workload": np.where(dice.random(n) < 0.5, "chat", "code"),
                    "prompt": dice.integers(0, 9000, n),
                    "answer": dice.integers(0, 900, n),
                }
            ).write_csv(file, include_header=first == 0)
    return rows


def peak_bytes(folder: Path, size_bytes: int) -> tuple[int, int]:
    """Return the number of requests in a log of some size, and the peak memory that reading them added."""
    log = folder / "log.csv"
    rows = write_log(log, size_bytes)
    assert abs(log.stat().st_size - size_bytes) < 0.05 * size_bytes
    done = subprocess.run(
        [sys.executable, "-c", READ, str(log)], capture_output=True, text=True, check=True
    ).stdout.split()
    log.unlink()
    count, before, after = map(int, done)
    assert count == rows
    return rows, (after - before) * 1024


def test_memory_does_not_grow_with_the_log(tmp_path: Path) -> None:
    mib = runs(40, 30)
    _, small = peak_bytes(tmp_path, mib * 2**20)
    _, large = peak_bytes(tmp_path, 4 * mib * 2**20)
    assert large < 1.5 * small


@pytest.mark.full(long=True)
def test_a_gigabyte_takes_no_more_than_three_times_its_columns(tmp_path: Path) -> None:
    rows, peak = peak_bytes(tmp_path, 2**30)
    assert peak < 3 * rows * BYTES_PER_REQUEST
    assert peak < 2**29  # it streams: half of the file is never held
