"""``carbonroute regions``: search the catalogue of cloud regions."""

from __future__ import annotations

from typing import Any, Literal

from carbonroute.catalogue import CloudRegion, nearest, search, zones
from carbonroute.cli.listing import Listing
from carbonroute.cli.options import Json


def _as_json(region: CloudRegion) -> dict[str, Any]:
    zone = zones()[region.zone]
    statistics = None if zone.statistics is None else vars(zone.statistics)
    return {
        "id": region.id,
        **vars(region),
        "gaps": region.gaps,
        "carbon": {
            "mean_g_per_kwh": zone.mean_g_per_kwh,
            "year": zone.year,
            "accounting": zone.accounting,
            "annual_means": dict(zone.annual_means),
            "annual_2024_other_release": zone.annual_2024_other_release,
            "statistics": statistics,
            "source": zone.source,
            "note": zone.note,
        },
    }


def _place(region: CloudRegion) -> str:
    return region.place if region.place == region.country_name else f"{region.place}, {region.country}"


_LISTING = Listing[CloudRegion](
    kind="region",
    columns={
        "region": lambda region: region.id,
        "place": _place,
        "zone": lambda region: region.zone,
        "g/kWh": lambda region: f"{zones()[region.zone].mean_g_per_kwh:.0f}",
        "PUE": lambda region: "none" if region.pue is None else f"{region.pue:.2f}",
        "assumed or missing": lambda region: "; ".join(region.gaps),
    },
    texts=frozenset({"region", "place", "zone", "assumed or missing"}),
    note="g/kWh: mean of 2024, average, life-cycle, consumption. Sources: --json, docs/catalogue.md.",
    as_json=_as_json,
)


def regions(
    *text: str,
    provider: Literal["aws", "gcp", "azure"] | None = None,
    json: Json = False,
) -> int:
    """List cloud regions: place, grid zone, mean carbon intensity and PUE, and which figures are assumed.

    A scenario takes one by ``[[regions]] from = "aws:eu-west-1"``. The exit code is 1 where none matches.

    Parameters
    ----------
    text
        Part of an id, a place, a country or a grid zone; all words must match. Without, all regions.
    provider
        One provider's regions alone.
    json
        Print all that the catalogue knows as JSON, sources included.
    """
    words = " ".join(text)

    def remedy() -> str:
        near = nearest(words, provider)
        return f"did you mean {', '.join(near)}?" if near else "`carbonroute regions` lists all"

    return _LISTING.show(words, search(words, provider), remedy, json=json)
