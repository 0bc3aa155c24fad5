"""The network: round-trip times and jitter."""

from __future__ import annotations

from carbonroute.network.distance import (
    CONTINENT_ERROR,
    PLAIN_ERROR,
    Continent,
    Locations,
    by_continents,
    complete,
    refuse_faster_than_light,
)
from carbonroute.network.jitter import HalfNormal, LognormalJitter, PairLognormal
from carbonroute.network.matrix import (
    MAX_RTT_MS,
    Missing,
    filling,
    read_matrix,
    recognise_matrix,
    without_unit,
)
from carbonroute.network.pairs import PairColumns, pair_columns, pairs_of, recognise_pairs, repeated_pairs

Jitter = HalfNormal | PairLognormal

__all__ = [
    "CONTINENT_ERROR",
    "MAX_RTT_MS",
    "PLAIN_ERROR",
    "Continent",
    "HalfNormal",
    "Jitter",
    "Locations",
    "LognormalJitter",
    "Missing",
    "PairColumns",
    "PairLognormal",
    "by_continents",
    "complete",
    "filling",
    "pair_columns",
    "pairs_of",
    "read_matrix",
    "recognise_matrix",
    "recognise_pairs",
    "refuse_faster_than_light",
    "repeated_pairs",
    "without_unit",
]
