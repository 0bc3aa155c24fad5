"""Whether what a run needs fits into this machine's memory; asked before the run starts."""

from __future__ import annotations

import os

from carbonroute.errors import Fault, InputError

#: The rest is for the system and for what works on the arrays.
_USABLE_SHARE = 0.8


def require(needed_bytes: int, source: str, where: str, what: str) -> None:
    """Refuse what does not fit.

    Parameters
    ----------
    needed_bytes
        What stays in memory during the run.
    source, where
        The scenario, and the key that makes it so large.
    what
        What the memory is for, in words.

    Raises
    ------
    InputError
        If the machine has less.
    """
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed_bytes > _USABLE_SHARE * there:
        found = f"{what} would take {needed_bytes / 2**30:,.1f} GiB of memory"
        raise InputError(
            source, [Fault(where, found, f"this machine has {there / 2**30:,.1f} GiB: take less")]
        )
