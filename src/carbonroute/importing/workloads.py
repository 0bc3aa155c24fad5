"""From what was measured of each workload to its law of service time and its energy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from statistics import NormalDist

import numpy as np

from carbonroute.arrays import Array
from carbonroute.importing.laws import (
    PROBABILITIES,
    Z95,
    Buckets,
    LognormalFit,
    Quantile,
    QuantileMixture,
    distance,
    lognormal,
    rounded,
)
from carbonroute.importing.sketch import Sketch
from carbonroute.importing.tally import MILLIONTHS, RequestTally, TokenSums
from carbonroute.importing.windows import region_of, workload_of
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
    says
        What was measured, how the law was made of it, and its error, in words.
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
    says: str
    p99_ms: float | None = None
    times_ms: Array | None = None
    error: float | None = None
    assumed: bool = False


@dataclass(frozen=True)
class MeasuredEnergy:
    """Energy of a workload's requests.

    Attributes
    ----------
    average_j
        Σ power · time / Σ requests, J: what idles is in it.
    marginal_j
        Slope of power over requests per second, J; None where all rates are the same.
    """

    average_j: float
    marginal_j: float | None


def service(tally: RequestTally, workload: str) -> Service:
    """Return the law of a workload's service time, of the best that is known of it."""
    stated = tally.settings.service_ms.get(workload)
    if stated is not None:
        fit = lognormal(*stated)
        if fit is not None:
            return _of_fit(
                fit, "assumed: stated by --service", NormalDist().inv_cdf(0.99), stated, assumed=True
            )
    raws = sorted({raw for raw in _measured(tally) if tally.workload_name(raw) == workload})
    for raw in [*raws, ""]:
        found = (
            _of_tokens(tally, raw)
            or _of_samples(tally, raw)
            or _of_rows(tally, raw)
            or _of_metrics(tally, raw)
        )
        if found is not None:
            return found
    return Service({}, "no file tells it")


def _measured(tally: RequestTally) -> set[str]:
    of_rows = {cell.workload for _, cell, _ in tally.rows}
    of_quantiles = {workload for workload, _ in tally.quantiles}
    return {*tally.service, *tally.prompts, *tally.answers, *of_rows, *tally.buckets, *of_quantiles}


def _of_fit(
    fit: LognormalFit, says: str, z99: float, quantiles: tuple[float, float], *, assumed: bool = False
) -> Service:
    sigma = float(np.log(quantiles[1] / quantiles[0])) / Z95
    return Service(
        {"law": "lognormal", "mean": rounded(fit.mean), "std": rounded(fit.std)},
        says,
        p99_ms=quantiles[0] * float(np.exp(sigma * z99)),
        error=fit.error,
        assumed=assumed,
    )


def _error_text(fit: LognormalFit) -> str:
    return _farthest(fit.error, fit.at)


def _farthest(error: float, at: float) -> str:
    return f"largest distance to a measured quantile: {error:.1%}, at {at:.0%}"


def _of_samples(tally: RequestTally, raw: str) -> Service | None:
    sketch = tally.service.get(raw)
    if sketch is None or not sketch.count:
        return None
    return _of_sketch(sketch)


def _of_sketch(sketch: Sketch) -> Service | None:
    p50, p95, p99 = sketch.quantiles(np.array([0.5, 0.95, 0.99])).tolist()
    fit = lognormal(p50, p95, measured=sketch.quantile)
    what = f"{sketch.count:,} requests: p50 = {p50:g}, p95 = {p95:g} ms"
    if fit is not None and (fit.error <= MAX_ERROR or sketch.count < _FEW):
        entries = {"law": "lognormal", "mean": rounded(fit.mean), "std": rounded(fit.std)}
        few = "; so few say little of the tail" if sketch.count < _FEW else ""
        return Service(
            entries, f"lognormal through p50 and p95 of {what}; {_error_text(fit)}{few}", p99, error=fit.error
        )
    if p95 <= 0 or sketch.count < 2:
        return None
    times_ms = sketch.quantiles((np.arange(QUANTILES) + 0.5) / QUANTILES)
    positive = times_ms[times_ms > 0]
    because = (
        f"a lognormal law would be {fit.error:.0%} off" if fit else "no lognormal law has these quantiles"
    )
    says = f"{len(positive):,} quantiles of {what}; {because}"
    return Service({"law": "empirical"}, says, p99, positive, error=0.0)


def _of_rows(tally: RequestTally, raw: str) -> Service | None:
    rows = []
    for (_, cell, _), row in tally.rows.items():
        if cell.workload != raw or not row.requests or not row.p50_ms or not row.high_ms:
            continue
        if row.high_ms >= row.p50_ms and row.z:
            sigma = float(np.log(row.high_ms / row.p50_ms)) / row.z
            rows.append((row.p50_ms, sigma, row.requests / MILLIONTHS))
    if not rows:
        return None
    mixture = QuantileMixture.of(rows)
    p50, p95 = mixture.quantile(0.5), mixture.quantile(0.95)
    fit = lognormal(p50, p95, measured=mixture.quantile)
    if fit is None:
        return None
    says = (
        f"lognormal through p50 = {p50:.6g} and p95 = {p95:.6g} ms of {len(rows):,} rows, each lognormal by "
        f"its own quantiles, weighted by its requests; {_error_text(fit)}"
    )
    return Service(
        {"law": "lognormal", "mean": rounded(fit.mean), "std": rounded(fit.std)},
        says,
        mixture.quantile(0.99),
        error=fit.error,
    )


def _of_metrics(tally: RequestTally, raw: str) -> Service | None:
    if (counted := tally.buckets.get(raw)) and max(counted.values()) > 0:
        ends = sorted(counted)
        below = np.maximum.accumulate(np.array([counted[end] for end in ends], dtype=np.float64))
        measured: Quantile = Buckets(np.array(ends), below).quantile
        what = f"{len(ends)} buckets"
    else:
        known = {p: sketch.quantile(0.5) for (name, p), sketch in tally.quantiles.items() if name == raw}
        high = next((p for p in (0.95, 0.99, 0.9) if p in known), None)
        if 0.5 not in known or high is None:
            return None
        fit = lognormal(known[0.5], known[high], NormalDist().inv_cdf(high))
        if fit is None:
            return None
        quantiles = f"p50 = {known[0.5]:g} and p{high * 100:g} = {known[high]:g} ms"
        says = f"lognormal through {quantiles}, medians over time"
        p95 = known[0.5] * (known[high] / known[0.5]) ** (Z95 / NormalDist().inv_cdf(high))
        return _of_fit(fit, says, NormalDist().inv_cdf(0.99), (known[0.5], p95))
    p50, p95 = measured(0.5), measured(0.95)
    fit = lognormal(p50, p95, measured=measured)
    if fit is None:
        return None
    says = f"lognormal through p50 = {p50:.6g} and p95 = {p95:.6g} ms of {what}; {_error_text(fit)}"
    return _of_fit(fit, says, NormalDist().inv_cdf(0.99), (p50, p95))


def _of_tokens(tally: RequestTally, raw: str) -> Service | None:
    """Return the law of tokens; where it is far from measured service times, the law of these alone."""
    prompts, answers, measured = tally.prompts.get(raw), tally.answers.get(raw), tally.service.get(raw)
    if not answers or not answers.count:
        return None
    lengths = _length(answers)
    if lengths is None:
        return None
    what = (
        f"{answers.count:,} requests; lengths of answers are lognormal through p50 and p95, "
        f"{lengths.error:.0%} off at most"
    )
    known: dict[str, object] = {"answer_tokens": lengths.entries}
    if prompts and prompts.count and (of_prompts := _length(prompts)) is not None:
        known = {"prompt_tokens": of_prompts.entries, **known}
    if not measured or not measured.count:
        return _of_stated_tokens(known, tally.settings.ms_per_token, what)
    rates = least_squares(tally.tokens[raw])
    return _of_measured_tokens(_token_entries(rates, known), what, measured) if rates else None


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
    known: Mapping[str, object], ms_per_token: tuple[float, float] | None, what: str
) -> Service:
    if ms_per_token is None:
        return Service({"law": "tokens", **known}, f"no file tells the ms per token; {what}")
    entries = _token_entries((0.0, *ms_per_token), known)
    says = f"assumed: ms per token stated by --ms-per-token; {what}"
    return Service(entries, says, _law(entries).quantile(0.99), assumed=True)


def _of_measured_tokens(entries: dict[str, object], what: str, measured: Sketch) -> Service:
    law = _law(entries)
    error, at = max((distance(law.quantile(p), measured.quantile(p)), p) for p in PROBABILITIES)
    other = _of_sketch(measured)
    if other is not None and other.error is not None and error > max(MAX_ERROR, other.error):
        return replace(other, says=f"{other.says}; a law of tokens would be {error:.0%} off")
    says = f"least squares of service time over tokens of {what}; {_farthest(error, at)}"
    return Service(entries, says, measured.quantile(0.99), error=error)


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
        found = dict(zip(terms, solved, strict=True))
        if all(value >= 0 for value in solved) and found["a"] > 0:
            overhead, prefill, decode = (
                float(found.get(term, Fraction(0)) / 1000) for term in ("1", "p", "a")
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


def energies(tally: RequestTally, workloads: Sequence[str], step_us: int) -> dict[str, MeasuredEnergy]:
    """Return the energy of each workload of which power and requests are known for the same spans of time.

    Power of a region as a whole is a workload's where there is only one.
    """
    power: defaultdict[tuple[int, str, str], list[float]] = defaultdict(list)
    requests: defaultdict[tuple[int, str, str], int] = defaultdict(int)
    only = workloads[0] if len(workloads) == 1 else None
    for (begin, cell, _), row in tally.rows.items():
        workload = only or workload_of(cell, tally)
        key = begin, region_of(cell, tally), workload
        if row.power_w is not None and (cell.workload or only or row.requests is not None):
            power[key].append(row.power_w)
        if row.requests is not None:
            requests[key] += row.requests
    found = {}
    for workload in workloads:
        keys = sorted(key for key in power if key[2] == workload and key in requests)
        watts = np.array([sum(sorted(power[key])) for key in keys])
        rate = np.array([requests[key] / MILLIONTHS for key in keys]) / (step_us / US_PER_S)
        if not keys or rate.sum() <= 0:
            continue
        spread = rate - rate.mean()
        slope = float((spread * watts).sum() / (spread**2).sum()) if len(keys) > 2 and spread.any() else None
        found[workload] = MeasuredEnergy(float(watts.sum() / rate.sum()), slope)
    return found
