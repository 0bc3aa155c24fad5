"""What an engine is given: a scenario with its data, and the policies with what they know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from carbonroute.carbon import Signal
from carbonroute.errors import Fault, InputError
from carbonroute.network import Jitter
from carbonroute.policies import PolicyLike
from carbonroute.policies.base import COMMON_FIELDS
from carbonroute.scenario.information import Information
from carbonroute.scenario.knowledge import Forecaster, Knowledge, hidden, known, truth
from carbonroute.scenario.model import Scenario
from carbonroute.traffic import Arrivals
from carbonroute.units import pct
from carbonroute.workloads import ServiceLaw
from carbonroute.workloads.energy import Energy

REFERENCE = "carbon_reference_g_per_kwh"


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
    knowledge
        The carbon intensities that it decides on.
    """

    label: str
    policy: PolicyLike
    information: Information
    knowledge: Knowledge

    def reads(self, field: str) -> bool:
        """Whether the policy declares to read a field of the view."""
        return field in getattr(self.policy, "reads", COMMON_FIELDS)

    @property
    def oracle(self) -> bool:
        """Whether it is a bound, and shown the truth."""
        return bool(getattr(self.policy, "oracle", False))

    @property
    def clairvoyant(self) -> bool:
        """Whether the policy decides on something that no router can know.

        Only a policy that declares to read service times is shown the actual ones.
        """
        return self.oracle or (self.information.clairvoyant and self.reads("service_ms"))

    @property
    def knows(self) -> str:
        """What it decides on, in words."""
        age, missing = self.information.carbon_age, self.knowledge.missing
        if self.information.carbon == "forecast":
            what = f"Forecasts issued {age} before or earlier"
        else:
            what = f"Carbon values that are {age} old"
        share_pct = pct(missing / self.knowledge.g_per_kwh.size)
        blind = int(self.knowledge.blind.sum())
        alone = f"; {blind:,} hours routed by latency alone" if blind else ""
        return (
            f"{what} ({share_pct:.2f} % missing: {self.information.carbon_missing}{alone})"
            if missing
            else what
        )

    @property
    def varies(self) -> bool:
        """Whether what it reads varies from request to request."""
        return self.clairvoyant or self.reads("turn")

    @property
    def sizes(self) -> bool:
        """Whether it reads what depends on a request's tokens, where requests have any."""
        return self.reads("service_ms") or self.reads("energy_j")


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
    forecast
        From the least age of a forecast, hours, to what it said of each hour and region, shape (H, R), and
        what was left out; None where the scenario has none.
    arrivals
        The requests.
    laws
        Laws of service time, with what they read from files.
    energy
        What a request costs in each region, or None where the scenario states no energies.
    jitter
        Law of the network jitter.
    candidates
        The policies to compare.
    files
        Every file that was read, by the name that the scenario gives it.
    notes
        What was assumed, left out or filled on the way: one line each.
    """

    scenario: Scenario
    origin_share: NDArray[np.float64]
    workload_share: NDArray[np.float64]
    slo_ms: NDArray[np.float64]
    rtt_ms: NDArray[np.float64]
    carbon: Signal
    forecast: Forecaster | None
    arrivals: Arrivals
    laws: tuple[ServiceLaw, ...]
    energy: Energy | None
    jitter: Jitter
    candidates: tuple[Candidate, ...]
    files: Mapping[str, Path]
    notes: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Number of hours, origins, workloads and regions."""
        return (
            *self.carbon.g_per_kwh.shape[:1],
            len(self.origin_share),
            len(self.workload_share),
            self.rtt_ms.shape[1],
        )

    @property
    def has_tokens(self) -> bool:
        """Whether service times or energies depend on a request's tokens."""
        by_energy = self.energy is not None and bool(self.energy.token_j.any())
        return by_energy or any(law.per_request for law in self.laws)

    def candidate(self, label: str, policy: PolicyLike, information: Information) -> Candidate:
        """Return a policy of the run with what it knows.

        Raises
        ------
        InputError
            If carbon values that it decides on are missing, and no rule says what then; or long-run means.
        """
        candidate = Candidate(label, policy, information, hidden(self.carbon))
        reads = getattr(policy, "reads", COMMON_FIELDS)
        if reads is not COMMON_FIELDS and REFERENCE in reads and self.carbon.reference_g_per_kwh is None:
            found = f"{label} goes by long-run means, and none are known before the run"
            remedy = "state them, or take a carbon file that begins a day or more before horizon.start"
            raise InputError(self.scenario.name, [Fault("carbon", found, remedy)])
        if candidate.oracle:
            clairvoyance = Information(service_time="actual")
            return replace(candidate, information=clairvoyance, knowledge=truth(self.carbon))
        if not candidate.reads("carbon_g_per_kwh"):
            return candidate
        return replace(candidate, knowledge=known(information, self.carbon, self.forecast))
