"""A scenario that is written anew, to another file, with some of its values set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from carbonroute.errors import Fault, InputError
from carbonroute.files.toml import document
from carbonroute.scenario.loading import examined, load
from carbonroute.scenario.resolved.inputs import Inputs
from carbonroute.scenario.resolved.resolve import resolve
from carbonroute.scenario.written.changes import changed
from carbonroute.scenario.written.load import tables
from carbonroute.scenario.written.places import Written


@dataclass(frozen=True)
class Rewriting:
    """A scenario, and the file that it is to be written to.

    Attributes
    ----------
    scenario
        A built-in scenario's name, or a file.
    output
        The new file: beside the scenario where that reads data files.
    code
        Whether code of others may be run, such as policies of a file.
    inputs, data
        The scenario as it is: its arrays, and its tables.
    """

    scenario: str | Path
    output: Path
    code: bool
    inputs: Inputs
    data: dict[str, Any]
    _folder: Path

    @classmethod
    def of(cls, scenario: str | Path, output: Path, *, code: bool = True) -> Rewriting:
        """Read a scenario.

        Raises InputError if it cannot be used, or would not find its files from where the new file is.
        """
        inputs = resolve(load(scenario, code=code))
        data, folder = tables(scenario)
        beside = [entry.use for entry in inputs.scenario.policies if ".py:" in entry.use]
        names = [*inputs.files, *beside]
        if names and output.parent.resolve() != folder.resolve():
            problem = f"the scenario reads {names[0]}, relative to its own folder"
            raise InputError(str(output), [Fault("", problem, f"write it there: {folder / output.name}")])
        return cls(scenario, output, code, inputs, data, folder)

    def text(self, changes: Mapping[str, Any], remark: str) -> str:
        """Return the scenario with values set, by path, as TOML under a remark that goes on from its name.

        Raises InputError if it is faulty with them.
        """
        spelled = changed(self.data, changes, str(self.scenario))
        examined(spelled, str(self.output), self._folder, Written(), code=self.code)
        return f"# {self.inputs.scenario.name}, {remark}.\n{document(spelled)}"
