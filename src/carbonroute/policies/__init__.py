"""Routing policies: one member, one file, and one line here."""

from __future__ import annotations

from carbonroute.policies.base import (
    Policy,
    PolicyLike,
    SplittingPolicy,
    View,
    breaks,
    decide,
    split,
    splits,
)
from carbonroute.policies.carbon_first import CarbonFirst
from carbonroute.policies.clairvoyant_bound import ClairvoyantBound
from carbonroute.policies.constrained_hybrid import ConstrainedHybrid
from carbonroute.policies.hybrid import Hybrid
from carbonroute.policies.latency_first import LatencyFirst
from carbonroute.policies.nearest_greenest import NearestGreenest
from carbonroute.policies.random_region import RandomRegion
from carbonroute.policies.round_robin import RoundRobin
from carbonroute.policies.static_greenest import StaticGreenest
from carbonroute.registry import Registry

POLICIES = Registry(
    "policy",
    {
        "latency-first": LatencyFirst,
        "carbon-first": CarbonFirst,
        "hybrid": Hybrid,
        "constrained-hybrid": ConstrainedHybrid,
        "static-greenest": StaticGreenest,
        "nearest-greenest": NearestGreenest,
        "round-robin": RoundRobin,
        "random": RandomRegion,
        "clairvoyant-bound": ClairvoyantBound,
    },
    group="carbonroute.policies",
)

__all__ = [
    "POLICIES",
    "Policy",
    "PolicyLike",
    "SplittingPolicy",
    "View",
    "breaks",
    "decide",
    "split",
    "splits",
]
