"""``from = "aws:eu-west-1"``: keys of regions and origins that the catalogue of cloud regions fills in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from carbonroute.carbon import Accounting
from carbonroute.catalogue import CloudRegion, cloud_region, remedy_for, zones
from carbonroute.errors import Fault
from carbonroute.scenario.written.faults import refuse

_DEGREES_PER_HOUR = 15
#: Keys of the network that say where round-trip times come from.
_MEASURED = frozenset(("rtt_ms", "rtt_file", "missing"))


def region_filled(table: Any) -> Any:
    """Return a region's table with the keys that the catalogue knows; those that it states itself stay.

    The keys of ``carbon_profile`` are taken one by one. With another zone of the catalogue, the region has
    that zone's carbon.
    """
    known = _region_of(table)
    if known is None:
        return table
    stated = table.get("zone")
    zone = zones()[stated if isinstance(stated, str) and stated in zones() else known.zone]
    filled: dict[str, Any] = {
        **_place(known),
        "zone": zone.zone,
        "carbon_g_per_kwh": zone.mean_g_per_kwh,
        "carbon_profile": zone.profile(),
    }
    if known.pue is not None:
        filled["pue"] = known.pue
    elif "pue" not in table:
        remedy = f"the catalogue has no PUE of {known.id}: state pue"
        refuse([Fault(".pue", "missing", remedy, "missing-key")])
    own = table.get("carbon_profile")
    if isinstance(own, Mapping):
        table = {**table, "carbon_profile": {**filled["carbon_profile"], **own}}
    return {**filled, **table}


def origin_filled(table: Any) -> Any:
    """Return an origin's table with the keys that the catalogue knows; its local time is the sun's."""
    known = _region_of(table)
    if known is None:
        return table
    offset = float(round(known.longitude / _DEGREES_PER_HOUR))
    return {**_place(known), "utc_offset_hours": offset, **table}


def _place(known: CloudRegion) -> dict[str, Any]:
    return {
        "name": known.region,
        "latitude": known.latitude,
        "longitude": known.longitude,
        "continent": known.continent,
    }


def _region_of(table: Any) -> CloudRegion | None:
    """Return the region that a table is from; None where it states none, or no text."""
    key = table.get("from") if isinstance(table, Mapping) else None
    if not isinstance(key, str):
        return None
    known = cloud_region(key)
    if known is None:
        refuse([Fault(".from", f"the catalogue has no region {key!r}", remedy_for(key), "unknown-name")])
    return known


def accounting_of(zone: str) -> Accounting:
    """Return the accounting of the catalogue's figures of a zone."""
    rate, scope, boundary = zones()[zone].accounting.split(", ")
    return Accounting.spelled(rate=rate, scope=scope, boundary=boundary)


def completed(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a scenario's tables; one with regions of the catalogue need not say what follows from them.

    Round trips are estimated where nothing is measured and all places are known; synthetic carbon has the
    catalogue's accounting where all regions have its figures.
    """
    regions, origins = _tables(data.get("regions")), _tables(data.get("origins"))
    if not any("from" in region for region in regions):
        return data
    filled: dict[str, Any] = {}
    network, carbon = data.get("network", {}), data.get("carbon")
    is_placed = bool(origins) and all(map(_is_placed, (*regions, *origins)))
    if is_placed and isinstance(network, Mapping) and not _MEASURED & network.keys():
        filled["network"] = {**network, "missing": "great-circle"}
    if isinstance(carbon, Mapping) and carbon.get("kind") == "synthetic" and "accounting" not in carbon:
        own = {"carbon_g_per_kwh", "carbon"}
        if all("from" in region and not own & region.keys() for region in regions):
            labels = accounting_of(next(iter(zones()))).model_dump()
            filled["carbon"] = {**carbon, "accounting": labels}
    return {**data, **filled}


def _tables(members: object) -> list[Mapping[str, Any]]:
    """Return the tables of a list; none where it is no list of tables."""
    if isinstance(members, list) and all(isinstance(member, Mapping) for member in members):
        return members
    return []


def _is_placed(table: Mapping[str, Any]) -> bool:
    return "from" in table or {"latitude", "longitude"} <= table.keys()
