"""``from = "aws:eu-west-1"``: keys of regions and origins that the catalogue of cloud regions fills in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from carbonroute.carbon import Accounting
from carbonroute.catalogue import CloudRegion, cloud_region, nearest, zones
from carbonroute.errors import Fault
from carbonroute.scenario.written.faults import refuse

_DEGREES_PER_HOUR = 15


def region_filled(table: Any) -> Any:
    """Return a region's table with the keys that the catalogue knows; those that it states itself stay.

    The keys of ``carbon_profile`` are taken one by one. With another zone of the catalogue, the region has
    that zone's carbon.
    """
    known = _found(table)
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
    known = _found(table)
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


def _found(table: Any) -> CloudRegion | None:
    """Return the region that a table is from; None where it states none, or no text."""
    key = table.get("from") if isinstance(table, Mapping) else None
    if not isinstance(key, str):
        return None
    known = cloud_region(key)
    if known is None:
        near = nearest(key)
        question = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
        remedy = f"{question}`carbonroute regions` lists all"
        refuse([Fault(".from", f"the catalogue has no region {key!r}", remedy, "unknown-name")])
    return known


def accounting_of(zone: str) -> Accounting:
    """Return what the catalogue's figures of a zone count."""
    rate, scope, boundary = zones()[zone].accounting.split(", ")
    return Accounting.spelled(rate=rate, scope=scope, boundary=boundary)


def completed(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a scenario's tables; those whose regions are all from the catalogue need not say what follows.

    Round trips are estimated where nothing is measured and all origins are from the catalogue too; synthetic
    carbon has the catalogue's accounting where no region states a mean of its own.
    """
    regions, origins = data.get("regions"), data.get("origins")
    if not _are_from(regions):
        return data
    filled: dict[str, Any] = {}
    network = data.get("network", {})
    measured = isinstance(network, Mapping) and {"rtt_ms", "rtt_file", "missing"} & network.keys()
    if _are_from(origins) and isinstance(network, Mapping) and not measured:
        filled["network"] = {**network, "missing": "great-circle"}
    carbon = data.get("carbon")
    if isinstance(carbon, Mapping) and carbon.get("kind") == "synthetic" and "accounting" not in carbon:
        own = any(key in region for region in regions or () for key in ("carbon_g_per_kwh", "carbon"))
        if not own:
            labels = accounting_of(next(iter(zones()))).model_dump()
            filled["carbon"] = {**carbon, "accounting": labels}
    return {**data, **filled}


def _are_from(members: object) -> bool:
    """Whether all members of a list are from the catalogue."""
    if not isinstance(members, list) or not members:
        return False
    return all(isinstance(member, Mapping) and "from" in member for member in members)
