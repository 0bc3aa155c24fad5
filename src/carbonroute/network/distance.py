"""Great circles: a round-trip time that nobody measured, and the one that nothing can undercut."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np

from carbonroute.arrays import Array, Mask
from carbonroute.errors import Fault, InputError, first_faults

#: Mean radius R₁ = (2a + b)/3 of the ellipsoid (H. Moritz, Geodetic Reference System 1980, Journal of Geodesy
#: 74, 2000, p. 131). A great circle on this sphere errs by up to 0.6 %.
EARTH_RADIUS_KM = 6371.0088

#: In vacuum, by the definition of the metre.
LIGHT_KM_PER_MS = 299.792458

#: Some 204 km/ms: the group index of standard single-mode fibre is 1.468 (Corning SMF-28, 1,310 to 1,550 nm).
FIBRE_KM_PER_MS = LIGHT_KM_PER_MS / 1.468

#: Fitted to 1,089 medians between 33 AWS regions (cloudping.co, year to July 2025) by least absolute error of
#: the logarithm: half of the estimates lie within 15 % of what was measured, nine tenths within 37 %.
#: Between regions they are too high by up to 52 %, and too low by up to 74 %: where cables make detours, as
#: around Africa and in the Middle East.
ROUTE_FACTOR = 1.7
ACCESS_MS = 4.0


#: Continents; ME: the Middle East. Its cables are its own, and long.
Continent = Literal["AF", "AS", "EU", "ME", "NA", "OC", "SA"]

#: Length of the cables over the great circle by pair of continents, and what both ends take, ms: fitted to
#: medians between regions of AWS, Google Cloud and Azure together. docs/catalogue.md has the sources.
CONTINENT_FACTORS: Mapping[str, float] = MappingProxyType(
    {
        "AF-AF": 1.84,
        "AF-AS": 2.06,
        "AF-EU": 1.67,
        "AF-ME": 2.44,
        "AF-NA": 1.67,
        "AF-OC": 2.65,
        "AF-SA": 2.89,
        "AS-AS": 1.66,
        "AS-EU": 2.10,
        "AS-ME": 2.10,
        "AS-NA": 1.45,
        "AS-OC": 1.52,
        "AS-SA": 1.67,
        "EU-EU": 1.89,
        "EU-ME": 2.31,
        "EU-NA": 1.57,
        "EU-OC": 1.55,
        "EU-SA": 1.97,
        "ME-ME": 2.41,
        "ME-NA": 1.77,
        "ME-OC": 1.50,
        "ME-SA": 2.35,
        "NA-NA": 1.73,
        "NA-OC": 1.24,
        "NA-SA": 1.61,
        "OC-OC": 1.46,
        "OC-SA": 2.29,
        "SA-SA": 1.89,
    }
)
CONTINENT_ACCESS_MS = 4.3

#: How far estimates are from what was measured, for people.
PLAIN_ERROR = "half of such estimates lie within 15 % of what was measured, nine tenths within 37 %"
CONTINENT_ERROR = "half of such estimates lie within 11 % of what was measured, nine tenths within 32 %"


@dataclass(frozen=True)
class Locations:
    """Origins or regions on the map.

    `degrees`: latitude and longitude, north and east positive, shape (n, 2); NaN where they are not stated.
    `continents`: their continents, None where none is stated; empty where none of them is.
    """

    names: Sequence[str]
    degrees: Array
    continents: Sequence[Continent | None] = ()

    @property
    def known(self) -> Mask:
        """Which have coordinates, shape (n,)."""
        known: Mask = ~np.isnan(self.degrees.sum(axis=1))
        return known


def great_circle_km(latitude: Array, longitude: Array, to_latitude: Array, to_longitude: Array) -> Array:
    """Return the distance between points on the Earth's surface, km, by the haversine formula.

    `latitude`, `longitude`, `to_latitude`, `to_longitude`: degrees, of shapes that broadcast.

    From Frankfurt am Main to Singapore:

    >>> great_circle_km(*np.array([50.11, 8.68, 1.35, 103.82])).round()
    np.float64(10258.0)
    """
    phi, to_phi = np.radians(latitude), np.radians(to_latitude)
    half_east = np.radians(to_longitude - longitude) / 2
    # Formula great-circle.
    haversine = np.sin((to_phi - phi) / 2) ** 2 + np.cos(phi) * np.cos(to_phi) * np.sin(half_east) ** 2
    km: Array = 2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.minimum(haversine, 1.0)))
    return km


def estimated_rtt_ms(
    distance_km: Array, route_factor: float | Array = ROUTE_FACTOR, access_ms: float | Array = ACCESS_MS
) -> Array:
    """Return a round trip's estimated time, ms: 2 · distance · route_factor / speed in fibre + access_ms.

    Parameters
    ----------
    distance_km
        Along the great circle, any shape.
    route_factor
        Length of the cables over that distance, the time in routers included.
    access_ms
        What both ends take, whatever the distance.
    """
    return 2 * distance_km * route_factor / FIBRE_KM_PER_MS + access_ms


def by_continents(origins: Locations, regions: Locations) -> Mask:
    """Return the pairs of places whose continents are both known, shape (O, R)."""
    start, end = (
        np.array([continent is not None for continent in places.continents or [None] * len(places.names)])
        for places in (origins, regions)
    )
    pairs: Mask = start[:, np.newaxis] & end
    return pairs


def estimates_ms(origins: Locations, regions: Locations) -> Array:
    """Return the estimated round-trip times of all pairs, ms, shape (O, R); NaN without coordinates.

    A pair whose continents are known has the route factor of these two, another one that of all pairs.
    """
    km, known = _distance_km(origins, regions), by_continents(origins, regions)
    factors = np.full(km.shape, ROUTE_FACTOR)
    for o, r in np.argwhere(known):
        pair = sorted((str(origins.continents[o]), str(regions.continents[r])))
        factors[o, r] = CONTINENT_FACTORS["-".join(pair)]
    return estimated_rtt_ms(km, factors, np.where(known, CONTINENT_ACCESS_MS, ACCESS_MS))


def complete(
    rtt_ms: Array, origins: Locations, regions: Locations, file_name: str
) -> tuple[Array, list[tuple[str, str]]]:
    """Return round-trip times with estimates where there are none, ms, and the pairs that were estimated.

    Raises InputError if a pair is to be estimated and one of its ends has no coordinates.

    Parameters
    ----------
    rtt_ms
        Shape (O, R), NaN where it is to be estimated.
    origins, regions
        The rows and columns.
    file_name
        Where the times come from, as messages call it.
    """
    missing = np.isnan(rtt_ms)
    faults = first_faults(
        Fault(
            f"{what} {places.names[i]!r}",
            f"has no coordinates, and no round-trip time {word} {others.names[int(lacks[i].argmax())]!r}",
            "state latitude and longitude, or the time",
        )
        for what, places, lacks, word, others in (
            ("origin", origins, missing, "to", regions),
            ("region", regions, missing.T, "from", origins),
        )
        for i in np.flatnonzero(lacks.any(axis=1) & ~places.known).tolist()
    )
    if faults:
        raise InputError(file_name, faults)
    estimated = [(origins.names[o], regions.names[r]) for o, r in np.argwhere(missing)]
    return np.where(missing, estimates_ms(origins, regions), rtt_ms), estimated


def refuse_faster_than_light(rtt_ms: Array, origins: Locations, regions: Locations, file_name: str) -> None:
    """Refuse round-trip times that light would need longer for: seconds, say, that were to be milliseconds.

    Raises InputError if a time is below 2 · distance / speed of light in vacuum.

    Parameters
    ----------
    rtt_ms
        Shape (O, R); NaN, and pairs without coordinates, are not looked at.
    origins, regions
        The rows and columns.
    file_name
        Where the times come from, as messages call it.
    """
    distance_km = _distance_km(origins, regions)
    floor_ms = 2 * distance_km / LIGHT_KM_PER_MS
    faults: Iterator[Fault] = (
        Fault(
            f"{origins.names[o]} to {regions.names[r]}",
            f"found {rtt_ms[o, r]:g} ms over {distance_km[o, r]:,.0f} km",
            f"light takes {floor_ms[o, r]:.3g} ms there and back: check unit (ms) and coordinates",
        )
        for o, r in np.argwhere(rtt_ms < floor_ms)  # False for NaN
    )
    if first := first_faults(faults):
        raise InputError(file_name, first)


def _distance_km(origins: Locations, regions: Locations) -> Array:
    return great_circle_km(*origins.degrees.T[..., np.newaxis], *regions.degrees.T)
