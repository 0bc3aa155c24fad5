"""Engines: from a scenario's arrays to one outcome per policy. One engine, one file, and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from carbonroute.engines import exact, queued, sampled
from carbonroute.outcome import Outcome

Engine = Callable[..., tuple[Outcome, ...]]

ENGINES: Mapping[str, Engine] = MappingProxyType(
    {"sampled": sampled.run, "exact": exact.run, "queued": queued.run}
)

__all__ = ["ENGINES", "Engine"]
