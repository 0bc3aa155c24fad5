"""Conversion factors between units, and plausibility limits of quantities."""

from __future__ import annotations

from types import MappingProxyType
from typing import Literal

HOURS_PER_DAY = 24
HOURS_PER_WEEK = 168
HOURS_PER_YEAR = 8760
HOURS_PER_LEAP_YEAR = 8784
MINUTES_PER_HOUR = 60
MINUTES_PER_DAY = 1440
S_PER_MINUTE = 60.0
S_PER_HOUR = 3600.0
US_PER_S = 1_000_000
US_PER_MINUTE = 60 * US_PER_S
US_PER_HOUR = 3600 * US_PER_S
US_PER_DAY = 24 * US_PER_HOUR
J_PER_KWH = 3.6e6
MB_PER_GB = 1000.0
BYTES_PER_GB = 1e9
GB_PER_GIB = 1.073741824
US_PER_MS = 1000.0
G_PER_KG = 1000.0

#: How a scenario spells the unit of a carbon intensity.
CarbonUnit = Literal[
    "g/kWh", "kg/kWh", "kg/MWh", "t/MWh", "lb/MWh", "lb/kWh", "g/MWh", "t/GWh", "g/MJ", "kg/GJ"
]

#: Factor from a unit of carbon intensity to gCO2e/kWh (1 lb = 0.45359237 kg, exactly, by definition).
G_PER_KWH = MappingProxyType(
    {
        "g/kWh": 1.0,
        "kg/kWh": 1000.0,
        "kg/MWh": 1.0,
        "t/MWh": 1000.0,
        "lb/MWh": 0.45359237,
        "lb/kWh": 453.59237,
        "g/MWh": 0.001,
        "t/GWh": 1.0,
        "g/MJ": 3.6,
        "kg/GJ": 3.6,
    }
)

#: How many of a unit of time make a second, and how many milliseconds one of them is.
PER_SECOND = MappingProxyType({"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9})
MS_PER = MappingProxyType({"ms": 1.0, "s": 1000.0})

#: 2000 to 2100, from 1970: between them, no number of one unit of time is believable in another.
CENTURY_S = 946_684_800, 4_102_444_800

#: No grid emits more on average: lignite plants alone reach some 1,200 gCO2e/kWh over their life cycle.
MAX_CARBON_G_PER_KWH = 2000.0

#: A request of 278 kWh, a tonne of hardware, or a terabyte is a fault of unit.
MAX_ENERGY_J = 1e9
MAX_EMBODIED_G = 1e6
MAX_PAYLOAD_MB = 1e6

#: No answer is awaited for more than eleven days, and sums over all requests stay far from overflow.
MAX_TIME_MS = 1e9


def pct(share: float) -> float:
    """Return a share (0…1) in percent.

    >>> pct(0.5)
    50.0
    """
    return share * 100.0


def years(hours: float) -> float:
    """Return how many years hours are; a leap year is one.

    >>> years(8760), years(8784), years(876)
    (1.0, 1.0, 0.1)
    """
    return 1.0 if HOURS_PER_YEAR <= hours <= HOURS_PER_LEAP_YEAR else hours / HOURS_PER_YEAR


def in_clock(seconds: float) -> str:
    """Write a time as hours, minutes and seconds.

    >>> in_clock(3725.4)
    '1:02:05'
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
