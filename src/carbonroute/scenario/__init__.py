"""Scenarios: the file's model, reading it, and turning it into arrays."""

from __future__ import annotations

from carbonroute.scenario.capacity import UNLIMITED, Capacity, offered_load
from carbonroute.scenario.inputs import Candidate, Inputs
from carbonroute.scenario.load import builtin_scenarios, builtin_text, load
from carbonroute.scenario.model import Scenario
from carbonroute.scenario.resolve import resolve

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
