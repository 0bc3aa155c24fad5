"""Bad scenarios: refused in time with place, finding and remedy, and an earlier run stays as it was."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from carbonroute.errors import InputError
from carbonroute.scenario import load
from helpers import needs, small
from helpers.refusals import Refusals, content

#: Round trips from a file that need not be there: what is tested is refused before it is read.
RTT_FILE = (
    "[network.rtt_ms]\nWest = { A = 5, B = 65 }\nEast = { A = 80, B = 10 }\n",
    'rtt_file = "matrix.csv"\n',
)
VALUES = Path(__file__).parent / "bad_values.txt"


def values() -> list[object]:
    """Return the cases of a text file: ``# name``, lines taken out (-) and put in (+), messages (!)."""
    cases: list[object] = []
    for block in VALUES.read_text(encoding="utf-8").split("\n\n"):
        name, _, body = f"{block.strip()}\n".partition("\n")
        replaced = re.findall(r"((?:^- .*\n)+)((?:^\+ .*\n)*)", body, re.MULTILINE)
        changes = [(without_signs(old), without_signs(new)) for old, new in replaced]
        messages = re.findall("^! (.*)$", body, re.MULTILINE)
        cases.append(pytest.param(changes, messages, id=name.removeprefix("# ")))
    return cases


def without_signs(lines: str) -> str:
    return "\n".join(line[2:] for line in lines.splitlines())


@pytest.mark.parametrize(("changes", "messages"), values())
def test_a_bad_value_is_refused_with_this_message(
    changes: list[small.Change], messages: list[str], tmp_path: Path, refused: Refusals
) -> None:
    scenario = small.write(tmp_path, *changes)
    lines = refused(scenario).removeprefix("error: ").replace(f"{scenario}: ", "").splitlines()
    found = [line.strip() for line in lines if not re.fullmatch(r"\d+ faults", line)]
    assert len(found) == len(messages)
    placed = [re.fullmatch(r"(?:line (\d+), |\w+\.csv: )(.*)", line) for line in found]
    written = len(scenario.read_text(encoding="utf-8").splitlines())
    assert all(match and 1 <= int(match[1] or 1) <= written for match in placed), found
    found = [re.sub(r"^line \d+, ", "", line) for line in found]
    for line, message in zip(found, messages, strict=True):
        # An … at the end stands for more: what is known grows.
        assert line.startswith(message[:-1]) if message.endswith("…") else line == message


def as_file(data: str | bytes) -> Callable[[Path], Path]:
    """Return what writes a scenario file with this content."""

    def write(folder: Path) -> Path:
        path = folder / "bad.toml"
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    return write


def in_section(section: str, line: str) -> str:
    """Return the small scenario with one more line at the top of a section."""
    return small.changed(small.SCENARIO, (f"[{section}]\n", f"[{section}]\n{line}\n"))


def directory(folder: Path) -> Path:
    (folder / "bad.toml").mkdir()
    return folder / "bad.toml"


def fifo(folder: Path) -> Path:
    os.mkfifo(folder / "bad.toml")
    return folder / "bad.toml"


def link(target: str) -> Callable[[Path], Path]:
    """Return what makes a scenario file that is a symbolic link."""

    def make(folder: Path) -> Path:
        (folder / "bad.toml").symlink_to(target)
        return folder / "bad.toml"

    return make


PLAIN = small.SCENARIO.encode()
FILES: dict[str, tuple[Callable[[Path], Path], tuple[str, ...]]] = {
    "empty file": (as_file(""), ("schema: missing; write schema = 1 as the first line",)),
    "no TOML": (
        as_file("hours: 6\n"),
        ("line 1: is not valid TOML", "column 6: hours: 6", "https://toml.io"),
    ),
    "typographic quotes": (as_file("name = “tiny”\n"), ("column 8: name = “tiny”", "write straight quotes")),
    "a day that is none": (
        as_file("start = 2023-02-29T00:00:00Z\n"),
        ("line 1: is not valid TOML", "a day of the calendar is expected"),
    ),
    "the same key twice": (
        as_file(in_section("horizon", "hours = 7")),
        ("is not valid TOML", "line 6", "see"),
    ),
    "the same table twice": (as_file(PLAIN + b"[horizon]\n"), ("is not valid TOML", "twice", "see")),
    "byte order mark": (
        as_file(b"\xef\xbb\xbf" + PLAIN),
        ("line 1 begins with a byte order mark", "without BOM"),
    ),
    "UTF-16": (as_file(small.SCENARIO.encode("utf-16")), ("is text in UTF-16", "iconv -f UTF-16 -t UTF-8 '")),
    "Latin-1": (
        as_file(PLAIN.replace(b"Short", b"K\xfcrz")),
        ("line 45 is not UTF-8 (byte 0xfc)", "save the file as UTF-8"),
    ),
    "lone carriage returns": (
        as_file(PLAIN.replace(b"\n", b"\r")),
        ("line 1 holds a carriage return", "plain UTF-8 text"),
    ),
    "NUL": (as_file(PLAIN.replace(b"tiny", b"ti\0ny")), ("line 46 holds a NUL byte", "plain UTF-8 text")),
    "line of 100 MB": (
        as_file(b"a" * 100_000_000),
        ("the file has 100,000,000 bytes", "the limit is 262,144"),
    ),
    "quotes without end": (as_file('name = "' + "x" * 200_000), ("is not valid TOML", "see https://toml.io")),
    "arrays nested 100,000 deep": (as_file("a = " + "[" * 100_000), ("is nested too deeply", "three levels")),
    "tables nested 30,000 deep": (
        as_file("a = " + "{a = " * 30_000),
        ("is nested too deeply", "three levels"),
    ),
    "tables nested 300 deep": (
        as_file(in_section("horizon", "x" + ".x" * 300 + " = 1")),
        ("horizon.x: unknown key", "Known: hours, start"),
    ),
    "key of 100,000 parts": (
        as_file("a." * 100_000 + "a = 1"),
        ("line 1 has 100,000 dots", "the limit is 300 a line"),
    ),
    "keys of 300 parts": (
        as_file("".join("a." * 300 + f"b{i} = 1\n" for i in range(430))),
        ("a: unknown key", "Known: schema"),
    ),
    "header of 100,000 parts": (
        as_file("[" + "a." * 100_000 + "a]"),
        ("line 1 has 100,000 dots", "the limit is 300 a line"),
    ),
    "integer of 5,000 digits": (
        as_file(in_section("horizon", "n = " + "9" * 5000)),
        ("holds a number that is too long", "fewer digits"),
    ),
    "integer of 400,000 bits": (
        as_file(small.changed(small.SCENARIO, ("seed = 7", "seed = 0x" + "f" * 100_000))),
        ("sampling.seed: found an integer of 400000 bits", "an integer of 64 bits is expected"),
    ),
    "share of 8,000 bits": (
        as_file(small.changed(small.SCENARIO, ("share = 0.4", "share = 0x" + "f" * 2000))),
        ("origins[0].share: found an integer of 8000 bits", "an integer of 64 bits is expected"),
    ),
    "name of 100,000 characters": (
        as_file(small.changed(small.SCENARIO, ('"A"', f'"{"A" * 100_000}"'))),
        ("regions[0].name: found 'AAAAAA", "A…A", "1 to 100 printable characters"),
    ),
    "key of 100,000 characters": (
        as_file(in_section("horizon", "k" * 100_000 + " = 1")),
        ("horizon.kkkkkk", "k…: unknown key", "Known: hours, start"),
    ),
    "20,000 unknown keys": (
        as_file(in_section("horizon", "".join(f"k{i} = 1\n" for i in range(20_000)))),
        ("horizon.k49: unknown key", "Known: hours, start"),
    ),
    "1,001 regions": (
        as_file(PLAIN + b"".join(b'[[regions]]\nname = "%d"\n' % i for i in range(999))),
        ("regions: found 1001", "1 to 1000 are expected"),
    ),
    "10,000 rows of strangers": (
        as_file(in_section("network.rtt_ms", "".join(f"Wets{i} = {{ A = 5 }}\n" for i in range(10_000)))),
        ("network.rtt_ms.Wets0: there is no origin of this name", "Known: West, East"),
    ),
    "directory": (directory, ("is a directory", "name a file")),
    "named pipe": (fifo, ("is not a regular file", "name a file")),
    "link to a device without end": (link("/dev/zero"), ("is not a regular file", "name a file")),
    "link to itself": (link("bad.toml"), ("symbolic links", "looked for")),
    "link to nowhere": (link("nowhere.toml"), ("No such file or directory", "looked for")),
    "no such file": (lambda folder: folder / "nowhere.toml", ("No such file or directory", "looked for")),
    "no such scenario": (
        lambda _: Path("publishd"),
        ("there is no such scenario file or built-in scenario", "did you mean 'published'?"),
    ),
    "name too long for any file": (
        lambda _: Path("a" * 5000 + ".toml"),
        ("File name too long", "looked for"),
    ),
    "name too long for any scenario": (
        lambda _: Path("a" * 5000),
        ("there is no such scenario file", "published"),
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_bad_file_is_refused(name: str, tmp_path: Path, refused: Refusals) -> None:
    make, words = FILES[name]
    refused(make(tmp_path), *words)


@needs.no_root
def test_a_file_without_permission_is_refused(tmp_path: Path, refused: Refusals) -> None:
    scenario = small.write(tmp_path)
    scenario.chmod(0)
    refused(scenario, "cannot be read (Permission denied)", "looked for")


@pytest.mark.usefixtures("small_machine")
def test_more_requests_in_the_published_order_than_memory_are_refused(
    tmp_path: Path, refused: Refusals
) -> None:
    many = ("requests_per_hour = 50", "requests_per_hour = 1_000_000_000_000")
    scenario = small.write(tmp_path, many, ('"streams"', '"published"'))
    refused(
        scenario, "traffic: ", "6,000,000,000,000 requests", "this machine has 8.0 GiB", only_simulate=True
    )


@pytest.mark.usefixtures("small_machine")
def test_more_carbon_than_memory_is_refused(tmp_path: Path, refused: Refusals) -> None:
    regions = "".join(f'[[regions]]\nname = "{i}"\ncarbon_g_per_kwh = 5\n' for i in range(998))
    scenario = small.write(
        tmp_path, ("hours = 6", "hours = 1_000_000"), ("[[regions]]", f"{regions}[[regions]]"), RTT_FILE
    )
    refused(scenario, "horizon.hours: ", "1,000,000 hours × 1,000 regions", "this machine has 8.0 GiB")


@pytest.mark.usefixtures("small_machine")
def test_more_results_than_memory_are_refused(tmp_path: Path, refused: Refusals) -> None:
    many = {
        "regions": 'name = "{}"\ncarbon_g_per_kwh = 5',
        "origins": 'name = "{}"\nshare = 0',
        "workloads": 'id = "{}"\nname = "n"\nmodel = "m"\nshare = 0\nslo_ms = 1\n'
        'service_ms = {{ law = "normal", mean = 1, std = 0 }}',
    }
    more = "".join(f"[[{key}]]\n{text.format(i)}\n" for key, text in many.items() for i in range(998))
    scenario = small.write(tmp_path, ("[[policies]]", f"{more}[[policies]]"), RTT_FILE)
    refused(scenario, "policies: ", "results of 3,000,000,000 origins", "this machine has 8.0 GiB")


def test_all_that_is_wrong_is_there_for_programs_too(tmp_path: Path) -> None:
    scenario = small.write(tmp_path, ("hours = 6", "hours = 0"), ("seed = 7", "seed = -7"))
    with pytest.raises(InputError) as caught:
        load(scenario)
    assert [fault.where for fault in caught.value.faults] == ["horizon.hours", "sampling.seed"]
    assert caught.value.source == str(scenario)


def test_a_file_with_windows_line_ends_means_the_same(tmp_path: Path) -> None:
    plain, windows = small.write(tmp_path), tmp_path / "windows.toml"
    windows.write_bytes(plain.read_bytes().replace(b"\n", b"\r\n"))
    assert load(windows) == load(plain)


#: In processes apart from this one: what could kill, hang or confuse an interpreter.
PROCESSES = (
    "arrays nested 100,000 deep",
    "tables nested 30,000 deep",
    "key of 100,000 parts",
    "keys of 300 parts",
    "integer of 5,000 digits",
    "integer of 400,000 bits",
    "20,000 unknown keys",
    "line of 100 MB",
    "Latin-1",
    "NUL",
    "named pipe",
    "link to a device without end",
    "link to itself",
    "name too long for any scenario",
)


#: Simulates one scenario after the other; prints each exit code on a line, and an empty line into stderr.
IN_TURN = """
import json, sys
from carbonroute.cli import main
for path in json.loads(sys.argv[1]):
    print(main(["simulate", path]), flush=True)
    print(file=sys.stderr, flush=True)
"""


def refused_in_turn(names: Sequence[str], folder: Path, finished: Path) -> None:
    """Check that a process refuses files, and outlives all of them."""
    shutil.copytree(finished, folder / "outputs")
    paths = []
    for number, name in enumerate(names):
        (folder / str(number)).mkdir()
        paths.append(str(FILES[name][0](folder / str(number))))
    done = subprocess.run(
        [sys.executable, "-c", IN_TURN, json.dumps(paths)],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        timeout=600,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "2\n" * len(names))
    for name, said in zip(names, done.stderr.removesuffix("\n\n").split("\n\n"), strict=True):
        assert any(all(word in line for word in FILES[name][1]) for line in said.splitlines()), said
    assert "Traceback" not in done.stderr
    assert content(folder / "outputs") == content(finished)


def test_bad_files_are_refused_in_one_process(tmp_path: Path, finished: Path) -> None:
    refused_in_turn(PROCESSES, tmp_path, finished)


@pytest.mark.full
@pytest.mark.parametrize("name", PROCESSES)
def test_a_bad_file_is_refused_in_a_process_of_its_own(name: str, tmp_path: Path, finished: Path) -> None:
    refused_in_turn([name], tmp_path, finished)


def test_a_process_ends_with_2_and_a_message(tmp_path: Path) -> None:
    make, words = FILES["arrays nested 100,000 deep"]
    code = "import sys; from carbonroute.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "simulate", str(make(tmp_path))]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=600, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert all(word in done.stderr for word in words)


def test_a_section_that_need_not_be_written_has_no_line_where_it_is_not(
    tmp_path: Path, refused: Refusals
) -> None:
    gap = small.WIDE_CSV.replace(f"{small.HOURS[2]},402,52\n", "")
    section = small.WIDE + 'gaps = "interpolate:6h"\n'
    information = '[information]\nservice_time = "mean"\n\n'
    words = "information.carbon_missing: 2 of 12 measured values are missing"
    unwritten = small.write_with_carbon(tmp_path, gap, section, (information, ""))
    assert refused(unwritten, words, "'latency-only', in [information]").startswith(
        f"error: {unwritten}: {words}"
    )
    written = small.write_with_carbon(tmp_path, gap, section)
    refused(written, f"line 12, {words}")
    mended = (information, '[information]\ncarbon_missing = "latency-only"\n')
    assert load(small.write_with_carbon(tmp_path, gap, section, mended)).name == "small"
