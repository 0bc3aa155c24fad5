"""``carbonroute replay``: replay recorded decisions, and count those that differ."""

from __future__ import annotations

from pathlib import Path

from carbonroute.cli.options import Json, NoCode
from carbonroute.cli.terminal import DONE, MISSED, out, print_json, results_alone


def replay(folder: Path, /, *, beside: Path = Path(), json: Json = False, no_code: NoCode = False) -> int:
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

    console, replayed = out(), []
    with results_alone():
        for one in asked_again(folder, beside=beside, code=not no_code):
            replayed.append(one)
            if not json:
                text = f"{one.folder}: {one.records:,} decisions, {one.differ:,} differ"
                console.print(text, soft_wrap=True)
    if json:
        print_json([one._asdict() | {"folder": str(one.folder)} for one in replayed])
    return MISSED if any(one.differ for one in replayed) else DONE
