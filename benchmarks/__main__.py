"""``scripts/bench [SUBJECT …] [--small]``: measure, and print a table for `docs/performance.md`."""

from __future__ import annotations

import argparse
import os
import platform

from benchmarks.measuring import Size
from benchmarks.registry import SUBJECTS


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument(
        "subject", nargs="*", metavar="SUBJECT", help=f"{', '.join(SUBJECTS)}; all, if none is named"
    )
    parser.add_argument("--repeat", type=int, default=7, help="runs behind each median")
    parser.add_argument("--small", action="store_true", help="only show that everything runs")
    arguments = parser.parse_args()
    if unknown := set(arguments.subject) - set(SUBJECTS):
        parser.error(f"there is no subject {', '.join(sorted(unknown))}; known: {', '.join(SUBJECTS)}")
    size = Size(arguments.repeat, arguments.small)
    machine = f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores"
    print(f"{machine}; medians of {size.repeat}\n")
    print("| subject | what | measured | goal |\n|---|---|---|---|")
    for name in arguments.subject or SUBJECTS:
        for row in SUBJECTS[name](size):
            print(f"| {name} | {row.what} | {row.value} | {row.goal} |", flush=True)


if __name__ == "__main__":
    main()
