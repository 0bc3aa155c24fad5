"""Actuators: what carries weights to the traffic machinery; each in one file and one line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carbonroute.live.actuators.rounding import largest_remainder
from carbonroute.live.actuators.target import (
    Applied,
    GaugeBoard,
    OpenTarget,
    Target,
    TargetContext,
    TargetError,
)
from carbonroute.spec import any_of, members

#: Every kind of target: its module in this package, and its class.
_REGISTER = (
    "envoy_file:EnvoyFile",
    "haproxy:HAProxy",
    "haproxy_agent:HAProxyAgent",
    "httproute:HttpRoute",
    "nginx:NginxUpstream",
    "gauge:Gauge",
    "exec:Exec",
)

TARGETS: tuple[type[Target], ...] = members(__name__, _REGISTER)

if TYPE_CHECKING:
    AnyTarget = Target
else:
    AnyTarget = any_of(TARGETS)

__all__ = [
    "TARGETS",
    "AnyTarget",
    "Applied",
    "GaugeBoard",
    "OpenTarget",
    "Target",
    "TargetContext",
    "TargetError",
    "largest_remainder",
]
