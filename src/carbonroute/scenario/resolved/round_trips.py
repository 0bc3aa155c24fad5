"""From the network section to round-trip times and jitter of every origin and region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from carbonroute.arrays import Array
from carbonroute.files.text import Digests
from carbonroute.network import HalfNormal, Jitter, Places, complete, read_matrix, refuse_faster_than_light
from carbonroute.scenario.written.model import Origin, Region, Scenario

#: Estimated pairs that a note names.
_NAMED = 3


@dataclass(frozen=True)
class RoundTrips:
    """The network between origins and regions.

    Attributes
    ----------
    rtt_ms
        Round-trip times, shape (O, R).
    jitter
        Law of the jitter.
    estimated
        Pairs of origin and region whose time was estimated by distance.
    """

    rtt_ms: Array
    jitter: Jitter
    estimated: tuple[tuple[str, str], ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """How many pairs were estimated, for people."""
        if not self.estimated:
            return ()
        named = ", ".join(f"{origin} to {region}" for origin, region in self.estimated[:_NAMED])
        more = ", …" if len(self.estimated) > _NAMED else ""
        return (
            f"{len(self.estimated)} of {self.rtt_ms.size} round-trip times estimated by great-circle "
            f"distance ({named}{more})",
        )


def round_trips(scenario: Scenario, digests: Digests | None = None) -> RoundTrips:
    """Read, complete and check a scenario's round-trip times.

    Parameters
    ----------
    scenario
        The scenario.
    digests
        Where the digest of every file that is read is noted.

    Raises
    ------
    InputError
        If a time is missing and cannot be estimated, or is shorter than that of light.
    """
    network = scenario.network
    origins, regions = _places(scenario.origins), _places(scenario.regions)
    if network.rtt_file is not None:
        source = network.rtt_file
        path = scenario.folder / source
        rtt_ms = read_matrix(path, source, origins.names, regions.names, network.missing, digests)
    else:
        source, rows = "network.rtt_ms", network.rtt_ms or {}
        times = [[rows.get(origin, {}).get(region) for region in regions.names] for origin in origins.names]
        rtt_ms = np.array(times, dtype=np.float64)  # None becomes NaN
    refuse_faster_than_light(rtt_ms, origins, regions, source)
    rtt_ms, estimated = complete(rtt_ms, origins, regions, source)
    if network.jitter:
        jitter: Jitter = network.jitter.fit(scenario.folder, origins.names, regions.names, rtt_ms, digests)
    else:
        jitter = HalfNormal(std_ms=network.jitter_std_ms)
    return RoundTrips(rtt_ms, jitter, tuple(estimated))


def _places(members: Sequence[Origin | Region]) -> Places:
    degrees = np.array([(member.latitude, member.longitude) for member in members], dtype=np.float64)
    return Places([member.name for member in members], degrees)
