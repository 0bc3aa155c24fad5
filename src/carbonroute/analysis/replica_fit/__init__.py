"""The coefficients of a replica's step time, fitted to a log of real requests; and where they do not hold."""

from __future__ import annotations

from carbonroute.analysis.replica_fit.calibration import (
    FITTED,
    HELD_OUT,
    SHEET,
    ReplicaFit,
    fit_log,
    holds_text,
)
from carbonroute.analysis.replica_fit.forward import QUANTITIES
from carbonroute.analysis.replica_fit.scenario import calibrated, options_of

__all__ = [
    "FITTED",
    "HELD_OUT",
    "QUANTITIES",
    "SHEET",
    "ReplicaFit",
    "calibrated",
    "fit_log",
    "holds_text",
    "options_of",
]
