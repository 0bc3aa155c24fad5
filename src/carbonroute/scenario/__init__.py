"""Scenarios: the file's model, reading it, and turning it into arrays."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from carbonroute.control.capacity import UNLIMITED, Capacity
    from carbonroute.scenario.builtin import builtin_scenarios, builtin_text
    from carbonroute.scenario.loading import load
    from carbonroute.scenario.resolved.capacity import offered_load
    from carbonroute.scenario.resolved.inputs import Candidate, Inputs
    from carbonroute.scenario.resolved.resolve import resolve
    from carbonroute.scenario.written.model import Scenario

#: Where each name lives. It is imported when it is first used: the built-in scenarios' list needs no arrays.
_HOMES = {
    "UNLIMITED": "control.capacity",
    "Candidate": "scenario.resolved.inputs",
    "Capacity": "control.capacity",
    "Inputs": "scenario.resolved.inputs",
    "Scenario": "scenario.written.model",
    "builtin_scenarios": "scenario.builtin",
    "builtin_text": "scenario.builtin",
    "load": "scenario.loading",
    "offered_load": "scenario.resolved.capacity",
    "resolve": "scenario.resolved.resolve",
}

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


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"carbonroute.{_HOMES[name]}"), name)
