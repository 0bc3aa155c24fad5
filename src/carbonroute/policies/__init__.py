"""Routing policies: one member, one file, and one line here."""

from __future__ import annotations

from carbonroute.policies.base import Policy, PolicyLike, View, decide
from carbonroute.policies.carbon_first import CarbonFirst
from carbonroute.policies.constrained_hybrid import ConstrainedHybrid
from carbonroute.policies.hybrid import Hybrid
from carbonroute.policies.latency_first import LatencyFirst
from carbonroute.registry import Registry

POLICIES = Registry(
    "policy",
    {
        "latency-first": LatencyFirst,
        "carbon-first": CarbonFirst,
        "hybrid": Hybrid,
        "constrained-hybrid": ConstrainedHybrid,
    },
    group="carbonroute.policies",
)

__all__ = ["POLICIES", "Policy", "PolicyLike", "View", "decide"]
