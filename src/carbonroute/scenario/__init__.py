"""Scenarios: the file's model, reading it, and turning it into arrays."""

from __future__ import annotations

from carbonroute.control.capacity import UNLIMITED, Capacity
from carbonroute.scenario.loading import load
from carbonroute.scenario.resolved.capacity import offered_load
from carbonroute.scenario.resolved.inputs import Candidate, Inputs
from carbonroute.scenario.resolved.resolve import resolve
from carbonroute.scenario.written.load import builtin_scenarios, builtin_text
from carbonroute.scenario.written.model import Scenario

__all__ = [
    "UNLIMITED",
    "Candidate",
    "Capacity",
    "Inputs",
    "Scenario",
    "builtin_scenarios",
    "builtin_text",
    "load",
    "offered_load",
    "resolve",
]
