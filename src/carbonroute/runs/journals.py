"""Decision journals of a queued run, and their replay."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from carbonroute.carbon import Signal
from carbonroute.carbon.signal import MixedAccounting
from carbonroute.control.decisions import (
    About,
    CellNames,
    DecisionJournal,
    DecisionRecord,
    PolicyFacts,
    journals,
    records,
)
from carbonroute.errors import RunFolderError
from carbonroute.policies import PolicyLike
from carbonroute.policies.base import fields_read
from carbonroute.scenario import Candidate, Inputs, Scenario
from carbonroute.scenario.written.entry import PolicyEntry
from carbonroute.scenario.written.load import validated
from carbonroute.scenario.written.mistaken import kind_of

_LIBRARIES = ("carbonroute", "numpy", "scipy")
#: The calendar of a scenario without one.
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Keys of a policy's entry that are not its parameters.
_NO_PARAMETERS = {"use", "label", "information", "control"}


class Replayed(NamedTuple):
    """A journal, the number of its records, and of those whose decision differs on replay."""

    folder: Path
    records: int
    differ: int


@contextmanager
def written(inputs: Inputs, folder: Path) -> Iterator[dict[int, DecisionJournal]]:
    """Open a journal for each of a scenario's policies that decides for whole cells, by its index.

    Raises
    ------
    RunFolderError
        If there are decision records already, or none can be written.
    """
    if folder.exists() and journals(folder):
        raise RunFolderError(f"{folder}: holds decision records already; name another folder, or remove it")
    with ExitStack() as stack:
        yield {
            index: stack.enter_context(
                DecisionJournal(
                    folder / _name(index, entry), _about(inputs.scenario, inputs.carbon, entry, candidate)
                )
            )
            for index, (entry, candidate) in enumerate(
                zip(inputs.scenario.policies, inputs.candidates, strict=True)
            )
            if not candidate.by_request(inputs.site)
        }


def replay(folder: Path, *, beside: Path, code: bool) -> Iterator[Replayed]:
    """Replay the decisions of all journals at and below a folder, from their records alone.

    Parameters
    ----------
    folder
        Where the records are.
    beside
        Folder of the policies that are files of their own.
    code
        Whether code from outside carbonroute may be run.

    Raises
    ------
    RunFolderError
        If there are no records, or some are damaged.
    InputError
        If a policy cannot be made.
    PolicyError
        If a policy breaks its contract.
    """
    folders = journals(folder)
    if not folders:
        kind = kind_of(folder)
        known = f": it is {kind.name}" if kind else ""
        raise RunFolderError(f"{folder}: has no decision records{known}; name a folder that --journal wrote")
    for journal in folders:
        count, differ, recorded, policy = 0, 0, None, None
        for record in records(journal):
            if policy is None or record.policy != recorded:
                recorded, policy = record.policy, _policy(record, journal, beside, code=code)
            differ += _differs(record, policy, journal)
            count += 1
        yield Replayed(journal, count, differ)


def _differs(record: DecisionRecord, policy: PolicyLike, journal: Path) -> bool:
    try:
        return record.differs(record.asked_again(policy))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        problem = f"record {record.seq} cannot be shown to a policy ({error})"
        raise RunFolderError(f"{journal}: {problem}; take the journal from where it was written") from error


def _policy(record: DecisionRecord, journal: Path, beside: Path, *, code: bool) -> PolicyLike:
    """Return the policy that a record names."""
    recorded, place = record.policy, f"{journal}: policy {record.policy.use!r}"
    given = {"use": recorded.use, **recorded.parameters}
    entry = validated(PolicyEntry, given, place, beside, code=code)
    if entry.digest != recorded.file_sha256:
        raise RunFolderError(
            f"{place} is another file than the one that decided; name its folder by --beside"
        )
    return entry.policy


def _name(index: int, entry: PolicyEntry) -> str:
    """Return the name of a policy's folder: its number, and its label in ASCII."""
    return f"{index + 1:02d}-{re.sub(r'[^a-z0-9]+', '-', entry.shown.lower()).strip('-')[:60]}".rstrip("-")


def _about(scenario: Scenario, carbon: Signal, entry: PolicyEntry, candidate: Candidate) -> About:
    parameters = entry.model_dump(mode="json", exclude=_NO_PARAMETERS, exclude_none=True)
    text, regions = scenario.model_dump_json(by_alias=True, exclude_none=True), len(scenario.regions)
    label = carbon.accounting
    each = [str(own) for _, own in label.of_region] if isinstance(label, MixedAccounting) else []
    return About(
        start=scenario.horizon.start or _EPOCH,
        mode="simulated",
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
