"""Ten thousand exact cells of the published scenario: on one worker, on two, and the bare engine calls."""

from __future__ import annotations

import heapq
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.measuring import Row, Size
from carbonroute import study
from carbonroute.engines import ENGINES
from carbonroute.outcome.mixture import quantiles
from carbonroute.scenario import resolve
from carbonroute.study import cells, journal
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
    with TemporaryDirectory() as folder:
        file = Path(folder) / "study.toml"
        file.write_text(STUDY.format(jitters=jitters / 10, seeds=seeds), encoding="utf-8")
        found = cells.read(file)
        bare(replace(found, cells=found.cells[:5]))  # warm
        turns: dict[str, list[float]] = {"engine": [], "figures": [], "one": [], "two": []}

        def measure_bare() -> None:
            for name, taken_s in zip(("engine", "figures"), bare(found), strict=True):
                turns[name].append(taken_s)

        for turn in range(repeat):
            measure_bare()
            for name, workers in (("one", 1), ("two", 2)):
                place, begun_s = Path(folder) / f"{name}-{turn}", time.process_time()
                turns[name].append(seconds(partial(study.run, file, place, workers=workers)))
                own_s = (time.process_time() - begun_s) / count
                measure_bare()  # before and after: machines have moods
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


def bare(found: cells.Study) -> tuple[float, float]:
    """Return the time that the engine takes over all cells, and then reading its outcomes' figures, s.

    Measured on every fifth cell: they are much alike.
    """
    engine_s = figures_s = 0.0
    measured = found.cells[::5]
    for cell in measured:
        inputs = resolve(found.base.scenario(cell.changes))
        begin = time.perf_counter()
        outcomes = ENGINES["exact"](inputs)
        end = time.perf_counter()
        quantiles([outcome.latency for outcome in outcomes], 0.95)
        for outcome in outcomes:
            outcome.latency.mean()
            outcome.violations.sum()
            outcome.carbon_sum_g_per_kwh.sum()
        engine_s += end - begin
        figures_s += time.perf_counter() - end
    times = len(found.cells) / len(measured)
    return times * engine_s, times * figures_s


def seconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin
