"""Writers stay in their folder: they follow no link, remove nothing but what they wrote, and come alone."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from carbonroute.cli import main
from carbonroute.errors import RunFolderError
from carbonroute.files.folder import LOCK, alone_in, is_held, write_named
from carbonroute.runs.folder import RunFolder
from carbonroute.runs.manifest import read_manifest
from helpers import small, studies
from helpers.refusals import content, has_parts


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a small scenario."""
    return str(small.write(tmp_path_factory.mktemp("small"), ("hours = 6", "hours = 1")))


@pytest.fixture
def simulate(scenario: str) -> Callable[[Path], int]:
    """Return what runs the scenario into a folder."""
    return lambda path: main(["simulate", scenario, "--no-figures", "--quiet", "--output", str(path)])


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """Return a folder with a file that must not change, beside the run's."""
    place = tmp_path / "outside"
    place.mkdir()
    (place / "victim.txt").write_text("precious", encoding="utf-8")
    yield place
    assert content(place) == {"victim.txt": b"precious"}


def listed(folder: Path, *names: str) -> None:
    """Have a folder's manifest list files, with their digests."""
    folder.mkdir(exist_ok=True)
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    (folder / "manifest.json").write_text(json.dumps({"outputs": digests}), encoding="utf-8")


def refusal(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the message of a refusal, which has all of its parts."""
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    message = printed.err.removeprefix("error: ").strip()
    assert has_parts(message), message
    return message


def test_what_a_foreign_manifest_lists_is_left_alone_and_named(
    simulate: Callable[[Path], int], outside: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    (run / ".git").mkdir(parents=True)
    (run / ".git" / "config").write_text("mine", encoding="utf-8")
    (run / "graphs").mkdir()
    (run / "graphs" / "notes.txt").write_text("mine", encoding="utf-8")
    (run / "graphs" / "own.png").symlink_to(outside / "victim.txt")
    (run / "graphs" / "premium").symlink_to(outside)
    (outside / "a.svg").write_text("drawn", encoding="utf-8")
    (run / "lnk").symlink_to(outside)
    (run / "report.html").write_text("old", encoding="utf-8")
    kept = (".git/config", "graphs/notes.txt", "graphs/own.png", "graphs/premium/a.svg", "lnk/victim.txt")
    listed(run, *kept, "report.html")
    assert simulate(run) == 0
    notes = capsys.readouterr().err.splitlines()
    assert len(notes) == len(kept)
    for name, note in zip(kept, notes, strict=True):
        assert note.startswith(f"note: {run / name}: left alone")
        assert (run / name).exists()
    assert not (run / "report.html").exists()
    assert not read_manifest(run)["outputs"].keys() & {*kept, "report.html"}
    (outside / "a.svg").unlink()


def test_what_was_changed_since_the_earlier_run_is_left_alone_and_named(
    scenario: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    words = ["frontier", scenario, "--no-figures", "--quiet", "--output", str(run)]
    assert main(words) == 0
    (run / "policy.toml").write_text("mine", encoding="utf-8")
    assert main(["simulate", scenario, "--no-figures", "--quiet", "--output", str(run)]) == 0
    (note,) = capsys.readouterr().err.splitlines()
    assert (
        note
        == f"note: {run / 'policy.toml'}: left alone, though an earlier run lists it (it was changed since)"
    )
    assert (run / "policy.toml").read_text(encoding="utf-8") == "mine"
    assert not (run / "tables" / "frontier.csv").exists()


@pytest.mark.parametrize(
    "name",
    [
        "../outside/victim.txt",
        "/etc/hostname",
        "a/../../outside/victim.txt",
        "./x",
        "a//b",
        "",
        ".",
        "a\0b",
        "a\nb",
    ],
)
def test_names_that_leave_the_folder_are_refused(
    name: str,
    simulate: Callable[[Path], int],
    outside: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "manifest.json").write_text(json.dumps({"outputs": {name: "0" * 64}}), encoding="utf-8")
    before = content(run)
    assert simulate(run) == 2
    assert "a path below the folder is expected" in refusal(capsys)
    assert content(run) == before


def _socket(place: Path, _: Path) -> None:
    before = Path.cwd()
    os.chdir(place.parent)  # a socket's path is limited to some hundred characters
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(place.name)
    finally:
        os.chdir(before)


#: What may stand in the place of a file, what a message calls it, and how it comes there.
IN_THE_WAY: dict[str, tuple[str, Callable[[Path, Path], object]]] = {
    "link": ("a link", lambda place, outside: place.symlink_to(outside / "victim.txt")),
    "link to a folder": ("a link", lambda place, outside: place.symlink_to(outside)),
    "dangling link": ("a link", lambda place, outside: place.symlink_to(outside / "new.txt")),
    "folder": ("a folder", lambda place, _: (place / "mine").mkdir(parents=True)),
    "FIFO": ("a FIFO", lambda place, _: os.mkfifo(place)),
    "socket": ("a socket", _socket),
}


@pytest.mark.parametrize("kind", IN_THE_WAY)
@pytest.mark.parametrize(
    "name",
    [
        "manifest.json",
        "study.json",
        ".lock",
        ".replacing.json",
        ".staging/.0",
        "tables/simulation_results.csv",
        "data/policies.parquet",
    ],
)
def test_nothing_is_written_where_something_else_stands_in_the_place_of_a_file(
    name: str,
    kind: str,
    simulate: Callable[[Path], int],
    outside: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = tmp_path / "run" / name
    place.parent.mkdir(parents=True)
    word, put = IN_THE_WAY[kind]
    put(place, outside)
    before = sorted((tmp_path / "run").rglob("*"))
    assert simulate(tmp_path / "run") == 2
    message = refusal(capsys)
    assert message.startswith(f"{place}: cannot ")
    assert f"(it is {word}, where a file belongs)" in message
    assert sorted((tmp_path / "run").rglob("*")) == before


@pytest.mark.parametrize("name", ["tables", "data", ".staging"])
def test_no_link_on_the_way_is_followed(
    name: str,
    simulate: Callable[[Path], int],
    outside: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = tmp_path / "run" / name
    place.parent.mkdir()
    place.symlink_to(outside)
    assert simulate(tmp_path / "run") == 2
    assert f"{place}: cannot write here (it is a link, where a folder belongs)" in refusal(capsys)
    assert list((tmp_path / "run").iterdir()) == [place]


@pytest.mark.parametrize("kind", IN_THE_WAY)
@pytest.mark.parametrize(
    "name", [".lock", "journal.jsonl", "study.json", "manifest.json", "results.parquet", "logs"]
)
def test_a_study_writes_nothing_where_something_else_stands_in_the_place_of_a_file(
    name: str, kind: str, outside: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = studies.Made('engine = "exact"\n', 1).write(tmp_path)
    place = tmp_path / "out" / name
    place.parent.mkdir()
    word, put = IN_THE_WAY[kind]
    put(place, outside)
    before = sorted((tmp_path / "out").rglob("*"))
    if (name, kind) != ("logs", "folder"):
        assert main(["study", "run", str(file), "--output", str(tmp_path / "out"), "--quiet"]) == 2
        assert f"{place}: cannot write here (it is {word}, where a f" in refusal(capsys)
    assert sorted((tmp_path / "out").rglob("*")) == before


@pytest.mark.parametrize("name", [".lock", "journal.jsonl"])
def test_a_file_that_has_another_name_elsewhere_is_not_written_into(
    name: str, outside: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = studies.Made('engine = "exact"\n', 1).write(tmp_path)
    (tmp_path / "out").mkdir()
    empty = tmp_path / "empty"
    empty.touch()
    (tmp_path / "out" / name).hardlink_to(empty)
    assert main(["study", "run", str(file), "--output", str(tmp_path / "out"), "--quiet"]) == 2
    assert f"{name}: cannot write here (it is a hard link)" in refusal(capsys)
    assert empty.read_bytes() == b""


@pytest.mark.parametrize("words", [["study", "status"], ["study", "show"], ["report"], ["figures"]])
@pytest.mark.parametrize("kind", IN_THE_WAY)
@pytest.mark.parametrize(
    "name", ["study.json", "journal.jsonl", "manifest.json", "results.parquet", "data/policies.parquet"]
)
def test_readers_follow_no_link_and_wait_for_nothing(
    name: str,
    kind: str,
    words: list[str],
    outside: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = tmp_path / "out" / name
    place.parent.mkdir(parents=True)
    if name != "study.json" and words[0] == "study":
        (tmp_path / "out" / "study.json").write_text('{"name": "s", "axes": {}}', encoding="utf-8")
    if name in {"results.parquet", "data/policies.parquet"}:
        (tmp_path / "out" / "manifest.json").write_text(
            json.dumps({"outputs": {name: "0" * 64}}), encoding="utf-8"
        )
    IN_THE_WAY[kind][1](place, outside)
    assert main([*words, str(tmp_path / "out")]) == 2
    assert refusal(capsys)


@pytest.mark.usefixtures("undrawn")
def test_the_folder_itself_may_be_a_link(simulate: Callable[[Path], int], tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "latest").symlink_to(tmp_path / "elsewhere")
    assert simulate(tmp_path / "latest") == 0
    assert main(["report", str(tmp_path / "latest")]) == 0
    assert (tmp_path / "latest").is_symlink()
    assert "report.html" in read_manifest(tmp_path / "elsewhere")["outputs"]


@pytest.mark.parametrize("kind", ["dangling link", "FIFO", "socket"])
def test_an_output_that_is_no_folder_is_refused(
    kind: str,
    simulate: Callable[[Path], int],
    outside: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = tmp_path / "run"
    IN_THE_WAY[kind][1](place, outside)
    assert simulate(place) == 2
    assert f"{place}: cannot write here (" in refusal(capsys)
    assert simulate(Path(os.devnull)) == 2
    assert f"{os.devnull}: cannot write here (" in refusal(capsys)


@pytest.mark.parametrize("kind", ["folder", "FIFO", "socket"])
def test_a_named_file_replaces_nothing_but_a_file(kind: str, outside: Path, tmp_path: Path) -> None:
    place = tmp_path / "page.html"
    word, put = IN_THE_WAY[kind]
    put(place, outside)
    with pytest.raises(RunFolderError, match=rf"page.html: cannot write here \(it is {word}"):
        write_named(place, b"page")
    with pytest.raises(RunFolderError, match=r"cannot write here \(it is a device"):
        write_named(Path(os.devnull), b"page")
    assert Path(os.devnull).is_char_device()


def test_a_named_file_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "latest.html").symlink_to(tmp_path / "new" / "page.html")
    write_named(tmp_path / "latest.html", b"page")
    assert (tmp_path / "latest.html").is_symlink()
    assert (tmp_path / "new" / "page.html").read_bytes() == b"page"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["page.html"]


def test_a_new_file_takes_no_place_that_is_taken(
    outside: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind, (_, put) in IN_THE_WAY.items():
        place = tmp_path / f"{kind}.toml"
        put(place, outside)
        assert main(["init", str(place)]) == 2
        assert f"{place}: is there already" in refusal(capsys)


def test_a_second_run_is_told_and_the_first_is_not_disturbed(
    simulate: Callable[[Path], int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    with RunFolder(run) as first:
        first.write("tables/a.csv", b"1")
        assert simulate(run) == 2
        assert f"process {os.getpid()} on " in (message := refusal(capsys))
        assert "is writing here; wait for it, or name another folder" in message
        first.finish({})
    assert read_manifest(run)["outputs"].keys() == {"tables/a.csv"}
    assert simulate(run) == 0
    assert not (run / LOCK).exists()


def test_a_lock_that_nobody_holds_any_more_is_none(simulate: Callable[[Path], int], tmp_path: Path) -> None:
    (tmp_path / LOCK).write_text("process 1 on nowhere", encoding="utf-8")
    assert not is_held(tmp_path)
    assert simulate(tmp_path) == 0
    assert not (tmp_path / LOCK).exists()


def test_a_lock_that_its_holder_removes_meanwhile_is_taken_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock = fcntl.flock
    taken: list[int] = []

    def late(lock: int, how: int) -> None:
        if not taken:
            (tmp_path / LOCK).unlink()
        taken.append(lock)
        flock(lock, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with alone_in(tmp_path, "writing"):
        monkeypatch.undo()
        assert len(taken) == 2
        assert is_held(tmp_path)
    assert not is_held(tmp_path)


def test_a_folder_that_is_made_in_vain_is_removed(scenario: str, tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text("schema = 1\n", encoding="utf-8")
    assert main(["simulate", str(bad), "--output", str(tmp_path / "a" / "b")]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["bad.toml"]
