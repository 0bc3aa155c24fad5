"""What a look before the start shows: the decision, what would be sent, and what keeps it from running."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from carbonroute.control.chain import HEAD
from carbonroute.live.http import FetchError
from carbonroute.live.probe import Probe, probe
from carbonroute.live.running import journal_folder
from carbonroute.live.server import bound
from helpers.live import Bed, bed, only

BASELINE = np.broadcast_to([0.75, 0.25], (2, 2, 2))


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EM_TOKEN", "canary-token")


@pytest.fixture
def world(tmp_path: Path) -> Bed:
    return bed(tmp_path)


def seen(world: Bed, **changes: object) -> Probe:
    return probe(world.setup(**changes), world.clock, world.fetch)


def files(world: Bed) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in world.folder.rglob("*") if path.is_file()}


def test_a_canary_shows_what_it_would_send(world: Bed) -> None:
    before = files(world)
    canary = seen(world, mode="canary:5%")
    assert canary.sent is not None
    np.testing.assert_allclose(canary.sent, 0.05 * only(1) + 0.95 * BASELINE, atol=1e-4)
    assert (canary.sent * 10_000 == np.round(canary.sent * 10_000)).all()  # as the router takes it
    np.testing.assert_array_equal(canary.weights, only(1))
    np.testing.assert_array_equal(canary.held, only(0))
    assert canary.problems == ()
    assert world.router.writes == 0
    assert files(world) == before


def test_it_is_what_the_first_tick_sends(tmp_path: Path) -> None:
    world = bed(tmp_path, ("[traffic]", "[control]\nmax_step = 0.1\n\n[traffic]"))
    for mode in ("canary:40%", "live"):
        for _ in range(2):  # with a journal, too
            shown = seen(world, mode=mode)
            with world.running(mode=mode) as parts:
                in_force = parts.controller.tick().in_force
            assert shown.sent is not None
            np.testing.assert_allclose(shown.sent, in_force)


def test_a_shadow_sends_nothing_and_a_kill_file_the_baseline(world: Bed) -> None:
    assert seen(world, mode="shadow").sent is None
    (world.folder / "KILL").touch()
    killed = seen(world, mode="canary:5%")
    assert killed.sent is not None
    np.testing.assert_array_equal(killed.sent, BASELINE)
    assert killed.reasons == ("kill file: back to the baseline",)


def test_variables_that_are_not_set_are_named_with_their_place(
    world: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EM_TOKEN")
    monkeypatch.delenv("PAGE_TOKEN", raising=False)
    problems = seen(world, listen="127.0.0.1:0", token_env="PAGE_TOKEN").problems
    for place, name in (("live.token_env", "PAGE_TOKEN"), ("live.carbon.sources[0].token_env", "EM_TOKEN")):
        assert f"{place}: environment variable {name} is not set; export it before the start" in problems
    monkeypatch.setenv("EM_TOKEN", "canary-token")
    monkeypatch.setenv("PAGE_TOKEN", "page-token")
    assert seen(world, listen="127.0.0.1:0", token_env="PAGE_TOKEN").problems == ()


def test_a_port_that_is_taken_is_named(world: Bed) -> None:
    with bound("127.0.0.1:0") as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        (problem,) = seen(world, listen=listen).problems
    assert problem.startswith(f"live.listen: {listen} cannot be listened on")
    assert seen(world, listen=listen).problems == ()


def test_a_journal_that_cannot_be_written_is_named(world: Bed) -> None:
    (world.folder / "file").touch()
    (problem,) = seen(world, journal="file/journal").problems
    assert problem.startswith(f"{world.folder}/file/journal: cannot write here")
    assert not (world.folder / "journal").exists()


def test_a_disk_that_is_almost_full_is_named(world: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    free = 3 * 2**20
    monkeypatch.setattr("carbonroute.live.startup.disk_usage", lambda _: SimpleNamespace(free=free))
    (problem,) = seen(world).problems
    assert problem == f"{world.folder}/journal: 3 MiB are free there; 64 MiB or more are expected"
    free *= 100
    assert seen(world).problems == ()


def test_a_journal_in_use_or_damaged_is_named(world: Bed) -> None:
    with world.running() as parts:
        parts.controller.tick()
        assert seen(world).problems == (f"{world.folder}/journal: a controller is routing here already",)
    (file,) = journal_folder(world.setup()).glob("*.jsonl")
    file.write_bytes(b"")
    (problem,) = seen(world).problems
    assert f"1 of 1 records are missing at the end, as {HEAD} tells" in problem


def test_a_router_that_does_not_answer_is_named_with_the_reason(world: Bed) -> None:
    world.router.problem = "down"
    assert "actuator memory: its weights cannot be read back (no router answers)" in seen(world).problems


def test_a_source_that_fails_is_named(world: Bed) -> None:
    world.carbon["B"] = FetchError("status", "answered 500", 500)
    assert any("answered 500" in problem for problem in seen(world).problems)
