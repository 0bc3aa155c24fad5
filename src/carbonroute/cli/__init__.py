"""The command line: one file per command, registered in `carbonroute.cli.app`."""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # `typing` is not needed to begin with
if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code.

    0: done; 1: an objective was missed; 2: refused; 130: interrupted (Ctrl-C); 143: terminated (SIGTERM).
    """
    try:
        from carbonroute.cli.ending import end_at_once_by_signals

        if arguments is None:
            end_at_once_by_signals()
        from carbonroute.cli.app import run

        return run(arguments)
    except KeyboardInterrupt:
        if sys.stderr:
            sys.stderr.write("interrupted\n")
        return INTERRUPTED
