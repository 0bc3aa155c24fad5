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
from carbonroute.policies.least_loaded import LeastLoaded
from carbonroute.policies.nearest_greenest import NearestGreenest
from carbonroute.policies.optimal import Optimal
from carbonroute.policies.power_of_two import PowerOfTwo
from carbonroute.policies.provision import Provision
from carbonroute.policies.random_region import RandomRegion
from carbonroute.policies.round_robin import RoundRobin
from carbonroute.policies.spill import Spill
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
        "least-loaded": LeastLoaded,
        "power-of-two": PowerOfTwo,
        "spill": Spill,
        "optimal": Optimal,
        "provision": Provision,
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
