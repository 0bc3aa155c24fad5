"""What a refusal must be: cheap, exit code 2, a place, a finding and a remedy, and nothing written."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from carbonroute.cli import main

#: Calls and returns of functions, imports included, that a refusal may take: no test needs 3 million.
LIMIT = 5_000_000


def content(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file below a folder, by relative path."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def places(faults: list[dict[str, Any]]) -> set[tuple[str, int | None, str]]:
    """Return file, line and id of each fault that ``validate --json`` tells."""
    return {(Path(fault["file"]).name, fault["line"], fault["id"]) for fault in faults}


def has_parts(message: str) -> bool:
    """Whether a message is ``place: finding; remedy``, or counts what it leaves out."""
    if re.fullmatch(r" *\d+ more such [a-z ]+", message):
        return True
    place, separator, rest = message.partition(": ")
    finding, semicolon, remedy = rest.partition("; ")
    return bool(place and separator and finding and semicolon and remedy)


def counted(arguments: list[str]) -> tuple[int, int]:
    """Run the command; return its exit code, and how often functions were called or returned meanwhile."""
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        return main(arguments), calls
    finally:
        sys.setprofile(None)


@dataclass(frozen=True)
class Refusals:
    """Runs scenarios that must be refused, into a folder that holds an earlier run."""

    outputs: Path
    capsys: pytest.CaptureFixture[str]

    def __call__(self, scenario: Path, *words: str, only_simulate: bool = False) -> str:
        """Simulate and validate a scenario; return the message, which has all words on one of its lines.

        Checked are exit code, message, effort, and that the earlier run stays as it was. `only_simulate`: the
        fault shows when the scenario runs, and `validate` need not find it.
        """
        before = content(self.outputs)
        code, calls = counted(["simulate", str(scenario), "--output", str(self.outputs), "--no-figures"])
        message = self._message(code)
        assert calls <= LIMIT, f"refused only after {calls:,} calls: {message}"
        assert content(self.outputs) == before
        assert message.startswith("error: ")
        assert "Traceback" not in message
        faults = message.removeprefix("error: ").splitlines()
        assert all(has_parts(fault) for fault in (faults[1:] or faults)), message
        assert any(all(word in fault for word in words) for fault in faults), f"{words} not in\n{message}"
        if not only_simulate:
            assert self._message(main(["validate", str(scenario)])) == message
        return message

    def _message(self, code: int) -> str:
        printed = self.capsys.readouterr()
        assert (code, printed.out) == (2, ""), printed
        return printed.err
