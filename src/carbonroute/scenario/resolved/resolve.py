"""From a scenario to the arrays that engines work on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np

from carbonroute import memory, rng
from carbonroute.arrays import Array
from carbonroute.carbon import Forecast, Query, Signal, combined
from carbonroute.control.information import Information
from carbonroute.control.knowledge import Knowledge, history_hours
from carbonroute.errors import Fault, InputError
from carbonroute.files.text import Digests
from carbonroute.policies.base import fields_read
from carbonroute.scenario.resolved.capacity import capacity_of
from carbonroute.scenario.resolved.inputs import REFERENCE, Candidate, Inputs
from carbonroute.scenario.resolved.round_trips import round_trips
from carbonroute.scenario.written.model import Scenario
from carbonroute.traffic import Demand
from carbonroute.traffic.source import Measured
from carbonroute.units import MB_PER_GB
from carbonroute.workloads import ServiceLaw, Tokens
from carbonroute.workloads.energy import Energy

#: A value as number, noise and row of the tables.
_BYTES_PER_CARBON_VALUE = 64
#: Requests, violations, and the sums of latency and carbon, while they are added up and after.
_BYTES_PER_RESULT = 64
#: An expected number of requests, as number, share and rate.
_BYTES_PER_EXPECTED = 24
#: Server time, busy time and waiting time of a pool in an hour.
_BYTES_PER_USE = 64


def resolve(scenario: Scenario) -> Inputs:
    """Read a scenario's data files and draw its carbon noise.

    Raises
    ------
    InputError
        If a data file cannot be used.
    """
    _require_memory(scenario)
    regions = [region.carbon for region in scenario.regions]
    digests = Digests({entry.use: entry.digest for entry in scenario.policies if entry.digest})
    query = _query(scenario, digests)
    carbon = combined(scenario.carbon, regions, query)
    forecast = scenario.carbon.forecast
    arrivals = scenario.traffic.arrivals(_demand(scenario, digests))
    arrivals = replace(arrivals, expected=partial(_expected, arrivals.expected, scenario))
    rtt = round_trips(scenario, digests)
    laws = tuple(workload.service_ms.read(scenario.folder, digests) for workload in scenario.workloads)
    _require_tokens(scenario, laws)
    capacity, servers = capacity_of(scenario, arrivals, laws)
    inputs = Inputs(
        scenario=scenario,
        origin_share=np.array([origin.share for origin in scenario.origins]),
        workload_share=np.array([workload.share for workload in scenario.workloads]),
        slo_ms=np.array([workload.slo_ms for workload in scenario.workloads]),
        rtt_ms=rtt.rtt_ms,
        carbon=_with_forecast_s_source(carbon, forecast),
        forecast=cache(partial(forecast.known_and_counts, query)) if forecast else None,
        arrivals=arrivals,
        laws=laws,
        energy=_energy(scenario),
        jitter=rtt.jitter,
        capacity=capacity,
        candidates=(),
        files=_files(scenario, laws) | dict(carbon.files) | dict(arrivals.files),
        digests=digests,
        notes=(*carbon.notes, *arrivals.notes, *rtt.notes, *servers),
    )
    candidates: list[Candidate] = []
    known: dict[Information, Knowledge] = {}  # shared by all policies of the same information
    for entry in scenario.policies:
        information = entry.information or scenario.information
        control = entry.control_within(scenario.control)
        candidate = inputs.candidate(
            entry.shown, entry.policy, information, control, entry.router_limit, known.get(information)
        )
        candidates.append(candidate)
        if candidate.reads("carbon_g_per_kwh") and not candidate.oracle:
            known[information] = candidate.knowledge
    left_out = dict.fromkeys(note for candidate in candidates for note in candidate.knowledge.notes)
    return replace(inputs, candidates=tuple(candidates), notes=(*inputs.notes, *left_out))


def _with_forecast_s_source(carbon: Signal, forecast: Forecast | None) -> Signal:
    """Return the signal with whom to cite for its forecast too."""
    if forecast is None:
        return carbon
    cited = ", ".join(filter(None, [forecast.source or f"file {forecast.path}", forecast.licence]))
    return replace(carbon, source=f"{carbon.source}; forecasts: {cited}")


def _files(scenario: Scenario, laws: Sequence[ServiceLaw]) -> dict[str, Path]:
    network, forecast = scenario.network, scenario.carbon.forecast
    names = [law.file for law in laws]
    names += [network.rtt_file, network.jitter.p90_file if network.jitter else None]
    names += [forecast.path if forecast else None]
    policies = {entry.use: entry.file for entry in scenario.policies if entry.file}
    return policies | {name: scenario.folder / name for name in names if name}


def _require_tokens(scenario: Scenario, laws: Sequence[ServiceLaw]) -> None:
    """Refuse workloads whose service time or energy depends on tokens that nothing states."""
    faults = []
    for i, (workload, law) in enumerate(zip(scenario.workloads, laws, strict=True)):
        tokens = law if isinstance(law, Tokens) else None
        prompt_j, answer_j = workload.energy_j_per_token
        needed: dict[Measured, bool] = {
            "prompt_tokens": (tokens is not None and tokens.prompt_tokens is None)
            or (tokens is None and prompt_j is not None),
            "answer_tokens": tokens is None and answer_j is not None,
        }
        for column, is_needed in needed.items():
            logged = scenario.traffic.is_logged and all(scenario.traffic.measures(column, workload.id))
            if is_needed and not logged:
                remedy = f"state service_ms.{column}, or replay a log with {column}_column"
                missing = f"its requests have no {column.replace('_', ' ')}"
                faults.append(Fault(f"workloads[{i}]", missing, remedy))
    if faults:
        raise InputError(scenario.name, faults)


def _energy(scenario: Scenario) -> Energy | None:
    workloads = scenario.workloads
    if not workloads[0].has_energy:  # all have, or none
        return None
    j_per_mb = scenario.network.energy_j_per_gb / MB_PER_GB
    return Energy(
        request_j=np.array([workload.energy_j or 0.0 for workload in workloads]),
        token_j=np.array([[j or 0.0 for j in workload.energy_j_per_token] for workload in workloads]),
        hardware_factor=np.array([region.hardware_factor for region in scenario.regions]),
        pue=np.array([region.pue for region in scenario.regions]),
        network_j=np.array([workload.payload_mb * j_per_mb for workload in workloads]),
        embodied_g=np.array([workload.embodied_g for workload in workloads]),
    )


def _demand(scenario: Scenario, digests: Digests) -> Demand:
    return Demand(
        hours=scenario.horizon.hours,
        start=scenario.horizon.start,
        origins=tuple(origin.name for origin in scenario.origins),
        workloads=tuple(workload.id for workload in scenario.workloads),
        origin_share=np.array([origin.share for origin in scenario.origins]),
        workload_share=np.array([workload.share for workload in scenario.workloads]),
        utc_offset_hours=np.array([origin.utc_offset_hours for origin in scenario.origins]),
        seed=scenario.sampling.seed,
        folder=scenario.folder,
        digests=digests,
    )


def _expected(expected: Callable[[], Array], scenario: Scenario) -> Array:
    """Return the expected requests by hour × origin × workload, where there is memory for them."""
    hours, origins, workloads = scenario.horizon.hours, len(scenario.origins), len(scenario.workloads)
    what = f"expected requests of {hours:,} hours × {origins:,} origins × {workloads:,} workloads"
    size = hours * origins * workloads * _BYTES_PER_EXPECTED
    memory.require(size, scenario.name, "horizon.hours", what)
    return expected()


def _require_memory(scenario: Scenario) -> None:
    """Refuse a scenario whose tables would not fit, whatever its number of requests."""
    hours, regions = scenario.horizon.hours, len(scenario.regions)
    what = f"carbon intensity of {hours:,} hours × {regions:,} regions"
    memory.require(hours * regions * _BYTES_PER_CARBON_VALUE, scenario.name, "horizon.hours", what)
    pools = sum(len(region.pools or scenario.pools) for region in scenario.regions)
    what = f"use of {pools:,} pools in {hours:,} hours"
    memory.require(hours * pools * _BYTES_PER_USE, scenario.name, "horizon.hours", what)
    results = len(scenario.origins) * len(scenario.workloads) * regions * len(scenario.policies)
    what = f"results of {results:,} origins × workloads × regions × policies"
    memory.require(results * _BYTES_PER_RESULT, scenario.name, "policies", what)


def _query(scenario: Scenario, digests: Digests) -> Query:
    regions = tuple(region.name for region in scenario.regions)
    seed, hours = scenario.sampling.seed, scenario.horizon.hours
    policies = scenario.policies
    known = [scenario.information, *(entry.information for entry in policies if entry.information)]
    history = max(map(history_hours, known))

    def uniform() -> Array:
        if scenario.sampling.scheme == "published":  # region after region, from one generator
            horizon = rng.published(seed).random_sample((len(regions), hours))
        else:
            horizon = np.stack(
                [rng.stream(seed, f"carbon noise of {name}").random(hours) for name in regions]
            )
        if not history:
            return horizon
        before = [rng.stream(seed, f"carbon noise before, of {name}").random(history) for name in regions]
        return np.hstack([np.stack(before)[:, ::-1], horizon])

    def normal() -> Array:
        horizon = [rng.stream(seed, f"carbon weather of {name}").standard_normal(hours) for name in regions]
        before = [
            rng.stream(seed, f"carbon weather before, of {name}").standard_normal(history) for name in regions
        ]
        return np.hstack([np.stack(before)[:, ::-1], np.stack(horizon)])

    return Query(
        regions=regions,
        zones=tuple(region.zone or region.name for region in scenario.regions),
        mean_g_per_kwh=tuple(region.carbon_g_per_kwh for region in scenario.regions),
        profiles=tuple(region.carbon_profile for region in scenario.regions),
        hours=hours,
        start=scenario.horizon.start,
        folder=scenario.folder,
        history_hours=history,
        reference=any(REFERENCE in fields_read(entry.policy) for entry in policies)
        or any(information.carbon_missing == "static" for information in known)
        or scenario.workloads[0].has_energy,
        uniform=uniform,
        normal=normal,
        digests=digests,
    )
