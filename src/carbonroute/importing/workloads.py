"""Laws of service time and energies of workloads, from the measured quantiles, samples and power."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from statistics import NormalDist

import numpy as np

from carbonroute.arrays import Array
from carbonroute.importing.aggregates import MILLIONTHS, Aggregates, TokenSums
from carbonroute.importing.laws import (
    PROBABILITIES,
    Z95,
    Z99,
    Buckets,
    LognormalFit,
    Quantile,
    QuantileMixture,
    distance,
    lognormal,
    rounded,
)
from carbonroute.importing.sketch import Sketch
from carbonroute.importing.windows import region_of, step_us, workload_of
from carbonroute.units import US_PER_S
from carbonroute.workloads.service import Lognormal
from carbonroute.workloads.tokens import Tokens

#: A lognormal law that is further from the measured quantiles gives way to the quantiles themselves.
MAX_ERROR = 0.1
#: So few samples say nothing of a tail.
_FEW = 20
#: Quantiles that stand for all samples, each with the same probability.
QUANTILES = 1000


@dataclass(frozen=True)
class Service:
    """The law of a workload's service time.

    Attributes
    ----------
    entries
        The law's keys and values in a scenario; empty where no file tells it.
    basis
        The measurements, how the law was made of them, and its error, in words.
    p99_ms
        99th percentile, measured or of the law; None where it is not known.
    times_ms
        Quantiles that the law reads from a file, ms, shape (n,); None for other laws.
    error
        Largest distance between a quantile of the law and the measured one, as a share; None if not known.
    assumed
        Whether the user stated it.
    """

    entries: dict[str, object]
    basis: str
    p99_ms: float | None = None
    times_ms: Array | None = None
    error: float | None = None
    assumed: bool = False


@dataclass(frozen=True)
class MeasuredEnergy:
    """Energy of a workload's requests.

    `average_j`: σ power · time / Σ requests, J: idle power included.
    `marginal_j`: slope of power over requests per second, J; None where all rates are the same, or power does
    not rise with them: then no marginal energy could be measured.
    """

    average_j: float
    marginal_j: float | None


def service(aggregates: Aggregates, workload: str) -> Service:
    """Return the law of a workload's service time, of the best that is known of it."""
    stated = aggregates.settings.service_ms.get(workload)
    if stated is not None:
        fit = lognormal(*stated)
        if fit is not None:
            return _of_fit(fit, "assumed: stated by --service", stated, assumed=True)
    raws = sorted({raw for raw in measured(aggregates) if aggregates.workload_name(raw) == workload})
    for raw in [*raws, ""]:
        law = (
            _of_tokens(aggregates, raw)
            or _of_samples(aggregates, raw)
            or _of_rows(aggregates, raw)
            or _of_metrics(aggregates, raw)
        )
        if law is not None:
            return law
    return Service({}, "no file tells it")


def measured(aggregates: Aggregates) -> set[str]:
    """Return the workloads of which anything is measured; the empty text where no file names one."""
    of_rows = {
        cell.workload
        for (_, cell, _), row in aggregates.rows.items()
        if row.p50_ms is not None or row.power_w is not None
    }
    of_quantiles = {workload for workload, _ in aggregates.quantiles}
    return {
        *aggregates.service,
        *aggregates.prompts,
        *aggregates.answers,
        *of_rows,
        *aggregates.buckets,
        *of_quantiles,
    }


def _of_fit(
    fit: LognormalFit, basis: str, quantiles: tuple[float, float], *, assumed: bool = False
) -> Service:
    sigma = float(np.log(quantiles[1] / quantiles[0])) / Z95
    return Service(
        {"law": "lognormal", "mean": rounded(fit.mean), "std": rounded(fit.std)},
        basis,
        p99_ms=quantiles[0] * float(np.exp(sigma * Z99)),
        error=fit.error,
        assumed=assumed,
    )


def _error_text(fit: LognormalFit) -> str:
    return _farthest(fit.error, fit.at)


def _farthest(error: float, at: float) -> str:
    return f"largest distance to a measured quantile: {error:.1%}, at {at:.0%}"


def _of_samples(aggregates: Aggregates, raw: str) -> Service | None:
    sketch = aggregates.service.get(raw)
    if sketch is None or not sketch.count:
        return None
    return _of_sketch(sketch)


def _of_sketch(sketch: Sketch) -> Service | None:
    p50, p95, p99 = sketch.quantiles(np.array([0.5, 0.95, 0.99])).tolist()
    fit = lognormal(p50, p95, measured=sketch.quantile)
    measured_text = f"{sketch.count:,} requests: p50 = {p50:g}, p95 = {p95:g} ms"
    if fit is not None and (fit.error <= MAX_ERROR or sketch.count < _FEW):
        entries = {"law": "lognormal", "mean": rounded(fit.mean), "std": rounded(fit.std)}
        few = "; so few say little of the tail" if sketch.count < _FEW else ""
        return Service(
            entries,
            f"lognormal through p50 and p95 of {measured_text}; {_error_text(fit)}{few}",
            p99,
            error=fit.error,
        )
    if p95 <= 0 or sketch.count < 2:
        return None
    times_ms = sketch.quantiles((np.arange(QUANTILES) + 0.5) / QUANTILES)
    positive = times_ms[times_ms > 0]
    because = (
        f"a lognormal law would be {fit.error:.0%} off" if fit else "no lognormal law has these quantiles"
    )
    basis = f"{len(positive):,} quantiles of {measured_text}; {because}"
    return Service({"law": "empirical"}, basis, p99, positive, error=0.0)


def _of_rows(aggregates: Aggregates, raw: str) -> Service | None:
    rows = []
    for (_, cell, _), row in aggregates.rows.items():
        if cell.workload != raw or row.requests == 0 or not row.p50_ms or not row.high_ms:
            continue
        if row.high_ms >= row.p50_ms and row.z:
            sigma = float(np.log(row.high_ms / row.p50_ms)) / row.z
            rows.append((row.p50_ms, sigma, None if row.requests is None else row.requests / MILLIONTHS))
    if not rows:
        return None
    weighted = [(p50, sigma, weight) for p50, sigma, weight in rows if weight is not None]
    mixture = QuantileMixture.of(weighted or [(p50, sigma, 1.0) for p50, sigma, _ in rows])
    p50, p95 = mixture.quantile(0.5), mixture.quantile(0.95)
    fit = lognormal(p50, p95, measured=mixture.quantile)
    if fit is None:
        return None
    weights = "weighted by its requests" if weighted else "all of one weight"
    basis = (
        f"lognormal through p50 = {p50:.6g} and p95 = {p95:.6g} ms of {len(weighted or rows):,} rows, each "
        f"lognormal by its own quantiles, {weights}; {_error_text(fit)}"
    )
    return Service(
        {"law": "lognormal", "mean": rounded(fit.mean), "std": rounded(fit.std)},
        basis,
        mixture.quantile(0.99),
        error=fit.error,
    )


def _of_metrics(aggregates: Aggregates, raw: str) -> Service | None:
    if (counted := aggregates.buckets.get(raw)) and max(counted.values()) > 0:
        ends = sorted(counted)
        below = np.maximum.accumulate(np.array([counted[end] for end in ends], dtype=np.float64))
        measured: Quantile = Buckets(np.array(ends), below).quantile
        source = f"{len(ends)} buckets"
    else:
        known = {p: sketch.quantile(0.5) for (name, p), sketch in aggregates.quantiles.items() if name == raw}
        high = next((p for p in (0.95, 0.99, 0.9) if p in known), None)
        if 0.5 not in known or high is None:
            return None
        fit = lognormal(known[0.5], known[high], NormalDist().inv_cdf(high))
        if fit is None:
            return None
        quantiles = f"p50 = {known[0.5]:g} and p{high * 100:g} = {known[high]:g} ms"
        basis = f"lognormal through {quantiles}, medians over time"
        p95 = known[0.5] * (known[high] / known[0.5]) ** (Z95 / NormalDist().inv_cdf(high))
        return _of_fit(fit, basis, (known[0.5], p95))
    p50, p95 = measured(0.5), measured(0.95)
    fit = lognormal(p50, p95, measured=measured)
    if fit is None:
        return None
    basis = f"lognormal through p50 = {p50:.6g} and p95 = {p95:.6g} ms of {source}; {_error_text(fit)}"
    return _of_fit(fit, basis, (p50, p95))


def _of_tokens(aggregates: Aggregates, raw: str) -> Service | None:
    """Return the law of tokens; where it is far from measured service times, the law of these alone."""
    prompts, answers, measured = (
        aggregates.prompts.get(raw),
        aggregates.answers.get(raw),
        aggregates.service.get(raw),
    )
    if not answers or not answers.count:
        return None
    lengths = _length(answers)
    if lengths is None:
        return None
    lengths_text = (
        f"{answers.count:,} requests; lengths of answers are lognormal through p50 and p95, "
        f"{lengths.error:.0%} off at most"
    )
    known: dict[str, object] = {"answer_tokens": lengths.entries}
    if prompts and prompts.count and (of_prompts := _length(prompts)) is not None:
        known = {"prompt_tokens": of_prompts.entries, **known}
    if not measured or not measured.count:
        return _of_stated_tokens(known, aggregates.settings.ms_per_token, lengths_text)
    rates = least_squares(aggregates.tokens[raw])
    return _of_measured_tokens(_token_entries(rates, known), lengths_text, measured) if rates else None


def _token_entries(rates: tuple[float, float, float], known: Mapping[str, object]) -> dict[str, object]:
    overhead, prefill, decode = map(rounded, rates)
    return {
        "law": "tokens",
        "prefill_ms_per_token": prefill,
        "decode_ms_per_token": decode,
        "overhead_ms": overhead,
        **known,
    }


def _of_stated_tokens(
    known: Mapping[str, object], ms_per_token: tuple[float, float] | None, lengths_text: str
) -> Service:
    if ms_per_token is None:
        return Service({"law": "tokens", **known}, f"no file tells the ms per token; {lengths_text}")
    entries = _token_entries((0.0, *ms_per_token), known)
    basis = f"assumed: ms per token stated by --ms-per-token; {lengths_text}"
    return Service(entries, basis, _law(entries).quantile(0.99), assumed=True)


def _of_measured_tokens(entries: dict[str, object], lengths_text: str, measured: Sketch) -> Service:
    law = _law(entries)
    error, at = max((distance(law.quantile(p), measured.quantile(p)), p) for p in PROBABILITIES)
    other = _of_sketch(measured)
    if other is not None and other.error is not None and error > max(MAX_ERROR, other.error):
        return replace(other, basis=f"{other.basis}; a law of tokens would be {error:.0%} off")
    basis = f"least squares of service time over tokens of {lengths_text}; {_farthest(error, at)}"
    return Service(entries, basis, measured.quantile(0.99), error=error)


def _law(entries: Mapping[str, object]) -> Tokens:
    """Return the law of some entries; without prompts, of prompts of one token."""
    one = {"law": "lognormal", "mean": 1.0, "std": 0.0}
    spelled = {"prompt_tokens": one, **entries}
    for key in ("prompt_tokens", "answer_tokens"):
        spelled[key] = Lognormal.spelled(**spelled[key])  # type: ignore[arg-type]  # a dict of ours
    return Tokens.spelled(**spelled)


@dataclass(frozen=True)
class _Length:
    """A lognormal law of a number of tokens, and its largest distance to a measured quantile."""

    entries: dict[str, object]
    error: float


def _length(sketch: Sketch) -> _Length | None:
    p50, p95 = sketch.quantiles(np.array([0.5, 0.95])).tolist()
    fit = lognormal(max(p50, 1.0), max(p95, p50, 1.0), measured=sketch.quantile)
    if fit is None:
        return None
    return _Length({"law": "lognormal", "mean": rounded(fit.mean), "std": rounded(fit.std)}, fit.error)


def least_squares(sums: TokenSums) -> tuple[float, float, float] | None:
    """Return overhead, ms, and ms per prompt token and per answer token that fit best, none below 0.

    The normal equations are solved exactly. Where a coefficient would be negative, it is left out: first the
    prompt's, then the overhead.
    """
    s = sums.sums
    table = {
        ("1", "1"): s["n"],
        ("1", "p"): s["p"],
        ("1", "a"): s["a"],
        ("p", "p"): s["pp"],
        ("a", "p"): s["pa"],
        ("a", "a"): s["aa"],
    }
    right = {"1": s["s"], "p": s["ps"], "a": s["as"]}
    for terms in (("1", "p", "a"), ("1", "a"), ("p", "a"), ("a",)):
        rows = [[Fraction(table[min(x, y), max(x, y)]) for y in terms] for x in terms]
        solved = _solve(rows, [Fraction(right[x]) for x in terms])
        if solved is None:
            continue
        coefficients = dict(zip(terms, solved, strict=True))
        if all(value >= 0 for value in solved) and coefficients["a"] > 0:
            overhead, prefill, decode = (
                float(coefficients.get(term, Fraction(0)) / 1000) for term in ("1", "p", "a")
            )
            return overhead, prefill, decode
    return None


def _solve(rows: Sequence[Sequence[Fraction]], right: Sequence[Fraction]) -> list[Fraction] | None:
    """Return the solution of linear equations, exactly; None where there is not one."""
    table = [[*row, value] for row, value in zip(rows, right, strict=True)]
    count = len(table)
    for place in range(count):
        pivot = next((row for row in range(place, count) if table[row][place]), None)
        if pivot is None:
            return None
        table[place], table[pivot] = table[pivot], table[place]
        table[place] = [value / table[place][place] for value in table[place]]
        for row in range(count):
            if row != place and table[row][place]:
                by = table[row][place]
                table[row] = [value - by * own for value, own in zip(table[row], table[place], strict=True)]
    return [row[-1] for row in table]


def energies(aggregates: Aggregates, workloads: Sequence[str]) -> dict[str, MeasuredEnergy]:
    """Return the energy of each workload of which power and requests are known for the same spans of time.

    Power of a region as a whole is a workload's where there is only one.
    """
    power, requests = _power_and_requests(aggregates, workloads)
    step = _step_of(power) or step_us(aggregates)
    by_workload = {}
    for workload in workloads:
        own = {key: sum(sorted(power[key])) for key in sorted(power) if key[2] == workload}
        rows = [(watts, requests[key] / (step / US_PER_S)) for key, watts in own.items() if key in requests]
        energy = _of_power(rows) or _of_power(_by_window(aggregates, own, step))
        if energy is not None:
            by_workload[workload] = energy
    return by_workload


#: Start of a span of time, µs, region and workload.
_Key = tuple[int, str, str]


def _power_and_requests(
    aggregates: Aggregates, workloads: Sequence[str]
) -> tuple[dict[_Key, list[float]], dict[_Key, float]]:
    """Return power, W, and requests of the same spans: of the rows that state power, or of counted ones."""
    power: defaultdict[_Key, list[float]] = defaultdict(list)
    beside: defaultdict[_Key, int] = defaultdict(int)
    counted: defaultdict[_Key, int] = defaultdict(int)
    only = workloads[0] if len(workloads) == 1 else None
    for (begin, cell, _), row in aggregates.rows.items():
        workload = workload_of(cell, aggregates)
        if only is not None and (not cell.workload or workload == only):
            workload = only
        key = begin, region_of(cell, aggregates), workload
        if row.power_w is not None and (cell.workload or only or row.requests is not None):
            power[key].append(row.power_w)
            if row.requests is not None:
                beside[key] += row.requests
        if row.requests is not None and row.is_counted:
            counted[key] += row.requests
    requests = {
        key: (beside.get(key) or counted[key]) / MILLIONTHS
        for key in power
        if key in beside or key in counted
    }
    return dict(power), requests


def _step_of(power: Iterable[_Key]) -> int | None:
    """Return the most frequent distance of the times of power, µs; None of one time alone."""
    times = sorted({begin for begin, _, _ in power})
    gaps = Counter(later - earlier for earlier, later in pairwise(times))
    return min(gaps, key=lambda gap: (-gaps[gap], gap)) if gaps else None


def _by_window(aggregates: Aggregates, power: Mapping[_Key, float], step: int) -> list[tuple[float, float]]:
    """Return mean power, W, and requests per s of the windows of a log that power is known throughout."""
    window = max(aggregates.window_us, step)
    if window % step or window % aggregates.window_us:
        return []
    watts: defaultdict[tuple[int, str], list[float]] = defaultdict(list)
    for (begin, region, _), value in power.items():
        watts[begin // window, region].append(value)
    names = {workload for _, _, workload in power}
    requests: Counter[tuple[int, str]] = Counter()
    for (begin, cell), count in aggregates.counts.items():
        if workload_of(cell, aggregates) in names:
            requests[begin * aggregates.window_us // window, region_of(cell, aggregates)] += count
    return [
        (sum(sorted(values)) / len(values), requests[key] / (window / US_PER_S))
        for key, values in sorted(watts.items())
        if key in requests and len(values) == window // step
    ]


def _of_power(rows: Sequence[tuple[float, float]]) -> MeasuredEnergy | None:
    """Return the energy per request of spans of equal length, each of mean power, W, and requests per s."""
    if not rows:
        return None
    watts, rate = (np.array(column) for column in zip(*rows, strict=True))
    if rate.sum() <= 0:
        return None
    spread = rate - rate.mean()
    slope = float((spread * watts).sum() / (spread**2).sum()) if len(rows) > 2 and spread.any() else None
    marginal_j = slope if slope is not None and slope > 0 else None
    return MeasuredEnergy(float(watts.sum() / rate.sum()), marginal_j)
