"""Replications: runs of one scenario with different seeds, and their merged outcomes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from carbonroute import rng
from carbonroute.control.router import Control
from carbonroute.engines import ENGINES
from carbonroute.engines.sampled import KEPT
from carbonroute.metrics import Comparison, figures_of, policies
from carbonroute.outcome import Histogram, Outcome, Samples
from carbonroute.runs.baselines import with_baselines
from carbonroute.runs.sharing import shared
from carbonroute.scenario import Inputs, Scenario
from carbonroute.units import S_PER_HOUR

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Replications:
    """One run of a scenario, or several with different seeds, merged.

    `inputs`: the engine's inputs; of several, those of the first.
    `outcomes`: one per policy; of several, merged.
    """

    inputs: Inputs
    seeds: tuple[int, ...]
    outcomes: tuple[Outcome, ...]
    comparison: Comparison

    @property
    def figures(self) -> pl.DataFrame:
        """All printed figures."""
        return figures_of(self.inputs.scenario, self.outcomes, self.comparison)

    @property
    def policies(self) -> pl.DataFrame:
        """A row per policy; see `carbonroute.metrics.Tables.policies`."""
        return policies.table(self.inputs.scenario, self.outcomes, self.comparison)

    def with_another(self, other: Replications) -> Replications:
        """Return these replications and others, merged."""
        first, second = self.comparison, other.comparison
        merged = partial(_merged, kept=KEPT // len(self.outcomes))

        def both(one: Outcome | None, another: Outcome | None) -> Outcome | None:
            return merged([one, another]) if one and another else None

        return Replications(
            self.inputs,
            self.seeds + other.seeds,
            tuple(merged(pair) for pair in zip(self.outcomes, other.outcomes, strict=True)),
            Comparison(
                baseline=merged([first.baseline, second.baseline]),
                # By chance, a policy's data can be fresh in one of two runs: nothing to compare.
                fresh={
                    label: merged([fresh, second.fresh[label]])
                    for label, fresh in first.fresh.items()
                    if label in second.fresh
                },
                steps={name: merged([step, second.steps[name]]) for name, step in first.steps.items()},
                replications=first.replications + second.replications,
                unlimited={
                    label: merged([one, second.unlimited[label]]) for label, one in first.unlimited.items()
                },
                unlimited_baseline=both(first.unlimited_baseline, second.unlimited_baseline),
                same_capacity=both(first.same_capacity, second.same_capacity),
            ),
        )


def _merged(pair: Sequence[Outcome], kept: int) -> Outcome:
    """Return two outcomes as one; beyond `kept` requests, their latencies are counted by bin."""
    both = Outcome.merged(pair)
    if isinstance(both.latency, Samples) and both.requests.sum() > kept:
        return replace(both, latency=Histogram.of(both.latency))
    return both


def seeds(first: int) -> Iterator[int]:
    """Yield the seed of each replication, all different: the scenario's own, then draws of its stream.

    >>> from itertools import islice
    >>> list(islice(seeds(42), 3)) == list(islice(seeds(42), 4))[:3]
    True
    """
    yield first
    dice, seen = rng.stream(first, "replications"), {first}
    while True:
        seed = int(dice.integers(rng.MAX_SEED, endpoint=True))
        if seed not in seen:
            seen.add(seed)
            yield seed


def with_seed(scenario: Scenario, seed: int) -> Scenario:
    """Return a scenario with another seed."""
    return scenario.model_copy(update={"sampling": scenario.sampling.model_copy(update={"seed": seed})})


def part_of(progress: Progress | None, place: int, parts: int) -> Progress | None:
    """Return a progress callback for one of several equal parts of a run."""
    if progress is None:
        return None
    return lambda done, total: progress(place * total + done, parts * total)


def once(
    inputs: Inputs,
    engine: str,
    workers: int,
    progress: Progress | None = None,
    journal: Path | None = None,
) -> Replications:
    """Run an engine over a scenario's policies and baselines.

    Decisions of the queued engine are written to a journal, if a folder for it is given.
    """
    evaluated = evaluate(inputs, engine, workers, progress, journal)
    return Replications(inputs, (inputs.scenario.sampling.seed,), *evaluated)


def evaluate(
    inputs: Inputs,
    engine: str,
    workers: int = 1,
    progress: Progress | None = None,
    journal: Path | None = None,
) -> tuple[tuple[Outcome, ...], Comparison]:
    """Return the outcomes of the policies and of their baselines; parameters as of `once`."""
    with_all, compare = with_baselines(inputs, engine)
    options: dict[str, object] = {"workers": workers} if engine == "sampled" else {}
    with ExitStack() as stack:
        if journal:
            from carbonroute.runs.journals import written

            options["journals"] = stack.enter_context(written(inputs, journal))
        outcomes = ENGINES[engine](with_all, progress, **options)
    comparison = compare(outcomes)
    if inputs.capacity.replicas:  # a replica without limits has no batch: there is nothing to compare with
        comparison = beside(comparison, comparison)
    elif engine == "queued" and not inputs.capacity.neutral:
        comparison = beside(without_limits(inputs), comparison)
    return outcomes[: len(inputs.candidates)], comparison


def alone(
    inputs: Inputs, engine: str, workers: int = 1, progress: Progress | None = None
) -> tuple[tuple[Outcome, ...], Comparison]:
    """Return the outcomes of the policies, and of the baseline on the same capacity alone."""
    with_baseline, compare = with_baselines(inputs, engine, baseline_alone=True)
    options: dict[str, Any] = {"workers": workers} if engine == "sampled" else {}
    outcomes = ENGINES[engine](with_baseline, progress, **options)
    return outcomes[: len(inputs.candidates)], compare(outcomes)


def each_alone(
    worlds: Sequence[Inputs], engine: str, workers: int, progress: Progress | None
) -> Iterator[tuple[tuple[Outcome, ...], Comparison]]:
    """Yield `alone` of each world: the sampled engine shares each between workers, others whole worlds."""
    processes = min(workers, len(worlds))
    if engine == "sampled" or processes == 1:
        for place, world in enumerate(worlds):
            yield alone(world, engine, workers, part_of(progress, place, len(worlds)))
        return
    work = partial(alone, engine=engine)
    for place, evaluated in enumerate(shared(((work, world) for world in worlds), processes), start=1):
        if progress:
            progress(place, len(worlds))
        yield evaluated


def beside(unlimited: Comparison, limited: Comparison) -> Comparison:
    """Return the comparison of a run with capacity: `unlimited`, and Latency-First on the same capacity."""
    baseline = limited.baseline
    same = replace(baseline, policy=f"{baseline.policy} on the same capacity")
    steps = {name: same if step is baseline else step for name, step in limited.steps.items()}
    return replace(unlimited, steps=steps, same_capacity=same)


def without_limits(inputs: Inputs, progress: Progress | None = None) -> Comparison:
    """Run the policies without limits on capacity, for comparison with runs of any capacity.

    Not for pools that batch continuously: without limits, no request would share a batch.

    Reductions of both refer to the baseline without limits, and so can be compared.
    """
    # Policies are asked every hour, and no router limits how far traffic moves.
    control = Control(interval_s=S_PER_HOUR, warmup_hours=inputs.scenario.control.warmup_hours)
    free = replace(
        inputs,
        scenario=inputs.scenario.model_copy(update={"control": control}),
        capacity=inputs.capacity.without_limits(),
        candidates=tuple(
            replace(candidate, control=control, max_utilisation=None) for candidate in inputs.candidates
        ),
    )
    with_baseline, compare = with_baselines(free, "queued", baseline_alone=True)
    unlimited = ENGINES["queued"](with_baseline, progress)
    baseline = compare(unlimited).baseline
    return Comparison(
        baseline=replace(baseline, policy=f"{baseline.policy} without limits"),
        fresh={},
        steps={},
        unlimited={one.policy: one for one in unlimited[: len(free.candidates)]},
        unlimited_baseline=baseline,
    )
