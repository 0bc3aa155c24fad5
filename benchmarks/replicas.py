"""Replicas that batch continuously, beside a plain loop over their steps on the same work."""

from __future__ import annotations

import sys
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring import Row, Size, medians_s
from carbonroute.engines import queued
from carbonroute.llm import LlmPool, StepLaw
from carbonroute.rng import BLOCK
from carbonroute.scenario import Scenario, resolve
from carbonroute.scenario.builtin import builtin_text

if TYPE_CHECKING:
    from helpers.batching import Work

Array = NDArray[np.float64]

#: Sequences of a batch, and tokens of a prompt and of an answer on average.
BATCH, TOKENS = 64, 200
#: An 8B model on an H100, about.
LAW = StepLaw(overhead_ms=1.0, weights_ms=5.3, kv_ms_per_token=4.6e-5, compute_ms_per_token=0.02)
#: Requests, and those that the plain loop serves.
MANY, FEW = 300_000, 2_000
#: Requests of a week.
WEEK, HOURS = 10_000_000, 168


def work(count: int, load: float) -> Work:
    """Return requests to one replica: about as many as it can serve, or a part of that."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from carbonroute.control.capacity import UNLIMITED
    from helpers.batching import Work

    dice = np.random.default_rng(1)
    prompt, answer = (np.rint(1 + dice.gamma(2, TOKENS / 2, count)).astype(np.int64) for _ in range(2))
    step_s = float(LAW.step_ms(BATCH, BATCH * 1.5 * TOKENS)) / 1000
    reach_s = dice.exponential(TOKENS * step_s / BATCH / load, count).cumsum()
    pool = LlmPool(LAW, None, max_num_seqs=BATCH, max_num_batched_tokens=2048, kv_blocks=20_000)
    here = np.zeros(count, dtype=np.int64)
    return Work([pool], [1], [UNLIMITED], np.zeros((0, 4)), reach_s, here, prompt, answer)


def by_system(of: Work) -> Array:
    """Return how long each request takes from its first step to its last token, ms."""
    from carbonroute.engines.queued.replicas import ReplicaSystem

    system, parts = ReplicaSystem(of.pools, of.servers, of.queue_limit, of.windows), []
    for start in range(0, len(of.reach_s), BLOCK):
        part = slice(start, start + BLOCK)
        system.send(of.reach_s[part], of.pool[part], of.prompt[part], of.answer[part])
        system.advance(of.reach_s[part][-1])
        parts.append(system.settle(system.settled).service_ms)
    system.advance(np.inf)
    return np.concatenate((*parts, system.settle(system.settled).service_ms))


def by_loop(of: Work) -> Array:
    from helpers.batching import by_steps

    return np.array([1000 * (one.last_s - one.begin_s) for one in by_steps(of, checked=False)[0]])


def six_regions(requests: int, hours: int) -> Scenario:
    """Return hours of chat over six regions, three of which are the others' twins at other distances."""
    tables = tomllib.loads(builtin_text("llm-three-regions"))
    near = {name: dict(row) for name, row in tables["network"]["rtt_ms"].items()}
    for row in near.values():
        row.update({f"{name}-2": time_ms + 9 for name, time_ms in list(row.items())})
    twins = [{**region, "name": f"{region['name']}-2"} for region in tables["regions"]]
    pool = {"servers": 8, "llm": {"model": "llama-3.1-8b", "gpu": "h100-sxm", "max_num_seqs": BATCH}}
    tables |= {
        "horizon": {"hours": hours},
        "traffic": {"kind": "poisson", "requests_per_hour": requests // hours},
        "regions": [
            {k: v for k, v in region.items() if k != "pools"} for region in tables["regions"] + twins
        ],
        "workloads": [{**tables["workloads"][0], "share": 1}],
        "pools": [pool],
        "policies": [{"use": "spill"}],
    }
    tables["network"]["rtt_ms"] = near
    return Scenario.model_validate(tables)


def week(size: Size) -> Row:
    """Run it, and return how long the engine takes."""
    hours = 2 if size.small else HOURS
    inputs = resolve(six_regions(WEEK // HOURS * hours // (100 if size.small else 1), hours))
    start_s = time.perf_counter()
    (outcome,) = queued.run(inputs)
    passed_s, count = time.perf_counter() - start_s, int(outcome.requests.sum())
    return Row(f"{hours} h of {count:,} requests over six regions, spill", f"{passed_s:.1f} s", "≤ 120 s")


def measure(size: Size) -> list[Row]:
    many, few = (2_000, 100) if size.small else (MANY, FEW)
    full, half, same = work(many, 1.0), work(many, 0.5), work(few, 1.0)
    np.testing.assert_allclose(by_loop(same), by_system(same), rtol=0, atol=1e-5)
    full_s, half_s, loop_s = medians_s(
        size.repeat, lambda: by_system(full), lambda: by_system(half), lambda: by_loop(same)
    )
    what = f"{TOKENS} answer tokens, batch {BATCH}"
    ratio = loop_s / few / (full_s / many)
    return [
        Row(f"replica, {many:,} requests of {what}, full", f"{full_s * 1e3:.0f} ms"),
        Row("the same, requests per second", f"{many / full_s / 1e6:.2f} M/s", "≥ 0.3 M/s"),
        Row("at half the load, requests per second", f"{many / half_s / 1e6:.2f} M/s", "≥ 0.3 M/s"),
        Row("loop over steps in Python, requests per second", f"{few / loop_s / 1e3:.1f} k/s"),
        Row("loop ÷ replica, per request", f"{ratio:.0f}×", "≥ 1,000×"),
        week(size),
    ]
