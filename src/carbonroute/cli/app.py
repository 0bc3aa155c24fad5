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
from importlib.metadata import version
from io import TextIOWrapper
from types import FrameType

from cyclopts import App, CycloptsError

from carbonroute.cli.terminal import DONE, REFUSED, Printed, console, drop, say
from carbonroute.errors import CarbonrouteError, Ended

#: A command that a signal ended has this and the signal's number, as shells have it: 143 after SIGTERM.
BY_SIGNAL = 128
_RUNS_CODE = (
    "A scenario that names a policy of its own (use = 'file.py:Class' or 'package.module:Class') has that "
    "file or installed module run for this. With --no-code it is refused instead."
)
_SIGNALS = (signal.SIGTERM, signal.SIGHUP)

app = App(
    name="carbonroute",
    version=lambda: version("carbonroute"),
    help="Carbon-aware routing of requests between regions: its savings, its risks, and their uncertainty.",
    help_epilogue="Start with: carbonroute simulate published",
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
app.command(
    "carbonroute.cli.simulate:simulate",
    help="Run a scenario: print the policy table, write tables and figures.",
)
app.command("carbonroute.cli.figures:figures", help="Draw the figures of a finished run again.")
app.command("carbonroute.cli.report:report", help="Write one page that shows all of a finished run or study.")
app.command(
    "carbonroute.cli.frontier:frontier",
    help="Try many policies and parameters: draw the front, and name the one to use within limits.",
)
app.command(
    "carbonroute.cli.sensitivity:sensitivity",
    help="Show how the recommended policy responds to each input, changed by a tenth.",
)
app.command(
    "carbonroute.cli.headroom:headroom",
    help="Run a scenario with capacity as a multiple of its load, and compare each policy's saving.",
)
study = App(name="study", help="Run many scenarios over a grid, and summarise their results.")
study.command("carbonroute.cli.study:run", name="run", help="Run a study; after an interruption, resume it.")
study.command("carbonroute.cli.study:status", name="status", help="Show the progress of a study.")
study.command("carbonroute.cli.study:show", name="show", help="Print the results of a finished study.")
app.command(study)
app.command("carbonroute.cli.policies:policies", help="List the policies that a scenario can use.")
app.command(
    "carbonroute.cli.replay:replay",
    help="Replay recorded decisions, and count those that differ.\n\n"
    "Records that name a policy of a file or module have it run for this. With --no-code it is refused.",
)
app.command("carbonroute.cli.scenarios:scenarios", help="List the built-in scenarios.")
app.command(
    "carbonroute.cli.inspect:inspect",
    help="Describe a data file: its content, its faults, and the scenario lines that read it.\n\n"
    + _RUNS_CODE,
)
app.command("carbonroute.cli.init:init", help="Write a commented scenario file to start from.")
app.command(
    "carbonroute.cli.validate:validate",
    help=f"Check a scenario and its data without simulating it.\n\n{_RUNS_CODE}",
)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code."""
    _open_closed()
    _print_anywhere()
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
