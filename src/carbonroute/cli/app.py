"""The commands, by name, and how each of them ends.

Commands are named by text and imported when they are called, so that ``--help`` stays fast.
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
    help="How much carbon can routing requests between regions save, what does it risk, "
    "and how sure is that?",
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
    help="Say which input the policy to use hangs on, each changed by a tenth.",
)
app.command(
    "carbonroute.cli.headroom:headroom",
    help="Say what is left of each policy's saving the less capacity there is to spare.",
)
study = App(name="study", help="Run many scenarios over a grid, and see what they found together.")
study.command("carbonroute.cli.study:run", name="run", help="Run a study; killed, it goes on where it was.")
study.command("carbonroute.cli.study:status", name="status", help="Say how far a study is.")
study.command("carbonroute.cli.study:show", name="show", help="Print what a finished study found.")
app.command(study)
app.command("carbonroute.cli.policies:policies", help="List the policies that a scenario can use.")
app.command(
    "carbonroute.cli.replay:replay",
    help="Ask policies again from the records of their decisions, and say how many differ.\n\n"
    "Records that name a policy of a file or module have it run for this. With --no-code it is refused.",
)
app.command("carbonroute.cli.scenarios:scenarios", help="List the built-in scenarios.")
app.command(
    "carbonroute.cli.inspect:inspect",
    help="Say what is in a data file, what is wrong with it, and which scenario lines would read it.\n\n"
    + _RUNS_CODE,
)
app.command(
    "carbonroute.cli.import_:import_",
    name="import",
    help="Write a scenario from your own logs, metrics, tables or traces.",
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
        except BrokenPipeError:  # whoever reads our output has seen enough: `carbonroute simulate | head`
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
    """Let what ends a process by default end a command as Ctrl-C does: workers end, nothing is left over."""
    if threading.current_thread() is not threading.main_thread():
        yield  # no other thread may say what signals do
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
    """Send to nowhere what goes to a stream that is closed (``>&-``).

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
    """Let a terminal or log that lacks a character show a question mark for it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
