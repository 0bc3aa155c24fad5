"""The sampled engine: every request is drawn, routed and timed."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce

from carbonroute import memory
from carbonroute.engines.draws import SCHEMES
from carbonroute.engines.rerun import until_reads_are_known
from carbonroute.engines.samples import serve
from carbonroute.engines.unsupported import refuse_replicas
from carbonroute.engines.workers import SERVER, Part, block_router, counted, parts, ready
from carbonroute.errors import Fault, InputError
from carbonroute.outcome import Outcome
from carbonroute.scenario import Inputs, Scenario

__all__ = ["notes", "ready", "run", "serve"]

Progress = Callable[[int, int], None]

#: Latencies (requests × policies) up to which every single one is kept: 128 MiB.
KEPT = 2**24
#: Bytes that the published scheme takes per request: it draws all users at once.
_BYTES_PER_REQUEST = 24


@until_reads_are_known
def run(
    inputs: Inputs, progress: Progress | None = None, *, workers: int = 1, start_method: str = SERVER
) -> tuple[Outcome, ...]:
    """Route all requests of a scenario under each of its policies.

    Up to `KEPT` latencies are kept, and quantiles are exact; beyond, they are counted by bin, and memory
    does not grow with the number of requests.

    Parameters
    ----------
    inputs
        The scenario's arrays; its `sampling` section names the scheme and the seed.
    progress
        Called with the number of requests × policies done, and of all.
    workers
        Processes that share the work, this one among them. The published scheme draws from one generator in
        sequence, and uses no others.
    start_method
        How they start: see `multiprocessing.get_context`. By default a server forks them that has imported
        the modules; `ready` starts it early.

    Returns
    -------
    One outcome per policy, in the scenario's order. Bit-identical for the same scenario and seed, whatever
    the number of workers.

    Raises
    ------
    InputError
        If the run would not fit into memory, no request comes, or pools serve language models.
    PolicyError
        If a policy breaks its contract, or cannot be sent to a worker.
    WorkerError
        If a worker dies.
    """
    scenario, requests, policies = inputs.scenario, math.ceil(inputs.arrivals.count), len(inputs.candidates)
    refuse_replicas(inputs.capacity, scenario.name)
    kept, done = requests * policies <= KEPT, 0

    def step(more: int) -> None:
        nonlocal done
        done += more
        if progress:
            progress(done, max(done, requests * policies))

    require_memory(scenario, requests)
    if scenario.sampling.scheme == "published":
        outcomes = _in_sequence(inputs, step, kept=kept)
    else:
        chunks = parts(inputs, step, kept=kept, workers=workers, start_method=start_method)
        none: Part = ()
        outcomes = reduce(_merged, chunks, none)
    return refuse_none(outcomes, scenario, inputs.arrivals.count)


def require_memory(scenario: Scenario, requests: int) -> None:
    """Refuse a run whose requests, all drawn at once, would not fit into memory."""
    if scenario.sampling.scheme == "published":
        sample = f"sampling {requests:,} requests in the published order"
        memory.require(requests * _BYTES_PER_REQUEST, scenario.name, "traffic", sample)


def refuse_none(outcomes: tuple[Outcome, ...], scenario: Scenario, expected: float) -> tuple[Outcome, ...]:
    """Return the outcomes of a run, unless no request came."""
    if not outcomes or not outcomes[0].requests.any():
        none_came = f"no request came in {scenario.horizon.hours:,} hours, {expected:.3g} were expected"
        remedy = "lengthen horizon.hours, or raise the rate"
        raise InputError(scenario.name, [Fault("traffic", none_came, remedy)])
    return outcomes


def notes(scenario: Scenario, workers: int) -> tuple[str, ...]:
    """Return remarks on the processes of a run: one line each."""
    if workers > 1 and scenario.sampling.scheme == "published":
        return ("the published scheme draws from one generator in sequence: it runs in one process",)
    return ()


def _merged(before: Part, part: Part) -> Part:
    if not before:
        return part
    return tuple(Outcome.merged(pair) for pair in zip(before, part, strict=True))


def _in_sequence(inputs: Inputs, step: Callable[[int], None], *, kept: bool) -> Part:
    """Return the outcomes of passes that follow one another."""
    outcomes: list[Outcome] = []
    for together, blocks in SCHEMES[inputs.scenario.sampling.scheme](inputs, compiled=not kept):
        candidates = [inputs.candidates[policy] for policy in together]
        outcomes += block_router(inputs, candidates, kept=kept)(counted(blocks, len(candidates), step))
    return tuple(outcomes)
