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


HAPROXY = """
[[live.actuators]]
kind = "haproxy"
socket = "@socket"
workload = "@workload"
servers = { A = ["chat/a"], B = ["chat/b"] }
"""
FILES = """
[[live.actuators]]
kind = "@kind"
path = "@path"
workload = "@workload"
endpoints = { A = ["127.0.0.1:8001"], B = ["127.0.0.1:8002"] }
"""
ENVOY = FILES.replace("@kind", "envoy-file") + 'admin = "http://127.0.0.1:9901"\n'
NGINX = FILES.replace("@kind", "nginx") + 'answer = "answer.conf"\nheld = "http://127.0.0.1:9902/held"\n'
ROUTE = """
[[live.actuators]]
kind = "httproute"
api = "https://127.0.0.1:6443"
route = "@path"
workload = "@workload"
backends = { A = "a", B = "b" }
"""
AGENT = HAPROXY.replace('"haproxy"', '"haproxy-agent"') + 'listen = "127.0.0.1:9910"\n'


@pytest.mark.parametrize(
    ("first", "second"),
    [(HAPROXY, HAPROXY), (HAPROXY, AGENT), (ENVOY, ENVOY), (ENVOY, NGINX), (ROUTE, ROUTE)],
)
def test_two_actuators_of_one_place_are_refused(first: str, second: str, world: Bed) -> None:
    """Each would overwrite the other's weights, and take back what it does not find."""
    text = world.path.read_text(encoding="utf-8").replace('mode = "live"', 'mode = "shadow"')
    for other, refused_at in (("./chat", {"live.actuators[1]"}), ("other", None)):
        more = [
            target.replace("@workload", workload).replace("@socket", path).replace("@path", path.strip("./"))
            for target, workload, path in ((first, "short", "chat"), (second, "long", other))
        ]
        world.path.write_text(text + "".join(more), encoding="utf-8")
        if refused_at is None:
            assert len(load_live(world.path).settings.actuators) == 2
            continue
        with pytest.raises(InputError, match="writes to the same place") as error:
            load_live(world.path)
        assert {fault.where for fault in error.value.faults} == refused_at


@pytest.mark.parametrize("name", [".", "./", "..", "K/..", "journal", "./journal", "x" * 256, "a\\u0000b"])
def test_a_kill_file_that_is_always_there_or_never_is_refused(name: str, world: Bed) -> None:
    faults = refused(world.path, ("[live]\n", f'[live]\nkill_file = "{name}"\n'))
    assert faults.keys() == {"live.kill_file"}


def test_spans_of_no_length_are_refused(world: Bed) -> None:
    faults = refused(world.path, ('max_age = "2h"', 'max_age = "0h"'), ('every = "1min"', 'every = "0min"'))
    assert faults.keys() == {"live.carbon.max_age", "live.carbon.sources[0].every"}


def test_a_scenario_that_is_not_there_is_a_fault_of_its_key(world: Bed) -> None:
    faults = refused(world.path, ("small.toml", "smal.toml"), ("[live]\n", "[live]\nseed = -1\n"))
    assert faults["scenario"][0] == 2
    assert "smal.toml" in faults["scenario"][1]
    assert faults["live.seed"][0] == 6


@pytest.mark.parametrize(
    ("schema", "problem"), [("2", "found 2"), ("true", "found true"), ("1.0", "found 1.0")]
)
def test_a_schema_that_is_not_the_number_one_is_refused(schema: str, problem: str, world: Bed) -> None:
    faults = refused(world.path, ("schema = 1", f"schema = {schema}"))
    assert faults["schema"][0] == 1
    assert problem in faults["schema"][1]


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
