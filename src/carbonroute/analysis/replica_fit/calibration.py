"""From a log of requests to a calibrated pool: coefficients with intervals, residuals, misses, TOML."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from carbonroute.analysis.replica_fit.cache import Cache, fit_cache
from carbonroute.analysis.replica_fit.fitting import SEQUENCE_MS, Coefficient, Problem, fit
from carbonroute.analysis.replica_fit.forward import (
    COEFFICIENTS,
    QUANTITIES,
    ReplicaServer,
    load,
    measured,
    served,
)
from carbonroute.analysis.replica_fit.quality import HOLDS, Miss, QualityRow, misses, rows
from carbonroute.files.text import count_of, listed, refused
from carbonroute.files.toml import document
from carbonroute.importing.request_log import RequestLog
from carbonroute.llm import ATTAINED
from carbonroute.scenario.resolved.llm import llm_pool
from carbonroute.scenario.written.llm import Llm
from carbonroute.scenario.written.load import validated

#: Requests that a fit needs.
_LEAST = 20
#: Times that the cache and the coefficients are fitted in turn, at most.
_ROUNDS = 5
#: Tokens of a step whose arithmetic takes as long as reading the weights: between 100 and 300 on data sheets.
_RIDGE_TOKENS = 150
#: Cached tokens whose reading takes as long as that of the weights, of an 8 B model with grouped heads.
_RIDGE_HELD = 100_000
FITTED, HELD_OUT, SHEET = "fitted", "held out", "to begin with"


@dataclass(frozen=True)
class ReplicaFit:
    """A replica, calibrated to a log.

    Attributes
    ----------
    requests, fitted, failed
        Of the log that were served; the first of them, to which the coefficients were fitted; those that
        failed.
    has_sheets
        Whether the values to begin with are those of data sheets.
    llm
        The calibrated pool, as a scenario spells it.
    coefficients, cache
        As fitted; cache is None where its size was stated.
    misses
        Groups of requests for which the model does not hold.
    """

    log: str
    requests: int
    fitted: int
    failed: int
    has_sheets: bool
    llm: Mapping[str, Any]
    replicas: int
    coefficients: tuple[Coefficient, ...]
    cache: Cache | None
    rows: tuple[QualityRow, ...]
    misses: tuple[Miss, ...]
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return all of it; None where a value is not known."""
        return {
            "log": self.log,
            "requests": self.requests,
            "fitted": self.fitted,
            "failed": self.failed,
            "coefficients": [_as_json(one) for one in self.coefficients],
            "kv_cache_tokens": None if self.cache is None else _as_json(self.cache),
            "residuals": [{**asdict(row), "error": row.error} for row in self.rows],
            "misses": [{**asdict(miss), "error": miss.error} for miss in self.misses],
            "notes": list(self.notes),
            "pool": {"servers": self.replicas, "llm": self.llm},
        }

    @property
    def text(self) -> str:
        """A pool of a scenario, as TOML."""
        pool = {"servers": self.replicas, "llm": dict(self.llm)}
        return f"# Calibrated to {self.log}.\n{document({'pools': [pool]})}"


def _as_json(one: Coefficient | Cache) -> dict[str, Any]:
    known = not math.isnan(one.interval[0])
    return {**asdict(one), "interval": list(one.interval) if known else None}


def fit_log(
    log: RequestLog, options: Mapping[str, Any], *, replicas: int = 1, holdout: float = 0.5
) -> ReplicaFit:
    """Return the replica that serves a log as it was served.

    `options`: what is known of the replica, as a scenario's ``llm`` spells it; without model and gpu, the
    coefficients begin with guesses.
    `holdout`: part of the requests, the last ones by arrival, that is not fitted but predicted, 0 ≤ holdout <
    1.
    Raises InputError if the options cannot be, or there are too few requests.
    """
    fitted = len(log) - round(holdout * len(log))
    if fitted < _LEAST:
        found = f"has {count_of(len(log), 'request')} that were served, of which {fitted:,} are fitted"
        more = "a smaller --holdout fits more" if len(log) >= _LEAST else "a longer log is needed"
        raise refused(log.name, found, f"{_LEAST} are the least; {more}")
    has_sheets = "model" in options or "gpu" in options
    llm = validated(
        Llm, {**({} if has_sheets else _guesses(log.until(fitted))), **options}, "options", Path()
    )
    server = ReplicaServer(llm_pool(llm, "options", Path()), replicas)
    law = server.pool.law
    scale = {name: getattr(law, name) or SEQUENCE_MS for name in COEFFICIENTS}
    problem = Problem(log, fitted, server, scale)
    cache = None
    if "kv_cache_tokens" not in options:
        problem, cache = _with_cache(problem)
    coefficients = fit(problem)
    best = problem.server.scaled({one.name: one.value for one in coefficients})
    truth, model, sheet = measured(log), served(best, log), served(server, log)
    first, last = slice(fitted), slice(fitted, None)
    return ReplicaFit(
        log=log.name,
        requests=len(log),
        fitted=fitted,
        failed=log.failed,
        has_sheets=has_sheets,
        llm=_spelled(options, has_sheets, best, coefficients, cache),
        replicas=replicas,
        coefficients=coefficients,
        cache=cache,
        rows=(
            *rows(SHEET, truth, sheet),
            *rows(FITTED, truth.part(first), model.part(first)),
            *rows(HELD_OUT, truth.part(last), model.part(last)),
        ),
        misses=misses(log, load(best, log, model.e2e_ms), truth, model),
        notes=tuple(_notes(log, best, coefficients, cache, has_sheets)),
    )


def _with_cache(problem: Problem) -> tuple[Problem, Cache]:
    """Return the problem with the cache that fits best, and that: in turn with the coefficients."""
    multiples, sizes = problem.sheet, set[int]()
    while True:
        cache = fit_cache(problem, multiples)
        found = replace(problem, server=problem.server.caching(cache.tokens))
        if cache.tokens in sizes or len(sizes) >= _ROUNDS:
            return found, cache
        sizes.add(cache.tokens)
        multiples = {one.name: one.value / problem.scale[one.name] for one in fit(found, multiples)}


def _guesses(log: RequestLog) -> dict[str, Any]:
    """Return coefficients and a cache to begin with, of the log alone."""
    truth = measured(log)
    tpot_ms, ttft_ms = (times[np.isfinite(times)] for times in (truth.tpot_ms, truth.ttft_ms))
    if len(tpot_ms):
        step_ms = float(np.percentile(tpot_ms, 5))
    else:
        step_ms = (
            float(ttft_ms.min()) if len(ttft_ms) else float(truth.e2e_ms[np.isfinite(truth.e2e_ms)].min())
        )
    weights_ms = max(step_ms - ATTAINED.overhead_ms, step_ms / 2)
    end_ms, begin_ms = np.fmax(log.last_ms, log.first_ms), np.nan_to_num(log.first_ms)
    events = np.concatenate([log.arrival_s + begin_ms / 1000, log.arrival_s + end_ms / 1000])
    tokens = np.concatenate([log.prompt + log.output, -(log.prompt + log.output)])
    present = np.cumsum(tokens[np.argsort(events, kind="stable")])
    return {
        "step": {
            "overhead_ms": ATTAINED.overhead_ms,
            "weights_ms": weights_ms,
            "kv_ms_per_token": weights_ms / _RIDGE_HELD,
            "compute_ms_per_token": weights_ms / _RIDGE_TOKENS,
            "sequence_ms": 0.0,
        },
        "kv_cache_tokens": int(max(present.max(), (log.prompt + log.output).max(), 16)),
    }


def _spelled(
    options: Mapping[str, Any],
    has_sheets: bool,
    best: ReplicaServer,
    coefficients: tuple[Coefficient, ...],
    cache: Cache | None,
) -> dict[str, Any]:
    """Return the pool as a scenario spells it; a sheet's coefficients only where the log corrects them."""
    step = {one.name: float(one.value) for one in coefficients if one.determined or not has_sheets}
    if best.pool.law.experts_ms and "weights_ms" in step:
        step["experts_ms"] = best.pool.law.experts_ms
    tokens = (
        {} if cache is None or (has_sheets and not cache.determined) else {"kv_cache_tokens": cache.tokens}
    )
    return {**options, **tokens, "step": {**options.get("step", {}), **step}}


def _notes(
    log: RequestLog,
    best: ReplicaServer,
    coefficients: tuple[Coefficient, ...],
    cache: Cache | None,
    has_sheets: bool,
) -> Iterator[str]:
    yield from _oddities(log)
    of = "the data sheet" if has_sheets else "a guess"
    stayed = [one.name for one in coefficients if not one.determined]
    if stayed:
        yield f"not determined by this log, and left at the value of {of}: {', '.join(stayed)}"
    if stayed and len(stayed) < len(coefficients):
        yield (
            "intervals count in that these may be off: by half of their value, overhead_ms by all of it, and "
            f"sequence_ms by {SEQUENCE_MS} ms"
        )
    if cache is not None and not cache.determined:
        yield f"kv_cache_tokens is not determined by this log, and left at {cache.tokens:,}, {of}"
    truth = measured(log)
    for name, words in QUANTITIES.items():
        if not np.isfinite(getattr(truth, name)).any():
            yield f"the log does not tell the {words}"
    lost = int(((log.prompt + log.output) > best.pool.kv_cache_tokens).sum())
    if lost:
        yield f"{lost:,} requests are longer than the cache: the model would reject them"
    if best.replicas > 1:
        yield f"assumed: a request goes to that of the {best.replicas} replicas which has the fewest"


def _oddities(log: RequestLog) -> Iterator[str]:
    """Yield what a fit to a log takes for granted, where the log itself makes it doubtful."""
    if log.failed:
        told = f" ({log.columns['status']}: {listed(log.failed_as, 3)})" if log.failed_as else ""
        yield f"{log.failed:,} requests failed{told}: they are left out, as if they had taken no time"
    if len(log.models) > 1:
        yield f"the log has requests of {len(log.models):,} models, fitted as one: {listed(log.models, 3)}"
    if repeated := _repeated(log):
        yield f"{repeated:,} rows repeat another one in all times and tokens, and count as load of their own"


def _repeated(log: RequestLog) -> int:
    """Return how many rows have all times and tokens of an earlier one."""
    columns = log.arrival_s, log.prompt, log.output, np.nan_to_num(log.first_ms), np.nan_to_num(log.last_ms)
    return len(log) - len(np.unique(np.column_stack(columns), axis=0))


def holds_text(misses: tuple[Miss, ...], most: int = 5) -> list[str]:
    """Return where the model does not hold, in sentences, the worst first."""
    if not misses:
        return [f"every group of requests holds within {100 * HOLDS:.0f} % of its mean times"]
    said = [
        f"off by {100 * miss.error:+.1f} %: {QUANTITIES[miss.quantity]}, {miss.group}; "
        f"{miss.requests:,} requests"
        for miss in misses[:most]
    ]
    return [*said, f"and {len(misses) - most} more groups"] if len(misses) > most else said
