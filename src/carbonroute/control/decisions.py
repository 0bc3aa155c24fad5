"""Decision records: a router's view and decision, as values that a journal keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from carbonroute.arrays import Array
from carbonroute.control.estimator import Reading
from carbonroute.control.knowledge import KINDS, Known
from carbonroute.control.loop import decided
from carbonroute.control.router import Control, Router
from carbonroute.policies.base import PolicyLike, View
from carbonroute.policies.plan import Plan
from carbonroute.spec import SchemaVersion

_TYPES: Mapping[str, type[Any]] = {"available": np.bool_, "allowed": np.bool_, "pool": np.intp}

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Values = list[JsonValue]


class RecordPart(BaseModel):
    """The base of all parts of a journal: strict, and frozen."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class PolicyFacts(RecordPart):
    """Which policy: its name as a scenario spells it, its parameters, and the digest of its own file."""

    use: str
    parameters: dict[str, JsonValue]
    file_sha256: Sha256 | None


class CellNames(RecordPart):
    """Names of the origins, and ids of the workloads."""

    origins: list[str]
    workloads: list[str]


class KnownRegion(RecordPart):
    """Carbon of a region as known: see `Known`. None where it is unknown, or has no age."""

    region: str
    g_per_kwh: float | None
    source: str
    accounting: str
    observed_at: str | None
    age_s: float | None
    kind: Literal["measured", "forecast", "substituted", "static", "unknown"]


class MeasuredFacts(RecordPart):
    """Measurements beside a live reading; ``"nan"`` where unknown.

    Attributes
    ----------
    range_s
        Range of the counts and means, s.
    requests
        In the range, shape (W, R).
    service_ms
        Mean time in service over the range, ms, shape (W, R).
    energy_j
        IT energy in the range, J, shape (R,).
    """

    range_s: float
    requests: Values
    service_ms: Values
    energy_j: Values


class LiveFacts(RecordPart):
    """The part of a live decision that a simulation has not.

    Attributes
    ----------
    by
        Whose weights are in force: the policy's, the baseline's, or those of an earlier decision.
    in_force
        These weights as far as they were read back, shape (O, W, R).
    planned
        The policy's weights after `dwell`: what is sent, or would be in a shadow, shape (O, W, R).
    switchback
        Whether this interval was drawn to be the baseline's.
    traffic
        Whether the requests of the reading were measured, expected (where nothing measures), or are unknown.
    baselines
        Weights of the declared baselines by name, shape (O, W, R).
    energy_j
        Energy of a request at the wall, J, shape (W, R); None where it is not known.
    alarms
        Notes for the person on call.
    measured
        Further measurements; None where nothing measures.
    changed_by_others
        Whether others have changed the weights since the decision before, and it is not known when.
    """

    by: Literal["policy", "baseline", "held"]
    in_force: Values
    planned: Values
    switchback: bool
    traffic: Literal["measured", "expected", "unknown"]
    baselines: dict[str, Values]
    energy_j: Values | None
    alarms: list[str]
    measured: MeasuredFacts | None = None
    changed_by_others: bool = False


class DecisionRecord(RecordPart):
    """One decision.

    Attributes
    ----------
    schema_version
        1; ``schema`` in the file.
    seq, prev
        Number of the record, from 0, and the digest of the one before; empty before the first.
    time_utc, monotonic_s
        When: by the calendar, and by the loop's own clock, s.
    mode
        ``"simulated"``, or how a live controller runs.
    policy, control, max_utilisation
        Whom the router asked, and its limits.
    config_sha256, versions
        Digest of the scenario, and versions of the libraries.
    cells, regions
        Names along the axes of all arrays.
    reading
        The reading, by field of `Reading`; None where the policy goes by the hour alone.
    view, strides
        The policy's view, by field of `View`; and how each lies in memory, in elements per axis: the
        last bit of a sum over regions depends on it.
    known
        Carbon of each region.
    held, raw_weights, weights
        Weights in force before, as the policy answered, and within the limits, shape (O, W, R).
    servers, server_worth_g_per_h
        See `Decision`.
    rounded, actuators
        Weights that were sent, shape (O, W, R), and each actuator's answer; nothing in a simulation.
    reasons
        Why the weights are not those that the policy asks for.
    counterfactual_g
        Emissions until the next decision at the present rates, g: of the weights in force, and of
        baselines, by name; empty in a simulation, which runs them.
    live
        Further facts of a live decision; None in a simulation.
    """

    schema_version: SchemaVersion = Field(alias="schema")
    seq: int = Field(ge=0)
    prev: str
    time_utc: str
    monotonic_s: float
    mode: str
    policy: PolicyFacts
    control: Control
    max_utilisation: float | None
    config_sha256: Sha256
    versions: dict[str, str]
    cells: CellNames
    regions: list[str]
    reading: dict[str, Values] | None
    view: dict[str, Values]
    strides: dict[str, list[int]]
    known: list[KnownRegion]
    held: Values | None
    raw_weights: Values
    weights: Values
    servers: Values | None
    server_worth_g_per_h: Values | None
    rounded: JsonValue
    actuators: list[JsonValue]
    reasons: list[str]
    counterfactual_g: dict[str, float]
    live: LiveFacts | None = None

    def shown(self) -> View:
        """Return the view, leading axes (1, O, W), as it lay in memory."""
        return View(**{name: self._laid_out(name, values) for name, values in self.view.items()})

    def read(self) -> Reading | None:
        """Return the reading, K = 1; None where nothing was read."""
        if self.reading is None:
            return None
        return Reading(
            **{name: np.array(values, _TYPES.get(name, float)) for name, values in self.reading.items()}
        )

    def carbon(self) -> Known:
        """Return carbon as known, K = 1."""
        values = [(one.g_per_kwh, one.age_s, KINDS.index(one.kind)) for one in self.known]
        g_per_kwh, age_s, kind = np.array(values, dtype=float).T[:, np.newaxis]
        return Known(g_per_kwh, age_s, kind.astype(np.int8))

    def holds(self) -> Array | None:
        """Return the weights in force before, shape (O, W, R), or None."""
        return None if self.held is None else np.array(self.held, dtype=float)

    def differs(self, plan: Plan) -> bool:
        """Whether a decision, K = 1, has other bits than the recorded one."""
        before_and_after = (
            (self.weights, plan.weights),
            (self.servers, plan.servers),
            (self.server_worth_g_per_h, plan.server_worth_g_per_h),
        )
        return any(
            (was is None) != (now is None)
            or (now is not None and np.array(was, dtype=float).tobytes() != np.float64(now[0]).tobytes())
            for was, now in before_and_after
        )

    def asked_again(self, policy: PolicyLike) -> Plan:
        """Return a router's decision by the record alone, K = 1.

        Raises PolicyError if the policy breaks its contract.
        """
        router = Router(policy, self.control, self.max_utilisation)
        return decided(router, self.shown(), self.carbon().unknown, self.holds())[1]

    def _laid_out(self, name: str, values: Values) -> NDArray[Any]:
        plain = np.array(values, _TYPES.get(name, float))[np.newaxis]
        strides = [abs(step) for step in self.strides[name]]
        size = 1 + sum((count - 1) * step for count, step in zip(plain.shape, strides, strict=True))
        if size > plain.size:
            raise ValueError(f"strides {strides} leave room between values")
        laid = np.lib.stride_tricks.as_strided(
            np.empty(size, plain.dtype), plain.shape, [step * plain.itemsize for step in strides]
        )
        laid[...] = plain
        laid.setflags(write=False)
        return laid
