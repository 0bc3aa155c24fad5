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
from collections import defaultdict
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
        ("engines/test_queued.py", "engines/test_routers.py", "engines/test_system.py",
         "engines/test_replicas.py"),
    ),
    "batching": (
        8,
        ("control/capacity.py", "scenario/written/pools.py"),
        ("scenario/test_capacity.py", "engines/test_queued.py", "engines/test_routers.py",
         "scenario/test_bad_inputs.py"),
    ),
    "tokens": (
        10,
        ("workloads/tokens.py", "control/views.py", "control/site.py"),
        ("workloads", "engines/test_token_requests.py", "engines/test_exact.py", "engines/test_routers.py",
         "control/test_knowledge.py", "engines/test_emissions.py", "control/test_views.py"),
    ),
    "metrics": (
        14,
        ("metrics",),
        ("metrics", "runs/test_replications.py",
         "theory/test_replication_intervals.py", "control/test_knowledge.py"),
    ),
    "study": (12, ("study",), ("study",)),
    "inspection": (12, ("inspection",), ("inspection", "cli/test_inspect.py")),
    "report": (8, ("report",), ("report",)),
}  # fmt: skip
#: Seconds for a mutant's tests, which may hang; and for those of an area, when their lines are looked at.
LIMIT_S, LONG_S = 300, 3600
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


def plant(mutant: Mutant, copy: Path) -> None:
    """Write a mutant into the copy."""
    # No dependency of the project: its types are not known here.
    get_operator = import_module("cosmic_ray.plugins").get_operator
    mutate_code = import_module("cosmic_ray.mutating").mutate_code
    operator = get_operator(mutant.operator)(**json.loads(json.loads(mutant.arguments)))
    text = mutate_code((ROOT / mutant.file).read_text(encoding="utf-8"), operator, mutant.occurrence)
    (copy / mutant.file).write_text(text, encoding="utf-8")


def tests_of(area: str, copy: Path) -> Mapping[tuple[str, int], list[str]]:
    """Return which tests execute each line of an area's modules, the quickest first."""
    from coverage import CoverageData

    _, modules, tests = AREAS[area]
    data, log = copy / f".coverage.{area}", copy / f"durations.{area}"
    if not data.exists():
        options = ["--cov=carbonroute", "--cov-context=test", "--cov-report=", "--durations=0"]
        paths = [f"tests/{test}" for test in tests]
        done = run(copy, [*paths, *options], LONG_S, {"COVERAGE_FILE": str(data)})
        log.write_text(done.stdout, encoding="utf-8")
    seconds: defaultdict[str, float] = defaultdict(float)
    for time_s, test in re.findall(
        r"^([\d.]+)s \w+ +(\S+?)(?:\[|$)", log.read_text(encoding="utf-8"), re.MULTILINE
    ):
        seconds[test] += float(time_s)
    known, found = CoverageData(str(data)), {}
    known.read()
    for file in known.measured_files():
        name = str(Path(file).relative_to(copy))
        if any(name.startswith(f"src/carbonroute/{module}") for module in modules):
            for line, contexts in known.contexts_by_lineno(file).items():
                asked = {_test(context) for context in contexts} - {""}
                found[name, line] = sorted(asked, key=lambda test: (seconds[test], test))
    return found


def _test(context: str) -> str:
    """Return the test of a context; all of its file where a fixture ran the line, which others may share."""
    test, _, phase = context.partition("|")
    return test.partition("::")[0] if phase == "setup" else test.partition("[")[0]


def run(
    copy: Path, arguments: list[str], limit_s: int, more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run some tests of the copy."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(copy / "src"), **(more or {})}
    return subprocess.run(
        command, cwd=copy, env=environment, capture_output=True, text=True, timeout=limit_s, check=False
    )


def judged(mutant: Mutant, copy: Path, covering: Mapping[tuple[str, int], list[str]]) -> tuple[str, str]:
    """Return what became of a mutant, and the tests that failed: of those that run its line, and doctests."""
    lines = [covering.get((mutant.file, mutant.line + more), []) for more in (0, 1, -1)]
    chosen = next((of for of in lines if of), [])[:MOST_TESTS]
    if not chosen:  # compiled code, or what runs at import
        chosen = [f"tests/{test}" for test in AREAS[mutant.area][2]]
    plant(mutant, copy)
    try:
        done = run(copy, ["-x", mutant.file, *chosen], LIMIT_S)
    except subprocess.TimeoutExpired:
        return "killed: time", ""
    finally:
        shutil.copy(ROOT / mutant.file, copy / mutant.file)
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    return ("survived" if done.returncode in {0, 5} else "killed"), " ".join(failed)


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
