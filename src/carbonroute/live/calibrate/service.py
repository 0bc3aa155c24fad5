"""Mean service times: busy time of servers, divided by the requests that they served.

::

    B_pj · speed_p = Σ N_wpj · s_w

by weighted least squares over pools p and batches of time j, with busy time B, requests N that were served,
and mean service time s of workload w. With one workload, s is the ratio of both sums. N is the number that
came, less the growth of the queue, and of the work left of those in service: (1 + cv²)/2 of a mean each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from carbonroute.arrays import Array, Mask
from carbonroute.live.calibrate.evidence import Measurements
from carbonroute.live.calibrate.rows import Part, QuantityRow
from carbonroute.live.regression import Estimate, least_squares
from carbonroute.scenario import Capacity
from carbonroute.units import MS_PER
from carbonroute.workloads import Distribution, ServiceLaw

#: Batches are so many that their spread is known, and so long that requests end in the one they came in.
_BATCHES = 24
_LEAST_BATCHES = 4
#: Means of single workloads are told where their interval is narrower than this part of the mean, each way.
_NARROW = 0.2


def service_times(
    evidence: Measurements, workloads: Sequence[str], laws: Sequence[ServiceLaw], capacity: Capacity
) -> Part:
    """Return the mean service time of each workload, by its id, beside its law."""
    stated_ms = np.array([law.average() for law in laws])
    replicas = np.isin(np.arange(len(capacity.servers)), list(capacity.replicas))
    batched = (capacity.max_batch > 0) | replicas
    notes = ["service times: the journal tells means alone; each law keeps its shape, and std ÷ mean"]
    if batched.any():
        notes.append("service times: requests in batches share servers, and tell no time of their own")
    if replicas.any():
        notes.append("service times: those of a language model's replicas follow from a log of its requests")
    rejecting = np.array(capacity.labels)[evidence.rejecting].tolist()
    why = "its queue was full, and who was rejected is unknown"
    notes += [f"service times: {label} is left out, as {why}" for label in rejecting]
    columns, busy_s, served = _batches(evidence, capacity, laws, usable=~batched)
    if len(busy_s) < _LEAST_BATCHES:
        problem = "service times: unknown, as busy servers were not measured long enough"
        return Part(notes=(problem, *notes[1:]))
    weights = 1 / (columns @ stated_ms**2)  # the variance of a sum of service times, for laws alike
    estimates = least_squares(columns, busy_s * MS_PER["s"], weights)
    if estimates is None or (len(workloads) > 1 and not all(map(_narrow, estimates))):
        (factor,) = least_squares((columns @ stated_ms)[:, np.newaxis], busy_s * MS_PER["s"], weights) or (
            None,
        )
        if factor is None:
            return Part(notes=("service times: unknown, as no requests were served", *notes[1:]))
        estimates = tuple(_scaled(factor, mean_ms) for mean_ms in stated_ms.tolist())
        if len(workloads) > 1:
            notes.append(
                "service times: workloads share servers, and their shares vary too little to tell their "
                "means apart: all are scaled by one factor"
            )
    seen = [f"{count:,.0f} requests" for count in served.tolist()]
    rows = [
        QuantityRow(f"mean service time, {name}", "ms", mean_ms, one.value, one.interval, note)
        for name, mean_ms, one, note in zip(workloads, stated_ms.tolist(), estimates, seen, strict=True)
    ]
    changes, more = _changes(estimates, laws, workloads)
    return Part(tuple(rows), changes, (*notes, *more))


def _narrow(one: Estimate) -> bool:
    return one.value > 0 and one.interval[1] - one.value < _NARROW * one.value


def _scaled(factor: Estimate, mean_ms: float) -> Estimate:
    low, high = factor.interval
    return Estimate(factor.value * mean_ms, factor.error * mean_ms, (low * mean_ms, high * mean_ms))


def _batches(
    evidence: Measurements, capacity: Capacity, laws: Sequence[ServiceLaw], usable: Mask
) -> tuple[Array, Array, Array]:
    """Return requests served, (J, W), and busy time at speed 1, s, (J,), of batches of pools; sums, (W,)."""
    stated_ms = np.array([law.average() for law in laws])
    size = max(1, math.ceil(len(evidence) / _BATCHES))
    starts = np.arange(0, len(evidence) - size + 1, size)
    part_left = np.array([_left(law) for law in laws])
    columns, busy_s = [], []
    for pool in np.flatnonzero(usable):
        here = (capacity.pool == pool).any(axis=1)
        region = int(capacity.region[pool])
        sent = np.where(here, evidence.sent[:, :, region], 0.0)
        known = np.logical_and.reduceat(np.isfinite(evidence.busy_s[:, pool]), starts)
        came = np.add.reduceat(sent, starts, axis=0)
        share = np.divide(
            came,
            came.sum(axis=1, keepdims=True),
            out=np.zeros(came.shape),
            where=came.sum(axis=1, keepdims=True) > 0,
        )
        inside = evidence.waiting[:, pool, np.newaxis] + evidence.serving[:, pool, np.newaxis] * part_left
        ends = inside[np.append(starts[1:], len(evidence)) - 1]
        served = came - share * np.diff(ends, axis=0, prepend=0.0)
        total = np.add.reduceat(evidence.busy_s[:, pool], starts) * capacity.speed[pool]
        taken = known & (served @ stated_ms > 0) & (served >= 0).all(axis=1)
        columns.append(served[taken])
        busy_s.append(total[taken])
    every = np.concatenate(columns) if columns else np.zeros((0, len(stated_ms)))
    return every, np.concatenate(busy_s) if busy_s else np.zeros(0), every.sum(axis=0)


def _left(law: Any) -> float:
    """Return the expected work of a request in service, in means: (1 + cv²)/2."""
    cv = law.std / law.mean if isinstance(law, Distribution) else 0.0
    return (1 + cv**2) / 2


def _changes(
    estimates: Sequence[Estimate], laws: Sequence[ServiceLaw], names: Sequence[str]
) -> tuple[dict[str, Any], list[str]]:
    """Return the changes of the laws, and what is said of laws that cannot be set."""
    changes: dict[str, Any] = {}
    notes = []
    for place, (law, one, name) in enumerate(zip(laws, estimates, names, strict=True)):
        if not isinstance(law, Distribution) or not one.known:
            why = "has no mean to set" if one.known else "has too few requests"
            notes.append(f"service times: the law of {name} {why}, and stays as it is")
            continue
        factor = one.value / law.average()  # with a floor, the average is above the stated mean
        changes[f"workloads[{place}].service_ms.mean"] = float(f"{law.mean * factor:.6g}")
        changes[f"workloads[{place}].service_ms.std"] = float(f"{law.std * factor:.6g}")
    return changes, notes
