"""Amounts behind a reduction: what is emitted, and what it would have been."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from carbonroute.metrics.masses import mass_in_words
from carbonroute.metrics.measure import GRAMS
from carbonroute.units import pct


def amounts_in_words(row: Mapping[str, Any]) -> str:
    """Return what a policy emits in the simulated time, and the baseline for as many requests.

    Nothing where energies are not stated, or all emissions are saved.

    >>> amounts_in_words({"total_kg": 600.0, "emissions_reduction_pct": 40.0})
    ' (1.00 t to 600 kg CO₂e)'
    >>> amounts_in_words({"total_kg": None})
    ''
    """
    kept_kg, reduction_pct = row.get("total_kg"), row.get(GRAMS.reduction)
    if kept_kg is None or reduction_pct is None or reduction_pct >= pct(1.0):
        return ""
    whole_kg = kept_kg / (1 - reduction_pct / pct(1.0))
    return f" ({mass_in_words(whole_kg)} to {mass_in_words(kept_kg)} CO₂e)"
