"""P(low < S ≤ high and S + J > t) for independent service time S and jitter J, law by law."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from carbonroute.arrays import Array, Index
from carbonroute.network import HalfNormal, Jitter
from carbonroute.workloads import Gamma, Law, Lognormal, Normal
from carbonroute.workloads.integrals import FARTHEST, over_scores
from carbonroute.workloads.piecewise import Piecewise

#: So many fixed times are summed over one by one.
_SINGLE = 4096
#: Scores of the jitter over which more of them are summed up by their mean and variance; none lies further.
_BINS = np.linspace(0.0, 9.0, 289)
#: One normal in 10⁴¹ lies as far.
_FAR = 13.5
#: Rows × times in memory at once.
_AT_ONCE = 1_000_000


@dataclass(frozen=True)
class TailArguments:
    """Arguments of n probabilities: t, low and high, ms, and the origin and region of J; shape (n,) each."""

    time_ms: Array
    low: Array
    high: Array
    origin: Index
    region: Index

    def __len__(self) -> int:
        return len(self.time_ms)

    def __getitem__(self, of: slice | Index) -> TailArguments:
        return TailArguments(self.time_ms[of], self.low[of], self.high[of], self.origin[of], self.region[of])

    @property
    def pair(self) -> tuple[Index, Index]:
        """Origins and regions as a column each, shape (n, 1)."""
        return self.origin[:, np.newaxis], self.region[:, np.newaxis]


def beyond(law: Law, jitter: Jitter, rows: TailArguments) -> Array:
    """Return the probability of each row, shape (n,)."""
    if jitter.none:
        return law.between(np.maximum(rows.low, rows.time_ms), rows.high)
    if law.steps is not None:
        return _of_steps(law.steps, jitter, rows)
    if isinstance(law, Normal) and isinstance(jitter, HalfNormal):
        return _of_normals(law, jitter.std_ms, rows)
    return _integrated(law, jitter, rows)


def tabulates(law: Law, jitter: Jitter) -> bool:
    """Whether a `Table` is as exact as integrals: of one smooth density, and one jitter for all pairs."""
    if not isinstance(law, Lognormal | Gamma) or not law.varies or jitter.none or jitter.by_pair:
        return False
    return isinstance(law, Lognormal) or law.std <= law.mean


def _of_normals(law: Normal, jitter_std_ms: float, rows: TailArguments) -> Array:
    """Add up the probabilities between low and high, and at the floor."""
    from carbonroute.special import ndtr

    left_ms = rows.time_ms - law.mean
    low, high = ((np.maximum(limit, law.floor) - law.mean) / law.std for limit in (rows.low, rows.high))
    ends = np.concatenate([high, low]), np.concatenate([left_ms, left_ms])
    below = _below(*ends, law.std, jitter_std_ms)
    share = below[: len(rows)] - below[len(rows) :]
    # Formula late-floor.
    at_floor = np.flatnonzero((rows.low < law.floor) & (law.floor <= rows.high))
    over = ndtr((law.floor - rows.time_ms[at_floor]) / jitter_std_ms)
    over[rows.time_ms[at_floor] < law.floor] = 1.0
    share[at_floor] += ndtr((law.floor - law.mean) / law.std) * over
    return np.maximum(share, 0.0)


def _below(score: Array, left_ms: Array, std: float, jitter_std: float) -> Array:
    """Return P(Z ≤ score and σZ + J > x) for a normal σZ and half-normal jitter J of s, x being `left_ms`.

    Where σ·score < x, that is the half-plane Z ≤ a less its part in which σZ + sY ≤ x, and any wedge between
    two lines is a sum of Owen's T: with τ² = σ² + s², h = x/τ, d = x − σa and m(v) = −sign(v)·Φ(−|v|)/2,

        m(a) − m(h) + T(a, d/(a·s)) + T(h, (a·s² − σ·d)/(x·s)),

    each term of which is as small as the tail it stands for. Elsewhere the jitter does not matter beyond x:
    Φ(−x/σ)/2 + Φ(−h)/2 + T(h, s/σ) − Φ(−a). Owen, Tables for Computing Bivariate Normal Probabilities,
    Ann. Math. Statist. 27 (1956).
    """
    from carbonroute.special import ndtr, owens_t

    total_std = np.hypot(std, jitter_std)
    missing = left_ms - std * score
    share = np.zeros_like(left_ms)
    at = np.flatnonzero(missing <= 0)
    x, h = left_ms[at], left_ms[at] / total_std
    # Formula late-normal.
    share[at] = (ndtr(-x / std) + ndtr(-h)) / 2 + owens_t(h, jitter_std / std) - ndtr(-score[at])
    at = np.flatnonzero((missing > 0) & (missing < _FAR * jitter_std) & (score > -_FAR))
    a, d, x, h = score[at], missing[at], left_ms[at], left_ms[at] / total_std
    with np.errstate(divide="ignore", over="ignore"):
        # Formula late-normal.
        wedges = owens_t(a, d / (a * jitter_std))
        wedges += owens_t(h, (a * jitter_std**2 - std * d) / (x * jitter_std))
    share[at] = wedges + np.copysign(ndtr(-np.abs(h)), h) / 2 - np.copysign(ndtr(-np.abs(a)), a) / 2
    return share


def _of_steps(times_ms: Array, jitter: Jitter, rows: TailArguments) -> Array:
    """Sum over service times that are equally likely, ascending, shape (K,)."""
    one_by_one = len(times_ms) <= _SINGLE
    way = _one_by_one if one_by_one else _in_bins
    size = max(1, _AT_ONCE // (len(times_ms) if one_by_one else _BINS.size))
    parts = [way(times_ms, jitter, rows[first : first + size]) for first in range(0, len(rows), size)]
    return np.concatenate(parts or [np.zeros(0)])


def _one_by_one(times_ms: Array, jitter: Jitter, rows: TailArguments) -> Array:
    from carbonroute.special import ndtr

    # Formula late-sum.
    late = ndtr(-jitter.score(rows.time_ms[:, np.newaxis] - times_ms, *rows.pair))
    inside = (times_ms > rows.low[:, np.newaxis]) & (times_ms <= rows.high[:, np.newaxis])
    shares: Array = np.where(inside, late, 0.0).mean(axis=1)
    return shares


def _in_bins(times_ms: Array, jitter: Jitter, rows: TailArguments) -> Array:
    """Take the times between two scores of the jitter for two of them: their mean ± their standard deviation.

    That is right for parabolas; of bins w wide it leaves less than 0.0064·w³ times their probability.
    """
    from carbonroute.special import ndtr

    time_ms, centre_ms = rows.time_ms[:, np.newaxis], times_ms.mean()
    powers = np.stack([times_ms - centre_ms, (times_ms - centre_ms) ** 2])
    sums = np.pad(np.cumsum(powers, axis=1), ((0, 0), (1, 0)))
    low, high = (
        np.searchsorted(times_ms, limit, side="right")[:, np.newaxis]
        for limit in (rows.low, np.maximum(rows.low, rows.high))
    )
    ends = np.clip(np.searchsorted(times_ms, time_ms - jitter.at(_BINS, *rows.pair), side="right"), low, high)
    count = ends[:, :-1] - ends[:, 1:]
    mean, square = (sums[:, ends[:, :-1]] - sums[:, ends[:, 1:]]) / np.maximum(count, 1)
    std = np.sqrt(np.maximum(square - mean**2, 0.0))
    # Formula late-bins.
    left_ms = np.maximum(time_ms - centre_ms - mean - np.stack([std, -std]), 0.0)
    late = ndtr(-jitter.score(left_ms, *rows.pair)).mean(axis=0)
    shares: Array = (high[:, 0] - ends[:, 0] + (count * late).sum(axis=1)) / len(times_ms)
    return shares


def _integrated(law: Law, jitter: Jitter, rows: TailArguments) -> Array:
    """Integrate over the jitter: half of it is 0, and the other half has the positive scores z.

    P = ½·P(max(low, t) < S ≤ high) + ∫ φ(z)·P(max(low, t − J(z)) < S ≤ high) dz.
    """
    from carbonroute.special import ndtr

    tail, edges = law.beyond(rows.high), law.edges
    at_once = np.maximum(law.beyond(np.maximum(rows.low, rows.time_ms)) - tail, 0.0)
    start, end = (
        np.maximum(jitter.score(rows.time_ms - limit, rows.origin, rows.region), 0.0)
        for limit in (np.minimum(rows.high, edges[-1]), np.maximum(rows.low, edges[0]))
    )
    splits = jitter.score(rows.time_ms[:, np.newaxis] - edges, *rows.pair)

    def late(z: Array, row: Index) -> Array:
        return law.beyond(rows.time_ms[row] - jitter.at(z, rows.origin[row], rows.region[row])) - tail[row]

    # Formula late-integral.
    at_last = np.maximum(law.beyond(rows.low) - tail, 0.0)
    shares: Array = at_once / 2 + over_scores(start, end, splits, late) + ndtr(-end) * at_last
    return shares


class Table:
    """P(S + J > t) of one pair, for any number of times.

    `edges`: times between which the probability is smooth, ms, shape (K,).
    """

    def __init__(self, law: Law, jitter: Jitter, origin: int, region: int) -> None:
        steps_ms = jitter.at(np.arange(FARTHEST + 1), np.array(origin), np.array(region))
        lowest, highest = law.edges[0], law.edges[-1]
        self.edges = np.unique([*law.edges, *(lowest + steps_ms), *(highest + steps_ms), 2 * highest])

        def late(time_ms: Array) -> Array:
            limits = np.full((2, len(time_ms)), [[-np.inf], [np.inf]])
            pair = np.full((2, len(time_ms)), [[origin], [region]])
            return beyond(law, jitter, TailArguments(time_ms, *limits, *pair))

        self._late = Piecewise(self.edges, late)

    def __call__(self, time_ms: Array) -> Array:
        """Return the probability of times, shape of `time_ms`."""
        late = np.where(time_ms < self.edges[-1], self._late(time_ms), 0.0)
        return np.where(time_ms < self.edges[0], 1.0, np.clip(late, 0.0, 1.0))
