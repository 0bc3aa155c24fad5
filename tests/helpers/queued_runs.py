"""Small scenarios for the queued engine: two regions, one of them nearer and one cleaner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from carbonroute.engines.draws import Block, streams
from carbonroute.outcome import Outcome, Queueing
from carbonroute.scenario import Inputs, Scenario, resolve

Document = dict[str, Any]


def document(**changes: Any) -> Document:
    """Return a scenario of two regions and a workload, with other sections where they are named."""
    return {
        "schema": 1,
        "name": "queues",
        "horizon": {"hours": 2},
        "sampling": {"seed": 7},
        "traffic": {"kind": "poisson", "requests_per_hour": 20_000},
        "carbon": {"kind": "synthetic"},
        "network": {"rtt_ms": {"here": {"near": 10, "far": 40}}},
        "origins": [{"name": "here", "share": 1.0}],
        "regions": [
            {"name": "near", "carbon_g_per_kwh": 400},
            {"name": "far", "carbon_g_per_kwh": 50},
        ],
        "workloads": [
            {
                "id": "w",
                "name": "w",
                "model": "w",
                "share": 1.0,
                "slo_ms": 2000,
                "energy_j": 3.6,
                "service_ms": {"law": "gamma", "mean": 500, "std": 500},
            }
        ],
        "policies": [{"use": "latency-first"}, {"use": "carbon-first"}],
        **changes,
    }


def inputs_of(folder: Path | None = None, **changes: Any) -> Inputs:
    return resolve(Scenario.model_validate(document(**changes), context={"folder": folder or Path()}))


def queueing_of(outcome: Outcome) -> Queueing:
    assert outcome.queueing
    return outcome.queueing


def services_ms(inputs: Inputs) -> np.ndarray:
    """Return the service time of every request, ms."""
    return np.concatenate([block.service_ms for block in blocks_of(inputs)])


def blocks_of(inputs: Inputs) -> list[Block]:
    """Return a scenario's requests with their luck."""
    ((_, blocks),) = streams(inputs)
    return list(blocks)


def logged(folder: Path, rows: list[tuple[float, float]]) -> Document:
    """Write a log of times and service times, s, and return the traffic that replays it."""
    lines = "".join(f"{time_s},{1000 * service_s}\n" for time_s, service_s in rows)
    (folder / "log.csv").write_text(f"time,service\n{lines}", encoding="utf-8")
    log = {"path": "log.csv", "time_column": "time", "time_unit": "s"}
    return {
        "kind": "replay",
        "align": "first-request",
        "logs": [{**log, "service_column": "service", "service_unit": "ms"}],
    }


def late_rows(folder: Path) -> Document:
    """Return a log in which every tenth row is late by up to 5 min; its second hour is empty."""
    dice = np.random.default_rng(1)
    time_s = np.concatenate([np.sort(dice.uniform(0, 3600, 900)), np.sort(dice.uniform(7200, 8000, 300))])
    late_s = np.where(dice.random(1200) < 0.1, dice.uniform(0, 300, 1200), 0)
    time_s = np.round(np.maximum(time_s - late_s, np.where(time_s < 7200, 0, 7200)), 3)
    return logged(
        folder, list(zip(time_s.tolist(), dice.exponential(1, 1200).round(3).tolist(), strict=True))
    )


#: A seventh of a server's time, and a server for it.
FEW: Document = {"kind": "poisson", "requests_per_hour": 1000}
ONE = [{"servers": 1, "queue_limit": 3}]

#: What two regions can carry together, and neither alone.
HERD: Document = {
    "pools": [{"servers": 6, "queue_limit": 50}],
    "traffic": {"kind": "poisson", "requests_per_hour": 60_000},
    "workloads": [
        {
            "id": "w",
            "name": "w",
            "model": "w",
            "share": 1.0,
            "slo_ms": 2000,
            "energy_j": 3.6,
            "service_ms": {"law": "gamma", "mean": 500, "std": 50},
        }
    ],
}

_EACH: tuple[Document, ...] = (
    {"use": "latency-first"},
    {"use": "spill"},
    {"use": "least-loaded"},
    {"use": "carbon-first", "max_utilisation": 0.8},
    {"use": "constrained-hybrid", "information": {"service_time": "actual"}, "max_utilisation": 0.8},
    {"use": "constrained-hybrid", "max_violation": 0.1, "budget": "per-workload", "max_utilisation": 0.8},
    {"use": "round-robin", "max_utilisation": 0.8},
    {"use": "optimal", "max_violation": 0.1},
)

#: Policies of every kind: by the hour, by state, by the request, splitting, with a program.
POLICIES = [{**policy, "label": f"p{place}"} for place, policy in enumerate(_EACH)]
