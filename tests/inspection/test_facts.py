"""What an inspection says of files whose content is known, faulty ones included, and of real ones."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from carbonroute.errors import InputError
from carbonroute.inspection import Inspection, inspect_file
from carbonroute.inspection.carbon import describe
from carbonroute.inspection.recognise import recognised
from carbonroute.inspection.scenario import inspect_scenario
from carbonroute.inspection.traffic import inspect as inspect_log
from carbonroute.scenario import load
from carbonroute.traffic.replay import Replay
from helpers import needs, samples, small

DATA = Path(__file__).parents[2].parent / "shared" / "data"
needs_data = needs.data(DATA)


def write(folder: Path, text: str, name: str = "file.csv") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def row(found: Inspection, zone: str) -> dict[str, object]:
    return next(row for row in found.table.to_dicts() if row["zone"] == zone)


def test_a_series_in_numbers(tmp_path: Path) -> None:
    found = inspect_file(samples.wide(tmp_path))
    assert (found.quantities["zones"], found.quantities["hours"], found.quantities["step"]) == (4, 30, "1h")
    zone = row(found, "A_direct")
    values = np.array([samples.value(0, hour) for hour in range(30)])
    assert zone["mean"] == pytest.approx(values.mean())
    assert zone["sd"] == pytest.approx(values.std(ddof=1))
    # Hours 0 to 5 are there twice, 24 apart: their means are 412 to 417, and 406 to 423 those of the others.
    assert (zone["min"], zone["max"]) == (400, 429)
    assert (zone["daily_amplitude"], zone["lowest_hour_utc"], zone["highest_hour_utc"]) == (8.5, 6, 23)
    assert zone["daily_amplitude_pct"] == pytest.approx(100 * 8.5 / values.mean())
    assert (
        found.findings == ("A_life looks like a copy of A_direct: equal in 30 of 30 hours",)
        or not found.findings
    )


@pytest.mark.parametrize(("more", "refused"), [("Total,A,5", True), ("2021-01-01T00:00Z,,5", False)])
def test_rows_that_a_scenario_refuses_are_said_to_be(more: str, refused: bool, tmp_path: Path) -> None:
    rows = [f"2021-01-01T{hour:02}:00Z,A,{300 + hour}" for hour in range(24)]
    found = inspect_file(write(tmp_path, "\n".join(["time,zone,g_per_kwh", *rows, more])))
    (said,) = [finding for finding in found.findings if "left out" in finding]
    assert said.endswith("take them away") == refused


def test_a_faulty_file_is_described_and_not_refused(tmp_path: Path) -> None:
    times = [f"2021-01-01T{hour:02}:00Z" for hour in range(24)]
    rows = [f"{time},{300 + 7 * (hour % 5)}" for hour, time in enumerate(times)]
    rows[3], rows[4] = rows[4], rows[3]
    rows[6] = "not a time,5"
    rows[9] = f"{times[9]},"
    rows.append("2021-01-01T12:30Z,1")
    found = inspect_file(write(tmp_path, "\n".join(["time,A", *rows])))
    zone = row(found, "A")
    counts = ("rows", "no_value", "off_grid", "out_of_order", "missing_hours", "gaps")
    assert [zone[what] for what in counts] == [24, 1, 1, 2, 2, 2]
    said = " ".join(found.findings)
    assert "1 rows without a time or zone that can be read, left out; the first: line 8; a scenario" in said
    assert "1 times off the grid of 1h (A 1)" in said


def test_standstills_and_copies_are_said(tmp_path: Path) -> None:
    lines = [f"2021-01-{1 + hour // 24:02}T{hour % 24:02}:00Z,{hour % 5},{hour % 5},7" for hour in range(72)]
    found = inspect_file(write(tmp_path, "\n".join(["time,A,B,C", *lines])))
    assert row(found, "B")["copy_of"] == "A"
    assert row(found, "C")["standstills"] == 1
    assert "C 72 h at 7 from 2021-01-01T00:00Z" in " ".join(found.findings)


def test_a_spike_beside_a_gap_makes_the_rule_for_it_longer(tmp_path: Path) -> None:
    values = [str(300 + hour % 4) for hour in range(48)]
    values[20:22], values[22] = ["", ""], "9"
    rows = [f"2021-01-{1 + hour // 24:02}T{hour % 24:02}:00Z,{value}" for hour, value in enumerate(values)]
    found = inspect_file(write(tmp_path, "\n".join(["time,A", *rows])))
    zone = row(found, "A")
    assert (zone["gaps"], zone["missing_hours"], zone["spikes"], zone["longest_gap_hours"]) == (1, 2, 1, 2)
    assert '\n# gaps = "interpolate:3h" # fills A 2 h' in found.suggestion
    assert '\n# spikes = "remove:40" # takes out A 1 h' in found.suggestion


@pytest.mark.parametrize("minutes", [5, 30, 120])
def test_the_step_is_the_most_common_one(minutes: int, tmp_path: Path) -> None:
    stamps = [divmod(step * minutes, 60) for step in range(36) if step != 7]
    rows = [f"2021-01-{1 + hour // 24:02}T{hour % 24:02}:{minute:02}Z,{hour}" for hour, minute in stamps]
    found = inspect_file(write(tmp_path, "\n".join(["time,A", *rows])))
    assert found.quantities["step"] == {5: "5min", 30: "30min", 120: "2h"}[minutes]
    assert row(found, "A")["missing_hours"] == (2 if minutes == 120 else 1)


def test_a_log_in_numbers_whatever_the_size_of_a_piece(tmp_path: Path) -> None:
    path = samples.log_csv(tmp_path)
    file = recognised(path, "log.csv")
    whole, batches = (
        inspect_log(Replay, file.preview, file.recognition, batch_bytes=size) for size in (2**24, 500)
    )
    assert whole.as_json() == batches.as_json()
    facts = whole.quantities
    assert (facts["requests"], facts["gap_cv"], facts["busiest_hour_requests"]) == (400, 0, 100)
    assert facts["mean_requests_per_s"] == pytest.approx(1 / 36)
    assert math.isnan(facts["dispersion_per_hour"])
    tokens = whole.table.row(0, named=True)
    assert (tokens["mean"], tokens["min"], tokens["max"]) == (299.5, 100, 499)
    assert (tokens["median"], tokens["p95"]) == (299, 479)


def test_a_log_out_of_order_is_sorted_and_said(tmp_path: Path) -> None:
    path = samples.log_csv(tmp_path)
    in_order = inspect_file(path)
    head, *lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([head, *lines[200:], *lines[:200]]) + "\n", encoding="utf-8")
    found = inspect_file(path)
    assert found.as_json()["facts"] == in_order.as_json()["facts"]
    assert "1 rows are earlier than the row before them" in found.findings


def test_a_broken_log_is_described_up_to_where_it_breaks(tmp_path: Path) -> None:
    path = samples.log_csv(tmp_path)
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[9], lines[250] = "yesterday,1,2", "too,few"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    file = recognised(path, "log.csv")
    found = inspect_log(Replay, file.preview, file.recognition, batch_bytes=500)
    assert 200 < found.quantities["rows"] < 250
    said = " ".join(found.findings)
    assert "rows could be read: log.csv: line 251 has 2 fields" in said
    assert "1 rows without a time that can be read" in said


def test_lines_that_make_no_row_are_named_by_their_reader(tmp_path: Path) -> None:
    path = samples.wide(tmp_path)
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[4] += '"'
    with pytest.raises(InputError, match="line 5 has a quotation mark without its partner"):
        inspect_file(write(tmp_path, "\n".join(lines)))
    path = samples.log_jsonl(tmp_path)
    broken = path.read_text(encoding="utf-8").splitlines()
    broken[300] = "{"
    with pytest.raises(InputError, match="line 301 cannot be read"):  # it is all one batch: no row was read
        inspect_file(write(tmp_path, "\n".join(broken), "log.jsonl"))


@pytest.mark.parametrize(("unit", "per_s"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
def test_numbers_since_1970_tell_their_unit(unit: str, per_s: int, tmp_path: Path) -> None:
    since = int(samples.START.timestamp())
    rows = [f"{(since + 36 * i) * per_s},{i}" for i in range(400)]
    found = inspect_file(write(tmp_path, "\n".join(["arrival_time,prompt_tokens", *rows])))
    assert found.quantities["first"] == samples.START
    assert found.quantities["mean_requests_per_s"] == pytest.approx(1 / 36)
    assert f'time_unit = "{unit}"' in found.suggestion


def test_numbers_since_any_zero_do_not(tmp_path: Path) -> None:
    rows = [f"{36.5 * i},{i}" for i in range(400)]
    found = inspect_file(write(tmp_path, "\n".join(["arrival_time,prompt_tokens", *rows])))
    assert 'time_unit = "TODO: one of s, ms, us, ns"' in found.suggestion
    assert found.quantities["last_s"] == pytest.approx(36.5 * 399)


def test_rates_in_numbers(tmp_path: Path) -> None:
    found = inspect_file(samples.rates(tmp_path))
    facts = found.quantities
    assert (facts["windows"], facts["clients"], facts["window_min"], facts["zero_windows"]) == (288, 2, 10, 0)
    day = np.array([0.5 + w / 144 + (w + 1) % 2 for w in range(144)])
    assert facts["mean_rate"] == pytest.approx(day.mean())
    assert facts["daily_amplitude_pct"] == pytest.approx(50 * np.ptp(day) / day.mean())
    assert facts["zero_values_pct"] == 25


def test_the_columns_of_a_matrix_are_called_as_a_scenario_reads_them(tmp_path: Path) -> None:
    file = tmp_path / "rtt.csv"
    file.write_text("from,A (ms),B (ms)\nA,1,20\nB,20,2\n")
    found = inspect_file(file)
    assert (found.kind, found.quantities["missing_diagonal"]) == ("rtt", 0)
    assert '[[regions]]: "A", "B"' in found.suggestion
    assert found.quantities["diagonal_max_ms"] == 2


def test_a_matrix_in_numbers_and_its_faults(tmp_path: Path) -> None:
    found = inspect_file(samples.matrix(tmp_path))
    assert (found.quantities["asymmetry_median_ms"], found.quantities["diagonal_max_ms"]) == (3, 3)
    assert (found.quantities["min_ms"], found.quantities["median_ms"], found.quantities["max_ms"]) == (
        5,
        67.5,
        80,
    )
    faulty = "from,A,B,C\nA,1,,300\nB,-4,1,0\nC,99999,fast,1\n"
    found = inspect_file(write(tmp_path, faulty), "rtt")
    assert found.quantities["missing_pairs"] == 4
    said = " ".join(found.findings)
    assert "3 values that are no round-trip time: line 3, B to A: '-4'" in said
    assert "1 pairs of different names at 0 ms" in said


def test_json_is_strict_whatever_is_missing(tmp_path: Path) -> None:
    found = inspect_file(write(tmp_path, "time,A,B\n2021-01-01T00:00Z,1,\n2021-01-01T01:00Z,2,nan\n"))
    content = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert content["table"][1]["mean"] is None
    assert content["facts"]["first"] == "2021-01-01T00:00:00Z"


def test_rows_without_any_time_are_refused() -> None:
    rows = pl.DataFrame({"file": ["f"], "place": ["line 2"], "zone": ["A"], "raw": ["1"], "value": [1.0]})
    rows = rows.with_columns(time=pl.lit(None, dtype=pl.Datetime("us", "UTC")))
    with pytest.raises(InputError, match="no row has a time and a zone"):
        describe(rows, "f.csv", in_grams=True)


def test_a_scenario_is_inspected_as_it_reads_its_files(tmp_path: Path) -> None:
    path = small.write_with_carbon(tmp_path, small.LONG_CSV, small.LONG)
    parts = inspect_scenario(load(path))
    assert [(part.name, part.kind) for part in parts] == [
        ("carbon.csv", "carbon"),
        ("carbon as the run uses it", "carbon"),
        ("traffic as the run uses it", "rates"),
        ("network as the run uses it", "rtt"),
    ]
    assert parts[0].table["mean"].to_list() == [402.5, 52.5]
    assert parts[0].table["mean"].to_list() == parts[1].table["mean"].to_list()
    assert parts[2].quantities["requests"] == 300
    assert parts[3].quantities["max_ms"] == 80
    assert all(part.suggestion == "" for part in parts)


def test_a_scenario_that_cannot_run_says_why_in_its_parts(tmp_path: Path) -> None:
    holed = small.changed(small.LONG_CSV, ("2021-01-01T03:00:00Z,B,53\n", ""))
    parts = inspect_scenario(load(small.write_with_carbon(tmp_path, holed, small.LONG)))
    assert row(parts[0], "B")["missing_hours"] == 1
    assert "the scenario cannot be run: carbon.csv" in " ".join(parts[-1].findings)


def test_a_scenario_without_files_shows_its_synthetic_signals() -> None:
    parts = inspect_scenario(load("published"))
    assert [part.kind for part in parts] == ["carbon", "rates", "rtt"]
    assert {"lowest_hour", "highest_hour"} <= set(parts[0].table.columns)  # there is no calendar


@needs_data
def test_real_hourly_values_show_their_faults() -> None:
    found = inspect_file(DATA / "carbon" / "eia_us_2022_9zones.parquet")
    pjm = row(found, "PJM")
    assert (pjm["missing_hours"], pjm["spikes"], pjm["longest_gap_hours"]) == (23, 5, 22)
    assert [row(found, zone)["missing_hours"] for zone in ("CISO", "MISO", "AZPS")] == [3, 3, 0]
    assert row(found, "WAAT")["copy_of"] == "BPAT"


@needs_data
def test_real_logs_rates_and_matrices() -> None:
    code, conv = (
        inspect_file(DATA / "traffic" / f"AzureLLMInferenceTrace_{name}_2023.csv.gz")
        for name in ("code", "conv")
    )
    assert code.quantities["gap_cv"] == pytest.approx(13.15, abs=0.01)
    assert conv.quantities["gap_cv"] == pytest.approx(1.09, abs=0.01)
    rates = inspect_file(DATA / "traffic" / "servegen_m-large_client_rates_10min.parquet")
    assert (rates.quantities["windows"], rates.quantities["clients"]) == (2016, 162)
    matrix = inspect_file(DATA / "network" / "aws_cloudping_p50_matrix.csv").quantities
    assert (matrix["rows"], matrix["columns"], matrix["missing_pairs"]) == (33, 33, 0)
    assert matrix["asymmetry_median_ms"] == pytest.approx(1.255)
    assert matrix["asymmetry_max_ms"] == pytest.approx(47.99)
