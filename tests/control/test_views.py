"""What a router is shown of any request of a cell, where requests have tokens: worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from carbonroute.control.information import Information
from carbonroute.control.views import average_traits, estimates_ms
from carbonroute.policies import POLICIES
from carbonroute.scenario import Inputs, Scenario, resolve
from helpers.queued_runs import document

TOKENS: dict[str, Any] = {
    "law": "tokens",
    "overhead_ms": 10,
    "prefill_ms_per_token": 0.5,
    "decode_ms_per_token": 5,
    "prompt_tokens": {"law": "lognormal", "mean": 100, "std": 50},
    "answer_tokens": {"law": "normal", "mean": 20, "std": 2},
}


def inputs_of(**more: Any) -> Inputs:
    """Return a scenario of a workload without tokens and of one with them, and what energies are stated."""
    (plain,) = document()["workloads"]
    workload = {**plain, "id": "t", "name": "t", "share": 0.5, "service_ms": TOKENS, **more}
    workloads = [
        {**plain, "share": 0.5},
        {key: workload[key] for key in workload if workload[key] is not None},
    ]
    return resolve(Scenario.model_validate(document(workloads=workloads), context={"folder": Path()}))


@pytest.mark.parametrize(
    ("energies", "joules"),
    [
        ({"energy_j": None, "energy_j_per_prompt_token": 0.25}, 0.25 * 100),
        ({"energy_j": None, "energy_j_per_answer_token": 2.0}, 2 * 20),
        ({"energy_j": 3.0, "energy_j_per_prompt_token": 0.25, "energy_j_per_answer_token": 2.0}, 25 + 40),
    ],
)
def test_energy_is_that_of_an_average_prompt_and_answer(energies: dict[str, float], joules: float) -> None:
    inputs = inputs_of(**energies)
    reads = POLICIES.members["spill"]().reads
    traits = average_traits(inputs.site, Information(), reads, np.array([1, 0, 1]))
    assert traits.tokens_j is not None
    assert traits.tokens_j == pytest.approx([joules, 0, joules], rel=1e-9)


def test_service_time_is_that_of_an_average_prompt_and_an_average_or_a_long_answer() -> None:
    inputs = inputs_of()
    for service_time, answer in (("mean", 20.0), ("quantile:0.9", 20 + 2 * 1.2815515655446004)):
        information = Information.spelled(service_time=service_time)
        assert estimates_ms(inputs.site, information)[1] == pytest.approx(
            10 + 0.5 * 100 + 5 * answer, rel=1e-9
        )
