"""How a name in a file becomes a class: a family's members, and anyone's own."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from carbonroute.errors import CarbonrouteError, did_you_mean


class LookupFailure(CarbonrouteError):
    """A reference names nothing that can be used: what was found, and what would be right."""

    def __init__(self, found: str, remedy: str) -> None:
        self.found = found
        self.remedy = remedy
        super().__init__(found, remedy)


class Registry:
    """The members of one family, by name.

    Parameters
    ----------
    kind
        What a member is called, for messages.
    members
        Built-in members.
    group
        Entry-point group by which installed packages add theirs.
    """

    def __init__(self, kind: str, members: Mapping[str, type], group: str) -> None:
        self.kind = kind
        self.members = dict(members)
        self.group = group

    def installed(self) -> dict[str, str]:
        """Return the members that installed packages bring: name -> ``"package.module:Class"``."""
        return {point.name: point.value for point in entry_points(group=self.group)}

    def find(self, reference: str, folder: Path) -> type:
        """Return the class that a reference names.

        Parameters
        ----------
        reference
            A member's name, ``"package.module:Class"``, or ``"file.py:Class"``.
        folder
            Where files are looked for: the scenario's own folder. Code from elsewhere is not run.

        Raises
        ------
        LookupFailure
            If there is no such thing.
        """
        if reference in self.members:
            return self.members[reference]
        place, separator, attribute = reference.partition(":")
        if not separator:
            return self._installed_class(reference)
        module = self._file(place, folder) if place.endswith(".py") else self._module(place)
        found = getattr(module, attribute, None)
        if not isinstance(found, type):
            classes = [name for name, value in vars(module).items() if isinstance(value, type)]
            raise LookupFailure(f"{place} has no class {attribute!r}", did_you_mean(attribute, classes))
        return found

    def source(self, reference: str, folder: Path) -> Path | None:
        """Return the file that a ``"file.py:Class"`` reference reads, or None for any other reference."""
        place = reference.partition(":")[0]
        return folder / place if place.endswith(".py") else None

    def _installed_class(self, name: str) -> type:
        installed = self.installed()
        if name not in installed:
            known = [*self.members, *installed, "package.module:Class", "file.py:Class"]
            raise LookupFailure(f"there is no {self.kind} {name!r}", did_you_mean(name, known))
        module, _, attribute = installed[name].partition(":")
        loaded: type = getattr(self._module(module), attribute)
        return loaded

    def _module(self, name: str) -> Any:
        try:
            return importlib.import_module(name)
        except Exception as error:  # any code may run at import, and fail in any way
            raise LookupFailure(
                f"cannot import {name!r} ({type(error).__name__}: {error})",
                f"a {self.kind} outside a package is named by its file: 'file.py:Class'",
            ) from error

    def _file(self, place: str, folder: Path) -> Any:
        path = (folder / place).resolve()
        if not path.is_relative_to(folder.resolve()):
            raise LookupFailure(
                f"{place} lies outside the scenario's folder", "put the file beside the scenario"
            )
        if not path.is_file():
            beside = [found.name for found in sorted(folder.glob("*.py"))]
            raise LookupFailure(f"there is no file {place}", did_you_mean(place, beside))
        # The content is part of the name: an edited file is loaded anew within one process.
        content = path.read_bytes()
        name = f"carbonroute_user_{path.stem}_{hashlib.sha256(bytes(path) + content).hexdigest()[:12]}"
        if name in sys.modules:
            return sys.modules[name]
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except Exception as error:  # any code may run at import, and fail in any way
            del sys.modules[name]
            raise LookupFailure(
                f"{place} fails when it is run ({type(error).__name__}: {error})", f"mend the {self.kind}"
            ) from error
        return module
