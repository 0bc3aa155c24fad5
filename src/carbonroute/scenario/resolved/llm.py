"""Pools that batch continuously: their laws from data sheets, and what a full replica carries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from carbonroute.arrays import Array, Index
from carbonroute.catalogue import Gpu, gpus, language_model, language_models
from carbonroute.catalogue import gpu as catalogued_gpu
from carbonroute.control.capacity import Capacity, Replicas
from carbonroute.errors import Fault, InputError, did_you_mean
from carbonroute.files.text import Digests
from carbonroute.llm import LlmPool, LoadCurve, MeanRequests, PowerLaw, StepLaw, TimeLimits
from carbonroute.llm.measured import power_table
from carbonroute.llm.power import sheet_power
from carbonroute.llm.sheets import ATTAINED, RESERVE_GIB, ModelSheet, kv_cache_tokens, step_law, weights_gib
from carbonroute.scenario.resolved.pools import places_of, pools_of, serving
from carbonroute.scenario.written.llm import GpuFigures, Llm, Power
from carbonroute.scenario.written.model import Scenario
from carbonroute.workloads import ServiceLaw, Tokens

#: A replica that draws less at most, W, or of its accelerators' thermal design power, is one in kW.
_LEAST_W, _LEAST_TDP_SHARE = 5.0, 0.02
_TIMES = frozenset(("prefill_ms_per_token", "decode_ms_per_token", "overhead_ms"))


def llm_pools(scenario: Scenario, digests: Digests) -> dict[int, LlmPool]:
    """Return the pools that batch continuously, by their index in those of all regions.

    Raises InputError if a data sheet is not known, a table of power cannot be read, or the weights leave no
    memory for the cache.
    """
    made: dict[str, LlmPool] = {}
    refusals: list[InputError] = []
    for place, llm in llms_of(scenario).items():
        try:
            made[place] = _pool(llm, f"{place}.llm", scenario.folder, digests)
        except _UnfitError as error:
            refusals.append(InputError(scenario.name, [error.fault]))
        except InputError as error:
            refusals.append(error)
    if refusals:
        raise refusals[0] if len(refusals) == 1 else InputError.together(scenario.name, refusals)
    return {index: made[place] for index, place in enumerate(places_of(scenario)) if place in made}


def llms_of(scenario: Scenario) -> dict[str, Llm]:
    """Return the tables `llm` by the path of their pool, each once, however many regions have it."""
    every = [pool for own in pools_of(scenario) for pool in own]
    return {
        place: pool.llm
        for pool, place in zip(every, places_of(scenario), strict=True)
        if pool.llm is not None
    }


def llm_pool(llm: Llm, source: str, folder: Path) -> LlmPool:
    """Return the replica that a pool consists of.

    `source`, `folder`: name of the file in messages, and the folder of its paths.
    Raises InputError as of `llm_pools`.
    """
    try:
        return _pool(llm, "llm", folder, Digests())
    except _UnfitError as error:
        raise InputError(source, [error.fault]) from error


class _UnfitError(Exception):
    """Why a pool cannot be."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


def _pool(llm: Llm, where: str, folder: Path, digests: Digests) -> LlmPool:
    sheets = sheets_of(llm, where)
    stated, tokens = llm.step.stated, llm.kv_cache_tokens
    law = StepLaw(**{"overhead_ms": ATTAINED.overhead_ms, **stated}) if sheets is None else None
    if sheets is not None:
        model, gpu = sheets
        attained = replace(ATTAINED, bandwidth_share=llm.bandwidth_share, compute_share=llm.compute_share)
        law = step_law(model, gpu, tensor_parallel=llm.tensor_parallel, attained=attained)
        law = replace(law, **stated)
        if tokens is None:
            tokens = kv_cache_tokens(
                model, gpu, tensor_parallel=llm.tensor_parallel, memory_share=llm.memory_share
            )
    if law is None or tokens is None or tokens < llm.block_tokens:
        raise _UnfitError(
            Fault(where, _no_room(llm, sheets), "more tensor_parallel, or another gpu is expected")
        )
    if not law.step_ms(1, 1, 1) > 0:
        problem = "a step takes no time"
        raise _UnfitError(Fault(f"{where}.step", problem, "overhead_ms or weights_ms above 0 is expected"))
    return LlmPool(
        law=law,
        power=_power(llm, None if sheets is None else sheets[1], where, folder, digests),
        max_num_seqs=llm.max_num_seqs,
        max_num_batched_tokens=llm.max_num_batched_tokens,
        kv_blocks=tokens // llm.block_tokens,
        block_tokens=llm.block_tokens,
        prefix_hit_share=llm.prefix_hit_share,
        prefix_caching=llm.prefix_caching,
        balance=llm.balance,
        load_s=llm.load_s,
    )


def _no_room(llm: Llm, sheets: tuple[ModelSheet, Gpu | GpuFigures] | None) -> str:
    """Say how much memory the weights need of each accelerator, and how much of it the engine has."""
    if sheets is None:
        return "there is no cache"
    needed_gib = weights_gib(sheets[0]) / llm.tensor_parallel
    had_gib = sheets[1].memory_gib * llm.memory_share
    return (
        f"the weights leave no memory for the cache: they need {needed_gib:.1f} GiB of each of "
        f"{llm.tensor_parallel} accelerators, and the engine {RESERVE_GIB:g} GiB of its {had_gib:.1f} GiB"
    )


def sheets_of(llm: Llm, where: str = "llm") -> tuple[ModelSheet, Gpu | GpuFigures] | None:
    """Return the figures of model and GPU: stated, or of the catalogue; None where neither is named."""
    if llm.model is None or llm.gpu is None:
        return None
    model = language_model(llm.model) if isinstance(llm.model, str) else llm.model
    gpu = catalogued_gpu(llm.gpu) if isinstance(llm.gpu, str) else llm.gpu
    if model is None:
        problem, remedy = f"there is no model {llm.model!r}", did_you_mean(str(llm.model), language_models())
        raise _UnfitError(Fault(f"{where}.model", problem, f"{remedy}; carbonroute models", "unknown-name"))
    if gpu is None:
        problem, remedy = f"there is no GPU {llm.gpu!r}", did_you_mean(str(llm.gpu), gpus())
        raise _UnfitError(Fault(f"{where}.gpu", problem, f"{remedy}; carbonroute gpus", "unknown-name"))
    return model, gpu


def _power(
    llm: Llm, gpu: Gpu | GpuFigures | None, where: str, folder: Path, digests: Digests
) -> PowerLaw | None:
    """Return the power of a replica: stated, of a table, or of the GPU's data sheet; None where unknown."""
    tdp_w = None if gpu is None or gpu.tdp_w is None else gpu.tdp_w * llm.tensor_parallel
    if llm.power is None:
        idle_w = None if gpu is None else gpu.idle_w
        return None if tdp_w is None else sheet_power(tdp_w, idle_w and idle_w * llm.tensor_parallel)
    law, place = _stated_power(llm.power, folder, digests), f"{where}.power"
    most_w = max(law.prefill_w, *law.decode_w)
    if 0 < most_w < max(_LEAST_W, _LEAST_TDP_SHARE * (tdp_w or 0.0)):
        raise _UnfitError(Fault(place, f"the most is {most_w:g} W", "watts are expected: are they kW?"))
    if law.prefill_w < law.idle_w:
        problem = f"found {law.prefill_w:g} W, less than the {law.idle_w:g} W of an idle replica"
        raise _UnfitError(Fault(f"{place}.prefill_w", problem, "as much is expected, or more"))
    return law


def _stated_power(power: Power, folder: Path, digests: Digests) -> PowerLaw:
    """Return the power that a pool states, or that of its table."""
    if power.table is not None:
        return power_table(
            folder / power.table,
            power.table,
            batch_column=power.batch_column,
            power_column=power.power_column,
            idle_w=power.idle_w,
            prefill_w=power.prefill_w,
            digests=digests,
        )
    prefill_w = max(power.decode_w) if power.prefill_w is None else power.prefill_w
    return PowerLaw(power.idle_w or 0.0, prefill_w, power.batches, power.decode_w)


def timed(
    laws: Sequence[ServiceLaw], scenario: Scenario, llm: Mapping[int, LlmPool]
) -> tuple[ServiceLaw, ...]:
    """Return the laws with the times of workloads whose lengths alone are stated: those of an idle replica.

    Raises InputError if times are missing that no pool works out, or are stated beside pools that all do; or
    if a workload of such a pool has no law of its lengths.
    """
    pool = serving(pools_of(scenario), [workload.id for workload in scenario.workloads])
    by_llm = [[int(p) in llm for p in own] for own in pool]
    faults = [
        Fault(f"workloads[{w}].service_ms", *words)
        for w, law in enumerate(laws)
        if (words := _unfit(law, by_llm[w]))
    ]
    faults += [
        Fault(f"workloads[{w}].{key}", "a pool without llm serves it", "state llm of all its pools")
        for w, workload in enumerate(scenario.workloads)
        for key in ("ttft_slo_ms", "tpot_slo_ms")
        if getattr(workload, key) is not None and not all(by_llm[w])
    ]
    if faults := faults or list(_without_room(pool, laws, scenario, llm)):
        raise InputError(scenario.name, faults)
    return tuple(
        _of_idle_replica(law, [llm[int(p)] for p in own])
        if isinstance(law, Tokens) and not law.timed
        else law
        for law, own in zip(laws, pool, strict=True)
    )


def _without_room(
    pool: Index, laws: Sequence[ServiceLaw], scenario: Scenario, llm: Mapping[int, LlmPool]
) -> Iterator[Fault]:
    """Yield a fault for each pool whose cache is too small for the mean request of a workload, each once.

    `pool`: that which serves a workload in a region, shape (W, R).
    """
    places = places_of(scenario)
    told: set[tuple[str, str]] = set()
    for own, law, workload in zip(pool.tolist(), laws, scenario.workloads, strict=True):
        logged = any(
            any(scenario.traffic.measures(column, workload.id))
            for column in ("prompt_tokens", "answer_tokens")
        )
        if not isinstance(law, Tokens) or law.prompt_tokens is None or logged:
            continue
        tokens = law.prompts.average() + law.answer_tokens.average()
        for index in own:
            place = f"{places[index]}.llm"
            if index in llm and tokens > llm[index].kv_cache_tokens and (place, workload.id) not in told:
                told.add((place, workload.id))
                cache = f"the cache of a replica holds {llm[index].kv_cache_tokens:,}"
                problem = (
                    f"no request of mean length fits: {tokens:,.0f} tokens of {workload.id}, and {cache}"
                )
                yield Fault(place, problem, "a larger cache, or shorter requests are expected")


def _unfit(law: ServiceLaw, by_llm: Sequence[bool]) -> tuple[str, str] | None:
    """Return why a law does not fit pools with and without llm, and the remedy; None where it does."""
    if not any(by_llm):
        if isinstance(law, Tokens) and not law.timed:
            remedy = "state prefill_ms_per_token and decode_ms_per_token, or llm of its pools"
            return "the times per token are missing", remedy
        return None
    if not isinstance(law, Tokens) or law.prompt_tokens is None:
        remedy = 'state law = "tokens" with prompt_tokens and answer_tokens'
        return "pools with llm serve it, and its lengths have no law", remedy
    if all(by_llm) and law.model_fields_set & _TIMES:
        return "times are stated, and the llm of its pools works them out", "state the lengths alone"
    if not all(by_llm) and not law.timed:
        remedy = "state prefill_ms_per_token and decode_ms_per_token"
        return "the times per token are missing, and not all of its pools have llm", remedy
    return None


def _of_idle_replica(law: Tokens, pools: Sequence[LlmPool]) -> Tokens:
    """Return a law of lengths with the times of a request that is alone, in the fastest of some pools."""
    prompt, answer = law.prompts.average(), law.answer_tokens.average()
    held = prompt + answer / 2
    decode_ms = min(float(pool.law.step_ms(1, held, 1)) for pool in pools)
    first_ms = min(float(pool.law.step_ms(1, prompt, 1)) for pool in pools)
    whole_ms = min(float(pool.law.step_ms(prompt, prompt, 1)) for pool in pools)
    prefill_ms = max(whole_ms - first_ms, 0.0) / prompt
    times = {"decode_ms_per_token": decode_ms, "prefill_ms_per_token": prefill_ms, "overhead_ms": first_ms}
    return law.model_copy(update=times)


def _lengths(law: ServiceLaw) -> tuple[float, float, float, float]:
    """Return the means of prompts and answers, and of their squares; 1 each where a law has no lengths."""
    if isinstance(law, Tokens) and law.prompt_tokens is not None:
        means = law.prompts.average(), law.answer_tokens.average()
        return *means, means[0] ** 2 + law.prompts.std**2, means[1] ** 2 + law.answer_tokens.std**2
    return 1.0, 1.0, 1.0, 1.0


def with_replicas(
    capacity: Capacity,
    scenario: Scenario,
    per_s: Array,
    laws: Sequence[ServiceLaw],
    llm: Mapping[int, LlmPool],
) -> Capacity:
    """Return capacity with the replicas of the pools that batch continuously.

    Parameters
    ----------
    capacity
        Without them.
    per_s
        Expected requests of each workload, shape (W,).
    laws
        Of service time, which state the lengths.
    """
    lengths = np.array([_lengths(law) for law in laws]).T
    limits = [
        np.array([getattr(workload, name) or np.inf for workload in scenario.workloads])
        for name in ("ttft_slo_ms", "tpot_slo_ms", "slo_ms")
    ]
    replicas = {}
    for index, pool in llm.items():
        served = (capacity.pool == index).any(axis=1)
        share = np.where(served, per_s, 0.0)
        share = share / share.sum() if share.sum() > 0 else served / served.sum()
        mix = MeanRequests(lengths[0], lengths[1], lengths[2], lengths[3], share)
        curve = LoadCurve.of(pool, mix)
        own = TimeLimits(*(np.where(served, limit, np.inf) for limit in limits))
        replicas[index] = Replicas(pool, curve, curve.most(mix, own), share)
    idle_w, busy_w = capacity.idle_w.copy(), capacity.busy_w.copy()
    for index, one in replicas.items():
        idle_w[index], busy_w[index] = one.idle_w, one.busy_w
    return replace(capacity, replicas=replicas, idle_w=idle_w, busy_w=busy_w)
