"""What several families of tests need."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Generator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from carbonroute.cli import main, progress
from helpers import grids, needs, small
from helpers.refusals import Refusals

# The same examples everywhere and every time, however long they take: no verdict hangs on a clock.
settings.register_profile(
    grids.FULL,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile("default", settings.get_profile(grids.FULL), max_examples=grids.examples(100))


def pytest_configure(config: pytest.Config) -> None:
    """Choose how many examples are tried."""
    settings.load_profile(grids.FULL if config.getoption("full") else "default")
    progress.EVERY_S = float("inf")  # no output hangs on how long a command takes


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage among what is collected, which stays: neither now nor while tests run.

    While they run, look for it less often than Python does: they make few cycles, and figures many objects.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(20_000)
        gc.enable()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that choose among the tests with the mark `full`."""
    parser.addoption("--full", action="store_true", help="run the tests with the mark `full` too")
    parser.addoption(
        "--full-part",
        metavar="K/N",
        help="of these, run each N-th: those of part K of 0 to N - 1; none that is `long`",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip the tests with the mark `full` that were not asked for, and spread those with the mark `waits`."""
    items[:] = spread(items)
    part, parts = map(int, (config.getoption("full_part") or "-1/1").split("/"))
    if not config.getoption("full"):
        full = [(item, mark) for item in items if (mark := item.get_closest_marker("full"))]
        short = [item for item, mark in full if not mark.kwargs.get("long")]
        chosen = set(short[part::parts] if part >= 0 else ())
        for item, _ in full:
            if item not in chosen:
                item.add_marker(needs.full)


def spread(items: list[pytest.Item]) -> list[pytest.Item]:
    """Return the tests in an order in which files with the mark `waits` do not wait at the same time.

    The first of them begins, and each other follows as many of the tests that work.
    """
    waiting: dict[Path, list[pytest.Item]] = {}
    working: list[pytest.Item] = []
    for item in items:
        (waiting.setdefault(item.path, []) if item.get_closest_marker("waits") else working).append(item)
    if not waiting:
        return items
    ends = [len(working) * number // len(waiting) for number in range(len(waiting) + 1)]
    parts = (working[start:end] for start, end in pairwise(ends))
    return [item for tests in zip(waiting.values(), parts, strict=True) for part in tests for item in part]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Generator[None, None, None]:
    """Say at the end, in one line, how many tests were skipped and why."""
    yield
    reasons = [report.longrepr[2] for report in terminalreporter.stats.get("skipped", [])]
    if reasons:
        terminalreporter.write_line(needs.said_of(reasons))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a finished run without figures, to look at or copy; not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    outputs = folder / "outputs"
    assert (
        main(["simulate", str(small.write(folder)), "--output", str(outputs), "--no-figures", "--quiet"]) == 0
    )
    return outputs


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the figures out of reports, which then take no time."""
    from helpers import damage  # it imports all figures: not in the processes that need none

    damage.draw_nothing(monkeypatch)


@pytest.fixture
def few_drawn(monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config) -> None:
    """Draw two figures of a run; all of them with `--full`."""
    if not pytestconfig.getoption("full"):
        from helpers import damage

        damage.draw_few(monkeypatch)


@pytest.fixture
def refused(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Refusals:
    """Return the check that a scenario is refused as promised."""
    outputs = tmp_path / "earlier" / "outputs"
    shutil.copytree(finished, outputs)
    return Refusals(outputs, capsys)


@pytest.fixture
def small_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this machine have 8 GiB of memory."""
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 2**12, "SC_PHYS_PAGES": 2**21}.__getitem__)
