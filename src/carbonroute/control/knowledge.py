"""The carbon intensities that a policy decides on: measured or forecast, with age and gaps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from carbonroute.arrays import Array
from carbonroute.control.information import Information
from carbonroute.control.unknown import is_unknown, shown_g_per_kwh
from carbonroute.errors import Fault, InputError
from carbonroute.units import S_PER_HOUR

if TYPE_CHECKING:
    from carbonroute.carbon import Signal

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
    """Carbon as known when each hour is decided on. H hours, R regions.

    Attributes
    ----------
    g_per_kwh
        gCO2e/kWh, shape (H, R); NaN where unknown.
    age_hours
        Age of each value at the beginning of its hour, shape (H, R); NaN where it has none.
    kind
        Place of each in `KINDS`, shape (H, R).
    missing, substituted
        How many hours × regions had no value, and how many of them got one by `carbon_missing`.
    left_out
        Rows of a forecast that were left out, by reason.
    blind
        Hours in which some region is unknown, and which are routed by latency alone, shape (H,).
    shown_g_per_kwh
        The values that a policy sees, finite, gCO2e/kWh, shape (H, R).
    """

    g_per_kwh: Array
    age_hours: Array
    kind: NDArray[np.int8]
    missing: int = 0
    substituted: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    blind: NDArray[np.bool_] = field(init=False)
    shown_g_per_kwh: Array = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "blind", is_unknown(self.g_per_kwh))
        object.__setattr__(self, "shown_g_per_kwh", shown_g_per_kwh(self.g_per_kwh))

    def at(self, now_s: Array) -> Known:
        """Return the values known at K moments, s from the start of the horizon, shape (K,)."""
        hour = np.minimum((now_s // S_PER_HOUR).astype(np.intp), len(self.g_per_kwh) - 1)
        since_s = (now_s - hour * S_PER_HOUR)[:, np.newaxis]
        age_s = self.age_hours[hour] * S_PER_HOUR + since_s
        return Known(self.g_per_kwh[hour], age_s, self.kind[hour])

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


def hidden(signal: Signal) -> Knowledge:
    """Return no knowledge at all, for a policy that does not declare to read carbon."""
    return _all(np.broadcast_to(np.nan, signal.g_per_kwh.shape), np.nan, UNKNOWN)


def _all(g_per_kwh: Array, age_hours: float, kind: int) -> Knowledge:
    """Return values that are all of one age and kind."""
    shape = g_per_kwh.shape
    return Knowledge(g_per_kwh, np.broadcast_to(age_hours, shape), np.broadcast_to(np.int8(kind), shape))


def known(information: Information, signal: Signal, forecast: Forecaster | None) -> Knowledge:
    """Return a policy's knowledge.

    Parameters
    ----------
    information
        How old and how complete.
    signal
        Measured values, with at least `history_hours` of the information before the horizon.
    forecast
        From the least age of a forecast, hours, to its values, shape (H, R), NaN where it has none, and the
        counts of rows left out.

    Raises
    ------
    InputError
        If values are missing and no rule fills them, or there is no forecast.
    """
    hours, age = len(signal.g_per_kwh), information.carbon_age_hours
    left_out: Mapping[str, int] = {}
    if information.carbon == "current":
        seen = signal.measured_g_per_kwh
        seen = seen[: len(seen) - age]
    elif forecast is None:
        raise InputError("information", [Fault("carbon", 'found "forecast"', "[carbon.forecast] is missing")])
    else:
        seen, left_out = forecast(age)
    now, older = seen[len(seen) - hours :], np.zeros((hours, seen.shape[1]))
    missing = np.isnan(now)
    kind = np.full(now.shape, MEASURED if information.carbon == "current" else FORECAST, dtype=np.int8)
    if missing.any():
        now, older = (values[len(seen) - hours :] for values in _substituted(information, signal, seen))
        kind[missing] = STATIC if information.carbon_missing == "static" else SUBSTITUTED
    unknown = np.isnan(now)
    kind[unknown] = UNKNOWN
    substituted = int(missing.sum() - unknown.sum())
    return Knowledge(now, age + older, kind, int(missing.sum()), substituted, left_out)


def history_hours(information: Information) -> int:
    """Return how many hours before the horizon a policy may have to look at."""
    return information.carbon_age_hours + information.last_hours


def _substituted(information: Information, signal: Signal, seen: Array) -> tuple[Array, Array]:
    """Return values with the missing ones filled by rule, and by how many hours each is older; NaN: none."""
    if information.carbon_missing == "refuse":
        raise InputError("information", [_unknown(signal, seen, information)])
    if information.carbon_missing == "static":
        if signal.reference_g_per_kwh is None:
            remedy = "state them, or take a carbon file that begins a day or more before horizon.start"
            fault = Fault("carbon_missing", 'found "static", and no long-run means are known', remedy)
            raise InputError("information", [fault])
        filled = np.where(np.isnan(seen), signal.reference_g_per_kwh, seen)
        return filled, np.where(np.isnan(seen), np.nan, 0.0)
    hour = np.arange(len(seen))[:, np.newaxis]
    last = np.maximum.accumulate(np.where(np.isnan(seen), -1, hour), axis=0)
    recent = (last >= 0) & (hour - last <= information.last_hours)
    filled = np.where(recent, np.take_along_axis(seen, np.maximum(last, 0), axis=0), np.nan)
    return filled, np.where(recent, hour - last, np.nan)


def _unknown(signal: Signal, seen: Array, information: Information) -> Fault:
    hours = len(signal.g_per_kwh)
    missing = np.isnan(seen[len(seen) - hours :])
    first = int(missing.any(axis=1).argmax())
    values = "forecasts" if information.carbon == "forecast" else "measured values"
    problem = f"{int(missing.sum()):,} of {missing.size:,} {values} are missing when it is decided on them"
    remedy = "state what then: 'last:<max>' such as 'last:6h', 'static' or 'latency-only'"
    return Fault("carbon_missing", f"{problem}, the first in hour {first}", remedy)
