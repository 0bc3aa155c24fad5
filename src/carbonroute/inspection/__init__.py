"""Looking into data before it is routed on: what a file is, what is in it, and what is wrong with it.

Nothing here refuses a file for its faults, as long as its rows can be read: they are counted and said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from carbonroute.inspection import carbon_files, forecasts, network, rates, traffic
from carbonroute.inspection.facts import KINDS, Inspection, Kind
from carbonroute.inspection.sniff import Guess, sniff

__all__ = ["KINDS", "Inspection", "Kind", "inspect_file"]

_OF_FORMAT: Mapping[str, Callable[[Path, str, Guess], Inspection]] = MappingProxyType(
    {
        "matrix": network.inspect,
        "log": traffic.inspect,
        "rate-file": rates.inspect,
        "forecast": forecasts.inspect,
    }
)


def inspect_file(path: Path, kind: Kind | None = None) -> Inspection:
    """Say what is in a file of carbon intensities, requests, request rates or round-trip times.

    Parameters
    ----------
    path
        The file.
    kind
        What it is; guessed if not given.

    Raises
    ------
    InputError
        If it cannot be read, or told what it is.
    """
    guess = sniff(path, str(path), kind)
    return _OF_FORMAT.get(guess.format, carbon_files.inspect)(path, str(path), guess)
