"""The sections of a scenario file: horizon, sampling, origins, regions, workloads and network."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import Field, field_validator, model_validator

from carbonroute.carbon import CarbonSource, Profile
from carbonroute.errors import Fault
from carbonroute.files.limits import SkipRows
from carbonroute.network import MAX_RTT_MS, Continent, LognormalJitter, Missing, PairColumns
from carbonroute.rng import MAX_SEED
from carbonroute.scenario.written.catalogued import origin_filled, region_filled
from carbonroute.scenario.written.faults import refuse
from carbonroute.scenario.written.names import Name
from carbonroute.scenario.written.pools import Pool
from carbonroute.spec import Spec
from carbonroute.units import (
    MAX_CARBON_G_PER_KWH,
    MAX_EMBODIED_G,
    MAX_ENERGY_J,
    MAX_PAYLOAD_MB,
    MAX_TIME_MS,
)
from carbonroute.workloads import Distribution, ServiceLaw

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
