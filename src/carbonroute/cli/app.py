"""The command line application: its commands, exit codes and signals.

Commands are imported when they are called, so that ``--help`` stays fast.
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from io import TextIOWrapper
from typing import Literal

from cyclopts import App, CycloptsError

from carbonroute.cli.commands import COMMANDS
from carbonroute.cli.ending import BY_SIGNAL, ended_by_signals, in_words
from carbonroute.cli.late import import_late
from carbonroute.cli.spelling import SPELLED, register
from carbonroute.cli.terminal import DONE, REFUSED, Printed, drop, help_console, out, say
from carbonroute.cli.usage import as_given, usage_error
from carbonroute.errors import CarbonrouteError, Fault, InputError


def _version() -> str:
    from importlib.metadata import version

    return version("carbonroute")


def _install_completion(*, shell: Literal["bash", "zsh", "fish"] | None = None) -> int:
    """Install completion of commands and options for a shell, for the user who runs this.

    Parameters
    ----------
    shell
        Which; by default the one that this is called from.
    """
    from cyclopts.completion.detect import ShellDetectionError, detect_shell

    try:
        name = shell or detect_shell()
    except ShellDetectionError:
        fault = Fault("", "the shell is not recognised", "name it: --shell bash, zsh or fish")
        raise InputError("--install-completion", [fault]) from None
    path = app.install_completion(shell=name)
    out().print(f"Wrote {path}. Shells that are opened from now on complete carbonroute.", soft_wrap=True)
    return DONE


app = App(
    name="carbonroute",
    version=_version,
    help="Carbon-aware routing of requests between regions: its savings, its risks, and their uncertainty.",
    help_epilogue=(
        "Start with `carbonroute simulate published`; `carbonroute init --help` takes your own regions.\n\n"
        "`carbonroute COMMAND --help` has examples."
    ),
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
GROUPS = {
    "study": App(
        name="study",
        help="Run many scenarios over a grid, and summarise their results.",
        help_epilogue="Start with: `carbonroute study run examples/studies/limits.toml`",
    ),
    "live": App(
        name="live",
        help="Run a policy on real traffic: in the shadow, on a share of it, or on all.",
        help_epilogue="Start with: `carbonroute live init SCENARIO`",
    ),
}
for _command in COMMANDS:
    _group, _, _name = _command.name.rpartition(" ")
    _of = GROUPS[_group] if _group else app
    _of.command(_command.reference, name=_name, help=_command.help, help_epilogue=_command.epilogue)
for _app in GROUPS.values():
    app.command(_app)
app.command(
    _install_completion,
    name="--install-completion",
    help_epilogue="Then open a new shell.",
    usage="Usage: carbonroute --install-completion [--shell bash|zsh|fish]",
)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code."""
    _open_closed()
    _print_anywhere()
    import_late("polars")
    # Its products are small: threads would only wait for each other. It reads this when NumPy is imported.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    stated: list[str] = []
    with redirect_stdout(Printed(sys.stdout)), redirect_stderr(Printed(sys.stderr)):
        try:
            # A command is imported while its arguments are read; who names them may run more than one.
            with _uncollected() if arguments is None else nullcontext():
                command, bound, _ = app.parse_args(arguments, exit_on_error=False, print_error=False)
            stated = [name for name, value in bound.arguments.items() if value is not None]
            if "console" in bound.arguments:  # help and version are printed by one
                bound.arguments["console"] = help_console()
            with ended_by_signals(alone=arguments is None):
                code = command(*bound.args, **bound.kwargs)
                sys.stdout.flush()
        except CycloptsError as error:
            say(usage_error(error))
            return REFUSED
        except CarbonrouteError as error:
            say(f"error: {as_given(error, stated) if isinstance(error, InputError) else error}")
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
            say(in_words(number))
            return BY_SIGNAL + number
    return code if isinstance(code, int) else DONE


@contextmanager
def _uncollected() -> Iterator[None]:
    """Look for no garbage while modules are imported, whose objects stay, nor again when the process ends."""
    atexit.register(gc.freeze)
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


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
    """Spell characters that the encoding of the terminal or log lacks in those that it has."""
    register()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=SPELLED)
