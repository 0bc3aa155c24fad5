"""Whole processes, imports and all."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measuring import Row, Size, medians_s


def child(command: Sequence[str]) -> tuple[float, int]:
    """Run a command of this environment; return its wall time, s, and its peak resident memory, bytes."""
    executable = Path(sys.executable).with_name(command[0])
    start = time.perf_counter()
    process = subprocess.Popen([executable, *command[1:]], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command} ended with {process.returncode}")
    return wall_s, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def measure(size: Size) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        help_s, python_s, simulate_s, figures_s = medians_s(
            size.repeat,
            lambda: child(["carbonroute", "--help"]),
            lambda: child(["python", "-c", "import numpy, polars, pydantic"]),
            lambda: child(
                ["carbonroute", "simulate", "published", "--no-figures", "--quiet", "--output", folder]
            ),
            lambda: child(["carbonroute", "simulate", "published", "--quiet", "--output", folder]),
        )
    return [
        Row("python, importing numpy, polars and pydantic", f"{python_s * 1e3:.0f} ms"),
        Row("carbonroute --help", f"{help_s * 1e3:.0f} ms"),
        Row("carbonroute simulate published --no-figures", f"{simulate_s * 1e3:.0f} ms"),
        Row("simulate --no-figures ÷ importing", f"{simulate_s / python_s:.1f}×"),
        Row("carbonroute simulate published, with figures", f"{figures_s:.1f} s"),
    ]
