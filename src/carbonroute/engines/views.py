"""What a policy is shown: of cells or single requests, and of regions as far as anyone measures them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carbonroute.arrays import Array, Index, Mask
from carbonroute.policies import View
from carbonroute.policies.base import CAPACITY_FIELDS, STATE_FIELDS
from carbonroute.scenario import UNLIMITED, Candidate, Inputs
from carbonroute.traffic import Requests
from carbonroute.units import MS_PER
from carbonroute.workloads import Tokens


@dataclass(frozen=True)
class Traits:
    """What tells requests of the same hour, origin and workload apart, for n of them.

    Attributes
    ----------
    service_ms
        What is known of each one's service time, ms, shape (n,).
    tokens_j
        IT energy of its tokens, as far as it is known, J, shape (n,); None where none depends on tokens.
    jitter_ms
        Its jitter in each region, ms, shape (n, R): for oracles. None for all others.
    turn
        Its number in the order of arrival, shape (n,). None where nobody asks.
    violation_share
        Probability that it is late in each region, shape (n, R). None where it is that of all in its cell.
    """

    service_ms: Array
    tokens_j: Array | None = None
    jitter_ms: Array | None = None
    turn: Array | None = None
    violation_share: Array | None = None

    def of(self, rows: slice | Index) -> Traits:
        """Return those of some requests."""
        rest = {
            name: None if x is None else x[rows] for name, x in vars(self).items() if name != "service_ms"
        }
        return Traits(self.service_ms[rows], **rest)


@dataclass(frozen=True)
class State:
    """What a router has measured when it decides, at K ticks. O origins, W workloads, R regions.

    Attributes
    ----------
    utilisation, wait_ms, available, servers
        Of the pool that serves a workload in a region, as in `View`, shape (K, W, R).
    requests_per_s
        Of each cell, shape (K, O, W).
    violation_share
        Probability of a late answer with the usual wait, shape (K, O, W, R); None where nobody asks.
    """

    utilisation: Array
    wait_ms: Array
    available: Mask
    servers: Array
    requests_per_s: Array
    violation_share: Array | None = None

    def __len__(self) -> int:
        return len(self.servers)

    def __getitem__(self, ticks: slice) -> State:
        known: dict[str, Any] = {
            name: values[ticks] for name, values in vars(self).items() if values is not None
        }
        return State(**known)

    def then(self, other: State) -> State:
        """Return what is measured at these ticks and those of another state, which come after them."""
        later = vars(other)
        known: dict[str, Any] = {
            name: np.concatenate([values, later[name]])
            for name, values in vars(self).items()
            if values is not None and later[name] is not None
        }
        return State(**known)

    def rows(self, tick: Index, of: Requests) -> State:
        """Return what is measured for each of n requests at its tick, in rows of shape (n, R) and (n,)."""
        pool, cell = (tick, of.workload), (tick, of.origin, of.workload)
        return State(
            self.utilisation[pool],
            self.wait_ms[pool],
            self.available[pool],
            self.servers[pool],
            self.requests_per_s[cell],
            None if self.violation_share is None else self.violation_share[cell],
        )

    def of_cells(self, name: str) -> NDArray[Any] | None:
        """Return a field with the leading axes of cells, (K, O or 1, W); None where it is not measured."""
        values: NDArray[Any] | None = getattr(self, name, None)
        return values[:, np.newaxis] if values is not None and name in _OF_POOLS else values


#: What is measured of the pool that serves a workload in a region.
_OF_POOLS = "utilisation", "wait_ms", "available", "servers"


def view(
    candidate: Candidate,
    inputs: Inputs,
    of: Requests,
    traits: Traits,
    state: State | None = None,
    more: Collection[str] = (),
) -> View:
    """Return what a policy may know of some cells or requests; what costs time is for those who read it.

    Parameters
    ----------
    candidate, inputs
        The policy with what it knows, and the scenario.
    of, traits
        Hour, origin and workload of each of n cells or requests, and what else tells them apart.
    state
        What is measured of the regions, in rows; None where they have no limits, and nothing is.
    more
        Fields that are read beside those that the policy declares.
    """
    inputs = candidate.believed(inputs)
    reference = inputs.carbon.reference_g_per_kwh
    # A row per region in memory: policies work on whole columns of these transposed views.
    shown = View(
        rtt_ms=inputs.rtt_ms.T.take(of.origin, axis=1).T,
        carbon_g_per_kwh=candidate.knowledge.g_per_kwh.T.take(of.hour, axis=1).T,
        service_ms=traits.service_ms,
        slo_ms=inputs.slo_ms.take(of.workload),
        carbon_reference_g_per_kwh=None
        if reference is None
        else np.broadcast_to(reference, (len(of), reference.size)),
        energy_j=_energy_j(inputs, of.workload, traits, state) if candidate.reads("energy_j") else None,
        jitter_ms=traits.jitter_ms,
        turn=traits.turn,
        violation_share=_violation_share(inputs, of, traits, state)
        if candidate.reads("violation_share")
        else None,
        **_of_regions(inputs, of, traits.service_ms, state, _wanted(candidate, more)),
    )
    return _locked(shown)


def folded(flat: View, leading: tuple[int, ...], traffic_share: Array) -> View:
    """Return a view of all cells, origins × workloads within some hours, with these leading axes.

    Parameters
    ----------
    flat
        The same cells in a row.
    leading
        Number of hours, origins and workloads.
    traffic_share
        Of each cell, shape (H, O, W).
    """
    there = {name: values for name, values in vars(flat).items() if values is not None}
    shaped = {name: values.reshape(*leading, *values.shape[1:]) for name, values in there.items()}
    return _locked(replace(flat, **shaped, traffic_share=traffic_share))


def _locked(shown: View) -> View:
    for values in vars(shown).values():
        if values is not None:
            values.setflags(write=False)
    return shown


def estimates_ms(candidate: Candidate, inputs: Inputs) -> Array:
    """Return what is known of the service time of any request of each workload, ms, shape (W,)."""
    inputs, share = candidate.believed(inputs), candidate.information.quantile
    return np.array(
        [
            law.estimate_ms(prompt, share)
            if isinstance(law, Tokens)
            else candidate.information.service_estimate_ms(law)
            for law, (prompt, _) in zip(inputs.laws, _average_tokens(inputs), strict=True)
        ]
    )


def of_cells(candidate: Candidate, inputs: Inputs, workload: Index) -> Traits:
    """Return what is known of any request of a cell."""
    inputs, tokens_j = candidate.believed(inputs), None
    if candidate.reads("energy_j") and inputs.energy is not None:
        tokens_j = (inputs.energy.token_j * _average_tokens(inputs)).sum(axis=1).take(workload)
    return Traits(estimates_ms(candidate, inputs).take(workload), tokens_j)


def _average_tokens(inputs: Inputs) -> Array:
    """Return average lengths of prompts and answers, shape (W, 2); 0 where the traffic alone knows them."""
    return np.array(
        [
            (law.prompt_tokens.average() if law.prompt_tokens else 0.0, law.answer_tokens.average())
            if isinstance(law, Tokens)
            else (0.0, 0.0)
            for law in inputs.laws
        ]
    )


def _violation_share(inputs: Inputs, of: Requests, traits: Traits, state: State | None) -> Array:
    if traits.violation_share is not None:
        return traits.violation_share
    if state is not None and state.violation_share is not None:
        return state.violation_share
    return inputs.violation_share[of.origin, of.workload]


def _energy_j(inputs: Inputs, workload: Index, traits: Traits, state: State | None) -> Array | None:
    """Return what a request takes at the wall: where a pool's power is stated, that of its server's time."""
    energy = inputs.energy
    if energy is None:
        return None
    tokens_j = np.zeros(len(workload)) if traits.tokens_j is None else traits.tokens_j
    at_the_wall_j = energy.at_the_wall_j(workload, tokens_j)
    if state is None:
        return at_the_wall_j
    capacity = inputs.capacity
    pool = capacity.pool.take(workload, axis=0)
    more_w = (capacity.busy_w - capacity.idle_w)[pool] * energy.pue
    by_power_j = more_w * capacity.busy_ms(traits.service_ms, workload) / MS_PER["s"]
    by_power_j += energy.network_j.take(workload)[:, np.newaxis]
    return np.where(np.isnan(more_w), at_the_wall_j, by_power_j)


def _wanted(candidate: Candidate, more: Collection[str]) -> set[str]:
    known = STATE_FIELDS | CAPACITY_FIELDS
    return {name for name in known if candidate.reads(name)} | (known & set(more))


def _of_regions(
    inputs: Inputs, of: Requests, service_ms: Array, state: State | None, wanted: Collection[str]
) -> dict[str, Any]:
    """Return those of the wanted fields; without limits, what is neutral."""
    if not wanted:
        return {}
    shape = len(of), inputs.shape[3]
    shown: dict[str, Any]
    if state is None:
        shown = {
            "utilisation": np.zeros(shape),
            "wait_ms": np.zeros(shape),
            "available": np.ones(shape, dtype=bool),
            "servers": np.full(shape, np.inf),
            "pool": np.broadcast_to(np.arange(shape[1]), shape),
            "installed": np.full(shape, np.inf),
            "idle_power_w": np.zeros(shape),
            "busy_ms": np.broadcast_to(service_ms[:, np.newaxis], shape),
        }
    else:
        capacity = inputs.capacity
        measured = {name: getattr(state, name) for name in _OF_POOLS}
        pue = inputs.energy.pue if inputs.energy else np.ones(shape[1])
        idle_w = np.nan_to_num(capacity.idle_w) * pue[capacity.region]
        installed = np.where(capacity.servers < UNLIMITED, capacity.servers, np.inf)
        of_pools = {"pool": capacity.pool, "idle_power_w": idle_w[capacity.pool]}
        of_pools |= {"installed": installed[capacity.pool]}
        shown = measured | {name: values.take(of.workload, axis=0) for name, values in of_pools.items()}
        shown["busy_ms"] = capacity.busy_ms(service_ms, of.workload)
    shown = {name: values for name, values in shown.items() if name in wanted}
    if "requests_per_s" in wanted:
        cells = of.origin, of.workload
        shown["requests_per_s"] = (
            inputs.expected_per_s[of.hour, *cells] if state is None else state.requests_per_s
        )
    return shown
