"""The planted faults of `tests/mutants.toml`; as a command, write their table into `docs/validation.md`.

``PYTHONPATH=tests .venv/bin/python -m helpers.mutants``
"""

from __future__ import annotations

import ast
import re
import tomllib
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from helpers.package import SOURCE, copied
from helpers.planting import Fault

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "validation.md"
_TABLE = re.compile(r"\| fault \| in \| found by \|\n\|---\|---\|---\|\n(?:\|.*\n)*")


@cache
def modules() -> dict[Path, ast.Module]:
    """Return the syntax of every module of the package, by its file; not to be changed."""
    return {path: ast.parse(text) for path, text in texts().items()}


@cache
def texts() -> dict[Path, str]:
    """Return the text of every module of the package, by its file."""
    return {path: path.read_text(encoding="utf-8") for path in sorted(SOURCE.rglob("*.py"))}


@dataclass(frozen=True)
class Mutant:
    """A fault and the tests that must find it: files below `tests`, or tests in them."""

    name: str
    fault: Fault
    killers: tuple[str, ...]

    @cached_property
    def files(self) -> list[Path]:
        """Return the file of each place in the package that the fault's pattern matches."""
        name = self.fault.function.rpartition(".")[2]
        named = [path for path, text in texts().items() if name in text]
        return [path for path in named for _ in self.fault.places(modules()[path])]

    def plant(self, folder: Path) -> Path:
        """Write a copy of the package with the fault in it; return what has to be on the path."""
        [file] = self.files
        in_loops = "engines" in file.parts or file.name == "units.py"
        copy = copied(folder, loops=not in_loops) / file.relative_to(SOURCE)
        copy.write_text(self.fault.planted(file.read_text(encoding="utf-8")), encoding="utf-8")
        return folder


def _read() -> list[Mutant]:
    entries = tomllib.loads((TESTS / "mutants.toml").read_text(encoding="utf-8"))["mutant"]
    return [
        Mutant(entry.pop("name"), killers=tuple(entry.pop("killers")), fault=Fault(**entry))
        for entry in entries
    ]


MUTANTS = _read()


def table() -> str:
    """Return the faults, their modules and what finds them, in Markdown."""
    rows = ["| fault | in | found by |", "|---|---|---|"]
    for mutant in MUTANTS:
        place = ", ".join(f"`{path.relative_to(SOURCE).as_posix()}`" for path in mutant.files)
        killers = ", ".join(
            f"`{file}`" for file in dict.fromkeys(one.split("::")[0] for one in mutant.killers)
        )
        rows.append(f"| {mutant.name} | {place} | {killers} |")
    return "\n".join(rows) + "\n"


def printed() -> str:
    """Return the table as it stands on the page."""
    [text] = _TABLE.findall(PAGE.read_text(encoding="utf-8"))
    return str(text)


if __name__ == "__main__":
    PAGE.write_text(PAGE.read_text(encoding="utf-8").replace(printed(), table()), encoding="utf-8")
