"""Many requests: what is counted by compiled loops is what is kept one by one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numba
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbonroute import rng
from carbonroute.engines import kernel, sampled
from carbonroute.network.jitter import PairLognormal
from carbonroute.outcome import Histogram, Outcome, Paired, Samples
from carbonroute.scenario import Inputs, load, resolve
from helpers import needs
from helpers.grids import examples, runs
from helpers.scenarios import Document, documents, inputs_of

SUMS = ("latency_sum_ms", "carbon_sum_g_per_kwh")
GRAMS = ("operational_g", "network_g", "embodied_g")


def counted(inputs: Inputs, **keys: Any) -> tuple[Outcome, ...]:
    """Return the outcomes of a run that keeps no latencies, however few requests it has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampled, "KEPT", 0)
        return sampled.run(inputs, **keys)


def assert_agree(kept: Sequence[Outcome], counts: Sequence[Outcome]) -> None:
    """Numbers of requests are the same, sums but for rounding, and quantiles within 0.1 %."""
    for one, other in zip(kept, counts, strict=True):
        assert isinstance(one.latency, Samples)
        assert isinstance(other.latency, Histogram)
        assert (one.policy, one.clairvoyant) == (other.policy, other.clairvoyant)
        np.testing.assert_array_equal(one.requests, other.requests)
        np.testing.assert_array_equal(one.violations, other.violations)
        for name in SUMS:
            np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-12)
        assert (one.emissions is None) == (other.emissions is None)
        if one.emissions and other.emissions:
            for name in GRAMS:
                mine, theirs = getattr(one.emissions, name), getattr(other.emissions, name)
                np.testing.assert_allclose(mine, theirs, rtol=1e-12)
        for workload in (None, *np.flatnonzero(one.requests.any(axis=(0, 2))).tolist()):
            assert other.latency.mean(workload) == pytest.approx(one.latency.mean(workload), rel=1e-12)
            for share in (0.0, 1.0):  # to the bit: so is every latency
                assert other.latency.quantile(share, workload) == one.latency.quantile(share, workload)
            for share in (0.5, 0.95, 0.999):
                exact = one.latency.quantile(share, workload)
                assert other.latency.quantile(share, workload) == pytest.approx(exact, rel=1e-3, abs=1e-3)
        assert_pairs_agree(one.paired, other.paired, one)


def assert_pairs_agree(one: Paired | None, other: Paired | None, of: Outcome) -> None:
    assert (one is None) == (other is None)
    if one is None or other is None:
        return
    assert (one.policy, one.requests) == (other.policy, other.requests)
    assert (one.late_here, one.late_there) == (other.late_here, other.late_there)
    longest_ms = of.latency.quantile(1.0) + 1000  # differences are those of latencies: so is their rounding
    scale = 1e-12 * one.requests * longest_ms
    assert other.latency_ms == pytest.approx(one.latency_ms, abs=scale)
    assert other.latency_square_ms2 == pytest.approx(one.latency_square_ms2, rel=1e-9, abs=scale * longest_ms)
    assert other.carbon_g_per_kwh == pytest.approx(one.carbon_g_per_kwh, rel=1e-12, abs=scale)
    assert other.carbon_square == pytest.approx(one.carbon_square, rel=1e-12, abs=scale * 1000)


@settings(max_examples=examples(60))
@given(documents(), st.sampled_from([rng.BLOCK, 64, 7]), st.data())
def test_counted_as_kept(document: Document, block: int, data: st.DataObject) -> None:
    inputs = inputs_of(document)
    if document["sampling"]["scheme"] == "streams":
        inputs = replace(inputs, baseline=data.draw(st.integers(0, len(inputs.candidates) - 1)))
    if data.draw(st.booleans()):
        dice = rng.stream(data.draw(st.integers(0, 99)), "sigma")
        inputs = replace(inputs, jitter=PairLognormal(inputs.rtt_ms, dice.random(inputs.rtt_ms.shape)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rng, "BLOCK", block)
        assert_agree(sampled.run(inputs), counted(inputs))


EVERY_KIND = [
    {"use": "latency-first"},
    {"use": "carbon-first"},
    {"use": "constrained-hybrid"},
    {"use": "static-greenest"},
    {"use": "random"},
    {"use": "round-robin"},
    {"use": "clairvoyant-bound"},
]


#: One workload whose time and energy go by tokens, and one that has energy alone.
TOKENS = [
    {
        "id": "chat",
        "name": "Chat",
        "model": "large",
        "share": 0.7,
        "slo_ms": 700,
        "service_ms": {
            "law": "tokens",
            "prefill_ms_per_token": 0.2,
            "decode_ms_per_token": 5,
            "answer_tokens": {"law": "lognormal", "mean": 50, "std": 40},
        },
        "energy_j": 3,
        "energy_j_per_answer_token": 0.5,
    },
    {
        "id": "short",
        "name": "Short",
        "model": "tiny",
        "share": 0.3,
        "slo_ms": 100,
        "service_ms": {"law": "gamma", "mean": 20, "std": 10},
        "energy_j": 0.1,
    },
]


@pytest.mark.parametrize("per_hour", [300, 60_000])
@pytest.mark.parametrize("by_pair", [False, True])
def test_counted_as_kept_in_small_cells_and_large_ones(per_hour: int, by_pair: bool) -> None:
    """Of cells with hundreds of requests, those that share a region are counted once for all."""
    changes = {
        "sampling": {"scheme": "streams"},
        "policies": EVERY_KIND,
        "traffic.requests_per_hour": per_hour,
        "horizon.hours": 120_000 // per_hour,
    }
    inputs = replace(resolve(load("published", changes)), baseline=0)
    if by_pair:
        sigma = rng.stream(1, "sigma").random(inputs.rtt_ms.shape)
        inputs = replace(inputs, jitter=PairLognormal(inputs.rtt_ms, sigma))
    assert_agree(sampled.run(inputs), counted(inputs))
    assert_agree(sampled.run(replace(inputs, baseline=4)), counted(replace(inputs, baseline=4)))


def test_a_service_time_at_the_very_break() -> None:
    """65 ms away, 100 ms are kept up to 35 ms and, by rounding, the double after it; no longer after that."""
    last = float(np.nextafter(35.0, 36.0))
    for mean, region in ((last, "US-West"), (float(np.nextafter(last, 36.0)), "US-East")):
        workload = {"id": "w", "name": "w", "model": "w", "share": 1.0, "slo_ms": 100}
        changes = {
            "sampling": {"scheme": "streams"},
            "policies": [{"use": "constrained-hybrid"}],
            "workloads": [{**workload, "service_ms": {"law": "normal", "mean": mean, "std": 0}}],
        }
        inputs = resolve(load("published", changes))
        (outcome,) = counted(inputs)
        names = [entry.name for entry in inputs.scenario.regions]
        from_us_east = dict(zip(names, outcome.requests[0, 0], strict=True))
        assert from_us_east[region] == outcome.requests[0].sum()
        assert_agree(sampled.run(inputs), (outcome,))


def test_tokens_and_logged_service_times_are_counted_too(tmp_path: Path) -> None:
    dice = rng.stream(1, "log")
    count = 3000
    log = {
        "time": np.sort(dice.uniform(0, 3 * 3600, count)),
        "prompt": dice.integers(1, 900, count),
        "answer": dice.integers(1, 90, count),
        "service": np.where(dice.random(count) < 0.5, dice.uniform(20, 300, count), np.nan),
    }
    pl.DataFrame(log).fill_nan(None).write_csv(tmp_path / "log.csv")
    columns = {f"{what}_tokens_column": what for what in ("prompt", "answer")}
    columns |= {"time_column": "time", "time_unit": "s", "service_column": "service", "service_unit": "ms"}
    traffic = {
        "kind": "replay",
        "align": "first-request",
        "logs": [{"path": str(tmp_path / "log.csv"), **columns}],
    }
    policies = [
        *EVERY_KIND,
        {"use": "constrained-hybrid", "label": "honest", "information": {"service_time": "quantile:0.9"}},
        {"use": "constrained-hybrid", "max_violation": 0.1},
    ]
    changes = {
        "sampling": {"scheme": "streams"},
        "horizon.hours": 3,
        "traffic": traffic,
        "workloads": TOKENS,
        "policies": policies,
    }
    inputs = resolve(load("published", changes))
    assert inputs.site.has_tokens
    assert_agree(sampled.run(inputs), counted(inputs))


def test_the_limit_counts_requests_under_all_policies(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = resolve(load("published", {"sampling": {"scheme": "streams"}, "horizon.hours": 2}))
    for limit, kind in ((400 * 7, Samples), (400 * 7 - 1, Histogram)):
        monkeypatch.setattr(sampled, "KEPT", limit)
        assert {type(outcome.latency) for outcome in sampled.run(inputs)} == {kind}


def test_few_requests_load_no_compiler() -> None:
    code = (
        "import sys, carbonroute; carbonroute.run('published', {'horizon.hours': 24}); "
        "assert 'numba' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_a_place_on_disk_loops_are_compiled_in_memory() -> None:
    """A function from no file stands for an installation that nobody can write to."""
    made: dict[str, Any] = {}
    exec("def twice(x):\n    return 2 * x\n", made)
    with pytest.raises(RuntimeError, match="no locator available"):
        numba.njit(cache=True)(made["twice"])
    assert kernel.compiled(made["twice"])(21) == 42


#: Prints requests, and peak memory before and after a run of so many, KiB.
GROWING = """
import re, sys
from pathlib import Path
from carbonroute.engines import sampled, counting
from carbonroute.scenario import load
from carbonroute.scenario import resolve

def peak():
    return re.search("VmHWM:\\\\s*([0-9]+) kB", Path("/proc/self/status").read_text())[1]

changes = {"sampling": {"scheme": "streams"}, "traffic.requests_per_hour": int(sys.argv[1])}
inputs = resolve(load("published", changes))
before = peak()
outcomes = sampled.run(inputs)
print(outcomes[0].requests.sum(), before, peak())
"""


def peak_kib(per_hour: int) -> tuple[int, int]:
    done = subprocess.run(
        [sys.executable, "-c", GROWING, str(per_hour)], capture_output=True, text=True, check=True
    )
    count, before, after = map(int, done.stdout.split())
    assert count == 168 * per_hour
    return before, after


@needs.linux
def test_memory_does_not_grow_with_the_number_of_requests() -> None:
    """Kept, the latencies of the larger run alone would take 134 MiB more, or 280 MiB with `--full`."""
    _, small = peak_kib(15_000)
    _, large = peak_kib(runs(45_000, 30_000))
    assert large < small + 20 * 1024
    assert large < 400 * 1024


@pytest.mark.full(long=True)
@needs.linux
def test_a_billion_requests_take_less_than_400_megabytes() -> None:
    _, peak = peak_kib(5_952_381)
    assert peak * 1024 < 400e6
