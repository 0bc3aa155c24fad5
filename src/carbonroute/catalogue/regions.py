"""Regions of cloud providers: place, coordinates, grid zone and PUE, each with its source."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Literal, get_args

from carbonroute.catalogue.tables import number, required, rows
from carbonroute.catalogue.zones import zones

Provider = Literal["aws", "gcp", "azure"]
PROVIDERS: tuple[Provider, ...] = get_args(Provider)

#: Similarity of two names from which one may be meant by the other (`difflib`: 1 is the same).
_SIMILAR = 0.78
_MOST_NAMED = 4


@dataclass(frozen=True)
class CloudRegion:
    """A region of a provider.

    Attributes
    ----------
    provider, region
        Names as the provider has them, such as ``"aws"`` and ``"eu-west-1"``.
    place, country, country_name, continent
        Town or state; ISO 3166 code, and its name; AF, AS, EU, ME (Middle East), NA, OC or SA.
    latitude, longitude
        Degrees, north and east positive.
    zone
        Key of its grid in `carbonroute.catalogue.zones`.
    balancing_authority
        EIA code, in the United States.
    pue, pue_year, pue_source
        Power usage effectiveness, or None where none is known; its year; its source, which begins with the
        area that the figure is of: ``region``, ``campus``, ``geography`` or ``FLEET``.
    location_source, zone_note
        Source of the coordinates; what speaks for the zone, and against it.
    """

    provider: str
    region: str
    place: str
    country: str
    country_name: str
    continent: str
    latitude: float
    longitude: float
    zone: str
    balancing_authority: str
    pue: float | None
    pue_year: int | None
    pue_source: str
    location_source: str
    zone_note: str

    @property
    def id(self) -> str:
        """Key in the catalogue, such as ``"aws:eu-west-1"``."""
        return f"{self.provider}:{self.region}"

    @property
    def pue_is_fleet(self) -> bool:
        """Whether the PUE is the provider's mean, and no figure of the region."""
        return self.pue_source.startswith("FLEET")

    @property
    def other_zone(self) -> str | None:
        """Another zone that is plausible, where sources disagree."""
        head, _, _ = self.zone_note.partition(".")
        return head.removeprefix("alt=") if head.startswith("alt=") else None

    @property
    def gaps(self) -> tuple[str, ...]:
        """Figures that are missing or no measurement of this region and zone, in words."""
        kinds = (
            ("no PUE", self.pue is None),
            ("PUE: fleet mean", self.pue_is_fleet),
            ("carbon: annual mean only", not zones()[self.zone].has_statistics),
            ("carbon: hourly shape doubtful", zones()[self.zone].is_doubtful),
            (f"zone: perhaps {self.other_zone}", self.other_zone is not None),
        )
        return tuple(words for words, holds in kinds if holds)


@cache
def cloud_regions() -> Mapping[str, CloudRegion]:
    """Return all regions by id, in the order of the table."""
    regions = (_region(row) for row in rows("regions"))
    return MappingProxyType({region.id: region for region in regions})


def _region(row: Mapping[str, str]) -> CloudRegion:
    year = number(row, "pue_year")
    figures = ("latitude", "longitude", "pue", "pue_year")
    return CloudRegion(
        **{column: text for column, text in row.items() if column not in figures},
        latitude=required(row, "latitude"),
        longitude=required(row, "longitude"),
        pue=number(row, "pue"),
        pue_year=None if year is None else int(year),
    )


def cloud_region(key: str) -> CloudRegion | None:
    """Return the region of an id, or None.

    >>> cloud_region("aws:eu-west-1").place
    'Dublin'
    """
    return cloud_regions().get(key)


def search(text: str = "", provider: str | None = None) -> list[CloudRegion]:
    """Return the regions with a text in id, place, country or zone, whatever its case.

    `text`: all of its words must be there; a country's code or a zone's key alone stands for all of its
    regions.
    `provider`: ``"aws"``, ``"gcp"`` or ``"azure"``; None for all.

    >>> [region.id for region in search("dublin")]
    ['aws:eu-west-1', 'azure:northeurope']
    """
    regions = [region for region in cloud_regions().values() if provider in {None, region.provider}]
    words = text.casefold().split()
    exact = [
        region for region in regions if text.casefold() in {region.country.casefold(), region.zone.casefold()}
    ]
    if exact:  # `in` is India, and not all that has these letters
        return exact
    return [region for region in regions if all(word in _searched(region) for word in words)]


def _searched(region: CloudRegion) -> str:
    return " ".join((region.id, region.place, region.country, region.country_name, region.zone)).casefold()


def remedy_for(key: str) -> str:
    """Return the remedy for an id that no region has.

    >>> remedy_for("Dubln")
    "did you mean 'aws:eu-west-1' or 'azure:northeurope'? `carbonroute regions` lists all"
    """
    near = nearest(key)
    question = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    return f"{question}`carbonroute regions` lists all"


def nearest(text: str, provider: str | None = None) -> list[str]:
    """Return the ids of regions whose id, name or place a text resembles, the most similar first.

    >>> nearest("eu-wst-1")[0], nearest("aws:eu_west_1")[0], nearest("Dubln")
    ('aws:eu-west-1', 'aws:eu-west-1', ['aws:eu-west-1', 'azure:northeurope'])
    """
    spelled = text.casefold().strip().replace("_", "-").replace("/", ":")
    spellings = {spelled, spelled.replace(" ", "-")}
    scores = {}
    for region in cloud_regions().values():
        if provider in {None, region.provider}:
            names = (region.id, region.region, region.place.casefold(), region.country_name.casefold())
            scores[region.id] = max(
                difflib.SequenceMatcher(None, one, name).ratio() for one in spellings for name in names
            )
    best = max(scores.values(), default=0.0)
    near = [key for key, score in scores.items() if score >= max(_SIMILAR, 0.9 * best)]
    return sorted(near, key=lambda key: -scores[key])[:_MOST_NAMED]
