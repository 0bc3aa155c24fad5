"""Language models as they are served: time and power of a batch's step, and what a replica can hold.

Sees no scenario and no engine. docs/llm.md has the formulas, their sources, and how far they are off.
"""

from __future__ import annotations

from carbonroute.llm.pool import BALANCES, Balance, LlmPool
from carbonroute.llm.power import PowerLaw
from carbonroute.llm.step import StepLaw

__all__ = ["BALANCES", "Balance", "LlmPool", "PowerLaw", "StepLaw"]
