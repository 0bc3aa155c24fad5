"""Ten thousand exact cells of the published scenario: on one worker, on two, and the bare engine calls."""

from __future__ import annotations

import heapq
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.measuring import Row, Size
from carbonroute import study
from carbonroute.engines import ENGINES
from carbonroute.outcome.mixture import quantiles
from carbonroute.scenario import resolve
from carbonroute.study import journal
from carbonroute.study.cell import CellResult, evaluate
from carbonroute.study.cells import Base
from carbonroute.study.workers import AHEAD

FULL, SMALL = (100, 100), (2, 3)

STUDY = """
schema = 1
name = "ten thousand cells"
scenario = "published"
engine = "exact"

[grid]
"network.jitter_std_ms" = {{ from = 0.1, to = {jitters}, step = 0.1 }}
"sampling.seed" = {{ from = 1, to = {seeds} }}
"""


def measure(size: Size) -> list[Row]:
    jitters, seeds = SMALL if size.small else FULL
    count, repeat = jitters * seeds, 1 if size.small else min(size.repeat, 3)
    turns: dict[str, list[float]] = {"engine": [], "figures": [], "one": [], "two": []}
    with TemporaryDirectory() as folder:
        file = Path(folder) / "study.toml"
        file.write_text(STUDY.format(jitters=jitters / 10, seeds=seeds), encoding="utf-8")
        for turn in range(repeat):
            bare_s = Path(folder) / f"bare-{turn}.txt"
            with patch("carbonroute.study.execution.evaluate", partial(beside_bare_calls, bare_s)):
                one_s = seconds(partial(study.run, file, Path(folder) / f"one-{turn}", workers=1))
            taken = np.loadtxt(bare_s, ndmin=2)
            for column, name in enumerate(("engine", "figures"), start=1):
                turns[name].append(taken[:, column].mean() * count)
            turns["one"].append(one_s - taken.sum())
            place, begun_s = Path(folder) / f"two-{turn}", time.process_time()
            turns["two"].append(seconds(partial(study.run, file, place, workers=2)))
            own_s = (time.process_time() - begun_s) / count
            times_s = [record.seconds for record in journal.records(place)]
    engine_s, figures_s, one_s, two_s = (statistics.median(taken) for taken in turns.values())
    return [
        Row(f"bare calls of the exact engine, {count:,} scenarios in turn", f"{engine_s:.1f} s"),
        Row("reading mean, P95, violations and carbon of each policy", f"{figures_s:.1f} s"),
        Row(f"study of {count:,} cells, 1 worker", f"{one_s:.1f} s"),
        Row(f"study of {count:,} cells, 2 workers", f"{two_s:.1f} s"),
        Row("1 worker ÷ 2 workers", f"{one_s / two_s:.2f}×", "≥ 1.8×"),
        Row("1 worker ÷ (engine and figures)", f"{one_s / (engine_s + figures_s):.2f}×", "≤ 1.2×"),
        Row("1 worker ÷ engine alone", f"{one_s / engine_s:.2f}×"),
        Row("cells per second, 2 workers", f"{count / two_s:.0f}"),
        Row("time of the command itself per cell, checking and the table included", f"{1e3 * own_s:.2f} ms"),
        *(
            Row(
                f"simulated: cells per second, {workers:,} workers",
                f"{simulated(workers, times_s, own_s):.0f}",
            )
            for workers in (4, 16, 64, 256)
        ),
    ]


def simulated(workers: int, times_s: Sequence[float], own_s: float) -> float:
    """Return how many cells a second workers get done that one command hands cells to.

    Parameters
    ----------
    workers
        Each works on one cell after the other, and has the next one before it.
    times_s
        What cells take, s; each is drawn as often as needed.
    own_s
        What the command needs for each result before it hands out another cell, s.
    """
    count = 50 * workers + len(times_s)
    durations = iter(np.random.default_rng(1).choice(times_s, count))
    idle_from = [0.0] * workers
    results: list[tuple[float, int]] = []

    def hand_out(worker: int, now: float) -> None:
        idle_from[worker] = max(idle_from[worker], now) + next(durations, math.inf)
        heapq.heappush(results, (idle_from[worker], worker))

    for worker in range(workers):
        for _ in range(AHEAD):
            hand_out(worker, 0.0)
    command_s = 0.0
    for _ in range(count - AHEAD * workers):
        ended, worker = heapq.heappop(results)
        command_s = max(command_s, ended) + own_s
        hand_out(worker, command_s)
    return (count - AHEAD * workers) / command_s


def beside_bare_calls(bare_s: Path, base: Base, changes: Mapping[str, Any]) -> CellResult:
    """Work out a cell; of every fifth seed, also the bare way, and write down what that takes.

    In the same process and at the same time: a machine that others share is faster now and slower then.
    """
    if changes["sampling.seed"] % 5 == 1:
        moments_s = [time.perf_counter()]
        inputs = resolve(base.scenario(changes))
        moments_s.append(time.perf_counter())
        outcomes = ENGINES["exact"](inputs)
        moments_s.append(time.perf_counter())
        quantiles([outcome.latency for outcome in outcomes], 0.95)
        for outcome in outcomes:
            outcome.latency.mean()
            outcome.violations.sum()
            outcome.carbon_sum_g_per_kwh.sum()
        moments_s.append(time.perf_counter())
        with bare_s.open("a", encoding="utf-8") as file:
            file.write(" ".join(map(str, np.diff(moments_s))) + "\n")
    return evaluate(base, changes)


def seconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin
