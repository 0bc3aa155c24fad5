"""Decision records as files: chained, exact, cut where torn, refused where damaged; and their replay."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from carbonroute.cli.app import run as command
from carbonroute.control.chain import HEAD, journals, records
from carbonroute.control.journal import About, DecisionJournal
from carbonroute.engines.queued import run
from carbonroute.errors import InputError, RunFolderError
from carbonroute.runs import run as run_scenario
from carbonroute.runs.journals import written
from carbonroute.scenario import Inputs, load
from carbonroute.scenario.resolved.recorded import about
from helpers.queued_runs import FEW, inputs_of

SCENARIO = """\
schema = 1
name = "two"
[horizon]
hours = 2
[control]
interval_s = 600
[traffic]
kind = "poisson"
requests_per_hour = 200
[carbon]
kind = "synthetic"
[network.rtt_ms]
here = { near = 10, far = 40 }
[[origins]]
name = "here"
share = 1
[[regions]]
name = "near"
carbon_g_per_kwh = 400
[[regions]]
name = "far"
carbon_g_per_kwh = 50
[[pools]]
servers = 2
[[workloads]]
id = "w"
name = "w"
model = "w"
share = 1
slo_ms = 2000
service_ms = { law = "normal", mean = 500, std = 50 }
[[policies]]
use = "spill"
[[policies]]
use = "file.py:Own"
"""
OWN = """\
class Own:
    name, reads = "Own", frozenset({"rtt_ms", "carbon_g_per_kwh", "utilisation"})
    def cost(self, view):
        return view.carbon_g_per_kwh + view.utilisation
"""


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Return a folder with the journals of a run, one of a policy that is a file of its own."""
    (tmp_path / "two.toml").write_text(SCENARIO, encoding="utf-8")
    (tmp_path / "file.py").write_text(OWN, encoding="utf-8")
    options = ["--quiet", "--no-figures", "--output", str(tmp_path / "out"), "--journal", str(tmp_path / "j")]
    assert command(["simulate", str(tmp_path / "two.toml"), *options]) == 0
    return tmp_path / "j"


def test_replay_as_json_counts_per_journal(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert replayed(recorded, "--json") == 0
    journals = json.loads(capsys.readouterr().out)
    assert len(journals) == len(list(recorded.iterdir()))
    assert all(one["records"] > 0 and one["differ"] == 0 for one in journals)


def replayed(folder: Path, *more: str) -> int:
    return command(["replay", str(folder), "--beside", str(folder.parent), *more])


def only_file(folder: Path) -> Path:
    (file,) = (folder / "01-spill").iterdir()
    return file


def test_a_journal_is_replayed_without_a_difference(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert replayed(recorded) == 0
    said = capsys.readouterr().out
    assert f"{recorded / '01-spill'}: 12 decisions, 0 differ" in said
    assert f"{recorded / '02-own'}: 12 decisions, 0 differ" in said


def test_residency_is_in_the_records_and_replayed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bound = SCENARIO.replace('name = "here"\n', 'name = "here"\nallowed_regions = ["near"]\n')
    (tmp_path / "file.py").write_text(OWN, encoding="utf-8")
    (tmp_path / "two.toml").write_text(bound, encoding="utf-8")
    options = ["--quiet", "--no-figures", "--output", str(tmp_path / "out"), "--journal", str(tmp_path / "j")]
    assert command(["simulate", str(tmp_path / "two.toml"), *options]) == 0
    assert replayed(tmp_path / "j") == 0
    assert capsys.readouterr().out.count("12 decisions, 0 differ") == 2
    for folder in journals(tmp_path / "j"):
        for record in records(folder):
            assert record.view["allowed"] == [[[True, False]]]
            assert record.weights == [[[1.0, 0.0]]]


def test_a_policy_that_is_another_one_now_is_refused_and_no_code_runs(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert replayed(recorded, "--no-code") == 2
    assert "is code from outside carbonroute" in capsys.readouterr().err
    (recorded.parent / "file.py").write_text(OWN + "\n", encoding="utf-8")
    assert replayed(recorded) == 2
    assert "another file than the one that decided" in capsys.readouterr().err


def forged(change: Callable[[dict[str, object]], None]) -> Callable[[bytes], bytes]:
    """Return what writes a journal again, with other records and right digests."""

    def write(data: bytes) -> bytes:
        lines, prev = [], ""
        for line in data.splitlines():
            record = json.loads(line)
            del record["sha256"]
            change(record)
            record["prev"] = prev
            body = json.dumps(record, separators=(",", ":")).encode()
            prev = sha256(body).hexdigest()
            lines.append(body[:-1] + f',"sha256":"{prev}"}}\n'.encode())
        return b"".join(lines)

    return write


def test_a_decision_that_the_policy_would_not_take_is_counted(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def change(record: dict[str, object]) -> None:
        if record["seq"] in {3, 7}:
            record["weights"] = [[[0.5, 0.5]]]

    file = only_file(recorded)
    file.write_bytes(forged(change)(file.read_bytes()))
    assert replayed(recorded) == 1
    assert f"{recorded / '01-spill'}: 12 decisions, 2 differ" in capsys.readouterr().out


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "a digit": lambda data: data.replace(b'"monotonic_s":600.0', b'"monotonic_s":601.0'),
    "a line": lambda data: b"\n".join(line for n, line in enumerate(data.split(b"\n")) if n != 4),
    "the order": lambda data: b"".join(reversed(data.splitlines(keepends=True))),
    "a torn line inside": lambda data: data[:3000] + data[5000:],
    "a view that fits nothing": forged(lambda record: record.update(view={"rtt_ms": [[[1.0]]]})),
    "no numbers": forged(lambda record: record.update(held=[["x"]])),
    "strides": forged(lambda record: record.update(strides={})),
    "another schema": forged(lambda record: record.update(schema=2)),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_records_are_refused(damage: str, recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = only_file(recorded)
    file.write_bytes(DAMAGE[damage](file.read_bytes()))
    assert replayed(recorded) == 2
    assert str(recorded / "01-spill") in capsys.readouterr().err


def head(inputs: Inputs) -> About:
    """Return the head of the journal of a scenario's first policy."""
    return about(inputs.scenario, inputs.carbon, inputs.scenario.policies[0], inputs.candidates[0])


def test_a_torn_last_line_is_left_out_and_cut(recorded: Path) -> None:
    file = only_file(recorded)
    whole = file.read_bytes()
    file.write_bytes(whole[:-100])
    assert len(list(records(file.parent))) == 11
    inputs = inputs_of(policies=[{"use": "spill"}], traffic=FEW)
    with DecisionJournal(file.parent, head(inputs)):
        pass
    assert file.read_bytes() == b"".join(whole.splitlines(keepends=True)[:-1])


def test_a_journal_goes_on_where_it_ended(tmp_path: Path) -> None:
    inputs = inputs_of(policies=[{"use": "spill"}], traffic=FEW, horizon={"hours": 1})
    for _ in range(2):
        with DecisionJournal(tmp_path, head(inputs)) as journal:
            run(inputs, journals={0: journal})
    every = list(records(tmp_path))
    assert [record.seq for record in every] == list(range(120))


def test_days_have_files_of_their_own(tmp_path: Path) -> None:
    inputs = inputs_of(policies=[{"use": "latency-first"}], traffic=FEW, horizon={"hours": 25})
    with written(inputs, tmp_path / "j") as open_journals:
        run(inputs, journals=open_journals)
    (folder,) = journals(tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == [
        "decisions-1970-01-01.jsonl",
        "decisions-1970-01-02.jsonl",
    ]
    assert len(list(records(folder))) == 25


def test_a_journal_of_another_run_is_not_added_to(recorded: Path) -> None:
    with pytest.raises(RunFolderError, match="holds decision records already"):
        run_scenario(load(recorded.parent / "two.toml"), journal=recorded)


def test_decisions_are_those_of_one_queued_run(tmp_path: Path) -> None:
    for engine, replications, found in (("sampled", 1, "sampled"), ("queued", 2, "2 replications")):
        with pytest.raises(InputError, match=found):
            run_scenario("published", engine=engine, replications=replications, journal=tmp_path)


def test_numbers_that_json_lacks_come_back_as_they_were(tmp_path: Path) -> None:
    inputs = inputs_of(policies=[{"use": "spill"}], traffic=FEW, horizon={"hours": 1})
    with DecisionJournal(tmp_path, head(inputs)) as journal:
        run(inputs, journals={0: journal})
    record = next(records(tmp_path))
    assert record.view["servers"] == [[["inf", "inf"]]]
    shown = record.shown()
    assert shown.servers is not None
    assert np.isposinf(shown.servers).all()


@pytest.mark.parametrize("torn", [b"", b'{"schema":1,"seq":'])
def test_a_durable_journal_goes_on_after_a_day_whose_first_record_is_torn(
    torn: bytes, tmp_path: Path
) -> None:
    inputs = inputs_of(policies=[{"use": "spill"}], traffic=FEW, horizon={"hours": 1})
    with DecisionJournal(tmp_path, head(inputs), durable=True) as journal:
        run(inputs, journals={0: journal})
    (tmp_path / "decisions-2999-01-01.jsonl").write_bytes(torn)
    with DecisionJournal(tmp_path, head(inputs), durable=True) as journal:
        assert journal.last is not None
        run(inputs, journals={0: journal})
    assert [record.seq for record in records(tmp_path)] == list(range(120))


@pytest.mark.parametrize("lost", [0, 1, 7, 60])
def test_whole_lines_that_are_missing_at_the_end_are_told(lost: int, tmp_path: Path) -> None:
    inputs = inputs_of(policies=[{"use": "spill"}], traffic=FEW, horizon={"hours": 1})
    with DecisionJournal(tmp_path, head(inputs), durable=True) as journal:
        run(inputs, journals={0: journal})
    (file,) = tmp_path.glob("*.jsonl")
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[: len(lines) - lost]))
    if lost:
        told = f"{lost} of 60 records are missing at the end, as {HEAD} tells; .* remove {HEAD}"
        with pytest.raises(RunFolderError, match=told):
            DecisionJournal(tmp_path, head(inputs), durable=True)
        with pytest.raises(RunFolderError, match=told):
            list(records(tmp_path))
        (tmp_path / HEAD).unlink()
    with DecisionJournal(tmp_path, head(inputs), durable=True) as journal:
        run(inputs, journals={0: journal})
    assert [record.seq for record in records(tmp_path)] == list(range(120 - lost))


def test_a_head_that_is_behind_is_no_loss_and_another_one_is(tmp_path: Path) -> None:
    """A kill between a record and its head leaves the head behind."""
    inputs = inputs_of(policies=[{"use": "spill"}], traffic=FEW, horizon={"hours": 1})
    with DecisionJournal(tmp_path, head(inputs), durable=True) as journal:
        run(inputs, journals={0: journal})
    every = list(records(tmp_path))
    place, told = tmp_path / HEAD, json.loads((tmp_path / HEAD).read_text())
    assert told["seq"] == 59
    place.write_text(json.dumps({"seq": 58, "sha256": every[59].prev}))
    assert len(list(records(tmp_path))) == 60
    place.write_text(json.dumps({"seq": 58, "sha256": told["sha256"]}))
    with pytest.raises(RunFolderError, match=f"record 58 is another one than {HEAD} names"):
        list(records(tmp_path))
    for unwritten in (b"", b"\0" * 120):  # a kill after the head was made, and a power cut
        place.write_bytes(unwritten)
        assert len(list(records(tmp_path))) == 60
    place.write_text("{")
    with pytest.raises(RunFolderError, match=f"{HEAD} is damaged"):
        DecisionJournal(tmp_path, head(inputs), durable=True)


def test_files_that_are_missing_at_the_beginning_are_counted(tmp_path: Path) -> None:
    inputs = inputs_of(policies=[{"use": "latency-first"}], traffic=FEW, horizon={"hours": 25})
    with written(inputs, tmp_path / "j") as open_journals:
        run(inputs, journals=open_journals)
    (folder,) = journals(tmp_path)
    (folder / "decisions-1970-01-01.jsonl").unlink()
    with pytest.raises(RunFolderError, match=r"24 records are missing before it.*name another folder"):
        list(records(folder))
