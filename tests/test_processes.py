"""Starting worker processes, and no longer needing them."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from carbonroute.processes import _interrupts_blocked
from helpers import grids


def test_a_signal_waits_until_a_process_has_started() -> None:
    started = []

    def start() -> None:
        with _interrupts_blocked():
            signal.raise_signal(signal.SIGINT)
            started.append(1)

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        start()
    assert started
    assert signal.getsignal(signal.SIGINT) is handler
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_what_ignores_a_signal_goes_on_ignoring_it() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with _interrupts_blocked():
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


#: Answers that no pipe holds at once: whoever ends a process ends it while it sends one.
ENOUGH = """
from carbonroute.processes import WorkerPool, ended_on_failure, result, server

def answers():
    pool = WorkerPool(2, server())
    try:
        with ended_on_failure():
            sent = [pool.submit(bytes, 100_000_000) for _ in range(4)]
            for one in sent:
                yield result(one)
    finally:
        pool.shutdown(cancel_futures=True)

if __name__ == "__main__":
    for _ in range({turns}):
        several = answers()
        assert len(next(several)) == 100_000_000
        several.close()
"""


def test_who_has_enough_answers_does_not_wait_for_half_of_one(tmp_path: Path) -> None:
    (tmp_path / "enough.py").write_text(ENOUGH.replace("{turns}", str(grids.runs(5, 2))))
    command = [sys.executable, str(tmp_path / "enough.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
