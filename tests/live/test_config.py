"""A live file is refused with all of its faults at once, each with its line and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from carbonroute.cli import main
from carbonroute.errors import InputError
from carbonroute.live.config import load_live
from helpers.live import Bed, bed


@pytest.fixture
def world(tmp_path: Path) -> Bed:
    return bed(tmp_path)


def refused(path: Path, *changes: tuple[str, str], more: str = "") -> dict[str, tuple[int | None, str]]:
    """Return line and message of each fault of a changed live file, by place."""
    text = path.read_text(encoding="utf-8").replace('mode = "live"', 'mode = "shadow"')
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text + more, encoding="utf-8")
    with pytest.raises(InputError) as error:
        load_live(path)
    assert all(error.value.file_of(fault) == str(path) for fault in error.value.faults)
    assert len({fault.where for fault in error.value.faults}) == len(error.value.faults)
    return {fault.where: (fault.line, str(fault)) for fault in error.value.faults}


def test_six_faults_are_told_at_once(world: Bed) -> None:
    faults = refused(
        world.path,
        ('"Carbon-First"', '"Carbon-Frist"'),
        ('listen = ""', 'listen = "0.0.0.0:9909"\nseed = "x"\nkil_file = "K"'),
        ("A = 0.75, B = 0.25", "A = 0.75, C = 0.25"),
        ('max_age = "2h"', 'max_age = "soon"'),
    )
    assert {where: line for where, (line, _) in faults.items()} == {
        "policy": 3,
        "live.baseline.weights.C": 7,
        "live.listen": 8,
        "live.seed": 9,
        "live.kil_file": 10,
        "live.carbon.max_age": 13,
    }
    assert "which others can reach" in faults["live.listen"][1]
    assert "Carbon-First" in faults["policy"][1]


def test_nothing_to_carry_weights_is_told_beside_other_faults(world: Bed) -> None:
    faults = refused(world.path, ('mode = "shadow"', 'mode = "live"\nseed = -1'))
    assert "nothing carries weights" in faults["live.mode"][1]
    assert faults.keys() == {"live.mode", "live.seed"}


def test_actuators_are_checked_one_by_one(world: Bed) -> None:
    target = '\n[[live.actuators]]\nkind = "gauge"\n'
    faults = refused(
        world.path,
        ('mode = "shadow"', 'mode = "live"'),
        more=f'{target}timeout_s = -1\n{target}prefix = "b"\norigin = "Nort"\n',
    )
    # Which cells are carried is not known before all actuators are.
    assert faults.keys() == {"live.actuators[0].timeout_s", "live.actuators[1].origin"}


def test_a_scenario_that_is_not_there_is_a_fault_of_its_key(world: Bed) -> None:
    faults = refused(world.path, ("small.toml", "smal.toml"), ("[live]\n", "[live]\nseed = -1\n"))
    assert faults["scenario"][0] == 2
    assert "smal.toml" in faults["scenario"][1]
    assert faults["live.seed"][0] == 6


@pytest.mark.parametrize("live", ['live = "x"', "[[live]]", "live = 1"])
def test_a_key_live_of_another_form_is_refused_by_its_own_rules(
    live: str, world: Bed, capsys: pytest.CaptureFixture[str]
) -> None:
    head = 'schema = 1\nscenario = "small.toml"\npolicy = "Carbon-Frist"\n'
    world.path.write_text(f"{head}{live}\n", encoding="utf-8")
    assert main(["live", "check", str(world.path)]) == 2
    message = capsys.readouterr().err
    assert "line 4, live: " in message
    assert "a table is expected" in message
    assert "no policy 'Carbon-Frist'" in message
    assert main(["study", "run", str(world.path)]) == 2
    assert "is a live file, not a study" in capsys.readouterr().err


@pytest.mark.parametrize("share", ["20", "0%", "100%", "-5%", "nan%", "live", ""])
def test_a_canary_that_is_no_share_is_refused_at_the_option(
    share: str, world: Bed, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["live", "run", str(world.path), f"--canary={share}"]) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"error: --canary: found {share!r}; a share such as 5% is expected"), message
