"""One-at-a-time sensitivity analysis: how much a recommendation changes with each input of a scenario."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import polars as pl

from carbonroute.analysis.frontier import Frontier, ServiceLimits, explore, feasible, saved_pct
from carbonroute.analysis.sweep import Choice
from carbonroute.arrays import Array
from carbonroute.carbon import Signal
from carbonroute.control.knowledge import Forecaster, Knowledge
from carbonroute.errors import Fault, InputError
from carbonroute.metrics import slo
from carbonroute.network import HalfNormal, Jitter
from carbonroute.runs.sharing import Call, shared
from carbonroute.scenario import Inputs
from carbonroute.traffic import Arrivals
from carbonroute.units import MAX_CARBON_G_PER_KWH, pct
from carbonroute.workloads import Empirical, Law, ServiceLaw, Tokens

#: Gives the changed fields of a scenario's `Inputs` for a factor.
Change: TypeAlias = Callable[[float], Mapping[str, Any]]

#: By how much an input is changed, down and up.
STEP = 0.1


def sensitivity(
    frontier: Frontier, progress: Callable[[int, int], None] | None = None, *, workers: int = 1
) -> pl.DataFrame:
    """Change each input by a tenth, down and up, and evaluate the recommended policy again.

    Parameters
    ----------
    progress
        Called with the number of changes done, and of all.
    workers
        Processes that share the changes, 1 or more: the table is the same for any number.

    Returns
    -------
    Two rows per input, down and up, the inputs that move the saving most first: ``input`` (in words) and
    ``change_pct``; of the recommended ``policy`` with its parameters fixed ``saved_pct``, ``saved_points``
    (change of it, percentage points), ``slo_violation_pct``, ``violation_points`` and ``keeps_limits``;
    of the policy then recommended ``chosen`` (null where no policy keeps the limits), its
    ``chosen_settings``, ``chosen_saved_pct``, ``chosen_violation_pct`` (null likewise) and ``same`` (whether
    it decides like the recommended one). All of these hold for routers that are informed of the change: a
    policy that derives its decisions from its inputs derives them again.

    The same for a router that is not informed: it decides by the unchanged inputs, its requests meet the
    changed ones: ``untold_saved_pct``, ``untold_saved_points``, ``untold_slo_violation_pct``,
    ``untold_violation_points`` and ``untold_keeps_limits``. Last come ``worst_workload`` and
    ``worst_violations_pct`` of the recommended policy, and the same of the uninformed router. Savings are
    grams, or where none are stated mean carbon intensity, in % of Latency-First under the same change,
    informed of it likewise or not.

    Raises
    ------
    ValueError
        If nothing is recommended.
    InputError
        If there is no carbon to save.
    PolicyError, WorkerError
        If a policy cannot be sent to another process, or one dies.
    """
    if frontier.recommended is None:
        raise ValueError(f"no policy keeps to {frontier.limits}: there is nothing to vary")
    base = frontier.points.row(frontier.recommended, named=True)
    if saved_pct(base) is None:
        fault = Fault("carbon", f"{base['baseline']} meets none", "without carbon there is nothing to save")
        raise InputError(frontier.inputs.scenario.name, [fault])
    best = frontier.choices[frontier.recommended]
    baselines = (best, *(choice for choice in frontier.tried if not choice.candidate.clairvoyant))
    reference = next(choice for choice in baselines if "baseline" in choice.roles)
    beliefs = replace(frontier.inputs, forecast=None)
    uninformed = tuple(
        replace(choice, candidate=replace(choice.candidate, beliefs=beliefs)) for choice in (best, reference)
    )
    cases = [(*case, factor) for case in changes(frontier.inputs) for factor in (1 - STEP, 1 + STEP)]

    def calls() -> Iterator[Call[dict[str, Any]]]:
        for _, change, factor in cases:
            fields = change(factor)
            changed = replace(frontier.inputs, **fields)
            choices = tuple(_informed(baselines, changed)) if "carbon" in fields else baselines
            candidates = tuple(choice.candidate for choice in choices)
            inputs = replace(changed, candidates=candidates)
            yield _figures, inputs, choices, uninformed, frontier.limits, base

    rows: list[dict[str, Any]] = []
    for figures in shared(calls(), min(workers, len(cases)), (__name__,)):
        name, _, factor = cases[len(rows)]
        rows.append({"input": name, "change_pct": round(pct(factor - 1), 9), **figures})
        if progress:
            progress(len(rows), len(cases))
    swing = pl.col("saved_points").abs().max().over("input")
    table = pl.DataFrame(rows, infer_schema_length=None).sort(swing, descending=True, maintain_order=True)
    last = [prefix + name for name in (slo.WORST, slo.WORST_PCT) for prefix in ("", "untold_")]
    return table.select(pl.exclude(last), *last)


def changes(inputs: Inputs) -> Iterator[tuple[str, Change]]:
    """Yield each input that can vary, in words, and the function that multiplies it by a factor."""
    yield "Round-trip times", lambda factor: {"rtt_ms": inputs.rtt_ms * factor}
    yield "Latency limits (SLO)", lambda factor: {"slo_ms": inputs.slo_ms * factor}
    for name, changed in (("Mean service times", _longer), ("Spread of service times", _wider)):
        yield name, partial(_laws, inputs.laws, changed)
    if not inputs.jitter.none:
        yield "Jitter", partial(_jitter, inputs.jitter)
    for index, origin in enumerate(inputs.scenario.origins):
        if 0 < inputs.origin_share[index] < 1:
            yield f"Requests from {origin.name}", partial(_share, index, inputs.origin_share, inputs.arrivals)
    for index, region in enumerate(inputs.scenario.regions):
        yield f"Carbon of {region.name}", partial(_carbon, index, inputs.carbon, inputs.forecast)


def _figures(
    changed: Inputs,
    choices: tuple[Choice, ...],
    uninformed: tuple[Choice, ...],
    limits: ServiceLimits,
    base: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the figures of the recommended policy, the first of the choices, under changed inputs."""
    again = explore(changed, choices, limits, with_p95=False)
    unaware = explore(changed, uninformed, limits, with_p95=False)
    untold = {f"untold_{column}": value for column, value in _fixed(unaware, base).items()}
    return {**_compared(again, base), **untold}


def _compared(again: Frontier, base: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of the recommended policy (row 0) after a change, and the new recommendation."""
    chosen = None if again.recommended is None else again.points.row(again.recommended, named=True)
    return {
        "policy": base["policy"],
        **_fixed(again, base),
        "chosen": chosen and chosen["policy"],
        "chosen_settings": chosen and chosen["settings"],
        "chosen_saved_pct": chosen and saved_pct(chosen),
        "chosen_violation_pct": chosen and chosen["slo_violation_pct"],
        "same": again.recommended == 0,
    }


def _fixed(again: Frontier, base: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of the recommended policy (row 0) after a change."""
    fixed = again.points.row(0, named=True)
    return {
        "saved_pct": saved_pct(fixed),
        "saved_points": (saved_pct(fixed) or 0.0) - (saved_pct(base) or 0.0),
        "slo_violation_pct": fixed["slo_violation_pct"],
        "violation_points": fixed["slo_violation_pct"] - base["slo_violation_pct"],
        "keeps_limits": bool(feasible(again.points, again.limits)[0]),
        slo.WORST: fixed[slo.WORST],
        slo.WORST_PCT: fixed[slo.WORST_PCT],
    }


def _informed(choices: Sequence[Choice], inputs: Inputs) -> Iterator[Choice]:
    """Yield the same choices with their knowledge of changed carbon."""
    known: dict[int, Knowledge] = {}  # shared knowledge stays shared
    for choice in choices:
        old = choice.candidate
        if id(old.knowledge) not in known:
            known[id(old.knowledge)] = inputs.candidate(old.label, old.policy, old.information).knowledge
        yield replace(choice, candidate=replace(old, knowledge=known[id(old.knowledge)]))


def _share(origin: int, origin_share: Array, arrivals: Arrivals, factor: float) -> dict[str, Any]:
    """Change the number of requests from an origin; those from all others change in proportion."""
    return {
        "origin_share": _reweighted(origin_share, origin, factor, axis=0),
        "arrivals": replace(arrivals, expected=partial(_expected, arrivals, origin, factor)),
    }


def _expected(arrivals: Arrivals, origin: int, factor: float) -> Array:
    return _reweighted(arrivals.expected(), origin, factor, axis=1)


def _reweighted(expected: Array, origin: int, factor: float, axis: int) -> Array:
    before, whole = expected.take(origin, axis).sum(), expected.sum()
    after = min(factor * before, whole)
    factors = np.full(expected.shape[axis], (whole - after) / (whole - before))
    factors[origin] = after / before
    return np.moveaxis(np.moveaxis(expected, axis, -1) * factors, -1, axis)


def _carbon(region: int, signal: Signal, forecast: Forecaster | None, factor: float) -> dict[str, Any]:
    """Change the true, measured and forecast carbon of a region, up to the highest admissible value."""

    def changed(values: Array) -> Array:
        values = values.copy()
        values[..., region] = np.minimum(values[..., region] * factor, MAX_CARBON_G_PER_KWH)
        return values

    def changed_forecast(forecast: Forecaster, age: int) -> tuple[Array, Mapping[str, int]]:
        values, left_out = forecast(age)
        return changed(values), left_out

    return {"carbon": signal.changed(changed), "forecast": forecast and partial(changed_forecast, forecast)}


def _jitter(jitter: Jitter, factor: float) -> dict[str, Jitter]:
    if isinstance(jitter, HalfNormal):
        return {"jitter": HalfNormal(std_ms=jitter.std_ms * factor)}
    return {"jitter": replace(jitter, p50_ms=jitter.p50_ms * factor)}


def _laws(
    laws: Sequence[ServiceLaw], changed: Callable[[Law, float], Law], factor: float
) -> dict[str, tuple[Law, ...]]:
    return {"laws": tuple(changed(law, factor) for law in laws)}


def _longer(law: Law, factor: float) -> Law:
    """Return a law with another mean, of the answers' lengths where there are tokens, and the same spread."""
    if isinstance(law, Tokens):
        return _but(law, answer_tokens=_longer(law.answer_tokens, factor))
    if isinstance(law, Empirical):
        return law.with_times(law.times_ms + (factor - 1) * law.average())
    return _but(law, mean=factor * vars(law)["mean"])


def _wider(law: Law, factor: float) -> Law:
    """Return a law with another standard deviation, likewise, and the same mean."""
    if isinstance(law, Tokens):
        return _but(law, answer_tokens=_wider(law.answer_tokens, factor))
    if isinstance(law, Empirical):
        return law.with_times(law.average() + factor * (law.times_ms - law.average()))
    return _but(law, std=factor * vars(law)["std"])


def _but(law: Law, **changed: Any) -> Law:
    """Return a law with other values, unchecked: a tenth more than a limit is no fault here."""
    fields = {name: getattr(law, name) for name in type(law).model_fields}
    return type(law).model_construct(**{**fields, **changed})
