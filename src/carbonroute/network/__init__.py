"""The network: round-trip times and jitter."""

from __future__ import annotations

from carbonroute.network.distance import Places, complete, refuse_faster_than_light
from carbonroute.network.jitter import HalfNormal, LognormalJitter, PairLognormal
from carbonroute.network.matrix import MAX_RTT_MS, Missing, read_matrix, recognise_matrix

Jitter = HalfNormal | PairLognormal

__all__ = [
    "MAX_RTT_MS",
    "HalfNormal",
    "Jitter",
    "LognormalJitter",
    "Missing",
    "PairLognormal",
    "Places",
    "complete",
    "read_matrix",
    "recognise_matrix",
    "refuse_faster_than_light",
]
