"""``carbonroute inspect`` as a user meets it."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Literal

import polars as pl
import pytest
from rich.console import Console, RenderableType

from carbonroute.cli import inspect as inspect_command
from carbonroute.cli import main
from carbonroute.inspection import Inspection
from helpers import logs, samples, small


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        (samples.wide, ("carbon intensity", "A_direct", "429", "[carbon]", 'layout = "wide"')),
        (samples.forecast, ("carbon intensity", "longest lead hours", "[carbon.forecast]")),
        (samples.log_csv, ("requests", "gap cv", "0.02778", "[[traffic.logs]]", "'TIMESTAMP'")),
        (samples.rates, ("request rates", "windows", "288", 'kind = "rate-file"')),
        (samples.matrix, ("round-trip times", "asymmetry median ms", "[network]", "rtt_file")),
    ],
)
def test_facts_and_suggested_lines_are_printed(
    sample: object, words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(sample)
    path = sample(tmp_path)
    assert main(["inspect", str(path)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert [word for word in (str(path), *words) if word not in out] == []


def test_counts_of_faults_that_nothing_has_are_not_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["inspect", str(samples.wide(tmp_path))])
    assert "duplicates" not in capsys.readouterr().out
    path = samples.wide(tmp_path)
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([*lines, lines[-1]]), encoding="utf-8")
    main(["inspect", str(path)])
    assert "duplicates" in capsys.readouterr().out


def test_json_stands_alone_on_stdout_at_full_precision(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "log.png"
    assert main(["inspect", str(samples.log_csv(tmp_path)), "--json", "--picture", str(picture)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["facts"]["mean_requests_per_s"] == pytest.approx(1 / 36, rel=1e-15)
    assert found["facts"]["dispersion_per_hour"] is None  # too few windows: no number, and no NaN
    assert found["kind"] == "traffic"
    assert picture.is_file()


@pytest.mark.parametrize(("ending", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_the_picture_has_the_format_of_its_name(
    ending: str, start: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / f"matrix.{ending}"
    assert main(["inspect", str(samples.matrix(tmp_path)), "--picture", str(picture)]) == 0
    assert picture.read_bytes().startswith(start)
    assert str(picture) in capsys.readouterr().out


def test_a_scenario_is_inspected_with_a_picture_per_part(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario = small.write_with_carbon(tmp_path, small.WIDE_CSV)
    assert main(["inspect", str(scenario), "--json", "--picture", str(tmp_path / "all.svg")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [part["kind"] for part in found["parts"]] == ["carbon", "carbon", "rates", "rtt"]
    drawn = sorted(path.name for path in tmp_path.glob("*.svg"))
    assert drawn == ["all-1-carbon.svg", "all-2-carbon.svg", "all-3-rates.svg", "all-4-rtt.svg"]
    assert main(["inspect", "published"]) == 0
    assert "carbon as the run uses it" in capsys.readouterr().out


def test_a_kind_can_be_forced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.csv"
    path.write_text("name,x,y\nx,1,2\nz,3,4\n", encoding="utf-8")
    assert main(["inspect", str(path), "--as", "rtt"]) == 0
    assert "round-trip times" in capsys.readouterr().out
    assert main(["inspect", str(path), "--as", "carbon"]) == 2
    assert "as carbon, a column of times" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["nothing.csv"], "nothing.csv: cannot be read (No such file or directory)"),
        (["nothing.toml"], "nothing.toml"),
        (["odd.csv"], "odd.csv: cannot tell what this is: columns 'a', 'b'"),
        (["odd.csv", "--as", "music"], "music"),
        (
            ["odd.csv", "--picture", "x.gif"],
            "--picture: found '.gif'; a name in .png, .svg or .pdf is expected",
        ),
        (["odd.csv", "--picture", "x"], "--picture: the name has no ending"),
        (["published", "--as", "carbon"], "--as: found a scenario"),
        ([".", "--as", "carbon"], ".: is a directory; name a file"),
    ],
)
def test_what_cannot_be_done_ends_in_exit_code_2(
    arguments: list[str],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("odd.csv").write_text("a,b\nx,y\n", encoding="utf-8")
    assert main(["inspect", *arguments]) == 2
    out, err = capsys.readouterr()
    assert reason in out + err
    assert "Traceback" not in out + err
    assert [path.name for path in tmp_path.iterdir()] == ["odd.csv"]


def test_of_a_table_with_thousands_of_zones_the_first_rows_are_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"2021-01-01T00:00:00Z,zone{number:04},{100 + number}" for number in range(1000)]
    (tmp_path / "zones.csv").write_text("\n".join(["time,zone,carbon_g_per_kwh", *rows]), encoding="utf-8")
    assert main(["inspect", str(tmp_path / "zones.csv")]) == 0
    table, _, rest = capsys.readouterr().out.partition("… and 800 rows more, which --json prints.")
    assert rest
    assert ("zone0199" in table, "zone0200" in table) == (True, False)
    assert main(["inspect", str(tmp_path / "zones.csv"), "--json"]) == 0
    assert "zone0999" in capsys.readouterr().out


def _log(folder: Path) -> Path:
    return logs.write(folder / "access.log", [logs.nginx_line(n) for n in range(40)])


def _answer(folder: Path) -> Path:
    values = [[1793491200 + 3600 * n, str(400 + 3 * n % 7)] for n in range(6)]
    series = {"metric": {"__name__": "requests", "region": "eu"}, "values": values}
    content = {"status": "success", "data": {"resultType": "matrix", "result": [series]}}
    (folder / "prom.json").write_text(json.dumps(content), encoding="utf-8")
    return folder / "prom.json"


def _table(folder: Path) -> Path:
    rows = [f"2026-11-01T{n:02}:00Z,eu,m,{100 + n},50,90" for n in range(6)]
    text = "\n".join(["Time,region,model,requests,p50_ms,p95_ms", *rows])
    (folder / "hours.csv").write_text(text, encoding="utf-8")
    return folder / "hours.csv"


@pytest.mark.parametrize("sample", [_log, _answer, _table])
def test_a_user_s_own_files_are_described_with_the_commands_that_run_them(
    sample: Callable[[Path], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = sample(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(["inspect", str(path)]) == 0
    out, _ = capsys.readouterr()
    assert "requests answered" in out
    assert "No file tells:" in out
    assert list(tmp_path.iterdir()) == [path]
    commands = [line for line in out.splitlines() if line.startswith("carbonroute ")]
    values = {"G_PER_KWH": "300", "LATITUDE/LONGITUDE": "53/-6", "P50_MS/P95_MS": "50/90", "=MS": "=500"}
    for command in commands:
        for word, value in values.items():
            command = command.replace(word, value)  # noqa: PLW2901  filled in word by word
        assert main(shlex.split(command)[1:]) == 0, command
    assert len(commands) == 3
    assert (tmp_path / path.stem / "manifest.json").exists()


def test_a_user_s_own_file_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(_log(tmp_path)), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["requests"] == 40
    assert report["commands"][0].startswith("carbonroute import ")


def test_a_table_without_any_sign_of_requests_is_still_asked_about(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "odd.csv"
    path.write_text("when,a,b\n2026-11-01T00:00Z,1.5,2\n2026-11-01T01:00Z,1,2.5\n", encoding="utf-8")
    assert main(["inspect", str(path)]) == 2
    assert "choose --as carbon" in capsys.readouterr().err


def test_names_that_are_wider_than_the_terminal_keep_their_values_beside_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"{letter * 150}" for letter in "AB"]
    hours = [f"2024-01-01T{hour:02}:00Z,{100 + hour},{300 + hour}" for hour in range(24)]
    path = tmp_path / "carbon.csv"
    path.write_text("\n".join([",".join(["time", *names]), *hours, ""]))
    assert main(["inspect", str(path), "--as", "carbon"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {letter: next(line for line in lines if line.startswith(f" {letter * 9}")) for letter in "AB"}
    assert "111.5" in rows["A"]
    assert "311.5" in rows["B"]


def test_a_carbon_file_is_inspected_without_policies_scenarios_or_masked_arrays(tmp_path: Path) -> None:
    path = samples.wide(tmp_path)
    code = (
        "import sys; from carbonroute.cli import main; code = main(['inspect', sys.argv[1]]); "
        "late = {'carbonroute.policies', 'carbonroute.scenario.written', 'numpy.ma', 'numba', 'scipy'}; "
        "print(code, *sorted(late & set(sys.modules)), file=sys.stderr)"
    )
    child = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True, timeout=300
    )
    assert child.stderr.split() == ["0"]


@pytest.mark.parametrize("width", [40, 60, 90, 200])
@pytest.mark.parametrize("color", [None, "truecolor"], ids=str)
@pytest.mark.parametrize(
    "zones", [["DE"], ["DE", "a zone with a long name", "–"], ["DE", "日本"], ["a\tb", ""]]
)
def test_a_table_looks_as_rich_lays_it_out(
    width: int, color: Literal["truecolor"] | None, zones: list[str]
) -> None:
    count = len(zones)
    table = pl.DataFrame(
        {
            "zone": zones,
            "rows": [8784 + 10 * place for place in range(count)],
            "mean": [10.0**place for place in range(count)],
            "daily_amplitude_pct": [float("nan")] * count,
            "lowest_hour_utc": pl.Series([5, None, 23][:count], dtype=pl.Int64),
            "copy_of": zones[::-1],
            "spikes": [0] * count,
        }
    )
    part = Inspection("x", "carbon", {}, {}, table)

    def printed(renderable: Callable[[Console], RenderableType]) -> str:
        page = StringIO()
        console = Console(file=page, width=width, color_system=color, force_terminal=True)
        console.print(renderable(console))
        return page.getvalue()

    kept = table.drop("spikes")
    rows = [[*map(inspect_command.shown, row)] for row in kept.iter_rows()]
    expected = printed(lambda _: inspect_command._headed(kept, *rows))
    assert printed(lambda console: inspect_command._rows(part, console)) == expected
