"""The inputs of an engine: a scenario with its data, and the policies with their knowledge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from carbonroute.arrays import Array, Mask
from carbonroute.carbon import Signal
from carbonroute.control.capacity import Capacity
from carbonroute.control.information import Information, MissingRule, ServiceEstimate
from carbonroute.control.knowledge import Forecaster, Knowledge, hidden, in_hindsight, known, truth
from carbonroute.control.router import Control
from carbonroute.control.site import Site
from carbonroute.errors import Fault, InputError
from carbonroute.files.text import Digests, count_of
from carbonroute.network import Jitter
from carbonroute.policies import PolicyLike, splits
from carbonroute.policies.base import fields_read
from carbonroute.policies.recording import Observed, declares
from carbonroute.policies.view import STATE_FIELDS
from carbonroute.scenario.written.model import Scenario
from carbonroute.traffic import Arrivals
from carbonroute.units import S_PER_HOUR, pct
from carbonroute.workloads import ServiceLaw, Tokens
from carbonroute.workloads.energy import Energy

REFERENCE = "carbon_reference_g_per_kwh"


@dataclass(frozen=True)
class Candidate:
    """A policy of the run.

    Attributes
    ----------
    information
        How old and how complete its knowledge is, and its estimate of service times.
    knowledge
        The carbon intensities that it decides on.
    control
        How a router asks it, and how far traffic may move.
    max_utilisation
        Regions with more of their servers in use are not eligible, whatever the policy; None: no limit.
    beliefs
        The scenario that it decides by, where that is another one than its requests meet: None where it
        knows the one that they meet. The sampled and the exact engine alone know of it.
    """

    label: str
    policy: PolicyLike
    information: Information
    knowledge: Knowledge
    control: Control = field(default_factory=Control)
    max_utilisation: float | None = None
    beliefs: Inputs | None = None

    def reads(self, field: str) -> bool:
        """Whether the policy reads a field of the view: as it declares, or was seen to so far."""
        return field in fields_read(self.policy)

    @property
    def oracle(self) -> bool:
        """Whether it is a bound, and shown the truth."""
        return bool(getattr(self.policy, "oracle", False))

    @property
    def clairvoyant(self) -> bool:
        """Whether the policy decides on something that no router can know: of a request, or of the run."""
        return self.sees_requests or self.in_hindsight

    @property
    def sees_requests(self) -> bool:
        """Whether the policy is shown what only serving a request tells.

        Only a policy that reads service times is shown the actual ones, and none that decides on cells.
        """
        by_request = self.reads("service_ms") and not self.on_cells
        return self.oracle or (self.information.clairvoyant and by_request)

    @property
    def in_hindsight(self) -> bool:
        """Whether it is shown each region's mean carbon over the run."""
        return bool(getattr(self.policy, "in_hindsight", False))

    @property
    def joint(self) -> bool:
        """Whether it decides for all origins and workloads of an hour together."""
        return bool(getattr(self.policy, "joint", False))

    @property
    def on_cells(self) -> bool:
        """Whether it is never asked about single requests: it splits traffic, or decides jointly."""
        return splits(self.policy) or self.joint

    @property
    def on_state(self) -> bool:
        """Whether its decisions depend on measurements or earlier decisions, not on the hour alone."""
        within_the_hour = self.knowledge.steps_per_hour > 1
        return self.controlled or within_the_hour or any(map(self.reads, STATE_FIELDS))

    @property
    def controlled(self) -> bool:
        """Whether its router does anything of its own, beside asking it."""
        return self.control.limits_shares or self.control.routers > 1 or self.max_utilisation is not None

    @property
    def knows(self) -> str:
        """Age and completeness of its carbon values, in words."""
        age, missing = self.information.carbon_age, self.knowledge.missing
        if self.in_hindsight:
            return "Mean carbon of the run, known in hindsight"
        if self.information.carbon == "forecast":
            what = f"Forecasts issued {age} before or earlier"
        else:
            what = f"Carbon values that are {age} old"
        share_pct = pct(missing / self.knowledge.g_per_kwh.size)
        blind = int(self.knowledge.blind.sum())
        alone = f"; {count_of(blind, 'hour')} routed by latency alone" if blind else ""
        return (
            f"{what} ({share_pct:.2f} % missing: {self.information.carbon_missing}{alone})"
            if missing
            else what
        )

    @property
    def on_jitter(self) -> bool:
        """Whether it is an oracle that decides by each request's jitter."""
        return self.oracle and self.reads("jitter_ms")

    def by_request(self, site: Site) -> bool:
        """Whether it is asked about single requests: they differ within a cell in a field that it reads."""
        if self.on_cells:
            return False
        return self.sees_requests or self.reads("turn") or (self.sizes and site.has_tokens)

    @property
    def sizes(self) -> bool:
        """Whether it reads a field that depends on a request's tokens, where requests have any."""
        by_size = ("service_ms", "energy_j", "violation_share")
        return not self.on_cells and any(self.reads(field) for field in by_size)


@dataclass(frozen=True)
class Inputs:
    """A scenario with its data, ready for an engine. H hours, O origins, W workloads, R regions.

    Attributes
    ----------
    origin_share, workload_share
        Probabilities, shapes (O,) and (W,).
    slo_ms
        Latency limits, shape (W,).
    rtt_ms
        Round-trip times, shape (O, R).
    carbon
        The signal, shape (H, R), with its accounting.
    forecast
        From the least age of a forecast, hours, to its values, shape (H, R), and the counts of rows left out;
        None where the scenario has no forecasts.
    laws
        Laws of service time, with the values of their files.
    energy
        Energy of a request in each region, or None where the scenario states no energies.
    capacity
        Pools of servers of the regions: no limits where the scenario states none.
    baseline
        Index of the one that others are held against request by request, or None.
    allowed
        Whether a region may serve a cell, shape (O, W, R): see `Site`. None where all may serve all.
    files
        Every file that belongs to it, by the name that the scenario gives it.
    digests
        Of the bytes read: of every file that was needed, and of the policies' code.
    notes
        Assumptions made, and values left out or filled, one line each.
    """

    scenario: Scenario
    origin_share: Array
    workload_share: Array
    slo_ms: Array
    rtt_ms: Array
    carbon: Signal
    forecast: Forecaster | None
    arrivals: Arrivals
    laws: tuple[ServiceLaw, ...]
    energy: Energy | None
    jitter: Jitter
    capacity: Capacity
    candidates: tuple[Candidate, ...]
    files: Mapping[str, Path]
    notes: tuple[str, ...]
    baseline: int | None = None
    allowed: Mask | None = None
    digests: Digests = field(default_factory=Digests)
    site: Site = field(init=False)

    def __post_init__(self) -> None:
        site = Site(
            rtt_ms=self.rtt_ms,
            slo_ms=self.slo_ms,
            laws=self.laws,
            jitter=self.jitter,
            energy=self.energy,
            capacity=self.capacity,
            carbon_reference_g_per_kwh=self.carbon.reference_g_per_kwh,
            workload_share=self.workload_share,
            allowed=self.allowed,
            ttft_slo_ms=_limits(workload.ttft_slo_ms for workload in self.scenario.workloads),
            tpot_slo_ms=_limits(workload.tpot_slo_ms for workload in self.scenario.workloads),
        )
        object.__setattr__(self, "site", site)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Number of hours, origins, workloads and regions."""
        return (
            *self.carbon.g_per_kwh.shape[:1],
            len(self.origin_share),
            len(self.workload_share),
            self.rtt_ms.shape[1],
        )

    @cached_property
    def traffic_share(self) -> Array:
        """Expected share of each origin and workload in the requests of an hour, shape (H, O, W).

        By the rates that the scenario states; of a log, which nobody knows before, by the stated shares.
        """
        stated = np.outer(self.origin_share, self.workload_share)
        if self.scenario.traffic.is_logged:
            return np.broadcast_to(stated, (self.shape[0], *stated.shape))
        expected = self.arrivals.expected()
        whole = expected.sum(axis=(1, 2), keepdims=True)
        return np.where(whole > 0, expected / np.where(whole > 0, whole, 1.0), stated)

    @property
    def expected_per_s(self) -> Array:
        """Expected requests of each cell per second, shape (H, O, W).

        By the rates that the scenario states; of a log, which nobody knows before, its mean by the stated
        shares.
        """
        if self.scenario.traffic.is_logged:
            per_hour = np.full(self.shape[0], self.arrivals.count / self.shape[0])
        else:
            per_hour = self.arrivals.expected().sum(axis=(1, 2))
        per_s: Array = per_hour[:, np.newaxis, np.newaxis] / S_PER_HOUR * self.traffic_share
        return per_s

    @property
    def of_a_router(self) -> Information:
        """The scenario's information without clairvoyance, for policies that run for comparison alone.

        They end no run: where carbon values may be missing and no rule fills them, latency decides.
        """
        information = self.scenario.information
        changes: dict[str, object] = {}
        if information.clairvoyant:
            changes["service_time"] = ServiceEstimate("mean")
        if self.forecast is None:
            changes["carbon"] = "current"
        unknown = information.carbon == "forecast" or np.isnan(self.carbon.measured_g_per_kwh).any()
        if unknown and information.carbon_missing == "refuse":
            changes["carbon_missing"] = MissingRule("latency-only")
        return information.model_copy(update=changes)

    def candidate(
        self,
        label: str,
        policy: PolicyLike,
        information: Information,
        control: Control | None = None,
        max_utilisation: float | None = None,
        knowledge: Knowledge | None = None,
    ) -> Candidate:
        """Return a policy of the run with its knowledge, by default under the scenario's control.

        `label`, `policy`, `information`, `control`, `max_utilisation`: see `Candidate`.
        `knowledge`: its carbon intensities, where candidates with the same information have them already.
        Raises InputError if carbon values that it decides on are missing, and no rule fills them; or long-run
        means; or the risk of requests whose prompts come with them.
        """
        if not declares(policy):
            policy = Observed(policy)
        reads, oracle = fields_read(policy), bool(getattr(policy, "oracle", False))
        if REFERENCE in reads and self.carbon.reference_g_per_kwh is None:
            problem = f"{label} goes by long-run means, and none are known before the run"
            remedy = "state them, or take a carbon file that begins a day or more before horizon.start"
            raise InputError(self.scenario.name, [Fault("carbon", problem, remedy)])
        if oracle:
            information, knowledge = Information.spelled(service_time="actual"), truth(self.carbon)
        elif getattr(policy, "in_hindsight", False):
            knowledge = in_hindsight(self.carbon, self.expected_per_s.sum(axis=(1, 2)))
        elif "carbon_g_per_kwh" not in reads:
            knowledge = hidden(self.carbon)
        elif knowledge is None:
            knowledge = known(information, self.carbon, self.forecast)
        control = control or self.scenario.control
        candidate = Candidate(label, policy, information, knowledge, control, max_utilisation)
        if candidate.on_cells and candidate.reads("violation_share"):
            self._require_prompts(label)
        return candidate

    def _require_prompts(self, label: str) -> None:
        """Refuse a policy that needs the risk of all requests of a workload, where prompts have no law."""
        remedy = "state service_ms.prompt_tokens, or leave out its budget"
        faults = [
            Fault(
                f"workloads[{index}]",
                f"{label} goes by the risk of all requests, and prompts come with the traffic alone",
                remedy,
            )
            for index, law in enumerate(self.laws)
            if isinstance(law, Tokens) and law.prompt_tokens is None
        ]
        if faults:
            raise InputError(self.scenario.name, faults)


def _limits(stated: Iterable[float | None]) -> Array:
    """Return the limits of each workload, inf where none is stated."""
    return np.array([np.inf if limit is None else limit for limit in stated])
