"""From a scenario to the arrays that engines work on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from carbonroute import memory, rng
from carbonroute.carbon import Query, Signal
from carbonroute.errors import Fault, InputError
from carbonroute.network import HalfNormal, read_matrix
from carbonroute.policies import PolicyLike
from carbonroute.policies.base import VIEW_FIELDS
from carbonroute.scenario.information import Information
from carbonroute.scenario.model import Scenario
from carbonroute.units import MB_PER_GB
from carbonroute.workloads.energy import Energy

#: A value as number, noise and row of the tables.
_BYTES_PER_CARBON_VALUE = 64
#: Requests, violations, and the sums of latency and carbon, while they are added up and after.
_BYTES_PER_RESULT = 64

_REFERENCE = "carbon_reference_g_per_kwh"


@dataclass(frozen=True)
class Candidate:
    """A policy of the run.

    Attributes
    ----------
    label
        Display name.
    policy
        The policy itself.
    information
        What it may know.
    """

    label: str
    policy: PolicyLike
    information: Information

    @property
    def clairvoyant(self) -> bool:
        """Whether the policy decides on something that no router can know.

        Only a policy that declares to read service times is shown the actual ones.
        """
        return self.information.clairvoyant and "service_ms" in getattr(self.policy, "reads", VIEW_FIELDS)


@dataclass(frozen=True)
class Inputs:
    """A scenario with its data, ready for an engine. H hours, O origins, W workloads, R regions.

    Attributes
    ----------
    scenario
        Where all of it comes from.
    origin_share, workload_share
        Probabilities, shapes (O,) and (W,).
    slo_ms
        Latency limits, shape (W,).
    rtt_ms
        Round-trip times, shape (O, R).
    carbon
        The signal, shape (H, R), with its accounting.
    energy
        What a request costs in each region, or None where the scenario states no energies.
    jitter
        Law of the network jitter.
    candidates
        The policies to compare.
    files
        Every file that was read, by the name that the scenario gives it.
    """

    scenario: Scenario
    origin_share: NDArray[np.float64]
    workload_share: NDArray[np.float64]
    slo_ms: NDArray[np.float64]
    rtt_ms: NDArray[np.float64]
    carbon: Signal
    energy: Energy | None
    jitter: HalfNormal
    candidates: tuple[Candidate, ...]
    files: dict[str, Path]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Number of hours, origins, workloads and regions."""
        return (
            *self.carbon.g_per_kwh.shape[:1],
            len(self.origin_share),
            len(self.workload_share),
            self.rtt_ms.shape[1],
        )


def resolve(scenario: Scenario) -> Inputs:
    """Read a scenario's data files and draw its carbon noise.

    Raises
    ------
    InputError
        If a data file cannot be used.
    """
    _require_memory(scenario)
    files = {entry.use: entry.file for entry in scenario.policies if entry.file}
    carbon = scenario.carbon.signal(_query(scenario))
    files |= {str(getattr(scenario.carbon, "path", path)): path for path in carbon.files}
    if scenario.network.rtt_file:
        files[scenario.network.rtt_file] = scenario.folder / scenario.network.rtt_file
    return Inputs(
        scenario=scenario,
        origin_share=np.array([origin.share for origin in scenario.origins]),
        workload_share=np.array([workload.share for workload in scenario.workloads]),
        slo_ms=np.array([workload.slo_ms for workload in scenario.workloads]),
        rtt_ms=_rtt_ms(scenario),
        carbon=carbon,
        energy=_energy(scenario),
        jitter=HalfNormal(std_ms=scenario.network.jitter_std_ms),
        candidates=tuple(
            Candidate(entry.shown, entry.policy, entry.information or scenario.information)
            for entry in scenario.policies
        ),
        files=files,
    )


def _energy(scenario: Scenario) -> Energy | None:
    it_j = [workload.energy_j for workload in scenario.workloads if workload.energy_j is not None]
    if not it_j:
        return None
    j_per_mb = scenario.network.energy_j_per_gb / MB_PER_GB
    return Energy(
        it_j=np.outer(it_j, [region.hardware_factor for region in scenario.regions]),
        pue=np.array([region.pue for region in scenario.regions]),
        network_j=np.array([workload.payload_mb * j_per_mb for workload in scenario.workloads]),
        embodied_g=np.array([workload.embodied_g for workload in scenario.workloads]),
    )


def _require_memory(scenario: Scenario) -> None:
    """Refuse a scenario whose tables would not fit, whatever its number of requests."""
    hours, regions = scenario.horizon.hours, len(scenario.regions)
    what = f"carbon intensity of {hours:,} hours × {regions:,} regions"
    memory.require(hours * regions * _BYTES_PER_CARBON_VALUE, scenario.name, "horizon.hours", what)
    results = len(scenario.origins) * len(scenario.workloads) * regions * len(scenario.policies)
    what = f"results of {results:,} origins × workloads × regions × policies"
    memory.require(results * _BYTES_PER_RESULT, scenario.name, "policies", what)


def _query(scenario: Scenario) -> Query:
    regions = tuple(region.name for region in scenario.regions)

    seed, hours = scenario.sampling.seed, scenario.horizon.hours

    def uniform() -> NDArray[np.float64]:
        if scenario.sampling.scheme == "published":  # region after region, from one generator
            return rng.published(seed).random_sample((len(regions), hours))
        return np.stack([rng.stream(seed, f"carbon noise of {name}").random(hours) for name in regions])

    def normal() -> NDArray[np.float64]:
        streams = [rng.stream(seed, f"carbon weather of {name}") for name in regions]
        return np.stack([stream.standard_normal(hours) for stream in streams])

    return Query(
        regions=regions,
        zones=tuple(region.zone or region.name for region in scenario.regions),
        mean_g_per_kwh=tuple(region.carbon_g_per_kwh for region in scenario.regions),
        profiles=tuple(region.carbon_profile for region in scenario.regions),
        hours=hours,
        start=scenario.horizon.start,
        folder=scenario.folder,
        reference=any(_REFERENCE in getattr(entry.policy, "reads", ()) for entry in scenario.policies),
        uniform=uniform,
        normal=normal,
    )


def _rtt_ms(scenario: Scenario) -> NDArray[np.float64]:
    origins = [origin.name for origin in scenario.origins]
    regions = [region.name for region in scenario.regions]
    network = scenario.network
    if network.rtt_file is not None:
        return read_matrix(scenario.folder / network.rtt_file, network.rtt_file, origins, regions)
    if network.rtt_ms is None:
        raise InputError("network", [Fault("", "no round-trip times", "rtt_ms or rtt_file is expected")])
    return np.array(
        [[network.rtt_ms[origin][region] for region in regions] for origin in origins], dtype=np.float64
    )
