"""Units of mass that fit the size: t, kg, g, mg or µg."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class MassUnit(NamedTuple):
    """A unit that suits some masses: how many there are in a kilogram, and how many decimals to show."""

    name: str
    per_kg: float
    digits: int


_MASS_UNITS = (("t", 1e-3), ("kg", 1.0), ("g", 1e3), ("mg", 1e6), ("µg", 1e9))


def mass_unit(masses_kg: Sequence[float]) -> MassUnit:
    """Choose the unit in which the largest of some masses has one to three digits, and three are shown.

    >>> mass_unit([0.0123, 0.0045])
    MassUnit(name='g', per_kg=1000.0, digits=1)
    """
    largest = float(f"{max(map(abs, masses_kg), default=0.0):.3g}")  # 999.6 g is shown as 1.00 kg
    if not largest:
        return MassUnit("g", 1e3, 0)
    name, per_kg = next((unit for unit in _MASS_UNITS if largest * unit[1] >= 1), _MASS_UNITS[-1])
    return MassUnit(name, per_kg, max(0, 2 - math.floor(math.log10(largest * per_kg))))


def scaled(interval: Mapping[str, Any] | None, factor: float) -> dict[str, Any] | None:
    """Return an interval's row with its value and ends in another unit."""
    if interval is None:
        return None
    ends = {name: interval[name] for name in ("value", "low", "high")}
    return {**interval, **{name: None if end is None else end * factor for name, end in ends.items()}}


def mass_in_words(mass_kg: float) -> str:
    """Return a mass with three digits, in the unit that fits.

    >>> mass_in_words(6870.0), mass_in_words(0.0406), mass_in_words(0.0), mass_in_words(0.9996)
    ('6.87 t', '40.6 g', '0 g', '1.00 kg')
    """
    unit = mass_unit([mass_kg])
    return f"{mass_kg * unit.per_kg:,.{unit.digits}f} {unit.name}"
