"""From the network section to round-trip times and jitter of every origin and region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from carbonroute.arrays import Array, Mask
from carbonroute.errors import Fault, InputError, first_faults
from carbonroute.files.text import Digests
from carbonroute.files.toml import key_text
from carbonroute.network import (
    CONTINENT_ERROR,
    PLAIN_ERROR,
    HalfNormal,
    Jitter,
    Locations,
    Missing,
    by_continents,
    complete,
    read_matrix,
    refuse_faster_than_light,
)
from carbonroute.scenario.written.model import Scenario
from carbonroute.scenario.written.sections import Network, Origin, Region

#: Estimated pairs that a note names.
_NAMED = 3
#: Between regions of one city light alone takes a fraction of it.
_SHORTEST_MS = 1.0


@dataclass(frozen=True)
class RoundTrips:
    """The network between origins and regions.

    Attributes
    ----------
    rtt_ms
        Round-trip times, shape (O, R).
    estimated
        Pairs of origin and region whose time was estimated by distance alone.
    by_continents
        Pairs whose time was estimated by distance and continents.
    reversed
        Pairs that have the time of the way back.
    replaced
        Pairs of the file whose time the scenario states itself.
    """

    rtt_ms: Array
    jitter: Jitter
    estimated: tuple[tuple[str, str], ...]
    by_continents: tuple[tuple[str, str], ...] = ()
    reversed: tuple[tuple[str, str], ...] = ()
    replaced: tuple[tuple[str, str], ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """How many pairs are not those of the file, and whether times look like seconds, for people."""
        longest_ms, between_regions = float(self.rtt_ms.max()), self.rtt_ms.shape[1] > 1
        doubts = (
            (f"no round-trip time is above {longest_ms:g} ms, which looks like seconds: they count as ms",)
            if between_regions and 0 < longest_ms < _SHORTEST_MS
            else ()
        )
        return doubts + tuple(
            f"{len(pairs)} of {self.rtt_ms.size} round-trip times {words} ({_listed(pairs)}){error}"
            for pairs, words, error in (
                (self.estimated, "estimated by great-circle distance", f": {PLAIN_ERROR}"),
                (
                    self.by_continents,
                    "estimated by great-circle distance and continents",
                    f": {CONTINENT_ERROR}",
                ),
                (self.reversed, "taken from the way back", ""),
                (self.replaced, "stated by network.rtt_ms beside the file", ""),
            )
            if pairs
        )


def round_trips(scenario: Scenario, digests: Digests | None = None) -> RoundTrips:
    """Read, complete and check a scenario's round-trip times.

    `digests`: where the digest of every file that is read is noted.
    Raises InputError if a time is missing and cannot be estimated, or is shorter than that of light.
    """
    network = scenario.network
    origins, regions = _places(scenario.origins), _places(scenario.regions)
    shown = network.rtt_file or "network.rtt_ms"

    def read(start: Sequence[str], end: Sequence[str], stated: Mask | None, missing: Missing) -> Array:
        if network.rtt_file is None:
            return np.full((len(start), len(end)), np.nan)
        return read_matrix(
            scenario.folder / network.rtt_file,
            shown,
            start,
            end,
            missing,
            digests,
            columns=network.rtt_columns,
            stated=stated,
            skip_rows=network.rtt_skip_rows,
        )

    own_ms = _stated(network, origins.names, regions.names)
    stated = ~np.isnan(own_ms)
    replaced = _pairs(stated, origins, regions) if network.rtt_file else ()
    rtt_ms = np.where(stated, own_ms, read(origins.names, regions.names, stated, network.missing))
    turned: tuple[tuple[str, str], ...] = ()
    if network.missing == "reverse" and (lacking := np.isnan(rtt_ms)).any():
        own_ms = _stated(network, regions.names, origins.names)
        given = ~np.isnan(own_ms) | ~lacking.T
        back_ms = np.where(np.isnan(own_ms), read(regions.names, origins.names, given, "reverse"), own_ms).T
        rtt_ms = np.where(lacking, back_ms, rtt_ms)
        turned = _pairs(lacking & ~np.isnan(back_ms), origins, regions)
        if np.isnan(rtt_ms).all():  # the wrong file, or names of another kind: say what is missing
            read(origins.names, regions.names, None, "refuse")
        _refuse_lacking(rtt_ms, origins, regions, shown)
    refuse_faster_than_light(rtt_ms, origins, regions, shown)
    rtt_ms, estimated = complete(rtt_ms, origins, regions, shown)
    if network.jitter:
        jitter: Jitter = network.jitter.fit(
            scenario.folder, origins.names, regions.names, rtt_ms, digests, network.rtt_columns
        )
    else:
        jitter = HalfNormal(std_ms=network.jitter_std_ms)
    known = frozenset(_pairs(by_continents(origins, regions), origins, regions))
    of_continents = tuple(pair for pair in estimated if pair in known)
    plain = tuple(pair for pair in estimated if pair not in known)
    return RoundTrips(rtt_ms, jitter, plain, of_continents, turned, replaced)


def _stated(network: Network, origins: Sequence[str], regions: Sequence[str]) -> Array:
    """Return the times that the scenario states itself, ms, shape (O, R); NaN where it states none."""
    rows = network.rtt_ms or {}
    times = [[rows.get(origin, {}).get(region) for region in regions] for origin in origins]
    return np.array(times, dtype=np.float64)  # None becomes NaN


def _pairs(flags: Mask, origins: Locations, regions: Locations) -> tuple[tuple[str, str], ...]:
    return tuple((origins.names[o], regions.names[r]) for o, r in np.argwhere(flags))


def _listed(pairs: Sequence[tuple[str, str]]) -> str:
    named = ", ".join(f"{origin} to {region}" for origin, region in pairs[:_NAMED])
    return f"{named}, …" if len(pairs) > _NAMED else named


def _refuse_lacking(rtt_ms: Array, origins: Locations, regions: Locations, shown: str) -> None:
    """Refuse pairs that have no time in either direction."""
    faults = first_faults(
        Fault(
            f"{start} to {end}",
            "no value on the diagonal" if start == end else f"no value, nor {end} to {start}",
            f"state network.rtt_ms.{key_text(start)}.{key_text(end)}, or missing = 'great-circle'",
        )
        for start, end in _pairs(np.isnan(rtt_ms), origins, regions)
    )
    if faults:
        raise InputError(shown, faults)


def _places(members: Sequence[Origin | Region]) -> Locations:
    degrees = np.array([(member.latitude, member.longitude) for member in members], dtype=np.float64)
    continents = [member.continent for member in members]
    return Locations([member.name for member in members], degrees, continents)
