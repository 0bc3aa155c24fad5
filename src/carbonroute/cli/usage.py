"""Wrong usage of the command line, told as all other errors are."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cyclopts import CycloptsError

#: Superfluous arguments that are named.
_NAMED = 3


def usage_error(error: CycloptsError) -> str:
    """Return the line for an error of usage: what is wrong, and which help says what would be right."""
    from cyclopts import UnusedCliTokensError

    from carbonroute.files.text import listed

    problem = str(error).strip()
    if isinstance(error, UnusedCliTokensError):
        names = listed([repr(token) for token in error.unused_tokens or ()], _NAMED)
        problem = f"Nothing takes {names}; leave it out, or quote what belongs together."
    command = " ".join(["carbonroute", *(error.command_chain or ()), "--help"])
    return f"error: {problem} See: {command}"
