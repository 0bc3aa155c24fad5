"""The carbon intensities that a policy decides on: measured or forecast, with age and gaps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from carbonroute.arrays import Array, Index, Integers
from carbonroute.control.information import Information
from carbonroute.control.unknown import is_unknown, shown_g_per_kwh
from carbonroute.errors import Fault, InputError
from carbonroute.units import MINUTES_PER_HOUR, S_PER_HOUR

if TYPE_CHECKING:
    from carbonroute.carbon import Signal, StepValues

Forecaster = Callable[[int], tuple[Array, Mapping[str, int]]]

#: Reasons for which forecast rows are left out, in words.
_LEFT_OUT = MappingProxyType(
    {
        "no_issue": "hours × regions before the first issue",
        "no_lead": "hours × regions that the latest issue does not reach",
        "missing": "values missing",
        "absurd": "absurd values taken as missing",
        "repeated": "rows left out that repeat an issue and a lead",
    }
)


#: How a value is known: measured; by forecast; by the last one before it; by the long-run mean; not at all.
MEASURED, FORECAST, SUBSTITUTED, STATIC, UNKNOWN = range(5)
KINDS = "measured", "forecast", "substituted", "static", "unknown"


@dataclass(frozen=True)
class Known:
    """Carbon as known at K moments. R regions.

    Attributes
    ----------
    g_per_kwh
        gCO2e/kWh, shape (K, R); NaN where unknown.
    age_s
        Time since the interval of a measured value began, or at least since a forecast was issued, s, shape
        (K, R); NaN where a value has no age.
    kind
        Place in `KINDS`, shape (K, R).
    """

    g_per_kwh: Array
    age_s: Array
    kind: NDArray[np.int8]

    def __getitem__(self, moments: slice) -> Known:
        return Known(self.g_per_kwh[moments], self.age_s[moments], self.kind[moments])

    @property
    def unknown(self) -> NDArray[np.bool_]:
        """Whether some region is unknown, shape (K,)."""
        return is_unknown(self.g_per_kwh)

    @property
    def shown_g_per_kwh(self) -> Array:
        """The values that a policy sees, finite, shape (K, R)."""
        return shown_g_per_kwh(self.g_per_kwh)


@dataclass(frozen=True)
class Knowledge:
    """Carbon as known in every step of the horizon. S steps of equal length, H hours, R regions.

    Attributes
    ----------
    g_per_kwh
        gCO2e/kWh, shape (S, R); NaN where unknown.
    age_hours
        Age of each value at the beginning of its step, shape (S, R); NaN where it has none.
    kind
        Place of each in `KINDS`, shape (S, R).
    steps_per_hour
        S / H; more than 1 where carbon values become known within an hour.
    missing, substituted
        How many steps × regions had no value, and how many of them got one by `carbon_missing`.
    left_out
        Rows of a forecast that were left out, by reason.
    blind
        Hours at whose beginning some region is unknown, shape (H,): they are routed by latency alone.
    shown_g_per_kwh
        The values that a policy sees at the beginning of each hour, finite, gCO2e/kWh, shape (H, R).
    """

    g_per_kwh: Array
    age_hours: Array
    kind: NDArray[np.int8]
    steps_per_hour: int = 1
    missing: int = 0
    substituted: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    blind: NDArray[np.bool_] = field(init=False)
    shown_g_per_kwh: Array = field(init=False)

    def __post_init__(self) -> None:
        by_hour = self.g_per_kwh[:: self.steps_per_hour]
        object.__setattr__(self, "blind", is_unknown(by_hour))
        object.__setattr__(self, "shown_g_per_kwh", np.asfortranarray(shown_g_per_kwh(by_hour)))

    def at(self, now_s: Array) -> Known:
        """Return the values known at K moments, s from the start of the horizon, shape (K,)."""
        step = self._step(now_s)
        since_s = (now_s - step * (S_PER_HOUR / self.steps_per_hour))[:, np.newaxis]
        age_s = self.age_hours[step] * S_PER_HOUR + since_s
        return Known(self.g_per_kwh[step], age_s, self.kind[step])

    def unknown_at(self, now_s: Array) -> NDArray[np.bool_]:
        """Return whether some region is unknown at K moments, s, shape (K,)."""
        return is_unknown(self.g_per_kwh[self._step(now_s)])

    def _step(self, now_s: Array) -> Index:
        step = (now_s // (S_PER_HOUR / self.steps_per_hour)).astype(np.intp)
        return np.minimum(step, len(self.g_per_kwh) - 1)

    @property
    def notes(self) -> tuple[str, ...]:
        """Counts of forecast rows left out, for people."""
        counts = [f"{count:,} {_LEFT_OUT[values]}" for values, count in self.left_out.items() if count]
        return (f"forecasts: {', '.join(counts)}",) if counts else ()

    @property
    def facts(self) -> dict[str, Any]:
        """Counts for the manifest."""
        return {
            "values": self.g_per_kwh.size,
            "missing": self.missing,
            "substituted": self.substituted,
            "hours_routed_by_latency_alone": int(self.blind.sum()),
            **({"forecast": dict(self.left_out)} if self.left_out else {}),
        }


def truth(signal: Signal) -> Knowledge:
    """Return perfect knowledge: the values that the account itself uses."""
    return _all(signal.g_per_kwh, 0.0, MEASURED)


def in_hindsight(signal: Signal, requests: Array) -> Knowledge:
    """Return each region's mean over the run, weighted by each hour's `requests`, shape (H,)."""
    weights = requests if requests.any() else np.ones_like(requests)
    mean_g_per_kwh = weights @ signal.g_per_kwh / weights.sum()
    return _all(np.broadcast_to(mean_g_per_kwh, signal.g_per_kwh.shape), np.nan, STATIC)


def hidden(signal: Signal) -> Knowledge:
    """Return no knowledge at all, for a policy that does not declare to read carbon."""
    return _all(np.broadcast_to(np.nan, signal.g_per_kwh.shape), np.nan, UNKNOWN)


def _all(g_per_kwh: Array, age_hours: float, kind: int) -> Knowledge:
    """Return values that are all of one age and kind."""
    shape = g_per_kwh.shape
    return Knowledge(g_per_kwh, np.broadcast_to(age_hours, shape), np.broadcast_to(np.int8(kind), shape))


def known(information: Information, signal: Signal, forecast: Forecaster | None) -> Knowledge:
    """Return a policy's knowledge.

    Raises InputError if values are missing and no rule fills them, or there is no forecast.

    Parameters
    ----------
    information
        How old and how complete.
    signal
        Measured values, with at least `history_hours` of the information before the horizon.
    forecast
        From the least age of a forecast, hours, to its values, shape (H, R), NaN where it has none, and the
        counts of rows left out.
    """
    hours = len(signal.g_per_kwh)
    left_out: Mapping[str, int] = {}
    if information.carbon == "current":
        measured, kinds = _measured(information, signal), MEASURED
        values, begun_minutes = measured.g_per_kwh, measured.interval_minutes
        row, age_hours = _latest(information.carbon_age.minutes, measured, hours)
    elif forecast is None:
        raise InputError("information", [Fault("carbon", 'found "forecast"', "[carbon.forecast] is missing")])
    else:
        (values, left_out), kinds = forecast(information.carbon_age_hours), FORECAST
        begun_minutes = np.arange(len(values))[:, np.newaxis] * MINUTES_PER_HOUR
        row = np.arange(len(values) - hours, len(values))
        age_hours = np.full((hours, 1), float(information.carbon_age_hours))
    missing, steps_per_hour = np.isnan(values[row]), len(row) // hours
    kind = np.full(missing.shape, kinds, dtype=np.int8)
    if missing.any():
        if information.carbon_missing == "refuse":
            raise InputError("information", [_unknown(missing, steps_per_hour, information)])
        values, older_hours = _substituted(information, signal, values, begun_minutes)
        age_hours = age_hours + older_hours[row]
        kind[missing] = STATIC if information.carbon_missing == "static" else SUBSTITUTED
    unknown = np.isnan(values[row])
    kind[unknown] = UNKNOWN
    return Knowledge(
        g_per_kwh=values[row],
        age_hours=np.broadcast_to(age_hours, missing.shape),
        kind=kind,
        steps_per_hour=steps_per_hour,
        missing=int(missing.sum()),
        substituted=int(missing.sum() - unknown.sum()),
        left_out=left_out,
    )


def history_hours(information: Information) -> int:
    """Return how many hours before the horizon a policy may have to look at."""
    return math.ceil(information.carbon_age.minutes / MINUTES_PER_HOUR) + information.last_hours


def reads_within_hour(information: Information) -> bool:
    """Whether a policy may see measured values at steps shorter than an hour: its age has minutes."""
    return information.carbon == "current" and information.carbon_age.minutes % MINUTES_PER_HOUR > 0


def _measured(information: Information, signal: Signal) -> StepValues:
    """Return the measured values that a policy is told of: hourly means, where its age has whole hours."""
    if signal.within_hour is not None and reads_within_hour(information):
        return signal.within_hour
    return signal.measured


def _latest(age_minutes: int, measured: StepValues, hours: int) -> tuple[Index, Array]:
    """Return the row of the latest measured value in each step, shape (S,), and its age, h.

    The age has shape (S, R), or (S, 1) where it is the same for all regions.
    """
    interval = measured.step_minutes
    minute = np.arange(0, hours * MINUTES_PER_HOUR, math.gcd(age_minutes, interval))
    latest, since = np.divmod(minute - age_minutes, interval)
    row = latest + len(measured.g_per_kwh) - hours * measured.per_hour
    return row, ((since + age_minutes)[:, np.newaxis] + measured.begun_minutes[row]) / MINUTES_PER_HOUR


def _substituted(
    information: Information, signal: Signal, values: Array, begun_minutes: Integers
) -> tuple[Array, Array]:
    """Return values with the missing ones filled by rule, and by how many hours each is older; NaN: none.

    `begun_minutes`: when the interval of each value began, shape (S, R) or (S, 1).
    """
    if information.carbon_missing == "static":
        if signal.reference_g_per_kwh is None:
            remedy = "state them, or take a carbon file that begins a day or more before horizon.start"
            fault = Fault("carbon_missing", 'found "static", and no long-run means are known', remedy)
            raise InputError("information", [fault])
        filled = np.where(np.isnan(values), signal.reference_g_per_kwh, values)
        return filled, np.where(np.isnan(values), np.nan, 0.0)
    row = np.arange(len(values))[:, np.newaxis]
    last = np.maximum.accumulate(np.where(np.isnan(values), -1, row), axis=0)
    source = np.maximum(last, 0)
    begun = np.broadcast_to(begun_minutes, values.shape)
    older_minutes = begun - np.take_along_axis(begun, source, axis=0)
    recent = (last >= 0) & (older_minutes <= information.last_hours * MINUTES_PER_HOUR)
    filled = np.where(recent, np.take_along_axis(values, source, axis=0), np.nan)
    return filled, np.where(recent, older_minutes / MINUTES_PER_HOUR, np.nan)


def _unknown(missing: NDArray[np.bool_], steps_per_hour: int, information: Information) -> Fault:
    first = int(missing.any(axis=1).argmax()) // steps_per_hour
    values = "forecasts" if information.carbon == "forecast" else "measured values"
    problem = f"{int(missing.sum()):,} of {missing.size:,} {values} are missing when it is decided on them"
    remedy = "state what then: 'last:<max>' such as 'last:6h', 'static' or 'latency-only', in [information]"
    return Fault("carbon_missing", f"{problem}, the first in hour {first}", remedy)
