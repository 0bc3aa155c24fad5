"""From measurements and a scenario to the scenario as measured, and a table of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from carbonroute.control.chain import journals
from carbonroute.errors import Fault, InputError
from carbonroute.live.calibrate.energies import energies
from carbonroute.live.calibrate.evidence import Measurements, of_journal
from carbonroute.live.calibrate.rates import rates
from carbonroute.live.calibrate.rows import QuantityRow
from carbonroute.live.calibrate.service import service_times
from carbonroute.scenario import Inputs
from carbonroute.scenario.rewriting import Rewriting

Read = Callable[[Path, Inputs], Measurements]


@dataclass(frozen=True)
class Calibration:
    """A scenario as measured.

    `notes`: what the data tell, and what they do not, in sentences.
    """

    evidence: str
    rows: tuple[QuantityRow, ...]
    changes: dict[str, Any]
    notes: tuple[str, ...]
    text: str

    def as_json(self) -> dict[str, Any]:
        """Return the table, the changes and the notes."""
        return {
            "evidence": self.evidence,
            "rows": [row.as_json() for row in self.rows],
            "changes": self.changes,
            "notes": list(self.notes),
        }


def _is_journal(path: Path) -> bool:
    return path.is_dir() and bool(journals(path))


#: Kinds of input: whether a path is one, and how it is read.
_READERS: tuple[tuple[Callable[[Path], bool], Read], ...] = ((_is_journal, of_journal),)


def calibrate(path: Path, scenario: str | Path, output: Path, *, code: bool = True) -> Calibration:
    """Return a scenario with measured values in place of its own.

    Raises InputError if the scenario or the measurements cannot be used; RunFolderError if a journal is
    damaged.

    Parameters
    ----------
    scenario
        A built-in scenario's name, or a file.
    output
        Where it is to be written: beside the scenario where that reads data files.
    code
        Whether code of others may be run, such as policies of a file.
    """
    rewriting = Rewriting.of(scenario, output, code=code)
    inputs = rewriting.inputs
    read = next((reads for is_one, reads in _READERS if is_one(path)), None)
    if read is None:
        problem = "is no journal of decisions"
        remedy = "name a folder that simulate --journal or live run wrote"
        raise InputError(str(path), [Fault("", problem, remedy)])
    evidence = read(path, inputs)
    parts = [
        rates(evidence, inputs.scenario, inputs.expected_per_s),
        service_times(evidence, [one.id for one in inputs.scenario.workloads], inputs.laws, inputs.capacity),
        energies(evidence, inputs.scenario),
    ]
    changes = {key: value for part in parts for key, value in (part.changes or {}).items()}
    left_out = [
        f"left out: {count:,} of {len(evidence):,} intervals, as {why}"
        for why, count in evidence.left_out.items()
    ]
    untold = "round trips, network jitter and carbon: no journal measures them, and they stay as they are"
    return Calibration(
        evidence=evidence.name,
        rows=tuple(row for part in parts for row in part.rows),
        changes=changes,
        notes=(*left_out, *(note for part in parts for note in part.notes), untold),
        text=rewriting.text(changes, f"with values measured in {evidence.name}"),
    )
