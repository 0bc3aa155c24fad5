"""Run plan: engine, workers, number of replications and stopping rule."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import polars as pl

from carbonroute.engines import exact
from carbonroute.errors import Fault, InputError
from carbonroute.runs.precision import FEWEST, MOST, Precision
from carbonroute.runs.replications import (
    Progress,
    Replications,
    evaluate,
    once,
    part_of,
    seeds,
    with_seed,
)
from carbonroute.runs.sharing import shared
from carbonroute.runs.tabulate import dependence
from carbonroute.scenario import Inputs, Scenario, resolve


@dataclass(frozen=True)
class RunPlan:
    """Engine, workers, replications and stopping rule of a run.

    Attributes
    ----------
    engine
        Its name, or ``"both"``.
    workers
        Processes: of the sampled engine, or of the replications of the queued one.
    most
        Replications, at most.
    precision
        The rule that stops them earlier, or None.
    journal
        Folder for the records of decisions, or None.
    """

    engine: str
    workers: int
    most: int
    precision: Precision | None
    journal: Path | None = None

    @classmethod
    def read(
        cls,
        engine: str,
        workers: int,
        replications: int | None,
        until: str | None,
        journal: Path | None = None,
    ) -> RunPlan:
        """Return the plan that the arguments of `carbonroute.run` make.

        Raises InputError if one is out of range, or they do not go together.
        """
        precision = Precision.read(until) if until is not None else None
        most = replications if replications is not None else (MOST if precision else 1)
        _at_least(1, "workers", workers)
        _at_least(FEWEST if precision else 1, "replications", most)
        if engine in {"exact", "both"} and most > 1:
            problem = f"engine {engine!r} computes expected values: replications would all be the same"
            raise InputError("until" if precision else "replications", [Fault("", problem, "leave it out")])
        if engine == "exact" and workers > 1:
            raise InputError("workers", [Fault("", "the exact engine draws no requests", "leave it out")])
        if journal is not None and (engine != "queued" or most > 1):
            problem = f"engine {engine!r}" if engine != "queued" else f"{most:,} replications"
            raise InputError(
                "journal", [Fault("", f"found {problem}", "one run of engine 'queued' is expected")]
            )
        return cls(engine, workers, most, precision, journal)

    def fulfilled(self, done: Replications, figures: pl.DataFrame) -> bool:
        """Whether no further replication is needed."""
        count = len(done.seeds)
        if self.precision is None or count == self.most:
            return count == self.most
        if count < FEWEST:
            return False
        _, half_width = self.precision.widest(dependence(done.inputs), done.outcomes, figures)
        return half_width <= self.precision.half_width

    def notes(self, done: Replications, figures: pl.DataFrame | None) -> Iterator[str]:
        """Yield notes on engine and replications."""
        if self.engine == "exact":
            yield "Expected values by the exact engine: they have no sampling error and no intervals"
        if self.engine in {"exact", "both"}:
            yield from exact.notes(done.inputs)
        if self.engine != "queued" and not done.inputs.capacity.neutral:
            yield "Limits on capacity are not simulated: only the queued engine has servers"
        if self.engine != "queued" and any(candidate.controlled for candidate in done.inputs.candidates):
            yield "control and max_utilisation have no effect: only the queued engine has routers"
        if figures is None:
            return
        yield (
            f"{len(done.seeds):,} replications, each with its own requests and carbon noise: requests are "
            "those of all of them, kg their mean, and carbon intensities by the hour those of the first"
        )
        if self.precision:
            policy, half_width = self.precision.widest(dependence(done.inputs), done.outcomes, figures)
            verdict = "reached" if half_width <= self.precision.half_width else "not reached"
            yield f"{self.precision} {verdict}: ± {half_width:.3g} under {policy}, the widest interval"


def _at_least(least: int, name: str, value: int) -> None:
    if value < least:
        raise InputError(name, [Fault("", f"found {value}", f"{least} or more is expected")])


def carry_out(
    plan: RunPlan, scenario: Scenario, progress: Progress | None
) -> tuple[Replications, pl.DataFrame | None]:
    """Run a scenario in as many replications as planned.

    Returns
    -------
    All replications merged; where there are several, the figures of each.
    """
    runs = _runs(plan, scenario, progress)
    done = next(runs)
    if plan.most == 1:
        return done, None
    figures = done.figures
    while not plan.fulfilled(done, figures):
        run = next(runs)
        done, figures = done.with_another(run), pl.concat([figures, run.figures])
    return done, figures


def _runs(plan: RunPlan, scenario: Scenario, progress: Progress | None) -> Iterator[Replications]:
    engine = "sampled" if plan.engine == "both" else plan.engine
    if engine == "queued" and plan.most > 1 and plan.workers > 1:
        yield from _shared_runs(plan, scenario, progress)
        return
    for place, seed in enumerate(seeds(scenario.sampling.seed)):
        part = part_of(progress, place, plan.most)
        yield once(resolve(with_seed(scenario, seed)), engine, plan.workers, part, plan.journal)


def _shared_runs(plan: RunPlan, scenario: Scenario, progress: Progress | None) -> Iterator[Replications]:
    """Yield replications that other processes carry out: an engine of events has no parts to share."""
    begun: list[Inputs] = []

    def worlds() -> Iterator[Inputs]:
        for seed in islice(seeds(scenario.sampling.seed), plan.most):
            begun.append(resolve(with_seed(scenario, seed)))
            yield begun[-1]

    work = partial(evaluate, engine=plan.engine)
    for place, evaluated in enumerate(
        shared(((work, world) for world in worlds()), min(plan.workers, plan.most))
    ):
        inputs = begun[place]
        if progress:
            progress(place + 1, plan.most)
        yield Replications(inputs, (inputs.scenario.sampling.seed,), *evaluated)
