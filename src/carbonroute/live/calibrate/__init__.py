"""Calibration: a scenario with the rates, service times and energies that were measured.

An input is a format of its own (`_READERS`): a function that says whether a path is one, and one that returns
its `Evidence`.
"""

from __future__ import annotations

from carbonroute.live.calibrate.calibration import Calibration, calibrate
from carbonroute.live.calibrate.rows import QuantityRow

__all__ = ["Calibration", "QuantityRow", "calibrate"]
