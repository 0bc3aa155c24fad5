"""Constrained Hybrid: the cleanest grid among the regions that can keep the SLO."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from carbonroute.arrays import Array
from carbonroute.policies.assignment import cheapest_assignments, unattractive
from carbonroute.policies.base import Policy, Trial, View, known
from carbonroute.policies.plan import grams
from carbonroute.policies.trials import Setting
from carbonroute.spec import Spec

#: The name in messages of the fields that a view lacks without risks.
_RISK = "the risk of requests"


class ConstrainedHybrid(Spec, Policy):
    """Choose the lowest carbon intensity among regions that keep the SLO: by a margin, a risk, or a budget.

    By itself, a region keeps it if rtt + service ≤ SLO − margin. With the request's actual service time in
    view, as in the published study, that is clairvoyant: no router knows the time before serving. Jitter is
    not looked at; the margin leaves room for it.

    With `max_violation` a region keeps it if P(rtt + service + jitter > SLO), by the laws of service time and
    jitter, is at most that. The request's own service time is not looked at, so that this is never
    clairvoyant; its prompt is, where there are tokens.

    With ``budget = "per-workload"`` too, that share may be spent where it saves most: in each hour, the
    requests of a workload are split between regions so that they emit least and at most `max_violation` of
    them all break the SLO (`carbonroute.policies.assignment`). Where that is impossible, each origin goes to
    its region of lowest risk. Each origin's traffic is as the scenario states it. Where energies are
    stated, carbon intensity is weighed with the energy per request, PUE included; the other two rules go by
    carbon intensity alone, as published.

    Attributes
    ----------
    margin_ms
        Taken off the SLO budget, ms. Not with `max_violation`.
    max_violation
        Share of requests that may break the SLO, between 0 and 1.
    budget
        Whether that share is the risk of each request (where it is not stated), or of all requests of a
        workload in an hour.

    Examples
    --------
    >>> import numpy as np
    >>> view = View(np.array([65.0, 5.0]), np.array([30.0, 400.0]), np.array(18.0), np.array(100.0))
    >>> int(ConstrainedHybrid().choose(view)), int(ConstrainedHybrid(margin_ms=20).choose(view))
    (0, 1)
    >>> risky = View(view.rtt_ms, view.carbon_g_per_kwh, np.array(18.0), np.array(100.0),
    ...              violation_share=np.array([0.02, 0.0]))
    >>> [int(ConstrainedHybrid(max_violation=share).choose(risky)) for share in (0.05, 0.01)]
    [0, 1]
    """

    margin_ms: float = Field(default=0.0, ge=0)
    max_violation: float | None = Field(default=None, gt=0, lt=1)
    budget: Literal["per-workload"] | None = None

    @model_validator(mode="after")
    def _one_rule(self) -> ConstrainedHybrid:
        if self.max_violation is not None and self.margin_ms:
            problem = f"found a margin_ms of {self.margin_ms:g} beside max_violation"
            raise ValueError(f"{problem}; one of them is expected: a risk needs no margin")
        if self.max_violation is None and self.budget:
            problem = f"found budget = {self.budget!r} without max_violation"
            raise ValueError(f"{problem}; state the share that may be late, such as 0.01")
        return self

    @classmethod
    def examples(cls) -> Iterator[Self]:
        """Yield each of its rules."""
        yield from (cls(), cls(margin_ms=9), cls(max_violation=0.01))
        yield from (cls(max_violation=share, budget="per-workload") for share in (0.05, 0.4))

    @classmethod
    def trials(cls, setting: Setting) -> Iterator[Trial]:
        """Yield margins, then risks, then budgets."""
        for margin_ms, estimate in setting.margins_ms():
            yield Trial(cls(margin_ms=margin_ms), estimate)
        yield from (Trial(cls(max_violation=risk)) for risk in setting.all_risks())
        for risk in setting.all_risks():
            yield Trial(cls(max_violation=risk, budget="per-workload"))

    @property
    def name(self) -> str:
        """Display name, with the margin or the risk if there is one."""
        if self.max_violation is not None:
            of = " per workload" if self.budget else ""
            return f"Constrained Hybrid (≤ {100 * self.max_violation:g} % violations{of})"
        return (
            f"Constrained Hybrid ({self.margin_ms:g} ms margin)" if self.margin_ms else "Constrained Hybrid"
        )

    @property
    def reads(self) -> frozenset[str]:
        """The view's fields that its rule reads."""
        if self.max_violation is None:
            return frozenset({"rtt_ms", "carbon_g_per_kwh", "service_ms", "slo_ms"})
        rule = frozenset({"carbon_g_per_kwh", "violation_share"})
        return rule | {"energy_j", "traffic_share", "allowed"} if self.budget else rule

    @property
    def splits(self) -> bool:
        """Whether traffic is split to spend a budget."""
        return self.budget is not None

    @property
    def joint(self) -> bool:
        """Whether all origins of an hour are looked at together: they share a budget."""
        return self.budget is not None

    def cost(self, view: View) -> Array:
        """Return the carbon intensity, gCO2e/kWh, and +inf where the SLO would be missed."""
        if self.max_violation is None:
            budget_ms = view.slo_ms - self.margin_ms
            in_time = view.rtt_ms + view.service_ms[..., np.newaxis] <= budget_ms[..., np.newaxis]
        else:
            in_time = known(view.violation_share, _RISK) <= self.max_violation
        return np.where(in_time, view.carbon_g_per_kwh, np.inf)

    def breaks_ms(self, view: View) -> Array:
        """Return the service times beyond which a region is too late, ms, shape (…, R)."""
        if self.max_violation is not None:
            return np.empty((*view.slo_ms.shape, 0))
        return (view.slo_ms - self.margin_ms)[..., np.newaxis] - view.rtt_ms

    def weights(self, view: View) -> Array:
        """Return how each origin's requests are split, shape (H, O, W, R)."""
        weights: Array = self.weights_of([self], view)[0]
        return weights

    @classmethod
    def weights_of(cls, policies: Sequence[Self], view: View) -> Array:
        """Return the weights of policies with different budgets, shape (B, H, O, W, R)."""
        risk, share = known(view.violation_share, _RISK), known(view.traffic_share, _RISK)
        cost = grams(view)
        if view.allowed is not None:
            cost, risk = unattractive(cost, view.allowed), unattractive(risk, view.allowed)
        return cheapest_assignments(cost, risk, share, [policy.max_violation or 0.0 for policy in policies])
