"""``carbonroute figures``: draw the figures of a finished run again."""

from __future__ import annotations

from pathlib import Path

from carbonroute.cli.drawing import draw_all
from carbonroute.cli.options import Formats, NoCode, QuietAlone, Style
from carbonroute.cli.progress import progress, stepper
from carbonroute.cli.terminal import out, results_alone
from carbonroute.runs.store import RunFolder, read_manifest, tables_of


def figures(
    run: Path,
    /,
    *,
    formats: Formats = (),
    style: Style = "house",
    quiet: QuietAlone = False,
    no_code: NoCode = False,  # noqa: ARG001  drawing runs no policy
) -> int:
    """Draw the figures of a finished run again, from its tables alone.

    Parameters
    ----------
    run
        Folder of the run.
    """
    with (
        progress(quiet=quiet) as bar,
        results_alone(quiet=quiet),
        RunFolder.reopen(run, "figures") as folder,
    ):
        tables, manifest = tables_of(run, folder.digests), read_manifest(run)
        drawn = draw_all(folder, tables, ("png", *formats), stepper(bar, "drawing"), style)
        folder.finish(manifest)
    if not quiet:
        out().print(f"Drew {len(drawn)} figures into {run}/graphs/.", soft_wrap=True)
    return 0
