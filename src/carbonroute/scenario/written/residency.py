"""Faults in where requests may be served: `allowed_regions` of origins and workloads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from carbonroute.errors import Fault, did_you_mean

#: Names of allowed regions, or None for all, by the place and the words of the member that states them.
Allowed = Mapping[tuple[str, str], Sequence[str] | None]


def residency_faults(origins: Allowed, workloads: Allowed, regions: Sequence[str]) -> Iterator[Fault]:
    """Yield faults of names, and of cells that no region may serve; places are those of the scenario."""
    faulty = set()
    for (place, _), allowed in (*origins.items(), *workloads.items()):
        for fault in () if allowed is None else _of_names(f"{place}.allowed_regions", allowed, regions):
            faulty.add(place)
            yield fault
    for origin, of_origin in origins.items():
        for workload, of_workload in workloads.items():
            if of_origin is None or of_workload is None or faulty.intersection((origin[0], workload[0])):
                continue
            if not set(of_origin).intersection(of_workload):
                yield from _nowhere(origin, of_origin, workload, of_workload)


def _of_names(where: str, allowed: Sequence[str], regions: Sequence[str]) -> Iterator[Fault]:
    if not allowed:
        yield Fault(where, "names no region", "name one at least, or leave the key out: all are allowed then")
    for index, name in enumerate(allowed):
        if name not in regions:
            problem = f"there is no region {name!r}"
            yield Fault(f"{where}[{index}]", problem, did_you_mean(name, regions), "unknown-name")
        elif allowed.index(name) != index:
            yield Fault(
                f"{where}[{index}]", f"{name!r} stands twice", "name each region once", "repeated-name"
            )


def _nowhere(
    origin: tuple[str, str], of_origin: Sequence[str], workload: tuple[str, str], of_workload: Sequence[str]
) -> Iterator[Fault]:
    """Yield the fault of a cell that no region may serve at both keys that it comes from."""
    remedy = f"allow a region to both: nothing could serve requests of {workload[1]} from {origin[1]}"
    for (place, _), allowed, other in ((origin, of_origin, workload[0]), (workload, of_workload, origin[0])):
        problem = f"{', '.join(allowed)}: not in {other}.allowed_regions"
        yield Fault(f"{place}.allowed_regions", problem, remedy, "no-allowed-region")
