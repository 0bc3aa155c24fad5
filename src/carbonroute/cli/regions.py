"""``carbonroute regions``: search the catalogue of cloud regions."""

from __future__ import annotations

from typing import Any, Literal

from carbonroute.catalogue import CloudRegion, nearest, search, zones
from carbonroute.cli.options import Json
from carbonroute.cli.terminal import DONE, MISSED, empty_table, out, print_json, say

_NUMBERS = ("g/kWh", "PUE")


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
    matches = search(words, provider)
    if json:
        print_json([_as_json(region) for region in matches])
    elif matches:
        _print(matches)
    if matches:
        return DONE
    near = nearest(words, provider)
    remedy = f"did you mean {', '.join(near)}?" if near else "`carbonroute regions` lists all"
    say(f"no region of the catalogue matches {words!r}; {remedy}")
    return MISSED


def _print(matches: list[CloudRegion]) -> None:
    table = empty_table()
    for heading in ("region", "place", "zone", "g/kWh", "PUE", "assumed or missing"):
        table.add_column(heading, justify="right" if heading in _NUMBERS else "left")
    for region in matches:
        place = region.place if region.place == region.country_name else f"{region.place}, {region.country}"
        pue = "none" if region.pue is None else f"{region.pue:.2f}"
        mean = f"{zones()[region.zone].mean_g_per_kwh:.0f}"
        table.add_row(region.id, place, region.zone, mean, pue, "; ".join(region.gaps))
    console = out()
    console.print(table)
    console.print(
        "g/kWh: mean of 2024, average, life-cycle, consumption. Sources: --json, docs/catalogue.md.",
        soft_wrap=True,
    )


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
