"""Every preset: one inference server or proxy, one file, and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType

from carbonroute.live.observe.preset import Preset
from carbonroute.live.observe.scope import Scope

#: Modules of this package that have a `PRESET`.
_ENGINES = ("vllm", "sglang", "tgi", "triton", "envoy")
#: Modules of this package that have a `query` of energy.
_METERS = ("dcgm", "kepler")


def _module(name: str) -> str:
    return f"{__name__.rpartition('.')[0]}.{name}"


ENGINES: Mapping[str, Preset] = MappingProxyType(
    {name: import_module(_module(name)).PRESET for name in _ENGINES}
)
METERS: Mapping[str, Callable[[Scope], str]] = MappingProxyType(
    {name: import_module(_module(name)).query for name in _METERS}
)
