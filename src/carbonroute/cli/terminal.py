"""Terminal output of all commands: data on stdout, notes and progress on stderr."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from io import TextIOBase
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from carbonroute.errors import visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

#: Exit codes: an objective or a check was missed; wrong usage or input.
DONE, MISSED, REFUSED = 0, 1, 2

#: Width of tables that do not go to a terminal: nothing is cut in a log.
_FILE_WIDTH = 160


class Printed(TextIOBase):
    """A text stream that escapes control characters.

    All printed text goes through it; `console` alone writes colours to the stream behind it.

    `stream`: where it arrives.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream: TextIO = stream.stream if isinstance(stream, Printed) else stream

    def write(self, text: str) -> int:
        """Write text; return its length."""
        self.stream.write(visible(text))
        return len(text)

    def flush(self) -> None:
        """Flush the stream behind it."""
        self.stream.flush()

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self.stream.isatty()

    def fileno(self) -> int:
        """Return the number of the file behind it."""
        return self.stream.fileno()

    def writable(self) -> bool:
        """Whether it can be written to."""
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]  # typeshed has an attribute here
        """Of the stream behind it."""
        return self.stream.encoding


def console(stream: TextIO, width: int | None = None) -> Console:
    """Return a console on a stream. Text from files is printed as it is, not as markup."""
    from carbonroute.cli.console import EscapingConsole

    return _of_kind(EscapingConsole, stream, width)


def help_console() -> Console:
    """Return the console on stdout that help is printed by."""
    from carbonroute.cli.helping import HelpConsole

    return _of_kind(HelpConsole, sys.stdout, None)


def _of_kind(kind: type[Console], stream: TextIO, width: int | None) -> Console:
    return kind(
        file=stream.stream if isinstance(stream, Printed) else stream,
        width=width,
        color_system=None if os.environ.get("NO_COLOR") else "auto",  # nor bold and italics
        markup=False,
        highlight=False,
        emoji=False,
    )


def out() -> Console:
    """Return the console on stdout."""
    return console(sys.stdout, None if sys.stdout.isatty() else _FILE_WIDTH)


def say(text: str) -> None:
    """Print a line to stderr: an error or a note."""
    try:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
    except OSError:
        drop(sys.stderr)


def json_text(document: object) -> str:
    """Return a document as JSON, at full precision and in ASCII."""
    text = dumps(document, indent=2, allow_nan=False)
    return text.replace("\x7f", "\\u007f") + "\n"  # the one control character that JSON allows


def print_json(document: object) -> None:
    """Print a document as JSON."""
    sys.stdout.write(json_text(document))


def print_csv(text: str) -> None:
    """Print a table as CSV: to a program as it is, and to a terminal as all that is printed."""
    stream = sys.stdout
    if isinstance(stream, Printed) and not stream.isatty():
        stream = stream.stream
    stream.write(text)


def drop(stream: TextIO) -> None:
    """Discard the rest of a stream's output: flushing it at exit would fail again."""
    with suppress(OSError), Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


def empty_table(title: str | None = None, *, headings: bool = True) -> Table:
    """Return an empty table in the style of all of them."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    return Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, show_header=headings, padding=(0, 1, 0, 0)
    )


@contextmanager
def results_alone(*, quiet: bool = False) -> Iterator[None]:
    """Keep stdout for the results: output of user policies and libraries goes to stderr.

    The process's own stdout, which libraries in other languages write to, is redirected too. Warnings of
    libraries are printed as notes at the end, each once; with `quiet`, errors alone.
    """
    sys.stdout.flush()
    kept = os.dup(1)
    printed = Printed(sys.stderr)
    try:
        os.dup2(2, 1)
        with redirect_stdout(printed), redirect_stderr(printed), _noting(quiet=quiet):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


@contextmanager
def _noting(*, quiet: bool) -> Iterator[None]:
    """Collect warnings and log records of libraries, and print them at the end."""
    logged = _LogTexts(logging.ERROR if quiet else logging.WARNING)
    root = logging.getLogger()
    root.addHandler(logged)
    try:
        with warnings.catch_warnings(record=True) as warned:
            yield
    finally:
        root.removeHandler(logged)
    texts = [] if quiet else [str(one.message) for one in warned]
    for text in dict.fromkeys(" ".join(each.split()) for each in [*texts, *logged.texts]):
        say(f"note: {text}")


class _LogTexts(logging.Handler):
    """The texts of log records, each once."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.texts: dict[str, None] = {}

    def emit(self, record: logging.LogRecord) -> None:
        self.texts[record.getMessage()] = None
