"""Check, before a run starts, that its arrays fit into this machine's memory."""

from __future__ import annotations

import os

from carbonroute.errors import Fault, InputError

#: The rest is for the system and for temporary arrays.
_USABLE_SHARE = 0.8


def require(needed_bytes: int, source: str, where: str, content: str) -> None:
    """Refuse a run that does not fit.

    `needed_bytes`: size of the arrays that stay in memory during the run.
    `source`, `where`: the scenario, and the key that determines its size.
    Raises InputError if the machine has less.
    """
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed_bytes > _USABLE_SHARE * installed:
        problem = f"{content} would take {needed_bytes / 2**30:,.1f} GiB of memory"
        raise InputError(
            source, [Fault(where, problem, f"this machine has {installed / 2**30:,.1f} GiB: take less")]
        )
