"""The scenario file, schema 1, as frozen values that refuse unknown keys."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, ValidationInfo, field_validator

from carbonroute.carbon import CarbonSource
from carbonroute.control.information import Information
from carbonroute.control.router import Control
from carbonroute.errors import Fault, InputError, did_you_mean
from carbonroute.files.toml import key_text
from carbonroute.scenario.written import consistency
from carbonroute.scenario.written.entry import PolicyEntry, folder_of
from carbonroute.scenario.written.faults import refuse
from carbonroute.scenario.written.limits import Limits
from carbonroute.scenario.written.names import Name
from carbonroute.scenario.written.objectives import IN_GRAMS, IN_QUEUES, Objectives
from carbonroute.scenario.written.places import Written
from carbonroute.scenario.written.pools import Pool
from carbonroute.scenario.written.residency import residency_faults
from carbonroute.scenario.written.sections import (
    MAX_TEXT,
    Factor,
    Horizon,
    Members,
    Network,
    Origin,
    Region,
    Sampling,
    Workload,
)
from carbonroute.spec import SchemaVersion, Spec
from carbonroute.traffic import Traffic
from carbonroute.traffic.fixed_rate import FixedRate


class Scenario(Spec):
    """Everything that defines a run. Made by `carbonroute.load`.

    Attributes
    ----------
    schema_version
        Version of the rules that the file follows: 1.
    name
        Name of the run.
    description
        Its subject, for readers of its results.
    sources
        Whom to cite for the factors between energy and grams, by factor.
    horizon
        How long the simulated time is, and when it starts.
    sampling
        How random numbers are drawn.
    information
        Age and gaps of the carbon values that policies see, and their estimate of service times.
    control
        How often routers ask their policy, and how far they let traffic move.
    limits
        Most SLO violations of a policy that counts as viable.
    traffic
        When requests come.
    carbon
        Carbon intensity of the regions' grids.
    origins
        Where requests come from; their shares sum to 1.
    workloads
        Models that are asked; their shares sum to 1.
    regions
        Where requests can be served.
    pools
        Servers of every region that states none of its own; where neither does, nothing limits a region.
    network
        Round-trip times and jitter.
    policies
        Routing policies that are compared, all on the same requests.
    objectives
        Bounds that one of the policies must keep.
    """

    schema_version: SchemaVersion = Field(alias="schema")
    name: Name
    description: str = Field(default="", max_length=MAX_TEXT)
    sources: dict[Factor, Annotated[str, Field(max_length=MAX_TEXT)]] = Field(default_factory=dict)
    horizon: Horizon
    sampling: Sampling = Sampling()
    information: Information = Information()
    control: Control = Control()
    limits: Limits = Limits()
    traffic: Traffic
    carbon: CarbonSource
    # The order matters: a validator sees the fields above its own, where they are valid.
    origins: Members[Origin]
    workloads: Members[Workload]
    regions: Members[Region]
    pools: Members[Pool] = Field(default=(), validate_default=True)
    network: Network
    policies: Members[PolicyEntry]
    objectives: Objectives | None = None
    _folder: Path = PrivateAttr(default=Path())
    _written: Written = PrivateAttr(default=Written())

    def model_post_init(self, context: Any, /) -> None:
        """Store the folder that the scenario's paths are relative to, and the file that it was read from."""
        self._folder = folder_of(context)
        self._written = (context or {}).get("written", Written())

    @property
    def has_pools(self) -> bool:
        """Whether any region's servers are stated."""
        return bool(self.pools) or any(region.pools for region in self.regions)

    @property
    def counts_grams(self) -> bool:
        """Whether the energy of every workload is known: stated, or by the power of its replicas."""
        return all(workload.has_energy or self.by_power(workload.id) for workload in self.workloads)

    def by_power(self, workload: str) -> bool:
        """Whether replicas of known power serve a workload in every region, so that its energy is theirs."""
        return consistency.by_power(workload, self.regions, self.pools)

    @property
    def limit_per(self) -> Literal["workload", "all"]:
        """What the limit on violations holds for; a single workload is all."""
        return self.limits.per if len(self.workloads) > 1 else "all"

    def within(self, violations: float | None) -> Scenario:
        """Return the scenario with another limit on violations, 0…1; itself for None.

        Raises InputError if the limit is no share.
        """
        if violations is None:
            return self
        if not 0 <= violations <= 1:
            fault = Fault("", f"found {violations:g}", "a share from 0 to 1 is expected, such as 0.05")
            raise InputError("max_violation", [fault])
        limits = self.limits.model_copy(update={"violations": violations})
        policies = tuple(entry.held_to(limits) for entry in self.policies)
        return self.model_copy(update={"limits": limits, "policies": policies})

    @property
    def folder(self) -> Path:
        """Folder that paths in the scenario are relative to."""
        return self._folder

    @property
    def written(self) -> Written:
        """Where it was written."""
        return self._written

    @field_validator("control")
    @classmethod
    def _something_is_counted(cls, control: Control, info: ValidationInfo) -> Control:
        horizon = info.data.get("horizon")
        if horizon and control.warmup_hours >= horizon.hours:
            problem = f"found {control.warmup_hours:g} h, and a horizon of {horizon.hours} h"
            refuse([Fault(".warmup_hours", problem, "a warm-up that ends before the horizon is expected")])
        return control

    @field_validator("traffic")
    @classmethod
    def _drawn_as_published(cls, traffic: Traffic, info: ValidationInfo) -> Traffic:
        sampling = info.data.get("sampling")
        if sampling and sampling.scheme == "published" and not isinstance(traffic, FixedRate):
            raise ValueError(
                f"found kind {traffic.kind!r}; sampling.scheme 'published' draws 'fixed-rate' traffic alone"
            )
        return traffic

    @field_validator("origins")
    @classmethod
    def _origins_add_up(cls, origins: tuple[Origin, ...]) -> tuple[Origin, ...]:
        shares = consistency.not_one(origin.share for origin in origins)
        refuse([*consistency.repeated([origin.name for origin in origins], "name"), *shares])
        return origins

    @field_validator("regions", mode="before")
    @classmethod
    def _regions_inherit(cls, regions: Any, info: ValidationInfo) -> Any:
        """Complete each region's own carbon that states no kind by the scenario's."""
        if not isinstance(regions, list):
            return regions
        return [consistency.inheriting(region, info.data.get("carbon")) for region in regions]

    @field_validator("regions")
    @classmethod
    def _regions_differ(cls, regions: tuple[Region, ...], info: ValidationInfo) -> tuple[Region, ...]:
        of_the_whole = [
            Fault(f"[{index}].carbon.{key}", f"found {key} in a region's own carbon", f"state carbon.{key}")
            for index, region in enumerate(regions)
            for key in ("forecast", "allow_mixed_accounting")
            if region.carbon and key in region.carbon.model_fields_set
        ]
        repeated = consistency.repeated([region.name for region in regions], "name")
        otherwise = consistency.counted_otherwise(regions, info.data.get("carbon"))
        pools = (
            replace(fault, where=f"[{index}].pools{fault.where}")
            for index, region in enumerate(regions)
            for fault in consistency.unfit(region.pools, info)
        )
        residency = residency_faults(
            consistency.allowed("origins", "name", info),
            consistency.allowed("workloads", "id", info),
            [region.name for region in regions],
        )
        refuse(chain(repeated, of_the_whole, otherwise, pools), elsewhere=residency)
        return regions

    @field_validator("pools")
    @classmethod
    def _pools_serve_all(cls, pools: tuple[Pool, ...], info: ValidationInfo) -> tuple[Pool, ...]:
        regions, workloads = info.data.get("regions"), info.data.get("workloads", ())
        without = [] if regions is None else consistency.without_energy(workloads, regions, pools)
        refuse(consistency.unfit(pools, info), elsewhere=without)
        return pools

    @field_validator("workloads")
    @classmethod
    def _workloads_add_up(cls, workloads: tuple[Workload, ...]) -> tuple[Workload, ...]:
        shares = consistency.not_one(workload.share for workload in workloads)
        refuse([*consistency.repeated([workload.id for workload in workloads], "id"), *shares])
        return workloads

    @field_validator("policies")
    @classmethod
    def _labels_differ(
        cls, policies: tuple[PolicyEntry, ...], info: ValidationInfo
    ) -> tuple[PolicyEntry, ...]:
        refuse(consistency.repeated([entry.shown for entry in policies], "label"))
        limits = info.data.get("limits", Limits())
        return tuple(entry.held_to(limits) for entry in policies)

    @field_validator("objectives")
    @classmethod
    def _can_be_checked(cls, objectives: Objectives | None, info: ValidationInfo) -> Objectives | None:
        if objectives is None:
            return None
        faults = []
        labels = [entry.shown for entry in info.data.get("policies", ())]
        if labels and objectives.policy not in labels:
            problem = f"there is no policy {objectives.policy!r}"
            faults.append(Fault(".policy", problem, did_you_mean(objectives.policy, labels), "unknown-name"))
        if not objectives.bounds:
            faults.append(
                Fault("", "states no figure", "a bound is expected, such as slo_violation_pct = '<= 1'")
            )
        members = (info.data.get(section, ()) for section in ("workloads", "regions", "pools"))
        if consistency.unpowered(*members):
            remedy = "state the energy of all workloads, or leave the objective out"
            faults += [
                Fault(f".{name}", "the scenario states no energies", remedy)
                for name in objectives.bounds
                if name in IN_GRAMS
            ]
        regions = info.data.get("regions", ())
        if regions and not (info.data.get("pools") or any(region.pools for region in regions)):
            remedy = "state pools, or leave the objective out"
            faults += [
                Fault(f".{name}", "the scenario states no pools of servers", remedy)
                for name in objectives.bounds
                if name in IN_QUEUES
            ]
        refuse(faults)
        return objectives

    @field_validator("network")
    @classmethod
    def _matrix_is_complete(cls, network: Network, info: ValidationInfo) -> Network:
        if network.rtt_ms is None or "origins" not in info.data or "regions" not in info.data:
            return network
        origins = [origin.name for origin in info.data["origins"]]
        regions = [region.name for region in info.data["regions"]]
        complete = network.missing == "refuse" and network.rtt_file is None
        rows = consistency.misplaced(".rtt_ms", "origin", network.rtt_ms, origins, complete)
        cells = (
            consistency.misplaced(f".rtt_ms.{key_text(origin)}", "region", row, regions, complete)
            for origin, row in network.rtt_ms.items()
        )
        refuse(chain(rows, *cells))
        return network
