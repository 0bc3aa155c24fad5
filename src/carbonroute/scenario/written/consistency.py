"""Faults between the sections of a scenario: names, shares, pools, energies, labels and round trips."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationInfo

from carbonroute.carbon import CarbonSource, Synthetic
from carbonroute.catalogue import zones
from carbonroute.errors import Fault, did_you_mean
from carbonroute.files.toml import key_text
from carbonroute.scenario.written.catalogued import accounting_of
from carbonroute.scenario.written.pools import Pool, pool_faults
from carbonroute.scenario.written.residency import Allowed
from carbonroute.scenario.written.sections import Region, Workload

SHARE_TOLERANCE = 1e-9
MAX_MEMBERS = 1000


def repeated(names: Sequence[str], what: str) -> list[Fault]:
    """Return the faults in the number of members, and in names that stand twice."""
    if not 1 <= len(names) <= MAX_MEMBERS:
        return [Fault("", f"found {len(names)}", f"1 to {MAX_MEMBERS} are expected")]
    return [
        Fault(
            f"[{index}].{what}",
            f"{name!r} stands at [{names.index(name)}] too",
            "names must differ",
            "repeated-name",
        )
        for index, name in enumerate(names)
        if names.index(name) != index
    ]


def not_one(shares: Iterable[float]) -> list[Fault]:
    """Return the fault of shares whose sum is not 1."""
    total = math.fsum(shares)
    if abs(total - 1) <= SHARE_TOLERANCE:
        return []
    remedy = f"they must sum to 1 (tolerance {SHARE_TOLERANCE:g})"
    return [Fault("", f"the shares sum to {total:.12g}", remedy, "shares-not-1")]


def by_power(workload: str, regions: Sequence[Region], pools: Sequence[Pool]) -> bool:
    """Whether replicas of known power serve a workload in every region."""
    serving = [
        [pool for pool in region.pools or pools if workload in (pool.workloads or (workload,))]
        for region in regions
    ]
    return bool(serving) and all(
        own and all(pool.llm is not None and pool.llm.has_power for pool in own) for own in serving
    )


def unpowered(workloads: Sequence[Workload], regions: Sequence[Region], pools: Sequence[Pool]) -> list[int]:
    """Return the workloads whose energy is neither stated nor that of replicas."""
    return [
        index
        for index, workload in enumerate(workloads)
        if not (workload.has_energy or by_power(workload.id, regions, pools))
    ]


def without_energy(
    workloads: Sequence[Workload], regions: Sequence[Region], pools: Sequence[Pool]
) -> Iterator[Fault]:
    """Yield a fault for each workload without energy beside others that state theirs."""
    if not any(workload.has_energy for workload in workloads):
        return
    remedy = "state the energy of all workloads, or of none"
    if any(pool.llm for region in regions for pool in region.pools or pools):
        remedy += "; those served by llm of known power in every region need none"
    for index in unpowered(workloads, regions, pools):
        yield Fault(f"workloads[{index}].energy_j", "missing", remedy)


def counted_otherwise(regions: Sequence[Region], carbon: CarbonSource | None) -> Iterator[Fault]:
    """Yield a fault for each mean of the catalogue beside a label that is not its own."""
    if not isinstance(carbon, Synthetic):
        return
    stated = carbon.accounting.model_dump(exclude_none=True)
    for index, region in enumerate(regions):
        zone = zones().get(region.zone or "")
        if region.from_ is None or zone is None or region.carbon is not None:
            continue
        known = accounting_of(zone.zone)
        differ = any(getattr(known, key) != label for key, label in stated.items())
        if differ and region.carbon_g_per_kwh == zone.mean_g_per_kwh:
            problem = f"the catalogue's carbon is {known}, and carbon.accounting says {carbon.accounting}"
            remedy = "leave carbon.accounting out, or state carbon_g_per_kwh"
            yield Fault(f"[{index}].from", problem, remedy, "mixed-accounting")


def allowed(section: str, key: str, info: ValidationInfo) -> Allowed:
    """Return the regions that members of a section allow, by their places and names."""
    return {
        (f"{section}[{index}]", getattr(member, key)): member.allowed_regions
        for index, member in enumerate(info.data.get(section, ()))
    }


def inheriting(region: Any, carbon: CarbonSource | None) -> Any:
    """Return a region's table with all keys of its own carbon."""
    own = region.get("carbon") if isinstance(region, dict) else None
    if not isinstance(own, dict) or "kind" in own:
        return region
    # Faults of the scenario's carbon are told once.
    return {**region, "carbon": None if carbon is None else carbon.inherited(own)}


def unfit(pools: Sequence[Pool], info: ValidationInfo) -> Iterator[Fault]:
    """Yield the faults of one region's pools, where there are any and the workloads are known."""
    workloads = info.data.get("workloads")
    if pools and workloads:
        silent = [workload.id for workload in workloads if not workload.has_energy]
        yield from pool_faults(pools, [workload.id for workload in workloads], silent)


def misplaced(
    path: str, kind: str, given: Mapping[str, Any], expected: Sequence[str], complete: bool
) -> Iterator[Fault]:
    """Yield a fault for each name in a table of round-trip times that is not wanted, or not there."""
    for name in dict.fromkeys([*given, *expected]):
        where = f"{path}.{key_text(name)}"
        if name in given and name not in expected:
            yield Fault(
                where, f"there is no {kind} of this name", did_you_mean(name, expected), "unknown-name"
            )
        elif complete and name not in given:
            yield Fault(
                where, "missing", f"a round-trip time in ms is needed for every {kind}", "missing-key"
            )
