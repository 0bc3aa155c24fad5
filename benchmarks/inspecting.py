"""Inspecting a year of many zones in CSV, against polars' own read of the file: CPU time of all threads.

In one process, in turns; and in fresh processes, where every page of memory is new: from after the imports to
the last line of output.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType

import numpy as np
import polars as pl

from benchmarks.measuring import Row, Size
from carbonroute.inspection import inspect_file

ZONES = [f"Z{index:02}" for index in range(50)]
_GOAL = 3.0
#: What a fresh process imports, and what it runs then on the file that `path` names.
_FRESH = MappingProxyType(
    {
        "polars": ("import polars", "polars.read_csv(path)"),
        "inspect_file": (
            "from pathlib import Path; from carbonroute.inspection import inspect_file",
            "inspect_file(Path(path))",
        ),
        "`carbonroute inspect`": (
            "import carbonroute.cli.inspect, carbonroute.inspection, rich.table; "
            "from carbonroute.cli.app import run",
            "run(['inspect', path])",
        ),
    }
)


def measure(size: Size) -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        files = written(Path(name), 48 if size.small else 8784)
        return [
            row
            for layout, path in files.items()
            for rows in (against_polars, in_fresh_processes)
            for row in rows(layout, path, size.repeat)
        ]


def written(folder: Path, hours: int) -> dict[str, Path]:
    """Write the hours of a year with a daily swing and weather, a column per zone and a row per value."""
    dice = np.random.default_rng(1)
    hour = np.arange(hours)[:, np.newaxis]
    swing = np.sin(2 * np.pi * hour / 24 + dice.uniform(0, 6, len(ZONES)))
    weather = np.cumsum(dice.normal(0, 3, (hours, len(ZONES))), axis=0)
    values = np.maximum(dice.uniform(200, 500, len(ZONES)) + 60 * swing + weather * 0.5, 5).round(2)
    start = datetime(2024, 1, 1, tzinfo=UTC)
    end = start + timedelta(hours=hours)
    times = pl.datetime_range(start, end, "1h", closed="left", eager=True).dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    wide = pl.DataFrame(values, schema=ZONES).insert_column(0, times.alias("time"))
    paths = {layout: folder / f"{layout}.csv" for layout in ("wide", "long")}
    wide.write_csv(paths["wide"])
    long = wide.unpivot(ZONES, index="time", variable_name="zone", value_name="carbon_intensity")
    long.write_csv(paths["long"])
    return paths


def against_polars(layout: str, path: Path, repeat: int) -> list[Row]:
    """Inspect a file and read it, in turns; the first of each is not counted."""
    read_s, inspect_s = [], []
    for _ in range(repeat + 1):
        read_s.append(_cpu_s(lambda: pl.read_csv(path)))
        inspect_s.append(_cpu_s(lambda: inspect_file(path)))
    ratio = statistics.median(i / r for i, r in zip(inspect_s[1:], read_s[1:], strict=True))
    read, inspected = statistics.median(read_s[1:]), statistics.median(inspect_s[1:])
    what = f"the {path.stat().st_size / 1e6:.1f} MB of a year of {len(ZONES)} zones, {layout}"
    return [
        Row(f"polars: reading {what}", f"{read * 1e3:.0f} ms"),
        Row("inspecting them", f"{inspected * 1e3:.0f} ms"),
        Row(f"inspecting ÷ reading, {layout}", f"{ratio:.1f}×", f"≤ {_GOAL:g}×"),
    ]


def in_fresh_processes(layout: str, path: Path, repeat: int) -> list[Row]:
    """Read a file and inspect it, each in a process of its own, in turns; imports do not count."""
    times_s: dict[str, list[float]] = {what: [] for what in _FRESH}
    for _ in range(repeat):
        for what, (imports, call) in _FRESH.items():
            times_s[what].append(_fresh_s(imports, call, path))
    read = times_s.pop("polars")
    return [
        Row(
            f"{what} ÷ reading, {layout}, fresh processes",
            f"{statistics.median(i / r for i, r in zip(inspected, read, strict=True)):.1f}× "
            f"({statistics.median(inspected) * 1e3:.0f} ÷ {statistics.median(read) * 1e3:.0f} ms)",
            f"≤ {_GOAL:g}×",
        )
        for what, inspected in times_s.items()
    ]


def _fresh_s(imports: str, call: str, path: Path) -> float:
    """Return the CPU time that a call takes in a fresh process, s, its imports apart."""
    code = (
        f"import sys, time; path = sys.argv[1]; {imports}; start = time.process_time(); {call}; "
        "print(time.process_time() - start, file=sys.stderr)"
    )
    child = subprocess.run(
        [sys.executable, "-c", code, path],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
    )
    return float(child.stderr.split()[-1])


def _cpu_s(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start
