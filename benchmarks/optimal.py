"""Programs per tick: `optimal` and `provision`, at the size of a study and of a large network."""

from __future__ import annotations

import numpy as np

from benchmarks.measuring import Row, Size, medians_s
from carbonroute.policies import View
from carbonroute.policies.optimal import Optimal
from carbonroute.policies.provision import Provision

Cells = tuple[int, int, int]

#: Origins, workloads and regions.
STUDY, NETWORK = (5, 3, 5), (30, 10, 30)


def tick(cells: Cells, load: float, seed: int = 1) -> View:
    """Return one tick in which the servers' limits bind: the traffic takes `load` of what they can carry."""
    dice = np.random.default_rng(seed)
    origins, workloads, regions = cells
    shape = (1, *cells)
    service_ms = dice.uniform(20, 80, (workloads, 1))
    rtt_ms = dice.uniform(1, 250, (origins, 1, regions))
    busy_ms = np.broadcast_to(service_ms * dice.uniform(0.8, 1.2, regions), shape)
    requests_per_s = dice.gamma(2, 5, shape[:3])
    in_use = (requests_per_s[..., np.newaxis] * busy_ms).mean(axis=-1).sum() / 1000
    late = 1 / (1 + np.exp((np.linspace(100, 400, workloads)[:, np.newaxis] - rtt_ms - service_ms) / 8))
    carries = np.ceil(dice.dirichlet(np.full(regions, 3.0)) * in_use / (0.8 * load))
    servers = np.broadcast_to(carries, shape)
    return View(
        rtt_ms=np.broadcast_to(rtt_ms, shape),
        carbon_g_per_kwh=np.broadcast_to(dice.uniform(20, 600, regions), shape),
        service_ms=np.broadcast_to(service_ms[:, 0], shape[:3]),
        slo_ms=np.broadcast_to(np.linspace(100, 400, workloads), shape[:3]),
        energy_j=np.broadcast_to(dice.uniform(1, 3, (workloads, 1)), shape),
        violation_share=late[np.newaxis],
        available=np.ones(shape, dtype=bool),
        requests_per_s=requests_per_s,
        busy_ms=busy_ms,
        servers=servers,
        installed=servers,
        pool=np.broadcast_to(np.arange(regions), shape),
        idle_power_w=np.full(shape, 100.0),
    )


def measure(size: Size) -> list[Row]:
    large = (6, 3, 6) if size.small else NETWORK
    loose, strict = 0.1, 0.001
    return [
        row("optimal", Optimal(max_violation=loose), STUDY, 0.6, size, "≤ 2 ms"),
        row("optimal", Optimal(max_violation=loose), large, 0.6, size, "≤ 60 ms"),
        row("optimal, nearly full", Optimal(max_violation=loose), large, 0.9, size, "≤ 60 ms"),
        row("optimal, risk beyond what can be kept", Optimal(max_violation=strict), large, 0.6, size),
        row("optimal, overloaded", Optimal(max_violation=loose), large, 1.3, size),
        row("provision", Provision(max_violation=loose), STUDY, 0.6, size),
        row("provision", Provision(max_violation=loose), large, 0.6, size),
    ]


def row(what: str, policy: Optimal | Provision, cells: Cells, load: float, size: Size, goal: str = "") -> Row:
    view = tick(cells, load)
    (taken_s,) = medians_s(min(size.repeat, 5), lambda: policy.plan(view))
    origins, workloads, regions = cells
    where = f"{regions} regions × {origins} origins × {workloads} workloads"
    return Row(f"{what}: one tick of {where}", f"{taken_s * 1e3:.3g} ms", goal)
