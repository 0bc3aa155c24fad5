"""The command line application: its commands, exit codes and signals.

Commands are imported when they are called, so that ``--help`` stays fast.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import TextIOWrapper
from types import FrameType

from cyclopts import App, CycloptsError

from carbonroute.cli.late import import_late
from carbonroute.cli.terminal import DONE, REFUSED, Printed, console, drop, say
from carbonroute.errors import CarbonrouteError, Ended

#: A command that a signal ended has this and the signal's number, as shells have it: 143 after SIGTERM.
BY_SIGNAL = 128
_RUNS_CODE = (
    "A scenario that names a policy of its own (use = 'file.py:Class' or 'package.module:Class') has that "
    "file or installed module run for this. With --no-code it is refused instead."
)
_REPLAYS_CODE = (
    "Records that name a policy of a file or module have it run for this. With --no-code it is refused."
)
_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


def _version() -> str:
    from importlib.metadata import version

    return version("carbonroute")


app = App(
    name="carbonroute",
    version=_version,
    help="Carbon-aware routing of requests between regions: its savings, its risks, and their uncertainty.",
    help_epilogue="Start with: carbonroute simulate published",
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
study = App(name="study", help="Run many scenarios over a grid, and summarise their results.")
for _name, _help in (
    ("simulate", "Run a scenario: print the policy table, write tables and figures."),
    ("figures", "Draw the figures of a finished run again."),
    ("report", "Write one page that shows all of a finished run or study."),
    ("tables", "Print a table of a finished run or study as LaTeX, Markdown or CSV."),
    ("frontier", "Try many policies and parameters: draw the front, and recommend one within limits."),
    ("sensitivity", "Show how the recommended policy responds to each input, changed by a tenth."),
    ("headroom", "Run a scenario with capacity as a multiple of its load, and compare the savings."),
    (
        "whatif",
        "Compare a scenario as it is with a full, missing or changed region, or other traffic.\n\nAll "
        "changes that are given hold together; options of changes may be given again, for other names.",
    ),
    ("study:run", "Run a study; after an interruption, resume it."),
    ("study:status", "Show the progress of a study."),
    ("study:show", "Print the results of a finished study."),
    ("study:figures", "Draw the figures of a finished study."),
    (
        "policies",
        "List the policies that a scenario can use, or check one of your own.\n\nWith --check, the file or "
        "module of a policy is run for this.",
    ),
    ("replay", f"Replay recorded decisions, and count those that differ.\n\n{_REPLAYS_CODE}"),
    ("scenarios", "List the built-in scenarios."),
    ("regions", "Search the catalogue of cloud regions: place, grid, carbon intensity, PUE."),
    (
        "inspect",
        f"Describe a data file: content, faults, and the lines that read it.\n\n{_RUNS_CODE}",
    ),
    ("import_:import", "Write a scenario from your own logs, metrics, tables or traces."),
    ("init", "Write a commented scenario file, or a policy, to start from."),
    ("validate", f"Check a scenario and its data without simulating it.\n\n{_RUNS_CODE}"),
):
    _module, _, _part = _name.partition(":")
    _group = study if _module == "study" else app
    _function = "import_" if _part == "import" else _part or _module
    _group.command(f"carbonroute.cli.{_module}:{_function}", name=_part or _module, help=_help)
app.command(study)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code."""
    _open_closed()
    _print_anywhere()
    import_late("polars")
    with redirect_stdout(Printed(sys.stdout)), redirect_stderr(Printed(sys.stderr)):
        try:
            with _ended_by_signals():
                code = app(
                    arguments,
                    exit_on_error=False,
                    print_error=True,
                    console=console(sys.stdout),
                    error_console=console(sys.stderr),
                )
                sys.stdout.flush()
        except CycloptsError:
            return REFUSED
        except CarbonrouteError as error:
            say(f"error: {error}")
            return REFUSED
        except BrokenPipeError:  # the reader has closed the pipe: `carbonroute simulate | head`
            drop(sys.stdout)
            return DONE
        except OSError as error:
            drop(sys.stdout)
            place = error.filename or "standard output"
            say(f"error: {place}: {error.strerror}; make room and rights, or name another place")
            return REFUSED
        except KeyboardInterrupt as error:
            number = next((arg for arg in error.args if isinstance(arg, signal.Signals)), signal.SIGINT)
            say("interrupted" if number == signal.SIGINT else "terminated")
            return BY_SIGNAL + number
    return code if isinstance(code, int) else DONE


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Handle SIGTERM and SIGHUP like Ctrl-C: workers end, and temporary files are removed."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set signal handlers
        return
    # Where somebody ignores one, as `nohup` does, it stays ignored.
    ours = [number for number in _SIGNALS if signal.getsignal(number) is signal.SIG_DFL]
    try:
        for number in ours:
            signal.signal(number, _interrupt)
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    raise Ended(signal.Signals(number))


def _open_closed() -> None:
    """Open the null device in place of a closed stream (``>&-``).

    Python has no such stream then, and the next file that is opened would take its number: libraries would
    print into it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))


def _print_anywhere() -> None:
    """Replace characters that the encoding of the terminal or log lacks by question marks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
