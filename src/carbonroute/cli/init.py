"""``carbonroute init``: a scenario file to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from carbonroute.cli.terminal import out
from carbonroute.errors import Fault, InputError, did_you_mean
from carbonroute.files.folder import create_named
from carbonroute.scenario import builtin_scenarios, builtin_text


def init(file: Path, /, *, source: Annotated[str, Parameter(name="--from")] = "starter") -> int:
    """Write a commented, runnable scenario file.

    Parameters
    ----------
    file
        Where to; a file that is there already is left alone.
    source
        Built-in scenario to start from.
    """
    if source not in builtin_scenarios():
        raise InputError(
            "--from", [Fault("", f"no scenario {source!r}", did_you_mean(source, builtin_scenarios()))]
        )
    create_named(file, builtin_text(source).encode())
    out().print(f"Wrote {file}. Next: carbonroute simulate {file}", soft_wrap=True)
    return 0
