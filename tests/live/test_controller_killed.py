"""A controller that is killed at any call of a tick leaves a whole journal and whole weights, and goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from carbonroute.control.chain import records
from carbonroute.live.running import journal_folder
from carbonroute.runs.journals import replay
from helpers.killing import TICK_S, WEIGHTS, FileBed, run

_FIRST, _BASELINE = [1.0, 0.0], [0.75, 0.25]


def killed(root: Path, mode: str, ticks: int, most: int) -> tuple[list[str], list[int]]:
    """Kill a controller at up to `most` of its calls; return all calls of a whole run, and those places."""
    words = [sys.executable, "-m", "helpers.killing", str(root), mode, str(ticks)]
    paths = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **paths}
    ) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "whole\n"
        calls: list[str] = json.loads((root / "calls.json").read_text(encoding="utf-8"))
        places = sorted({round(place) for place in np.linspace(1, len(calls), most)})
        driver.communicate(json.dumps(places) + "\n")
    assert driver.returncode == 0
    return calls, places


def lines(made: FileBed) -> bytes:
    """Return a journal's whole lines."""
    files = sorted(journal_folder(made.setup()).glob("*.jsonl"))
    text = b"".join(path.read_bytes() for path in files)
    return text[: text.rfind(b"\n") + 1]


def judge(made: FileBed, whole: bytes, held: list[list[float]], mode: str, ticks: int) -> int:
    """Check what a kill has left, run the controller again, and check what it goes on from.

    Parameters
    ----------
    made
        The killed controller's folder.
    whole
        The journal of a run that was not killed.
    held
        What the router held from write to write, up to the last that was finished.
    mode, ticks
        As it ran.
    """
    assert made.weights() == held[-1]
    left = lines(made)
    assert whole.startswith(left)
    before = list(records(journal_folder(made.setup()))) if left else []
    assert len(held) - 1 - len(before) in (0, 1)  # a move that was not recorded yet, at most
    in_force = [np.array(record.live.in_force)[0, 0].tolist() for record in before if record.live]
    assert in_force == held[1 : len(before) + 1][: len(in_force)]
    made.clock.since_s = (len(before) + 1) * TICK_S
    run(made, mode, 2)
    after = list(records(journal_folder(made.setup())))
    assert [record.seq for record in after] == list(range(len(before) + 2))
    assert lines(made).startswith(left)
    went_on = after[len(before)].holds()
    assert went_on is not None
    if mode == "live":
        np.testing.assert_array_equal(went_on, np.broadcast_to(held[-1], (2, 2, 2)))
    elif before:
        policy = (np.array(held[-1]) - 0.8 * np.array(_BASELINE)) / 0.2
        np.testing.assert_allclose(went_on, np.broadcast_to(policy, (2, 2, 2)), atol=1e-3)
    (one,) = replay(journal_folder(made.setup()), beside=made.folder, code=False)
    assert (one.records, one.differ) == (len(before) + 2, 0)
    assert made.weights() == _BASELINE
    return len(before)


@pytest.mark.parametrize(
    ("mode", "ticks", "most"),
    [
        ("live", 3, 20),
        ("canary:20%", 3, 20),
        pytest.param("live", 14, 200, marks=pytest.mark.full(long=True)),
        pytest.param("canary:20%", 14, 200, marks=pytest.mark.full(long=True)),
    ],
)
def test_a_controller_killed_at_any_call_leaves_all_whole_and_goes_on(
    mode: str, ticks: int, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EM_TOKEN", "canary-token")
    calls, places = killed(tmp_path, mode, ticks, most)
    assert len(places) == most
    every = FileBed(tmp_path / "whole")
    assert every.weights() == _BASELINE
    recorded = list(records(journal_folder(every.setup())))
    writes = [np.array(record.live.in_force)[0, 0].tolist() for record in recorded if record.live]
    assert len(writes) == ticks
    held = [_FIRST, *writes, _BASELINE]
    whole, seen = lines(every), set[int]()
    for place in places:
        done = calls[: place - 1].count(f"replace {WEIGHTS}")
        seen.add(judge(FileBed(tmp_path / f"{place:04}"), whole, held[: done + 1], mode, ticks))
    assert seen == set(range(ticks + 1))
