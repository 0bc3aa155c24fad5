"""``carbonroute report``: one page that shows all of a finished run or study."""

from __future__ import annotations

from pathlib import Path

from carbonroute.cli.terminal import out
from carbonroute.report import write


def report(folder: Path, /, *, output: Path | None = None) -> int:
    """Write the report of a finished run or study, one HTML file that needs no network, and print its path.

    Parameters
    ----------
    folder
        Of the run or study.
    output
        File to write; by default report.html in that folder, listed in its manifest.
    """
    out().print(str(write(folder, output)), soft_wrap=True)
    return 0
