"""Small studies of all kinds, as text with what stands beside them, and how a study is run and looked at."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import psutil  # type: ignore[import-untyped]  # it ships no types

from carbonroute.study.journal import Record, records
from helpers import small

#: A policy that does as it is told the first time that it is asked, after it has written down its number.
OWN = '''\
import os
import time
from pathlib import Path

HERE = Path(__file__).parent


class Own:
    """By latency."""

    name = "Own"

    def __init__(self, number=0, does="nothing", seconds=0.0):
        self.number, self.does, self.seconds = number, does, seconds
        self.asked = False

    def cost(self, view):
        if not self.asked:
            self.asked = True
            self.act()
        return view.rtt_ms

    def act(self):
        with (HERE / "begun.txt").open("a") as file:
            file.write(f"{self.number}\\n")
        # A signal that comes between two instructions of Python wakes no sleep that has not begun.
        until = time.monotonic() + (0.5 if self.does == "wait" else self.seconds)
        while time.monotonic() < until:
            time.sleep(min(0.1, self.seconds or 0.5))
        if self.does == "fail" and not (HERE / "mended").exists():
            raise ValueError(f"number {self.number} is out of luck")
        if self.does == "fail once" and first_time(f"failed-{self.number}"):
            raise ValueError("not yet")
        if self.does == "leave":
            raise SystemExit(3)
        if self.does == "die" or (self.does == "die once" and first_time(f"died-{self.number}")):
            os._exit(9)


def first_time(name):
    try:
        (HERE / name).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
'''

OWN_ENTRY = '[[policies]]\nuse = "own.py:Own"\nlabel = "Own"\n'
_WITH_OWN = {"small.toml": small.SCENARIO + OWN_ENTRY, "own.py": OWN}
_WITH_CARBON = {
    "small.toml": small.changed(small.SCENARIO, (small.SYNTHETIC, small.WIDE)),
    "carbon.csv": small.WIDE_CSV,
}


@dataclass(frozen=True)
class Made:
    """A study.

    Attributes
    ----------
    text
        Its file, without schema, name and scenario.
    cells, policies
        How many cells it has, and policies in each.
    scenario
        Its base.
    beside
        Files beside it, by name.
    failed
        Cells that fail.
    """

    text: str
    cells: int
    policies: int = 3
    scenario: str = "small.toml"
    beside: Mapping[str, str] = field(default_factory=lambda: {"small.toml": small.SCENARIO})
    failed: tuple[int, ...] = ()

    @property
    def rows(self) -> int:
        """Rows of its results."""
        return (self.cells - len(self.failed)) * self.policies + len(self.failed)

    def write(self, folder: Path) -> Path:
        """Write it and what stands beside it; return its path."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in self.beside.items():
            (folder / name).write_text(text, encoding="utf-8")
        path = folder / "study.toml"
        head = f'schema = 1\nname = "small study"\nscenario = "{self.scenario}"\n'
        path.write_text(head + self.text, encoding="utf-8")
        return path


def own(
    count: int,
    *,
    seconds: float = 0.0,
    does: Mapping[int, str] | None = None,
    failed: Sequence[int] = (),
    head: str = "",
) -> Made:
    """Return a study of so many cells that write down when they are begun, and some of which do more."""
    told = does or {}
    variants = "".join(
        f'[[variants]]\naxis = "number"\nlabel = "n{number}"\n[variants.changes]\n'
        f'"sampling.seed" = {number}\n"policies[Own].number" = {number}\n'
        f'"policies[Own].does" = "{told.get(number, "nothing")}"\n'
        for number in range(count)
    )
    text = f'{head}[changes]\n"horizon.hours" = 2\n"policies[Own].seconds" = {seconds}\n{variants}'
    return Made(text, count, 4, beside=_WITH_OWN, failed=tuple(failed))


_SEEDS = '[grid]\n"sampling.seed" = { from = 1, to = 4 }\n'
_TWO_HOURS = '[changes]\n"horizon.hours" = 2\n'

#: Studies of all kinds: engines, axes, sources, policies, what is asked of a cell, and what goes wrong in it.
STUDIES: Mapping[str, Made] = {
    "seeds": Made(_SEEDS, 4),
    "no axes": Made("", 1),
    "exact, two axes": Made(
        'engine = "exact"\n[grid]\n"regions[A].carbon_g_per_kwh" = [200, 400.5]\n'
        '"network.jitter_std_ms" = { from = 0, to = 2 }\n',
        6,
    ),
    "exact, limits": Made('engine = "exact"\n[grid]\n"workloads[short].slo_ms" = [30, 60, 100]\n', 3),
    "three axes": Made(
        f'{_TWO_HOURS}[grid]\n"sampling.seed" = [3, 1]\n"network.jitter_std_ms" = [0, 5]\n'
        '"origins[West].name" = ["West"]\n',
        4,
    ),
    "range with a step": Made('[grid]\n"policies[hybrid].alpha" = { from = 0, to = 1, step = 0.25 }\n', 5),
    "policies as an axis": Made(
        '[grid]\npolicies = [[{ use = "latency-first" }, { use = "carbon-first" }],'
        ' [{ use = "latency-first" }, { use = "hybrid", alpha = 0.3 }]]\n',
        2,
        2,
    ),
    "clairvoyance as an axis": Made(
        '[grid]\n"information.service_time" = ["mean", "quantile:0.9", "actual"]\n', 3
    ),
    "two axes of variants": Made(
        "".join(
            f'[[variants]]\naxis = "{axis}"\nlabel = "{label}"\n[variants.changes]\n{change}\n'
            for axis, label, change in (
                ("grid", "clean", '"regions[B].carbon_g_per_kwh" = 20'),
                ("grid", "dirty", '"regions[B].carbon_g_per_kwh" = 300'),
                ("load", "low", '"traffic.requests_per_hour" = 20'),
                ("load", "high", '"traffic.requests_per_hour" = 80\n"sampling.seed" = 3'),
            )
        ),
        4,
    ),
    "queued": Made(
        f'engine = "queued"\n{_TWO_HOURS}pools = [{{ load_share = 0.8 }}]\n'
        '"traffic.requests_per_hour" = 2000\n[grid]\n"sampling.seed" = [1, 2]\n',
        2,
    ),
    "queued, by itself": Made(
        f'{_TWO_HOURS}"traffic.requests_per_hour" = 1000\n'
        "[grid]\npools = [[{ load_share = 1.0 }], [{ load_share = 0.4, queue_limit = 5 }]]\n",
        2,
    ),
    "a carbon file": Made(
        '[grid]\n"network.jitter_std_ms" = [1, 3]\n"sampling.seed" = [1, 2]\n', 4, beside=_WITH_CARBON
    ),
    "sources of carbon": Made(
        '[[variants]]\naxis = "source"\nlabel = "made"\n[variants.changes]\n'
        'carbon = { kind = "synthetic", noise = 0.2 }\n'
        '[[variants]]\naxis = "source"\nlabel = "read"\n[variants.changes]\n"carbon.unit" = "g/kWh"\n',
        2,
        beside=_WITH_CARBON,
    ),
    "a policy of one's own": own(4),
    "a failing cell": own(4, does={1: "fail"}, failed=[1]),
    # The first one ends last, and every cell has notes of its own: how wide its interval is.
    "cells out of order": own(
        4, does={0: "wait"}, head='replications = 10\nuntil = "avg_latency_ms ± 100"\n'
    ),
    "replications": Made(f"replications = 3\n{_SEEDS}", 4),
    "an interval": Made(
        'replications = 12\nuntil = "avg_latency_ms ± 2"\n[grid]\n"network.jitter_std_ms" = [3, 9]\n', 2
    ),
    "a baseline": Made(f'baseline = "Hybrid (α=0.5)"\n{_SEEDS}', 4),
    "metrics": Made(f'metrics = ["avg_latency_ms", "requests"]\nmax_violation = 0.01\n{_SEEDS}', 4),
    "random arrivals": Made(
        '[grid]\n"traffic.kind" = ["fixed-rate", "poisson"]\n"traffic.requests_per_hour" = [30, 31]\n', 4
    ),
    "the published scenario": Made(
        f'{_TWO_HOURS}[grid]\n"sampling.seed" = [42, 43]\n', 2, 7, "published", beside={}
    ),
    "grams": Made(
        f'{_TWO_HOURS}[grid]\n"regions[0].pue" = [1.0, 1.5]\n', 2, 9, "five-aws-regions", beside={}
    ),
}


def command(file: Path, folder: Path, *options: str) -> list[str]:
    """Return a command that runs a study, without a word unless something is wrong."""
    words = ["study", "run", str(file), "--output", str(folder), "--quiet"]
    return [sys.executable, "-m", "carbonroute", *words, *options]


def run(file: Path, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a study in a process of its own."""
    return subprocess.run(
        command(file, folder, *options), capture_output=True, text=True, check=False, timeout=1200
    )


def workers_of(pid: int) -> list[int]:
    """Return the worker processes of a run: children of a process that forks them."""
    try:
        return [worker.pid for forking in psutil.Process(pid).children() for worker in forking.children()]
    except psutil.NoSuchProcess:  # it ended meanwhile
        return []


def family_of(pid: int) -> list[int]:
    """Return all processes below one."""
    return [process.pid for process in psutil.Process(pid).children(recursive=True)]


def is_alive(pid: int) -> bool:
    """Whether a process is there, and not only remembered for its parent."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def kill(pid: int) -> bool:
    """Kill a process; return whether it was still there."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait until something holds, and not for ever: ten minutes are enough on any machine."""
    begin = time.monotonic()
    while not holds():
        assert time.monotonic() - begin < 600, "not within ten minutes"
        time.sleep(0.02)


def outcome(folder: Path) -> tuple[bytes, bytes]:
    """Return what must be the same for any workers and after any kill: results and manifest, as bytes."""
    return (folder / "results.parquet").read_bytes(), (folder / "manifest.json").read_bytes()


def journal(folder: Path) -> list[Record]:
    """Return all whole lines of a folder's journal."""
    return list(records(folder))


def begun(file: Path) -> list[int]:
    """Return the numbers of the cells of a study `own` that were begun, one for each time."""
    notes = file.with_name("begun.txt")
    return [int(line) for line in notes.read_text().split()] if notes.exists() else []


def assert_complete(made: Made, folder: Path) -> None:
    """Check that a finished study has every cell once, with every policy."""
    results = pl.read_parquet(folder / "results.parquet")
    assert results.height == made.rows
    assert not results.select("cell", "policy").is_duplicated().any()
    cells = results.group_by("cell", maintain_order=True).agg(pl.len(), pl.col("status").first())
    assert cells["cell"].to_list() == list(range(made.cells))
    failed = cells.filter(status="failed")
    assert tuple(failed["cell"]) == made.failed
    assert set(failed["len"]) <= {1}
    assert set(cells.filter(status="done")["len"]) == {made.policies}
