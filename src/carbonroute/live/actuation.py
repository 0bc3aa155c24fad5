"""Actuation: the weights of all cells, carried by the targets that cover them, and as read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from carbonroute.arrays import Array, Mask
from carbonroute.live.actuators import Target
from carbonroute.live.actuators.gauge import OpenGauge
from carbonroute.live.actuators.target import Applied, OpenTarget, TargetContext, TargetError
from carbonroute.live.names import Names
from carbonroute.live.secrets import hidden

#: So many failures in a row of one target are an alarm.
_FAILURES = 2


@dataclass(frozen=True)
class Carried:
    """Result of applying weights.

    Attributes
    ----------
    sent
        The weights that were sent, shape (O, W, R).
    verified
        Cells whose weights were read back as sent, shape (O, W).
    in_force
        The weights in force as far as they are known, shape (O, W, R).
    records
        Each target's answer, as a journal has it.
    """

    sent: Array
    verified: NDArray[np.bool_]
    in_force: Array
    records: tuple[Mapping[str, Any], ...]


class Actuation:
    """Carries weights to all targets. The first target that covers a cell says what is in force there.

    Parameters
    ----------
    names
        Names along the axes of weights.
    in_force
        Weights that are taken to be in force where no target tells, shape (O, W, R).
    allowed
        Regions that may serve a cell, shape (O, W, R); None where all may. A target is told of no others:
        they get no trickle and no standby.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        names: Names,
        context: TargetContext,
        in_force: Array,
        allowed: Mask | None = None,
    ) -> None:
        self._names, self._targets = names, targets
        self._allowed = allowed
        self.covered = [names.cells(target.origin, target.workload) for target in targets]
        self._open: list[OpenTarget] = []
        self._failures = [0] * len(targets)
        self._details = [""] * len(targets)
        self.in_force = in_force.copy()
        try:
            for target in targets:
                self._open.append(target.open(context))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all targets; the weights in force stay."""
        for target in self._open:
            target.close()

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each target: its kind and place, and the cells that it is for."""
        return tuple(
            " ".join(filter(None, (target.label, target.origin, target.workload))) for target in self._targets
        )

    @property
    def alarms(self) -> tuple[str, ...]:
        """Notes for the person on call of targets that fail, or that others change."""
        failed = (
            f"actuator {name}: writes fail or are not read back ({detail})"
            for name, failures, detail in zip(self.names, self._failures, self._details, strict=True)
            if failures >= _FAILURES
        )
        changed = (
            f"actuator {name}: its weights were changed by others (a second controller, a reload, or by hand)"
            for name, target in zip(self.names, self._open, strict=True)
            if target.changed_by_others
        )
        return (*failed, *changed)

    @property
    def changed_by_others(self) -> bool:
        """Whether others had changed weights of any target before they were sent last."""
        return any(target.changed_by_others for target in self._open)

    def read_back(self) -> NDArray[np.bool_]:
        """Read the weights that are in force now; return which cells are known, shape (O, W)."""
        known = np.zeros(self._names.shape[:2], dtype=bool)
        for target, covered in zip(self._open, self.covered, strict=True):
            held = target.held()
            if held is not None:
                self._note(covered & ~known, held)
                known |= covered
        return known

    def apply(self, weights: Array, per_s: Array, *, urgent: bool = False) -> Carried:
        """Send weights, and read them back.

        Parameters
        ----------
        weights
            Shape (O, W, R).
        per_s
            Requests per s of each cell, shape (O, W): a target of several cells gets the mean of their
            weights by their traffic.
        urgent
            Whether targets that limit their changes are not waited for. Without it, one that is not due yet
            counts as one that holds what it held, and not as a failure.
        """
        sent = np.full(self._names.shape, np.nan)
        decided, verified = np.zeros((2, *self._names.shape[:2]), dtype=bool)
        records = []
        for index, (target, covered) in enumerate(zip(self._open, self.covered, strict=True)):
            waits = not urgent and target.delay_s() > 0
            applied = target.apply(self._shares(covered, weights, per_s), urgent=urgent)
            own = covered & ~decided
            decided |= covered
            sent[own] = self._row(applied.sent)
            if applied.read_back is not None:
                self._note(own, applied.read_back)
                if applied.result == "ok":
                    verified |= own
            self._count(index, applied, waits=waits)
            records.append(_record(self.names[index], applied))
        sent = np.where(np.isnan(sent), weights, sent)
        return Carried(sent, verified, self.in_force.copy(), tuple(records))

    def would_send(self, weights: Array, per_s: Array) -> tuple[Array, list[str]]:
        """Return the weights as `apply` would send them, shape (O, W, R), and what would be refused.

        `weights`, `per_s`: as of `apply`.
        """
        sent, problems = weights.copy(), []
        for name, target, covered in reversed(list(zip(self.names, self._open, self.covered, strict=True))):
            try:
                sent[covered] = self._row(target.rounded(self._shares(covered, weights, per_s)))
            except TargetError as error:
                problems.append(f"actuator {name}: {hidden(error.detail)}")
        return sent, problems

    @property
    def silent(self) -> tuple[str, ...]:
        """Why targets did not tell what is in force when they were asked last."""
        pairs = zip(self.names, self._open, strict=True)
        return tuple(
            f"actuator {name}: its weights cannot be read back ({hidden(target.problem)})"
            for name, target in pairs
            if target.problem
        )

    def defer(self, budget: Array) -> None:
        """Tell the targets that have a deferral budget how much of the work that can wait may run now.

        `budget`: of each cell, 0…1, shape (O, W): a target of several cells gets the lowest.
        """
        for target, covered in zip(self._open, self.covered, strict=True):
            if isinstance(target, OpenGauge):
                target.defer(float(budget[covered].min()))

    def _shares(self, covered: Mask, weights: Array, per_s: Array) -> dict[str, float]:
        """Return what a target is told: the shares of the regions that may serve its cells."""
        mean = _mean(weights[covered], per_s[covered])
        of_region = dict(zip(self._names.regions, mean.tolist(), strict=True))
        return {region: of_region[region] for region in self._names.served(covered, self._allowed)}

    def _note(self, cells: NDArray[np.bool_], shares: Mapping[str, float]) -> None:
        self.in_force[cells] = self._row(shares)

    def _row(self, shares: Mapping[str, float]) -> Array:
        row = np.array([shares.get(region, 0.0) for region in self._names.regions])
        return row / row.sum() if row.sum() > 0 else row

    def _count(self, index: int, applied: Applied, *, waits: bool) -> None:
        if waits and applied.result == "rejected":
            return
        self._failures[index] = 0 if applied.result == "ok" else self._failures[index] + 1
        self._details[index] = hidden(applied.detail or applied.result)


def _mean(weights: Array, per_s: Array) -> Array:
    """Return the mean of n cells' weights by their traffic, shape (R,); evenly where none comes."""
    total = per_s.sum()
    mean = per_s @ weights / total if total > 0 else weights.mean(axis=0)
    shares: Array = mean / mean.sum()
    return shares


def _record(name: str, applied: Applied) -> dict[str, Any]:
    return {
        "name": name,
        "sent": dict(applied.sent),
        "read_back": None if applied.read_back is None else dict(applied.read_back),
        "result": applied.result,
        "ms": applied.ms,
        "detail": hidden(applied.detail),
    }
