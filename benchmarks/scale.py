"""1.68 million requests under seven policies, against drawing their random numbers and nothing else."""

from __future__ import annotations

import tempfile

import numpy as np

import carbonroute
from benchmarks.measuring import Row, Size, medians_s
from benchmarks.process import child
from carbonroute.engines import sampled
from carbonroute.scenario import load, resolve

HOURS, PER_HOUR = 336, 5000


def draw(count: int) -> None:
    """Draw what each request needs: two uniforms and two normals."""
    dice = np.random.default_rng(42)
    dice.random(count)
    dice.random(count)
    dice.standard_normal(count)
    dice.standard_normal(count)


def measure(size: Size) -> list[Row]:
    hours = 2 if size.small else HOURS
    changes = {
        "sampling": {"scheme": "streams"},
        "horizon.hours": hours,
        "traffic.requests_per_hour": PER_HOUR,
    }
    inputs, count = resolve(load("published", changes)), hours * PER_HOUR
    floor_s, engine_s, whole_s = medians_s(
        size.repeat,
        lambda: draw(count),
        lambda: sampled.run(inputs),
        lambda: carbonroute.run("published", changes),
    )
    policies = len(inputs.candidates)
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["--sim-hours", str(hours), "--reqs-per-hour", str(PER_HOUR), "--quiet", "--no-figures"]
        _, peak_bytes = child(["carbonroute", "simulate", "published", *arguments, "--output", folder])
    return [
        Row(f"drawing {count:,} × (2 uniforms, 2 normals)", f"{floor_s * 1e3:.0f} ms"),
        Row(f"engine, × {policies} policies", f"{engine_s * 1e3:.0f} ms"),
        Row("engine, requests × policies per second", f"{count * policies / engine_s / 1e6:.1f} M/s"),
        Row("run: scenario to tables", f"{whole_s * 1e3:.0f} ms"),
        Row("engine ÷ drawing", f"{engine_s / floor_s:.1f}×"),
        Row("run ÷ drawing", f"{whole_s / floor_s:.1f}×", "≤ 8×"),
        Row("peak memory of the whole process", f"{peak_bytes / 2**20:.0f} MiB", "≤ 1.5 GB"),
    ]
