"""The same numbers, to the bit, whoever works on them; and no process is left behind."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from carbonroute.arrays import Array
from carbonroute.control.information import Information
from carbonroute.engines import sampled, workers
from carbonroute.errors import Fault, InputError, PolicyError, WorkerError
from carbonroute.outcome import Histogram, Outcome, Samples
from carbonroute.policies import Policy, View
from carbonroute.scenario import Inputs, builtin_text, load, resolve
from helpers.grids import grid

# Python from 3.12 on warns of what these tests do on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

HOURLY = 66_000  # a little more than a block: with one block to a chunk, three hours are four chunks
TRAFFIC: dict[str, dict[str, Any]] = {
    "fixed-rate": {"kind": "fixed-rate", "requests_per_hour": HOURLY},
    "poisson": {"kind": "poisson", "requests_per_hour": HOURLY},
    "gamma-renewal": {"kind": "gamma-renewal", "requests_per_hour": HOURLY, "cv": 3.0},
    "rate-file": {"kind": "rate-file", "path": "rates.csv", "unit": "requests/h", "window": "60min"},
    "replay": {
        "kind": "replay",
        "align": "first-request",
        "logs": [{"path": "log.parquet", "time_column": "time", "time_unit": "s"}],
    },
}
POLICIES = [
    {"use": "latency-first"},
    {"use": "hybrid", "alpha": 0.5},
    {"use": "constrained-hybrid", "information": {"service_time": "actual"}},
    {"use": "random"},
    {"use": "round-robin"},
]


@pytest.fixture(autouse=True)
def one_block_to_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "CHUNK", 1)


def inputs_of(folder: Path, kind: str, policies: Sequence[object] = POLICIES, extra: str = "") -> Inputs:
    """Return the starter scenario with other traffic and policies, read from a file in a folder."""
    pl.DataFrame({"rate": [HOURLY, 2 * HOURLY, 0, HOURLY]}).write_csv(folder / "rates.csv")
    seconds = np.sort(np.random.default_rng(1).uniform(0, 3 * 3600, 3 * HOURLY))
    pl.DataFrame({"time": seconds}).write_parquet(folder / "log.parquet")
    path = folder / "mine.toml"
    path.write_text(builtin_text("starter") + extra, encoding="utf-8")
    changes = {"traffic": TRAFFIC[kind], "horizon.hours": 3, "sampling": {"scheme": "streams"}}
    return replace(resolve(load(path, {**changes, **({} if extra else {"policies": policies})})), baseline=0)


def assert_same(one: Sequence[Outcome], other: Sequence[Outcome]) -> None:
    for mine, theirs in zip(one, other, strict=True):
        for name in ("requests", "violations", "latency_sum_ms", "carbon_sum_g_per_kwh"):
            np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name))
        assert mine.paired == theirs.paired is not None
        assert type(mine.latency) is type(theirs.latency)
        for values, others in zip(arrays(mine), arrays(theirs), strict=True):
            np.testing.assert_array_equal(values, others)


def arrays(outcome: Outcome) -> list[np.ndarray]:
    latency = outcome.latency
    if isinstance(latency, Samples):
        return [np.concatenate(parts) for parts in latency.parts]
    assert isinstance(latency, Histogram)
    return [latency.counts, latency.sum_ms, latency.low_ms, latency.high_ms, np.array(latency.first)]


@pytest.mark.parametrize(
    ("kind", "kept"), grid(["fixed-rate", "poisson", "gamma-renewal", "rate-file"], [True, False], one_of=2)
)
def test_any_number_of_workers_gives_the_same(
    kind: str, kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not kept:
        monkeypatch.setattr(sampled, "KEPT", 0)
    inputs = inputs_of(tmp_path, kind)
    alone = sampled.run(inputs)
    assert alone[0].requests.sum() > 2.5 * HOURLY
    for count in (2, 8) if kind == "fixed-rate" else (3,):
        assert_same(alone, sampled.run(inputs, workers=count, start_method="fork"))


@pytest.mark.parametrize("kind", ["fixed-rate", "replay"])
def test_processes_come_from_a_server_if_nothing_else_is_asked_for(kind: str, tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path, kind)
    assert_same(sampled.run(inputs), sampled.run(inputs, workers=2))


def test_another_chunk_s_outcome_is_another(tmp_path: Path) -> None:
    """What makes the test above able to fail: parts differ, and so does a sum in another order."""
    chunks = workers.Chunks(inputs_of(tmp_path, "fixed-rate"), kept=False, size=1)
    parts = [part[0] for chunk in range(4) if (part := chunks.route(chunk))]
    assert len(parts) == 4
    assert chunks.route(4) is None
    one, other = (Outcome.merged(order).latency_sum_ms for order in (parts, parts[::-1]))
    assert (one != other).any()
    np.testing.assert_allclose(one, other, rtol=1e-14)


@pytest.mark.parametrize("kind", TRAFFIC)
def test_chunks_may_be_asked_for_in_any_order(kind: str, tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path, kind)
    chunks = workers.Chunks(inputs, kept=False, size=1)
    back = {chunk: chunks.route(chunk) for chunk in (2, 0, 1)}
    again = workers.Chunks(pickle.loads(pickle.dumps(replace(inputs, forecast=None))), kept=False, size=1)
    for chunk in range(3):
        part, other = back[chunk], again.route(chunk)
        assert part is not None
        assert other is not None
        assert_same(part, other)


LOUD = '''
"""A policy that says where it is asked."""

import os


class Loud:
    name = "Loud"

    def cost(self, view):
        print("asked in", os.getpid())
        return view.rtt_ms + view.carbon_g_per_kwh
'''


def test_spawned_workers_find_policies_and_logs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "beside.py").write_text(LOUD, encoding="utf-8")
    package = tmp_path / "elsewhere"
    package.mkdir()
    (package / "routing_of_theirs.py").write_text(LOUD, encoding="utf-8")
    monkeypatch.syspath_prepend(package)
    entries = '[[policies]]\nuse = "beside.py:Loud"\n'
    entries += '[[policies]]\nuse = "routing_of_theirs:Loud"\nlabel = "Theirs"\n'
    inputs = inputs_of(tmp_path, "replay", extra=entries)
    alone = sampled.run(inputs)
    capfd.readouterr()
    assert_same(alone, sampled.run(inputs, workers=2, start_method="spawn"))
    printed = capfd.readouterr()
    assert f"asked in {os.getpid()}" in printed.out
    asked = {int(line.split()[-1]) for line in printed.err.splitlines() if line.startswith("asked in")}
    assert len(asked) == 1  # in the other process; what it prints is a log
    assert asked != {os.getpid()}


def test_a_log_is_not_read_in_a_fork(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="polars' threads stay behind"):
        sampled.run(inputs_of(tmp_path, "replay"), workers=2, start_method="fork")


def test_the_published_scheme_takes_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = resolve(load("published"))
    alone = sampled.run(inputs)
    monkeypatch.setattr(workers, "WorkerPool", None)
    both = sampled.run(inputs, workers=2)
    np.testing.assert_array_equal(alone[0].latency_sum_ms, both[0].latency_sum_ms)
    assert sampled.notes(inputs.scenario, 2) == (
        "the published scheme draws from one generator in sequence: it runs in one process",
    )
    assert sampled.notes(inputs.scenario, 1) == ()


def test_a_run_of_one_chunk_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "WorkerPool", None)
    inputs = resolve(load("published", {"sampling": {"scheme": "streams"}}))
    assert sampled.run(inputs, workers=8)[0].requests.sum() == 33_600


def test_progress_reaches_the_end(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    inputs = inputs_of(tmp_path, "fixed-rate")
    sampled.run(inputs, lambda done, total: seen.append((done, total)), workers=2, start_method="fork")
    assert seen[-1] == (3 * HOURLY * 5, 3 * HOURLY * 5)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


class Faulty(Policy):
    """Fails, but not where the run began."""

    reads = frozenset({"rtt_ms"})

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def cost(self, view: View) -> Array:
        if multiprocessing.parent_process():
            if self.fault == "dies":
                os._exit(3)
            raise ZeroDivisionError("by nothing")
        return view.rtt_ms


def with_policy(inputs: Inputs, policy: Policy) -> Inputs:
    return replace(inputs, candidates=(inputs.candidate("it", policy, Information()),), baseline=None)


def test_a_worker_that_dies_is_reported(tmp_path: Path) -> None:
    inputs = with_policy(inputs_of(tmp_path, "fixed-rate"), Faulty("dies"))
    with pytest.raises(WorkerError, match=r"a worker process ended before its work was done: .*take fewer"):
        sampled.run(inputs, workers=2, start_method="fork")


def test_a_policy_s_fault_comes_home(tmp_path: Path) -> None:
    inputs = with_policy(inputs_of(tmp_path, "fixed-rate"), Faulty("raises"))
    with pytest.raises(
        PolicyError,
        match=r"policy 'Faulty': ZeroDivisionError: by nothing \(test_workers\.py, line \d+\); mend",
    ):
        sampled.run(inputs, workers=2, start_method="fork")


def test_a_policy_that_cannot_be_sent_is_named(tmp_path: Path) -> None:
    class Local(Policy):
        def cost(self, view: View) -> Array:
            return view.rtt_ms

    inputs = with_policy(inputs_of(tmp_path, "fixed-rate"), Local())
    with pytest.raises(
        PolicyError, match=r"policy 'it': cannot be sent to another process \(.*Local.*module"
    ):
        sampled.run(inputs, workers=2)


def test_errors_survive_the_way() -> None:
    fault = Fault("traffic", "there is none", "add some")
    for error in (InputError("it", [fault] * 60), PolicyError("p", "is lost"), WorkerError()):
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error)
        assert str(again) == str(error)


SLOW = """
import os, sys, time
from dataclasses import replace
from carbonroute.engines import sampled, workers
from carbonroute.policies import Policy
from carbonroute.scenario import load
from carbonroute.scenario import resolve
from carbonroute.control.information import Information


class Slow(Policy):
    reads = frozenset({"rtt_ms"})

    def cost(self, view):
        import multiprocessing
        if multiprocessing.parent_process():
            print("working", flush=True, file=sys.stderr)
            time.sleep(3600)
        return view.rtt_ms


if __name__ == "__main__":
    workers.CHUNK = 1
    changes = {"sampling": {"scheme": "streams"}, "traffic.requests_per_hour": 10**6}
    inputs = resolve(load("published", changes))
    candidates = (inputs.candidate("it", Slow(), Information()),)
    sampled.run(replace(inputs, candidates=candidates), workers=2)
"""


@pytest.mark.parametrize("how", ["everyone is interrupted", "the parent is killed"])
def test_no_process_is_left_behind(how: str, tmp_path: Path) -> None:
    script = tmp_path / "slow.py"
    script.write_text(SLOW, encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, str(script)], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stderr is not None
    try:
        assert process.stderr.readline() == "working\n"
        if how == "the parent is killed":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=600)
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline and alive(process.pid):
            time.sleep(0.05)
        assert not alive(process.pid)
        said = process.stderr.read()
        assert said.count("Traceback") <= 1  # the parent's own
    finally:
        if alive(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        process.stderr.close()


def alive(group: int) -> bool:
    """Whether a group of processes has any that is more than a name."""
    found = subprocess.run(
        ["ps", "-o", "stat=", "-g", str(group)], capture_output=True, text=True, check=False
    )
    return any(not state.startswith("Z") for state in found.stdout.split())
