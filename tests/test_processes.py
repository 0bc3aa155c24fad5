"""Starting worker processes: an interruption waits until they have all that they were sent."""

from __future__ import annotations

import signal

import pytest

from carbonroute.processes import _interrupts_blocked


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
