"""Doubts and sources of the catalogue's figures that a scenario uses: notes of its results."""

from __future__ import annotations

from collections.abc import Iterator

from carbonroute.carbon import Synthetic
from carbonroute.catalogue import CloudRegion, Zone, cloud_region, zones
from carbonroute.scenario.written.model import Scenario
from carbonroute.scenario.written.sections import Factor, Region
from carbonroute.traffic.diurnal import Diurnal


def catalogue_notes(scenario: Scenario) -> Iterator[str]:
    """Yield the assumptions behind figures of the catalogue, each with the regions that it concerns."""
    known = {region.name: cloud_region(region.from_) for region in scenario.regions if region.from_}
    regions = {name: cloud for name, cloud in known.items() if cloud is not None}
    by_name = {region.name: region for region in scenario.regions}
    fleet: dict[str, list[str]] = {}
    for name, cloud in regions.items():
        if cloud.pue_is_fleet and by_name[name].pue == cloud.pue:
            fleet.setdefault(f"{cloud.provider}, {cloud.pue:g}", []).append(name)
    for provider, names in fleet.items():
        yield f"PUE of {', '.join(names)}: the mean of all the provider's sites ({provider}), assumed here"
    for name, cloud in regions.items():
        zone = _zone_of(scenario, by_name[name])
        if zone is not None:
            yield from _of_carbon(name, zone, cloud)
    if isinstance(scenario.traffic, Diurnal) and (names := [o.name for o in scenario.origins if o.from_]):
        yield f"local time of {', '.join(names)}: that of the sun, by longitude, where none is stated"


def carbon_source(scenario: Scenario) -> str:
    """Return whom to cite for synthetic carbon that is made from the catalogue; empty if none is."""
    used = [zone for region in scenario.regions if (zone := _zone_of(scenario, region))]
    return "; ".join(dict.fromkeys(f"catalogue of grid zones: {zone.source}" for zone in used))


def factor_source(scenario: Scenario, factor: Factor) -> str:
    """Return the source of a factor between energy and grams that the catalogue fills in, or nothing."""
    if factor != "pue":
        return ""
    regions = [(region, cloud_region(region.from_)) for region in scenario.regions if region.from_]
    cited = {cloud.id: cloud.pue_source for region, cloud in regions if cloud and cloud.pue == region.pue}
    return "; ".join(f"{key}: {source}" for key, source in cited.items())


def _zone_of(scenario: Scenario, region: Region) -> Zone | None:
    """Return the catalogue's zone that a region's synthetic carbon is made from."""
    profile, source = region.carbon_profile, region.carbon or scenario.carbon
    if not isinstance(source, Synthetic) or profile is None or profile.grid is None:
        return None
    return zones().get(profile.grid)


def _of_carbon(name: str, zone: Zone, cloud: CloudRegion) -> Iterator[str]:
    if zone.statistics is None:
        yield f"carbon of {name}: assumed constant; the catalogue has but the annual mean of grid {zone.zone}"
    elif zone.is_doubtful:
        yield (
            f"carbon of {name}: {zone.statistics.constant_hours_pct:.0f} % of the hours of grid {zone.zone} "
            "repeat the one before, so that the shape of its hours is no measurement"
        )
    if cloud.other_zone is not None and zone.zone == cloud.zone:
        yield f"grid of {name}: {zone.zone}, but {cloud.other_zone} is plausible too (docs/catalogue.md)"
