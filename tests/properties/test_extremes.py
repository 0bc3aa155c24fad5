"""Extreme values anywhere in a scenario: it runs, with finite figures, or is refused like any bad input."""

from __future__ import annotations

import copy
import math
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from carbonroute.errors import CarbonrouteError
from carbonroute.metrics import Tables
from carbonroute.runs import run
from carbonroute.scenario import resolve
from carbonroute.scenario.written.load import checked
from helpers import small
from helpers.grids import examples

Step = str | int
Document = dict[str, Any]

PUBLISHED = small.changed(
    small.SCENARIO,
    ('scheme = "streams"', 'scheme = "published"\nrestart = "never"'),
)
POOLS = small.changed(
    small.SCENARIO,
    ("[network]", "[control]\ninterval_s = 600\nwarmup_hours = 1\nrouters = 2\n\n[network]"),
    (
        "[[policies]]",
        """\
[[pools]]
servers = 2
speed = 1.5
queue_limit = 5
workloads = ["short"]
batching = { max_batch = 3, max_wait_ms = 5, fixed_ms = 10, per_request_ms = 5 }
unavailable = [{ kind = "outage", from_hour = 2, hours = 0.5 }]
[[pools]]
load_share = 0.9
workloads = ["long"]

[[policies]]
use = "least-loaded"
[[policies]]
use = "spill"
max_utilisation = 0.8
[[policies]]""",
    ),
)
GRAMS = small.changed(
    small.SCENARIO,
    (
        'kind = "fixed-rate"\nrequests_per_hour = 50',
        'kind = "gamma-renewal"\nrequests_per_hour = 50\ncv = 2.0',
    ),
    (
        small.SYNTHETIC,
        'kind = "synthetic"\nnoise = 0.1\ndiurnal_amplitude = 0.3\npeak_hour = 18\nfloor_g_per_kwh = 5\n',
    ),
    (
        "carbon_g_per_kwh = 400",
        "carbon_g_per_kwh = 400\npue = 1.2\nhardware_factor = 2.0\nlatitude = 50\nlongitude = 8",
    ),
    (
        "carbon_g_per_kwh = 50",
        "carbon_g_per_kwh = 50\n"
        "carbon_profile = { peak_hour = 3, utc_offset_hours = 5.5, weather_std_g_per_kwh = 4 }",
    ),
    ("jitter_std_ms = 3", "jitter_std_ms = 3\nenergy_j_per_gb = 1000"),
    ("slo_ms = 100", "slo_ms = 100\nenergy_j = 300\nembodied_g = 0.01\npayload_mb = 1"),
    ("slo_ms = 300", "slo_ms = 300\nenergy_j = 900.5"),
    ('service_time = "mean"', 'service_time = "mean"\ncarbon_age = "2h"'),
    ("alpha = 0.5", "alpha = 0.5\nrtt_bounds_ms = [0, 200]\ncarbon_bounds_g_per_kwh = [0, 900]"),
    (
        "[[origins]]",
        '[objectives]\npolicy = "Latency-First"\np95_latency_ms = "< 500"\ntotal_kg = "< 1e3"\n[[origins]]',
    ),
)
TOKENS = small.changed(
    GRAMS,
    (
        '{ law = "normal", mean = 120, std = 25, floor = 1 }',
        '{ law = "tokens", prefill_ms_per_token = 0.1, decode_ms_per_token = 0.5, overhead_ms = 5, '
        'prompt_tokens = { law = "lognormal", mean = 100, std = 50 }, '
        'answer_tokens = { law = "gamma", mean = 50, std = 40 } }',
    ),
    ("energy_j = 900.5", "energy_j_per_prompt_token = 0.5\nenergy_j_per_answer_token = 2"),
)
BASES = {"published": PUBLISHED, "pools": POOLS, "grams": GRAMS, "tokens": TOKENS}

NUMBERS = [
    0, -0.0, -1, 1, 2, 1e-323, 1e-9, 0.5, 1 - 1e-16, 1 + 1e-16, 999_999_999, 1e9, 1e15, 1e17, 1e154, 1e300,
    1.7e308, math.inf, -math.inf, math.nan, 2**31, 2**32 - 1, 2**53 + 1, 2**63 - 1, -(2**63), 10**300,
    True, False,
]  # fmt: skip
OTHERS = [
    "", "nan", "1e999", "<= 1e999", "quantile:1e-300", "999999999999h", "0h", "-1h", "\x1b[31m", "\u202e",
    "a" * 5000, [], {}, [[]], [math.nan, math.inf], [1e300, 1e308],
    datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, tzinfo=UTC), datetime(1, 1, 1),
]  # fmt: skip

#: Longer runs than these are no test of extremes.
MOST_HOURS, MOST_REQUESTS, MOST_TICKS = 200, 20_000, 2000


def paths(value: Any, path: tuple[Step, ...] = ()) -> Iterator[tuple[Step, ...]]:
    """Yield the way to every value of a document, tables and arrays included."""
    members = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for step, inner in members:
        yield (*path, step)
        yield from paths(inner, (*path, step))


def put(document: Document, path: tuple[Step, ...], value: Any) -> None:
    """Put a value where a path leads; nowhere, if an earlier change took that place away."""
    inner: Any = document
    for step in path[:-1]:
        try:
            inner = inner[step]
        except (KeyError, IndexError, TypeError):
            return
    last = path[-1]
    if isinstance(inner, dict) or (isinstance(inner, list) and isinstance(last, int) and last < len(inner)):
        cast("Any", inner)[last] = value


@st.composite
def extremes(draw: st.DrawFn) -> Document:
    document = tomllib.loads(BASES[draw(st.sampled_from(sorted(BASES)))])
    ways = sorted(paths(document), key=str)
    leaves = [way for way in ways if not isinstance(at(document, way), dict | list)]
    for _ in range(draw(st.integers(1, 3))):
        way = draw(st.sampled_from(leaves) | st.sampled_from(ways))
        number = st.sampled_from(NUMBERS) | st.floats() | st.integers()
        put(document, way, copy.deepcopy(draw(number | number | number | st.sampled_from(OTHERS))))
    return document


def at(document: Any, path: tuple[Step, ...]) -> Any:
    inner = document
    for step in path:
        inner = inner[step]
    return inner


def assert_runs_or_is_refused(document: Document, engine: str | None) -> None:
    try:
        scenario = checked(document, "extreme", Path())
        assume(scenario.horizon.hours <= MOST_HOURS)
        assume(scenario.horizon.hours * 3600 / scenario.control.interval_s <= MOST_TICKS)
        assume(resolve(scenario).arrivals.count <= MOST_REQUESTS)
        tables = run(scenario, engine=engine).tables
    except CarbonrouteError:
        return
    for field in fields(Tables):
        table = getattr(tables, field.name)
        for name in table.columns:
            if table[name].dtype.is_float():
                odd = table.filter(~pl.col(name).is_finite())
                assert odd.is_empty(), f"{field.name}.{name}: {odd[name].to_list()}"


@pytest.mark.parametrize("name", BASES)
def test_without_extreme_values_they_run(name: str) -> None:
    assert run(checked(tomllib.loads(BASES[name]), name, Path())).outcomes


@settings(max_examples=examples(120), deadline=None)
@given(extremes(), st.sampled_from([None, "exact"]))
def test_extreme_values_run_or_are_refused(document: Document, engine: str | None) -> None:
    assert_runs_or_is_refused(document, engine)


@pytest.mark.full(long=True)
@settings(max_examples=20_000, deadline=None)
@given(extremes(), st.sampled_from([None, "exact"]))
def test_many_extreme_values_run_or_are_refused(document: Document, engine: str | None) -> None:
    assert_runs_or_is_refused(document, engine)
