"""``carbonroute import`` as a user meets it, from the log to the result."""

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import carbonroute
from carbonroute.cli import main
from carbonroute.importing import NAMES
from carbonroute.scenario import load, resolve
from helpers import grids, logs

STATED = ["--carbon", "eu=300,us=380", "--place", logs.PLACES]


def a_log(folder: Path, hours: int = 6, per_hour: int = 300) -> Path:
    """Write a log of two regions: lognormal service times, one request in fifty fails."""
    dice = random.Random(1)
    lines = [
        logs.nginx_line(
            60 * hour + dice.uniform(0, 60),
            seconds=dice.lognormvariate(0.7, 0.4),
            region=dice.choice(["eu", "eu", "us"]),
            status=502 if n % 50 == 0 else 200,
        )
        for hour in range(hours)
        for n in range(per_hour)
    ]
    dice.shuffle(lines)
    return logs.write(folder / "access.log", lines)


def test_three_commands_from_a_log_to_a_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenario = tmp_path / "mine.toml"
    assert main(["import", str(a_log(tmp_path)), "--output", str(scenario), *STATED]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "failed: 5xx" in out
    assert main(["validate", str(scenario)]) == 0
    assert main(["simulate", str(scenario), "--no-figures", "--output", str(tmp_path / "out")]) == 0
    assert "Latency-First" in capsys.readouterr().out
    arrivals = resolve(load(scenario)).arrivals
    answered = 6 * 300 * 49 // 50
    assert arrivals.count == answered
    drawn = sum(len(block) for block in arrivals.blocks())
    assert abs(drawn - answered) < 5 * answered**0.5  # a Poisson process errs by more once in 2 million


def test_the_scenario_says_what_is_left_to_state(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenario = tmp_path / "mine.toml"
    assert main(["import", str(a_log(tmp_path)), "--output", str(scenario)]) == 0
    assert "the mean carbon intensity of eu, us: --carbon" in capsys.readouterr().out
    assert "# fill in: carbon_g_per_kwh = …" in scenario.read_text()
    assert main(["validate", str(scenario)]) == 2
    assert "regions[0].carbon_g_per_kwh: missing" in capsys.readouterr().err
    text = scenario.read_text().replace("# fill in: carbon_g_per_kwh = …", "carbon_g_per_kwh = 300 #")
    for degrees, value in (("latitude", 50), ("longitude", 8)):
        text = text.replace(f"# fill in: {degrees} = …", f"{degrees} = {value} #")
    scenario.write_text(text)
    assert main(["validate", str(scenario)]) == 0


def test_every_figure_has_its_source(tmp_path: Path) -> None:
    scenario = tmp_path / "mine.toml"
    main(
        [
            "import",
            str(a_log(tmp_path)),
            "--output",
            str(scenario),
            *STATED,
            "--slo",
            "/v1/chat/completions=5000",
        ]
    )
    text = scenario.read_text()
    assert "# Read: access.log (nginx)." in text
    assert "carbon_g_per_kwh = 300                  # assumed: stated by --carbon" in text
    assert "slo_ms = 5000                           # assumed: stated by --slo" in text
    assert "lognormal through p50 and p95 of 1,764 requests" in text


def test_files_that_are_there_are_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log, scenario = a_log(tmp_path), tmp_path / "mine.toml"
    (tmp_path / "mine-rates.csv").write_text("mine")
    assert main(["import", str(log), "--output", str(scenario)]) == 2
    assert (
        "mine-rates.csv: is there already; name another file, or replace it: --force"
        in capsys.readouterr().err
    )
    assert not scenario.exists()
    assert (tmp_path / "mine-rates.csv").read_text() == "mine"
    assert main(["import", str(log), "--output", str(scenario), "--force"]) == 0
    assert (tmp_path / "mine-rates.csv").read_text().startswith("time,eu,us\n")


def test_nothing_is_written_where_the_folder_cannot_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["import", str(a_log(tmp_path)), "--output", str(tmp_path / "file" / "mine.toml")]) == 2
    assert "cannot write here" in capsys.readouterr().err


def test_json_holds_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenario = tmp_path / "mine.toml"
    assert main(["import", str(a_log(tmp_path)), "--output", str(scenario), *STATED, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["rows"] == 1800
    assert report["requests"] == 1764
    assert report["failed"] == {"5xx": 36}
    assert report["hours"] == 6
    assert report["workloads"][0]["fit_error"] < 0.1
    assert report["wrote"] == ["mine-rates.csv", "mine.toml"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no file is named"),
        (["none.log"], "none.log: cannot be read"),
        (["{log}", "--output", "mine.txt"], "a name in .toml is expected"),
        (["{log}", "--format", "ngnix"], "did you mean 'nginx'?"),
        (["{log}", "--window", "7min"], "found '7min'"),
        (["{log}", "--carbon", "eu"], "found 'eu'; REGION=G_PER_KWH is expected"),
        (["{log}", "--carbon", "eu=9999"], "from 0 to 2000"),
        (["{log}", "--carbon", "uk=9"], "there is no 'uk'"),
        (["{log}", "--place", "eu=53.35"], "LATITUDE/LONGITUDE"),
        (["{log}", "--service", "x=5/4"], "a 95th percentile above the median"),
        (["{log}", "--field", "regoin=dc"], "did you mean 'region'?"),
        (["{log}", "--field", "region=dc"], "there is no variable 'dc'"),
        (["{log}", "--from", "monday"], "--from: found 'monday'"),
        (["{log}", "--time-zone", "Mars"], "--time-zone: found 'Mars'"),
        (["{log}", "{log}"], "is named twice"),
        (["{log}", "{copy}"], "holds the same bytes as"),
        (["{log}", "{table}"], "count requests of the same hours, 2026-11-01T00:"),
        (["{empty}"], "the file is empty"),
        (["{strange}"], "tried vllm-bench: looked for JSON"),
        (["{strange}", "--format", "nginx"], "'\\x1b]0;title\\x07 what is this'"),
        (["{strange}", "--format", "table"], "fields are separated by ';'"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {
        "log": a_log(tmp_path, hours=1, per_hour=100),
        "copy": tmp_path / "copy.log",
        "table": logs.write(tmp_path / "t.csv", ["time,value", "2026-11-01T00:00Z,1", "2026-11-01T01:00Z,1"]),
        "empty": logs.write(tmp_path / "empty.log", []),
        "strange": logs.write(tmp_path / "strange.csv", ["\x1b]0;title\x07 what is this", "1"]),
    }
    files["copy"].write_bytes(files["log"].read_bytes())
    filled = [argument.format(**files) for argument in arguments]
    output = [] if "--output" in arguments else ["--output", str(tmp_path / "mine.toml")]
    assert main(["import", *filled, *output]) == 2
    out, err = capsys.readouterr()
    assert words in err
    assert "\x1b" not in out + err
    assert not (tmp_path / "mine.toml").exists()
    assert not list(tmp_path.glob("mine*"))


def test_no_control_character_of_a_log_is_printed_or_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [logs.nginx_line(n) for n in range(10)]
    log = logs.write(
        tmp_path / "a\x1b[31m.log", ["\x1b]0;title\x07 torn", *lines, logs.nginx_line(0, region="\x1b[1m")]
    )
    assert main(["import", str(log), "--output", str(tmp_path / "mine.toml")]) == 0
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert "left out: no region is stated" in out
    assert "\x1b" not in (tmp_path / "mine.toml").read_text()
    assert main(["validate", str(tmp_path / "mine.toml")]) == 2  # carbon is left to state; it is valid TOML


def test_files_with_and_without_dates_do_not_mix(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dated = logs.write(tmp_path / "a.csv", ["time,latency_ms", "2026-11-01T00:00Z,5"])
    own = logs.write(tmp_path / "b.csv", ["Timestamp,Request tokens,Response tokens", "5,6,7"])
    assert main(["import", str(dated), str(own), "--output", str(tmp_path / "m.toml")]) == 2
    assert "counts time from a zero of its own" in capsys.readouterr().err


def test_windows_without_any_request_follow_the_rule(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = logs.write(tmp_path / "a.log", [logs.nginx_line(minute) for minute in (0, 1, 185, 186)])
    command = ["import", str(log), "--output", str(tmp_path / "mine.toml")]
    assert main(command) == 2
    assert "from 2026-11-01T01:00:00Z on 2 windows of 1 h are missing" in capsys.readouterr().err
    assert main([*command, "--gaps", "interpolate"]) == 0
    assert "by the rule 'interpolate'" in capsys.readouterr().out
    assert (tmp_path / "mine-rates.csv").read_text().splitlines()[1:] == [
        f"2026-11-01T0{hour}:00:00Z,2" for hour in range(4)
    ]


def test_windows_of_ten_minutes_fill_whole_hours(tmp_path: Path) -> None:
    log = logs.write(tmp_path / "a.log", [logs.nginx_line(minute) for minute in (10, 25, 26)])
    assert main(["import", str(log), "-o", str(tmp_path / "m.toml"), "--window", "10min", *STATED[:0]]) == 0
    rows = (tmp_path / "m-rates.csv").read_text().splitlines()[1:]
    assert [row.partition(",")[2] for row in rows] == ["0", "6", "12", "0", "0", "0"]


def test_a_law_that_is_no_lognormal_one_is_its_quantiles(tmp_path: Path) -> None:
    lines = [logs.nginx_line(n / 20, seconds=(1.0 + n / 1e4) * (10 if n % 2 else 1)) for n in range(1000)]
    log = logs.write(tmp_path / "a.log", lines)
    command = ["import", str(log), "-o", str(tmp_path / "m.toml"), "--carbon", "eu=1", "--place", "eu=50/8"]
    assert main(command) == 0
    law = load(tmp_path / "m.toml").workloads[0].service_ms
    assert law.law == "empirical"
    result = carbonroute.run(tmp_path / "m.toml")
    row = result.tables.policies.row(0, named=True)
    mean_ms = sum((1.0 + n / 1e4) * (10 if n % 2 else 1) for n in range(1000))
    assert row["avg_latency_ms"] == pytest.approx(mean_ms, rel=0.1)


@settings(max_examples=grids.examples(15), deadline=None)
@given(data=st.data())
def test_the_order_of_lines_and_the_split_into_files_change_no_byte(data: st.DataObject) -> None:
    count = data.draw(st.integers(2, 60))
    lines = [
        data.draw(st.sampled_from(["torn", "line"]))
        if n % 9 == 8
        else logs.nginx_line(
            data.draw(st.integers(0, 150)),
            seconds=data.draw(st.integers(0, 90_000)) / 1000,
            region=data.draw(st.sampled_from(["eu", "us"])),
            status=data.draw(st.sampled_from([200, 200, 429])),
            path=data.draw(st.sampled_from(["/a", "/b?c"])),
        )
        for n in range(count)
    ]
    lines[0] = logs.nginx_line(0)
    order = data.draw(st.permutations(range(1, count)))
    place = data.draw(st.integers(1, count - 1))
    shuffled = [lines[0], *(lines[n] for n in order)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole = logs.write(folder / "whole.log", lines)
        first = logs.write(folder / "first.log", [lines[0], *shuffled[1:place]])
        second = logs.write(folder / "second.log", [logs.nginx_line(0), *shuffled[place:]])
        both = logs.write(folder / "both.log", [*lines, logs.nginx_line(0)])
        written: list[dict[str, bytes]] = []
        for files in ([both], [first, second], [second, first]):
            output = folder / str(len(written)) / "mine.toml"
            code = main(["import", *map(str, files), "--output", str(output), "--gaps", "zero"])
            content = (
                {path.name: path.read_bytes() for path in sorted(output.parent.glob("*"))}
                if code == 0
                else {}
            )
            written.append({name: _without_names(text) for name, text in content.items()})
        assert written[0] == written[1] == written[2]
        assert written[0] or count < 4
        assert whole.exists()


def _without_names(text: bytes) -> bytes:
    """Return a scenario without the names of the files that it was made of."""
    return b"\n".join(line for line in text.split(b"\n") if not line.startswith(b"# Read: "))


CONTENTS = {
    "text": b"what is this?\nline 2\n",
    "bytes": bytes(range(256)) * 9,
    "csv": b"time,region,value\n2026-11-01T00:00Z,eu,1\n2026-11-01T01:00Z,eu,2\n",
    "json": b'{"data": [1, {"resultType": 5}], "benchmarks": [{"requests": {"successful": [1, {}]}}, 3]}',
    "list": b'[{"input_lens": 5}]',
    "lens": b'{"input_lens": ["a", null], "itls": [5, ["x"]], "ttfts": 1, "errors": {}}',
    "metrics": b"# TYPE a counter\na_total 5\na_total 6 1793491200\n",
    "series": b'{"data": {"resultType": "matrix", "result": [{"metric": {"le": "x"}, "values": [[1, 2]]}]}}',
    "lines": b'{"time": 5}\n{"time": "x"}\n',
}


@pytest.mark.parametrize(
    ("name", "ending"), grids.grid([None, *NAMES], ["log", "csv", "json", "jsonl", "parquet"], one_of=3)
)
def test_a_file_of_another_format_is_refused_whatever_it_holds(
    name: str | None, ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind, content in CONTENTS.items():
        path = tmp_path / f"{kind}.{ending}"
        path.write_bytes(content)
        output = path.with_suffix(".toml")
        stated = ["--format", name] if name else []
        code = main(["import", str(path), "--output", str(output), *stated])
        out, err = capsys.readouterr()
        assert code in {0, 2}
        assert output.exists() == (code == 0)
        assert err.startswith("error: ") == (code == 2)
        assert "\x1b" not in out + err


def test_every_format_has_a_name_of_its_own() -> None:
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("count", ["-1", "101"])
def test_a_number_of_lines_above_a_header_is_from_0_to_100(
    count: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(["import", str(tmp_path / "t.csv"), "-o", str(tmp_path / "s.toml"), "--skip-rows", count]) == 2
    )
    assert f"--skip-rows: found {count}; a number from 0 to 100 is expected" in capsys.readouterr().err
