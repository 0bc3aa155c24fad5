"""Draw mutants of some modules by cosmic-ray, and run each against the tests that execute its line.

In an environment of its own that has cosmic-ray as well, see docs/validation.md:
``python benchmarks/mutation.py --seed 11 --folder DIR``. It works on a copy of the project in DIR, where
``mutants.csv`` says what became of each mutant. Begun again, it goes on.
"""

from __future__ import annotations

import argparse
import ast
import csv
import json
import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
#: Of each area: mutants to draw, modules below src/carbonroute, and tests below tests/.
AREAS: Mapping[str, tuple[int, tuple[str, ...], tuple[str, ...]]] = {
    "queued": (
        16,
        ("engines/queued",),
        ("engines/test_queued.py", "engines/test_routers.py", "engines/test_system.py"),
    ),
    "batching": (
        8,
        ("scenario/capacity.py", "scenario/pools.py"),
        ("scenario/test_capacity.py", "engines/test_queued.py", "engines/test_routers.py",
         "test_bad_inputs.py"),
    ),
    "tokens": (
        10,
        ("workloads/tokens.py", "engines/views.py"),
        ("workloads", "engines/test_token_requests.py", "engines/test_exact.py", "engines/test_routers.py",
         "scenario/test_knowledge.py", "engines/test_emissions.py", "engines/test_views.py"),
    ),
    "metrics": (
        14,
        ("metrics",),
        ("test_metrics.py", "test_queue_metrics.py", "test_objectives.py", "test_runs.py",
         "test_agreement.py", "theory/test_replication_intervals.py"),
    ),
    "study": (12, ("study",), ("study",)),
    "inspection": (12, ("inspection",), ("inspection", "test_cli_inspect.py")),
    "report": (8, ("report",), ("report",)),
}  # fmt: skip
LIMIT_S = 900
MOST_TESTS = 60


class Mutant(NamedTuple):
    """One change: where, by which operator of cosmic-ray, and which of its occurrences in the file."""

    area: str
    file: str
    line: int
    column: int
    operator: str
    occurrence: int
    arguments: str


def drawn(folder: Path, seed: int) -> Iterator[Mutant]:
    """Yield the mutants: places at random, and at each of them one of the operators that change it.

    Annotations are left out: nobody evaluates them. So are changes of what `==` or `is` compare by, which
    differ for other objects of the same value alone.
    """
    dice = random.Random(seed)
    for area, (count, modules, _) in AREAS.items():
        settings, session = folder / f"{area}.toml", folder / f"{area}.sqlite"
        paths = [str(ROOT / "src" / "carbonroute" / module) for module in modules]
        settings.write_text(
            f"[cosmic-ray]\nmodule-path = {paths}\ntimeout = {LIMIT_S}\nexcluded-modules = []\n"
            'test-command = "true"\n[cosmic-ray.distributor]\nname = "local"\n'
        )
        cosmic_ray = Path(sys.executable).parent / "cosmic-ray"
        subprocess.run([cosmic_ray, "init", "--force", settings, session], check=True)
        places: dict[tuple[str, int, int], list[Mutant]] = {}
        columns = "module_path, start_pos_row, start_pos_col, operator_name, occurrence, operator_args"
        rows = sqlite3.connect(session).execute(f"SELECT {columns} FROM mutation_specs ORDER BY {columns}")
        for module, *rest in rows:
            mutant = Mutant(area, str(Path(module).relative_to(ROOT)), *rest)
            if not re.search(r"_Is(Not)?$", mutant.operator) or "Is_IsNot" in mutant.operator:
                places.setdefault((mutant.file, mutant.line, mutant.column), []).append(mutant)
        left = sorted(place for place in places if not in_annotation(*place))
        for place in sorted(dice.sample(left, count)):
            yield dice.choice(places[place])


def in_annotation(file: str, line: int, column: int) -> bool:
    """Whether a place lies in an annotation."""
    for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
        for part in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            if part is not None and (part.lineno, part.col_offset) <= (line, column) < (
                part.end_lineno, part.end_col_offset,
            ):  # fmt: skip
                return True
    return False


def planted(mutant: Mutant, copy: Path) -> str:
    """Write a mutant into the copy; return what the file was."""
    # No dependency of the project: its types are not known here.
    get_operator = import_module("cosmic_ray.plugins").get_operator
    mutate_code = import_module("cosmic_ray.mutating").mutate_code

    file = copy / mutant.file
    text = file.read_text(encoding="utf-8")
    operator = get_operator(mutant.operator)(**json.loads(json.loads(mutant.arguments)))
    mutated = mutate_code(text.encode(), operator, mutant.occurrence)
    file.write_text(mutated if isinstance(mutated, str) else mutated.decode(), encoding="utf-8")
    return text


def tests_of(area: str, copy: Path) -> Mapping[tuple[str, int], set[str]]:
    """Return which tests execute each line of an area's modules."""
    from coverage import CoverageData

    _, modules, tests = AREAS[area]
    data = copy / f".coverage.{area}"
    if not data.exists():
        paths = [str(copy / "tests" / test) for test in tests if (copy / "tests" / test).exists()]
        run(
            copy,
            [*paths, "--cov=carbonroute", "--cov-context=test", "--cov-report="],
            {"COVERAGE_FILE": str(data)},
        )
    known, found = CoverageData(str(data)), {}
    known.read()
    for file in known.measured_files():
        name = str(Path(file).relative_to(copy))
        if any(name.startswith(f"src/carbonroute/{module}") for module in modules):
            for line, contexts in known.contexts_by_lineno(file).items():
                found[name, line] = {context.partition("|")[0].partition("[")[0] for context in contexts} - {
                    ""
                }
    return found


def run(copy: Path, arguments: list[str], more: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(copy / "src"), **more}
    return subprocess.run(
        command, cwd=copy, env=environment, capture_output=True, text=True, timeout=LIMIT_S * 4, check=False
    )


def judged(mutant: Mutant, copy: Path, covering: Mapping[tuple[str, int], set[str]]) -> tuple[str, str]:
    """Return what became of a mutant, and the tests that were asked."""
    _, _, tests = AREAS[mutant.area]
    lines = [covering.get((mutant.file, mutant.line + more), set()) for more in (0, 1, -1)]
    chosen = sorted(next((of for of in lines if of), set()))[:MOST_TESTS]
    if not chosen:  # compiled code, or what runs at import
        chosen = [f"tests/{test}" for test in tests if (copy / "tests" / test).exists()]
    before = planted(mutant, copy)
    try:
        done = run(copy, ["-x", *chosen], {})
    except subprocess.TimeoutExpired:
        return "killed: time", ""
    finally:
        (copy / mutant.file).write_text(before, encoding="utf-8")
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    return ("survived" if done.returncode == 0 else "killed"), " ".join(failed)


def main() -> None:
    """Draw, run and write down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--list", action="store_true", help="draw only")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    table, copy = options.folder / "mutants.csv", options.folder / "copy"
    done = set()
    if table.exists():
        with table.open(encoding="utf-8", newline="") as file:
            done = {tuple(row[:7]) for row in csv.reader(file)}
    if not copy.exists():
        skipped = shutil.ignore_patterns(".git", ".venv", "__pycache__", "outputs")
        shutil.copytree(ROOT, copy, ignore=skipped)
    for mutant in drawn(options.folder, options.seed):
        key = tuple(map(str, mutant))
        if options.list:
            print(*key)
        elif key not in done:
            verdict = judged(mutant, copy, tests_of(mutant.area, copy))
            with table.open("a", encoding="utf-8", newline="") as file:
                csv.writer(file).writerow([*key, *verdict])
            print(*key, *verdict, flush=True)


if __name__ == "__main__":
    main()
