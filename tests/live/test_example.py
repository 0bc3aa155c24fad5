"""The example of docs/live.md with the real HAProxy and Prometheus: in the shadow, then live."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from carbonroute.cli import main
from carbonroute.control.decisions import records
from helpers import needs
from helpers.programs import free_port

pytestmark = [needs.program("haproxy"), needs.program("prometheus")]
EXAMPLE = needs.ROOT / "examples" / "live"


@contextmanager
def stack(folder: Path, port: int, prometheus_port: int) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "stack.py", "--folder", str(folder), "--port", str(port)]
    command += ["--prometheus-port", str(prometheus_port), "--per-second", "40"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert "users ask" in child.stdout.readline()
        try:
            yield child
        finally:
            child.terminate()


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, int, int]:
    """Copy the example to a folder with ports of its own."""
    port, prometheus_port = free_port(), free_port()
    for path in EXAMPLE.iterdir():
        if path.is_file():
            shutil.copy(path, tmp_path)
    text = (tmp_path / "live.toml").read_text(encoding="utf-8")
    text = text.replace("127.0.0.1:9090", f"127.0.0.1:{prometheus_port}").replace(
        "127.0.0.1:9909", "127.0.0.1:0"
    )
    (tmp_path / "live.toml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path, port, prometheus_port


def settled(folder: Path) -> None:
    """Wait until metrics answer, for two minutes at most."""
    for _ in range(60):
        if main(["live", "check", "live.toml"]) == 0:
            return
        time.sleep(2)
    pytest.fail("the stack was never ready")


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
        time.sleep(10)
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
    saved = json.loads(capsys.readouterr().out)
    assert saved["requests"] > 0
    assert saved["intended_g"]["in force"] < saved["intended_g"]["baseline"]


def counts(child: subprocess.Popen[str], folder: Path, port: int) -> dict[str, int]:
    """Return how many requests each region has answered, by HAProxy's own metrics."""
    from carbonroute.live.http import HttpFetcher, Request

    assert child.poll() is None
    with HttpFetcher() as fetch:
        text = fetch(Request(f"http://127.0.0.1:{port + 1}/metrics")).content.decode()
    pattern = r'haproxy_server_http_responses_total\{proxy="chat",server="(\w+)",code="2xx"\} (\d+)'
    return {region: int(count) for region, count in re.findall(pattern, text)}
