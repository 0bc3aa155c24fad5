"""Tables of requests per hour, and traces with a row per request."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from statistics import NormalDist

import polars as pl
import pytest

from carbonroute.errors import InputError
from carbonroute.importing.laws import lognormal
from helpers import logs
from helpers.logs import hourly, imported

_HOURS = [f"2026-11-01T{hour:02d}:00Z,5" for hour in range(9)]
HEADER = "Time,region,model,requests,p50_ms,p95_ms,gpu_power_w"


def long_table(path: Path) -> Path:
    return logs.write(
        path,
        [
            HEADER,
            "2026-11-01 00:00:00,eu,chat,100,5000,9000,2000",
            "2026-11-01 00:00:00,eu,embed,300,40,70,300",
            "2026-11-01 00:00:00,us,chat,200,5000,9000,3000",
            "2026-11-01 01:00:00,eu,chat,50,5000,9000,1500",
            "2026-11-01 01:00:00,eu,embed,250,40,70,250",
            "2026-11-01 01:00:00,us,chat,100,5000,9000,2000",
        ],
    )


def test_a_row_per_hour_region_and_model_is_pivoted(tmp_path: Path) -> None:
    report = imported(long_table(tmp_path / "t.csv"))
    assert hourly(report) == {"eu": [400.0, 300.0], "us": [200.0, 100.0]}
    assert report.rates.of_workload == {"chat": 450_000_000, "embed": 550_000_000}
    law = lognormal(5000, 9000)
    assert law is not None
    assert report.services["chat"].entries == {
        "law": "lognormal",
        "mean": pytest.approx(law.mean, rel=1e-5),
        "std": pytest.approx(law.std, rel=1e-5),
    }
    assert report.services["chat"].error == pytest.approx(0, abs=1e-9)
    # Σ W · 3600 s / Σ requests, and the slope of W over requests per s
    assert report.energies["chat"].average_j == pytest.approx((2000 + 3000 + 1500 + 2000) * 3600 / 450)
    assert report.energies["chat"].marginal_j == pytest.approx(10 * 3600, rel=0.02)
    assert any("taken as UTC" in said for said in report.notes)


@pytest.mark.parametrize("watts", [[900, 800, 700, 600], [500, 500, 500, 500]])
def test_power_that_does_not_rise_with_the_rate_has_no_marginal_energy(
    watts: list[int], tmp_path: Path
) -> None:
    rows = [
        f"2026-11-01T{hour:02}:00Z,eu,chat,{100 * (hour + 1)},100,200,{power}"
        for hour, power in enumerate(watts)
    ]
    result = imported(logs.write(tmp_path / "t.csv", [HEADER, *rows]))
    assert result.energies["chat"].average_j == pytest.approx(sum(watts) * 3600 / 1000)
    assert result.energies["chat"].marginal_j is None
    written = " ".join(result.scenario.files["s.toml"].decode().replace("#", " ").split())
    assert "no marginal energy could be measured" in written
    assert "per further request" not in written


def test_models_that_are_one_workload_are_added_up(tmp_path: Path) -> None:
    report = imported(long_table(tmp_path / "t.csv"), workloads=(("*", "all"),))
    assert report.rates.of_workload == {"all": 1_000_000_000}
    assert report.energies["all"].average_j == pytest.approx(9050 * 3600 / 1000)


def test_quantiles_of_rows_are_mixed_by_their_requests(tmp_path: Path) -> None:
    path = logs.write(
        tmp_path / "t.csv",
        [
            HEADER.removesuffix(",gpu_power_w"),
            "2026-11-01T00:00Z,eu,chat,900,100,200",
            "2026-11-01T01:00Z,eu,chat,100,1000,2000",
        ],
    )
    (service,) = imported(path).services.values()
    assert (
        "p50 = 106.06" in service.basis
    )  # 0.9 · Φ(ln(x / 100) / 0.4214) = 0.5, and nothing of the second row
    assert service.error is not None
    assert service.error > 0.3  # two humps are no lognormal law, and the file says so


def test_a_column_per_region_is_one_of_requests_each(tmp_path: Path) -> None:
    path = logs.write(
        tmp_path / "t.csv", ["Time,eu,us", "2026-11-01 00:00:00,431,1497", "2026-11-01 01:00:00,427,"]
    )
    with pytest.raises(InputError, match=r"from 2026-11-01T01:00:00Z on a row is missing \(us\)"):
        imported(path)
    with pytest.raises(InputError, match="at an edge, where nothing can be interpolated"):
        imported(path, gaps="interpolate")
    assert hourly(imported(path, gaps="zero")) == {"eu": [431.0, 427.0], "us": [1497.0, 0.0]}


def test_rates_are_multiplied_by_their_step(tmp_path: Path) -> None:
    lines = ["time,rps", *(f"2026-11-01T00:{minute:02d}Z,{minute}" for minute in range(0, 60, 15))]
    report = imported(logs.write(tmp_path / "t.csv", lines), region="eu")
    assert hourly(report) == {"eu": [(0 + 15 + 30 + 45) * 900.0]}
    renamed = logs.write(tmp_path / "u.csv", [lines[0].replace("rps", "value"), *lines[1:]])
    assert hourly(imported(renamed, region="eu", unit="requests/min")) == {"eu": [90 * 15.0]}


def test_windows_that_are_missing_follow_the_rule(tmp_path: Path) -> None:
    rows = [
        f"2026-11-01T00:{minute:02d}:53Z,{minute}" for minute in range(2, 60, 5) if minute not in {12, 17}
    ]
    path = logs.write(tmp_path / "t.csv", ["timestamp,value", *rows])
    with pytest.raises(InputError, match="from 2026-11-01T00:12:53Z on 2 rows of 5 min are missing"):
        imported(path)
    assert hourly(imported(path, gaps="interpolate")) == {"here": [float(sum(range(2, 60, 5)))]}
    assert hourly(imported(path, gaps="zero")) == {"here": [float(sum(range(2, 60, 5)) - 29)]}


def clocks_put_back(path: Path, *hours: int) -> Path:
    """Write a table of local times on the day on which clocks are put back in London, from 2:00 to 1:00."""
    rows = [f"2026-10-25 {hour:02d}:30,eu,{place + 1}" for place, hour in enumerate(hours)]
    return logs.write(path, ["time,region,requests", *rows])


def test_an_hour_that_comes_twice_is_told_apart_by_the_order_of_rows(tmp_path: Path) -> None:
    path = clocks_put_back(tmp_path / "t.csv", 0, 1, 1, 2)
    result = imported(path, time_zone="Europe/London")
    assert hourly(result) == {"eu": [1.0, 2.0, 3.0, 4.0]}
    assert result.as_json()["first"] == "2026-10-24T23:30:00Z"


def test_an_hour_that_should_come_twice_and_does_not_is_refused_with_an_option(tmp_path: Path) -> None:
    path = clocks_put_back(tmp_path / "t.csv", 0, 1, 2, 3)
    with pytest.raises(InputError, match=r"line 3, time: .* stands here once only; .*--time-zone 'UTC'"):
        imported(path, time_zone="Europe/London")
    assert hourly(imported(path, time_zone="UTC")) == {"eu": [1.0, 2.0, 3.0, 4.0]}


def test_the_hour_24_is_that_of_the_next_day(tmp_path: Path) -> None:
    rows = [f"2026-11-01 {hour:02d}:00,{hour}" for hour in range(1, 25)]
    report = imported(logs.write(tmp_path / "t.csv", ["time,value", *rows]))
    assert hourly(report) == {"here": [float(hour) for hour in range(1, 25)]}
    assert report.as_json()["last"] == "2026-11-02T00:00:00Z"


@pytest.mark.parametrize("per_second", [1, 10**3, 10**6, 10**9])
def test_numbers_are_times_of_the_unit_that_fits_this_century(per_second: int, tmp_path: Path) -> None:
    first = int(logs.START.timestamp())
    rows = [f"{(first + 3600 * hour) * per_second},{hour + 1}" for hour in range(3)]
    report = imported(logs.write(tmp_path / "t.csv", ["time,value", *rows]))
    assert hourly(report) == {"here": [1.0, 2.0, 3.0]}
    assert report.rates.start_us == first * 1_000_000


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["2026-11-01T00:00Z,5", "2026-11-01T01:00Z,-5"], "line 3, value: found '-5'; a number from 0 on"),
        ([*_HOURS, "2026-11-01T09:00Z,many"], "line 11, value: found 'many'"),
        (["2026-11-01T00:00Z,5", "2026-11-01T00:00Z,6"], "all rows have the same time"),
        (
            ["2026-11-01T00:00Z,5", "2026-11-01T01:00Z,6", "2026-11-01T01:00Z,6"],
            "line 4: the same has this time twice",
        ),
        ([*_HOURS, "2026-11-01T09:00Z,1e13"], "a window has 10,000,000,000,000 requests"),
        ([*_HOURS, "2026-11-01T09:00Z,1e300"], "a window has 1,0"),
        ([*_HOURS, "12345678901,6"], "line 11, time: found '12345678901'"),
        ([*_HOURS, "soon,6"], "line 11, time: found 'soon'"),
        (["2026-11-01T00:00Z,5", "2026-11-01T01:00Z"], "line 3 has 1 fields"),
        (["2026-11-01T00:00Z,0", "2026-11-01T01:00Z,0"], "no request was answered"),
        (["0001-01-01T00:00Z,1", "9999-01-01T00:00Z,1", "9999-01-01T01:00Z,1"], "are missing"),
    ],
)
def test_tables_that_cannot_be_meant_are_refused(rows: list[str], words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        imported(logs.write(tmp_path / "t.csv", ["time,value", *rows]))


def test_a_span_of_centuries_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    rows = ["0001-01-01T00:00Z,1", "9999-01-01T00:00Z,1", "9999-01-01T01:00Z,1"]
    with pytest.raises(InputError, match=r"are 87,6.* windows; import a part: --from, --until"):
        imported(logs.write(tmp_path / "t.csv", ["time,value", *rows]), gaps="zero")


def test_a_part_can_be_imported(tmp_path: Path) -> None:
    rows = [f"2026-11-01T{hour:02d}:00Z,{hour}" for hour in range(6)]
    first = int(logs.START.timestamp() * 1e6)
    report = imported(
        logs.write(tmp_path / "t.csv", ["time,value", *rows]),
        since_us=first + 2 * 3_600_000_000,
        until_us=first + 4 * 3_600_000_000,
    )
    assert hourly(report) == {"here": [2.0, 3.0]}
    assert {reason: one.count for reason, one in report.aggregates.left_out.items()} == {
        "before --from": 2,
        "at or after --until": 2,
    }


def test_azure_s_trace_has_tokens_and_no_times_of_service(tmp_path: Path) -> None:
    rows = [f"2026-11-01 00:00:{second:02d}.9799600,{1000 + second},{10 + second}" for second in range(50)]
    path = logs.write(tmp_path / "t.csv", ["TIMESTAMP,ContextTokens,GeneratedTokens", *rows])
    report = imported(path)
    assert hourly(report) == {"here": [50.0]}
    assert "decode_ms_per_token" not in report.services["requests"].entries
    assert any("ms per token" in what for what in report.not_told)
    stated = imported(path, ms_per_token=(0.5, 20.0)).services["requests"].entries
    assert (stated["prefill_ms_per_token"], stated["decode_ms_per_token"]) == (0.5, 20.0)
    assert report.aggregates.answers[""].quantile(0.5) == 34


def test_burst_gpt_s_failures_have_no_answer(tmp_path: Path) -> None:
    header = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type"
    path = logs.write(
        tmp_path / "b.csv", [header, "5.0,M1,100,0,100,x", "50.0,M1,101,50,151,x", "3700,M2,1,5,6,x"]
    )
    report = imported(path)
    assert report.aggregates.failed == {"without answer tokens": 1}
    assert hourly(report) == {"here": [1.0, 1.0]}
    assert report.aggregates.undated
    assert b"start" not in report.scenario.files["s.toml"]


def test_mooncake_s_times_are_milliseconds_and_others_are_asked(tmp_path: Path) -> None:
    row = {"timestamp": 3_599_000, "input_length": 100, "output_length": 5}
    path = tmp_path / "m.jsonl"
    path.write_text(
        f"{json.dumps({**row, 'hash_ids': [1]})}\n{json.dumps({**row, 'timestamp': 3_600_000})}\n"
    )
    assert hourly(imported(path)) == {"here": [1.0, 1.0]}
    path.write_text(f"{json.dumps(row)}\n")
    with pytest.raises(InputError, match="--time-unit s, ms, us or ns"):
        imported(path)
    assert hourly(imported(path, time_unit="ms")) == {"here": [1.0]}


def test_vllm_s_records_give_service_time_without_waiting_and_ms_per_token(tmp_path: Path) -> None:
    start, path = logs.START.timestamp(), tmp_path / "v.jsonl"
    rows = []
    score = [NormalDist().inv_cdf((n + 0.5) / 400) for n in range(400)]
    for n in range(400):
        prompt, answer = round(500 * 1.5 ** score[n * 171 % 400]), round(100 * 1.6 ** score[n])
        rows.append(
            {
                "input_toks": prompt,
                "output_toks": answer,
                "arrival_time": start + n,
                "queued_ts": 5.0 + n,
                "scheduled_ts": 7.0 + n,
                "first_token_ts": 7.1 + n,
                "last_token_ts": 7.0 + n + 0.03 + 0.0002 * prompt + 0.02 * answer,
            }
        )
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    service = imported(path).services["requests"]
    assert service.entries["prefill_ms_per_token"] == pytest.approx(0.2, rel=1e-3)
    assert service.entries["decode_ms_per_token"] == pytest.approx(20, rel=1e-4)
    assert service.entries["overhead_ms"] == pytest.approx(30, rel=1e-2)


def test_a_typed_table_of_requests_with_statuses(tmp_path: Path) -> None:
    times = [logs.START + timedelta(minutes=20 * n) for n in range(6)]
    pl.DataFrame(
        {
            "ts": times,
            "path": ["/a?x", "/a", "/b", "/a", "/a", "/a"],
            "status": [200, 200, 500, 200, None, 200],
            "latency_ms": [1.0, 2.0, 3.0, 4.0, 5.0, None],
            "dc": ["eu", "us", "eu", "eu", "eu", "us"],
        }
    ).write_parquet(tmp_path / "t.parquet")
    report = imported(tmp_path / "t.parquet")
    assert hourly(report) == {"eu": [1.0, 1.0], "us": [1.0, 1.0]}
    assert report.aggregates.failed == {"5xx": 1, "without an answer": 1}
    assert report.aggregates.service["/a"].quantiles([0.1, 0.5, 1]).tolist() == [1, 2, 4]
    assert report.aggregates.without_service == 1


def test_json_lines_of_a_server_are_requests(tmp_path: Path) -> None:
    rows = [
        {"start_time": "2026-11-01T00:00:01Z", "path": "/v1/chat", "response_code": 200, "duration_ms": 12},
        {"start_time": "2026-11-01T00:00:02Z", "path": "/v1/chat", "response_code": 404, "duration_ms": 1},
    ]
    path = tmp_path / "e.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    report = imported(path)
    assert report.aggregates.failed == {"4xx": 1}
    assert report.aggregates.service["/v1/chat"].quantile(1) == 12


def test_a_service_time_without_unit_is_asked(tmp_path: Path) -> None:
    path = logs.write(tmp_path / "t.csv", ["time,latency", "2026-11-01T00:00Z,0.5"])
    with pytest.raises(InputError, match="--service-unit ms, s, us or ns"):
        imported(path)
    assert imported(path, service_unit="s").aggregates.service[""].quantile(1) == 500


def test_guidellm_s_report(tmp_path: Path) -> None:
    start = logs.START.timestamp()
    good = {"start_time": start + 1, "end_time": start + 3, "prompt_tokens": 100, "output_tokens": 50}
    requests = {"successful": [good, good], "errored": [{"start_time": start + 2}], "incomplete": []}
    path = tmp_path / "g.json"
    path.write_text(json.dumps({"benchmarks": [{"requests": requests}]}))
    report = imported(path)
    assert report.files[str(path)] == "guidellm"
    assert hourly(report) == {"here": [2.0]}
    assert report.aggregates.failed == {"5xx": 1}
    assert report.aggregates.service[""].quantile(0.5) == 2000


def test_vllm_s_bench_results(tmp_path: Path) -> None:
    content = {
        "model_id": "llama",
        "input_lens": [10, 20],
        "output_lens": [3, 0],
        "ttfts": [0.5, 0.0],
        "itls": [[0.25, 0.25], []],
        "start_times": [100.0, 4000.0],
        "errors": ["", "timeout"],
    }
    path = tmp_path / "v.json"
    path.write_text(json.dumps(content))
    report = imported(path)
    assert hourly(report) == {"here": [1.0]}
    assert report.aggregates.failed == {"5xx": 1}
    assert report.aggregates.service["llama"].quantile(1) == 1000
    path.write_text(json.dumps({key: content[key] for key in content if key != "start_times"}))
    with pytest.raises(InputError, match="states no time of any request"):
        imported(path)


def test_lines_above_the_header_are_skipped_and_counted(tmp_path: Path) -> None:
    path = logs.write(tmp_path / "t.csv", ["Exported by X", "", "time,requests", *_HOURS])
    with pytest.raises(InputError, match="remove lines 1 to 2, or state --skip-rows 2"):
        imported(path)
    assert imported(path, skip_rows=2).aggregates.read == len(_HOURS)
    path = logs.write(tmp_path / "t.csv", ["Exported by X", "", "time,requests", *_HOURS, "x,5"])
    with pytest.raises(InputError, match="line 13, time"):
        imported(path, skip_rows=2)
    path = logs.write(tmp_path / "t.csv", ["Exported by X", "", "time,requests", *_HOURS, _HOURS[0]])
    with pytest.raises(InputError, match=r"line 13\b"):
        imported(path, skip_rows=2)


def test_lines_above_are_those_of_a_table_in_csv_alone(tmp_path: Path) -> None:
    access = logs.write(tmp_path / "access.log", [logs.nginx_line()])
    with pytest.raises(InputError, match="and --skip-rows 1 is stated; leave --skip-rows out"):
        imported(access, skip_rows=1)


def test_spellings_of_utc_are_offsets(tmp_path: Path) -> None:
    rows = [row.replace("Z", " UTC") for row in _HOURS]
    report = imported(logs.write(tmp_path / "t.csv", ["time,requests", *rows]), time_zone="Asia/Kolkata")
    assert report.as_json()["first"] == "2026-11-01T00:00:00Z"


def hourly_rows(path: Path, header: str, row: Callable[[int], list[str]], hours: int = 30) -> Path:
    lines = [f"2026-11-{1 + n // 24:02d}T{n % 24:02d}:00Z,{cells}" for n in range(hours) for cells in row(n)]
    return logs.write(path, [header, *lines])


@pytest.mark.parametrize("kind", ["region", "model"])
def test_rows_that_are_the_sum_of_the_others_are_not_counted(kind: str, tmp_path: Path) -> None:
    def rows(n: int) -> list[str]:
        counts = [
            ("a", "x", n % 7),
            ("b", "x", 5),
            ("c", "x", n % 3),
            ("a", "y", 4),
            ("b", "y", 0),
            ("c", "y", 9),
        ]
        sums = [("All", other, sum(v for _, o, v in counts if o == other)) for other in "xy"]
        return [f"{one},{other},{value}" for one, other, value in counts + sums]

    header = "time,region,model,requests" if kind == "region" else "time,model,region,requests"
    report = imported(hourly_rows(tmp_path / "t.csv", header, rows))
    assert report.rates.total == sum(n % 7 + 5 + n % 3 + 13 for n in range(30))
    names = report.rates.regions if kind == "region" else tuple(report.rates.of_workload)
    assert names == ("a", "b", "c")
    what = "workload" if kind == "model" else kind
    assert any(f"{what} 'All' is the sum of the others" in note for note in report.notes)
    near = hourly_rows(
        tmp_path / "n.csv", header, lambda n: [*rows(n)[:-1], rows(n)[-1] + ("5" if n == 9 else "")]
    )
    assert imported(near).rates.total > 2 * report.rates.total - 100


@pytest.mark.parametrize(
    ("header", "form", "fields"),
    [
        ("time,region,requests_total", "eu,{0}\nus,{0}", {}),
        ("time,region,cumulative requests", "eu,{0}\nus,{0}", {"requests": "cumulative requests"}),
        ("time,region,requests", "eu,{0}\nus,{0}", {}),
        ("time,eu,us", "{0},{0}", {}),
    ],
)
def test_running_totals_are_asked_about_or_said_and_their_increases_counted(
    header: str, form: str, fields: dict[str, str], tmp_path: Path
) -> None:
    path = hourly_rows(tmp_path / "t.csv", header, lambda n: form.format(5 + 9 * n + n * n).split("\n"), 26)
    if "total" in header or "cumul" in header:
        with pytest.raises(InputError, match=r"no number is below .*--values counter, or count"):
            imported(path, fields=fields)
    else:
        assert any("if it is one: --values counter" in note for note in imported(path).notes)
    increases = [float(10 + 2 * n) for n in range(25)]
    assert hourly(imported(path, fields=fields, values="counter")) == {"eu": increases, "us": increases}
    as_rows = imported(path, fields=fields, values="count")
    assert as_rows.rates.total == 2 * sum(5 + 9 * n + n * n for n in range(26))
    assert not any("--values" in note for note in as_rows.notes)
    assert imported(path, fields=fields, values="rate").rates.total == 3600 * as_rows.rates.total


def test_a_total_that_begins_again_counts_from_0_in_a_table_of_any_order(tmp_path: Path) -> None:
    rows = [f"2026-11-01T{hour:02d}:00Z,eu,{value}" for hour, value in enumerate([100, 150, 30, 40])]
    path = logs.write(tmp_path / "t.csv", ["time,region,requests_total", *reversed(rows)])
    assert hourly(imported(path, values="counter")) == {"eu": [50.0, 30.0, 10.0]}


@pytest.mark.parametrize(
    "values", [[5 + n % 24 for n in range(30)], [100 + n for n in range(30)], list(range(20))]
)
def test_numbers_that_fall_or_rise_a_little_are_those_of_rows(values: list[int], tmp_path: Path) -> None:
    path = hourly_rows(tmp_path / "t.csv", "time,region,requests", lambda n: [f"eu,{values[n]}"], len(values))
    report = imported(path)
    assert report.rates.total == sum(values)
    assert not any("--values" in note for note in report.notes)


def test_times_that_are_called_ends_are_ends_unless_stated(tmp_path: Path) -> None:
    path = hourly_rows(tmp_path / "t.csv", "period_end,region,requests", lambda n: [f"eu,{n}"], 5)
    start_us = round(logs.START.timestamp() * 1e6)
    report = imported(path)
    assert report.rates.start_us == start_us - 3_600_000_000
    assert any("called the ends of their windows; --stamp start" in note for note in report.notes)
    assert imported(path, stamp="start").rates.start_us == start_us
    other = hourly_rows(tmp_path / "o.csv", "time,region,requests", lambda n: [f"eu,{n}"], 5)
    assert imported(other, stamp="end").rates.start_us == start_us - 3_600_000_000


def test_quantiles_in_the_wrong_columns_are_refused_and_read_as_stated(tmp_path: Path) -> None:
    path = hourly_rows(
        tmp_path / "t.csv", "time,region,requests,p50_ms,p95_ms", lambda n: [f"eu,{n % 5 + 1},310,120"]
    )
    with pytest.raises(InputError, match=r"'p50_ms' is above 'p95_ms' in 30 of 30.*--field p50='p95_ms'"):
        imported(path)
    report = imported(path, fields={"p50": "p95_ms", "p95": "p50_ms"})
    assert "p50 = 120 and p95 = 310" in report.services["requests"].basis


def test_columns_of_numbers_that_are_not_used_are_named(tmp_path: Path) -> None:
    path = hourly_rows(
        tmp_path / "t.csv", "time,region,requests,errors,energy_kwh", lambda n: [f"eu,{n % 5},1,2"]
    )
    assert "not used: errors, energy_kwh" in imported(path).notes


@pytest.mark.parametrize("pair", [("EU", "eu"), ("Zürich", "Zu\u0308rich")])
@pytest.mark.parametrize("kind", ["region", "origin"])
def test_two_spellings_of_a_region_are_refused_before_their_gaps(
    kind: str, pair: tuple[str, str], tmp_path: Path
) -> None:
    def row(n: int) -> list[str]:
        return [f"{pair[n % 2]},{n}", f"us,{n}"]

    with pytest.raises(InputError, match=f"{kind}s .*(alone|look the same).*write one name in all rows"):
        imported(hourly_rows(tmp_path / "t.csv", f"time,{kind},requests", row, 6))


@pytest.mark.parametrize("header", ["date,time,region,requests", "date,time,path,status,latency_ms"])
def test_times_of_day_beside_their_dates_are_refused_before_their_gaps(header: str, tmp_path: Path) -> None:
    cells = "eu,{n}" if "requests" in header else "/v1/chat,200,{n}"
    rows = [f"2026-11-{1 + n // 24:02d},{n % 24:02d}:00:00,{cells.format(n=n)}" for n in range(48)]
    path = logs.write(tmp_path / "t.csv", [header, *rows])
    with pytest.raises(InputError, match="dates stand in column 'date', and times of day in 'time'"):
        imported(path)
    joined = logs.write(
        tmp_path / "j.csv", [header.partition(",")[2], *(row.replace(",", "T", 1) for row in rows)]
    )
    assert imported(joined).rates.hours == 48
