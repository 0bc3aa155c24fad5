"""The carbon intensities that a policy decides on: as old, as forecast and as incomplete as they were."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carbonroute.carbon import Signal
from carbonroute.control.information import Information
from carbonroute.errors import Fault, InputError
from carbonroute.units import MAX_CARBON_G_PER_KWH

Array = NDArray[np.float64]
Forecaster = Callable[[int], tuple[Array, Mapping[str, int]]]

#: What may be left out of a forecast, in words.
_LEFT_OUT = MappingProxyType(
    {
        "no_issue": "hours × regions before the first issue",
        "no_lead": "hours × regions that the latest issue does not reach",
        "missing": "values missing",
        "absurd": "absurd values taken as missing",
        "repeated": "rows left out that repeat an issue and a lead",
    }
)


@dataclass(frozen=True)
class Knowledge:
    """What is known of every hour and region when it is decided on. H hours, R regions.

    Attributes
    ----------
    g_per_kwh
        gCO2e/kWh, shape (H, R), finite: in a blind hour all regions have the highest value that there is.
    blind
        Hours in which some region is unknown, and which are routed by latency alone, shape (H,).
    missing, substituted
        How many hours × regions had no value, and how many of them got one by `carbon_missing`.
    left_out
        What of a forecast was left out, and how often.
    """

    g_per_kwh: Array
    blind: NDArray[np.bool_]
    missing: int = 0
    substituted: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def notes(self) -> tuple[str, ...]:
        """What of a forecast was left out, for people."""
        counts = [f"{count:,} {_LEFT_OUT[what]}" for what, count in self.left_out.items() if count]
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
    """Return perfect knowledge: what the account itself uses."""
    return Knowledge(signal.g_per_kwh, np.zeros(len(signal.g_per_kwh), dtype=bool))


def hidden(signal: Signal) -> Knowledge:
    """Return no knowledge at all, for a policy that does not declare to read carbon."""
    shape = signal.g_per_kwh.shape
    return Knowledge(np.full(shape, MAX_CARBON_G_PER_KWH), np.zeros(shape[0], dtype=bool))


def known(information: Information, signal: Signal, forecast: Forecaster | None) -> Knowledge:
    """Return what a policy knows.

    Parameters
    ----------
    information
        How old and how complete.
    signal
        Measured values, with at least `history_hours` of the information before the horizon.
    forecast
        From the least age of a forecast, hours, to what it said, shape (H, R), NaN where nothing, and what
        was left out.

    Raises
    ------
    InputError
        If values are missing and no rule says what then, or there is no forecast.
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
    now = seen[len(seen) - hours :]
    missing = np.isnan(now)
    if missing.any():
        now = _substituted(information, signal, seen)[len(seen) - hours :]
    unknown = np.isnan(now)
    blind: NDArray[np.bool_] = np.any(unknown, axis=1)
    values = np.where(blind[:, np.newaxis], MAX_CARBON_G_PER_KWH, now)
    return Knowledge(values, blind, int(missing.sum()), int(missing.sum() - unknown.sum()), left_out)


def history_hours(information: Information) -> int:
    """Return how many hours before the horizon a policy may have to look at."""
    return information.carbon_age_hours + information.last_hours


def _substituted(information: Information, signal: Signal, seen: Array) -> Array:
    if information.carbon_missing == "refuse":
        raise InputError("information", [_unknown(signal, seen, information)])
    if information.carbon_missing == "static":
        if signal.reference_g_per_kwh is None:
            remedy = "state them, or take a carbon file that begins a day or more before horizon.start"
            fault = Fault("carbon_missing", 'found "static", and no long-run means are known', remedy)
            raise InputError("information", [fault])
        return np.where(np.isnan(seen), signal.reference_g_per_kwh, seen)
    hour = np.arange(len(seen))[:, np.newaxis]
    last = np.maximum.accumulate(np.where(np.isnan(seen), -1, hour), axis=0)
    recent = (last >= 0) & (hour - last <= information.last_hours)
    return np.where(recent, np.take_along_axis(seen, np.maximum(last, 0), axis=0), np.nan)


def _unknown(signal: Signal, seen: Array, information: Information) -> Fault:
    hours = len(signal.g_per_kwh)
    missing = np.isnan(seen[len(seen) - hours :])
    first = int(missing.any(axis=1).argmax())
    what = "forecasts" if information.carbon == "forecast" else "measured values"
    found = f"{int(missing.sum()):,} of {missing.size:,} {what} are missing when it is decided on them"
    remedy = "state what then: 'last:<max>' such as 'last:6h', 'static' or 'latency-only'"
    return Fault("carbon_missing", f"{found}, the first in hour {first}", remedy)
