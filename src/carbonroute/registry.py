"""Registries of policies and other families: from a name in a file to a built-in, installed or user class."""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from traceback import extract_tb
from types import ModuleType

from carbonroute.errors import CarbonrouteError, InputError, described, did_you_mean, is_interrupt
from carbonroute.files.limits import MAX_CODE_BYTES
from carbonroute.files.text import read_bytes


class UnknownReferenceError(CarbonrouteError):
    """A reference names no usable class; carries the problem, its remedy, and a line of code at fault."""

    def __init__(self, found: str, remedy: str, line: int | None = None) -> None:
        self.found = found
        self.remedy = remedy
        self.line = line
        super().__init__(found, remedy)


@dataclass(frozen=True)
class Found:
    """The class that a reference names.

    `digest`: SHA-256 of the file whose code was run for it, in hexadecimal; None where the reference names no
    file.
    """

    member: type
    digest: str | None = None


class Registry:
    """The members of one family, by name.

    `kind`: noun for a member, in messages.
    `group`: entry-point group by which installed packages add theirs.
    """

    def __init__(self, kind: str, members: Mapping[str, type], group: str) -> None:
        self.kind = kind
        self.members = dict(members)
        self.group = group

    def installed(self) -> dict[str, str]:
        """Return the members that installed packages bring: name -> ``"package.module:Class"``."""
        return {point.name: point.value for point in entry_points(group=self.group)}

    def is_foreign(self, reference: str) -> bool:
        """Whether a reference names code of a file, a module or an installed package."""
        return reference not in self.members and (":" in reference or reference in self.installed())

    def find(self, reference: str, folder: Path) -> Found:
        """Return the class that a reference names, with the digest of its code.

        `reference`: a member's name, ``"package.module:Class"``, or ``"file.py:Class"``.
        `folder`: where files are looked for: the scenario's own folder. Code from elsewhere is not run.
        Raises UnknownReferenceError if there is no such class.
        """
        if reference in self.members:
            return Found(self.members[reference])
        place, separator, attribute = reference.partition(":")
        if not separator:
            return Found(self._installed_class(reference))
        if not place.endswith(".py"):
            return Found(_class_in(self._module(place), place, attribute))
        module, digest = self._file(place, folder)
        return Found(_class_in(module, place, attribute), digest)

    def source(self, reference: str, folder: Path) -> Path | None:
        """Return the file that a ``"file.py:Class"`` reference reads, or None for any other reference."""
        place = reference.partition(":")[0]
        return folder / place if place.endswith(".py") else None

    def _installed_class(self, name: str) -> type:
        installed = self.installed()
        if name not in installed:
            known = [*self.members, *installed, "package.module:Class", "file.py:Class"]
            raise UnknownReferenceError(f"there is no {self.kind} {name!r}", did_you_mean(name, known))
        module, _, attribute = installed[name].partition(":")
        return _class_in(self._module(module), module, attribute)

    def _module(self, name: str) -> ModuleType:
        try:
            return importlib.import_module(name)
        except BaseException as error:  # any code may run at import, and fail in any way
            if is_interrupt(error):
                raise
            raise UnknownReferenceError(
                f"cannot import {name!r} ({described(error)})",
                f"a {self.kind} outside a package is named by its file: 'file.py:Class'",
            ) from error

    def _file(self, place: str, folder: Path) -> tuple[ModuleType, str]:
        path, content = self._beside(place, folder)
        # The content is part of the name: an edited file is loaded anew within one process.
        name = f"carbonroute_user_{path.stem}_{hashlib.sha256(bytes(path) + content).hexdigest()[:12]}"
        if name not in sys.modules:
            self._run(name, path, content)
        return sys.modules[name], hashlib.sha256(content).hexdigest()

    def _beside(self, place: str, folder: Path) -> tuple[Path, bytes]:
        try:
            path = (folder / place).resolve()
            inside, exists = path.is_relative_to(folder.resolve()), path.exists()
            content = read_bytes(path, place, MAX_CODE_BYTES) if inside and exists else b""
        # RuntimeError: links in a circle; ValueError: a NUL in the name
        except (OSError, RuntimeError, ValueError) as error:
            remedy = f"name the {self.kind}'s file beside the scenario"
            raise UnknownReferenceError(f"cannot read {place} ({error})", remedy) from error
        except InputError as error:
            raise UnknownReferenceError(f"{place} {error.faults[0].found}", error.faults[0].remedy) from error
        if not inside:
            problem = f"{place} lies outside the scenario's folder, and is not run"
            raise UnknownReferenceError(problem, "put the file beside the scenario")
        if not exists:
            beside = [file.name for file in sorted(folder.glob("*.py")) if file.is_file()]
            raise UnknownReferenceError(f"there is no file {place}", did_you_mean(place, beside))
        return path, content

    def _run(self, name: str, path: Path, content: bytes) -> None:
        """Run a file's code as a new module. No compiled copy is left beside it, nor an older one taken."""
        module = sys.modules[name] = ModuleType(name)
        module.__file__ = str(path)
        try:
            exec(compile(content, path, "exec", dont_inherit=True), vars(module))  # noqa: S102  the user names it to be run
        except BaseException as error:  # any code may run at import, and fail in any way
            del sys.modules[name]
            if is_interrupt(error):
                raise
            frames = [frame for frame in extract_tb(error.__traceback__) if frame.filename == str(path)]
            number = frames[-1].lineno if frames else None
            line = f"line {number}: " if number else ""
            if isinstance(error, SyntaxError) and error.filename == str(path):
                number = error.lineno  # its text states it too
            problem = f"{path.name} fails when it is run ({line}{described(error)})"
            raise UnknownReferenceError(problem, f"mend the {self.kind}", number) from error


def _class_in(module: ModuleType, place: str, name: str) -> type:
    member = getattr(module, name, None)
    if isinstance(member, type):
        return member
    classes = {name: value for name, value in vars(module).items() if isinstance(value, type)}
    own = [name for name, value in classes.items() if value.__module__ == module.__name__]
    raise UnknownReferenceError(f"{place} has no class {name!r}", did_you_mean(name, own or classes))
