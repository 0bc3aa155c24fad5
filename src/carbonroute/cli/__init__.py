"""The command line: one command, one file, and one line here.

Commands are named by text and imported when they are called, so that ``--help`` stays fast.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from io import TextIOWrapper
from pathlib import Path

from cyclopts import App, CycloptsError

from carbonroute.errors import CarbonrouteError

DONE, MISSED, REFUSED, INTERRUPTED = 0, 1, 2, 130

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
app.command("carbonroute.cli.scenarios:scenarios", help="List the built-in scenarios.")
app.command(
    "carbonroute.cli.inspect:inspect",
    help="Say what is in a data file, what is wrong with it, and which scenario lines would read it.",
)
app.command("carbonroute.cli.init:init", help="Write a commented scenario file to start from.")
app.command("carbonroute.cli.validate:validate", help="Check a scenario and its data without running it.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code: 0 done, 1 objective missed, 2 refused, 130 interrupted."""
    _print_anywhere()
    try:
        code = app(arguments, exit_on_error=False, print_error=True)
        sys.stdout.flush()
    except CycloptsError:
        return REFUSED
    except CarbonrouteError as error:
        sys.stderr.write(f"error: {error}\n")
        return REFUSED
    except BrokenPipeError:  # whoever reads our output has seen enough: `carbonroute simulate | head`
        _drop_output()
        return DONE
    except OSError as error:
        _drop_output()
        place = error.filename or "standard output"
        sys.stderr.write(f"error: {place}: {error.strerror}; make room and rights, or name another place\n")
        return REFUSED
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return INTERRUPTED
    return code if isinstance(code, int) else DONE


def _print_anywhere() -> None:
    """Let a terminal or log that lacks a character show a question mark for it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def _drop_output() -> None:
    """Send what is still to be printed nowhere: the interpreter would fail on it once more at its end."""
    with suppress(OSError), Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
