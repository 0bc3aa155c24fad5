"""The house as drawn: imports go down only, families on floor 1 never meet, nothing goes in a circle."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import carbonroute

SOURCE = Path(carbonroute.__file__).parent

FLOORS = {
    "__init__": 7,
    "__main__": 7,
    "cli": 6,
    "figures": 5,
    "report": 5,
    "runs": 4,
    "study": 4,
    "sweep": 4,
    "frontier": 4,
    "sensitivity": 4,
    "headroom": 4,
    "metrics": 4,
    "inspection": 4,
    "store": 4,
    "engines": 3,
    "outcome": 3,
    "scenario": 2,
    "carbon": 1,
    "traffic": 1,
    "network": 1,
    "workloads": 1,
    "policies": 1,
    "errors": 0,
    "units": 0,
    "rng": 0,
    "intervals": 0,
    "registry": 0,
    "processes": 0,
    "spec": 0,
    "memory": 0,
    "textfile": 0,
    "limits": 0,
    "parquetfile": 0,
    "tablefile": 0,
    "tableshape": 0,
    "folder": 0,
    "manifest": 0,
    "runfolder": 0,
    "tablestream": 0,
    "times": 0,
    "durations": 0,
}


def modules() -> dict[str, Path]:
    """Return every module of the package by its name below `carbonroute`."""
    found = {}
    for path in SOURCE.rglob("*.py"):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)] = path
    return found


def imports(path: Path) -> set[str]:
    """Return the modules of the package that a file names in an import, at any depth of its code."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "carbonroute":
            inner = node.module.partition(".")[2]
            names |= {f"{inner}.{alias.name}".lstrip(".") for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {
                a.name.partition(".")[2] or "__init__"
                for a in node.names
                if a.name.split(".")[0] == "carbonroute"
            }
    known = modules()
    resolved = set()
    for name in names:
        module = name
        while module and module not in known:
            module = module.rpartition(".")[0]
        resolved.add(module or "__init__")
    return resolved


def room(module: str) -> str:
    return module.partition(".")[0]


@pytest.mark.parametrize("module", sorted(modules()))
def test_imports_go_down_only(module: str) -> None:
    assert room(module) in FLOORS, f"{room(module)} has no floor: add it here by a decision note"
    for imported in imports(modules()[module]):
        if room(imported) == room(module):
            continue
        above, below = FLOORS[room(module)], FLOORS[room(imported)]
        assert below <= above, f"{module} (floor {above}) imports {imported} (floor {below})"
        assert not (above == below == 1), f"{module} and {imported} are families on floor 1"


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {}
    for name, path in modules().items():
        # A family's __init__ names its members; that a member names its family's sibling is no circle.
        graph[name] = {imported for imported in imports(path) if imported != name}
    TopologicalSorter(graph).prepare()
