"""Progress in lines where there is no terminal, by a clock of the test."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from carbonroute.cli import main, progress
from helpers import small


class Clock:
    """A clock that the test sets."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    monkeypatch.setattr(progress, "EVERY_S", 10.0)
    return Clock()


def test_a_line_every_ten_seconds_says_how_much_is_done_and_left(clock: Clock) -> None:
    lines: list[str] = []
    display = progress.LineDisplay(clock, lines.append)
    task = display.task("simulating")
    for second in range(1, 40):
        clock.now_s = second
        task.update(second, 40)
    assert lines == [
        "simulating: 25% after 0:00:10, ETA 0:00:30",
        "simulating: 50% after 0:00:20, ETA 0:00:20",
        "simulating: 75% after 0:00:30, ETA 0:00:10",
    ]


def test_short_commands_print_no_line_and_nothing_at_the_end(clock: Clock) -> None:
    lines: list[str] = []
    task = progress.LineDisplay(clock, lines.append).task("drawing")
    clock.now_s = 9.9
    task.update(1, 2)
    clock.now_s = 30.0
    task.update(2, 2)
    assert lines == []


def test_steps_of_an_earlier_run_do_not_count_for_the_rate(clock: Clock) -> None:
    lines: list[str] = []
    task = progress.LineDisplay(clock, lines.append).task("checking")
    clock.now_s = 5.0
    task.restart(80, 100, "80 of 100 cells")
    clock.now_s = 15.0
    task.update(85, 100, "85 of 100 cells")
    assert lines == ["85 of 100 cells: 85% after 0:00:10, ETA 0:00:30"]


def test_the_remaining_time_is_left_out_before_the_first_step(clock: Clock) -> None:
    lines: list[str] = []
    task = progress.LineDisplay(clock, lines.append).task("simulating")
    clock.now_s = 10.0
    task.update(0, 4)
    assert lines == ["simulating: 0% after 0:00:10"]


def test_two_tasks_share_the_interval(clock: Clock) -> None:
    lines: list[str] = []
    display = progress.LineDisplay(clock, lines.append)
    one, other = display.task("simulating"), display.task("drawing")
    clock.now_s = 10.0
    one.update(1, 2)
    other.update(1, 2)
    assert [line.partition(":")[0] for line in lines] == ["simulating"]


@pytest.mark.parametrize(("options", "expected"), [([], True), (["--quiet"], False)])
def test_a_piped_run_prints_them_to_stderr_and_a_quiet_one_does_not(
    options: list[str], expected: bool, tmp_path: object
) -> None:
    program = (
        "import sys; from carbonroute.cli import main, progress; progress.EVERY_S = 0.0; "
        f"sys.exit(main(['simulate', 'published', '--sim-hours', '3', '--no-figures', '--output', "
        f"{str(tmp_path)!r}, *{options!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    lines = done.stderr.splitlines()
    assert all(line.startswith("simulating: ") and "% after 0:00:" in line for line in lines)
    assert bool(lines) is expected
    assert "simulating" not in done.stdout


@pytest.mark.parametrize(
    ("options", "many", "is_noted"),
    [((), 100, True), (("--quiet",), 100, False), (("--engine", "exact"), 1, False), ((), 10**10, False)],
)
def test_a_run_that_draws_very_many_requests_names_the_engine_that_draws_none(
    options: tuple[str, ...],
    many: int,
    is_noted: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(import_module("carbonroute.cli.simulate"), "MANY", many)
    scenario, output = str(small.write(tmp_path)), str(tmp_path / "out")
    assert main(["simulate", scenario, "--no-figures", "--output", output, *options]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "are to be drawn" in line]
    assert ["--engine exact" in line for line in told] == [True] * is_noted
