"""``carbonroute replay``: replay recorded decisions, and count those that differ."""

from __future__ import annotations

from pathlib import Path

from carbonroute.cli.options import NoCode
from carbonroute.cli.terminal import DONE, MISSED, out, results_alone


def replay(folder: Path, /, *, beside: Path = Path(), no_code: NoCode = False) -> int:
    """Replay recorded decisions, and count those that are not bit-identical.

    The exit code is 1 where any differs, and 2 where a record is damaged or missing.

    Parameters
    ----------
    folder
        A folder that `carbonroute simulate --journal` wrote.
    beside
        Folder of policies that are files of their own: that of the scenario.
    """
    from carbonroute.runs.journals import replay as asked_again

    console, differ = out(), 0
    with results_alone():
        for one in asked_again(folder, beside=beside, code=not no_code):
            console.print(f"{one.folder}: {one.records:,} decisions, {one.differ:,} differ", soft_wrap=True)
            differ += one.differ
    return MISSED if differ else DONE
