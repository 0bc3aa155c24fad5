"""Decision journals of a queued run, and their replay."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from carbonroute.control.chain import journals, records
from carbonroute.control.decisions import DecisionRecord
from carbonroute.control.journal import DecisionJournal
from carbonroute.errors import RunFolderError
from carbonroute.policies import PolicyLike
from carbonroute.scenario import Inputs
from carbonroute.scenario.resolved.recorded import about
from carbonroute.scenario.written.entry import PolicyEntry
from carbonroute.scenario.written.load import validated
from carbonroute.scenario.written.mistaken import kind_of


class Replayed(NamedTuple):
    """A journal, the number of its records, and of those whose decision differs on replay."""

    folder: Path
    records: int
    differ: int


@contextmanager
def written(inputs: Inputs, folder: Path) -> Iterator[dict[int, DecisionJournal]]:
    """Open a journal for each of a scenario's policies that decides for whole cells, by its index.

    Raises RunFolderError if there are decision records already, or none can be written.
    """
    if folder.exists() and journals(folder):
        raise RunFolderError(f"{folder}: holds decision records already; name another folder, or remove it")
    with ExitStack() as stack:
        yield {
            index: stack.enter_context(
                DecisionJournal(
                    folder / _name(index, entry), about(inputs.scenario, inputs.carbon, entry, candidate)
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
    beside
        Folder of the policies that are files of their own.

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
        raise RunFolderError(
            f"{folder}: has no decision records{known}; "
            "name a folder that simulate --journal or live run wrote"
        )
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
