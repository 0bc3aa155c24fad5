"""``carbonroute report``: one page that shows all of a finished run."""

from __future__ import annotations

from pathlib import Path

from carbonroute.cli.terminal import out
from carbonroute.report import write


def report(run: Path, /, *, output: Path | None = None) -> int:
    """Write the report of a finished run, one HTML file that needs no network, and print its path.

    Parameters
    ----------
    run
        Folder of the run.
    output
        File to write; by default report.html in the run's folder, listed in its manifest.
    """
    out().print(str(write(run, output)), soft_wrap=True)
    return 0
