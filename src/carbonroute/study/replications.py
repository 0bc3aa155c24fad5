"""Runs of the same scenario with other luck: their seeds, and what becomes of them together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import polars as pl

from carbonroute import rng
from carbonroute.engines import ENGINES
from carbonroute.engines.sampled import KEPT
from carbonroute.metrics import Comparison, figures_of
from carbonroute.outcome import Histogram, Outcome, Samples
from carbonroute.scenario import Inputs, Scenario
from carbonroute.study.rivals import with_rivals

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Replications:
    """One run of a scenario, or several with other seeds as one.

    Attributes
    ----------
    inputs
        What went into the engine; of several, the first.
    seeds
        Of each.
    outcomes
        One per policy; of several, merged.
    comparison
        What they are held against.
    """

    inputs: Inputs
    seeds: tuple[int, ...]
    outcomes: tuple[Outcome, ...]
    comparison: Comparison

    @property
    def figures(self) -> pl.DataFrame:
        """All that is printed of them."""
        return figures_of(self.inputs, self.outcomes, self.comparison)

    def with_another(self, other: Replications) -> Replications:
        """Return these and others as one."""
        mine, theirs = self.comparison, other.comparison
        merged = partial(_merged, kept=KEPT // len(self.outcomes))
        return Replications(
            self.inputs,
            self.seeds + other.seeds,
            tuple(merged(pair) for pair in zip(self.outcomes, other.outcomes, strict=True)),
            Comparison(
                baseline=merged([mine.baseline, theirs.baseline]),
                # By chance, what a policy decides on can be fresh in one of two runs: nothing to compare.
                fresh={
                    label: merged([fresh, theirs.fresh[label]])
                    for label, fresh in mine.fresh.items()
                    if label in theirs.fresh
                },
                steps={name: merged([step, theirs.steps[name]]) for name, step in mine.steps.items()},
                replications=mine.replications + theirs.replications,
                unlimited={
                    label: merged([one, theirs.unlimited[label]]) for label, one in mine.unlimited.items()
                },
                unlimited_baseline=merged([mine.unlimited_baseline, theirs.unlimited_baseline])
                if mine.unlimited_baseline and theirs.unlimited_baseline
                else None,
            ),
        )


def _merged(pair: Sequence[Outcome], kept: int) -> Outcome:
    """Return two outcomes as one; beyond so many requests, their latencies are counted by bin."""
    both = Outcome.merged(pair)
    if isinstance(both.latency, Samples) and both.requests.sum() > kept:
        return replace(both, latency=Histogram.of(both.latency))
    return both


def seeds(first: int) -> Iterator[int]:
    """Yield the seed of each replication, all different: the scenario's own, then what its stream draws.

    >>> from itertools import islice
    >>> list(islice(seeds(42), 3)) == list(islice(seeds(42), 4))[:3]
    True
    """
    dice, seen, seed = rng.stream(first, "replications"), set[int](), first
    while True:
        if seed not in seen:
            seen.add(seed)
            yield seed
        seed = int(dice.integers(rng.MAX_SEED, endpoint=True))


def with_seed(scenario: Scenario, seed: int) -> Scenario:
    """Return a scenario with another seed."""
    return scenario.model_copy(update={"sampling": scenario.sampling.model_copy(update={"seed": seed})})


def once(inputs: Inputs, engine: str, workers: int, progress: Progress | None = None) -> Replications:
    """Run an engine over a scenario's policies, and what they are held against."""
    with_all, compare = with_rivals(inputs, engine)
    options = {"workers": workers} if engine == "sampled" else {}
    outcomes = ENGINES[engine](with_all, progress, **options)
    compared, comparison = outcomes[: len(inputs.candidates)], compare(outcomes)
    if engine == "queued" and not inputs.capacity.neutral:
        unlimited = ENGINES["sampled"](with_all, workers=workers)
        free = compare(unlimited).baseline
        comparison = replace(
            comparison,
            # What saves carbon is held against the same thing with capacity and without.
            baseline=replace(free, policy=f"{free.policy} without limits"),
            unlimited={one.policy: one for one in unlimited[: len(inputs.candidates)]},
            unlimited_baseline=free,
        )
    return Replications(inputs, (inputs.scenario.sampling.seed,), compared, comparison)
