from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np
import pytest

import carbonroute
from carbonroute.arrays import Array
from carbonroute.errors import PolicyError
from carbonroute.policies import POLICIES, Policy, SplittingPolicy, View, decide, split
from carbonroute.policies.base import CAPACITY_FIELDS, STATE_FIELDS, PolicyLike, Regions, breaks
from carbonroute.policies.carbon_first import CarbonFirst
from carbonroute.policies.checks import CHECKS, check_policy
from carbonroute.policies.constrained_hybrid import ConstrainedHybrid
from carbonroute.policies.hybrid import Hybrid
from carbonroute.policies.latency_first import LatencyFirst
from carbonroute.policies.plan import Plan

#: Those that take long over every answer, and how many of their examples run by default.
SLOW = {"provision": 0, "optimal": 1}


@pytest.mark.parametrize(
    "policy",
    [
        pytest.param(policy, id=repr(policy), marks=[pytest.mark.full] if place >= SLOW.get(use, 100) else [])
        for use, member in POLICIES.members.items()
        for place, policy in enumerate(cast("type[Policy]", member).examples())
    ],
)
def test_every_member_keeps_the_contract(policy: Policy) -> None:
    check_policy(policy)


class NormalisesOverTheBatch(Policy):
    """Broken: scales by the extremes of all requests that happen to be asked together."""

    def cost(self, view: View) -> Array:
        latency = (view.rtt_ms - view.rtt_ms.min()) / np.ptp(view.rtt_ms)
        carbon = (view.carbon_g_per_kwh - view.carbon_g_per_kwh.min()) / np.ptp(view.carbon_g_per_kwh)
        cost: Array = latency**2 + carbon
        return cost


class IgnoresEligibility(ConstrainedHybrid):
    """Broken: chooses the cleanest region, whatever its cost says of eligibility."""

    def choose(self, view: View) -> Regions:
        region: Regions = view.carbon_g_per_kwh.argmin(axis=-1)
        return region


class DrawsFromNumpy(Policy):
    """Broken: breaks ties with the global generator."""

    def cost(self, view: View) -> Array:
        return view.rtt_ms + 1e-9 * np.random.random(view.rtt_ms.shape)  # noqa: NPY002  the fault to be found


class SeedsNumpy(Policy):
    """Broken: hides its dice behind a seed of its own, in everybody's generator."""

    def cost(self, view: View) -> Array:
        np.random.seed(0)  # noqa: NPY002  the fault to be found
        return view.rtt_ms + 0.0


class PrefersTheLast(Policy):
    """Broken: the order of regions decides."""

    def cost(self, view: View) -> Array:
        return view.rtt_ms - 1000.0 * np.arange(view.rtt_ms.shape[-1])


class ReadsMoreThanItSays(Policy):
    """Broken: declares to read carbon alone."""

    reads = frozenset({"carbon_g_per_kwh"})

    def cost(self, view: View) -> Array:
        return view.carbon_g_per_kwh + view.rtt_ms


class ChangesItsInput(Policy):
    """Broken: sorts the view in place."""

    def cost(self, view: View) -> Array:
        view.rtt_ms.sort(axis=-1)
        return view.rtt_ms


class IsNotANumber(Policy):
    """Broken: 0/0 where all regions are alike, and everywhere else for good measure."""

    def cost(self, view: View) -> Array:
        return np.full_like(view.rtt_ms, np.nan)


class OneCostForAll(Policy):
    """Broken: no axis of regions."""

    def cost(self, view: View) -> Array:
        cost: Array = view.rtt_ms.min(axis=-1)
        return cost


class Raises(Policy):
    """Broken: simply."""

    def cost(self, view: View) -> Array:
        raise KeyError("zone")


class BreaksTooLate(ConstrainedHybrid):
    """Broken: its choice changes a microsecond before it says so."""

    def breaks_ms(self, view: View) -> Array:
        return super().breaks_ms(view) + 1e-3


class BreaksUnsaid(ConstrainedHybrid):
    """Broken: declares that service times make no difference."""

    def breaks_ms(self, view: View) -> Array:
        return np.empty((*view.slo_ms.shape, 0))


class BreaksOfNoRequest(LatencyFirst):
    """Broken: one list of breaks for all requests."""

    def breaks_ms(self, view: View) -> Array:
        return view.slo_ms


class SplitsByNearness(SplittingPolicy):
    """Splits as it should; the broken ones are variations of it."""

    def weights(self, view: View) -> Array:
        return shares(1 / view.rtt_ms)


def shares(parts: Array) -> Array:
    whole: Array = parts / parts.sum(axis=-1, keepdims=True)
    return whole


class SplitsTooMuch(SplitsByNearness):
    """Broken: gives away 110 %."""

    def weights(self, view: View) -> Array:
        return super().weights(view) * 1.1


class SplitsOverTheBatch(SplitsByNearness):
    """Broken: goes by the mean of all requests that happen to be asked together."""

    def weights(self, view: View) -> Array:
        return shares(view.rtt_ms.mean() + view.rtt_ms)


class SplitsByDice(SplitsByNearness):
    """Broken: draws its weights."""

    def weights(self, view: View) -> Array:
        return shares(np.random.random(view.rtt_ms.shape))  # noqa: NPY002  the fault to be found


class SplitsInOrder(SplitsByNearness):
    """Broken: the first regions get most."""

    def weights(self, view: View) -> Array:
        return shares(view.rtt_ms / np.arange(1, view.rtt_ms.shape[-1] + 1))


class SplitsOnMoreThanItSays(SplitsByNearness):
    """Broken: declares to read carbon alone."""

    reads = frozenset({"carbon_g_per_kwh"})


class SplitsInPlace(SplitsByNearness):
    """Broken: writes its weights into the view."""

    def weights(self, view: View) -> Array:
        np.divide(view.rtt_ms, view.rtt_ms.sum(axis=-1, keepdims=True), out=view.rtt_ms)
        return view.rtt_ms.copy()


class JointOverHours(SplitsByNearness):
    """Broken: an hour's weights go by the traffic of all hours asked together."""

    joint = True
    reads = frozenset({"rtt_ms", "traffic_share"})

    def weights(self, view: View) -> Array:
        assert view.traffic_share is not None
        busy = view.traffic_share.max(axis=0)[..., np.newaxis]
        return shares(1 / (view.rtt_ms + 100 * busy))


class JointOverAnHour(SplitsByNearness):
    """A joint policy as it should be: an hour's weights go by the traffic of all cells of the hour."""

    joint = True
    reads = frozenset({"rtt_ms", "traffic_share"})

    def weights(self, view: View) -> Array:
        assert view.traffic_share is not None
        busy = view.traffic_share.max(axis=(1, 2))[:, np.newaxis, np.newaxis, np.newaxis]
        return shares(1 / (view.rtt_ms + 100 * busy))


class SplitsOntoOutages(SplitsByNearness):
    """Broken: sees which regions are available, and sends half of the requests anywhere."""

    reads = frozenset({"rtt_ms", "available"})

    def weights(self, view: View) -> Array:
        assert view.available is not None
        return shares((1 + view.available) / view.rtt_ms)


class PlansSomethingElse(SplitsByNearness):
    """Broken: plans for other weights than it gives."""

    def plan(self, view: View) -> Plan:
        return Plan(np.full(view.rtt_ms.shape, 1 / view.rtt_ms.shape[-1]))


class ChoosesJointly(Policy):
    """A joint policy that splits nothing."""

    joint = True

    def cost(self, view: View) -> Array:
        return view.rtt_ms


BROKEN = {
    NormalisesOverTheBatch: "batch",
    IgnoresEligibility: "eligibility",
    DrawsFromNumpy: "determinism",
    SeedsNumpy: "dice",
    PrefersTheLast: "permutation",
    ReadsMoreThanItSays: "reads",
    ChangesItsInput: "input",
    IsNotANumber: "NaN",
    OneCostForAll: "shape",
    Raises: "KeyError: 'zone'",
    BreaksTooLate: "breaks",
    BreaksUnsaid: "breaks",
    BreaksOfNoRequest: r"breaks_ms returned shape \(24,\)",
    SplitsTooMuch: "add up to 1.1",
    SplitsOverTheBatch: "batch",
    SplitsByDice: "determinism",
    SplitsInOrder: "permutation",
    SplitsOnMoreThanItSays: "reads: weights depend",
    SplitsInPlace: "input",
    JointOverHours: "batch: what is answered for an hour",
    SplitsOntoOutages: "availability",
    PlansSomethingElse: "plan: its weights",
}


@pytest.mark.parametrize(
    ("broken", "problem"), BROKEN.items(), ids=lambda value: getattr(value, "__name__", value)
)
def test_a_broken_policy_is_caught_by_name(broken: type[PolicyLike], problem: str) -> None:
    with pytest.raises(PolicyError, match=problem) as caught:
        check_policy(broken())
    assert caught.value.policy in {broken.__name__, "Constrained Hybrid", "Latency-First"}


@pytest.mark.parametrize("fit", [SplitsByNearness, JointOverAnHour, ChoosesJointly])
def test_policies_that_split_or_decide_jointly_can_keep_the_contract(fit: type[PolicyLike]) -> None:
    check_policy(fit())


@dataclass(frozen=True)
class ReadsUnsaid(Policy):
    """Broken: goes by a field that it does not declare to read."""

    field: str
    reads: ClassVar[frozenset[str]] = frozenset({"rtt_ms"})

    def cost(self, view: View) -> Array:
        values = np.asarray(getattr(view, self.field), dtype=float)
        cost: Array = view.rtt_ms + 10 * (
            values if values.ndim > view.slo_ms.ndim else values[..., np.newaxis]
        )
        return cost


@pytest.mark.parametrize("field", sorted(STATE_FIELDS | CAPACITY_FIELDS))
def test_load_and_capacity_are_read_by_those_who_say_so(field: str) -> None:
    with pytest.raises(
        PolicyError, match=f"reads: (cost depends on more of the view than the declared rtt_ms|reads {field})"
    ):
        check_policy(ReadsUnsaid(field))


def test_every_check_is_needed() -> None:
    assert {problem.split(":")[0] for problem in BROKEN.values()} >= {
        check.__name__.strip("_") for check in CHECKS
    } - {"one_by_one"} | {"batch"}


class OnlyWhatTheProtocolAsks:
    """A policy that inherits nothing."""

    name = "Plain"

    def cost(self, view: View) -> Array:
        return np.where(view.rtt_ms < 100, view.carbon_g_per_kwh, np.inf)


def test_a_policy_needs_no_base_class() -> None:
    check_policy(OnlyWhatTheProtocolAsks())
    assert carbonroute.check_policy is check_policy


def view(rtt_ms: list[float], carbon: list[float], service_ms: float = 10, slo_ms: float = 100) -> View:
    return View(np.array(rtt_ms), np.array(carbon), np.array(service_ms), np.array(slo_ms))


def test_the_first_region_wins_ties() -> None:
    assert decide(LatencyFirst(), view([7, 5, 5], [1, 2, 3])) == 1
    assert decide(CarbonFirst(), view([7, 5, 5], [4, 4, 4])) == 0


def test_of_many_requests_each_goes_where_it_would_alone() -> None:
    """Few costs and many are gone through in different ways."""
    rtt_ms = np.random.default_rng(1).integers(1, 5, (3000, 4)).astype(float)
    many = View(rtt_ms, np.ones(rtt_ms.shape), np.full(3000, 10.0), np.full(3000, 100.0))
    assert decide(LatencyFirst(), many).tolist() == [
        decide(LatencyFirst(), view([*row], [1] * 4)) for row in rtt_ms
    ]
    assert (decide(LatencyFirst(), many) != rtt_ms.shape[1] - 1 - rtt_ms[:, ::-1].argmin(axis=1)).any()


def test_the_lowest_rtt_serves_where_no_region_is_eligible() -> None:
    assert decide(ConstrainedHybrid(), view([95, 91, 99], [1, 900, 2])) == 1


def test_the_constraint_is_met_with_equality() -> None:
    assert decide(ConstrainedHybrid(), view([90, 5], [1, 2])) == 0
    assert decide(ConstrainedHybrid(margin_ms=0.001), view([90, 5], [1, 2])) == 1


def test_a_risk_is_kept_with_equality_and_the_service_time_is_not_looked_at() -> None:
    seen = view([90, 5], [1, 2], service_ms=1e6)
    risky = View(**{**vars(seen), "violation_share": np.array([0.01, 0.0])})
    assert decide(ConstrainedHybrid(max_violation=0.01), risky) == 0
    assert decide(ConstrainedHybrid(max_violation=0.00999), risky) == 1
    hopeless = View(**{**vars(seen), "violation_share": np.array([0.02, 0.9])})
    assert decide(ConstrainedHybrid(max_violation=0.01), hopeless) == 1  # the lowest RTT, not the lowest risk


def test_risks_that_nobody_states_are_missed_by_name() -> None:
    with pytest.raises(
        PolicyError, match=r"'Constrained Hybrid \(≤ 1 % violations\)': .*risk .* is not known"
    ):
        decide(ConstrainedHybrid(max_violation=0.01), view([90, 5], [1, 2]))


def test_what_it_reads_and_is_called_follows_the_rule() -> None:
    plain, risk = ConstrainedHybrid(), ConstrainedHybrid(max_violation=0.07)
    budget = ConstrainedHybrid(max_violation=0.005, budget="per-workload")
    assert [policy.name for policy in (plain, risk, budget)] == [
        "Constrained Hybrid",
        "Constrained Hybrid (≤ 7 % violations)",
        "Constrained Hybrid (≤ 0.5 % violations per workload)",
    ]
    assert "service_ms" in plain.reads
    assert not {"service_ms", "rtt_ms"} & (risk.reads | budget.reads)
    assert [policy.splits and policy.joint for policy in (plain, risk, budget)] == [False, False, True]


def test_breaks_are_asked_of_those_who_declare_them() -> None:
    seen = view([90, 5], [1, 2], slo_ms=100)
    found = breaks(ConstrainedHybrid(margin_ms=2), seen)
    assert found is not None
    assert found.tolist() == [8, 93]
    assert breaks(LatencyFirst(), seen) is None
    assert breaks(OnlyWhatTheProtocolAsks(), seen) is None
    without = breaks(ConstrainedHybrid(max_violation=0.1), seen)
    assert without is not None
    assert without.shape == (0,)


def test_weights_are_shares() -> None:
    class Half(SplitsByNearness):
        def weights(self, view: View) -> Array:
            return np.full(view.rtt_ms.shape, 0.5)

    assert split(Half(), view([7, 5], [1, 2])).tolist() == [0.5, 0.5]
    with pytest.raises(PolicyError, match=r"weights from 0\.5 that add up to 1\.5 … 1\.5; shares from 0 are"):
        split(Half(), view([7, 5, 5], [1, 2, 3]))


def test_a_range_of_zero_counts_as_one() -> None:
    assert decide(Hybrid(alpha=0.9), view([50, 50], [30, 20])) == 1


def test_fixed_bounds_are_clipped() -> None:
    # Beyond its bounds carbon makes no difference, and latency decides.
    policy = Hybrid(alpha=0.5, rtt_bounds_ms=(0, 200), carbon_bounds_g_per_kwh=(100, 200))
    assert decide(policy, view([60, 50], [10, 90])) == 1
    assert decide(Hybrid(alpha=0.5), view([60, 50, 200], [10, 90, 90])) == 0


def test_a_region_that_does_not_exist_is_refused() -> None:
    class Beyond(LatencyFirst):
        def choose(self, view: View) -> Regions:
            return np.full(view.slo_ms.shape, view.rtt_ms.shape[-1])

    with pytest.raises(PolicyError, match=r"region 3 … 3; there are 3"):
        decide(Beyond(), view([7, 5, 5], [1, 2, 3]))
