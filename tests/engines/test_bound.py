"""The clairvoyant bound is one: nobody has fewer violations, and nobody in time emits less."""

from __future__ import annotations

import copy

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from carbonroute.engines import sampled
from carbonroute.engines.draws import SCHEMES
from carbonroute.engines.routing import Dispatcher
from carbonroute.runs import run
from carbonroute.scenario import Inputs
from helpers.grids import examples
from helpers.scenarios import Document, documents, inputs_of


def grams_and_delays(inputs: Inputs, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what each request emits, up to a common factor, and whether it is late, under one policy."""
    candidate = inputs.candidates[index]
    grams, late = [], []
    for together, blocks in SCHEMES["streams"](inputs):
        assert index in together
        for block in blocks:
            cells, region, latency_ms = sampled.serve(Dispatcher.of(candidate, inputs), inputs.site, block)
            energy = inputs.energy
            assert energy is not None
            of = cells.of
            at_the_wall = energy.at_the_wall_j(of.workload, np.zeros(len(of)))[np.arange(len(of)), region]
            burden = at_the_wall * inputs.carbon.g_per_kwh[of.hour, region]
            grams.append(np.repeat(burden, cells.counts))
            late.append(latency_ms > np.repeat(inputs.slo_ms[of.workload], cells.counts))
    return np.concatenate(grams), np.concatenate(late)


@settings(max_examples=examples(60))
@given(documents(), st.lists(st.sampled_from([0.5, 1, 3]), min_size=6, max_size=6))
def test_nobody_beats_the_bound(document: Document, energies: list[float]) -> None:
    document = copy.deepcopy(document)
    document["sampling"] = {"scheme": "streams", "seed": document["sampling"]["seed"]}
    for workload, energy_j in zip(document["workloads"], energies, strict=False):
        workload["energy_j"] = energy_j
    document["network"]["jitter_std_ms"] = 40
    document["policies"] = [*document["policies"], {"use": "clairvoyant-bound", "label": "bound"}]
    inputs = inputs_of(document)
    results = [grams_and_delays(inputs, index) for index in range(len(inputs.candidates))]
    bound_grams, bound_late = results[-1]
    for grams, late in results[:-1]:
        assert not (bound_late & ~late).any()
        assert (bound_grams[~late] <= grams[~late] * (1 + 1e-12)).all()
        assert (bound_grams[bound_late] <= grams[bound_late] * (1 + 1e-12)).all()


def test_the_bound_needs_no_information_from_the_scenario() -> None:
    shown = [
        run("five-aws-regions", {"horizon.hours": 48, "information": information}).tables.saving.row(-1)
        for information in ({}, {"carbon_age": "24h", "service_time": "quantile:0.9"})
    ]
    assert shown[0] == shown[1]
