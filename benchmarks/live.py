"""The live controller: deciding, moving weights on a real HAProxy, and the process on the example's stack."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measuring import Row, Size
from benchmarks.optimal import Cells, tick
from benchmarks.process import child
from carbonroute.control.loop import decided
from carbonroute.control.router import Control, Router
from carbonroute.policies.base import PolicyLike
from carbonroute.policies.constrained_hybrid import ConstrainedHybrid
from carbonroute.policies.optimal import Optimal

_EXAMPLE = Path(__file__).parent.parent / "examples" / "live"
_REGIONS = ("eu", "us", "ap")
#: Of a soak, which lasts as many minutes as `CARBONROUTE_SOAK_MIN` says, the first part is not counted; there
#: is none without it.
_WARM_PART = 0.5
_SAMPLE_S = 10.0
_LIMIT_S = 120.0


def measure(size: Size) -> list[Row]:
    repeat = 20 if size.small else 400
    rows = [
        _deciding(name, policy, cells, repeat)
        for cells in ((4, 3, 6), (5, 12, 20))
        for name, policy in (
            ("constrained-hybrid", ConstrainedHybrid()),
            ("optimal", Optimal(max_violation=0.1)),
        )
    ]
    if size.small or not all(map(shutil.which, ("haproxy", "prometheus"))):
        return rows
    with tempfile.TemporaryDirectory() as name, _stack(Path(name)) as folder:
        return [*rows, _moving(folder, repeat), *_moving_envoy(repeat), *_running(folder)]


def _quantiles(times_s: list[float]) -> str:
    p50, p99 = np.quantile(times_s, [0.5, 0.99]) * 1e3
    return f"{p50:.2g} ms; {p99:.2g} ms"


def _deciding(name: str, policy: PolicyLike, cells: Cells, repeat: int) -> Row:
    """Return the times of one decision within a router's limits, of another view each."""
    router, times_s = Router(policy, Control(max_step=0.5)), []
    held, unknown = np.full(cells, 1 / cells[-1]), np.zeros(1, dtype=bool)
    for seed in range(repeat):
        view = tick(cells, 0.6, seed)
        start = time.perf_counter()
        decided(router, view, unknown, held)
        times_s.append(time.perf_counter() - start)
    origins, workloads, regions = cells
    where = f"{regions} regions × {origins} origins × {workloads} workloads"
    return Row(f"`{name}`: deciding for {where}, p50; p99", _quantiles(times_s))


@contextmanager
def _stack(folder: Path) -> Iterator[Path]:
    """Run the example's stack, with ports of its own, in a folder."""
    for path in _EXAMPLE.iterdir():
        if path.is_file():
            shutil.copy(path, folder)
    first = _free_ports(6)
    file = folder / "live.toml"
    text = file.read_text(encoding="utf-8").replace("127.0.0.1:9090", f"127.0.0.1:{first + 5}")
    text = text.replace("127.0.0.1:9909", "127.0.0.1:0").replace('"shadow"', '"live"')
    file.write_text(text, encoding="utf-8")
    command = [sys.executable, "stack.py", "--folder", str(folder), "--port", str(first)]
    command += ["--prometheus-port", str(first + 5)]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as child:
        try:
            if not child.stdout or "users ask" not in child.stdout.readline():
                raise RuntimeError("the stack did not start")
            time.sleep(15)  # counts are those of 15 s
            yield folder
        finally:
            child.terminate()
            child.communicate()


def _free_ports(count: int) -> int:
    """Return the first of some ports in a row that nobody listens on."""
    for first in range(20_000, 30_000, count):
        try:
            for port in range(first, first + count):
                socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return first
    raise RuntimeError("no ports are free")


def _moving(folder: Path, repeat: int) -> Row:
    """Return the times of writing weights to HAProxy and reading them back."""
    from carbonroute.live.clock import SystemClock
    from carbonroute.live.config import load_live
    from carbonroute.live.http import HttpFetcher
    from carbonroute.live.running import actuation_of

    setup, clock = load_live(folder / "live.toml"), SystemClock()
    times_s, one = [], np.ones((1, 1))
    with HttpFetcher(clock) as fetch, actuation_of(setup, clock, fetch) as actuation:
        for step in range(repeat):
            share = step % 40 / 40
            weights = np.array([[[share, (1 - share) / 2, (1 - share) / 2]]])
            start = time.perf_counter()
            carried = actuation.apply(weights, one)
            times_s.append(time.perf_counter() - start)
            if not carried.verified.all():
                raise RuntimeError(f"HAProxy did not take weights: {carried.records}")
    return Row("writing to HAProxy and reading back, p50; p99", _quantiles(times_s), "p99 ≤ 200 ms")


def _moving_envoy(repeat: int) -> Iterator[Row]:
    """Give the times of writing endpoints for Envoy and reading them back; none where it is not installed."""
    from carbonroute.live.http import HttpFetcher
    from helpers.needs import path_of
    from helpers.programs import backends
    from helpers.real_envoy import started

    if path_of("envoy") is None:
        return
    times_s = []
    with (
        tempfile.TemporaryDirectory() as name,
        HttpFetcher() as fetch,
        backends() as places,
        started(Path(name), places, fetch) as envoy,
    ):
        for step in range(repeat):
            share = step % 40 / 40
            start = time.perf_counter()
            applied = envoy.target.apply({"eu": share, "us": (1 - share) / 2, "ap": (1 - share) / 2})
            times_s.append(time.perf_counter() - start)
            if applied.result != "ok":
                raise RuntimeError(f"Envoy did not take weights: {applied}")
    yield Row("writing to Envoy and reading back, p50; p99", _quantiles(times_s), "p99 ≤ 200 ms")


def _running(folder: Path) -> list[Row]:
    """Return the figures of a controller's process: its start, its memory, and how it meets a dead region."""
    command = [sys.executable, "-m", "carbonroute", "live", "run", "live.toml", "--quiet"]
    paths = os.environ | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
    start = time.perf_counter()
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL, env=paths) as run:
        try:
            _first(folder, lambda _record: True)
            start_s, cpu_s = time.perf_counter() - start, _cpu_s(run.pid)
            dead_s = _dead(folder)
            grown = list(_soaked(run.pid, float(os.environ.get("CARBONROUTE_SOAK_MIN", "0"))))
            memory = _memory_kib(run.pid)
        finally:
            run.terminate()
    mb = {name: f"{kib * 1024 / 1e6:.0f} MB" for name, kib in memory.items()}
    return [
        Row(
            "`live run` of the example: start to first decision, wall; CPU",
            f"{start_s:.2f} s; {cpu_s:.2f} s",
            "≤ 1.5 s",
        ),
        Row(
            "a region's server dies: until new weights are read back (ticks of 2 s)",
            f"{dead_s:.1f} s",
            "≤ 3 s",
        ),
        Row(
            "memory: largest; of its own; pages of files",
            f"{mb['VmHWM']}; {mb['RssAnon']}; {mb['RssFile']}",
            "≤ 120 MB",
        ),
        Row("the same with carbon by HTTP: largest", f"{_without_files(folder) / 1e6:.0f} MB", "≤ 120 MB"),
        *grown,
    ]


def _soaked(pid: int, minutes: float) -> Iterator[Row]:
    """Watch a process for so long; give the growth of its own memory: the slope of a regression on time."""
    times_h, own_mib, start = [], [], time.perf_counter()
    while (now_s := time.perf_counter() - start) < minutes * 60:
        times_h.append(now_s / 3600)
        own_mib.append(_memory_kib(pid)["RssAnon"] / 1024)
        time.sleep(_SAMPLE_S)
    warm = int(len(times_h) * _WARM_PART)
    if warm > 1:
        slope = np.polyfit(times_h[warm:], own_mib[warm:], 1)[0]
        what = f"growth of its own memory, from minute {minutes * _WARM_PART:.0f} to {minutes:.0f}"
        yield Row(what, f"{slope:.2f} MiB/h", "< 1 MiB/h")


def _without_files(folder: Path) -> int:
    """Return the peak memory of a shadow that gets its carbon from Prometheus, bytes."""
    text = (folder / "live.toml").read_text(encoding="utf-8").replace('"live"', '"shadow"')
    address = next(line for line in text.splitlines() if line.startswith("prometheus")).split('"')[1]
    before, _, rest = text.partition("[[live.carbon.sources]]")
    query = " or ".join(f"label_replace(vector(300), 'region', '{name}', '', '')" for name in _REGIONS)
    labels = 'accounting = { rate = "average", scope = "lifecycle", boundary = "consumption" }'
    source = f'kind = "prometheus"\nbase_url = "{address}"\nquery = "{query}"\n{labels}\n\n'
    text = f"{before}[[live.carbon.sources]]\n{source}{rest[rest.index('[live.observe]') :]}"
    text = text.replace('journal = "journal"', 'journal = "http"')
    (folder / "http.toml").write_text(text, encoding="utf-8")
    return child(["python", "-m", "carbonroute", "live", "run", str(folder / "http.toml"), "--ticks", "8"])[1]


def _dead(folder: Path) -> float:
    """Take the region down that has most of the traffic; return how long it keeps its weight, s."""
    last = _first(folder, _all_up)
    region = int(np.argmax(last["weights"][0][0]))
    file = folder / f"down-{_REGIONS[region]}"
    start = time.perf_counter()
    file.touch()
    _first(folder, lambda record: record["weights"][0][0][region] == 0 and record["seq"] > last["seq"])
    taken_s = time.perf_counter() - start
    file.unlink()
    return taken_s


def _all_up(record: dict[str, Any]) -> bool:
    return all(record["view"]["available"][0][0])


def _first(folder: Path, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Wait for the last record of the journal to have a property, and return it."""
    end = time.perf_counter() + _LIMIT_S
    while time.perf_counter() < end:
        for path in sorted((folder / "journal").glob("*.jsonl"))[-1:]:
            lines = path.read_bytes().split(b"\n")[:-1]
            record: dict[str, Any] = json.loads(lines[-1]) if lines else {}
            if record and holds(record):
                return record
        time.sleep(0.02)
    raise RuntimeError("the controller did not decide so in time")


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory_kib(pid: int) -> dict[str, int]:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    known = dict(line.split(":", 1) for line in lines if ":" in line)
    return {name: int(known[name].split()[0]) for name in ("VmHWM", "VmRSS", "RssAnon", "RssFile")}
