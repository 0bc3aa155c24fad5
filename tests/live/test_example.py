"""The example of docs/live.md with the real HAProxy and Prometheus: in the shadow, then live."""

from __future__ import annotations

import json
import math
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from carbonroute.cli import main
from carbonroute.control.chain import records
from carbonroute.control.decisions import DecisionRecord
from helpers import grids, needs
from helpers.example import copied, settled, stack

pytestmark = [needs.program("haproxy"), needs.program("prometheus"), pytest.mark.waits]


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, int, int]:
    """Copy the example to a folder whose name has a space, with ports of its own."""
    folder, *ports = copied(tmp_path)
    monkeypatch.chdir(folder)
    return folder, ports[0], ports[1]


def test_a_stack_starts_in_a_folder_with_a_space(example: tuple[Path, int, int]) -> None:
    folder, port, prometheus_port = example
    with stack(folder, port, prometheus_port):
        assert (folder / "haproxy.sock").is_socket()


def test_why_haproxy_does_not_start_is_told(example: tuple[Path, int, int]) -> None:
    folder, port, _ = example
    command = [sys.executable, "stack.py", "--port", str(port)]
    with socket.create_server(("127.0.0.1", port)):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("HAProxy does not answer:\n")
    assert "cannot bind socket" in done.stderr


def test_a_shadow_then_live_on_the_example(
    example: tuple[Path, int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, port, prometheus_port = example
    with stack(folder, port, prometheus_port) as child:
        settled(folder)
        assert main(["live", "run", "live.toml", "--shadow", "--ticks", "3"]) == 0
        text = (folder / "live.toml").read_text(encoding="utf-8").replace('"shadow"', '"live"')
        text = text.replace('journal = "journal"', 'journal = "live"')
        (folder / "live.toml").write_text(
            text.replace("[live]\n", '[live]\non_stop = "hold"\n'), encoding="utf-8"
        )
        assert main(["live", "run", "live.toml", "--ticks", "5"]) == 0
        every = list(records(folder / "live"))
        in_force = every[-1].live
        assert in_force is not None
        before = counts(child, folder, port)
        time.sleep(grids.runs(10, 4))
        after = counts(child, folder, port)
    shares = np.array(in_force.in_force, dtype=float)[0, 0].tolist()
    total = sum(after.values()) - sum(before.values())
    for region, share in zip(("eu", "us", "ap"), shares, strict=True):
        served = after[region] - before[region]
        # A binomial count lies within 5 deviations but once in two million; round robin varies less.
        assert abs(served - share * total) <= 5 * math.sqrt(total * share * (1 - share)) + 3
    assert [record.mode for record in records(folder / "journal")] == ["shadow"] * 3
    assert not [alarm for record in every for alarm in (record.live.alarms if record.live else ())]
    capsys.readouterr()
    assert main(["replay", "."]) == 0
    assert capsys.readouterr().out.count(" 0 differ") == 2
    assert main(["live", "savings", "live", "--json"]) == 0
    (saved,) = json.loads(capsys.readouterr().out)["modes"]
    assert saved["requests"] > 0
    assert saved["intended_g"]["policy"] < saved["intended_g"]["baseline"]


@contextmanager
def controller(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the example's controller on all of the traffic, with its records in the folder ``live``."""
    text = (folder / "live.toml").read_text(encoding="utf-8").replace('"shadow"', '"live"')
    (folder / "live.toml").write_text(text.replace('journal = "journal"', 'journal = "live"'))
    command = [sys.executable, "-m", "carbonroute", "live", "run", "live.toml", "--quiet"]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL) as child:
        try:
            yield child
        finally:
            child.terminate()


def first(folder: Path, holds: Callable[[DecisionRecord], bool], since: int = 0) -> DecisionRecord:
    """Wait for a record with a property, of those from number `since` on; for two minutes at most."""
    for _ in range(240):
        if (folder / "live").exists():
            for record in records(folder / "live"):
                if record.seq >= since and holds(record):
                    return record
        time.sleep(0.5)
    return pytest.fail("no such decision came")


def up(record: DecisionRecord) -> list[bool]:
    """Return whether each region takes requests."""
    shown: list[bool] = np.array(record.view["available"])[0, 0].tolist()
    return shown


def in_force(record: DecisionRecord) -> list[float]:
    assert record.live is not None
    weights: list[float] = np.array(record.live.in_force, dtype=float)[0, 0].tolist()
    return weights


def test_a_region_that_dies_loses_its_traffic_in_the_tick_that_sees_it(
    example: tuple[Path, int, int],
) -> None:
    folder, port, prometheus_port = example
    names = ["eu", "us", "ap"]
    with stack(folder, port, prometheus_port):
        settled(folder)
        with controller(folder) as child:
            whole = first(folder, lambda one: all(up(one)) and max(in_force(one)) > 0)
            dead = int(np.argmax(in_force(whole)))
            (folder / f"down-{names[dead]}").touch()
            seen = first(folder, lambda one: not up(one)[dead], whole.seq + 1)
            assert np.array(seen.weights)[0, 0, dead] == 0
            assert in_force(seen)[dead] < 0.01  # HAProxy's smallest weight, and none of a server that is down
            assert sum(in_force(seen)) == pytest.approx(1)
            (folder / f"down-{names[dead]}").unlink()
            again = first(folder, lambda one: all(up(one)), seen.seq + 1)
            for name in names:
                (folder / f"down-{name}").touch()
            none = first(folder, lambda one: not any(up(one)), again.seq + 1)
            assert none.live is not None
            assert none.live.by == "baseline"
            assert in_force(none) == [0.4, 0.3, 0.3]
            assert "no region is available: back to the baseline" in none.reasons
            assert len([alarm for alarm in none.live.alarms if "not healthy" in alarm]) == 3
            assert child.poll() is None
    assert main(["replay", str(folder / "live")]) == 0


def counts(child: subprocess.Popen[str], folder: Path, port: int) -> dict[str, int]:
    """Return how many requests each region has answered, by HAProxy's own metrics."""
    from carbonroute.live.http import HttpFetcher, Request

    assert child.poll() is None
    with HttpFetcher() as fetch:
        text = fetch(Request(f"http://127.0.0.1:{port + 1}/metrics")).content.decode()
    pattern = r'haproxy_server_http_responses_total\{proxy="chat",server="(\w+)",code="2xx"\} (\d+)'
    return {region: int(count) for region, count in re.findall(pattern, text)}
