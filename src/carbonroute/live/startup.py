"""Checks before the start: unset variables, a busy port, a journal that cannot be written or has no room."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from shutil import disk_usage
from tempfile import TemporaryFile

from pydantic import BaseModel

from carbonroute.control.chain import last_of_chain, require_all
from carbonroute.errors import CarbonrouteError, InputError
from carbonroute.files.folder import is_held, writing
from carbonroute.live.config import Live
from carbonroute.live.secrets import EnvName, SecretError
from carbonroute.live.server import bound

#: Of the journal, whose records are a few KiB each: without room for the next one, nothing is moved.
_LEAST_FREE_MIB = 64


def startup_problems(settings: Live, journal: Path) -> Iterator[str]:
    """Yield the problems to mend before the start, in words; nothing is changed.

    `settings`: the table ``[live]``.
    """
    yield from _unset(settings, "live")
    yield from _of_the_journal(journal)
    if settings.listen:
        try:
            bound(settings.listen).close()
        except InputError as error:
            yield from (f"{fault.where}: {fault.found}; {fault.remedy}" for fault in error.faults)


def _unset(value: object, place: str) -> Iterator[str]:
    """Yield the environment variables that settings name and that are not set."""
    if isinstance(value, EnvName):
        try:
            value.secret()
        except SecretError as error:
            yield f"{place}: {error}"
    elif isinstance(value, BaseModel):
        for name, one in value:
            yield from _unset(one, f"{place}.{name}")
    elif isinstance(value, Mapping):
        for name, one in value.items():
            yield from _unset(one, f"{place}.{name}")
    elif isinstance(value, tuple):
        for index, one in enumerate(value):
            yield from _unset(one, f"{place}[{index}]")


def _of_the_journal(folder: Path) -> Iterator[str]:
    """Yield what is wrong with the folder of the journal, or where it would be made."""
    place = next(one for one in (folder, *folder.parents) if one.exists())
    try:
        with writing(folder), TemporaryFile(dir=place):
            free_mib = disk_usage(place).free / 2**20
        if free_mib < _LEAST_FREE_MIB:
            yield f"{folder}: {free_mib:.0f} MiB are free there; {_LEAST_FREE_MIB} MiB or more are expected"
        if folder.is_dir():
            if is_held(folder):
                yield f"{folder}: a controller is routing here already"
            last_of_chain(folder)
            require_all(folder)
    except CarbonrouteError as error:
        yield str(error)
