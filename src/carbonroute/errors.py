"""What this package raises on purpose.

::

    CarbonrouteError            all of it; the command line prints the message and exits with 2
    ├── InputError              a scenario or data file cannot be used; carries every `Fault` found
    ├── PolicyError             a policy broke its contract; carries the policy's name
    └── RunFolderError          a run folder cannot be written, or is not what its manifest says
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MAX_FAULTS_SHOWN = 50


class CarbonrouteError(Exception):
    """Base of everything that this package raises on purpose."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with an input.

    Attributes
    ----------
    where
        Place inside the file: a key's path, or line and zone.
    found
        What stands there.
    remedy
        What would be right.
    """

    where: str
    found: str
    remedy: str = ""

    def __str__(self) -> str:
        message = f"{self.where}: {self.found}" if self.where else self.found
        return f"{message}; {self.remedy}" if self.remedy else message


class InputError(CarbonrouteError):
    """A scenario or data file cannot be used.

    Parameters
    ----------
    source
        The file, or what else the input was called.
    faults
        All that was found wrong, in the order of the file.
    """

    def __init__(self, source: str, faults: Sequence[Fault]) -> None:
        self.source = source
        self.faults = tuple(faults)
        super().__init__(source, self.faults)

    def __str__(self) -> str:
        if len(self.faults) == 1:
            return f"{self.source}: {self.faults[0]}"
        shown = [f"  {fault}" for fault in self.faults[:MAX_FAULTS_SHOWN]]
        if len(self.faults) > MAX_FAULTS_SHOWN:
            shown.append(f"  and {len(self.faults) - MAX_FAULTS_SHOWN} more")
        return "\n".join([f"{self.source}: {len(self.faults)} faults", *shown])


class PolicyError(CarbonrouteError):
    """A policy broke its contract.

    Parameters
    ----------
    policy
        The policy's name.
    problem
        What was wrong.
    """

    def __init__(self, policy: str, problem: str) -> None:
        self.policy = policy
        self.problem = problem
        super().__init__(policy, problem)

    def __str__(self) -> str:
        return f"policy {self.policy!r}: {self.problem}"


class RunFolderError(CarbonrouteError):
    """A run folder cannot be written, or is not what its manifest says."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the remedy for an unknown word: the nearest known one, and what else there is.

    >>> did_you_mean("hybird", ["hybrid", "carbon-first"])
    "did you mean 'hybrid'? Known: hybrid, carbon-first"
    """
    names = list(known)
    near = difflib.get_close_matches(word, names, n=1)
    question = f"did you mean {near[0]!r}? " if near else ""
    listed = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
    return f"{question}Known: {listed or 'none'}"
