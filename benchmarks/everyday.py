"""Commands of every day: CPU time of the whole process, as a multiple of importing what all of them need."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from benchmarks.measuring import Row, Size

CAPACITY = Path(__file__).parents[1] / "examples" / "capacity-50.toml"
IMPORTS = ("-c", "import numpy, polars, pydantic")

#: Each command with its goal; the last ones write a run folder.
_LISTING: Mapping[str, str] = MappingProxyType({"scenarios": "≤ 0.5×", "validate published": "≤ 1.4×"})
_WRITING: Mapping[str, str] = MappingProxyType(
    {
        "simulate published --no-figures": "≤ 2×",
        "simulate published": "≤ 8×",
        "simulate published --report": "≤ 12×",
        "frontier": "≤ 6×",
        "sensitivity --workers 1": "≤ 25×",  # CPU time of worker processes would not be counted
    }
)


def cpu_s(arguments: Sequence[str], folder: str) -> float:
    """Run Python with these arguments; return its CPU time and that of its children, user and system, s."""
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, *arguments],
        check=True,
        cwd=folder,
        env=environment | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def measure(size: Size) -> list[Row]:
    commands = {**_LISTING, **_WRITING}
    if size.small:
        return [row(command, goal, size) for command, goal in commands.items() if command in _LISTING]
    headroom = row(f"headroom {CAPACITY} --workers 1", "", Size(1, small=False))  # minutes
    return [*(row(command, goal, size) for command, goal in commands.items()), headroom]


def row(command: str, goal: str, size: Size) -> Row:
    """Return the median ratio over pairs: the imports, and the command right after them."""
    ratios, times_s = [], []
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["-m", "carbonroute", *command.split(), *(() if command in _LISTING else ("--quiet",))]
        if not size.small and size.repeat > 1:
            cpu_s(arguments, folder)  # its modules are compiled once
        for _ in range(size.repeat):
            imports_s, command_s = cpu_s(IMPORTS, folder), cpu_s(arguments, folder)
            ratios.append(command_s / imports_s)
            times_s.append(command_s)
    name = command.replace(str(CAPACITY), f"examples/{CAPACITY.name}")
    value = f"{statistics.median(ratios):.2f}× ({statistics.median(times_s):.2f} s)"
    return Row(f"`carbonroute {name}` ÷ importing numpy, polars and pydantic, CPU time", value, goal)
