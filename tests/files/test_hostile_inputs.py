"""Files that are made to do harm: refused or read in bounded memory and time, and never with a traceback."""

from __future__ import annotations

import hashlib
import io
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import pytest

from carbonroute.cli import main
from carbonroute.errors import InputError, did_you_mean
from carbonroute.files import parquet as parquetfile
from carbonroute.files import strict_json
from carbonroute.files import text as textfile
from carbonroute.files.limits import BATCH_BYTES
from carbonroute.files.parquet import parquet
from carbonroute.files.streams import stream_table
from carbonroute.files.tables import read_table
from carbonroute.files.text import Digests, read_bytes
from carbonroute.inspection.recognise import recognised
from carbonroute.inspection.traffic import inspect as inspect_log
from carbonroute.scenario import load, resolve
from carbonroute.traffic.replay import Replay
from helpers import small
from helpers.grids import grid
from helpers.mutations import COLUMNS
from helpers.refusals import Refusals

#: What a process may take at its peak, MiB: imports take 120 to 200.
PEAK_MIB = 600


#: A process begins with the peak of the one that it comes from: a small one comes between.
BETWEEN = """
import json, resource, subprocess, sys
command = [sys.executable, "-m", "carbonroute", *sys.argv[1:]]
done = subprocess.run(command, capture_output=True, encoding="utf-8")
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps([done.returncode, done.stdout + done.stderr, peak / 1024]))
"""


def peak(*arguments: str) -> tuple[int, str, float]:
    """Run a command in a process of its own; return its exit code, what it printed, and its peak in MiB."""
    done = subprocess.run(
        [sys.executable, "-c", BETWEEN, *arguments], capture_output=True, encoding="utf-8", check=True
    )
    code, said, peak_mib = json.loads(done.stdout)
    assert "Traceback" not in said
    return code, said, peak_mib


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(InputError) as caught:
        call()
    return str(caught.value)


# Parquet


def bomb(folder: Path, rows: int) -> Path:
    """Write a small file of so many rows of the same 20,000 characters."""
    path = folder / "carbon.parquet"
    text = pl.repeat("x" * 20_000, rows, eager=True)
    time = pl.repeat("2021-01-01T00:00Z", rows, eager=True)
    table = pl.DataFrame({"time": time, "A": text, "B": pl.repeat(1.0, rows, eager=True)})
    table.write_parquet(path, statistics=False)
    assert path.stat().st_size < 2**20
    return path


@pytest.mark.parametrize("rows", grid([30_000, 60_000], one_of=2))  # 0.6 and 1.2 GB as text
def test_a_text_that_stands_once_and_counts_many_times_is_refused_in_bounded_memory(
    rows: int, tmp_path: Path
) -> None:
    bomb(tmp_path, rows)
    scenario = small.write_with_carbon(
        tmp_path, (tmp_path / "carbon.parquet").read_bytes(), small.WIDE.replace(".csv", ".parquet")
    )
    for arguments in (("validate", str(scenario)), ("inspect", str(tmp_path / "carbon.parquet"))):
        code, said, peak_mib = peak(*arguments)
        assert code == 2
        assert "bytes of text; the limit is 536,870,912" in said
        assert peak_mib < PEAK_MIB


def test_long_texts_of_a_log_come_in_small_batches(tmp_path: Path) -> None:
    """All of them share one text: what is made of a batch is what takes memory."""
    pl.DataFrame({"a": ["x" * 100_000] * 2000, "b": range(2000)}).write_parquet(tmp_path / "t.parquet")
    rows = 0
    for line, batch in stream_table(tmp_path / "t.parquet", "t", {"k": "a", "l": "b"}):
        assert line == rows + 2
        assert batch["b"].to_list() == list(range(rows, rows + len(batch)))
        assert len(batch) <= BATCH_BYTES // 100_000
        rows += len(batch)
    assert rows == 2000


def test_a_single_text_is_no_longer_than_a_line(tmp_path: Path) -> None:
    pl.DataFrame({"a": ["", "x" * (2**20 + 1)]}).write_parquet(tmp_path / "t.parquet")
    said = refusal(partial(read_table, tmp_path / "t.parquet", "t"))
    assert said == "t: row 2, a: a text of 1,048,577 bytes; the limit is 1,048,576"


@pytest.mark.parametrize("compression", ["zstd", "uncompressed", "snappy", "gzip"])
@pytest.mark.parametrize("pages", [None, 100])
def test_what_a_column_unpacks_to_is_read_from_its_pages(
    compression: Literal["zstd", "uncompressed", "snappy", "gzip"],
    pages: int | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = np.random.default_rng(1).integers(0, 2**62, 3000)
    path = tmp_path / "t.parquet"
    pl.DataFrame({"n": values, "t": [f"{i:040}" for i in range(3000)]}).write_parquet(
        path, compression=compression, row_group_size=1000, data_page_size=pages
    )
    with parquet(path, "t") as file:
        file.require(["n"], 3000 * 8 * 2)
        assert "unpacks to 2" in refusal(partial(file.require, ["n"], 3000 * 8 - 1))
        file.require(["n", "t"], 3000 * 52 * 2)
        assert "unpacks to" in refusal(partial(file.require, ["n", "t"], 3000 * 52 - 1))
        monkeypatch.setattr(parquetfile, "MAX_GROUP_BYTES", 7999)
        assert "a row group unpacks to 8" in refusal(partial(file.require, ["n"]))
        assert "write smaller row groups" in refusal(lambda: list(file.batches(["n"], 10)))


@pytest.mark.parametrize("kind", COLUMNS)
def test_a_column_of_any_type_is_read_or_refused_by_its_type(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pl.DataFrame({"a": COLUMNS[kind], "b": range(24)}).write_parquet(path)
    table = read_table(path, "t")
    assert table["b"].to_list() == list(range(24))
    for as_kind in ("carbon", "traffic", "rates", "rtt"):
        assert main(["inspect", str(path), "--as", as_kind]) in {0, 2}
    if kind in {"lists", "arrays", "structures", "bytes", "spans", "times of day"}:
        assert table["a"].null_count() == 24  # what nobody can use is not even decoded
        said = refusal(lambda: list(_texts(table["a"])))
        assert said.startswith("t: column 'a': holds ")
        assert said.endswith("; text, numbers or times are expected")
    else:
        assert list(_texts(table["a"])) is not None


def _texts(column: pl.Series) -> Iterator[str]:
    from carbonroute.files.tables import column_text

    yield from column_text(column, "t").to_list()


def test_types_that_have_a_meaning_keep_it(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    kinds = ("decimals", "categories", "members", "truth values", "huge numbers", "dates", "nothing")
    pl.DataFrame({kind: COLUMNS[kind] for kind in kinds}).write_parquet(path)
    table = read_table(path, "t")
    assert table["decimals"][:3].to_list() == [0, 0.125, 0.25]
    assert table["categories"][:2].to_list() == table["members"][:2].to_list() == ["A", "B"]
    assert table["truth values"][:2].to_list() == ["true", None]
    assert table["huge numbers"][:2].to_list() == [2.0**120, -1]
    assert table["nothing"].dtype == pl.String


def test_a_date_is_midnight_and_needs_a_time_zone(tmp_path: Path) -> None:
    table = pl.DataFrame({"time": COLUMNS["dates"], "A": [400.0] * 24, "B": [50.0] * 24})
    data = io.BytesIO()
    table.write_parquet(data)
    section = small.WIDE.replace(".csv", ".parquet") + 'step = "1d"\n'
    scenario = small.write_with_carbon(tmp_path, data.getvalue(), section)
    assert "times have no offset; state time_zone" in refusal(lambda: resolve(load(scenario)))
    scenario = small.write_with_carbon(tmp_path, data.getvalue(), section + 'time_zone = "UTC"\n')
    assert resolve(load(scenario)).carbon.g_per_kwh[0].tolist() == [400, 50]


@pytest.mark.parametrize("third", grid(range(3), one_of=3))
def test_a_damaged_description_is_refused(third: int, tmp_path: Path) -> None:
    """Every byte of the description at the end, changed: no answer but a table or a refusal."""
    path = tmp_path / "t.parquet"
    pl.DataFrame({"a": ["x", "y"], "b": [1, 2]}).write_parquet(path)
    good = path.read_bytes()
    length = int.from_bytes(good[-8:-4], "little")
    for place in range(len(good) - 8 - length, len(good) - 8)[third::3]:
        for value in (0, 0x7F, 0xFF, good[place] ^ 1, good[place] ^ 0x10):
            path.write_bytes(good[:place] + bytes([value]) + good[place + 1 :])
            try:
                read_table(path, "t")
            except InputError as error:
                found = str(error)
            else:
                found = "t: "
            assert found.startswith("t: ")


# text, JSON


WIDE_LINES = ",".join(f"c{i}" for i in range(100_000))


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("columns.csv", f"{WIDE_LINES}\n{WIDE_LINES}\n", "line 1 has 100,000 fields; the limit is 10,000"),
        (
            "name.csv",
            f"time,{'n' * 70_000}\n2021-01-01T00:00Z,1\n",
            "the name of column 2 has 70,000 characters",
        ),
        ("line.csv", "time,a\n" + "1" * 3_000_000, "line 2 has more than 1,048,576 bytes"),
        ("line.jsonl", '{"time": 1, "a": "' + "x" * 3_000_000 + '"}', "line 1 has more than 1,048,576 bytes"),
        ("quote.csv", 'time,a\n2021-01-01T00:00Z,"' + "1\n" * 1000, "cannot tell what this is"),
        ("nul.csv", "time,a\n2021-01-01T00:00Z,\0\n", "line 2 holds a NUL byte"),
        ("ragged.csv", "time,carbon\n2021-01-01T00:00Z,1\n2021-01-01T01:00Z,1,2\n", "line 3 has 3 fields"),
        ("empty.csv", "time,carbon\n2021-01-01T00:00Z,1\n" + "\n" * 3_000_000 + "x,1\n", "line 3 is empty"),
        ("nested.json", "[" * 200_000, "is nested too deeply"),
        ("large.json", '{"data": [1e999, NaN]}', "is no number in JSON"),
        ("text.json", json.dumps({"data": [{"intensity": {"actual": "x" * 10**6}}]}), "gb"),
    ],
)
def test_text_that_no_table_has_is_refused(
    name: str, data: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text(data, encoding="utf-8")
    assert main(["inspect", str(tmp_path / name)]) == 2
    said = capsys.readouterr().err
    assert words in said or name == "text.json", said
    assert len(said) < 5000


def test_a_wide_file_is_refused_as_data_too(tmp_path: Path, refused: Refusals) -> None:
    scenario = small.write_with_carbon(tmp_path, f"{WIDE_LINES}\n{WIDE_LINES}\n")
    refused(scenario, "carbon.csv", "line 1 has 100,000 fields", "the limit is 10,000")


def test_the_nearest_of_very_long_words_is_not_looked_for_in_all_of_them() -> None:
    said = did_you_mean("n" * 70_000, [f"{'n' * 70_000}{i}" for i in range(1000)])
    assert len(said) < 3000
    assert "…" in said


def test_many_keys_of_which_one_stands_twice(tmp_path: Path) -> None:
    keys = ", ".join(f'"k{i}": {i}' for i in range(150_000))
    (tmp_path / "t.json").write_text(f'{{"data": [{{{keys}, "k7": 1}}]}}', encoding="utf-8")
    said = refusal(partial(strict_json.read_json, tmp_path / "t.json", "t"))
    assert said == "t: data[0].k7: the key stands twice; name every key once"


def test_more_values_than_memory_are_refused_by_their_number(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text("[" + "{}," * 10_000_000 + "{}]", encoding="utf-8")
    said = refusal(partial(strict_json.read_json, tmp_path / "t.json", "t"))
    assert said == "t: holds 20,000,002 values; the limit is 10,000,000"


@pytest.mark.parametrize(
    ("line", "twice"),
    [
        ('{"time": 1, "a": 2, "time": 3}', "time"),
        ('{"time": 1, "a": 2, "a": 2}', "a"),
        ('{"time": 1, "x": {"b": 1, "b": 2}}', "b"),
        ('{"time": 1, "\\u0074ime": 3}', "time"),
        ('{"a": "\\"time\\":", "time": 1, "c" : 1, "c":2}', "c"),
        ('{"a": {"time": 1}, "time": 1}', None),
        ('{"time": 1, "a": "\\"time\\": 5"}', None),
        ('{"time": 1, "a": [{"b": 1}, {"b": 2}]}', None),
        ('{"time": 1, "a": ",", "b": ":"}', None),
    ],
)
@pytest.mark.parametrize("batch_bytes", [2**20, 40])
def test_a_key_that_stands_twice_in_a_line_is_refused(
    line: str, twice: str | None, batch_bytes: int, tmp_path: Path
) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join(['{"time": 0}', '{"time": 1}', line, '{"time": 2}']), encoding="utf-8")
    read = partial(stream_table, path, "t", {"k": "time"}, batch_bytes)
    if twice is None:
        assert sum(len(batch) for _, batch in read()) == 4
    else:
        said = refusal(lambda: list(read()))
        assert said == f"t: line 3: the key {twice!r} stands twice; name every key once"


# what is no file


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(path.parent)  # a socket's name is short
        try:
            server.bind(path.name)
        finally:
            os.chdir(here)


NO_FILES: dict[str, tuple[Callable[[Path], None], str]] = {
    "pipe": (_fifo, "is not a regular file but a pipe"),
    "device": (_device, "is not a regular file but a device"),
    "socket": (_socket, "is not a regular file but a socket"),
    "folder": (Path.mkdir, "is a directory"),
}


@pytest.mark.parametrize("what", NO_FILES)
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.json", "a.jsonl", "a.parquet", "a.toml"])
def test_nothing_but_a_file_is_inspected(
    name: str, what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, words = NO_FILES[what]
    make(tmp_path / name)
    assert main(["inspect", str(tmp_path / name)]) == 2
    assert words in capsys.readouterr().err


CARBON = (f"[carbon]\n{small.SYNTHETIC}", f"[carbon]\n{small.WIDE}")
TRAFFIC = 'kind = "fixed-rate"\nrequests_per_hour = 50\n'
LOG = 'kind = "replay"\n[[traffic.logs]]\npath = "a.csv"\ntime_column = "time"\n'
RATES = 'kind = "rate-file"\npath = "a.csv"\nunit = "requests/s"\nwindow = "1h"\n'
RTT = (
    "[network.rtt_ms]\nWest = { A = 5, B = 65 }\nEast = { A = 80, B = 10 }\n",
    'rtt_file = "a.csv"\n',
)
NORMAL = 'service_ms = { law = "normal", mean = 20, std = 4 }'
EMPIRICAL = 'service_ms = { law = "empirical", path = "a.csv", column = "t", unit = "ms" }'
PLACES: dict[str, tuple[small.Change, str]] = {
    "carbon": ((CARBON[0], CARBON[1].replace("carbon.csv", "a.csv")), "a.csv"),
    "log": ((TRAFFIC, LOG), "a.csv"),
    "rates": ((TRAFFIC, RATES), "a.csv"),
    "round trips": (RTT, "a.csv"),
    "service times": ((NORMAL, EMPIRICAL), "a.csv"),
    "policy": (('use = "hybrid"\nalpha = 0.5', 'use = "a.py:Mine"'), "a.py"),
}


@pytest.mark.parametrize("what", NO_FILES)
@pytest.mark.parametrize("place", PLACES)
def test_nothing_but_a_file_is_read_by_a_scenario(
    place: str, what: str, tmp_path: Path, refused: Refusals
) -> None:
    change, name = PLACES[place]
    make, words = NO_FILES[what]
    make(tmp_path / name)
    if (place, what) != (
        "policy",
        "device",
    ):  # code outside the scenario's folder is refused before it is read
        refused(small.write(tmp_path, change), name, words)


def test_a_link_to_a_file_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "real.csv").write_text(small.WIDE_CSV, encoding="utf-8")
    (tmp_path / "carbon.csv").symlink_to("real.csv")
    assert read_table(tmp_path / "carbon.csv", "carbon.csv").height == 6


def test_a_study_is_no_pipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "study.toml")
    assert main(["study", "run", str(tmp_path / "study.toml"), "--output", str(tmp_path / "out")]) == 2
    assert "is not a regular file but a pipe; name a file" in capsys.readouterr().err


# digests of what was read


def sha256(data: bytes | str) -> str:
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()


POLICY = """\
from pathlib import Path
import numpy as np

class Rewriting:
    name = "rewriting"
    def cost(self, view):
        for name in ("carbon.csv", "mine.py", "log.csv"):
            path = Path(__file__).with_name(name)
            if path.exists():
                path.write_text("something else")
        return np.broadcast_to(view.rtt_ms, view.rtt_ms.shape)
"""
OWN = ('use = "hybrid"\nalpha = 0.5', 'use = "mine.py:Rewriting"')


def test_a_manifest_names_what_was_read_and_not_what_is_there_afterwards(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(POLICY, encoding="utf-8")
    scenario = small.write_with_carbon(tmp_path, small.WIDE_CSV, small.WIDE, OWN)
    assert main(["simulate", str(scenario), "--output", str(tmp_path / "out"), "--no-figures"]) == 0
    assert (tmp_path / "carbon.csv").read_text(encoding="utf-8") == "something else"
    inputs = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))["inputs"]
    assert inputs == {"carbon.csv": sha256(small.WIDE_CSV), "mine.py:Rewriting": sha256(POLICY)}


LOG_CSV = "time\n" + "".join(f"2021-01-01T0{i % 6}:{i // 6:02}:00Z\n" for i in range(360))


def test_a_log_that_changes_between_two_readings_ends_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "log.csv").write_text(LOG_CSV, encoding="utf-8")
    scenario = small.write(tmp_path, (TRAFFIC, LOG.replace("a.csv", "log.csv")))
    inputs = resolve(load(scenario))
    assert inputs.digests == {"log.csv": sha256(LOG_CSV)}
    assert sum(len(block) for block in inputs.arrivals.blocks()) == 360
    (tmp_path / "log.csv").write_text(LOG_CSV.replace("05:59:00Z", "05:58:00Z"), encoding="utf-8")
    said = refusal(lambda: list(inputs.arrivals.blocks()))
    assert said == "log.csv: changed while it was read; run again when nothing writes it any more"
    (tmp_path / "log.csv").write_text(LOG_CSV, encoding="utf-8")
    (tmp_path / "mine.py").write_text(POLICY, encoding="utf-8")
    scenario = small.write(tmp_path, (TRAFFIC, LOG.replace("a.csv", "log.csv")), OWN)
    assert main(["simulate", str(scenario), "--output", str(tmp_path / "out"), "--no-figures"]) == 0
    inputs = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))["inputs"]
    assert inputs == {"log.csv": sha256(LOG_CSV), "mine.py:Rewriting": sha256(POLICY)}


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.jsonl", "t.parquet"])
def test_all_of_a_file_is_hashed_as_it_is_read(name: str, tmp_path: Path) -> None:
    import gzip

    data = '{"time": 1}\n' if name == "t.jsonl" else "time\n" + "1\n" * 1000
    if name == "t.parquet":
        pl.DataFrame({"time": [1, 2]}).write_parquet(tmp_path / name)
    else:
        (tmp_path / name).write_bytes(gzip.compress(data.encode()) if name.endswith("gz") else data.encode())
    digests = Digests()
    list(stream_table(tmp_path / name, "t", {"k": "time"}, 100, digests=digests))
    assert digests == {"t": sha256((tmp_path / name).read_bytes())}


def test_a_large_parquet_file_is_hashed_beside_its_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquetfile, "_HELD_BYTES", 100)
    path = tmp_path / "t.parquet"
    pl.DataFrame({"a": range(1000), "b": ["x"] * 1000}).write_parquet(path)
    digests = Digests()
    found = read_table(path, "t", digests)
    assert found["a"].to_list() == list(range(1000))
    assert digests == {"t": sha256(path.read_bytes())}


class Written(textfile.InputFile):
    """A file that somebody writes to after its first bytes have been read."""

    def read(self, size: int) -> bytes:
        data = super().read(min(size, 40))
        path = Path(f"/proc/self/fd/{self.file.fileno()}").readlink()
        if path.name in {"carbon.csv", "small.toml"} and self.place == len(data):
            path.write_bytes(self.change(path.read_bytes()))
            os.utime(path, ns=(0, 0))  # however fast it was
        return data

    change: Callable[[bytes], bytes] = staticmethod(lambda data: data)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda data: data + b"\n", id="grows"),
        pytest.param(lambda data: data[:-20], id="shrinks"),
        pytest.param(lambda data: data.replace(b"0", b"1"), id="keeps its size"),
    ],
)
def test_a_file_that_changes_while_it_is_read_is_refused(
    change: Callable[[bytes], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(textfile, "InputFile", Written)
    monkeypatch.setattr(Written, "change", staticmethod(change))
    for call in (
        partial(read_table, tmp_path / "carbon.csv", "x"),
        partial(read_bytes, tmp_path / "carbon.csv", "x"),
        partial(load, tmp_path / "small.toml"),
    ):
        (tmp_path / "carbon.csv").write_text(small.WIDE_CSV, encoding="utf-8")
        small.write(tmp_path)
        assert "changed while it was read" in refusal(call)


# spans of time


def log_of(folder: Path, *stamps: str) -> Path:
    rows = [f"2021-01-01T{i // 60:02}:{i % 60:02}:00Z" for i in range(300)]
    path = folder / "log.csv"
    lines = [f"{time},{i % 9}" for i, time in enumerate([*rows[:100], *stamps, *rows[100:]])]
    path.write_text("\n".join(["arrival_time,input_tokens", *lines]) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("stamp", "words"),
    [
        pytest.param("1970-01-01T00:00:00Z", "lie far before the others", marks=pytest.mark.full),
        pytest.param("0001-01-01T00:00:00Z", "lie far before the others", marks=pytest.mark.full),
        ("9999-12-31T23:59:59Z", "lie far after the others"),
    ],
)
def test_a_request_centuries_away_is_said(stamp: str, words: str, tmp_path: Path) -> None:
    path = log_of(tmp_path, stamp)
    code, said, peak_mib = peak("inspect", str(path), "--picture", str(tmp_path / "log.png"))
    assert code == 0
    text = " ".join(said.split())
    assert f"1 of 301 rows {words}" in text
    assert f"at {stamp}, line 102" in text
    assert peak_mib < PEAK_MIB


def test_a_log_without_such_a_request_says_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(log_of(tmp_path))]) == 0
    assert "lie far" not in capsys.readouterr().out
    assert main(["inspect", str(log_of(tmp_path, "0001-01-01T00:00:00Z"))]) == 0
    assert "1 of 301 rows lie far before the others" in " ".join(capsys.readouterr().out.split())


def test_numbers_beyond_any_time_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    numbers = [*(1_600_000_000 + 60 * i for i in range(300)), 10**18, -(10**18), 9 * 10**18, "1e300"]
    path = tmp_path / "log.csv"
    path.write_text("arrival_time,input_tokens\n" + "".join(f"{n},1\n" for n in numbers), encoding="utf-8")
    assert main(["inspect", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["facts"]["requests"], found["facts"]["rows"]) == (300, 304)
    assert any(finding.startswith("4 rows without a time") for finding in found["findings"])


#: A file with a value of another millennium in its last line, and the section that reads it.
FAR = {
    "wide": (f"{small.WIDE_CSV}1021-01-01T00:00:00Z,1,2\n", small.WIDE),
    "long": (f"{small.LONG_CSV}1022-01-01T00:00Z,B,2\n1021-01-01T00:00:00Z,A,2\n", small.LONG),
}


@pytest.mark.parametrize("layout", grid(FAR, one_of=2))
def test_a_value_centuries_away_takes_bounded_memory(layout: str, tmp_path: Path) -> None:
    (tmp_path / "carbon.csv").write_text(FAR[layout][0], encoding="utf-8")
    code, _, peak_mib = peak("inspect", str(tmp_path / "carbon.csv"))
    assert code == 2
    assert peak_mib < PEAK_MIB


@pytest.mark.parametrize("layout", FAR)
def test_a_value_centuries_away_is_named(
    layout: str, tmp_path: Path, refused: Refusals, capsys: pytest.CaptureFixture[str]
) -> None:
    data, section = FAR[layout]
    (tmp_path / "carbon.csv").write_text(data, encoding="utf-8")
    line = data.count("\n")
    assert main(["inspect", str(tmp_path / "carbon.csv")]) == 2
    said = capsys.readouterr().err
    assert f"check the times, first of all line {line}: 1021-01-01T00:00Z" in said
    scenario = small.write_with_carbon(tmp_path, data, f'{section}repeat = "year"\n')
    refused(scenario, "carbon.csv", f"first of all line {line}")
    resolve(
        load(small.write_with_carbon(tmp_path, data, section))
    )  # rows far from the horizon are not looked at


def test_a_sparse_file_of_some_years_is_none_of_these(tmp_path: Path) -> None:
    rows = [f"{year}-01-01T{hour:02}:00Z,{hour}" for year in (1995, 2024) for hour in range(24)]
    (tmp_path / "carbon.csv").write_text("time,A\n" + "\n".join(rows), encoding="utf-8")
    assert main(["inspect", str(tmp_path / "carbon.csv")]) == 0


@pytest.mark.usefixtures("small_machine")
def test_rates_of_more_windows_than_memory_are_refused(tmp_path: Path, refused: Refusals) -> None:
    names = ",".join(f"c{i}" for i in range(500))
    (tmp_path / "a.csv").write_text(f"{names}\n{','.join('1' * 500)}\n", encoding="utf-8")
    origins = "".join(f'[[origins]]\nname = "o{i}"\nshare = 0\n' for i in range(498))
    of_origin = ", ".join([f'o{i} = "c{i}"' for i in range(498)] + ['West = "c498"', 'East = "c499"'])
    rates = RATES.replace('"1h"', '"1min"') + f'repeat = "file"\ncolumns = {{ {of_origin} }}\n'
    matrix = "from,A,B\n" + "".join(
        f"{name},90,90\n" for name in [*(f"o{i}" for i in range(498)), "West", "East"]
    )
    (tmp_path / "rtt.csv").write_text(matrix, encoding="utf-8")
    scenario = small.write(
        tmp_path,
        (TRAFFIC, rates),
        ("hours = 6", "hours = 1_000_000"),
        ("[[origins]]", f"{origins}[[origins]]"),
        (RTT[0], 'rtt_file = "rtt.csv"\n'),
    )
    refused(scenario, "traffic.window: ", "60,000,000 windows × 500 columns", "this machine has 8.0 GiB")


@pytest.mark.usefixtures("small_machine")
def test_expected_requests_of_more_cells_than_memory_are_refused(tmp_path: Path) -> None:
    inputs = resolve(load(small.write(tmp_path, ("hours = 6", "hours = 1_000_000"))))
    assert inputs.arrivals.expected().shape == (1_000_000, 2, 2)
    more = "".join(f'[[origins]]\nname = "o{i}"\nshare = 0\n' for i in range(300))
    rows = "".join(f"o{i} = {{ A = 5, B = 5 }}\n" for i in range(300))
    scenario = small.write(
        tmp_path,
        ("hours = 6", "hours = 1_000_000"),
        ("[[origins]]", f"{more}[[origins]]"),
        (RTT[0], f"{RTT[0]}{rows}"),
    )
    said = refusal(resolve(load(scenario)).arrivals.expected)
    assert "expected requests of 1,000,000 hours × 302 origins × 2 workloads would take 13.5 GiB" in said


# logs of any size


def written_log(path: Path, rows: int, *, in_order: bool = True) -> Path:
    """Write a log of so many requests, a tenth of a second apart on average."""
    rng = np.random.default_rng(rows)
    times = 1_700_000_000 + np.cumsum(rng.exponential(0.1, rows))
    if not in_order:
        times = rng.permutation(times)
    table = pl.DataFrame(
        {
            "arrival_time": times,
            "input_tokens": rng.integers(1, 4000, rows),
            "latency_s": rng.lognormal(0, 1, rows),
            "model": pl.Series([f"m{i}" for i in range(rows)]),
        }
    )
    table.write_ndjson(path) if path.suffix == ".jsonl" else table.write_csv(path)
    return path


@pytest.mark.parametrize("in_order", [True, False])
def test_a_log_in_small_parts_is_described_as_if_it_were_held(
    in_order: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written_log(tmp_path / "log.csv", 20_000, in_order=in_order)
    file = recognised(path, "log.csv")
    whole = file.inspection().as_json()
    monkeypatch.setattr("carbonroute.inspection.ordering.Ordered.__init__.__defaults__", (500,))
    parts = inspect_log(Replay, file.preview, file.recognition, batch_bytes=20_000).as_json()
    assert parts["facts"] == {
        name: pytest.approx(fact, rel=1e-12) if isinstance(fact, float) else fact
        for name, fact in whole["facts"].items()
    }
    assert [row["p95"] for row in parts["table"]] == [row["p95"] for row in whole["table"]]


def test_numbers_of_very_many_values_are_counted_by_their_first_digits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written_log(tmp_path / "log.csv", 20_000)
    table = pl.read_csv(path)
    monkeypatch.setattr("carbonroute.inspection.traffic._MOST_DIFFERENT", 5000)
    file = recognised(path, "log.csv")
    found = inspect_log(Replay, file.preview, file.recognition, batch_bytes=50_000)
    rows = {row["of"]: row for row in found.table.rows(named=True)}
    for what, name in (("service time", "latency_s"), ("prompt tokens", "input_tokens")):
        values, row = table[name].to_numpy(), rows[what]
        rel = 1e-3 if what == "service time" else 1e-12
        assert row["mean"] == pytest.approx(values.mean(), rel=1e-12)
        assert (row["min"], row["max"], row["rows"]) == (values.min(), values.max(), 20_000)
        at = np.quantile(values, [0.5, 0.95], method="inverted_cdf")
        assert [row["median"], row["p95"]] == pytest.approx(at.tolist(), rel=rel)
    said = " ".join(found.findings)
    assert "median and p95 of service time (column 'latency_s') are of its values to 4 digits" in said
    assert "of prompt tokens" not in said
    assert "column 'model' has more than 5,000 different words: no workload" in said


@pytest.mark.full(long=True)
@pytest.mark.parametrize("name", ["log.csv", "log.jsonl"])
@pytest.mark.parametrize("in_order", [True, False])
def test_the_memory_of_an_inspection_does_not_grow_with_the_log(
    name: str, in_order: bool, tmp_path: Path
) -> None:
    peaks = []
    for rows in (1_000_000, 8_000_000):
        path = written_log(tmp_path / name, rows, in_order=in_order)
        code, _, peak_mib = peak("inspect", str(path))
        assert code == 0
        peaks.append(peak_mib)
    assert peaks[1] < peaks[0] + 64, peaks
    assert peaks[1] < PEAK_MIB


@pytest.mark.parametrize("half", ["\\ud800", "\\uDC00", "\\\\\\ud83c", "\\ud83cx", "\\udf0d\\ud83c"])
@pytest.mark.parametrize("name", ["x.json", "x.jsonl"])
def test_half_a_character_is_refused_with_its_line(
    name: str, half: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = f'{{"timestamp": 1, "model": "a"}}\n{{"timestamp": 2, "model": "{half}"}}\n'
    (tmp_path / name).write_text(f"[{text.replace(chr(10), ',', 1)}]" if name == "x.json" else text)
    assert main(["inspect", str(tmp_path / name)]) == 2
    line = 1 if name == "x.json" else 2
    assert f"line {line} holds half a character (" in capsys.readouterr().err


@pytest.mark.parametrize("whole", ["\\ud83c\\udf0d", "\\\\ud800", "\\u4e1c"])
def test_whole_characters_are_read(whole: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = "".join(f'{{"timestamp": {i}, "model": "{whole}"}}\n' for i in range(3))
    (tmp_path / "x.jsonl").write_text(lines)
    assert main(["inspect", str(tmp_path / "x.jsonl")]) == 0
    assert "half a character" not in capsys.readouterr().err
