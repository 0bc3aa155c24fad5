"""From a scenario to the arrays that engines work on."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from carbonroute import memory, rng
from carbonroute.arrays import Array
from carbonroute.carbon import Forecast, GridDice, Query, Signal, combined
from carbonroute.control.information import Information
from carbonroute.control.knowledge import Forecaster, Knowledge, history_hours, reads_within_hour
from carbonroute.errors import Fault, InputError
from carbonroute.files import patterns
from carbonroute.files.text import Digests, opened
from carbonroute.policies.base import fields_read
from carbonroute.scenario.resolved.assumptions import carbon_source, catalogue_notes
from carbonroute.scenario.resolved.capacity import capacity_of
from carbonroute.scenario.resolved.grid_dice import grid_dice
from carbonroute.scenario.resolved.inputs import REFERENCE, Candidate, Inputs
from carbonroute.scenario.resolved.llm import llm_pools, timed
from carbonroute.scenario.resolved.llm_notes import llm_notes
from carbonroute.scenario.resolved.reach import reach_notes
from carbonroute.scenario.resolved.residency import allowed_regions, residency_notes
from carbonroute.scenario.resolved.round_trips import round_trips
from carbonroute.scenario.written.model import Scenario
from carbonroute.traffic import Demand
from carbonroute.traffic.source import Measured
from carbonroute.units import MAX_CARBON_G_PER_KWH, MB_PER_GB
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
_LISTS = ("origins", "workloads", "regions", "pools", "policies")
#: The sections that data are read by, and the kind of fault of these.
_READ = MappingProxyType(
    {
        "carbon": "carbon-data",
        "regions": "carbon-data",
        "traffic": "traffic-data",
        "network": "rtt-data",
        "workloads": "service-time-data",
    }
)
#: Keys of a scenario that name a file.
_FILE_KEYS = frozenset(("path", "rtt_file", "p90_file"))


class _Refusals(list[InputError]):
    """Refusals of data that are read independently of each other."""

    @contextmanager
    def noted(self, kind: str) -> Iterator[None]:
        """Keep a refusal, as of this kind where it is of none; what was to be read is not there then."""
        try:
            yield
        except InputError as error:
            self.append(error.of_kind(kind))

    def refuse(self, scenario: Scenario) -> None:
        """Raise all that was kept, if anything was."""
        if self:
            error = self[0] if len(self) == 1 else InputError.together(scenario.name, self)
            raise scenario.written.located(error, scenario.name) from self[0]


def resolve(scenario: Scenario) -> Inputs:
    """Read a scenario's data files and draw its carbon noise.

    Raises InputError with the faults of all data files that cannot be used.
    """
    refusals = _Refusals()
    with refusals.noted("memory"):
        _require_memory(scenario)
    refusals.refuse(scenario)
    digests = Digests({entry.use: entry.digest for entry in scenario.policies if entry.digest})
    query = _query(scenario, digests)
    forecast = scenario.carbon.forecast
    with refusals.noted("carbon-data"):
        carbon = _carbon(scenario, query)
    with refusals.noted("traffic-data"):
        arrivals = scenario.traffic.arrivals(_demand(scenario, digests))
        arrivals = replace(arrivals, expected=partial(_expected, arrivals.expected, scenario))
    with refusals.noted("rtt-data"):
        rtt = round_trips(scenario, digests)
    with refusals.noted("service-time-data"):
        laws = _laws(scenario, digests)
        _require_tokens(scenario, laws)
        llm = llm_pools(scenario, digests)
        laws = timed(laws, scenario, llm)
    if refusals:
        _note_the_rest(scenario, query, refusals)
    refusals.refuse(scenario)
    with refusals.noted("capacity"):
        capacity, servers = capacity_of(scenario, arrivals, laws, llm)
    refusals.refuse(scenario)
    allowed = allowed_regions(scenario)
    inputs = Inputs(
        scenario=scenario,
        origin_share=np.array([origin.share for origin in scenario.origins]),
        workload_share=np.array([workload.share for workload in scenario.workloads]),
        slo_ms=np.array([workload.slo_ms for workload in scenario.workloads]),
        rtt_ms=rtt.rtt_ms,
        carbon=_with_sources(carbon, scenario),
        forecast=_forecaster(scenario, forecast, query) if forecast else None,
        arrivals=arrivals,
        laws=laws,
        energy=_energy(scenario),
        jitter=rtt.jitter,
        capacity=capacity,
        candidates=(),
        allowed=allowed,
        files={
            **_files(scenario, laws),
            **(forecast.files(query) if forecast else {}),
            **carbon.files,
            **arrivals.files,
        },
        digests=digests,
        notes=(
            *carbon.notes,
            *catalogue_notes(scenario),
            *arrivals.notes,
            *rtt.notes,
            *servers,
            *llm_notes(scenario, laws, capacity, rtt.rtt_ms),
            *residency_notes(scenario, allowed),
            *reach_notes(scenario, laws, rtt.rtt_ms, allowed),
        ),
    )
    candidates = _candidates(scenario, inputs.candidate, refusals)
    refusals.refuse(scenario)
    left_out = dict.fromkeys(note for candidate in candidates for note in candidate.knowledge.notes)
    return replace(inputs, candidates=candidates, notes=(*inputs.notes, *left_out))


def _note_the_rest(scenario: Scenario, query: Query, refusals: _Refusals) -> None:
    """Note the faults of files that were not read yet, beside those of others."""
    with refusals.noted("forecast-data"):
        _forecasts(scenario, query)
    for section, kind in _READ.items():
        for name, at in _named_files(scenario.model_dump(include={section}), ""):
            with refusals.noted(kind):
                _require_file(name, at.removeprefix("."), scenario.folder)


def _candidates(
    scenario: Scenario, candidate_of: Callable[..., Candidate], refusals: _Refusals
) -> tuple[Candidate, ...]:
    """Return the candidate of each policy; those of the same information share what they know."""
    candidates: list[Candidate] = []
    known: dict[Information, Knowledge] = {}
    for entry in scenario.policies:
        information = entry.information or scenario.information
        control = entry.control_within(scenario.control)
        with refusals.noted("information"):
            candidate = candidate_of(
                entry.shown, entry.policy, information, control, entry.router_limit, known.get(information)
            )
            candidates.append(candidate)
            if candidate.reads("carbon_g_per_kwh") and not (candidate.oracle or candidate.in_hindsight):
                known[information] = candidate.knowledge
    return tuple(candidates)


def data_faults(
    sections: Mapping[str, Any],
    data: Mapping[str, Any],
    mended: Mapping[str, Any],
    folder: Path,
    known: Container[str],
) -> list[InputError]:
    """Return the refusals of the data of a scenario that is not valid as a whole.

    `mended`: the tables of the valid sections. Of what is not in them, the files must be there.
    `known`: places of faults that were found already.
    """
    scenario = Scenario.model_construct(**{"name": "", **dict.fromkeys(_LISTS, ()), **sections})
    scenario._folder = folder
    digests, refusals = Digests(), _Refusals()
    steps: tuple[tuple[str, set[str], str, Callable[[], object]], ...] = (
        (
            "carbon",
            {"horizon", "regions", "carbon"},
            "carbon-data",
            lambda: _carbon(scenario, _query(scenario, digests)),
        ),
        (
            "carbon",
            {"horizon", "regions", "carbon"},
            "forecast-data",
            lambda: _forecasts(scenario, _query(scenario, digests)),
        ),
        (
            "traffic",
            {"horizon", "origins", "workloads", "traffic"},
            "traffic-data",
            lambda: scenario.traffic.arrivals(_demand(scenario, digests)),
        ),
        ("network", {"origins", "regions", "network"}, "rtt-data", lambda: _from_file(scenario, digests)),
        ("workloads", {"workloads"}, "service-time-data", lambda: _laws(scenario, digests)),
    )
    if sections.keys() >= {"horizon", "origins", "workloads", "regions"}:
        with refusals.noted("memory"):
            _require_memory(scenario)
    for section, needs, kind, read in steps if not refusals else ():
        stated: tuple[str, ...] = (section, "regions") if section == "carbon" else (section,)
        named = {name: at for part in stated for name, at in _named_files(data.get(part), part)}
        if needs <= sections.keys():
            with refusals.noted(kind):
                read()
            read_already = {name for part in stated for name, _ in _named_files(mended.get(part), part)}
            named = {name: at for name, at in named.items() if name not in read_already}
        for name, at in named.items():
            if at not in known:
                with refusals.noted(kind):
                    _require_file(name, at, folder)
    return refusals


def _from_file(scenario: Scenario, digests: Digests) -> None:
    """Read round-trip times, unless the scenario states all of them itself: its model checks those."""
    if scenario.network.rtt_file or scenario.network.missing != "refuse":
        round_trips(scenario, digests)


def _named_files(table: object, place: str) -> Iterator[tuple[str, str]]:
    """Yield the names and patterns of files in tables, each with the path of its key."""
    if isinstance(table, list | tuple):
        for index, member in enumerate(table):
            yield from _named_files(member, f"{place}[{index}]")
    elif isinstance(table, dict):
        for key, value in table.items():
            if key not in _FILE_KEYS:
                yield from _named_files(value, f"{place}.{key}")
            else:
                for name in value if isinstance(value, list | tuple) else [value]:
                    if isinstance(name, str) and name:
                        yield name, f"{place}.{key}"


def _require_file(name: str, place: str, folder: Path) -> None:
    """Refuse a name, or a pattern, of which there is no file."""
    if patterns.is_name(name, folder):
        with opened(folder / name, name):
            pass
    elif not patterns.fitting(patterns.without_marks(name), folder):
        remedy = patterns.remedy_for_nothing(name, folder)
        raise InputError(name, [Fault(place, f"no file fits {name!r}", remedy)])


def _carbon(scenario: Scenario, query: Query) -> Signal:
    signal = combined(scenario.carbon, [region.carbon for region in scenario.regions], query)
    scale = _scale(scenario)
    highest = (signal.g_per_kwh * scale).max(axis=0)
    faults = [
        Fault(
            f"regions[{index}].carbon_scale",
            f"found {scale[index]:g}, by which the signal reaches {highest[index]:,.0f} g/kWh",
            f"{MAX_CARBON_G_PER_KWH:g} is the limit",
        )
        for index in np.flatnonzero(highest > MAX_CARBON_G_PER_KWH)
    ]
    if faults:
        raise InputError(scenario.name, faults)
    return signal if (scale == 1).all() else signal.scaled(scale)


def _scale(scenario: Scenario) -> Array:
    return np.array([region.carbon_scale for region in scenario.regions])


def _forecaster(scenario: Scenario, forecast: Forecast, query: Query) -> Forecaster:
    """Return the forecasts by their least age, each read once, with the regions' factors."""
    scale = _scale(scenario)

    def known_and_counts(age_hours: int) -> tuple[Array, Mapping[str, int]]:
        g_per_kwh, counts = forecast.known_and_counts(query, age_hours)
        return g_per_kwh * scale, counts

    return cache(known_and_counts)


def _forecasts(scenario: Scenario, query: Query) -> None:
    """Read the forecasts, if there are any."""
    if forecast := scenario.carbon.forecast:
        forecast.known_and_counts(query, 0)


def _laws(scenario: Scenario, digests: Digests) -> tuple[ServiceLaw, ...]:
    return tuple(workload.service_ms.read(scenario.folder, digests) for workload in scenario.workloads)


def _with_sources(carbon: Signal, scenario: Scenario) -> Signal:
    """Return the signal with whom to cite for figures of the catalogue, and for its forecast, too."""
    cited, forecast = [carbon.source, carbon_source(scenario)], scenario.carbon.forecast
    if forecast is not None:
        terms = ", ".join(filter(None, [forecast.source or f"file {forecast.file_name}", forecast.licence]))
        cited.append(f"forecasts: {terms}")
    return replace(carbon, source="; ".join(filter(None, cited)))


def _files(scenario: Scenario, laws: Sequence[ServiceLaw]) -> dict[str, Path]:
    network = scenario.network
    names = [law.file for law in laws]
    names += [network.rtt_file, network.jitter.p90_file if network.jitter else None]
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
    if not scenario.counts_grams:
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

    def of_grids(days_before: int, days: int) -> GridDice:
        grids = [region.carbon_profile.grid if region.carbon_profile else None for region in scenario.regions]
        return grid_dice(seed, grids, days_before, days)

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
        or scenario.counts_grams,
        uniform=uniform,
        normal=normal,
        grid_dice=of_grids,
        within_hour=any(map(reads_within_hour, known)),
        digests=digests,
    )
