"""Random small scenarios of requests that may not be served everywhere, and policies that ignore it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from carbonroute.policies.base import Policy, SplittingPolicy, View
from carbonroute.scenario import Inputs, Scenario, resolve

Document = dict[str, Any]

#: Every policy of the package, with parameters.
ENTRIES: tuple[Document, ...] = (
    {"use": "latency-first"},
    {"use": "carbon-first"},
    {"use": "hybrid", "alpha": 0.3},
    {"use": "hybrid", "alpha": 0.6, "rtt_bounds_ms": [0, 200]},
    {"use": "constrained-hybrid", "margin_ms": 5},
    {"use": "constrained-hybrid", "max_violation": 0.05},
    {"use": "constrained-hybrid", "max_violation": 0.05, "budget": "per-workload"},
    {"use": "nearest-greenest", "k": 2},
    {"use": "static-greenest"},
    {"use": "static-greenest", "hindsight": True},
    {"use": "clairvoyant-bound"},
    {"use": "random"},
    {"use": "round-robin"},
    {"use": "least-loaded"},
    {"use": "power-of-two"},
    {"use": "spill", "max_utilisation": 0.5},
    {"use": "optimal"},
    {"use": "provision"},
)


class Outside(Policy):
    """Chooses regions that are not allowed, by costs and by its own choice."""

    reads: ClassVar[frozenset[str]] = frozenset({"rtt_ms", "allowed"})

    def cost(self, view: View) -> np.ndarray:
        return np.zeros(view.rtt_ms.shape) if view.allowed is None else view.allowed * 1.0

    def choose(self, view: View) -> np.ndarray:
        return np.asarray(self.cost(view).argmin(axis=-1))


class Forger(Outside):
    """Writes into its view that every region is allowed."""

    def cost(self, view: View) -> np.ndarray:
        if view.allowed is not None:
            try:
                view.allowed.setflags(write=True)
                view.allowed[...] = True
            except ValueError:
                pass
        return super().cost(view)


class Anywhere(SplittingPolicy):
    """Sends equal parts to all regions that are not allowed, and to the last of all."""

    reads: ClassVar[frozenset[str]] = frozenset({"rtt_ms", "allowed"})

    def weights(self, view: View) -> np.ndarray:
        parts = np.zeros(view.rtt_ms.shape)
        parts[..., -1] = 1.0
        if view.allowed is not None:
            parts += ~view.allowed
        return np.asarray(parts / parts.sum(axis=-1, keepdims=True))


class Jointly(Anywhere):
    """The same, for all cells of an hour together."""

    joint: ClassVar[bool] = True


class Undeclared:
    """A policy that declares nothing, and prefers the last region."""

    name = "Undeclared"

    def cost(self, view: View) -> np.ndarray:
        return -np.arange(view.rtt_ms.shape[-1]) + 0.0 * view.rtt_ms


HOSTILE = (Outside, Forger, Anywhere, Jointly, Undeclared)


def _lists(dice: np.random.Generator, members: list[Document], regions: list[str], shared: str) -> None:
    """Let about two in three members allow some regions alone, a shared one among them."""
    for member in members:
        if dice.random() < 2 / 3:
            some = [name for name in regions if name == shared or dice.random() < 0.4]
            member["allowed_regions"] = [some[place] for place in dice.permutation(len(some))]


def _shares(dice: np.random.Generator, count: int) -> list[float]:
    weights = dice.integers(1, 9, count)
    return [float(weight / weights.sum()) for weight in weights]


def _windows(dice: np.random.Generator) -> list[Document]:
    if dice.random() < 0.5:
        return []
    kind = ["outage", "maintenance"][int(dice.integers(2))]
    return [{"kind": kind, "from_hour": float(dice.uniform(0, 0.6)), "hours": float(dice.uniform(0.1, 1.5))}]


def _control(dice: np.random.Generator) -> Document:
    limits: Document = {"interval_s": 600}
    for key, low, high in (
        ("hysteresis", 0, 0.5),
        ("max_step", 0.1, 1),
        ("min_home_share", 0, 0.6),
        ("max_region_share", 0.3, 1),
    ):
        if dice.random() < 0.4:
            limits[key] = float(dice.uniform(low, high))
    return limits


def document(seed: int, *, queues: bool) -> Document:
    """Return a scenario of 1 to 3 origins and workloads and 1 to 5 regions, with some policies.

    Parameters
    ----------
    seed
        Of everything that is drawn.
    queues
        Whether regions have servers, queues and hours in which they take no requests.
    """
    dice = np.random.default_rng([seed, 20260])
    regions = [f"r{index}" for index in range(dice.integers(1, 6))]
    origins: list[Document] = [{"name": f"o{index}"} for index in range(dice.integers(1, 4))]
    workloads: list[Document] = [
        {
            "id": f"w{index}",
            "name": f"w{index}",
            "model": "m",
            "slo_ms": float(dice.integers(20, 300)),
            "service_ms": {"law": "normal", "mean": float(dice.integers(5, 90)), "std": 5.0, "floor": 1},
            "energy_j": float(dice.integers(1, 50)),
        }
        for index in range(dice.integers(1, 4))
    ]
    shared = regions[int(dice.integers(len(regions)))]
    for members in (origins, workloads):
        _lists(dice, members, regions, shared)
        for member, share in zip(members, _shares(dice, len(members)), strict=True):
            member["share"] = share
    members = [{"name": name, "carbon_g_per_kwh": float(dice.integers(1, 900))} for name in regions]
    if queues:
        for region in members:
            pool = {"servers": int(dice.integers(1, 3)), "queue_limit": int(dice.integers(0, 20))}
            region["pools"] = [{**pool, "unavailable": _windows(dice)}]
    chosen = dice.permutation(len(ENTRIES))[:3].tolist()
    return {
        "schema": 1,
        "name": "residency",
        "horizon": {"hours": int(dice.integers(1, 3))},
        "sampling": {"seed": int(dice.integers(2**32))},
        "traffic": {"kind": "fixed-rate", "requests_per_hour": int(dice.integers(1, 40))},
        "carbon": {"kind": "synthetic", "noise": 0.1},
        "network": {
            "jitter_std_ms": float(dice.integers(0, 4)),
            "rtt_ms": {
                origin["name"]: {name: float(dice.integers(0, 200)) for name in regions} for origin in origins
            },
        },
        "control": _control(dice) if queues else {},
        "origins": origins,
        "workloads": workloads,
        "regions": members,
        "policies": [{**ENTRIES[place], "label": f"p{place}"} for place in chosen],
    }


def inputs_of(spelled: Document) -> Inputs:
    return resolve(Scenario.model_validate(spelled, context={"folder": Path()}))


def allowed_of(spelled: Document) -> np.ndarray:
    """Return whether a cell may be served in a region, from the tables alone, shape (O, W, R)."""
    names = [region["name"] for region in spelled["regions"]]
    return np.array(
        [
            [
                [
                    all(name in member.get("allowed_regions", names) for member in (origin, workload))
                    for name in names
                ]
                for workload in spelled["workloads"]
            ]
            for origin in spelled["origins"]
        ]
    )
