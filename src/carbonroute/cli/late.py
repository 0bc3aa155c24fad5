"""Libraries that take long to import, imported when they are first used."""

from __future__ import annotations

import sys
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any


class _Late(ModuleType):
    """A module that is imported when one of its attributes is first asked for.

    `importlib.util.LazyLoader` imports it at the next ``import`` of it already, which asks for its spec.
    """

    def __getattr__(self, name: str) -> Any:
        spec = self.__spec__
        if spec is None or spec.loader is None:
            raise AttributeError(name)
        self.__class__ = ModuleType  # type: ignore[assignment]  # a plain module from now on
        if spec.submodule_search_locations is not None:
            self.__path__ = spec.submodule_search_locations
        spec.loader.exec_module(self)
        return getattr(self, name)


def import_late(name: str) -> None:
    """Let ``import NAME`` cost nothing until an attribute of the module, or a part of it, is used.

    Nothing changes where it is imported already.
    """
    spec = None if name in sys.modules else find_spec(name)
    if spec is None or spec.loader is None:
        return  # not installed: the import itself says so
    module = module_from_spec(spec)
    vars(module).pop("__path__", None)  # whoever imports a part of it asks for this first
    module.__class__ = _Late
    sys.modules[name] = module
