"""Damaged folders are refused like any other bad input, by every command that reads one."""

from __future__ import annotations

import hashlib
import json
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from carbonroute import study
from carbonroute.cli import main
from helpers import small
from helpers.damage import line_of, made_run, made_study, records_of, refused, sealed
from helpers.grids import grid
from helpers.refusals import content


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a place with a scenario and, in ``out``, its run; to be copied."""
    return made_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a place with a study and, in ``out``, its results; to be copied."""
    return made_study(tmp_path_factory.mktemp("study"))


#: What may stand in a file instead of a JSON object of ours.
NO_OBJECTS = {
    "empty": b"",
    "blank": b" \n",
    "an integer": b"1",
    "null": b"null",
    "a list": b"[1]",
    "an empty object": b"{}",
    "a text": b'"x"',
    "deep": b"[" * 100_000,
    "deep objects": b'{"a":' * 10_000,
    "binary": bytes(range(256)),
    "nulls": b"\0" * 100,
    "not UTF-8": b'{"name": "\xff"}',
    "UTF-16": '{"name": "x"}'.encode("utf-16"),
    "escapes": b"\x1b[31m{}",
    "half a character": b'{"name": "\\ud800", "axes": {}, "outputs": {}}',
    "a key twice": b'{"name": "a", "name": "b", "axes": {}, "outputs": {}}',
    "no number": b'{"name": "a", "axes": {}, "outputs": {}, "x": NaN}',
    "a number without end": b'{"name": "a", "axes": {}, "outputs": {}, "x": 1e999}',
    "a number of 5,000 digits": b'{"name": "a", "axes": {}, "outputs": {}, "x": ' + b"9" * 5000 + b"}",
    "cut": b'{"name": "a", "axes": {',
}


@pytest.mark.parametrize("kind", NO_OBJECTS)
def test_a_manifest_that_is_none_is_refused_by_every_command(
    kind: str, run: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = shutil.copytree(run, tmp_path / "run")
    (place / "out" / "manifest.json").write_bytes(NO_OBJECTS[kind])
    before, out = content(place), str(place / "out")
    for words in (
        ["figures", out],
        ["report", out],
        ["report", out, "--output", str(tmp_path / "page.html")],
    ):
        refused(words, capsys, f"{place / 'out' / 'manifest.json'}: ")
    for command in ("simulate", "frontier", "sensitivity", "headroom"):
        more = ["--at", "inf"] if command == "headroom" else []
        refused([command, str(place / "small.toml"), "--output", out, "--no-figures", *more], capsys)
    assert content(place) == before
    place = shutil.copytree(finished, tmp_path / "study")
    (place / "out" / "manifest.json").write_bytes(NO_OBJECTS[kind])
    before, out = content(place), str(place / "out")
    for words in (
        ["study", "show", out],
        ["report", out],
        ["study", "run", str(place / "study.toml"), "--output", out],
    ):
        refused(words, capsys, f"{place / 'out' / 'manifest.json'}: ")
    assert content(place) == before


@pytest.mark.parametrize("kind", NO_OBJECTS)
def test_settings_that_are_none_are_refused_by_every_command(
    kind: str, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = shutil.copytree(finished, tmp_path / "study")
    (place / "out" / "study.json").write_bytes(NO_OBJECTS[kind])
    before, out = content(place), str(place / "out")
    for words in (["study", "status", out], ["study", "run", str(place / "study.toml"), "--output", out]):
        refused(words, capsys, f"{place / 'out' / 'study.json'}: ")
    assert content(place) == before


SETTINGS: dict[str, Callable[[dict[str, Any]], object]] = {
    "axes: 5": lambda it: it.update(axes=5),
    "axes: null": lambda it: it.update(axes=None),
    "axes: a list": lambda it: it.update(axes=[1]),
    "an axis: 5": lambda it: it["axes"].update(x=5),
    "an axis without values": lambda it: it["axes"].update(x=[]),
    "no axes": lambda it: it.pop("axes"),
    "no name": lambda it: it.pop("name"),
    "name: null": lambda it: it.update(name=None),
    "name: escapes": lambda it: it.update(name="\x1b]0;x\x07", axes=3),
}


@pytest.mark.parametrize("kind", SETTINGS)
def test_settings_of_other_types_are_refused(
    kind: str, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = shutil.copytree(finished, tmp_path / "study")
    settings = json.loads((place / "out" / "study.json").read_text(encoding="utf-8"))
    SETTINGS[kind](settings)
    (place / "out" / "study.json").write_text(json.dumps(settings), encoding="utf-8")
    out = str(place / "out")
    refused(["study", "status", out], capsys, "study.json: ")
    refused(["study", "run", str(place / "study.toml"), "--output", out], capsys, "study.json: ")


LINES = {name: data.replace(b"\n", b"") + b"\n" for name, data in NO_OBJECTS.items() if name != "blank"}
RECORDS: dict[str, Callable[[dict[str, Any]], object]] = {
    "an unknown field": lambda it: it.update(more=1),
    "a field less": lambda it: it.pop("attempts"),
    "cell: -1": lambda it: it.update(cell=-1),
    "cell: 4": lambda it: it.update(cell=4),
    "cell: huge": lambda it: it.update(cell=10**400),
    "cell: a text": lambda it: it.update(cell="1"),
    "cell: true": lambda it: it.update(cell=True),
    "status: another": lambda it: it.update(status="maybe"),
    "status: failed": lambda it: it.update(status="failed"),
    "an error": lambda it: it.update(error="x"),
    "digest: another": lambda it: it.update(digest="0" * 64),
    "digest: null": lambda it: it.update(digest=None),
    "at: a text": lambda it: it.update(at="now"),
    "seconds: null": lambda it: it.update(seconds=None),
    "notes: null": lambda it: it.update(notes=None),
    "notes: integers": lambda it: it.update(notes=[1]),
    "files: a list": lambda it: it.update(files=["x"]),
    "files: no digest": lambda it: it.update(files={"x": "y"}),
    "about: null": lambda it: it.update(about=None),
    "about: nothing": lambda it: it.update(about={}),
    "about: integers": lambda it: it["about"].update(accounting=1),
    "columns: null": lambda it: it.update(columns=None),
    "columns: nothing": lambda it: it.update(columns={}),
    "columns: one more": lambda it: it["columns"].update(x=it["columns"]["policy"]),
    "columns: one less": lambda it: it["columns"].pop("avg_latency_ms"),
    "a column: null": lambda it: it["columns"].update(avg_latency_ms=None),
    "a column: shorter": lambda it: it["columns"]["avg_latency_ms"].pop(),
    "a column: texts": lambda it: it["columns"].update(avg_latency_ms=["x"] * 4),
    "a column: lists": lambda it: it["columns"].update(avg_latency_ms=[[]] * 4),
    "a column: huge": lambda it: it["columns"].update(avg_latency_ms=[10**400] * 4),
    "a column: large": lambda it: it["columns"].update(avg_latency_ms=[1e308] * 4),
    "a column: booleans": lambda it: it["columns"].update(avg_latency_ms=[True] * 4),
    "policies: null": lambda it: it["columns"].update(policy=[None] * 4),
    "policies: integers": lambda it: it["columns"].update(policy=[1, 2, 3, 4]),
    "policies: twice": lambda it: it["columns"].update(policy=["x"] * 4),
    "policies: none": lambda it: it.update(columns={name: [] for name in it["columns"]}),
    "viable: null": lambda it: it["columns"].update(viable=[None] * 4),
    "baseline: null": lambda it: it["columns"].update(baseline=[None] * 4),
}


def test_journals_are_refused_by_every_command_that_reads_them(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = shutil.copytree(finished, tmp_path / "study")
    journal, out = place / "out" / "journal.jsonl", str(place / "out")
    good = journal.read_bytes().splitlines(keepends=True)
    checked = {name: b"%08x %s" % (zlib.crc32(line[:-1]), line) for name, line in LINES.items()}
    for name, line in {**LINES, **{f"{name}, checked": line for name, line in checked.items()}}.items():
        journal.write_bytes(good[0] + line + b"".join(good[2:]))
        before = content(place)
        for words in (["study", "status", out], ["study", "run", str(place / "study.toml"), "--output", out]):
            refused(words, capsys, f"{journal}: line 2 ", "remove it, and its cell is run again")
        assert content(place) == before, name


@pytest.mark.parametrize("kind", grid(RECORDS, one_of=2))
def test_records_with_a_right_checksum_and_wrong_content_are_refused(
    kind: str, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = shutil.copytree(finished, tmp_path / "study")
    journal, out = place / "out" / "journal.jsonl", str(place / "out")
    records = records_of(place / "out")
    RECORDS[kind](records[1])
    journal.write_bytes(b"".join(map(line_of, records)))
    again = ["study", "run", str(place / "study.toml"), "--output", out]
    refused(again, capsys, f"{journal}: line 2 ")
    assert main(["study", "status", out]) in (0, 2)
    capsys.readouterr()
    (place / "out" / "manifest.json").unlink()
    refused(again, capsys, f"{journal}: line 2 ")
    journal.write_bytes(b"".join(map(line_of, [records[0], *records[2:]])))
    assert main([*again, "--quiet"]) == 0
    assert study.read(out).results.equals(study.read(finished / "out").results)


def test_a_cell_that_was_done_stands_in_a_journal_once(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = shutil.copytree(finished, tmp_path / "study")
    journal = place / "out" / "journal.jsonl"
    journal.write_bytes(journal.read_bytes() + journal.read_bytes().splitlines(keepends=True)[0])
    refused(["study", "status", str(place / "out")], capsys, "line 5 is of a cell that was done before")


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "x\x1b[31m"])
def test_a_name_that_leads_out_of_a_folder_is_named_in_plain_words(
    name: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = shutil.copytree(run / "out", tmp_path / "out")
    sealed(out, lambda it: it["outputs"].update({name: "0" * 64}))
    refused(
        ["report", str(out)], capsys, "'outputs' has the key '", "and a path below the folder is expected"
    )


EDITS: dict[str, dict[str, Callable[[dict[str, Any]], object]]] = {
    "run": {
        "the seed": lambda it: it.update(seed=it["seed"] + 1),
        "the finding": lambda it: it.update(finding="All of it is saved."),
        "a number of the scenario": lambda it: it["scenario"]["limits"].update(violations=0.5),
        "a note more": lambda it: it.update(notes=[*it["notes"], "x"]),
        "a key more": lambda it: it.update(more=None),
        "an output less": lambda it: it["outputs"].popitem(),
        "another digest": lambda it: it.update(sha256="0" * 64),
    },
    "finished": {
        "the finding": lambda it: it.update(finding=["All of it is saved."]),
        "the name": lambda it: it.update(name="x"),
        "the engine": lambda it: it.update(engine="sampled"),
        "an axis": lambda it: it["axes"][0].update(label="x"),
        "the versions": lambda it: it["versions"].update(numpy="1"),
    },
}
READERS = {
    "run": (["report"], ["tables"], ["figures"]),
    "finished": (["report"], ["tables"], ["study", "show"], ["study", "status"], ["study", "figures"]),
}
REMEDIES = {
    "run": ["simulate", "small.toml", "--output", "out", "--no-figures", "--quiet", "--replications", "3"],
    "finished": ["study", "run", "study.toml", "--output", "out", "--quiet"],
}


@pytest.mark.parametrize(("of", "edit"), [(of, edit) for of, edits in EDITS.items() for edit in edits])
def test_an_edited_manifest_is_refused_until_its_command_runs_again(
    of: str,
    edit: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    made: Path = request.getfixturevalue(of)
    place = shutil.copytree(made, tmp_path / "place")
    monkeypatch.chdir(place)
    manifest = place / "out" / "manifest.json"
    facts = json.loads(manifest.read_text(encoding="utf-8"))
    EDITS[of][edit](facts)
    manifest.write_text(json.dumps(facts), encoding="utf-8")
    before = content(place)
    command = "simulate" if of == "run" else "study run"
    said = "was changed since it was written", f"run `carbonroute {command}` again"
    for words in READERS[of]:
        refused([*words, "out"], capsys, "manifest.json: ", *said)
    if of == "run":
        refused(["frontier", "small.toml", "--output", "out"], capsys, "manifest.json: ", *said)
    assert content(place) == before
    assert main(REMEDIES[of]) == 0
    again, first = (json.loads((at / "out" / "manifest.json").read_bytes()) for at in (place, made))
    for stated in (again, first):
        del stated["command"], stated["sha256"]  # the command names the file as it was named
    assert again == first
    capsys.readouterr()
    assert main(["tables", "out"]) == 0


def test_an_edited_manifest_of_an_analysis_alone_is_written_again_where_it_was_removed(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(run / "small.toml", tmp_path)
    monkeypatch.chdir(tmp_path)
    words = ["frontier", "small.toml", "--output", "out", "--no-figures", "--quiet"]
    assert main(words) == 0
    manifest = tmp_path / "out" / "manifest.json"
    written = manifest.read_bytes()
    manifest.write_text(json.dumps(json.loads(written) | {"frontier": {}}), encoding="utf-8")
    capsys.readouterr()
    refused(words, capsys, "remove manifest.json and run the command again that wrote it")
    manifest.unlink()
    assert main(words) == 0
    assert manifest.read_bytes() == written


def test_a_manifest_in_another_layout_or_of_an_earlier_version_is_read(run: Path, tmp_path: Path) -> None:
    out = shutil.copytree(run / "out", tmp_path / "out")
    facts = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    (out / "manifest.json").write_text(json.dumps(facts, sort_keys=True), encoding="utf-8")
    assert main(["tables", str(out)]) == 0
    del facts["sha256"]  # which earlier versions did not write
    (out / "manifest.json").write_text(json.dumps(facts), encoding="utf-8")
    assert main(["tables", str(out)]) == 0


#: What may stand in a record whose digest is right.
IN_RECORDS: dict[str, Callable[[dict[str, Any]], object]] = {
    "strides beyond all": lambda it: it["strides"].update(rtt_ms=[10**30, 1]),
    "strides: null": lambda it: it.update(strides=None),
    "view: a list": lambda it: it.update(view=[1]),
    "regions: nothing": lambda it: it.update(regions=[]),
    "an unknown field": lambda it: it.update(more=1),
    "a policy of integers": lambda it: it.update(policy=1),
    "weights: texts": lambda it: it.update(weights="x"),
}


def test_decision_records_that_are_none_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = small.write(tmp_path, ("hours = 6", "hours = 2"), ("2021-01-01T00", "0001-01-01T00"))
    words = ["simulate", str(file), "--output", str(tmp_path / "out"), "--no-figures", "--quiet"]
    assert main([*words, "--engine", "queued", "--journal", str(tmp_path / "j")]) == 0
    assert main(["replay", str(tmp_path / "j")]) == 0
    journal = sorted((tmp_path / "j").rglob("*.jsonl"))[-1]
    assert journal.name == "decisions-0001-01-01.jsonl"
    first, *rest = journal.read_bytes().splitlines(keepends=True)
    record = {key: value for key, value in json.loads(first).items() if key != "sha256"}
    lines = {f"line: {name}": line for name, line in LINES.items()}
    for kind, change in IN_RECORDS.items():
        changed = json.loads(json.dumps(record))
        change(changed)
        body = json.dumps(changed, separators=(",", ":")).encode()
        digest = hashlib.sha256(body).hexdigest()
        lines[kind] = body[:-1] + f',"sha256":"{digest}"}}\n'.encode()
    for kind, line in lines.items():
        journal.write_bytes(line + b"".join(rest))
        assert main(["replay", str(journal.parent)]) == 2, kind
        assert "; take the journal from where it was written" in capsys.readouterr().err, kind


@pytest.mark.parametrize(("kind", "commands"), [("run", ["report", "figures"]), ("finished", ["report"])])
def test_a_folder_with_a_changed_file_is_refused_whether_or_not_the_file_is_read(
    kind: str,
    commands: list[str],
    request: pytest.FixtureRequest,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A table that a command does not read is of the run as well."""
    place: Path = request.getfixturevalue(kind)
    shutil.copytree(place, tmp_path / "place")
    folder = tmp_path / "place" / "out"
    outputs = json.loads((folder / "manifest.json").read_bytes())["outputs"]
    assert outputs
    for name in outputs:
        kept = (folder / name).read_bytes()
        (folder / name).write_bytes(kept + b"\n")
        for command in commands:
            capsys.readouterr()
            assert main([command, str(folder)]) == 2
            assert str(folder / name) in capsys.readouterr().err
        (folder / name).write_bytes(kept)
