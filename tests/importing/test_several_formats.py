"""Several files in one command: patterns, folders, formats together, requests that would count twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from carbonroute.cli import main
from carbonroute.errors import InputError
from carbonroute.importing.importer import Import, import_files
from carbonroute.importing.settings import ImportSettings
from carbonroute.scenario import load, resolve
from helpers import logs
from helpers.logs import hourly

CHAT, EMBED = "/v1/chat", "/v1/embed"
HOUR_US = 3_600_000_000
TABLE = "time,region,model,requests"
MEASURES = "time,region,model,p50_ms,p95_ms,gpu_power_w"


def several(*paths: Path, **settings: Any) -> Import:
    return import_files(paths, ImportSettings(**settings), paths[0].with_name("s.toml"))


def a_log(path: Path, hours: int = 2, workload: str = CHAT) -> Path:
    """Write 60 requests of `eu` per hour, of 2 s each."""
    lines = [logs.nginx_line(minute, path=workload, seconds=2.0) for minute in range(60 * hours)]
    return logs.write(path, lines)


def a_table(path: Path, first_hour: int = 0, region: str = "eu", workload: str = CHAT) -> Path:
    """Write 100 and 200 requests of two hours."""
    rows = [f"2026-11-01T{first_hour + n:02d}:00Z,{region},{workload},{100 * (n + 1)}" for n in range(2)]
    return logs.write(path, [TABLE, *rows])


def own_system(folder: Path) -> list[Path]:
    """Write one system's traffic in four formats: log, metric, a row per model, a column per region."""
    hours = range(6)
    log = a_log(folder / "access.log", workload="/v1/chat/completions")
    metric = {"__name__": "vllm:request_success_total"}
    counts = {"eu": [300, 280, 260, 290, 310, 330], "us": [500, 510, 480, 470, 520, 530]}
    answer = logs.prometheus(
        folder / "prom.json", [({**metric, "region": region}, values) for region, values in counts.items()]
    )
    rows = [
        f"2026-11-01 {hour:02d}:00:00,{region},{model},{counts[region][hour] * share // 10},{measures}"
        for hour in hours
        for region in counts
        for model, share, measures in (("llama", 4, "5000,9000,2300"), ("bge", 6, "40,70,300"))
    ]
    table = logs.write(folder / "requests_by_hour.csv", [TABLE + ",p50_ms,p95_ms,gpu_power_w", *rows])
    lines = [f"2026-11-01 {hour:02d}:00:00,{counts['eu'][hour]},{counts['us'][hour]}" for hour in hours]
    wide = logs.write(folder / "rate_wide.csv", ["Time,eu,us", *lines])
    return [log, answer, table, wide]


def test_one_system_in_four_formats_is_refused_and_runs_with_the_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(path) for path in own_system(tmp_path)]
    scenario = tmp_path / "mine.toml"
    stated = ["--output", str(scenario), "--carbon", "eu=300,us=380", "--place", logs.PLACES]
    assert main(["import", *files, *stated]) == 2
    error = capsys.readouterr().err
    assert "count requests of the same hours, 2026-11-01T00:00:00Z to 2026-11-01T06:00:00Z" in error
    for path in files:
        assert Path(path).name in error
    assert not scenario.exists()
    remedy = error.partition("--requests-from '")[2].partition("'")[0]
    assert Path(remedy).name == "requests_by_hour.csv"  # the only one that tells models apart
    assert main(["import", *files, *stated, "--requests-from", remedy]) == 0
    assert main(["validate", str(scenario)]) == 0
    assert main(["simulate", str(scenario), "--no-figures", "--output", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    assert resolve(load(scenario)).arrivals.count == 4780
    workloads = {workload.id: workload for workload in load(scenario).workloads}
    assert workloads["llama"].energy_j == pytest.approx(2 * 6 * 2300 * 3600 / (4780 * 0.4), rel=1e-5)


@pytest.mark.parametrize("place", range(4))
def test_each_of_the_four_is_imported_alone(place: int, tmp_path: Path) -> None:
    path = own_system(tmp_path)[place]
    total = several(path).rates.total
    assert total == (120 if path.suffix == ".log" else 4780)


def test_a_folder_is_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    a_log(folder / "access.1.log")
    a_log(folder / "access.2.log", hours=1)
    (folder / "README.md").write_text("what these are\n")
    (folder / ".hidden").write_text("no log\n")
    result = import_files([folder], ImportSettings(), tmp_path / "s.toml")
    assert hourly(result) == {"eu": [120.0, 60.0]}
    assert any("README.md" in note for note in result.notes)
    assert not any(".hidden" in note for note in result.notes)


def test_a_pattern_is_the_files_of_that_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        a_log(tmp_path / str(number) / f"access.{number}.log", hours=number)
    (tmp_path / "1" / "access.log.bak").write_text("not a log\n")
    result = several(tmp_path / "**" / "access.*.log")
    assert hourly(result) == {"eu": [120.0, 60.0]}
    output = ["--output", str(tmp_path / "s.toml")]
    assert main(["import", str(tmp_path / "none.*"), *output]) == 2
    assert "no file is named so" in capsys.readouterr().err
    assert main(["import", str(tmp_path / "1" / "*.log"), str(tmp_path / "1" / "access.1.log"), *output]) == 2
    assert "is named twice" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(["import", str(tmp_path / "empty"), *output]) == 2
    assert "/empty/**/*.log'" in capsys.readouterr().err


def test_a_file_whose_name_has_the_characters_of_a_pattern_is_that_file(tmp_path: Path) -> None:
    assert several(a_log(tmp_path / "access[1].log")).rates.total == 120


@pytest.mark.parametrize(
    ("magic", "remedy"),
    [
        (b"\x28\xb5\x2f\xfd", "zstd -d '{}'"),
        (b"BZh91AY", "bunzip2 '{}'"),
        (b"\xfd7zXZ\0", "unxz '{}'"),
        (b"PK\x03\x04", "unzip '{}'"),
        (b"\x1f\x8b\x08", "give it a name that ends in .gz"),
    ],
)
def test_packed_files_that_are_not_read_name_the_command_that_unpacks(
    magic: bytes, remedy: str, tmp_path: Path
) -> None:
    path = tmp_path / "access.log.1"
    path.write_bytes(magic + b"packed")
    with pytest.raises(InputError) as error:
        several(path)
    assert remedy.format(path) in str(error.value)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({"first_hour": 2}, {"eu": [60.0, 60.0, 100.0, 200.0]}),
        ({"region": "us"}, {"eu": [60.0, 60.0], "us": [100.0, 200.0]}),
        ({"workload": EMBED}, {"eu": [160.0, 260.0]}),
    ],
)
def test_a_log_and_a_table_of_other_hours_regions_or_workloads_are_added_up(
    table: dict[str, Any], expected: dict[str, list[float]], tmp_path: Path
) -> None:
    log, rows = a_log(tmp_path / "a.log"), a_table(tmp_path / "t.csv", **table)
    assert hourly(several(log, rows)) == expected
    assert several(rows, log).scenario.files == several(log, rows).scenario.files


def test_hours_between_a_log_and_a_table_are_gaps(tmp_path: Path) -> None:
    log, rows = a_log(tmp_path / "a.log"), a_table(tmp_path / "t.csv", first_hour=3)
    with pytest.raises(InputError, match="from 2026-11-01T02:00:00Z on a window is missing"):
        several(log, rows)
    assert hourly(several(log, rows, gaps="zero")) == {"eu": [60.0, 60.0, 0.0, 100.0, 200.0]}


@pytest.mark.parametrize("table", [{}, {"first_hour": 1}, {"workload": "llama"}])
def test_the_same_hours_in_a_log_and_a_table_are_refused(table: dict[str, Any], tmp_path: Path) -> None:
    log, rows = a_log(tmp_path / "a.log"), a_table(tmp_path / "t.csv", **table)
    with pytest.raises(InputError, match="count requests of the same hours"):
        several(log, rows)
    assert hourly(several(log, rows, requests_from=(log,))) == {"eu": [60.0, 60.0]}
    first = "01" if "first_hour" in table else "00"
    result = several(log, rows, requests_from=(rows,))
    assert hourly(result) == {"eu": [100.0, 200.0]}
    assert result.as_json()["start"] == f"2026-11-01T{first}:00:00Z"


def test_a_path_and_a_model_are_told_apart_by_the_names_that_the_user_gives(tmp_path: Path) -> None:
    log, rows = a_log(tmp_path / "a.log"), a_table(tmp_path / "t.csv", workload="bge")
    named = several(log, rows, workloads=(("/v1/chat*", "chat"), ("bge", "embed")))
    assert named.rates.of_workload == {"chat": 120_000_000, "embed": 300_000_000}
    with pytest.raises(InputError, match="count requests of the same hours"):
        several(log, rows, workloads=(("*", "all"),))


def test_a_column_per_region_and_a_row_per_model_are_not_both_counted(tmp_path: Path) -> None:
    rows = a_table(tmp_path / "long.csv")
    wide = logs.write(tmp_path / "wide.csv", ["time,eu", "2026-11-01T00:00Z,100", "2026-11-01T01:00Z,200"])
    with pytest.raises(
        InputError, match=r"long.csv \(300, a row per region, workload\), wide.csv \(300, a col"
    ):
        several(rows, wide)


def test_rows_that_stand_in_two_tables_are_refused_with_both(tmp_path: Path) -> None:
    first = a_table(tmp_path / "a.csv")
    second = logs.write(
        tmp_path / "b.csv", [*first.read_text().splitlines(), "2026-11-01T02:00Z,eu,/v1/chat,1"]
    )
    with pytest.raises(
        InputError, match=r"b.csv: eu, /v1/chat of 2026-11-01T00:00:00Z stands in .*a.csv too"
    ):
        several(first, second)
    assert hourly(several(first, second, requests_from=(second,))) == {"eu": [100.0, 200.0, 1.0]}


def test_measures_without_requests_belong_to_those_of_a_log(tmp_path: Path) -> None:
    rows = [f"2026-11-01T{hour:02d}:00Z,eu,{CHAT},1500,3000,{600 * (hour + 1)}" for hour in range(2)]
    table = logs.write(tmp_path / "t.csv", [MEASURES, *rows])
    result = several(a_log(tmp_path / "a.log"), table)
    assert hourly(result) == {"eu": [60.0, 60.0]}
    assert result.energies[CHAT].average_j == pytest.approx((600 + 1200) * 3600 / 120)
    with pytest.raises(InputError, match="states no time of any request"):
        several(table)


def test_measures_in_another_table_belong_to_the_rows_of_the_same_time(tmp_path: Path) -> None:
    rows = [f"2026-11-01T{hour:02d}:00Z,eu,{CHAT},5000,9000,600" for hour in range(2)]
    result = several(a_table(tmp_path / "a.csv"), logs.write(tmp_path / "t.csv", [MEASURES, *rows]))
    assert result.energies[CHAT].average_j == pytest.approx(2 * 600 * 3600 / 300)
    assert result.services[CHAT].entries["law"] == "lognormal"


def test_the_energy_of_a_row_does_not_depend_on_which_file_is_counted(tmp_path: Path) -> None:
    log, answer, table, wide = own_system(tmp_path)
    one: dict[str, object] = {"workloads": (("*", "all"),)}
    alone = several(table, **one).energies
    for counted in (log, answer, table):
        assert several(log, answer, table, wide, requests_from=(counted,), **one).energies == alone


def test_measures_of_a_workload_that_no_request_has_are_named_with_a_remedy(tmp_path: Path) -> None:
    log, rows = a_log(tmp_path / "a.log"), a_table(tmp_path / "t.csv", workload="llama")
    result = several(log, rows, requests_from=(rows,))
    (note,) = [note for note in result.notes if "are not used" in note]
    assert f"--workload 'llama=llama' and --workload '{CHAT}=llama'" in note
    joined = several(log, rows, requests_from=(rows,), workloads=(("llama", "llama"), (CHAT, "llama")))
    assert joined.aggregates.service["llama"].quantile(0.5) == 2000
    assert not [note for note in joined.notes if "are not used" in note]


def test_tables_of_unlike_steps_are_not_added_up(tmp_path: Path) -> None:
    hours = a_table(tmp_path / "a.csv")
    minutes = logs.write(
        tmp_path / "b.csv", [TABLE, *(f"2026-11-01T05:{n:02d}Z,eu,{CHAT},1" for n in range(0, 60, 5))]
    )
    with pytest.raises(InputError, match=r"b.csv: its rows are 5 min apart, and those of .*a.csv 1 h"):
        several(hours, minutes)


def test_a_file_to_count_that_is_not_imported_is_refused(tmp_path: Path) -> None:
    log = a_log(tmp_path / "a.log")
    with pytest.raises(InputError, match=r"--requests-from: .*b.log is not imported; did you mean"):
        several(log, requests_from=(tmp_path / "b.log",))


@pytest.mark.parametrize("file", ["{path}", "b.csv", "b*.csv"])
def test_a_column_is_stated_for_one_of_several_files(file: str, tmp_path: Path) -> None:
    first = logs.write(
        tmp_path / "a.csv", ["time,region,model,requests,spare", "2026-11-01T00:00Z,eu,chat,100,1"]
    )
    second = logs.write(
        tmp_path / "b.csv", ["time,region,model,requests,spare", "2026-11-01T01:00Z,eu,chat,1,200"]
    )
    of_files = {file.format(path=second): {"requests": "spare"}}
    assert hourly(several(first, second, window_us=HOUR_US, file_fields=of_files)) == {"eu": [100, 200]}
    assert hourly(several(first, second, window_us=HOUR_US, fields={"requests": "spare"})) == {"eu": [1, 200]}


def test_a_column_of_a_file_that_is_not_imported_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = a_table(tmp_path / "a.csv")
    command = ["import", str(path), "--output", str(tmp_path / "s.toml"), "--field"]
    assert main([*command, f"{path}x:requests=n"]) == 2
    assert f"--field no file is '{path}x'; did you mean '{path}'?" in " ".join(
        capsys.readouterr().err.replace("error: --field:", "--field").split()
    )
    assert main([*command, f"{path}:reqests=n"]) == 2
    assert "did you mean 'requests'?" in capsys.readouterr().err
    assert main([*command, f"{path}:requests=requests"]) == 0
