"""Requests that no allowed region takes are refused and counted, and never sent elsewhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from carbonroute.engines import ENGINES
from carbonroute.engines.routing import Dispatcher
from carbonroute.metrics import queueing
from carbonroute.scenario import Inputs
from helpers.grids import runs
from helpers.queued_runs import inputs_of, queueing_of

#: The near region is out from the first hour on; the far one takes all.
OUT = {"kind": "outage", "from_hour": 1.0, "hours": 1.0}
REGIONS = [
    {"name": "near", "carbon_g_per_kwh": 400, "pools": [{"servers": 50, "unavailable": [OUT]}]},
    {"name": "far", "carbon_g_per_kwh": 50, "pools": [{"servers": 50}]},
]
ORIGINS = [{"name": "here", "share": 0.5, "allowed_regions": ["near"]}, {"name": "there", "share": 0.5}]
ANYWHERE = [{"name": name, "share": 0.5} for name in ("here", "there")]
POLICIES = [{"use": "latency-first"}, {"use": "carbon-first"}, {"use": "power-of-two"}, {"use": "spill"}]
POLICIES += [{"use": "optimal"}, {"use": "provision"}, {"use": "round-robin"}]


def decisions() -> dict[str, float]:
    """Return how often routers decide: twelve times in two hours, each minute with `--full`."""
    return {"interval_s": runs(60, 600)}


def bound(**changes: Any) -> Inputs:
    rtt_ms = {name: {"near": 10, "far": 40} for name in ("here", "there")}
    traffic = {"kind": "fixed-rate", "requests_per_hour": 400}
    stated = {"origins": ORIGINS, "regions": REGIONS, "policies": POLICIES, "traffic": traffic}
    return inputs_of(**{**stated, "network": {"rtt_ms": rtt_ms}, **changes})


@pytest.mark.parametrize("control", [{}, {"routers": 3, "max_step": 0.2, "interval_s": 300}])
def test_what_no_allowed_region_takes_is_refused_and_counted(control: dict[str, Any]) -> None:
    inputs = bound(control=control, policies=POLICIES[: -2 if control else None])
    outcomes = ENGINES["queued"](inputs)
    for outcome in outcomes:
        sent, rejected = outcome.requests[:, 0], queueing_of(outcome).rejected[:, 0]
        here = int(sent[0].sum())
        assert sent[0, 1] == 0, outcome.policy
        # About half of a day's requests from here come while their only region is out.
        assert 0.4 * here < rejected[0, 0] < 0.6 * here, outcome.policy
        assert rejected.sum() - rejected[0, 0] <= 0.1 * here, outcome.policy
        assert outcome.violations[0, 0].sum() >= rejected[0, 0]
    [said] = [note for note in queueing.notes(outcomes, one_run=True, bound=True) if "refused" in note]
    assert f"{queueing_of(outcomes[0]).rejected.sum():,} of {outcomes[0].policy}" in said


def test_no_note_where_requests_may_go_everywhere_or_none_was_rejected() -> None:
    outcomes = ENGINES["queued"](bound(origins=ANYWHERE, control=decisions()))
    assert not any("refused" in note for note in queueing.notes(outcomes, one_run=True))


def test_beliefs_of_another_scenario_do_not_say_where_requests_may_be_served() -> None:
    regions = [{key: region[key] for key in ("name", "carbon_g_per_kwh")} for region in REGIONS]
    inputs = bound(regions=regions)
    others = bound(regions=regions, origins=ANYWHERE)
    candidate = replace(inputs.candidates[1], beliefs=others)
    dispatcher = Dispatcher.of(candidate, inputs)
    assert dispatcher.site.allowed is inputs.allowed
    for engine in ("sampled", "exact"):
        [outcome] = ENGINES[engine](replace(inputs, candidates=(candidate,)))
        assert outcome.requests[0, 0, 1] == 0
        assert outcome.requests[1, 0, 0] == 0  # by carbon, all others go to the far region


def test_the_cells_of_all_allowed_regions_keep_their_results() -> None:
    """A list of all regions is no restriction: results are equal to the bit."""
    everywhere = [{**origin, "allowed_regions": ["far", "near"]} for origin in ORIGINS]
    stated, free = (
        ENGINES["queued"](bound(origins=origins, control=decisions())) for origins in (everywhere, ANYWHERE)
    )
    for one, other in zip(stated, free, strict=True):
        np.testing.assert_array_equal(one.requests, other.requests)
        np.testing.assert_array_equal(one.latency_sum_ms, other.latency_sum_ms)
