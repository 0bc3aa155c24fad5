"""Random scenarios for Hypothesis, as the dictionaries that a TOML file would give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from carbonroute.policies import POLICIES
from carbonroute.scenario import Inputs, Scenario, resolve

Document = dict[str, Any]

#: Policies that have nothing to go by where nothing limits the regions.
BY_LOAD = {"least-loaded", "power-of-two", "spill", "optimal", "provision"}


def shares(draw: st.DrawFn, count: int) -> list[float]:
    weights = draw(st.lists(st.integers(1, 20), min_size=count, max_size=count))
    return [weight / sum(weights) for weight in weights]


@st.composite
def policies(draw: st.DrawFn) -> Document:
    use = draw(st.sampled_from([name for name in POLICIES.members if name not in BY_LOAD]))
    entry: Document = {"use": use}
    if use == "hybrid":
        entry["alpha"] = draw(st.integers(0, 97)) / 97
        if draw(st.booleans()):
            entry["rtt_bounds_ms"] = [0.0, draw(st.integers(50, 300))]
        if draw(st.booleans()):
            entry["carbon_bounds_g_per_kwh"] = [5, draw(st.integers(100, 900))]
    elif use == "nearest-greenest":
        entry["k"] = draw(st.integers(1, 4))
    elif use == "constrained-hybrid":
        if draw(st.booleans()):
            entry["max_violation"] = draw(st.sampled_from([0.001, 0.01, 0.2]))
        else:
            entry["margin_ms"] = draw(st.sampled_from([0, 2.5, 20]))
    if draw(st.booleans()):
        entry["information"] = {
            "service_time": draw(st.sampled_from(["mean", "actual", "quantile:0.9"])),
            "carbon_age": draw(st.sampled_from(["0h", "1h", "7h"])),
        }
    return entry


@st.composite
def documents(draw: st.DrawFn, *, distinct: bool = False) -> Document:
    """Draw a scenario of 1 to 6 regions, origins, workloads and policies; `distinct` leaves no ties."""
    sizes = st.integers(1, 6)
    regions = [f"r{i}" for i in range(draw(sizes))]
    origins = [f"o{i}" for i in range(draw(sizes))]
    workloads = [f"w{i}" for i in range(draw(sizes))]
    count = len(regions)
    rtt = st.lists(
        st.integers(0, 1000).map(lambda quarter: quarter / 4), min_size=count, max_size=count, unique=distinct
    )
    carbon = draw(st.lists(st.integers(1, 900), min_size=count, max_size=count, unique=distinct))
    scheme = draw(st.sampled_from(["streams", "published"]))
    sampling: Document = {"scheme": scheme, "seed": draw(st.integers(0, 2**32 - 1))}
    if scheme == "published":
        sampling["restart"] = draw(st.sampled_from(["never", "per-policy"]))
    entries = draw(st.lists(policies(), min_size=1, max_size=6))
    bound: dict[str, Document] = {name: {} for name in (*origins, *workloads)}
    if draw(st.booleans()):
        shared = draw(st.sampled_from(regions))
        for name in draw(st.lists(st.sampled_from(list(bound)), unique=True)):
            others = draw(st.lists(st.sampled_from(regions), unique=True))
            bound[name] = {"allowed_regions": list(dict.fromkeys([*others, shared]))}
    return {
        "schema": 1,
        "name": "random",
        "horizon": {"hours": draw(st.integers(1, 40))},
        "sampling": sampling,
        "information": {"service_time": draw(st.sampled_from(["mean", "actual", "quantile:0.75"]))},
        "traffic": {"kind": "fixed-rate", "requests_per_hour": draw(st.integers(1, 12))},
        "carbon": {
            "kind": "synthetic",
            "diurnal_amplitude": draw(st.sampled_from([0, 0.2, 1])),
            "peak_hour": draw(st.integers(0, 23)),
            "noise": draw(st.sampled_from([0, 0.1])),
            "floor_g_per_kwh": draw(st.sampled_from([0, 5])),
        },
        "network": {
            "jitter_std_ms": draw(st.sampled_from([0, 3])),
            "rtt_ms": {origin: dict(zip(regions, draw(rtt), strict=True)) for origin in origins},
        },
        "origins": [
            {"name": name, "share": share, **bound[name]}
            for name, share in zip(origins, shares(draw, len(origins)), strict=True)
        ],
        "regions": [
            {"name": name, "carbon_g_per_kwh": mean, "pue": draw(st.sampled_from([1, 1.25]))}
            for name, mean in zip(regions, carbon, strict=True)
        ],
        "workloads": [
            {
                "id": name,
                "name": name,
                "model": name,
                "share": share,
                **bound[name],
                "slo_ms": draw(st.integers(1, 400)),
                "service_ms": {
                    "law": "normal",
                    "mean": draw(st.integers(1, 100)),
                    "std": draw(st.sampled_from([0, 3, 12.5])),
                    "floor": 1,
                },
            }
            for name, share in zip(workloads, shares(draw, len(workloads)), strict=True)
        ],
        "policies": [{**entry, "label": f"p{i}"} for i, entry in enumerate(entries)],
    }


def inputs_of(document: Document) -> Inputs:
    return resolve(Scenario.model_validate(document, context={"folder": Path()}))
