"""Relations that hold over all scenarios, whatever the numbers are."""

from __future__ import annotations

import copy

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from carbonroute.engines import sampled
from carbonroute.outcome import Outcome
from helpers.grids import examples
from helpers.scenarios import Document, documents, inputs_of

some = settings(max_examples=examples(60))


def run(document: Document) -> tuple[Outcome, ...]:
    return sampled.run(inputs_of(document))


def with_policies(document: Document, *entries: Document) -> Document:
    labelled = [{"label": f"p{i}", **entry} for i, entry in enumerate(entries)]
    return {**document, "policies": labelled, "sampling": {"scheme": "streams", "seed": 7}}


@some
@given(documents())
def test_requests_in_equal_requests_routed(document: Document) -> None:
    count = document["horizon"]["hours"] * document["traffic"]["requests_per_hour"]
    outcomes = run(document)
    for outcome in outcomes:
        assert outcome.requests.sum() == count
        assert (outcome.violations <= outcome.requests).all()
        # All policies serve the same users.
        np.testing.assert_array_equal(outcome.requests.sum(axis=2), outcomes[0].requests.sum(axis=2))


@some
@given(documents(distinct=True))
def test_the_order_of_regions_changes_nothing_but_order(document: Document) -> None:
    document["sampling"] = {"scheme": "streams", "seed": document["sampling"]["seed"]}
    document["policies"] = [
        one for one in document["policies"] if one["use"] not in {"round-robin", "random"}
    ]
    assume(document["policies"])
    assume(not has_ties(document))
    turned = copy.deepcopy(document)
    turned["regions"].reverse()
    for straight, other in zip(run(document), run(turned), strict=True):
        for name in ("requests", "violations", "latency_sum_ms", "carbon_sum_g_per_kwh"):
            np.testing.assert_array_equal(getattr(straight, name), getattr(other, name)[..., ::-1])


def has_ties(document: Document) -> bool:
    """Whether two regions can cost the same: the first one wins then, and their order matters.

    Carbon ties at the floor; clipping makes costs equal; at α = 1/2 two regions on opposite ends of both
    scales tie by construction.
    """
    carbon = inputs_of(document).carbon.measured_g_per_kwh.tolist()
    clipped = any("bounds" in key for entry in document["policies"] for key in entry)
    even = any(entry.get("alpha") == 0.5 for entry in document["policies"])
    return clipped or even or any(len(set(row)) < len(row) for row in carbon)


@some
@given(documents(), st.sampled_from([0.25, 0.5, 2.0]))
def test_carbon_scales_through(document: Document, factor: float) -> None:
    scaled = copy.deepcopy(document)
    scaled["carbon"]["floor_g_per_kwh"] *= factor
    for region in scaled["regions"]:
        region["carbon_g_per_kwh"] *= factor
    for entry in scaled["policies"]:
        if "carbon_bounds_g_per_kwh" in entry:
            entry["carbon_bounds_g_per_kwh"] = [bound * factor for bound in entry["carbon_bounds_g_per_kwh"]]
    assume(max(region["carbon_g_per_kwh"] for region in scaled["regions"]) <= 900)  # ×1.1×2 stays believable
    for one, other in zip(run(document), run(scaled), strict=True):
        np.testing.assert_array_equal(one.requests, other.requests)
        np.testing.assert_array_equal(one.latency_sum_ms, other.latency_sum_ms)
        # A power of two is exact in floating point.
        np.testing.assert_array_equal(one.carbon_sum_g_per_kwh * factor, other.carbon_sum_g_per_kwh)


@some
@given(documents(), st.integers(0, 400))
def test_a_constant_on_every_rtt_leaves_latency_first_alone(document: Document, quarters: int) -> None:
    document = with_policies(document, {"use": "latency-first"})
    farther = copy.deepcopy(document)
    for row in farther["network"]["rtt_ms"].values():
        for region in row:
            row[region] += quarters / 4  # exact: all times are quarters of a millisecond
    (near,), (far,) = run(document), run(farther)
    np.testing.assert_array_equal(near.requests, far.requests)
    np.testing.assert_array_equal(near.carbon_sum_g_per_kwh, far.carbon_sum_g_per_kwh)


@some
@given(documents(), st.integers(0, 200))
def test_a_looser_slo_never_raises_the_carbon_of_constrained_hybrid(
    document: Document, slack_ms: int
) -> None:
    entry = {"use": "constrained-hybrid", "information": {"service_time": "actual"}}
    document = with_policies(document, entry)
    looser = copy.deepcopy(document)
    for workload in looser["workloads"]:
        workload["slo_ms"] += slack_ms
    (tight,), (loose,) = run(document), run(looser)
    by_user = tight.carbon_sum_g_per_kwh.sum(axis=2), loose.carbon_sum_g_per_kwh.sum(axis=2)
    assert (by_user[1] <= by_user[0] * (1 + 1e-12)).all()


@some
@given(documents(), st.lists(st.integers(0, 100), min_size=2, max_size=6, unique=True))
def test_alpha_trades_latency_for_carbon_one_way(document: Document, alphas: list[int]) -> None:
    bounds = {"rtt_bounds_ms": [0, 251], "carbon_bounds_g_per_kwh": [0, 2000]}  # nothing is clipped
    weights = sorted(alpha / 100 for alpha in alphas)
    outcomes = run(
        with_policies(document, *({"use": "hybrid", "alpha": alpha, **bounds} for alpha in weights))
    )
    rtt_ms = inputs_of(document).rtt_ms
    count = outcomes[0].requests.sum()
    latency = [(outcome.requests.sum(axis=1) * rtt_ms).sum() / count / 251 for outcome in outcomes]
    carbon = [outcome.carbon_sum_g_per_kwh.sum() / count / 2000 for outcome in outcomes]
    assert (np.diff(latency) <= 1e-12).all()
    assert (np.diff(carbon) >= -1e-12).all()


@some
@given(documents())
def test_an_unrelated_region_changes_nobody_elses_carbon(document: Document) -> None:
    document["sampling"] = {"scheme": "streams", "seed": 3}
    more = copy.deepcopy(document)
    more["regions"].insert(0, {"name": "elsewhere", "carbon_g_per_kwh": 500})
    for row in more["network"]["rtt_ms"].values():
        row["elsewhere"] = 250.0
    np.testing.assert_array_equal(
        inputs_of(more).carbon.g_per_kwh[:, 1:], inputs_of(document).carbon.g_per_kwh
    )
