"""What is measured: one subject, one file, and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from benchmarks import (
    engine,
    everyday,
    exact,
    importing,
    inspecting,
    live,
    optimal,
    process,
    queues,
    real,
    replicas,
    scale,
    scaling,
    studies,
)
from benchmarks.measuring import Row, Size

Subject = Callable[[Size], list[Row]]

SUBJECTS: Mapping[str, Subject] = MappingProxyType(
    {
        "engine": engine.measure,
        "exact": exact.measure,
        "scale": scale.measure,
        "scaling": scaling.measure,
        "process": process.measure,
        "everyday": everyday.measure,
        "real": real.measure,
        "queue": queues.measure,
        "replicas": replicas.measure,
        "optimal": optimal.measure,
        "study": studies.measure,
        "import": importing.measure,
        "inspect": inspecting.measure,
        "live": live.measure,
    }
)
