"""A study's folder: one run at a time, of one study; what cannot be written is told, and nothing lost."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Timer

import pytest

from carbonroute import study
from carbonroute.cli import main
from helpers import small, studies
from helpers.refusals import content, has_parts

_STUDY = 'engine = "exact"\nmetrics = ["avg_latency_ms"]\n[grid]\n"network.jitter_std_ms" = [1, 2]\n'
#: One that reads a data file, and a policy of one's own.
_READING = studies.Made(
    '[grid]\n"network.jitter_std_ms" = [1, 2, 3]\n',
    3,
    4,
    beside={
        "carbon.csv": small.WIDE_CSV,
        "own.py": studies.OWN,
        "small.toml": small.changed(small.SCENARIO, (small.SYNTHETIC, small.WIDE)) + studies.OWN_ENTRY,
    },
)


def run(file: Path, folder: Path, *options: str) -> int:
    return main(["study", "run", str(file), "--output", str(folder), "--quiet", *options])


def edit(path: Path, old: str, new: str) -> None:
    path.write_text(small.changed(path.read_text(), (old, new)))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a study file and, in ``out``, of its results; to be copied."""
    place = tmp_path_factory.mktemp("finished")
    assert run(studies.Made(_STUDY, 2).write(place), place / "out") == 0
    return place


@pytest.fixture(scope="module")
def half_done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the same of a study that reads files, and whose last cell is not run yet; to be copied."""
    place = tmp_path_factory.mktemp("half")
    assert run(_READING.write(place), place / "out") == 0
    journal = place / "out" / "journal.jsonl"
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:2]))
    shutil.copy(place / "out" / "results.parquet", place / "whole.parquet")
    for name in ("manifest.json", "results.parquet"):
        (place / "out" / name).unlink()
    return place


def test_a_second_run_is_refused_and_the_first_is_not_disturbed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = studies.own(4, seconds=0.5)
    file, folder = made.write(tmp_path), tmp_path / "out"
    with subprocess.Popen(studies.command(file, folder, "--workers", "1")) as first:
        studies.wait_until(lambda: len(studies.begun(file)) > 0)
        assert run(file, folder) == 2
        assert first.poll() is None
    message = capsys.readouterr().err
    assert f"process {first.pid} on " in message
    assert "is running a study here; wait for it" in message
    assert first.returncode == 0
    studies.assert_complete(made, folder)
    assert sorted(studies.begun(file)) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("name", "old", "new", "told"),
    [
        ("study.toml", '"exact"', '"sampled"', 'engine: was "exact", is "sampled"'),
        ("study.toml", "[1, 2]", "[1, 4]", 'axes.network.jitter_std_ms[1]: was "2", is "4"'),
        ("study.toml", "[1, 2]", "[1, 2, 3]", 'axes.network.jitter_std_ms[2]: was not there, is "3"'),
        (
            "study.toml",
            '["avg_latency_ms"]',
            '["total_kg"]',
            'metrics[0]: was "avg_latency_ms", is "total_kg"',
        ),
        ("study.toml", "metrics", "max_violation = 0.5\nmetrics", "max_violation: was not there, is 0.5"),
        (
            "small.toml",
            "slo_ms = 300",
            "slo_ms = 200",
            "first_scenario.workloads[1].slo_ms: was 300.0, is 200.0",
        ),
    ],
)
def test_a_changed_study_is_refused_with_what_changed(
    name: str,
    old: str,
    new: str,
    told: str,
    finished: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = shutil.copytree(finished, tmp_path / "copy")
    edit(place / name, old, new)
    before = content(place / "out")
    assert run(place / "study.toml", place / "out") == 2
    message = capsys.readouterr().err
    assert f"{place / 'out'}: holds another study; name another folder, or remove this one." in message
    assert f"  {told}\n" in message
    assert content(place / "out") == before


def test_what_changed_is_named_where_labels_stayed_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = """engine = "exact"
[grid]
policies = [[{ use = "latency-first" }], [{ use = "carbon-first", label = "Own" }]]
[[variants]]
label = "calm"
changes = { network.jitter_std_ms = 1 }
[[variants]]
label = "rough"
changes = { network.jitter_std_ms = 5 }
"""
    file = studies.Made(text, 4).write(tmp_path)
    assert run(file, tmp_path / "out") == 0
    edit(file, "jitter_std_ms = 5", "jitter_std_ms = 6")
    edit(file, 'use = "carbon-first", label', 'use = "latency-first", label')
    assert run(file, tmp_path / "out") == 2
    told = capsys.readouterr().err.splitlines()[1:]
    assert told == [
        '  axes.policies[1].changes.policies[0].use: was "carbon-first", is "latency-first"',
        "  axes.variant[1].changes.network.jitter_std_ms: was 5, is 6",
    ]


def test_who_only_looks_keeps_nobody_from_starting(finished: Path, tmp_path: Path) -> None:
    place = shutil.copytree(finished, tmp_path / "copy")
    with (place / "out" / ".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        Timer(0.1, fcntl.flock, (lock.fileno(), fcntl.LOCK_UN)).start()
        assert run(place / "study.toml", place / "out") == 0


def test_other_words_about_a_study_are_no_other_study(finished: Path, tmp_path: Path) -> None:
    place = shutil.copytree(finished, tmp_path / "copy")
    edit(place / "study.toml", "schema = 1\n", 'schema = 1\ndescription = "new"\n')
    assert run(place / "study.toml", place / "out") == 0


@pytest.mark.parametrize(
    ("name", "old", "new"), [("carbon.csv", ",400,", ",410,"), ("own.py", "view.rtt_ms", "-view.rtt_ms")]
)
def test_a_file_that_changed_between_cells_is_named(
    name: str, old: str, new: str, half_done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = shutil.copytree(half_done, tmp_path / "copy")
    edit(place / name, old, new)
    folder = place / "out"
    assert run(place / "study.toml", folder) == 2
    message = capsys.readouterr().err
    assert f"{name}" in message
    assert "has changed since the first cells were run; put it back, or name another folder" in message
    assert len(studies.journal(folder)) == 2
    edit(place / name, new, old)
    assert run(place / "study.toml", folder) == 0
    assert (folder / "results.parquet").read_bytes() == (place / "whole.parquet").read_bytes()
    edit(place / name, old, new)  # nor are finished results called those of another file
    assert run(place / "study.toml", folder) == 2


RESTLESS = """
from pathlib import Path

class Restless:
    name = "Restless"
    reads = frozenset({"rtt_ms"})

    def cost(self, view):
        with Path(__file__).open("a") as file:
            file.write("# asked once more\\n")
        return view.rtt_ms
"""


def test_a_file_that_changes_while_cells_are_run_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small.write(tmp_path).rename(tmp_path / "small.toml")
    (tmp_path / "restless.py").write_text(RESTLESS, encoding="utf-8")
    (tmp_path / "study.toml").write_text(
        'schema = 1\nname = "made"\nscenario = "small.toml"\nengine = "exact"\n'
        '[changes]\npolicies = [{ use = "restless.py:Restless" }]\n[grid]\nsampling.seed = [1, 2, 3]\n',
        encoding="utf-8",
    )
    assert run(tmp_path / "study.toml", tmp_path / "out", "--workers", "1") == 2
    assert "restless.py:Restless has changed" in capsys.readouterr().err
    assert len(studies.journal(tmp_path / "out")) == 1


def test_a_folder_that_cannot_be_made_is_told(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert run(finished / "study.toml", tmp_path / "file" / "out") == 2
    message = capsys.readouterr().err.removeprefix("error: ").strip()
    assert "cannot write here" in message
    assert has_parts(message)


def limited(kib: int, file: Path, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a study that can write no file of more than so many KiB."""
    command = studies.command(file, folder, "--workers", "2", *options)
    shell = ["bash", "-c", f'ulimit -f {kib}; exec "$@"', "bash", *command]
    return subprocess.run(shell, capture_output=True, text=True, check=False, timeout=600)


@pytest.mark.parametrize(("kib", "name"), [(1, "study.json"), (8, "journal.jsonl")])
def test_a_file_that_cannot_grow_ends_the_run_and_it_goes_on_later(
    kib: int, name: str, tmp_path: Path
) -> None:
    made = studies.own(6)
    file, folder = made.write(tmp_path), tmp_path / "out"
    done = limited(kib, file, folder)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {folder / name}: cannot write here (")
    assert has_parts(done.stderr.removeprefix("error: ").strip())
    kept = [record.cell for record in studies.journal(folder)]
    assert (name == "study.json") == (not kept)
    (tmp_path / "begun.txt").unlink(missing_ok=True)
    assert run(file, folder) == 0
    assert sorted([*kept, *studies.begun(file)]) == list(range(6))
    assert run(file, tmp_path / "other") == 0
    assert studies.outcome(folder) == studies.outcome(tmp_path / "other")


def test_a_retry_without_room_leaves_the_earlier_results(tmp_path: Path) -> None:
    made = studies.own(4, does={0: "fail", 3: "fail"}, failed=[0, 3])
    file, folder = made.write(tmp_path), tmp_path / "out"
    assert run(file, folder) == 1
    earlier = studies.outcome(folder)
    (tmp_path / "mended").touch()
    size_kib = (folder / "journal.jsonl").stat().st_size // 1024
    assert limited(size_kib, file, folder, "--retry").returncode == 2
    assert studies.outcome(folder) == earlier
    assert len(study.read(folder).manifest["failed"]) == 2
    assert run(file, folder, "--retry") == 0
    assert study.read(folder).manifest["failed"] == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder on a disk of 24 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24k", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs leave to mount a file system")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_ends_the_run_and_it_goes_on_with_more_room(small_disk: Path, tmp_path: Path) -> None:
    made = studies.own(8)
    file, folder = made.write(tmp_path), small_disk / "out"
    done = studies.run(file, folder)
    assert done.returncode == 2
    assert "No space left on device" in done.stderr
    kept = [record.cell for record in studies.journal(folder)]
    (tmp_path / "begun.txt").unlink()
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    assert run(file, folder) == 0
    assert sorted([*kept, *studies.begun(file)]) == list(range(8))
    assert run(file, tmp_path / "other") == 0
    assert studies.outcome(folder) == studies.outcome(tmp_path / "other")


def test_a_damaged_line_is_named_and_can_be_removed(
    half_done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = shutil.copytree(half_done, tmp_path / "copy")
    folder = place / "out"
    assert run(place / "study.toml", folder) == 0
    earlier = studies.outcome(folder)
    journal = folder / "journal.jsonl"
    first, second, third = journal.read_bytes().splitlines(keepends=True)
    damaged = second.replace(b'"attempts":1', b'"attempts":7')
    journal.write_bytes(first + damaged + third)
    assert run(place / "study.toml", folder) == 2
    message = capsys.readouterr().err
    assert f"{journal}: line 2 is damaged: its checksum does not match; remove it" in message
    assert studies.outcome(folder) == earlier
    assert journal.read_bytes() == first + damaged + third
    journal.write_bytes(first + third)
    (place / "begun.txt").unlink()
    assert run(place / "study.toml", folder) == 0
    assert len(studies.begun(place / "study.toml")) == 1
    assert studies.outcome(folder) == earlier
