"""The example of docs/live.md in a folder of its own: HAProxy, Prometheus, three regions and users."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from carbonroute.cli import main
from helpers import needs
from helpers.programs import free_port, free_ports

_EXAMPLE = needs.ROOT / "examples" / "live"


def copied(place: Path) -> tuple[Path, int, int]:
    """Copy the example to a folder whose name has a space; return it, and ports of its own."""
    port, prometheus_port = free_ports(5), free_port()
    folder = place / "my stack"
    folder.mkdir()
    for path in _EXAMPLE.iterdir():
        if path.is_file():
            shutil.copy(path, folder)
    file = folder / "live.toml"
    text = file.read_text(encoding="utf-8").replace("127.0.0.1:9090", f"127.0.0.1:{prometheus_port}")
    file.write_text(text.replace("127.0.0.1:9909", "127.0.0.1:0"), encoding="utf-8")
    return folder, port, prometheus_port


@contextmanager
def stack(folder: Path, port: int, prometheus_port: int, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Run the stack until it is no longer needed."""
    command = [sys.executable, "stack.py", "--folder", str(folder), "--port", str(port)]
    command += ["--prometheus-port", str(prometheus_port), "--per-second", "40", *options]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert "users ask" in child.stdout.readline()
        try:
            yield child
        finally:
            child.terminate()
            child.communicate()


def settled(folder: Path) -> None:
    """Wait until metrics answer, for two minutes at most."""
    for _ in range(240):
        if main(["live", "check", "live.toml"]) == 0:
            return
        time.sleep(0.5)
    pytest.fail("the stack was never ready")
