"""Notes on pools that batch continuously: derived figures, limits out of reach, and what has no grams."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from carbonroute.arrays import Array
from carbonroute.control.capacity import Capacity, Replicas
from carbonroute.llm import LlmPool
from carbonroute.scenario.resolved.llm import llms_of, sheets_of
from carbonroute.scenario.resolved.pools import pools_of
from carbonroute.scenario.written.llm import Llm
from carbonroute.scenario.written.model import Scenario
from carbonroute.units import S_PER_HOUR
from carbonroute.workloads import ServiceLaw, Tokens

#: Accelerators of most servers: beyond, a replica exchanges over the network.
_PER_SERVER = 8


def llm_notes(
    scenario: Scenario, laws: Sequence[ServiceLaw], capacity: Capacity, rtt_ms: Array
) -> Iterator[str]:
    """Yield the notes on a scenario's replicas, nothing where it has none.

    `rtt_ms`: round-trip times, shape (O, R).
    """
    if not capacity.replicas:
        return
    yield from dict.fromkeys(_figures(scenario, capacity))
    yield from _without_grams(scenario)
    yield from _out_of_reach(scenario, laws, capacity, rtt_ms)
    for place, llm in llms_of(scenario).items():
        yield from _of_pool(f"{place}.llm", llm, scenario.horizon.hours)


def _figures(scenario: Scenario, capacity: Capacity) -> Iterator[str]:
    """Yield what follows for each pool: step, cache, batch and power."""
    every = [pool for own in pools_of(scenario) for pool in own]
    for index, one in sorted(capacity.replicas.items()):
        pool = every[index]
        names = [w.name for w in scenario.workloads if w.id in (pool.workloads or (w.id,))]
        llm = pool.llm
        on = llm.gpu if llm is not None and isinstance(llm.gpu, str) else "accelerators of its own figures"
        count = f"{llm.tensor_parallel} × " if llm is not None and llm.tensor_parallel > 1 else ""
        yield f"{' and '.join(names)} on {count}{on}: {_derived(one)}"


def _derived(one: Replicas) -> str:
    curve = one.curve
    full = int(curve.batch[one.most])
    power = "" if math.isnan(one.idle_w) else f"; {one.idle_w:,.0f} W idle, {one.busy_w:,.0f} W full"
    return (
        f"a step of one sequence takes {curve.answer_ms[0]:.3g} ms, the cache of a replica holds "
        f"{one.pool.kv_cache_tokens:,} tokens, a full one has {full:,} sequence{'s' * (full > 1)} in "
        f"its batch{power}"
    )


def _without_grams(scenario: Scenario) -> Iterator[str]:
    """Say why nothing is counted in grams, where that is so, and what to add."""
    if scenario.counts_grams:
        return
    powerless = [place for place, llm in llms_of(scenario).items() if not llm.has_power]
    if powerless:
        where = ", ".join(f"{place}.llm" for place in powerless)
        yield f"There are no grams: the power of {where} is not known; state gpu.tdp_w, or power"
        return
    silent = [w.id for w in scenario.workloads if not (w.has_energy or scenario.by_power(w.id))]
    yield f"There are no grams: the energy of {', '.join(silent)} is not known; state energy_j"


def _out_of_reach(
    scenario: Scenario, laws: Sequence[ServiceLaw], capacity: Capacity, rtt_ms: Array
) -> Iterator[str]:
    """Yield limits that even a request of mean length breaks which is alone in a replica next to it."""
    nearest_ms = rtt_ms.min(axis=0)
    for workload, law, own in zip(scenario.workloads, laws, capacity.pool.tolist(), strict=True):
        pools = [capacity.replicas[index].pool for index in own if index in capacity.replicas]
        if len(pools) < len(own) or not isinstance(law, Tokens):
            continue
        first_ms, further_ms = np.array([_alone_ms(pool, law) for pool in pools]).T
        whole_ms = first_ms + further_ms * max(law.answer_tokens.average() - 1, 0.0)
        least = {
            "ttft_slo_ms": (nearest_ms + first_ms).min(),
            "tpot_slo_ms": further_ms.min(),
            "slo_ms": (nearest_ms + whole_ms).min(),
        }
        for key, least_ms in least.items():
            limit_ms = getattr(workload, key)
            if limit_ms is not None and limit_ms < least_ms:
                yield (
                    f"{key} of {workload.id} is out of reach: a request of mean length that is alone in the "
                    f"nearest replica takes {least_ms:,.4g} ms, and the limit is {limit_ms:,.4g} ms"
                )
        if workload.ttft_slo_ms is not None and workload.ttft_slo_ms > workload.slo_ms:
            yield (
                f"ttft_slo_ms of {workload.id} never counts: its {workload.ttft_slo_ms:,.6g} ms are more "
                f"than the {workload.slo_ms:,.6g} ms of slo_ms, in which the whole answer is due"
            )


def _alone_ms(pool: LlmPool, law: Tokens) -> tuple[float, float]:
    """Return the times to the first token and per further one of a mean request in an idle replica, ms."""
    prompt, answer = law.prompts.average(), law.answer_tokens.average()
    computed = max(prompt * (1 - pool.prefix_hit_share), 1.0)
    return float(pool.law.step_ms(computed, prompt, 1)), float(pool.law.step_ms(1, prompt + answer / 2, 1))


def _of_pool(where: str, llm: Llm, hours: float) -> Iterator[str]:
    """Yield doubts about the settings of a pool."""
    if llm.load_s > hours * S_PER_HOUR:
        late = "longer than the run: what is switched on serves nothing"
        yield f"load_s of {where}, {llm.load_s:g} s, is {late}"
    gpus, sheets = llm.tensor_parallel, sheets_of(llm)
    if gpus > _PER_SERVER:
        yield (
            f"tensor_parallel of {where} is {gpus}: most servers have {_PER_SERVER} accelerators, and the "
            "link between servers is not modelled"
        )
    if sheets is None:
        return
    heads = sheets[0].kv_heads or gpus
    if (heads % gpus and gpus % heads) or sheets[0].hidden % gpus:
        yield (
            f"tensor_parallel of {where}, {gpus}, does not divide the model's {heads} heads of keys and "
            f"values and its width of {sheets[0].hidden:,}: engines refuse it"
        )
