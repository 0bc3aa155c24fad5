"""Carbon-aware routing of AI requests between regions: its savings, its risks, and their uncertainty.

>>> import carbonroute
>>> result = carbonroute.run("published", {"horizon.hours": 24})
>>> result.tables.overview["hours"][0]
24
"""

from __future__ import annotations

__version__ = "0.1.0"

TYPE_CHECKING = False  # the command line begins here: slow imports happen where Ctrl-C is expected
if TYPE_CHECKING:
    from typing import Any

    from carbonroute.errors import CarbonrouteError, InputError, PolicyError, RunFolderError
    from carbonroute.figures import draw, render
    from carbonroute.files.as_pandas import to_pandas
    from carbonroute.metrics import Tables, simulation_results
    from carbonroute.outcome import Outcome
    from carbonroute.policies import Policy, View
    from carbonroute.policies.checks import PolicyReport, check_policy
    from carbonroute.runs import Result, run
    from carbonroute.runs.store import read_tables
    from carbonroute.scenario.loading import load
    from carbonroute.scenario.written.model import Scenario

#: Where each public name lives. A name is imported when it is first used: `--help` needs none of them.
_HOMES = {
    "CarbonrouteError": "errors",
    "InputError": "errors",
    "Outcome": "outcome",
    "Policy": "policies",
    "PolicyError": "errors",
    "PolicyReport": "policies.checks",
    "Result": "runs",
    "RunFolderError": "errors",
    "Scenario": "scenario",
    "Tables": "metrics",
    "View": "policies",
    "check_policy": "policies.checks",
    "draw": "figures",
    "load": "scenario",
    "read_tables": "runs.store",
    "render": "figures",
    "run": "runs",
    "simulation_results": "metrics",
    "to_pandas": "files.as_pandas",
}

__all__ = [
    "CarbonrouteError",
    "InputError",
    "Outcome",
    "Policy",
    "PolicyError",
    "PolicyReport",
    "Result",
    "RunFolderError",
    "Scenario",
    "Tables",
    "View",
    "check_policy",
    "draw",
    "load",
    "read_tables",
    "render",
    "run",
    "simulation_results",
    "to_pandas",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'carbonroute' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"carbonroute.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
