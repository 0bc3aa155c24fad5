"""Where a scenario was written: the file, so that a fault in it has its line."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from carbonroute.errors import Fault, InputError
from carbonroute.files.text import plain_text, read_bytes
from carbonroute.files.toml import MAX_BYTES
from carbonroute.files.toml_lines import line_of, lines_of

#: Sections that need not be written, and that errors name as their source.
_OPTIONAL = frozenset(("control", "information", "pools"))


@dataclass(frozen=True)
class Written:
    """The file of a scenario, and what was changed after reading it. Scenarios do not differ by it.

    `path`: the file; None where there is none.
    `changed`: paths of the values that were set otherwise: no line of the file states them.
    """

    path: Path | None = field(default=None, compare=False)
    changed: tuple[str, ...] = field(default=(), compare=False)

    def lines(self) -> Mapping[str, int] | None:
        """Return the line of every key; None where there is no file, or it is no TOML."""
        if self.path is None:
            return None
        file = str(self.path)
        try:
            return lines_of(plain_text(read_bytes(self.path, file, MAX_BYTES), file))
        except (InputError, ValueError):  # it was no TOML, or is no more
            return None

    def located(self, error: InputError, name: str = "") -> InputError:
        """Return an error with the line of each fault that is in the scenario file, if there is one.

        `error`: its source is the file, a section of the scenario, or another file.
        """
        if self.path is None:
            return error
        file = str(self.path)
        if all(error.file_of(fault) == file and not fault.where for fault in error.faults):
            return error  # of the file as a whole, which may be too large to read line by line
        lines = self.lines()
        if lines is None:
            return error

        def placed(fault: Fault) -> Fault:
            source = error.file_of(fault)
            where = place_in(lines, "" if source in {file, name} else source, fault.where)
            if where is None:
                return fault
            stated = where and not is_below(where, self.changed) and not where.startswith("line ")
            section = re.split(r"[.\[,]", where)[0]
            unwritten = section in _OPTIONAL and section not in lines
            line = fault.line or (line_of(lines, where) if stated and not unwritten else None)
            return replace(fault, where=where, line=line, file=file)

        def file_in(fault: Fault) -> str:
            return "" if fault.file == file else error.file_of(fault)

        faults = tuple(map(placed, error.faults))
        if faults == error.faults:
            return error
        moved = InputError(file, [replace(fault, file=file_in(fault)) for fault in faults])
        moved.more = error.more
        return moved


def place_in(keys: Container[str], source: str, where: str) -> str | None:
    """Return the place in a scenario of a fault; None where it is in another file.

    `keys`: of the scenario, those of its sections at least.
    `source`, `where`: of the fault: "" or ``"scenario"`` is the scenario itself, and a section stands for its
    keys.
    """
    if source in {"", "scenario"}:
        return where
    if source not in keys and source not in _OPTIONAL:
        return None
    if source == "carbon" and re.split(r"[.\[]", where)[0] in keys:
        return where
    joint = "." if re.fullmatch(r"\w+(?:\[\d+\])*", where) else ", "
    return joint.join(filter(None, (source, where)))


def is_below(where: str, paths: Iterable[str]) -> bool:
    """Whether a place is one of some paths, or below one."""
    return any(where == path or where.startswith((f"{path}.", f"{path}[")) for path in paths)
