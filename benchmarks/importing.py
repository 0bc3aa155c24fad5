"""Importing a log, as text and as Parquet, against reading its bytes: on one core, as a process."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.measuring import Row, Size

_START_US = 1_793_491_200_000_000
_DAYS = 7
_REGIONS = np.array(["eu-west-1", "us-east-1", "ap-south-1"])
_PATHS = np.array(["/v1/chat/completions", "/v1/embeddings"])


def measure(size: Size) -> list[Row]:
    count = 20_000 if size.small else 5_000_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # In another process: the peak memory of a child counts what its parent held when it began.
        subprocess.run([sys.executable, "-m", "benchmarks.importing", name, str(count)], check=True)
        return [
            *imported(folder / "access.log", count, "text", 400_000),
            *imported(folder / "log.parquet", count, "Parquet", 1_000_000),
        ]


def requests(count: int) -> pl.DataFrame:
    """Return a week of requests to two models in three regions, of which one in fifty fails."""
    dice = np.random.default_rng(1)
    times = np.sort(dice.uniform(0, _DAYS * 86_400e6, count)).astype(np.int64) + _START_US
    return pl.DataFrame(
        {
            "time": pl.Series(times).cast(pl.Datetime("us", "UTC")),
            "region": _REGIONS[dice.integers(0, len(_REGIONS), count)],
            "path": _PATHS[dice.integers(0, len(_PATHS), count)],
            "status": np.where(dice.random(count) < 0.02, 502, 200),
            "service_ms": np.round(dice.lognormal(8.5, 0.36, count)),
        }
    )


def _write_text(table: pl.DataFrame, path: Path) -> None:
    """Write requests as lines of nginx's combined format with two keys behind it."""
    line = pl.format(
        '10.0.0.1 - - [{} +0000] "POST {} HTTP/1.1" {} 1234 "-" "python-httpx/0.27" rt={} region={}',
        pl.col("time").dt.strftime("%d/%b/%Y:%H:%M:%S"),
        "path",
        "status",
        pl.col("service_ms") / 1000,
        "region",
    )
    with path.open("wb") as file:
        for part in table.iter_slices(500_000):
            file.write("\n".join(part.select(line).to_series().to_list()).encode() + b"\n")


def imported(path: Path, count: int, kind: str, goal: int) -> list[Row]:
    """Import a file as a process of its own, which has one thread."""
    start = time.process_time()
    with path.open("rb") as file:
        while file.read(2**23):
            pass
    bytes_s = time.process_time() - start
    command = [sys.executable, "-m", "carbonroute", "import", str(path), "--output"]
    output = path.with_suffix(".toml")
    environment = {**os.environ, "POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([*command, str(output)], stdout=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"import of {path} ended with {process.returncode}")
    cpu_s = usage.ru_utime + usage.ru_stime
    peak_bytes = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    size_mb = path.stat().st_size / 1e6
    return [
        Row(f"reading the {size_mb:,.0f} MB of {count:,} requests as {kind}", f"{bytes_s:.2f} s"),
        Row(f"importing them, start of the process included, CPU time ({kind})", f"{cpu_s:.1f} s"),
        Row(
            f"import, rows per second of one core ({kind})",
            f"{count / cpu_s / 1e3:,.0f} k/s",
            f"≥ {goal // 1000:,} k/s",
        ),
        Row(f"import, peak memory ({kind})", f"{peak_bytes / 2**20:.0f} MiB"),
    ]


def write(folder: Path, count: int) -> None:
    """Write so many requests as text and as Parquet."""
    table = requests(count)
    table.write_parquet(folder / "log.parquet")
    _write_text(table, folder / "access.log")


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]))
