"""Agreement of the sampled and the exact engine: difference of each figure in standard errors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from carbonroute.metrics.averages import number
from carbonroute.metrics.intervals import VIOLATIONS
from carbonroute.metrics.standard_errors import Key
from carbonroute.outcome import Histogram, Outcome
from carbonroute.scenario import Scenario

#: |z| beyond which the engines disagree, and beyond which a figure is listed.
MOST, REMARKABLE = 5.0, 3.0

SCHEMA = {
    "policy": pl.String,
    "workload": pl.String,
    "figure": pl.String,
    "sampled": pl.Float64,
    "exact": pl.Float64,
    "standard_error": pl.Float64,
    "z": pl.Float64,
}

#: Relative difference that comes from rounding alone, and from bins of 0.1 %.
_ROUNDING, _BIN = 1e-9, 1e-3
#: Fewer events than this are not normally distributed: binomial probabilities are computed.
_MANY = 100
_PERCENTILE, _P95 = "p95_latency_ms", 0.95


def table(
    scenario: Scenario,
    sampled: Sequence[Outcome],
    exact: Sequence[Outcome],
    figures: tuple[pl.DataFrame, pl.DataFrame],
    errors: Mapping[Key, float],
) -> pl.DataFrame:
    """Return a row per figure.

    `figures` are those of either engine, as `carbonroute.metrics.figures_of` gives them; `errors` the
    standard errors of the sampled ones, except for percentiles.

    Notes
    -----
    z is the difference in standard errors. Where few events are expected, z is the normal
    score of their binomial tail probability. A percentile's is by how many standard errors the
    exact share of requests below it is off. A percentile of counted bins can be anywhere in its bin: the
    width of the bin is part of its standard error, and its z is that of the best value within the width.
    Of a deterministic figure, z is 0 or infinite.
    """
    comparisons = {
        sample.policy: _Pair(scenario, sample, other) for sample, other in zip(sampled, exact, strict=True)
    }
    expected = {row[:3]: row[3] for row in figures[1].iter_rows()}
    rows = []
    for policy, workload, figure, value in figures[0].iter_rows():
        expectation, comparison = expected.get((policy, workload, figure), math.nan), comparisons[policy]
        if figure == _PERCENTILE:
            error, z = comparison.error_of_percentile(workload), comparison.z_of_percentile(workload)
        else:
            error = errors.get((policy, workload, figure), math.nan)
            z = comparison.z_of_few(workload, figure) or z_score(value, expectation, error)
        rows.append((policy, workload, figure, value, expectation, error, z))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def z_score(sampled: float, exact: float, error: float) -> float:
    """Return the difference of two figures in standard errors; 0 or ±inf where the error is 0.

    >>> z_score(11.0, 10.0, 0.5), z_score(10.0, 10.0, 0.0), z_score(11.0, 10.0, 0.0)
    (2.0, 0.0, inf)
    """
    # Formula z-score.
    off = sampled - exact
    if error > 0:
        return off / error
    return 0.0 if abs(off) <= _ROUNDING * (1 + abs(exact)) else math.copysign(math.inf, off)


def z_of_events(k: float, n: float, share: float) -> float:
    """Return the normal score with the tail probability of k events in n Bernoulli trials.

    Half the probability of exactly k events counts on either side.

    >>> round(z_of_events(520, 1000, 0.5), 2), round(z_of_events(1, 1000, 1e-6), 2)
    (1.26, 3.29)
    """
    from carbonroute.special import betainc, ndtri

    def at_least(k: float) -> float:
        return 1.0 if k <= 0 else 0.0 if k > n else float(betainc(k, n - k + 1, share))

    def at_most(k: float) -> float:
        return 1.0 if k >= n else 0.0 if k < 0 else float(betainc(n - k, k + 1, 1 - share))

    # Formula z-of-events.
    above, below = at_least(k) + at_least(k + 1), at_most(k) + at_most(k - 1)
    return float(-ndtri(above / 2) if above < below else ndtri(below / 2))


class _Pair:
    """Outcomes of a policy by both engines."""

    def __init__(self, scenario: Scenario, sampled: Outcome, exact: Outcome) -> None:
        self.sampled, self.exact = sampled, exact
        self.workloads: dict[str | None, int | None] = {None: None}
        self.workloads |= {workload.id: index for index, workload in enumerate(scenario.workloads)}
        self.regions = {f"share_{region.name}": index for index, region in enumerate(scenario.regions)}

    def z_of_few(self, workload: str | None, figure: str) -> float | None:
        """Return z of a share of requests, where few of them, or all but few, are expected to have it."""
        index = self.workloads[workload]
        of = slice(None) if index is None else slice(index, index + 1)
        if figure == VIOLATIONS:
            events, expected = self.sampled.violations[:, of], self.exact.violations[:, of]
        elif figure in self.regions:
            region = self.regions[figure]
            events, expected = self.sampled.requests[..., region], self.exact.requests[..., region]
        else:
            return None
        n, share = self._number(self.sampled, index), number(expected) / self._number(self.exact, index)
        share = min(max(share, 0.0), 1.0)
        return z_of_events(number(events), n, share) if n * min(share, 1 - share) < _MANY else None

    def z_of_percentile(self, workload: str | None) -> float:
        """Return z of the share of requests that the exact engine expects below the sampled percentile."""
        index = self.workloads[workload]
        n, latency = self._number(self.sampled, index), self.sampled.latency
        latency_ms = latency.quantile(_P95, index)
        blur = self._blur
        low, high = self.exact.latency.cdf(
            np.array([latency_ms * (1 - blur), latency_ms * (1 + blur)]), index
        )
        share = float(np.clip(_P95, low, high))  # of those at the very same latency, any part
        if n * (1 - _P95) >= _MANY:
            return (share - _P95) / self._error_below(n)
        return -z_of_events(math.floor(_P95 * (n - 1)) + 1, n, share)

    def error_of_percentile(self, workload: str | None) -> float:
        """Return half the distance between the percentiles at share ± one standard error, ms.

        Plus the width of a bin, where latencies were counted in bins.
        """
        index = self.workloads[workload]
        error = self._error_below(self._number(self.sampled, index))
        ends = (self.exact.latency.quantile(min(_P95 + sign * error, 1.0), index) for sign in (1, -1))
        high_ms, low_ms = ends
        width_ms = self._blur * self.sampled.latency.quantile(_P95, index)
        return (high_ms - low_ms) / 2 + width_ms

    @property
    def _blur(self) -> float:
        """Relative error of a percentile without sampling error: rounding, or the width of bins."""
        return _BIN if isinstance(self.sampled.latency, Histogram) else _ROUNDING

    def _error_below(self, n: float) -> float:
        return math.sqrt(_P95 * (1 - _P95) / n)

    def _number(self, outcome: Outcome, workload: int | None) -> float:
        return number(outcome.requests if workload is None else outcome.requests[:, workload])


def beyond(agreement: pl.DataFrame, most: float) -> pl.DataFrame:
    """Return the figures with |z| above `most`, or without z."""
    return agreement.filter(~(pl.col("z").abs() <= most))


def worst(agreement: pl.DataFrame) -> pl.DataFrame:
    """Return each policy's figure of largest |z|, and all beyond `REMARKABLE`."""
    off = pl.col("z").abs()
    return agreement.filter((off == off.max().over("policy")) | ~(off <= REMARKABLE))


def in_words(rows: pl.DataFrame) -> str:
    """Return whether the two engines agree, in a sentence."""
    off, of = beyond(rows, MOST).height, f"{rows.height} figures of the sampled engine"
    if not off:
        return f"All {of} are within {MOST:g} standard errors."
    return f"{off} of {of} are more than {MOST:g} standard errors off: one of the engines is wrong."
