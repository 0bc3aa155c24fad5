"""Actuators: what carries weights to the traffic machinery; each in one file and one line here."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Union

from pydantic import Field

from carbonroute.live.actuators.rounding import largest_remainder
from carbonroute.live.actuators.target import (
    Applied,
    GaugeBoard,
    OpenTarget,
    Target,
    TargetContext,
    TargetError,
)

#: Every kind of target: its module in this package, and its class.
_REGISTER = (
    "envoy_file:EnvoyFile",
    "haproxy:HAProxy",
    "haproxy_agent:HAProxyAgent",
    "httproute:HttpRoute",
    "nginx:Nginx",
    "gauge:Gauge",
    "exec:Exec",
)


def _target(entry: str) -> type[Target]:
    module, _, name = entry.partition(":")
    member: type[Target] = getattr(import_module(f"{__name__}.{module}"), name)
    return member


TARGETS = tuple(map(_target, _REGISTER))

if TYPE_CHECKING:
    AnyTarget = Target
else:
    AnyTarget = Annotated[Union[TARGETS], Field(discriminator="kind")]  # noqa: UP007  X | Y cannot be written for a list

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
