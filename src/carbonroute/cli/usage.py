"""Wrong usage of the command line, told as all other errors are."""

from __future__ import annotations

import shlex
from collections.abc import Collection
from dataclasses import replace
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING

from carbonroute.errors import Fault, InputError

if TYPE_CHECKING:
    from cyclopts import App, CycloptsError, MissingArgumentError, UnknownOptionError

#: Parameters that change a key of the scenario, by that key.
_CHANGES = MappingProxyType(
    {
        "horizon.hours": "sim_hours",
        "traffic.requests_per_hour": "reqs_per_hour",
        "sampling.seed": "seed",
    }
)
#: Parameters whose option is called otherwise than the argument from Python.
_ARGUMENTS = MappingProxyType({"headroom": "at"})
#: Superfluous arguments that are named.
_NAMED = 3


def usage_error(error: CycloptsError) -> str:
    """Return the line for an error of usage: what is wrong, and which help says what would be right."""
    from cyclopts import MissingArgumentError, UnknownOptionError, UnusedCliTokensError

    from carbonroute.files.text import listed

    problem = str(error).strip()
    if isinstance(error, UnusedCliTokensError):
        names = listed([repr(token) for token in error.unused_tokens or ()], _NAMED)
        problem = f"Nothing takes {names}; leave it out, or quote what belongs together."
    command = " ".join(["carbonroute", *(error.command_chain or ())])
    if isinstance(error, MissingArgumentError) and (value := _dashed(error)):
        given = shlex.quote(f"{error.keyword}={value}")
        problem = f"{problem.rstrip('.')}; one that begins with a dash is given as {given}"
    elif isinstance(error, UnknownOptionError) and _takes_arguments(error):
        name = error.token.keyword or error.token.value
        if not name.startswith("--"):
            problem = f"{name} is no option; a name that begins with a dash comes after two of them, "
            problem += f"and options before: {shlex.join([*command.split(), '--', name])}"
    stop = "" if problem.endswith((".", "!", "?")) else "."
    return f"error: {problem}{stop} See: {command} --help"


def _dashed(error: MissingArgumentError) -> str | None:
    """Return what follows an option, begins with a dash, and is no option of the command."""
    tokens = error.root_input_tokens or []
    options = set() if error.app is None else _options(error.app)
    for option, value in pairwise(tokens):
        if option == error.keyword and value.startswith("-") and value.partition("=")[0] not in options:
            return value
    return None


def _options(app: App) -> set[str]:
    return {name for argument in app.assemble_argument_collection() for name in argument.names}


def _takes_arguments(error: UnknownOptionError) -> bool:
    return any(argument.field_info.is_positional for argument in error.argument_collection)


def as_given(error: InputError, given: Collection[str]) -> InputError:
    """Return an error with the options in it under their names on the command line.

    `given`: names of the command's parameters that were stated.
    """
    name = _ARGUMENTS.get(error.source, error.source)
    faults = [_as_given(fault, given) for fault in error.faults]
    told = InputError(f"--{name}" if name in given else error.source, faults)
    told.more = error.more
    return told


def _as_given(fault: Fault, given: Collection[str]) -> Fault:
    name = _CHANGES.get(fault.where, "")
    if fault.line is not None or name not in given:
        return fault
    return replace(fault, where="", file=f"--{name.replace('_', '-')}")
