"""A carbon signal: hours × regions, with the accounting behind its numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from carbonroute.carbon.profile import Profile
from carbonroute.files.text import Digests
from carbonroute.spec import Spec
from carbonroute.units import HOURS_PER_DAY, HOURS_PER_WEEK, MAX_CARBON_G_PER_KWH, MINUTES_PER_HOUR


class Accounting(Spec):
    """Labels of a carbon intensity. Numbers with different labels must not be compared.

    Attributes
    ----------
    rate
        Of all generation, or of the plants that follow demand.
    scope
        Combustion alone, or the whole life cycle of plants and fuels.
    boundary
        Of a zone's generation, or of its consumption (flow-traced).
    """

    rate: Literal["average", "marginal"] | None = None
    scope: Literal["direct", "lifecycle"] | None = None
    boundary: Literal["production", "consumption"] | None = None

    def __str__(self) -> str:
        stated = [label for label in (self.rate, self.scope, self.boundary) if label]
        return ", ".join(stated) or "not stated"


@dataclass(frozen=True)
class MixedAccounting:
    """Labels of regions whose numbers count different things, side by side because the scenario allows it.

    `of_region`: every region's name and label.
    """

    of_region: tuple[tuple[str, Accounting], ...]

    @property
    def labels(self) -> str:
        """Every label with its regions."""
        regions: dict[str, list[str]] = {}
        for region, label in self.of_region:
            regions.setdefault(str(label), []).append(region)
        return "; ".join(f"{label} ({', '.join(names)})" for label, names in regions.items())

    def __str__(self) -> str:
        return f"mixed: {self.labels}"


@dataclass(frozen=True)
class GridDice:
    """Standard normals of the grids that a query's regions are in, in the order of time.

    `weather`: of days, correlated between grids; shape (R, days).
    `noise`: of the hours of days; shape (R, days, 24).
    """

    weather: NDArray[np.float64]
    noise: NDArray[np.float64]

    def some(self, rows: Sequence[int]) -> GridDice:
        """Return the dice of some of the regions."""
        return GridDice(self.weather[rows], self.noise[rows])


@dataclass(frozen=True)
class Query:
    """A scenario's query of a carbon source: regions, zones and hours.

    Attributes
    ----------
    regions, zones
        Names of the regions, and the key of each one's grid in a data file.
    mean_g_per_kwh
        Stated mean of each region, or None where the scenario has none.
    profiles
        Shape of each region's synthetic carbon, or None where it is the scenario's.
    hours, start
        The horizon; `start` (UTC) is None without a calendar.
    folder
        Folder that paths in the scenario are relative to.
    history_hours
        Hours before the horizon that are asked for too: a router's value at hour 0 may be that old.
    reference
        Whether long-run means from before the horizon are asked for.
    within_hour
        Whether measured values at the steps of a file that are shorter than an hour are asked for too.
    uniform, normal
        Give the scenario's dice: uniform numbers in [0, 1) for noise and standard normals for weather, shape
        (R, history_hours + hours), in the order of time. The horizon's are the same for any history.
    grid_dice
        Gives the dice of some days before that of hour 0, and of some from it on; any for a region without
        a grid.
    index
        Place of each region in the scenario, if these are some of its regions.
    key
        Where the scenario spells the source, for messages.
    digests
        Where the digest of every file that is read is noted.
    """

    regions: tuple[str, ...]
    zones: tuple[str, ...]
    mean_g_per_kwh: tuple[float | None, ...]
    profiles: tuple[Profile | None, ...]
    hours: int
    start: datetime | None
    folder: Path
    history_hours: int
    reference: bool
    uniform: Callable[[], NDArray[np.float64]]
    normal: Callable[[], NDArray[np.float64]]
    grid_dice: Callable[[int, int], GridDice]
    within_hour: bool = False
    index: tuple[int, ...] | None = None
    key: str = "carbon"
    digests: Digests = field(default_factory=Digests, compare=False)

    @classmethod
    def of_all_times(cls, zones: Sequence[str], folder: Path = Path()) -> Query:
        """Return a query for some zones and all times that a file can have."""
        nothing = np.zeros((len(zones), 0))
        return cls(
            regions=tuple(zones),
            zones=tuple(zones),
            mean_g_per_kwh=(None,) * len(zones),
            profiles=(None,) * len(zones),
            hours=200 * 8766,
            start=datetime(1900, 1, 1, tzinfo=UTC),
            folder=folder,
            history_hours=0,
            reference=False,
            uniform=lambda: nothing,
            normal=lambda: nothing,
            grid_dice=lambda _before, _days: GridDice(nothing, nothing[:, :, np.newaxis]),
        )

    @property
    def reference_hours(self) -> int:
        """Hours before the horizon that long-run means are of: as many as it has, a week at least."""
        return max(self.hours, HOURS_PER_WEEK) if self.reference else 0

    @property
    def first_hour(self) -> float:
        """Hour of the day of hour 0, UTC; midnight without a calendar."""
        return self.start.hour + self.start.minute / MINUTES_PER_HOUR if self.start else 0.0

    @property
    def days_before(self) -> int:
        """Days of the history before that of hour 0, UTC."""
        return -math.floor((self.first_hour - self.history_hours) / HOURS_PER_DAY)

    @property
    def days(self) -> int:
        """Days from that of hour 0 to that of the last hour, UTC."""
        return math.floor((self.first_hour + self.hours - 1) / HOURS_PER_DAY) + 1

    def place(self, region: int) -> str:
        """Return how messages name a region of the query, such as ``regions[2]``."""
        return f"regions[{self.index[region] if self.index else region}]"

    def part(self, some: Sequence[int], key: str) -> Query:
        """Return the query of some of the regions, each with its own dice, for a source spelled at `key`."""
        rows = list(some)
        return replace(
            self,
            regions=tuple(self.regions[i] for i in rows),
            zones=tuple(self.zones[i] for i in rows),
            mean_g_per_kwh=tuple(self.mean_g_per_kwh[i] for i in rows),
            profiles=tuple(self.profiles[i] for i in rows),
            uniform=lambda: self.uniform()[rows],
            normal=lambda: self.normal()[rows],
            grid_dice=lambda before, days: self.grid_dice(before, days).some(rows),
            index=tuple(self.index[i] if self.index else i for i in rows),
            key=key,
        )


@dataclass(frozen=True)
class StepValues:
    """Values at equal steps, an hour or a part of it. S steps of history and horizon, R regions.

    Attributes
    ----------
    g_per_kwh
        gCO2e/kWh, shape (S, R); NaN where there is none.
    per_hour
        Steps in an hour.
    begun_minutes
        Time from the start of the interval that a value stands for to that of its step, shape (S, R) or
        (S, 1): 0, but where an interval takes several steps.
    """

    g_per_kwh: NDArray[np.float64]
    per_hour: int
    begun_minutes: NDArray[np.int64]

    @classmethod
    def hourly(cls, g_per_kwh: NDArray[np.float64]) -> StepValues:
        """Return values by the hour, shape (S, R)."""
        return cls(g_per_kwh, 1, np.broadcast_to(np.int64(0), (len(g_per_kwh), 1)))

    @property
    def step_minutes(self) -> int:
        """Length of a step."""
        return MINUTES_PER_HOUR // self.per_hour

    @property
    def interval_minutes(self) -> NDArray[np.int64]:
        """When the interval of each value began, from the first step on, shape (S, R) or (S, 1)."""
        of_step: NDArray[np.int64] = np.arange(len(self.g_per_kwh))[:, np.newaxis] * self.step_minutes
        return of_step - self.begun_minutes

    def split(self, per_hour: int) -> StepValues:
        """Return the values at shorter steps, each as often as it has steps; `per_hour` is a multiple."""
        times = per_hour // self.per_hour
        further = np.tile(np.arange(times) * (MINUTES_PER_HOUR // per_hour), len(self.g_per_kwh))
        begun_minutes = self.begun_minutes.repeat(times, axis=0) + further[:, np.newaxis]
        return StepValues(self.g_per_kwh.repeat(times, axis=0), per_hour, begun_minutes)


@dataclass(frozen=True)
class Signal:
    """Carbon intensity of every hour and region.

    Attributes
    ----------
    g_per_kwh
        Values of the account, gCO2e/kWh, shape (hours, R); finite, 0 … `MAX_CARBON_G_PER_KWH`.
    measured_g_per_kwh
        Measured values of the history and the horizon, by the hour, which a router could have seen, shape
        (history_hours + hours, R); NaN where the source has none, or cleaning removed or filled it.
    source
        Where they come from, with licence or attribution.
    files
        Data files read, by the name that the scenario gives them.
    reference_g_per_kwh
        Long-run mean of each region that is known before the horizon, shape (R,), or None.
    cleaning
        Uses of cleaning rules, and warnings, for the manifest: JSON values.
    notes
        The same for people: one line each.
    persistence_hours
        Autocorrelation time of its random part: 1 where every hour is drawn anew, more where weather lasts, 0
        where nothing is drawn.
    within_hour
        The same at the steps of the source, where these are shorter than an hour and the query asks for them;
        else None.
    """

    g_per_kwh: NDArray[np.float64]
    measured_g_per_kwh: NDArray[np.float64]
    accounting: Accounting | MixedAccounting = field(default_factory=Accounting)
    source: str = ""
    files: Mapping[str, Path] = field(default_factory=dict)
    reference_g_per_kwh: NDArray[np.float64] | None = None
    cleaning: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    persistence_hours: float = 0.0
    within_hour: StepValues | None = None

    def __post_init__(self) -> None:
        known = (self.g_per_kwh >= 0) & (self.g_per_kwh <= MAX_CARBON_G_PER_KWH)  # False for NaN
        if not known.all():
            hour, region = np.argwhere(~known)[0]
            raise ValueError(
                f"carbon intensity {self.g_per_kwh[hour, region]} g/kWh at hour {hour}, "
                f"region index {region}; 0 … {MAX_CARBON_G_PER_KWH:g} is expected"
            )

    @property
    def measured(self) -> StepValues:
        """The measured values by the hour."""
        return StepValues.hourly(self.measured_g_per_kwh)

    def scaled(self, factors: NDArray[np.float64]) -> Signal:
        """Return the signal with each region's values, measured ones and long-run mean included, multiplied.

        `factors`: of each region, shape (R,).
        """
        return self.changed(lambda g_per_kwh: g_per_kwh * factors)

    def changed(self, change: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Signal:
        """Return the signal with all values, measured ones and long-run mean included, changed.

        `change`: from values to values, gCO2e/kWh, shape (…, R).
        """
        reference, finer = self.reference_g_per_kwh, self.within_hour
        return replace(
            self,
            g_per_kwh=change(self.g_per_kwh),
            measured_g_per_kwh=change(self.measured_g_per_kwh),
            reference_g_per_kwh=None if reference is None else change(reference),
            within_hour=None if finer is None else replace(finer, g_per_kwh=change(finer.g_per_kwh)),
        )
