"""Small scenarios for the queued engine: two regions, one of them nearer and one cleaner."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from carbonroute.control.loop import ExpectedTraffic
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


def expected_traffic(inputs: Inputs) -> ExpectedTraffic:
    return ExpectedTraffic.by_hour(inputs.expected_per_s[0], inputs.traffic_share)


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

#: What a router may hold back, and how many there may be.
CONTROLS: tuple[Document, ...] = (
    {"hysteresis": 0.1, "max_step": 0.2},
    {"min_home_share": 0.3, "max_region_share": 0.6},
    {"routers": 7, "capacity": "fair-share", "max_step": 0.3},
)
HELD = [
    {**policy, "control": control, "label": f"{policy['use']} {place}"}
    for place, control in enumerate(CONTROLS)
    for policy in ({"use": "spill"}, {"use": "least-loaded"}, {"use": "carbon-first", "max_utilisation": 0.8})
]
BATCHING = {"max_batch": 4, "max_wait_ms": 2000, "fixed_ms": 400, "per_request_ms": 100}
OUT = {"kind": "outage", "from_hour": 0.6, "hours": 0.9}


def sparse(**changes: Any) -> Inputs:
    """Return a scenario with less than a request per tick, some of which wait all the same."""
    (workload,) = document()["workloads"]
    slow = {**workload, "slo_ms": 40_000, "service_ms": {"law": "gamma", "mean": 20_000, "std": 20_000}}
    given: Document = {
        "horizon": {"hours": 6},
        "traffic": {"kind": "poisson", "requests_per_hour": 50},
        "pools": [{"servers": 1, "queue_limit": 3}],
        "workloads": [slow],
    }
    return inputs_of(**{**given, **changes})


def many_regions() -> Document:
    """Return nine origins and nine regions: sums over so many are made in another order than those of few."""
    dice = np.random.default_rng(5)
    names = [f"n{index}" for index in range(9)]
    return {
        "network": {
            "rtt_ms": {
                name: dict(zip(names, dice.integers(1, 200, 9).tolist(), strict=True)) for name in names
            }
        },
        "origins": [{"name": name, "share": 1 / 9} for name in names],
        "regions": [
            {"name": name, "carbon_g_per_kwh": int(dice.integers(10, 600)), "pue": 1.1} for name in names
        ],
    }


def leaves(value: Any, name: str = "") -> dict[str, Any]:
    """Return all that an outcome holds, by name."""
    if is_dataclass(value):
        parts = [leaves(getattr(value, one.name), f"{name}.{one.name}") for one in fields(value)]
        return {key: leaf for part in parts for key, leaf in part.items()}
    return {name: value.tobytes() if isinstance(value, np.ndarray) else repr(value)}
