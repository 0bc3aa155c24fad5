"""The exact engine: the published study, and a year of thirty regions, origins and ten workloads.

``python -m benchmarks.exact`` works out that year and prints the peak memory of the process, bytes.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

import carbonroute
from benchmarks.measuring import Row, Size, medians_s
from benchmarks.scaling import peak_bytes
from carbonroute.engines import exact
from carbonroute.scenario import Inputs, Scenario, load, resolve

HOURS, ORIGINS, WORKLOADS, REGIONS = 8760, 30, 10, 30


def year(hours: int, requests_per_hour: int = 1000) -> Inputs:
    """Return many hours of many regions, origins and workloads, under one policy."""
    dice = np.random.default_rng(1)
    regions = [f"r{index}" for index in range(REGIONS)]
    document = {
        "schema": 1,
        "name": "year",
        "horizon": {"hours": hours},
        "traffic": {"kind": "fixed-rate", "requests_per_hour": requests_per_hour},
        "carbon": {"kind": "synthetic"},
        "network": {
            "jitter_std_ms": 3,
            "rtt_ms": {
                f"o{index}": dict(zip(regions, dice.uniform(2, 250, REGIONS).tolist(), strict=True))
                for index in range(ORIGINS)
            },
        },
        "origins": [{"name": f"o{index}", "share": 1 / ORIGINS} for index in range(ORIGINS)],
        "regions": [
            {"name": name, "carbon_g_per_kwh": 20 * (1 + index)} for index, name in enumerate(regions)
        ],
        "workloads": [
            {
                "id": f"w{index}",
                "name": "w",
                "model": "w",
                "share": 1 / WORKLOADS,
                "slo_ms": 100 + 10 * index,
                "service_ms": {"law": "normal", "mean": 20 + 2 * index, "std": 4 + index / 3, "floor": 1},
            }
            for index in range(WORKLOADS)
        ],
        "policies": [{"use": "constrained-hybrid"}],
    }
    return resolve(Scenario.model_validate(document, context={"folder": Path()}))


def measure(size: Size) -> list[Row]:
    hours = 24 if size.small else HOURS
    return [*published(size), *against_argmin(size, hours), peak(hours)]


def published(size: Size) -> list[Row]:
    scenario = load("published")
    inputs = resolve(scenario)
    engine_s, run_s = medians_s(
        size.repeat, lambda: exact.run(inputs), lambda: carbonroute.run(scenario, engine="exact")
    )
    return [
        Row("published study, exact engine", f"{engine_s * 1e3:.1f} ms", "≤ 50 ms"),
        Row("published study, exact: scenario to tables", f"{run_s * 1e3:.0f} ms"),
    ]


def against_argmin(size: Size, hours: int) -> list[Row]:
    """Work out a year against finding the lowest of as many numbers."""
    few, many = year(hours, 1), year(hours, 10**9)
    numbers = np.random.default_rng(2).random((hours * ORIGINS * WORKLOADS, REGIONS))
    argmin_s, few_s, many_s = medians_s(
        min(size.repeat, 5),
        lambda: numbers.argmin(axis=1),
        lambda: exact.run(few),
        lambda: exact.run(many),
    )
    cells = f"{hours:,} h × {ORIGINS} origins × {WORKLOADS} workloads × {REGIONS} regions"
    return [
        Row(f"NumPy's argmin, {cells}", f"{argmin_s * 1e3:.0f} ms"),
        Row("exact engine on as many, 1 policy", f"{many_s:.2f} s"),
        Row("exact engine ÷ argmin", f"{many_s / argmin_s:.1f}×", "≤ 20×"),
        Row("10⁹ requests per hour ÷ 1", f"{many_s / few_s:.2f}×", "within 10 %"),
    ]


def peak(hours: int) -> Row:
    command = [sys.executable, "-m", "benchmarks.exact", str(hours)]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    return Row("its peak memory, in a process of its own", f"{int(found.stdout) / 1e6:.0f} MB", "≤ 2 GB")


if __name__ == "__main__":
    exact.run(year(int(sys.argv[1])))
    print(peak_bytes())
