"""Exceptions of the package: faults of input, policies, workers and run folders.

::

CarbonrouteError            base class; the command line prints the message and exits with 2
    ├── InputError              a scenario or data file cannot be used; carries every `Fault` found
    │   └── NoDataError             an answer of a provider is in order, and has no values
    ├── PolicyError             a policy broke its contract; carries the policy's name
    ├── WorkerError             a process that shared the work ended before it was done
    └── RunFolderError          a run folder cannot be written, or does not match its manifest
"""

from __future__ import annotations

import difflib
import json
import threading
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice

#: Faults of one input that are worth reading.
MAX_FAULTS = 50
_MAX_CHARACTERS = 500
#: Known words that are compared with an unknown one.
_MAX_COMPARED = 200
#: Fewer are compared as a reader would.
_MAX_READ = 50
#: Letters of the beginning of a name that are taken for it.
_LEAST_BEGINNING = 3


class CarbonrouteError(Exception):
    """Base class of the package's own exceptions."""


@dataclass(frozen=True)
class Fault:
    """One fault of an input: its place, the problem, and the remedy.

    Attributes
    ----------
    where
        Place inside the file: a key's path, or line and zone.
    found
        The problem: what was read there.
    remedy
        The expected value.
    id
        The kind of fault, a short name that stays; docs/model.md lists them.
    line
        Line in the file, from 1, where `where` does not state it.
    file
        The file, where it is not that of the whole error.
    """

    where: str
    found: str
    remedy: str = ""
    id: str = "invalid-value"
    line: int | None = None
    file: str = ""

    def __str__(self) -> str:
        line = f"line {self.line}" if self.line else ""
        place = ", ".join(filter(None, (line, self.where)))
        where, found, remedy = (_plain(part) for part in (place, self.found, self.remedy))
        message = f"{where}: {found}" if where else found
        return f"{message}; {remedy}" if remedy else message


class InputError(CarbonrouteError):
    """A scenario or data file cannot be used.

    `faults`: all faults, in the order of the file; the first `MAX_FAULTS` are kept.
    """

    def __init__(self, source: str, faults: Iterable[Fault]) -> None:
        self.source = source
        first = first_faults(faults)
        self.faults = first[:MAX_FAULTS]
        self.more = len(first) > MAX_FAULTS
        super().__init__(source, self.faults)

    def file_of(self, fault: Fault) -> str:
        """Return the file, or option, that a fault is in."""
        return fault.file or self.source

    def of_kind(self, kind: str) -> InputError:
        """Return the same error, its faults of a kind where they are of none."""
        unnamed = Fault("", "").id
        error = InputError(self.source, [replace(f, id=kind) if f.id == unnamed else f for f in self.faults])
        error.more = self.more
        return error

    def __str__(self) -> str:
        files = list(dict.fromkeys(map(self.file_of, self.faults)))
        source = _plain(self.source if len(files) > 1 else files[0])
        if len(self.faults) == 1:
            return f"{source}: {self.faults[0]}"
        count = f"more than {MAX_FAULTS} faults; the first are" if self.more else f"{len(self.faults)} faults"
        named = [f"{_plain(self.file_of(fault))}: " if len(files) > 1 else "" for fault in self.faults]
        lines = [f"  {file}{fault}" for file, fault in zip(named, self.faults, strict=True)]
        return "\n".join([f"{source}: {count}", *lines])

    @classmethod
    def together(cls, source: str, errors: Iterable[InputError]) -> InputError:
        """Return one error with the faults of several, each once and with its own file."""
        kept = list(errors)
        faults = [replace(fault, file=error.file_of(fault)) for error in kept for fault in error.faults]
        joint = cls(source, dict.fromkeys(faults))
        joint.more |= any(error.more for error in kept)
        return joint


class NoDataError(InputError):
    """An answer of a provider is in order, and has no values: what was asked for is not known."""


class PolicyError(CarbonrouteError):
    """A policy broke its contract.

    `policy`: the policy's name.
    `problem`: the breach of the contract.
    `line`: line of its code that raised, from 1; None where it answered.
    """

    def __init__(self, policy: str, problem: str) -> None:
        self.policy = policy
        self.problem = problem
        self.line: int | None = None
        super().__init__(policy, problem)

    def __str__(self) -> str:
        remedy = "mend the policy: carbonroute.check_policy tests it"
        return f"policy {self.policy!r}: {_plain(self.problem)}; {remedy}"


class WorkerError(CarbonrouteError):
    """A process that shared the work ended before it was done, or is not fit for it.

    `problem`, `remedy`: the problem and its remedy; by default, those of a process that ended.
    """

    def __init__(self, problem: str = "", remedy: str = "") -> None:
        self.problem = problem or (
            "a worker process ended before its work was done: it was killed, as for want of memory, or its "
            "start failed"
        )
        self.remedy = remedy or (
            "take fewer workers; a script that takes several begins with: if __name__ == '__main__':"
        )
        super().__init__(self.problem, self.remedy)

    def __str__(self) -> str:
        return f"{_plain(self.problem)}; {_plain(self.remedy)}"


class RunFolderError(CarbonrouteError):
    """A run folder cannot be written, or does not match its manifest."""


def first_faults(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    """Return the first `MAX_FAULTS` faults and one more; the rest is not evaluated."""
    return tuple(islice(faults, MAX_FAULTS + 1))


def shortened(text: str, most: int = 100) -> str:
    """Return a text as a message names it, cut where it is long.

    >>> shortened("abcdef", 4)
    'abc…'
    """
    return text if len(text) <= most else f"{text[: most - 1]}…"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the remedy for an unknown word: a known one that begins with it, or the nearest; and all others.

    >>> did_you_mean("hybird", ["hybrid", "carbon-first"])
    "did you mean 'hybrid'? Known: hybrid, carbon-first"
    >>> did_you_mean("H100", ["h100-sxm", "h200"])
    "did you mean 'h100-sxm'? Known: h100-sxm, h200"
    """
    names = [shortened(name) for name in known]
    sought = _read_as(word)
    read = {name: _read_as(name) for name in names} if len(names) <= _MAX_READ else {}
    near = [name for name, reading in read.items() if reading == sought]
    if len(sought) >= _LEAST_BEGINNING:
        near = near or [name for name, reading in read.items() if reading.startswith(sought)]
    near = near or difflib.get_close_matches(shortened(word), names[:_MAX_COMPARED], n=1)
    question = f"did you mean {near[0]!r}? " if near else ""
    if near and near[0] != word and near[0].isprintable() and _composed(near[0]) == _composed(word):
        question = f"did you mean {near[0]!r}, composed of other characters: {_escaped(near[0])}? "
    listed = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
    return f"{question}Known: {listed or 'none'}"


def alike(names: Iterable[str]) -> list[str]:
    r"""Return which names a reader takes for one: they differ in capitals, or in composed characters, alone.

    >>> alike(["DE", "FR", "de"])
    ["'DE' and 'de' differ in capitals or spaces alone"]
    >>> alike(["Zu\u0308rich", "Z\u00fcrich", "Bern"])
    ['"Zu\\u0308rich" and "Z\\u00fcrich" look the same']
    """
    groups: dict[str, list[str]] = {}
    for name in sorted(set(names)):
        groups.setdefault(_read_as(name), []).append(name)
    return [
        f"{_escaped(one)} and {_escaped(other)} look the same"
        if _composed(one) == _composed(other)
        else f"{one!r} and {other!r} differ in capitals or spaces alone"
        for one, other, *_ in (group for group in groups.values() if len(group) > 1)
    ]


def _composed(name: str) -> str:
    return unicodedata.normalize("NFKC", name)


def _read_as(name: str) -> str:
    return _composed(name).casefold().strip()


def _escaped(name: str) -> str:
    """Return a name as TOML and JSON spell it in plain characters."""
    return json.dumps(name)


def visible(text: str) -> str:
    r"""Return text that cannot control a terminal: non-printable characters become escapes.

    So are control characters but the line feed, marks of direction and other format characters, line and
    paragraph separators, and lone surrogates. Nothing that is printed, and no page, holds any of them.

    >>> print(visible("\x1b[31mred\x07, \u202eback\nnext line"))
    \x1b[31mred\x07, \u202eback
    next line
    """
    if text.isprintable():
        return text
    return "\n".join(line if line.isprintable() else "".join(map(_shown, line)) for line in text.split("\n"))


def _shown(character: str) -> str:
    plain = character.isprintable() or unicodedata.category(character) == "Zs"
    return character if plain else repr(character)[1:-1]


def _plain(text: str) -> str:
    """Return text in one printable line of at most `_MAX_CHARACTERS`."""
    escaped = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[:_MAX_CHARACTERS])
    return escaped if len(text) <= _MAX_CHARACTERS else f"{escaped}…"


class Ended(KeyboardInterrupt):
    """A signal that ends this process; its argument is the signal.

    A class of its own: once a plain KeyboardInterrupt has left code that runs from a string, as that of
    dataclasses does, Python ends by SIGINT, whatever its exit code.
    """


def is_interrupt(error: BaseException) -> bool:
    """Whether an exception is Ctrl-C or another signal, and no error of the code that it came out of.

    Signals are handled on the main thread alone: on another one, that code itself has raised it.
    """
    is_main = threading.current_thread() is threading.main_thread()
    return is_main and type(error) in {KeyboardInterrupt, Ended}


def described(error: BaseException) -> str:
    """Return an exception's type and text; safe where its `__str__` fails.

    >>> described(ValueError("no such region")), described(MemoryError())
    ('ValueError: no such region', 'MemoryError')
    """
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  anyone's exception may fail at telling its text: its type is known
        text = "no text available"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
