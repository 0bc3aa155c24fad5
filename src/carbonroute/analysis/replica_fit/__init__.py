"""The coefficients of a replica's step time, fitted to a log of real requests; and where they do not hold."""

from __future__ import annotations

from carbonroute.analysis.replica_fit.calibration import ReplicaFit, fit_log

__all__ = ["ReplicaFit", "fit_log"]
