"""Language models as they are served: time and power of a batch's step, and what a replica can hold.

Sees no scenario and no engine. docs/llm.md has the formulas, their sources, and how far they are off.
"""

from __future__ import annotations

from carbonroute.llm.curve import LoadCurve, MeanRequests, TimeLimits
from carbonroute.llm.measured import fit_power, fit_step, power_table
from carbonroute.llm.pool import BALANCES, Balance, LlmPool
from carbonroute.llm.power import PowerLaw, sheet_power
from carbonroute.llm.sheets import ATTAINED, Attained, kv_cache_tokens, step_law, weights_gib
from carbonroute.llm.step import StepLaw

__all__ = [
    "ATTAINED",
    "BALANCES",
    "Attained",
    "Balance",
    "LlmPool",
    "LoadCurve",
    "MeanRequests",
    "PowerLaw",
    "StepLaw",
    "TimeLimits",
    "fit_power",
    "fit_step",
    "kv_cache_tokens",
    "power_table",
    "sheet_power",
    "step_law",
    "weights_gib",
]
