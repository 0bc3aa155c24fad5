"""Least squares of a replica's coefficients against the times of a log's requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from types import MappingProxyType

import numpy as np

from carbonroute import rng
from carbonroute.analysis.replica_fit.forward import (
    COEFFICIENTS,
    ReplicaServer,
    RequestTimes,
    measured,
    served_apart,
)
from carbonroute.arrays import Array, Integers
from carbonroute.importing.request_log import RequestLog
from carbonroute.intervals import CONFIDENCE
from carbonroute.units import MS_PER

#: Server work per sequence and step on an H100, ms (docs/llm.md): the scale where a data sheet has none.
SEQUENCE_MS = 0.065
#: A coefficient is determined where half of its interval is below this part of the data sheet's value.
DETERMINED = 0.3
#: Relative errors above this count less and less: one request that an outlier hits decides nothing.
_ROBUST = 0.1
#: Relative errors that are expected beside the wait for the end of a step.
_ERROR = 0.05
#: Most of the data sheet's value that is tried.
_MOST = 50.0
#: Times that a log is served with its arrivals moved within a step: who is served with whom hangs on that.
_MOVED = 8
#: Requests served in one evaluation of the model that are enough, all of these times together.
_SERVED = 4000
#: Slopes are told by steps that change the times by this much, of at most so many multiples.
_CHANGE = 0.05
_STEPS = (1 / 32, 1.0)
#: How far a data sheet's value may be off that the log does not determine, in multiples.
_UNKNOWN: Mapping[str, float] = MappingProxyType(
    {
        "overhead_ms": 1.0,
        "weights_ms": 0.5,
        "kv_ms_per_token": 0.5,
        "compute_ms_per_token": 0.5,
        "sequence_ms": 1.0,
    }
)
#: Consecutive requests share batches: so many groups of them are taken as independent; of long logs, groups
#: of so many requests.
BLOCKS, BLOCK = 20, 100
#: Steps of the fit at most, the last ones that count, and the multiple that is too little for another.
_TRIES = 12
_LAST = 4
_ENOUGH = 1e-3


@dataclass(frozen=True)
class Coefficient:
    """A coefficient of the time of a step, as fitted.

    Attributes
    ----------
    name
        Of `StepLaw`.
    start
        Value of the data sheet, or the one to begin with.
    value
        As fitted; that of `start` where the log does not determine it.
    interval
        Of 95 %; NaN where the log does not determine the value.
    determined
        Whether it does.
    """

    name: str
    start: float
    value: float
    interval: tuple[float, float]
    determined: bool


@dataclass(frozen=True)
class Problem:
    """A log, its first requests that are fitted, and the server to begin with.

    `fitted`: how many F of the first ones count; the model serves them all.
    `scale`: of each coefficient, ms: what a multiple of 1 is.
    """

    log: RequestLog
    fitted: int
    server: ReplicaServer
    scale: Mapping[str, float]

    @property
    def sheet(self) -> dict[str, float]:
        """The multiples to begin with."""
        return {name: getattr(self.server.pool.law, name) / self.scale[name] for name in COEFFICIENTS}

    @cached_property
    def moved(self) -> tuple[RequestLog, ...]:
        """The log with arrivals moved by a part of a step, an even number of times."""
        times = int(np.clip(_SERVED // len(self.log) // 2, 1, _MOVED // 2)) * 2
        moves_s = rng.stream(0, "replica-fit").uniform(0, self.step_ms / MS_PER["s"], (times, len(self.log)))
        return tuple(replace(self.log, arrival_s=self.log.arrival_s + moves) for moves in moves_s)

    @cached_property
    def step_ms(self) -> float:
        """A typical time of a step, ms: of a token; where the log does not tell it, of the data sheet."""
        tpot_ms = self.measured.tpot_ms
        known = tpot_ms[np.isfinite(tpot_ms)]
        return float(np.median(known)) if len(known) else float(self.server.pool.law.step_ms(1, 0, 1))

    @cached_property
    def measured(self) -> RequestTimes:
        """The times of the fitted requests, shape (F,)."""
        return measured(self.log).part(slice(self.fitted))

    @cached_property
    def expected(self) -> Array:
        """Relative errors in units of `_ERROR`, shape (3, F), with those of a wait for the end of a step."""
        # A request that arrives within a step waits for its end, which no log tells: uniform over the step.
        wait_ms = self.step_ms / np.sqrt(12)
        times = self.measured.stacked
        further = np.maximum(self.log.output[: self.fitted] - 1, 1)
        waits = np.stack([wait_ms / times[0], wait_ms / further / times[1], wait_ms / times[2]])
        errors: Array = np.hypot(1.0, np.nan_to_num(waits) / _ERROR)
        return errors

    def residuals(self, multiples: Mapping[str, float]) -> Array:
        """Return ln(model ÷ measured) of the fitted requests' times, shape (moves, 3 · F).

        Those of times that hang on the phase of a step are smaller in proportion. 0 where the log does not
        tell a time; 1 where the model's cache can never hold a request.
        """
        server = self.server.scaled({name: self.scale[name] * value for name, value in multiples.items()})
        rows = slice(self.fitted)
        model = np.stack([times.part(rows).stacked for times in served_apart(server, self.moved)])
        ratios = _log_ratios(model, self.measured.stacked) / self.expected
        return ratios.reshape(len(ratios), -1)

    @cached_property
    def steps(self) -> Mapping[str, float]:
        """Steps of each multiple that tell the slopes, long enough to outdo jumps of who is served when."""
        start = self.sheet
        present, steps = self.residuals(start).mean(axis=0), {}
        for name in COEFFICIENTS:
            step, longest = _STEPS
            while step < longest:
                changed = self.residuals({**start, name: start[name] + step}).mean(axis=0) - present
                if np.sqrt(np.mean(changed**2)) >= _CHANGE:
                    break
                step *= 2
            steps[name] = step
        return steps

    @property
    def blocks(self) -> Integers:
        """Group of consecutive requests that each residual is of, shape (3 · F,)."""
        groups = max(2, min(max(BLOCKS, self.fitted // BLOCK), self.fitted // 5))
        return np.tile(np.arange(self.fitted) * groups // self.fitted, len(fields(RequestTimes)))


def _log_ratios(model: Array, truth: Array) -> Array:
    """Return ln(model ÷ truth), shape (..., 3, F)."""
    known = np.isfinite(truth) & (truth > 0)
    ratio = np.where(known & (model > 0), model, np.nan) / np.where(known, truth, 1.0)
    return np.where(known, np.nan_to_num(np.log(ratio), nan=1.0), 0.0)


def fit(problem: Problem, start: Mapping[str, float] | None = None) -> tuple[Coefficient, ...]:
    """Return the coefficients that serve the fitted requests as the log has them.

    Those that the log does not determine stay: the worst one is taken out, and the others are fitted anew.

    `start`: multiples to begin with; by default those of the data sheet.
    """
    sheet = problem.sheet
    free, values = list(COEFFICIENTS), {**sheet, **(start or {})}
    while free:
        values = least(problem, values, free)
        found = _Estimate.at(problem, values, free)
        half = found.half_widths
        worst = int(np.argmax([half[at] / max(values[name], 1.0) for at, name in enumerate(free)]))
        if half[worst] <= DETERMINED * max(values[free[worst]], 1.0):
            widths = dict(zip(free, np.hypot(half, found.by_fixed(_UNKNOWN)).tolist(), strict=True))
            break
        values[free[worst]] = sheet[free[worst]]
        del free[worst]
    else:
        widths = {}
    return tuple(_coefficient(problem, name, values[name], widths.get(name)) for name in COEFFICIENTS)


def _coefficient(problem: Problem, name: str, multiple: float, half: float | None) -> Coefficient:
    scale = problem.scale[name]
    start = getattr(problem.server.pool.law, name)
    if half is None:
        return Coefficient(name, start, start, (np.nan, np.nan), False)
    interval = max(multiple - half, 0.0) * scale, (multiple + half) * scale
    return Coefficient(name, start, multiple * scale, interval, True)


def least(problem: Problem, start: Mapping[str, float], free: Sequence[str]) -> dict[str, float]:
    """Return the multiples of some coefficients that fit best, and the others as they are.

    Gauss-Newton within bounds, with slopes over long steps and robust weights; the data sheet counts as a
    block of requests does, so that of coefficients that do the same, those nearest to it are taken. As the
    sum of squares is rough, and its lowest place a matter of chance, steps go on until they go to and fro;
    the mean of the last ones is the solution.
    """
    from scipy.optimize import lsq_linear

    present = np.array([start[name] for name in free])
    visited: list[Array] = []
    while len(visited) < _TRIES:
        values = {**start, **dict(zip(free, present.tolist(), strict=True))}
        residuals = problem.residuals(values).mean(axis=0)
        slopes, roots = _slopes(problem, values, free).mean(axis=0), np.sqrt(_weights(residuals))
        pull = np.sqrt(_pull(residuals, problem.blocks, free))
        known = np.array([problem.sheet[name] for name in free])
        lines = np.concatenate([roots[:, np.newaxis] * slopes, np.diag(pull)])
        target = np.concatenate([-roots * residuals, pull * (known - present)])
        bounds = -present - 1e-12, np.maximum(_MOST - present, 1e-12)
        steps = lsq_linear(lines, target, bounds=bounds).x
        present = (present + steps).clip(0, _MOST)
        visited.append(present)
        if len(visited) >= _LAST and np.abs(steps).max() < _ENOUGH:
            break
    found = np.mean(visited[-_LAST:], axis=0)
    return {**start, **dict(zip(free, found.tolist(), strict=True))}


def _pull(residuals: Array, blocks: Integers, names: Sequence[str]) -> Array:
    """Return how much the data sheet's value of each multiple counts in the sum, shape (names,)."""
    of_block = float((_weights(residuals) * residuals**2).sum()) / (blocks.max() + 1)
    pull: Array = of_block / np.array([_UNKNOWN[name] for name in names]) ** 2
    return pull


def _weights(residuals: Array) -> Array:
    weights: Array = 1 / np.sqrt(1 + (residuals / _ROBUST) ** 2)
    return weights


def costs(residuals: Array) -> Array:
    """Return what the fit makes small: squares of small residuals, straight for large ones; any shape."""
    every: Array = 2 * _ROBUST**2 * (np.sqrt(1 + (residuals / _ROBUST) ** 2) - 1)
    return every


@dataclass(frozen=True)
class _Estimate:
    """A solution: slopes of the residuals there, and what they say of its coefficients' errors.

    Attributes
    ----------
    slopes
        By the multiples of all `COEFFICIENTS`, of either half of the moves, shape (2, 3 · F, 5).
    residuals
        Their mean, shape (3 · F,).
    blocks
        Of which group of requests each is, shape (3 · F,).
    """

    free: Sequence[str]
    slopes: Array
    residuals: Array
    blocks: Integers

    @classmethod
    def at(cls, problem: Problem, values: Mapping[str, float], free: Sequence[str]) -> _Estimate:
        """Return the solution of some multiples."""
        slopes = _slopes(problem, values, list(COEFFICIENTS))
        return cls(free, slopes, problem.residuals(values).mean(axis=0), problem.blocks)

    def _of(self, names: Sequence[str]) -> Array:
        every: Array = self.slopes[..., [list(COEFFICIENTS).index(name) for name in names]]
        return every

    def _product(self, names: Sequence[str]) -> Array:
        """Return the slopes of the free ones times those of others, weighted, shape (free, names).

        Of different moves: their noise, which would make the product of equal ones too large, cancels.
        """
        one, other = self._of(self.free), self._of(names)
        weights = _weights(self.residuals)[:, np.newaxis]
        product: Array = (one[0].T @ (weights * other[1]) + one[1].T @ (weights * other[0])) / 2
        return product

    @property
    def _inverse(self) -> Array:
        product = self._product(self.free) + np.diag(self._pull)
        sizes, axes = np.linalg.eigh(product)
        inverse: Array = axes / np.maximum(sizes, self._pull.min()) @ axes.T
        return inverse

    @property
    def _pull(self) -> Array:
        return np.maximum(_pull(self.residuals, self.blocks, self.free), 1e-12)

    @property
    def half_widths(self) -> Array:
        """Half of the 95 % intervals of the free multiples if the others are right, shape (free,).

        By the sum of the residuals' products within blocks of consecutive requests, which share batches (a
        sandwich estimate clustered by block), and Student's t of the blocks.
        """
        from scipy.stats import t

        # Formula clustered-fit.
        scores = np.zeros((self.blocks.max() + 1, len(self.free)))
        weighted = (_weights(self.residuals) * self.residuals)[:, np.newaxis]
        np.add.at(scores, self.blocks, self._of(self.free).mean(axis=0) * weighted)
        groups, inverse = len(scores), self._inverse
        sheet = np.diag((self._pull * [_UNKNOWN[name] for name in self.free]) ** 2)
        covariance = inverse @ (scores.T @ scores * groups / (groups - 1) + sheet) @ inverse
        widths: Array = t.ppf((1 + CONFIDENCE) / 2, groups - 1) * np.sqrt(np.diag(covariance))
        return widths

    def by_fixed(self, unknown: Mapping[str, float]) -> Array:
        """Return how far the free multiples would go if the others were wrong by some, shape (free,)."""
        fixed = [name for name in COEFFICIENTS if name not in self.free]
        moves = self._inverse @ self._product(fixed) * [unknown[name] for name in fixed]
        widths: Array = np.sqrt((moves**2).sum(axis=1))
        return widths


def _slopes(problem: Problem, values: Mapping[str, float], names: Sequence[str]) -> Array:
    """Return the slopes of the residuals by some coefficients' multiples, shape (2, 3 · F, names).

    Of either half of the moves.
    """
    columns = [_slope(problem, values, name) for name in names]
    halves = np.stack(columns, axis=-1).reshape(2, len(problem.moved) // 2, -1, len(names))
    means: Array = halves.mean(axis=1)
    return means


def _slope(problem: Problem, values: Mapping[str, float], name: str) -> Array:
    """Return the slopes of the residuals by one coefficient's multiple, shape (moves, 3 · F)."""
    low, high = max(values[name] - problem.steps[name], 0.0), values[name] + problem.steps[name]
    rise = problem.residuals({**values, name: high}) - problem.residuals({**values, name: low})
    slope: Array = rise / (high - low)
    return slope
