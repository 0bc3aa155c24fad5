"""The rows of a calibration: a quantity, its value in the scenario, the measured one and its interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from carbonroute.intervals import Interval


@dataclass(frozen=True)
class QuantityRow:
    """One quantity.

    Attributes
    ----------
    scenario
        Its value in the scenario; NaN where it states none.
    measured
        As measured; NaN where the data cannot tell.
    interval
        95 % interval of it.
    note
        How it was measured, or why it is unknown.
    """

    quantity: str
    unit: str
    scenario: float
    measured: float
    interval: Interval = (math.nan, math.nan)
    note: str = ""

    @property
    def holds(self) -> bool:
        """Whether the scenario's value lies in the interval."""
        return self.interval[0] <= self.scenario <= self.interval[1]

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it: null where a value is unknown."""
        values = (self.scenario, self.measured, *self.interval)
        scenario, measured, low, high = (None if math.isnan(value) else value for value in values)
        return {
            "quantity": self.quantity,
            "unit": self.unit,
            "scenario": scenario,
            "measured": measured,
            "low": low,
            "high": high,
            "note": self.note,
        }


@dataclass(frozen=True)
class Part:
    """What one part of a calibration says.

    `notes`: what it goes by, and what the data do not tell, in sentences.
    """

    rows: tuple[QuantityRow, ...] = ()
    changes: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()
