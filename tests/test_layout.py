"""The house as drawn: imports go down only, rooms of one floor never meet, nothing goes in a circle."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import carbonroute

SOURCE = Path(carbonroute.__file__).parent

#: The rooms, from the ground up. A room may import from floors below its own, and from itself.
FLOORS = (
    ("special",),
    ("arrays", "errors", "units", "rng", "spec", "intervals", "processes"),
    ("memory",),
    ("files",),
    ("registry",),
    ("carbon", "traffic", "network", "workloads", "llm", "policies", "catalogue"),
    ("control", "outcome"),
    ("scenario",),
    ("engines", "metrics", "inspection", "importing"),
    ("runs", "live"),
    ("analysis", "study"),
    ("figures",),
    ("report",),
    ("cli",),
    ("__init__", "__main__"),
)
#: What commands share.
SHARED_BY_COMMANDS = {
    f"cli.{name}"
    for name in (
        "console",
        "drawing",
        "extra",
        "imported",
        "listing",
        "options",
        "progress",
        "results",
        "terminal",
    )
}
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def modules(source: Path) -> dict[str, Path]:
    """Return every module of the package by its name below `carbonroute`."""
    named = {}
    for path in source.rglob("*.py"):
        parts = path.relative_to(source).with_suffix("").parts
        named[".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)] = path
    return named


@cache
def named_imports(text: str) -> frozenset[str]:
    """Return the names below `carbonroute` that the code of a file imports, at any depth."""
    names = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "carbonroute":
            inner = node.module.partition(".")[2]
            names |= {f"{inner}.{alias.name}".lstrip(".") for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {
                a.name.partition(".")[2] or "__init__"
                for a in node.names
                if a.name.split(".")[0] == "carbonroute"
            }
    return frozenset(names)


def imports(path: Path, known: dict[str, Path]) -> set[str]:
    """Return the modules of the package that a file names in an import, at any depth of its code."""
    resolved = set()
    for name in named_imports(path.read_text(encoding="utf-8")):
        module = name
        while module and module not in known:
            module = module.rpartition(".")[0]
        resolved.add(module or "__init__")
    return resolved


def room(module: str) -> str:
    return module.partition(".")[0]


def faults(source: Path) -> Iterator[str]:
    """Yield what a package's imports do against the order of its rooms."""
    known = modules(source)
    for module, path in known.items():
        here = room(module)
        if here not in FLOOR:
            yield f"{here} has no floor: add it to FLOORS by a decision note"
            continue
        for imported in imports(path, known):
            there = room(imported)
            if there == here or there not in FLOOR or (here, imported) == ("cli", "__init__"):
                continue  # the version stands at the door
            if FLOOR[there] > FLOOR[here]:
                yield f"{module} imports {imported} from a floor above"
            elif FLOOR[there] == FLOOR[here]:
                yield f"{module} and {imported} are rooms of one floor"


def test_imports_go_down_only() -> None:
    assert list(faults(SOURCE)) == []


@pytest.mark.parametrize(
    ("file", "line", "fault"),
    [
        (
            "files/text.py",
            "import carbonroute.carbon.rules",
            "files.text imports carbon.rules from a floor above",
        ),
        (
            "carbon/rules.py",
            "from carbonroute.traffic import Requests",
            "carbon.rules and traffic are rooms of one",
        ),
        (
            "metrics/long.py",
            "from carbonroute.engines import exact",
            "metrics.long and engines.exact are rooms of",
        ),
        ("helpers.py", "", "helpers has no floor"),
    ],
)
def test_what_is_against_the_order_is_found(file: str, line: str, fault: str, tmp_path: Path) -> None:
    source = tmp_path / "carbonroute"
    shutil.copytree(SOURCE, source, ignore=shutil.ignore_patterns("__pycache__"))
    with (source / file).open("a", encoding="utf-8") as stream:
        stream.write(f"\n{line}\n")
    assert any(fault in each for each in faults(source))


def graph() -> dict[str, set[str]]:
    """Return the modules that each module of the package imports."""
    known = modules(SOURCE)
    return {name: imports(path, known) for name, path in known.items()}


def reached(module: str, imported_by: dict[str, set[str]]) -> set[str]:
    """Return all modules that a module imports, directly or through others."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        for imported in imported_by[waiting.pop()] - seen:
            seen.add(imported)
            waiting.append(imported)
    return seen


def test_live_sees_no_engine_and_engines_no_live() -> None:
    """The policy and its control loop are the same in both; what runs them is not."""
    imported_by = graph()
    for module in imported_by:
        other = {"live": "engines", "engines": "live"}.get(room(module))
        if other is not None:
            assert not {name for name in reached(module, imported_by) if room(name) == other}, module
    both = reached("live.running", imported_by) & reached("engines.queued.routers", imported_by)
    assert "control.loop" in both


def test_no_module_imports_itself_in_a_circle() -> None:
    # A family's __init__ names its members; that a member names its family's sibling is no circle.
    TopologicalSorter({name: imported - {name} for name, imported in graph().items()}).prepare()


def test_commands_do_not_import_commands() -> None:
    known = modules(SOURCE)
    commands = {name for name in known if name.startswith("cli.")} - SHARED_BY_COMMANDS
    for name in commands - {"cli.app"}:
        assert not imports(known[name], known) & commands - {name}, name


def taking(source: Path, kind: str) -> set[str]:
    """Return the functions of a package that have an argument of a type, or of one that is made of it."""
    return {
        f"{name}.{node.name}"
        for name, path in modules(source).items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        if argument.annotation is not None
        and any(isinstance(part, ast.Name) and part.id == kind for part in ast.walk(argument.annotation))
    }


def test_functions_take_what_they_use() -> None:
    """All that is known of a run is handed whole to few: who says what it uses can be read alone."""
    assert 0 < len(taking(SOURCE, "Inputs")) <= 40
