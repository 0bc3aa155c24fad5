"""The facts of a scenario's policy that all of its decision records repeat."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from carbonroute.carbon.signal import MixedAccounting, Signal
from carbonroute.control.decisions import CellNames, PolicyFacts
from carbonroute.control.journal import About
from carbonroute.files.installed import version
from carbonroute.policies.base import fields_read
from carbonroute.scenario.resolved.inputs import Candidate
from carbonroute.scenario.written.entry import PolicyEntry
from carbonroute.scenario.written.model import Scenario

_LIBRARIES = ("carbonroute", "numpy", "scipy")
#: The calendar of a scenario without one.
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Keys of a policy's entry that are not its parameters.
_NO_PARAMETERS = {"use", "label", "information", "control"}


def about(
    scenario: Scenario,
    carbon: Signal,
    entry: PolicyEntry,
    candidate: Candidate,
    *,
    mode: str = "simulated",
    start: datetime | None = None,
) -> About:
    """Return the facts that all records of a policy repeat.

    `mode`: ``"simulated"``, or how a live controller runs.
    `start`: the calendar at the loop's 0 s, UTC; by default that of the scenario.
    """
    regions = len(scenario.regions)
    parameters = entry.model_dump(mode="json", exclude=_NO_PARAMETERS, exclude_none=True)
    text, label = scenario.model_dump_json(by_alias=True, exclude_none=True), carbon.accounting
    each = [str(own) for _, own in label.of_region] if isinstance(label, MixedAccounting) else []
    return About(
        start=start or scenario.horizon.start or _EPOCH,
        mode=mode,
        policy=PolicyFacts(use=entry.use, parameters=parameters, file_sha256=entry.digest),
        control=candidate.control,
        max_utilisation=candidate.max_utilisation,
        config_sha256=hashlib.sha256(text.encode()).hexdigest(),
        versions={name: version(name) for name in _LIBRARIES},
        cells=CellNames(
            origins=[origin.name for origin in scenario.origins],
            workloads=[workload.id for workload in scenario.workloads],
        ),
        regions=[region.name for region in scenario.regions],
        sources=[carbon.source] * regions,
        accounting=each or [str(label)] * regions,
        reads_carbon="carbon_g_per_kwh" in fields_read(candidate.policy),
    )
