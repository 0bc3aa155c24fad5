"""Pools as the scenario states them, and the arrays that they become."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from carbonroute.control.router import Control
from carbonroute.policies import Policy, View
from carbonroute.policies.base import CAPACITY_FIELDS, COMMON_FIELDS, STATE_FIELDS, SplittingPolicy
from carbonroute.scenario import UNLIMITED, Candidate, Capacity, Inputs, Scenario, load, offered_load, resolve
from helpers import small
from helpers.refusals import Refusals

#: Region A: a pool per workload, one of them of batches; region B: one of the scenario's own pools.
POOLS = """\
[[regions]]
name = "A"
carbon_g_per_kwh = 400
[[regions.pools]]
workloads = ["long"]
servers = 3
speed = 2
queue_limit = 7
idle_power_w = 80
busy_power_w = 250
unavailable = [
    { kind = "outage", from_hour = 2.5, hours = 1 },
    { kind = "maintenance", from_hour = 0, hours = 2.5 },
]
[[regions.pools]]
workloads = ["short"]
load_share = 0.5
batching = { max_batch = 8, max_wait_ms = 5, fixed_ms = 400, per_request_ms = 150 }
[[regions]]
name = "B"
carbon_g_per_kwh = 50
[[pools]]
servers = 10
unavailable = [{ kind = "outage", from_hour = 1, hours = 1 }]
"""
PLAIN = '[[regions]]\nname = "A"\ncarbon_g_per_kwh = 400\n[[regions]]\nname = "B"\ncarbon_g_per_kwh = 50\n'
ENERGIES = (
    ('service_ms = { law = "normal", mean = 20', 'energy_j = 1\nservice_ms = { law = "normal", mean = 20'),
    ('service_ms = { law = "normal", mean = 120', 'energy_j = 5\nservice_ms = { law = "normal", mean = 120'),
)
#: 50 requests per hour become 36,000: 10 per second, 7 short ones and 3 long ones.
TEN_PER_S = ("requests_per_hour = 50", "requests_per_hour = 36_000")


def common(*lines: str) -> small.Change:
    """Return the change that gives every region one pool."""
    return PLAIN, PLAIN + "".join(f"{line}\n" for line in ("[[pools]]", *lines))


def inputs_of(folder: Path, *changes: small.Change) -> Inputs:
    return resolve(load(small.write(folder, *changes)))


def test_pools_become_arrays(tmp_path: Path) -> None:
    capacity = inputs_of(tmp_path, (PLAIN, POOLS), TEN_PER_S, *ENERGIES).capacity
    assert capacity.labels == ("A: long", "A: short", "B")
    assert capacity.region_names == ("A", "B")
    assert capacity.region.tolist() == [0, 0, 1]
    assert capacity.pool.tolist() == [[1, 2], [0, 2]]  # short, long
    # 7 short requests per s, each an eighth of a batch of 1.6 s: 1.4 Erlangs, half of which is 0.7
    assert capacity.servers.tolist() == [3, 1, 10]
    assert capacity.speed.tolist() == [2, 1, 1]
    assert capacity.queue_limit.tolist() == [7, UNLIMITED, UNLIMITED]
    assert capacity.max_batch.tolist() == [0, 8, 0]
    assert capacity.max_wait_s.tolist() == [0, 0.005, 0]
    assert capacity.batch_fixed_s.tolist() == [0, 0.4, 0]
    assert capacity.batch_per_request_s.tolist() == [0, 0.15, 0]
    np.testing.assert_array_equal(capacity.idle_w, [80, math.nan, math.nan])
    np.testing.assert_array_equal(capacity.busy_w, [250, math.nan, math.nan])
    assert capacity.windows.tolist() == [[0, 0, 0, 9000], [2, 1, 3600, 7200], [0, 1, 9000, 12600]]
    assert capacity.limited
    assert not capacity.neutral


def test_without_pools_nothing_limits_a_region(tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path)
    unlimited = inputs.capacity
    for field in fields(Capacity):
        kept = getattr(unlimited.without_limits(), field.name)
        np.testing.assert_array_equal(getattr(unlimited, field.name), kept)
    assert unlimited.labels == unlimited.region_names == ("A", "B")
    assert unlimited.pool.tolist() == [[0, 1], [0, 1]]
    assert (unlimited.servers == UNLIMITED).all()
    assert (unlimited.limited, unlimited.neutral) == (False, True)
    assert not any("load" in note for note in inputs.notes)


def test_without_limits_the_hardware_is_the_same(tmp_path: Path) -> None:
    capacity = inputs_of(tmp_path, (PLAIN, POOLS), TEN_PER_S, *ENERGIES).capacity
    free = capacity.without_limits()
    assert capacity.limited
    assert (free.servers == UNLIMITED).all()
    assert (free.queue_limit == UNLIMITED).all()
    assert not len(free.windows)
    batches = ("max_batch", "max_wait_s", "batch_fixed_s", "batch_per_request_s")
    assert free.max_batch.any()
    for name in ("region", "pool", "speed", "idle_w", "busy_w", *batches):
        np.testing.assert_array_equal(getattr(free, name), getattr(capacity, name))


@pytest.mark.parametrize(
    ("lines", "limited"),
    [
        (["servers = 1_000_000"], True),
        (["load_share = 0.5"], True),
        (['unavailable = [{ kind = "maintenance", from_hour = 0, hours = 1 }]'], True),
        (["batching = { max_batch = 1, max_wait_ms = 0, fixed_ms = 1, per_request_ms = 0 }"], True),
        (["speed = 2"], False),
        (["idle_power_w = 0", "busy_power_w = 0"], False),
    ],
)
def test_what_engines_without_servers_get_wrong_is_not_neutral(
    lines: list[str], limited: bool, tmp_path: Path
) -> None:
    capacity = inputs_of(tmp_path, common(*lines), *ENERGIES).capacity
    assert (capacity.limited, capacity.neutral) == (limited, False)


def test_the_offered_load_is_rate_times_service_time(tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path, TEN_PER_S)
    service_s = np.array([law.average() for law in inputs.laws]) / 1000
    np.testing.assert_allclose(offered_load(inputs), [7 * service_s[0], 3 * service_s[1]], rtol=1e-12)
    batches = "batching = { max_batch = 8, max_wait_ms = 5, fixed_ms = 4, per_request_ms = 1.5 }"
    faster = inputs_of(tmp_path, TEN_PER_S, common("speed = 2", batches))
    np.testing.assert_allclose(offered_load(faster), [7 * 0.002, 3 * 0.002], rtol=1e-12)
    busy_ms = faster.capacity.busy_ms(np.array([20.0, 120.0]), np.arange(2))
    np.testing.assert_allclose(busy_ms, 1.0, rtol=1e-12)


def test_the_load_of_changing_traffic_is_the_mean_over_the_horizon(tmp_path: Path) -> None:
    daily = (
        'kind = "fixed-rate"\nrequests_per_hour = 50\n',
        'kind = "poisson"\nrequests_per_hour = 36_000\ndiurnal = { amplitude = 0.8, peak_hour = 6 }\n',
    )
    inputs = inputs_of(tmp_path, daily)
    by_hour = inputs.arrivals.expected().sum(axis=1)
    assert by_hour[:, 0].max() > 1.2 * by_hour[:, 0].min()
    service_s = np.array([law.average() for law in inputs.laws]) / 1000
    np.testing.assert_allclose(offered_load(inputs), by_hour.mean(axis=0) / 3600 * service_s, rtol=1e-12)


@pytest.mark.parametrize(
    ("share", "speed", "servers"),
    # 10 requests per second of 0.05 s on average: half an Erlang.
    [("2", "1", 1), ("20", "1", 10), ("20.001", "1", 11), ("20", "2", 5), ("19", "2", 5), ("0.001", "1", 1)],
)
def test_a_share_of_the_load_is_rounded_up_to_servers(
    share: str, speed: str, servers: int, tmp_path: Path
) -> None:
    fixed = ("mean = 20, std = 4", "mean = 20, std = 0"), ("mean = 120, std = 25", "mean = 120, std = 0")
    pool = common(f"load_share = {share}", f"speed = {speed}")
    inputs = inputs_of(tmp_path, TEN_PER_S, pool, *fixed)
    assert inputs.capacity.servers.tolist() == [servers, servers]
    plural = "s" if servers > 1 else ""
    assert f"{share} of the load is {servers} server{plural} in each region" in inputs.notes


def test_each_share_is_noted_once_with_its_regions(tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path, (PLAIN, POOLS), ("servers = 10", "load_share = 30"), TEN_PER_S, *ENERGIES)
    assert inputs.notes[-2:] == (
        "0.5 of the load of short is 1 server in A",
        "30 of the load is 15 servers in B",
    )


def test_headroom_multiplies_servers_together(tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path, (PLAIN, POOLS), TEN_PER_S, *ENERGIES)
    capacity, load_erlangs = inputs.capacity, np.array([10.0, 30.0])
    # 3 · 2 + 1 + 10 = 17 in all, and 2 · 40 are wanted
    doubled = capacity.with_headroom(2.0, load_erlangs)
    assert doubled.servers.tolist() == [math.ceil(n * 80 / 17) for n in (3, 1, 10)]
    np.testing.assert_array_equal(doubled.queue_limit, capacity.queue_limit)
    assert capacity.with_headroom(17 / 40, load_erlangs).servers.tolist() == capacity.servers.tolist()
    assert capacity.with_headroom(1e-9, load_erlangs).servers.tolist() == [1, 1, 1]
    free = capacity.with_headroom(math.inf, load_erlangs)
    assert (free.servers == UNLIMITED).all()
    assert (free.queue_limit == UNLIMITED).all()
    np.testing.assert_array_equal(free.windows, capacity.windows)


def test_headroom_leaves_unlimited_pools_out(tmp_path: Path) -> None:
    capacity = inputs_of(tmp_path, (PLAIN, POOLS), TEN_PER_S, *ENERGIES).capacity
    half = capacity.with_servers(np.array([4, UNLIMITED, UNLIMITED]))
    assert half.with_headroom(3.0, np.array(8.0)).servers.tolist() == [12, UNLIMITED, UNLIMITED]
    unlimited = inputs_of(tmp_path).capacity
    assert unlimited.with_headroom(3.0, np.array(8.0)).servers.tolist() == [UNLIMITED, UNLIMITED]


TOKENS = (
    'service_ms = { law = "normal", mean = 20, std = 4 }',
    'service_ms = { law = "tokens", prefill_ms_per_token = 0.1, decode_ms_per_token = 5, '
    'answer_tokens = { law = "gamma", mean = 20, std = 20 } }',
)
LOG = "time,prompt,ms\n" + "".join(f"{time},100,20\n" for time in small.HOURS)


def replayed(workload: str, *more: str) -> small.Change:
    lines = ['kind = "replay"', "[[traffic.logs]]", 'path = "log.csv"', 'time_column = "time"', *more]
    if workload:
        lines.append(f'workload = "{workload}"')
    return 'kind = "fixed-rate"\nrequests_per_hour = 50\n', "\n".join(lines) + "\n"


PROMPTS, MEASURED = 'prompt_tokens_column = "prompt"', 'service_column = "ms"\nservice_unit = "ms"'
ONLY_LOGGED = "service times of its workloads come with the log, and nothing tells the load before"


@pytest.mark.parametrize(
    "changes",
    [(TOKENS, replayed("", PROMPTS)), (replayed("", MEASURED),), (replayed("long", MEASURED),)],
    ids=["prompts", "measured", "measured of one workload"],
)
def test_a_load_that_only_a_log_tells_needs_servers(
    changes: tuple[small.Change, ...], tmp_path: Path, refused: Refusals
) -> None:
    (tmp_path / "log.csv").write_text(LOG, encoding="utf-8")
    scenario = small.write(tmp_path, *changes, common("load_share = 0.5"))
    message = refused(scenario, f"pools[0].load_share: {ONLY_LOGGED}; state servers")
    assert message.count(ONLY_LOGGED) == 1
    inputs = inputs_of(tmp_path, *changes, common("servers = 4"))
    assert inputs.capacity.servers.tolist() == [4, 4]
    assert np.isnan(offered_load(inputs)).any()


def test_a_load_that_others_logs_measure_is_known(tmp_path: Path) -> None:
    """Short answers have a pool of their own, and long ones alone are measured."""
    (tmp_path / "log.csv").write_text(LOG, encoding="utf-8")
    (tmp_path / "other.csv").write_text(LOG, encoding="utf-8")
    kind, logs = replayed("long", MEASURED)
    logs += '[[traffic.logs]]\npath = "other.csv"\ntime_column = "time"\nworkload = "short"\n'
    pools = common('workloads = ["short"]', "load_share = 1000", "[[pools]]", 'workloads = ["long"]')
    inputs = inputs_of(tmp_path, (kind, logs), pools)
    load_erlangs = offered_load(inputs)
    assert load_erlangs[0] == pytest.approx(0.02 / 3600)  # six requests in six hours
    assert math.isnan(load_erlangs[1])
    assert inputs.capacity.servers.tolist() == [1, UNLIMITED, 1, UNLIMITED]


def test_a_load_share_of_a_million_servers_is_refused(tmp_path: Path, refused: Refusals) -> None:
    many = ("requests_per_hour = 50", "requests_per_hour = 1_000_000_000")
    scenario = small.write(tmp_path, many, common("load_share = 1000"))
    refused(scenario, "pools[0].load_share: makes 13,888,889 servers; up to 1,000,000 are expected")


def test_a_policy_s_control_replaces_the_keys_that_it_gives(tmp_path: Path) -> None:
    scenario = load(
        small.write(
            tmp_path,
            ("[traffic]", "[control]\ninterval_s = 30\nhysteresis = 0.1\nwarmup_hours = 1\n[traffic]"),
            ("alpha = 0.5", "alpha = 0.5\ncontrol = { hysteresis = 0.0, routers = 4 }"),
        )
    )
    for again in (scenario, Scenario.model_validate_json(as_json(scenario))):
        controls = [candidate.control for candidate in resolve(again).candidates]
        stated = Control(interval_s=30, hysteresis=0.1, warmup_hours=1)
        assert again.control == resolve(again).candidate("it", Joint(), again.information).control == stated
        assert controls == [stated, stated.model_copy(update={"hysteresis": 0.0, "routers": 4}), stated]


def as_json(scenario: Scenario) -> str:
    return scenario.model_dump_json(by_alias=True, exclude_none=True)


def test_pools_are_the_same_when_read_again(tmp_path: Path) -> None:
    scenario = load(small.write(tmp_path, (PLAIN, POOLS), TEN_PER_S, *ENERGIES))
    again = Scenario.model_validate_json(as_json(scenario))
    assert again.pools == scenario.pools
    assert again.regions == scenario.regions
    assert json.loads(as_json(scenario))["regions"][0]["pools"][0]["servers"] == 3


OWN = """
from dataclasses import dataclass

@dataclass
class Limited:
    max_utilisation: float = 0.9
    name = "Limited"

    def cost(self, view):
        return view.rtt_ms
"""


def test_a_limit_of_utilisation_is_the_policy_s_where_it_takes_one(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN, encoding="utf-8")
    limited = "alpha = 0.5\nmax_utilisation = 0.7"
    own = 'use = "own.py:Limited"\nmax_utilisation = 0.6'
    inputs = inputs_of(tmp_path, ("alpha = 0.5", limited), ('use = "latency-first"', own))
    assert [candidate.max_utilisation for candidate in inputs.candidates] == [None, 0.7, None]
    assert getattr(inputs.candidates[0].policy, "max_utilisation", None) == 0.6
    stated = json.loads(as_json(inputs.scenario))["policies"]
    assert [entry.get("max_utilisation") for entry in stated] == [0.6, 0.7, None]


class Reading(Policy):
    """A policy that declares to read one more field."""

    name = "Reading"

    def __init__(self, field: str) -> None:
        self.field = field

    @property
    def reads(self) -> frozenset[str]:
        return COMMON_FIELDS | {self.field}

    def cost(self, view: View) -> np.ndarray:
        return view.rtt_ms


@pytest.mark.parametrize("field", sorted(STATE_FIELDS | CAPACITY_FIELDS))
def test_state_is_what_a_router_measures(field: str, tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path)
    candidate = inputs.candidate("it", Reading(field), inputs.scenario.information)
    assert candidate.on_state == (field in STATE_FIELDS)


@pytest.mark.parametrize(
    ("change", "on_state"),
    [
        (lambda candidate: candidate, False),
        (lambda candidate: replace(candidate, max_utilisation=1.0), True),
        (lambda candidate: with_control(candidate, hysteresis=0.1), True),
        (lambda candidate: with_control(candidate, max_step=0.5), True),
        (lambda candidate: with_control(candidate, min_home_share=0.1), True),
        (lambda candidate: with_control(candidate, max_region_share=0.9), True),
        (lambda candidate: with_control(candidate, routers=2), True),
        (
            lambda candidate: with_control(candidate, interval_s=10, warmup_hours=2, capacity="fair-share"),
            False,
        ),
    ],
)
def test_limits_of_the_router_are_state(
    change: Callable[[Candidate], Candidate], on_state: bool, tmp_path: Path
) -> None:
    candidate = change(inputs_of(tmp_path).candidates[1])
    assert candidate.on_state is on_state


def with_control(candidate: Candidate, **keys: object) -> Candidate:
    return replace(candidate, control=Control.model_validate(keys))


class Joint(SplittingPolicy):
    """A joint policy that reads all that there is of servers."""

    name = "Joint"
    joint = True
    reads = COMMON_FIELDS | STATE_FIELDS | CAPACITY_FIELDS

    def weights(self, view: View) -> np.ndarray:
        return np.full(view.rtt_ms.shape, 1 / view.rtt_ms.shape[-1])


def test_joint_policies_may_read_state_and_capacity(tmp_path: Path) -> None:
    use = f'use = "{__name__}:Joint"\nlabel = "Joint"'
    inputs = inputs_of(tmp_path, ('use = "latency-first"', use))
    assert inputs.candidates[0].on_state
