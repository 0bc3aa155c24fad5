"""The network: round-trip times and jitter."""

from __future__ import annotations

from carbonroute.network.jitter import HalfNormal
from carbonroute.network.matrix import MAX_RTT_MS, read_matrix

__all__ = ["MAX_RTT_MS", "HalfNormal", "read_matrix"]
