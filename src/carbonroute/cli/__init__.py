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
        from carbonroute.cli.app import run  # in here: Ctrl-C may come while it is imported

        return run(arguments)
    except KeyboardInterrupt:
        if sys.stderr:
            sys.stderr.write("interrupted\n")
        return INTERRUPTED
