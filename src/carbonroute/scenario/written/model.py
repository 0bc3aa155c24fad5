"""The scenario file, schema 1, as frozen values that refuse unknown keys."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import Field, PrivateAttr, ValidationInfo, field_validator, model_validator

from carbonroute.carbon import CarbonSource, Profile, Synthetic
from carbonroute.catalogue import zones
from carbonroute.control.information import Information
from carbonroute.control.router import Control
from carbonroute.errors import Fault, InputError, did_you_mean
from carbonroute.files.limits import SkipRows
from carbonroute.files.toml import key_text
from carbonroute.network import MAX_RTT_MS, Continent, LognormalJitter, Missing, PairColumns
from carbonroute.rng import MAX_SEED
from carbonroute.scenario.written.catalogued import accounting_of, origin_filled, region_filled
from carbonroute.scenario.written.entry import PolicyEntry, folder_of
from carbonroute.scenario.written.faults import refuse
from carbonroute.scenario.written.limits import Limits
from carbonroute.scenario.written.names import Name
from carbonroute.scenario.written.objectives import IN_GRAMS, IN_QUEUES, Objectives
from carbonroute.scenario.written.places import Written
from carbonroute.scenario.written.pools import Pool, pool_faults
from carbonroute.scenario.written.residency import Allowed, residency_faults
from carbonroute.spec import Spec
from carbonroute.traffic import Traffic
from carbonroute.traffic.fixed_rate import FixedRate
from carbonroute.units import (
    MAX_CARBON_G_PER_KWH,
    MAX_EMBODIED_G,
    MAX_ENERGY_J,
    MAX_PAYLOAD_MB,
    MAX_TIME_MS,
)
from carbonroute.workloads import Distribution, ServiceLaw

SCHEMA = 1
SHARE_TOLERANCE = 1e-9
MAX_MEMBERS = 1000
MAX_TEXT = 2000
#: A service time of so many latency limits is milliseconds over seconds.
MAX_MEAN_PER_SLO = 100.0

#: Names that a region cannot have: they are columns of the tables that have a column per region.
RESERVED = frozenset({"hour", "time", "origin"})


T = TypeVar("T")
Members = Annotated[tuple[T, ...], Field(strict=False)]  # TOML has lists

Share = Annotated[float, Field(ge=0, le=1)]
Milliseconds = Annotated[float, Field(ge=0, le=MAX_TIME_MS)]
Joules = Annotated[float, Field(ge=0, le=MAX_ENERGY_J)]
Latitude = Annotated[float, Field(ge=-90, le=90)]
Longitude = Annotated[float, Field(ge=-180, le=180)]


def _repeated(names: Sequence[str], what: str) -> list[Fault]:
    """Return the faults in the number of members, and in names that stand twice."""
    if not 1 <= len(names) <= MAX_MEMBERS:
        return [Fault("", f"found {len(names)}", f"1 to {MAX_MEMBERS} are expected")]
    return [
        Fault(
            f"[{index}].{what}",
            f"{name!r} stands at [{names.index(name)}] too",
            "names must differ",
            "repeated-name",
        )
        for index, name in enumerate(names)
        if names.index(name) != index
    ]


def _not_one(shares: Iterable[float]) -> list[Fault]:
    total = math.fsum(shares)
    if abs(total - 1) <= SHARE_TOLERANCE:
        return []
    remedy = f"they must sum to 1 (tolerance {SHARE_TOLERANCE:g})"
    return [Fault("", f"the shares sum to {total:.12g}", remedy, "shares-not-1")]


_CALENDAR = "years 1 to 9999 in UTC are expected"


#: Factors between a request's energy and its grams, besides the workloads' own figures.
Factor = Literal["pue", "hardware_factor", "energy_j_per_gb", "payload_mb", "embodied_g"]
FACTORS: tuple[Factor, ...] = get_args(Factor)


class Horizon(Spec):
    """How long the simulated time is, and when it starts.

    Attributes
    ----------
    hours
        Length.
    start
        Date and time of hour 0, with its offset; needed with dated carbon or traffic.
    """

    hours: int = Field(ge=1, le=1_000_000)
    start: datetime | None = None

    @field_validator("start")
    @classmethod
    def _in_utc(cls, start: datetime | None) -> datetime | None:
        if start is None:
            return None
        if start.tzinfo is None:
            raise ValueError(f"{start.isoformat()} has no offset; write {start.isoformat()}Z for UTC")
        try:
            return start.astimezone(UTC)
        except OverflowError:
            raise ValueError(f"{start.isoformat()} lies outside the calendar; {_CALENDAR}") from None

    @model_validator(mode="after")
    def _ends_within_the_calendar(self) -> Horizon:
        if self.start and timedelta(hours=self.hours) > datetime.max.replace(tzinfo=UTC) - self.start:
            problem = f"{self.hours} hours from {self.start.isoformat()} end outside the calendar"
            raise ValueError(f"{problem}; {_CALENDAR}")
        return self


class Sampling(Spec):
    """How random numbers are drawn.

    Attributes
    ----------
    scheme
        ``"streams"``: keyed by seed, purpose and block, and all policies meet the same requests.
        ``"published"``: the published study's own order of draws.
    seed
        Of all dice.
    restart
        Of the published scheme: whether each policy continues the generator or starts it again.
    """

    scheme: Literal["streams", "published"] = "streams"
    seed: int = Field(default=42, ge=0, le=MAX_SEED)
    restart: Literal["never", "per-policy"] | None = None

    @model_validator(mode="after")
    def _restart_is_of_published(self) -> Sampling:
        if self.scheme == "streams" and self.restart is not None:
            raise ValueError(
                "restart belongs to scheme 'published'; with 'streams' all policies meet the same requests"
            )
        return self


class Origin(Spec):
    """Where requests come from.

    Attributes
    ----------
    name
        Also the row of an RTT matrix file.
    share
        Of all requests.
    utc_offset_hours
        Local time minus UTC, for traffic with a daily shape.
    latitude, longitude
        Degrees, north and east positive: for round-trip times that are estimated.
    continent
        For better estimates, where that of the region is known too; ``"ME"`` is the Middle East.
    from_
        ``from`` in the file: a region of the catalogue, such as ``"aws:eu-west-1"``, whose name, place and
        local time it has where it states none.
    allowed_regions
        Names of the regions that may serve its requests; all, where it is not stated. A request is served
        where both its origin and its workload allow it, or nowhere.
    """

    name: Name
    share: Share
    utc_offset_hours: float = Field(default=0.0, ge=-12, le=14)
    latitude: Latitude | None = None
    longitude: Longitude | None = None
    continent: Continent | None = None
    from_: Name | None = Field(default=None, alias="from")
    allowed_regions: Members[Name] | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_catalogue(cls, table: Any) -> Any:
        return origin_filled(table)


class Region(Spec):
    """Where requests can be served.

    Attributes
    ----------
    name
        Also the column or row of an RTT matrix file.
    carbon_g_per_kwh
        Mean carbon intensity for synthetic carbon, gCO2e/kWh.
    carbon_profile
        Shape of its synthetic carbon, where it is not the scenario's.
    carbon
        A source of its own, instead of the scenario's. Without `kind`, it has those keys of the scenario's
        that it does not state.
    zone
        Column or key in a carbon file, or ``{zone}`` in its name; the region's name, if not given.
    pue
        Power usage effectiveness: energy of the data centre per energy of its computers.
    hardware_factor
        Energy that a request takes here, relative to the workload's.
    latitude, longitude
        Degrees, north and east positive: for round-trip times that are estimated.
    continent
        For better estimates, where that of the origin is known too; ``"ME"`` is the Middle East.
    pools
        Its servers, instead of the scenario's pools.
    from_
        ``from`` in the file: a region of the catalogue, such as ``"aws:eu-west-1"``, whose name, place,
        continent, zone, PUE, carbon mean and profile it has where it states none; see docs/catalogue.md.
    carbon_scale
        Factor on all of its carbon intensities, stated, measured and forecast: 1.2 where they are to be a
        fifth higher.
    """

    name: Name
    carbon_g_per_kwh: Annotated[float, Field(ge=0, le=MAX_CARBON_G_PER_KWH)] | None = None
    carbon_profile: Profile | None = None
    carbon: CarbonSource | None = None
    zone: Name | None = None
    pue: float = Field(default=1.0, ge=1, le=10)
    hardware_factor: float = Field(default=1.0, gt=0, le=1000)
    latitude: Latitude | None = None
    longitude: Longitude | None = None
    continent: Continent | None = None
    pools: Members[Pool] = ()
    from_: Name | None = Field(default=None, alias="from")
    carbon_scale: float = Field(default=1.0, ge=0, le=1000)

    @model_validator(mode="before")
    @classmethod
    def _from_catalogue(cls, table: Any) -> Any:
        return region_filled(table)

    @field_validator("name")
    @classmethod
    def _not_reserved(cls, name: str) -> str:
        if name in RESERVED:
            raise ValueError(f"{name!r} is a column of the result tables; choose another name")
        return name


class Workload(Spec):
    """A model with its share of requests, SLO and service-time law.

    Attributes
    ----------
    id
        Key in tables.
    name
        Description.
    model
        The model's name.
    share
        Of all requests.
    slo_ms
        Latency limit; a request over it is a violation.
    ttft_slo_ms, tpot_slo_ms
        Limits of the time to the first token of an answer, round trip included, and of the mean time of each
        further one: a request over any of its limits is a violation. Every region must serve the workload by
        pools with `llm`.
    service_ms
        Law of the inference time, ms.
    energy_j
        IT energy per request, J; without it, or energy per token, there are no grams.
    energy_j_per_prompt_token, energy_j_per_answer_token
        IT energy per token, J, besides `energy_j`.
    energy_source
        Where that figure comes from; say so if it is scaled or guessed.
    embodied_g
        Share of the hardware's own emissions per request, gCO2e.
    payload_mb
        Data over the network per request, MB (10⁶ bytes).
    allowed_regions
        Names of the regions that may serve its requests; all, where it is not stated. See that of origins.
    """

    id: Name
    name: Name
    model: Name
    share: Share
    slo_ms: float = Field(gt=0, le=MAX_TIME_MS)
    ttft_slo_ms: float | None = Field(default=None, gt=0, le=MAX_TIME_MS)
    tpot_slo_ms: float | None = Field(default=None, gt=0, le=MAX_TIME_MS)
    service_ms: ServiceLaw
    energy_j: Joules | None = None
    energy_j_per_prompt_token: Joules | None = None
    energy_j_per_answer_token: Joules | None = None
    energy_source: str = Field(default="", max_length=MAX_TEXT)
    embodied_g: float = Field(default=0.0, ge=0, le=MAX_EMBODIED_G)
    payload_mb: float = Field(default=0.0, ge=0, le=MAX_PAYLOAD_MB)
    allowed_regions: Members[Name] | None = None

    @model_validator(mode="after")
    def _limit_in_milliseconds(self) -> Workload:
        law = self.service_ms
        if isinstance(law, Distribution) and law.average() > MAX_MEAN_PER_SLO * self.slo_ms:
            problem = f"found a limit of {self.slo_ms:g} ms, and a mean service time of {law.average():g} ms"
            raise ValueError(f"{problem}; are both in milliseconds?")
        return self

    @property
    def has_energy(self) -> bool:
        """Whether an energy is stated, per request or per token."""
        return (self.energy_j, *self.energy_j_per_token) != (None, None, None)

    @property
    def energy_j_per_token(self) -> tuple[float | None, float | None]:
        """IT energy per prompt token and per answer token, J."""
        return self.energy_j_per_prompt_token, self.energy_j_per_answer_token


class Network(Spec):
    """Round-trip times, from the file itself or from a matrix, and jitter.

    Attributes
    ----------
    jitter_std_ms
        Of the half-normal jitter.
    jitter
        Another law, instead: lognormal, fitted to a matrix of 90th percentiles.
    energy_j_per_gb
        Energy to move a gigabyte (10⁹ bytes) between user and region, J.
    rtt_ms
        Milliseconds by origin, then by region; beside a file, of pairs whose time is to be another.
    rtt_file
        CSV or Parquet, relative to the scenario file: a matrix, or a long table with a row for each pair.
    rtt_columns
        Columns of a long table, where their names do not tell.
    rtt_skip_rows
        Number of lines above the header of a CSV file.
    missing
        Rule for a pair without a time: refuse the scenario, take the time of the way back
        (``"reverse"``), or estimate it by the great-circle distance between the coordinates of origin and
        region.
    """

    jitter_std_ms: Milliseconds = 0.0
    jitter: LognormalJitter | None = None
    energy_j_per_gb: Joules = 0.0
    rtt_ms: dict[str, dict[str, Annotated[float, Field(ge=0, le=MAX_RTT_MS)]]] | None = None
    rtt_file: Annotated[str, Field(min_length=1)] | None = None
    rtt_columns: PairColumns | None = None
    rtt_skip_rows: SkipRows = 0
    missing: Missing = "refuse"

    @model_validator(mode="after")
    def _one_source(self) -> Network:
        if self.rtt_ms is None and self.rtt_file is None and self.missing != "great-circle":
            raise ValueError("found neither of rtt_ms and rtt_file; one is expected")
        if self.rtt_columns and self.rtt_file is None:
            raise ValueError("found rtt_columns without rtt_file; the long table that has them is expected")
        if self.rtt_skip_rows and self.rtt_file is None:
            raise ValueError("found rtt_skip_rows without rtt_file; the file that has such lines is expected")
        if self.jitter and self.jitter.p90_columns is None and self.jitter.p90_file == self.rtt_file:
            problem = f"found {self.rtt_file!r}, the file of the medians"
            remedy = "another file is expected, or p90_columns that name the column of the 90th percentiles"
            refuse([Fault(".jitter.p90_file", problem, remedy)])
        if self.jitter and "jitter_std_ms" in self.model_fields_set:
            raise ValueError("found both of jitter_std_ms and jitter; one is expected")
        return self


class Scenario(Spec):
    """Everything that defines a run. Made by `carbonroute.load`.

    Attributes
    ----------
    schema_version
        Version of the rules that the file follows: 1.
    name
        Name of the run.
    description
        What it is about, for readers of its results.
    sources
        Whom to cite for the factors between energy and grams, by factor.
    horizon
        How long the simulated time is, and when it starts.
    sampling
        How random numbers are drawn.
    information
        What policies may know.
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

    schema_version: int = Field(alias="schema")
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
        return _by_power(workload, self.regions, self.pools)

    @property
    def limit_per(self) -> Literal["workload", "all"]:
        """What the limit on violations holds for; a single workload is all."""
        return self.limits.per if len(self.workloads) > 1 else "all"

    def within(self, violations: float | None) -> Scenario:
        """Return the scenario with another limit on violations, 0…1; itself for None.

        Raises
        ------
        InputError
            If the limit is no share.
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

    @field_validator("schema_version")
    @classmethod
    def _known_schema(cls, version: int) -> int:
        if version != SCHEMA:
            raise ValueError(f"found {version}; this version of carbonroute reads schema {SCHEMA}")
        return version

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
        shares = _not_one(origin.share for origin in origins)
        refuse([*_repeated([origin.name for origin in origins], "name"), *shares])
        return origins

    @field_validator("regions", mode="before")
    @classmethod
    def _regions_inherit(cls, regions: Any, info: ValidationInfo) -> Any:
        """Complete each region's own carbon that states no kind by the scenario's."""
        if not isinstance(regions, list):
            return regions
        return [_inheriting(region, info.data.get("carbon")) for region in regions]

    @field_validator("regions")
    @classmethod
    def _regions_differ(cls, regions: tuple[Region, ...], info: ValidationInfo) -> tuple[Region, ...]:
        of_the_whole = [
            Fault(f"[{index}].carbon.{key}", f"found {key} in a region's own carbon", f"state carbon.{key}")
            for index, region in enumerate(regions)
            for key in ("forecast", "allow_mixed_accounting")
            if region.carbon and key in region.carbon.model_fields_set
        ]
        repeated = _repeated([region.name for region in regions], "name")
        otherwise = _counted_otherwise(regions, info.data.get("carbon"))
        pools = (
            replace(fault, where=f"[{index}].pools{fault.where}")
            for index, region in enumerate(regions)
            for fault in _unfit(region.pools, info)
        )
        residency = residency_faults(
            _allowed("origins", ((origin.name, origin) for origin in info.data.get("origins", ()))),
            _allowed("workloads", ((workload.id, workload) for workload in info.data.get("workloads", ()))),
            [region.name for region in regions],
        )
        refuse(chain(repeated, of_the_whole, otherwise, pools), elsewhere=residency)
        return regions

    @field_validator("pools")
    @classmethod
    def _pools_serve_all(cls, pools: tuple[Pool, ...], info: ValidationInfo) -> tuple[Pool, ...]:
        refuse(_unfit(pools, info), elsewhere=_without_energy(pools, info))
        return pools

    @field_validator("workloads")
    @classmethod
    def _workloads_add_up(cls, workloads: tuple[Workload, ...]) -> tuple[Workload, ...]:
        shares = _not_one(workload.share for workload in workloads)
        refuse([*_repeated([workload.id for workload in workloads], "id"), *shares])
        return workloads

    @field_validator("policies")
    @classmethod
    def _labels_differ(
        cls, policies: tuple[PolicyEntry, ...], info: ValidationInfo
    ) -> tuple[PolicyEntry, ...]:
        refuse(_repeated([entry.shown for entry in policies], "label"))
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
        if _unpowered(info.data.get("pools", ()), info):
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
        rows = _misplaced(".rtt_ms", "origin", network.rtt_ms, origins, complete)
        cells = (
            _misplaced(f".rtt_ms.{key_text(origin)}", "region", row, regions, complete)
            for origin, row in network.rtt_ms.items()
        )
        refuse(chain(rows, *cells))
        return network


def _by_power(workload: str, regions: Sequence[Region], pools: Sequence[Pool]) -> bool:
    """Whether replicas of known power serve a workload in every region."""
    serving = [
        [pool for pool in region.pools or pools if workload in (pool.workloads or (workload,))]
        for region in regions
    ]
    return bool(serving) and all(
        own and all(pool.llm is not None and pool.llm.has_power for pool in own) for own in serving
    )


def _unpowered(pools: Sequence[Pool], info: ValidationInfo) -> list[int]:
    """Return the workloads whose energy is neither stated nor that of replicas."""
    regions = info.data.get("regions", ())
    return [
        index
        for index, workload in enumerate(info.data.get("workloads", ()))
        if not (workload.has_energy or _by_power(workload.id, regions, pools))
    ]


def _without_energy(pools: Sequence[Pool], info: ValidationInfo) -> Iterator[Fault]:
    """Yield a fault for each workload without energy beside others that state theirs."""
    workloads = info.data.get("workloads", ())
    if "regions" not in info.data or not any(workload.has_energy for workload in workloads):
        return
    remedy = "state the energy of all workloads, or of none"
    served = any(pool.llm for region in info.data["regions"] for pool in region.pools or pools)
    if served:
        remedy += "; those served by llm of known power in every region need none"
    for index in _unpowered(pools, info):
        yield Fault(f"workloads[{index}].energy_j", "missing", remedy)


def _counted_otherwise(regions: Sequence[Region], carbon: CarbonSource | None) -> Iterator[Fault]:
    """Yield a fault for each mean of the catalogue beside a label that is not its own."""
    if not isinstance(carbon, Synthetic):
        return
    stated = carbon.accounting.model_dump(exclude_none=True)
    for index, region in enumerate(regions):
        zone = zones().get(region.zone or "")
        if region.from_ is None or zone is None or region.carbon is not None:
            continue
        known = accounting_of(zone.zone)
        differ = any(getattr(known, key) != label for key, label in stated.items())
        if differ and region.carbon_g_per_kwh == zone.mean_g_per_kwh:
            problem = f"the catalogue's carbon is {known}, and carbon.accounting says {carbon.accounting}"
            remedy = "leave carbon.accounting out, or state carbon_g_per_kwh"
            yield Fault(f"[{index}].from", problem, remedy, "mixed-accounting")


def _allowed(section: str, members: Iterable[tuple[str, Origin | Workload]]) -> Allowed:
    """Return what the named members of a section allow, by their places and names."""
    return {
        (f"{section}[{index}]", name): member.allowed_regions for index, (name, member) in enumerate(members)
    }


def _inheriting(region: Any, carbon: CarbonSource | None) -> Any:
    """Return a region's table with all keys of its own carbon."""
    own = region.get("carbon") if isinstance(region, dict) else None
    if not isinstance(own, dict) or "kind" in own:
        return region
    # Faults of the scenario's carbon are told once.
    return {**region, "carbon": None if carbon is None else carbon.inherited(own)}


def _unfit(pools: Sequence[Pool], info: ValidationInfo) -> Iterator[Fault]:
    """Yield the faults of one region's pools, where there are any and the workloads are known."""
    workloads = info.data.get("workloads")
    if pools and workloads:
        silent = [workload.id for workload in workloads if not workload.has_energy]
        yield from pool_faults(pools, [workload.id for workload in workloads], silent)


def _misplaced(
    path: str, kind: str, given: Mapping[str, Any], expected: Sequence[str], complete: bool
) -> Iterator[Fault]:
    """Yield a fault for each name in a table of round-trip times that is not wanted, or not there."""
    for name in dict.fromkeys([*given, *expected]):
        where = f"{path}.{key_text(name)}"
        if name in given and name not in expected:
            yield Fault(
                where, f"there is no {kind} of this name", did_you_mean(name, expected), "unknown-name"
            )
        elif complete and name not in given:
            yield Fault(
                where, "missing", f"a round-trip time in ms is needed for every {kind}", "missing-key"
            )
