"""A program of the user's: JSON in, JSON back, and whatever else it does is a result, not a crash."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from carbonroute.live.actuators import TargetError
from carbonroute.live.actuators.exec import Exec
from carbonroute.live.actuators.program import Done
from helpers.targets import context

#: Keeps the shares in a file, and refuses more than 0.9 for one region.
KEEPER = """
import json, sys
from pathlib import Path
asked = json.load(sys.stdin)
assert asked["schema"] == 1 and asked["workload"] == "chat" and asked["origin"] is None
place = Path("held.json")
if asked["shares"] is not None:
    if max(asked["shares"].values()) > 0.9:
        print("more than", 0.9, file=sys.stderr)
        sys.exit(3)
    place.write_text(json.dumps(asked["shares"]))
print(json.dumps({"shares": json.loads(place.read_text())}))
"""


def program(text: str, **settings: object) -> Exec:
    command = [sys.executable, "-c", text]
    return Exec.spelled(kind="exec", command=command, workload="chat", **settings)


def test_a_program_carries_shares_and_says_what_is_held(tmp_path: Path) -> None:
    keeper = program(KEEPER).open(context(tmp_path))
    assert keeper.held() is None
    applied = keeper.apply({"eu": 0.8, "us": 0.2})
    assert (applied.result, applied.read_back) == ("ok", {"eu": 0.8, "us": 0.2})
    refused = keeper.apply({"eu": 1.0})
    assert refused.result == "rejected"
    assert "code 3: more than 0.9" in refused.detail
    assert refused.read_back == keeper.held() == {"eu": 0.8, "us": 0.2}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("print('{}')", "unverified"),
        ("print('not JSON')", "unverified"),
        ('print(\'{"shares": {"eu": NaN}}\')', "unverified"),
        ('print(\'{"shares": {"eu": 1, "eu": 1}}\')', "unverified"),
        ('print(\'{"shares": {"eu": "1"}}\')', "unverified"),
        ('print(\'{"shares": {"us": 1}}\')', "unverified"),
        ('print(\'{"shares": {"eu": -1, "us": 2}}\')', "unverified"),
        ('print(\'{"shares": {"eu": 1e308, "us": 1e308, "ap": 1e308}}\')', "unverified"),
        ('print(\'{"shares": {"eu": 1e400}}\')', "unverified"),
        ("print('{\"shares\": {\"eu\": 1' + '0' * 400 + '}}')", "unverified"),
        ("print('x' * 2_000_000)", "unverified"),
        ("import os; os.kill(os.getpid(), 9)", "rejected"),
        ("import os; os.close(0); raise SystemExit(1)", "rejected"),
        ("import time; time.sleep(600)", "unverified"),
        ("import os, time; os.fork() or time.sleep(600)", "unverified"),
    ],
)
def test_programs_that_do_wrong(tmp_path: Path, text: str, result: str) -> None:
    applied = program(text, timeout_s=0.5).open(context(tmp_path)).apply({"eu": 1.0})
    assert applied.result == result
    assert applied.detail


def test_children_of_a_program_that_takes_too_long_are_killed_too(tmp_path: Path) -> None:
    text = "import os, time; open(f'{os.fork()}.id', 'w').close(); time.sleep(600)"
    program(text, timeout_s=1.0).open(context(tmp_path)).held()
    (child,) = [int(path.stem) for path in tmp_path.glob("*.id") if path.stem != "0"]
    for _ in range(1000):  # until its parent, the init of this machine, has taken note of its end
        state = Path(f"/proc/{child}/stat")
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.01)
    pytest.fail("the child lives")


@pytest.mark.parametrize("hangs", [True, False], ids=["hangs", "lies"])
def test_a_write_takes_one_time_limit_whatever_the_program_does(
    hangs: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second to each run, of five for a write: what lies is read again, and taken back."""
    around, asked = context(tmp_path), []

    def run(_command: object, question: bytes, *, timeout_s: float, **_: object) -> Done:
        asked.append(json.loads(question)["shares"])
        if hangs and len(asked) > 1:
            around.clock.wait(timeout_s)
            raise TargetError("unverified", f"not done in {timeout_s:g} s")
        around.clock.wait(min(1.0, timeout_s))
        return Done(0, b'{"shares": {"eu": 1}}', b"")

    monkeypatch.setattr("carbonroute.live.actuators.exec.run_program", run)
    opened = program("", timeout_s=5.0).open(around)
    assert opened.apply({"eu": 1.0}).result == "ok"
    failed = opened.apply({"us": 1.0})
    assert failed.result == "unverified"
    assert failed.ms <= 5000
    if hangs:
        assert failed.read_back is None
        assert asked == [{"eu": 1.0}, None, {"us": 1.0}]
        assert "no time is left" in failed.detail
    else:
        assert failed.read_back == {"eu": 1.0}
        assert [shares for shares in asked if shares] == [{"eu": 1.0}, {"us": 1.0}, {"eu": 1.0}]


def test_a_program_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    applied = Exec(kind="exec", command=("./none",)).open(context(tmp_path)).apply({"eu": 1.0})
    assert applied.result == "unreachable"
    assert "cannot be started" in applied.detail


def test_it_gets_the_variables_that_are_named_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIVEN", "canary-given")
    monkeypatch.setenv("OTHER", "canary-other")
    text = "import os, sys; print(*sorted(os.environ.items()), file=sys.stderr); sys.exit(1)"
    opened = program(text, env=["GIVEN"]).open(context(tmp_path))
    detail = opened.apply({"eu": 1.0}).detail
    assert "canary" not in detail
    assert "('GIVEN', '***')" in detail
    check = "import os, sys; sys.exit('GIVEN' not in os.environ or 'OTHER' in os.environ)"
    assert "code" not in program(check, env=["GIVEN"]).open(context(tmp_path)).apply({"eu": 1}).detail
    missing = program(check, env=("MISSING",)).open(context(tmp_path)).apply({"eu": 1.0})
    assert (missing.result, "MISSING" in missing.detail) == ("unreachable", True)


def test_a_warning_or_a_label_has_no_arguments() -> None:
    assert Exec(kind="exec", command=("./put", "--token=canary")).label == "exec ./put"
