"""A hundred million requests under seven policies: against drawing their numbers, on one core and on two.

``python -m benchmarks.scaling N`` runs N requests and prints the peak memory of the process, bytes.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.measuring import Row, Size, medians_s
from benchmarks.process import child
from carbonroute import rng
from carbonroute.engines import sampled
from carbonroute.scenario import Inputs, builtin_text, load, resolve

MANY, VAST = 100_000_000, 1_000_000_000


def inputs_of(count: int) -> Inputs:
    """Return the published study, all policies on the same requests, with about so many of them."""
    changes = {"sampling": {"scheme": "streams"}, "traffic.requests_per_hour": max(1, count // 168)}
    return resolve(load("published", changes))


def draw(count: int) -> None:
    """Draw two uniforms and two normals for each request, and keep none of them."""
    dice = np.random.Generator(np.random.PCG64(42))
    for first in range(0, count, rng.BLOCK):
        block = min(rng.BLOCK, count - first)
        dice.random(block)
        dice.random(block)
        dice.standard_normal(block)
        dice.standard_normal(block)


def measure(size: Size) -> list[Row]:
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from helpers import reference

    small, repeat = 3 * rng.BLOCK, 1 if size.small else min(size.repeat, 5)
    inputs = inputs_of(small if size.small else MANY)
    count, policies = round(inputs.arrivals.count), len(inputs.candidates)
    scalar = resolve(load("published", {"horizon.hours": 2 if size.small else 168}))
    scalar_s, draw_s, one_s, two_s, single_s, pair_s = medians_s(
        repeat,
        lambda: reference.simulate(scalar),
        lambda: draw(count),
        lambda: sampled.run(inputs),
        lambda: sampled.run(inputs, workers=2),
        lambda: alone(count),
        lambda: at_once(count),
    )
    with tempfile.TemporaryDirectory() as folder:
        alone_s, shared_s = medians_s(
            repeat, *(partial(simulate, Path(folder), count, workers) for workers in (1, 2))
        )
    each_s = one_s / (count * policies)
    scalar_each_s = scalar_s / (round(scalar.arrivals.count) * policies)
    vast = small if size.small else VAST
    wall_s, peak_bytes = alone(vast)
    return [
        Row(f"drawing {count:,} × (2 uniforms, 2 normals), block by block", f"{draw_s:.2f} s"),
        Row(f"engine, × {policies} policies, one process", f"{one_s:.2f} s"),
        Row("engine ÷ drawing", f"{one_s / draw_s:.2f}×", "≤ 2.5×"),
        Row("engine, requests × policies per second", f"{1e-6 / each_s:.0f} M/s"),
        Row(
            "scalar reference ÷ engine, per request and policy", f"{scalar_each_s / each_s:,.0f}×", "≥ 1,000×"
        ),
        Row("two processes at once ÷ one alone", f"{pair_s / single_s:.2f}×"),
        Row("2 workers: speed-up of the engine", f"{one_s / two_s:.2f}×", "≥ 1.8×"),
        Row("carbonroute simulate, as many requests, as a process", f"{alone_s:.1f} s"),
        Row("the same with 2 workers: speed-up, start-up included", f"{alone_s / shared_s:.2f}×", "≥ 1.8×"),
        Row(f"{vast:,} requests, a process of its own", f"{wall_s:.0f} s"),
        Row("its peak memory", f"{peak_bytes / 1e6:.0f} MB", "≤ 400 MB"),
    ]


def at_once(count: int) -> None:
    """Run so many requests in each of two processes at the same time."""
    command = [sys.executable, "-m", "benchmarks.scaling", str(count)]
    started = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(2)]
    if any(process.wait() for process in started):
        raise RuntimeError(f"{command} failed")


def simulate(folder: Path, count: int, workers: int) -> None:
    """Run the command, with so many requests, as a process."""
    published = builtin_text("published").splitlines()
    text = [line for line in published if not line.startswith(("scheme", "restart"))]
    (folder / "streams.toml").write_text("\n".join(text), encoding="utf-8")
    options = ["--reqs-per-hour", str(max(1, count // 168)), "--workers", str(workers)]
    options += ["--no-figures", "--quiet", "--output", str(folder / "out")]
    child(["carbonroute", "simulate", str(folder / "streams.toml"), *options])


def alone(count: int) -> tuple[float, int]:
    """Run so many requests in another process; return its wall time, s, and peak resident memory, bytes."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.scaling", str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return time.perf_counter() - start, int(done.stdout)


def peak_bytes() -> int:
    """Return the peak resident memory of this process, without what started it where the system tells."""
    status = Path("/proc/self/status")
    if status.exists():
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(peak.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    sampled.run(inputs_of(int(sys.argv[1])))
    print(peak_bytes())
