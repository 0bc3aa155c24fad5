"""Views for policies: facts of the site, carbon as known, and measurements of the regions."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carbonroute.arrays import Array, Index, Mask
from carbonroute.control.capacity import UNLIMITED
from carbonroute.control.information import Information
from carbonroute.control.site import Site
from carbonroute.policies.view import CAPACITY_FIELDS, STATE_FIELDS, View
from carbonroute.units import MS_PER
from carbonroute.workloads import Tokens


@dataclass(frozen=True)
class CellIndex:
    """The origin and the workload of each of n cells or requests, shape (n,)."""

    origin: Index
    workload: Index

    def __len__(self) -> int:
        return len(self.origin)

    @classmethod
    def of(cls, site: Site) -> CellIndex:
        """Return all cells of a site, n = O · W, origin by origin."""
        return cls(*np.indices(site.shape[:2]).reshape(2, -1))


@dataclass(frozen=True)
class Traits:
    """The values in which n requests of the same hour, origin and workload differ.

    Attributes
    ----------
    service_ms
        Actual or estimated service time of each, ms, shape (n,).
    tokens_j
        IT energy of its tokens, as far as it is known, J, shape (n,); None where none depends on tokens.
    jitter_ms
        Its jitter in each region, ms, shape (n, R): for oracles. None for all others.
    turn
        Its number in the order of arrival, shape (n,). None where nobody asks.
    violation_share
        Probability that it is late in each region, shape (n, R). None where it is that of all in its cell.
    prompt
        Length of its prompt, tokens, shape (n,). None where nobody asks.
    """

    service_ms: Array
    tokens_j: Array | None = None
    jitter_ms: Array | None = None
    turn: Array | None = None
    violation_share: Array | None = None
    prompt: Array | None = None

    def of(self, rows: slice | Index) -> Traits:
        """Return those of some requests."""
        rest = {
            name: None if x is None else x[rows] for name, x in vars(self).items() if name != "service_ms"
        }
        return Traits(self.service_ms[rows], **rest)


@dataclass(frozen=True)
class State:
    """A router's measurements when it decides, at K ticks. O origins, W workloads, R regions.

    Attributes
    ----------
    utilisation, wait_ms, available, servers
        Of the pool that serves a workload in a region, as in `View`, shape (K, W, R).
    requests_per_s
        Of each cell, shape (K, O, W).
    violation_share
        Probability of a late answer with the usual wait, shape (K, O, W, R); None where nobody asks.
    ttft_ms, prefill_ms, tpot_ms
        Expected time to the first token, without the network, the part of it after admission to a batch, and
        the time of each further token, ms, shape (K, W, R); None where no pool batches continuously, NaN in a
        region whose pool does not.
    """

    utilisation: Array
    wait_ms: Array
    available: Mask
    servers: Array
    requests_per_s: Array
    violation_share: Array | None = None
    ttft_ms: Array | None = None
    prefill_ms: Array | None = None
    tpot_ms: Array | None = None

    def __len__(self) -> int:
        return len(self.servers)

    def __getitem__(self, ticks: slice) -> State:
        known: dict[str, Any] = {
            name: values[ticks] for name, values in vars(self).items() if values is not None
        }
        return State(**known)

    def then(self, other: State) -> State:
        """Return the measurements at these ticks and those of another state, which come after them."""
        later = vars(other)
        known: dict[str, Any] = {
            name: np.concatenate([values, later[name]])
            for name, values in vars(self).items()
            if values is not None and later[name] is not None
        }
        return State(**known)

    def rows(self, tick: Index, of: CellIndex) -> State:
        """Return the measurements for each of n requests at its tick, in rows of shape (n, R) and (n,)."""
        pool, cell = (tick, of.workload), (tick, of.origin, of.workload)
        return State(
            self.utilisation[pool],
            self.wait_ms[pool],
            self.available[pool],
            self.servers[pool],
            self.requests_per_s[cell],
            None if self.violation_share is None else self.violation_share[cell],
            None if self.ttft_ms is None else self.ttft_ms[pool],
            None if self.prefill_ms is None else self.prefill_ms[pool],
            None if self.tpot_ms is None else self.tpot_ms[pool],
        )

    def of_cells(self, name: str) -> NDArray[Any] | None:
        """Return a field with the leading axes of cells, (K, O or 1, W); None where it is not measured."""
        values: NDArray[Any] | None = getattr(self, name, None)
        return values[:, np.newaxis] if values is not None and name in _OF_POOLS else values


#: Measurements of the pool that serves a workload in a region.
_OF_POOLS = "utilisation", "wait_ms", "available", "servers", "ttft_ms", "tpot_ms"


def view(
    site: Site,
    reads: Collection[str],
    of: CellIndex,
    carbon_g_per_kwh: Array,
    traits: Traits,
    measured: State | Array | None = None,
) -> View:
    """Return the view of n cells or requests: fields that take time to work out, if read.

    Parameters
    ----------
    site
        Facts of the regions.
    reads
        Fields of the view that the policy and its router read.
    of, traits
        Which cells or requests, and their traits.
    carbon_g_per_kwh
        As known of each one's moment, gCO2e/kWh, shape (n, R).
    measured
        The state of the regions, in rows. Where they have no limits, and so no state: the requests per s that
        are expected of each one's cell, shape (n,); None if nobody reads them.
    """
    state, reference = measured if isinstance(measured, State) else None, site.carbon_reference_g_per_kwh
    energy_j = (
        _energy_j(site, of.workload, traits, by_power=state is not None) if "energy_j" in reads else None
    )
    risk = _violation_share(site, of, traits, state) if "violation_share" in reads else None
    of_pools = (STATE_FIELDS | CAPACITY_FIELDS).intersection(reads)
    of_regions = _of_regions(site, of, traits.service_ms, state) if of_pools else {}
    if not isinstance(measured, State):
        of_regions["requests_per_s"] = measured
    shown = {name: values for name, values in of_regions.items() if name in of_pools}
    if site.allowed is not None:
        shown["allowed"] = allowed = site.allowed[of.origin, of.workload]
        shown["available"] = allowed if state is None else state.available & allowed
    if state is not None and state.tpot_ms is not None:
        shown |= {
            name: values for name, values in _of_tokens(site, of, state, traits).items() if name in reads
        }
    # A row per region in memory: policies work on whole columns of these transposed views.
    seen = View(
        rtt_ms=site.rtt_ms.T.take(of.origin, axis=1).T,
        carbon_g_per_kwh=carbon_g_per_kwh,
        service_ms=traits.service_ms,
        slo_ms=site.slo_ms.take(of.workload),
        carbon_reference_g_per_kwh=None
        if reference is None
        else np.broadcast_to(reference, (len(of), reference.size)),
        energy_j=energy_j,
        jitter_ms=traits.jitter_ms,
        turn=traits.turn,
        violation_share=risk,
        **shown,
    )
    return _locked(seen)


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
    known = {name: values for name, values in vars(flat).items() if values is not None}
    shaped = {name: values.reshape(*leading, *values.shape[1:]) for name, values in known.items()}
    return _locked(replace(flat, **shaped, traffic_share=traffic_share))


def _locked(seen: View) -> View:
    for values in vars(seen).values():
        if values is not None:
            values.setflags(write=False)
    return seen


def estimates_ms(site: Site, information: Information) -> Array:
    """Return the estimated service time of any request of each workload, ms, shape (W,)."""
    return np.array(
        [
            law.estimate_ms(prompt, information.quantile)
            if isinstance(law, Tokens)
            else information.service_estimate_ms(law)
            for law, (prompt, _) in zip(site.laws, site.average_tokens, strict=True)
        ]
    )


def average_traits(site: Site, information: Information, reads: Collection[str], workload: Index) -> Traits:
    """Return the traits of requests that nothing is known of but their workload, shape (n,)."""
    tokens_j = None
    if "energy_j" in reads and site.energy is not None:
        tokens_j = (site.energy.token_j * site.average_tokens).sum(axis=1).take(workload)
    return Traits(estimates_ms(site, information).take(workload), tokens_j)


def _violation_share(site: Site, of: CellIndex, traits: Traits, state: State | None) -> Array:
    if traits.violation_share is not None:
        if state is None or state.tpot_ms is None or state.violation_share is None:
            return traits.violation_share
        # In a batch, how loaded the region is counts for more than one's own prompt.
        return np.where(np.isnan(state.tpot_ms), traits.violation_share, state.violation_share)
    if state is not None and state.violation_share is not None:
        return state.violation_share
    return site.latency.violation_share[of.origin, of.workload]


def average_energy_j(site: Site) -> Array | None:
    """Return the energy of a request at the wall as routers see it, J, shape (W, R); None if unknown."""
    workload = np.arange(site.shape[1])
    traits = average_traits(site, Information(), ("energy_j",), workload)
    return _energy_j(site, workload, traits, by_power=True)


def _energy_j(site: Site, workload: Index, traits: Traits, *, by_power: bool) -> Array | None:
    """Return a request's energy at the wall: where a pool's power is stated, that of its server's time."""
    energy = site.energy
    if energy is None:
        return None
    tokens_j = np.zeros(len(workload)) if traits.tokens_j is None else traits.tokens_j
    at_the_wall_j = energy.at_the_wall_j(workload, tokens_j)
    if not by_power:
        return at_the_wall_j
    capacity = site.capacity
    pool = capacity.pool.take(workload, axis=0)
    more_w = (capacity.busy_w - capacity.idle_w)[pool] * energy.pue
    by_power_j = more_w * capacity.busy_ms(traits.service_ms, workload) / MS_PER["s"]
    by_power_j += energy.network_j.take(workload)[:, np.newaxis]
    return np.where(np.isnan(more_w), at_the_wall_j, by_power_j)


def _of_regions(site: Site, of: CellIndex, service_ms: Array, state: State | None) -> dict[str, Any]:
    """Return the state of the pools that would serve; where there are no limits, neutral values."""
    shape = len(of), site.shape[2]
    if state is None:
        return {
            "utilisation": np.zeros(shape),
            "wait_ms": np.zeros(shape),
            "available": np.ones(shape, dtype=bool),
            "servers": np.full(shape, np.inf),
            "pool": np.broadcast_to(np.arange(shape[1]), shape),
            "installed": np.full(shape, np.inf),
            "idle_power_w": np.zeros(shape),
            "busy_ms": np.broadcast_to(service_ms[:, np.newaxis], shape),
        }
    capacity = site.capacity
    measured = {name: getattr(state, name) for name in (*_OF_POOLS, "requests_per_s")}
    pue = site.energy.pue if site.energy else np.ones(shape[1])
    idle_w = np.nan_to_num(capacity.idle_w) * pue[capacity.region]
    installed = np.where(capacity.servers < UNLIMITED, capacity.servers, np.inf)
    of_pools = {"pool": capacity.pool, "idle_power_w": idle_w[capacity.pool]}
    of_pools |= {"installed": installed[capacity.pool]}
    of_pools = {name: values.take(of.workload, axis=0) for name, values in of_pools.items()}
    return measured | of_pools | {"busy_ms": capacity.busy_ms(service_ms, of.workload)}


def _of_tokens(site: Site, of: CellIndex, state: State, traits: Traits) -> dict[str, Any]:
    """Return the fields of regions that batch continuously, for a request's own prompt where it is known."""
    ttft_ms = state.ttft_ms
    if traits.prompt is not None and ttft_ms is not None and state.prefill_ms is not None:
        times = traits.prompt / np.maximum(site.average_tokens[of.workload, 0], 1.0)
        ttft_ms = ttft_ms + state.prefill_ms * (times[:, np.newaxis] - 1)
    return {
        "ttft_ms": ttft_ms,
        "tpot_ms": state.tpot_ms,
        "ttft_slo_ms": site.ttft_slo_ms.take(of.workload),
        "tpot_slo_ms": site.tpot_slo_ms.take(of.workload),
    }
