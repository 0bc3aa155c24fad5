"""Grams: request by request against a worked sheet, and what must not change them."""

from __future__ import annotations

import copy
import csv
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbonroute.engines import sampled
from carbonroute.errors import InputError
from carbonroute.metrics import simulation_results
from carbonroute.runs import run
from carbonroute.scenario import builtin_text, load
from helpers.grids import examples
from helpers.scenarios import Document, documents, inputs_of

SHEET = Path(__file__).parents[1] / "golden" / "emissions_sheet.csv"


def cases() -> list[dict[str, float]]:
    with SHEET.open(encoding="utf-8", newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def single(case: dict[str, float]) -> Document:
    """Return a scenario of one origin, region, workload and hour, at a case's figures."""
    workload = {
        "id": "w",
        "name": "w",
        "model": "w",
        "share": 1.0,
        "slo_ms": 100,
        "service_ms": {"law": "normal", "mean": 10, "std": 1},
        **{key: case[key] for key in ("energy_j", "embodied_g", "payload_mb")},
    }
    place = {key: case[key] for key in ("carbon_g_per_kwh", "pue", "hardware_factor")}
    return {
        "schema": 1,
        "name": "one request",
        "horizon": {"hours": 1},
        "traffic": {"kind": "fixed-rate", "requests_per_hour": 3},
        "carbon": {"kind": "synthetic"},
        "network": {"rtt_ms": {"o": {"r": 5}}, "energy_j_per_gb": case["energy_j_per_gb"]},
        "origins": [{"name": "o", "share": 1.0}],
        "regions": [{"name": "r", **place}],
        "workloads": [workload],
        "policies": [{"use": "latency-first"}],
    }


@pytest.mark.parametrize("case", cases(), ids=lambda case: f"{case['total_g']:.6g} g")
def test_grams_equal_the_worked_sheet(case: dict[str, float]) -> None:
    (outcome,) = sampled.run(inputs_of(single(case)))
    assert outcome.emissions is not None
    parts = outcome.emissions.operational_g, outcome.emissions.network_g, outcome.emissions.total_g
    for found, name in zip(parts, ("operational_g", "network_g", "total_g"), strict=True):
        assert found.sum() / 3 == pytest.approx(case[name], rel=1e-12, abs=1e-300)


def test_the_sheet_has_twenty_cases() -> None:
    assert len(cases()) == 20


ENERGIES = st.floats(0.001, 50)


@settings(max_examples=examples(40))
@given(documents(), st.lists(ENERGIES, min_size=6, max_size=6), st.floats(1, 2))
def test_unrelated_regions_change_nobody_s_grams(
    document: Document, energies: list[float], pue: float
) -> None:
    document["sampling"] = {"scheme": "streams", "seed": 11}
    document["policies"] = [{"use": "latency-first"}]
    for workload, energy_j in zip(document["workloads"], energies, strict=False):
        workload.update(energy_j=energy_j, embodied_g=0.001)
    document["regions"][0]["pue"] = pue
    more = copy.deepcopy(document)
    more["regions"].append({"name": "elsewhere", "carbon_g_per_kwh": 500, "pue": 1.9})
    for row in more["network"]["rtt_ms"].values():
        row["elsewhere"] = 5000.0
    (few,), (many,) = sampled.run(inputs_of(document)), sampled.run(inputs_of(more))
    assert few.emissions is not None
    assert many.emissions is not None
    np.testing.assert_array_equal(many.emissions.total_g[..., :-1], few.emissions.total_g)
    assert many.emissions.total_g[..., -1].sum() == 0


def published_with_energy() -> dict[str, Any]:
    document = tomllib.loads(builtin_text("published"))
    for workload, energy_j in zip(document["workloads"], (0.04, 0.125, 0.011), strict=True):
        workload["energy_j"] = energy_j
    return {"workloads": document["workloads"]}


def test_tables_gain_grams_and_keep_the_published_columns() -> None:
    without, with_ = run("published"), run("published", published_with_energy())
    plain, gained = simulation_results(without.tables), simulation_results(with_.tables)
    assert [name for name in plain.columns if name not in gained.columns] == []
    assert plain.equals(gained.select(plain.columns))
    assert "total_kg" not in plain.columns
    policies = with_.tables.policies
    np.testing.assert_allclose(
        policies["total_kg"], policies["emissions_g_per_request"] * policies["requests"] / 1000, rtol=1e-12
    )
    # Without PUE, network and hardware, grams fall as the energy-weighted intensity does.
    assert policies["emissions_reduction_pct"][0] == 0
    assert 0 < policies["emissions_reduction_pct"][6] < 100


def test_energies_are_stated_for_all_workloads_or_none() -> None:
    changes = published_with_energy()
    del changes["workloads"][1]["energy_j"]
    with pytest.raises(
        InputError, match=r"workloads\[1\].energy_j: missing; state the energy of all workloads"
    ):
        load("published", changes)
