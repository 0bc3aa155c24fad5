"""Logs, metrics and tables as other programs write them: the right value, or a remedy that works."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from carbonroute.errors import InputError
from carbonroute.importing.apache import as_nginx
from carbonroute.importing.importer import Import
from helpers import logs
from helpers.logs import imported

APACHE = '10.0.0.1 - - [{stamp}] "GET /v1/chat?x=1 HTTP/1.1" {status} 123 "-" "curl/8 (x)"'
HTTPLOG = (
    "Nov  1 00:00:00 lb haproxy[1]: 10.0.1.2:33317 [01/Nov/2026:00:{minute:02d}:00.655] in {server} "
    '10/0/30/{timer}/{total} {status} 2750 - - ---- 1/1/1/1/0 0/0 "{request}"'
)
TOTAL = {"__name__": "http_requests_total", "region": "eu"}


def clf(minute: int) -> str:
    return f"{logs.START + timedelta(minutes=minute):%d/%b/%Y:%H:%M:%S} +0000"


def iso(minute: int) -> str:
    return (logs.START + timedelta(minutes=minute)).isoformat()


def median_ms(result: Import, workload: str = "/v1/chat") -> float:
    return result.aggregates.service[workload].quantile(0.5)


def json_lines(path: Path, rows: list[dict[str, object]]) -> Path:
    return logs.write(path, map(json.dumps, rows))


def test_apache_s_microseconds_are_asked_and_the_remedy_reads_them(tmp_path: Path) -> None:
    lines = [f"{APACHE.format(stamp=clf(n), status=200)} 150000" for n in range(3)]
    path = logs.write(tmp_path / "access.log", lines)
    with pytest.raises(InputError, match="'150000' stands behind the combined format") as error:
        imported(path)
    remedy = str(error.value).partition("Apache: --log-format '")[2].partition("', where")[0]
    assert median_ms(imported(path, log_format=remedy)) == pytest.approx(150, rel=2e-4)
    assert median_ms(imported(path, log_format=remedy.replace("%D", "%{ms}T"))) == pytest.approx(
        150_000, rel=2e-4
    )


def test_headers_of_apache_s_format_are_regions(tmp_path: Path) -> None:
    path = logs.write(tmp_path / "a.log", [f'{APACHE.format(stamp=clf(0), status=200)} 2 "eu"'])
    form = '%h %l %u %t \\"%r\\" %>s %b \\"%{Referer}i\\" \\"%{User-Agent}i\\" %T \\"%{X-Region}i\\"'
    result = imported(path, log_format=form)
    assert result.rates.regions == ("eu",)
    assert median_ms(result) == 2000
    assert as_nginx("%v:%p %{%Y-%m-%dT%H:%M:%S%z}t %U") == "$server_name:$directive_p $time_iso8601 $uri"
    with pytest.raises(InputError, match=r"its time %\{%s\}t cannot be read"):
        as_nginx("%{%s}t")


def test_a_virtual_host_may_stand_before_the_common_format(tmp_path: Path) -> None:
    lines = [f"example.com:443 {APACHE.format(stamp=clf(n), status=200)} rt=0.25" for n in range(3)]
    assert median_ms(imported(logs.write(tmp_path / "a.log", lines))) == 250


@pytest.mark.parametrize(
    "stamp",
    [
        {"time_local": clf(5)},
        {"time_iso8601": iso(5)},
        {"msec": f"{logs.START.timestamp() + 300:.3f}"},
        {"time_iso8601": iso(5), "msec": logs.START.timestamp() + 300},
    ],
)
@pytest.mark.parametrize("name", ["access.log", "access.json", "access.jsonl", "access.log.1"])
def test_json_of_nginx_is_a_row_per_request_whatever_its_name(
    stamp: dict[str, object], name: str, tmp_path: Path
) -> None:
    row = {**stamp, "request": "POST /v1/chat?x HTTP/1.1", "request_length": "9000", "request_time": "0.5"}
    rows = [
        {**row, "status": status, "upstream_response_time": "0.1, 0.25"} for status in ("200", "200", "502")
    ]
    result = imported(json_lines(tmp_path / name, rows))
    assert result.rates.total == 2
    assert result.aggregates.failed == {"5xx": 1}
    assert result.as_json()["first"] == "2026-11-01T00:05:00Z"
    assert (
        median_ms(result) == 250
    )  # of two tries, the one that answered; seconds, as of all nginx's variables
    assert not result.aggregates.prompts  # a length in bytes is no number of tokens


def test_json_without_anything_of_a_request_is_not_counted(tmp_path: Path) -> None:
    path = json_lines(
        tmp_path / "app.log", [{"time": iso(n), "msg": "started", "level": "info"} for n in range(3)]
    )
    with pytest.raises(InputError, match="is of no known format"):
        imported(path)


def test_objects_within_json_lines_are_named_with_the_command_that_flattens_them(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"timestamp": iso(n), "httpRequest": {"status": 200, "path": "/v1/chat"}} for n in range(3)
    ]
    path = json_lines(tmp_path / "gcp.log", rows)
    with pytest.raises(InputError, match=r"objects \(httpRequest\).*jq -c '. \+ .httpRequest'"):
        imported(path)
    flat = [row | row["httpRequest"] for row in rows]  # type: ignore[operator]  # as that command does
    assert imported(json_lines(tmp_path / "flat.jsonl", flat)).rates.total == 3


def test_haproxy_s_aborted_requests_are_failures_and_other_lines_are_left_out(tmp_path: Path) -> None:
    good = {"server": "eu/srv1", "timer": 69, "total": 109, "status": 200, "request": "GET /v1/chat HTTP/1.1"}
    lines = [
        HTTPLOG.format(minute=1, **good),
        HTTPLOG.format(minute=2, **{**good, "timer": -1, "total": "+5000", "status": 504}),
        HTTPLOG.format(minute=3, **{**good, "total": -1, "status": -1}),
        HTTPLOG.format(minute=4, server="in/<NOSRV>", timer=-1, total=5, status=400, request="<BADREQ>"),
        "Nov  1 00:05:00 lb haproxy[1]: Server eu/srv1 is DOWN",
    ]
    result = imported(logs.write(tmp_path / "h.log", lines))
    assert result.aggregates.failed == {"5xx": 1, "4xx": 1, "without an answer": 1}
    assert [left.count for left in result.aggregates.left_out.values()] == [1]
    assert median_ms(result) == 109
    assert result.rates.regions == ("eu",)


def test_haproxy_s_log_of_connections_is_refused_by_name(tmp_path: Path) -> None:
    line = "haproxy[1]: 10.0.1.2:3331 [01/Nov/2026:00:00:00.655] fnt bck/srv1 0/0/5007 212 -- 0/0/0/0/3 0/0"
    with pytest.raises(InputError, match=r"option tcplog.*option httplog"):
        imported(logs.write(tmp_path / "h.log", [line] * 3))


def test_istio_s_own_format_of_envoy(tmp_path: Path) -> None:
    line = (
        '[{time}] "GET /v1/chat HTTP/1.1" 200 - via_upstream - "-" 0 178 226 220 "-" "curl" "id" "host" '
        '"10.0.0.1:80" outbound|80||x 10.0.0.1:1 10.0.0.2:2 10.0.0.3:3 - default'
    )
    times = [iso(n).replace("+00:00", ".125Z") for n in range(3)]
    assert (
        median_ms(imported(logs.write(tmp_path / "i.log", [line.format(time=time) for time in times]))) == 220
    )


@pytest.mark.parametrize(
    ("between", "fields", "taken", "ms"),
    [
        ("\t", "date time x-edge-location c-ip cs-uri-stem sc-status time-taken", "0.250", 250),
        (" ", "date time c-ip cs-method cs-uri-stem sc-status sc-substatus time-taken", "250", 250),
    ],
)
def test_extended_logs_of_cloudfront_and_iis(
    between: str, fields: str, taken: str, ms: float, tmp_path: Path
) -> None:
    values = {
        "date": "2026-11-01",
        "x-edge-location": "LHR62-C2",
        "cs-uri-stem": "/v1/chat",
        "time-taken": taken,
    }
    rows = [
        between.join(
            {**values, "time": f"00:{n:02d}:00", "sc-status": status}.get(name, "-")
            for name in fields.split()
        )
        for n, status in enumerate(("200", "200", "000", "503"))
    ]
    result = imported(logs.write(tmp_path / "x.log", ["#Version: 1.0", f"#Fields: {fields}", *rows]))
    assert result.rates.total == 2
    assert result.aggregates.failed == {"5xx": 1, "without an answer": 1}
    assert not result.aggregates.left_out
    assert median_ms(result) == ms
    assert result.rates.origins == (("LHR",) if between == "\t" else ("here",))


def test_whole_numbers_behind_the_common_format_are_milliseconds_and_stated_seconds_are_not(
    tmp_path: Path,
) -> None:
    path = logs.write(
        tmp_path / "a.log", [f"{APACHE.format(stamp=clf(n), status=200)} request_time=250" for n in range(3)]
    )
    assert median_ms(imported(path)) == 250
    form = (
        '$remote_addr - - [$time_local] "$request" $status $body_bytes_sent "$http_referer" '
        '"$http_user_agent" request_time=$request_time'
    )
    assert median_ms(imported(path, log_format=form)) == pytest.approx(250_000, rel=2e-4)


def test_lines_in_two_formats_are_read_by_the_one_of_most_and_the_others_are_said(tmp_path: Path) -> None:
    other = '[2026-11-01T00:00:00Z] "GET / HTTP/2" 200 - 154 0 226 100 "-" "curl" "id" "host" "10.0.0.1:80"'
    lines = [APACHE.format(stamp=clf(n), status=200) if n % 3 else other for n in range(9)]
    result = imported(logs.write(tmp_path / "a.log", lines))
    assert result.rates.total == 6
    (left,) = result.aggregates.left_out.values()
    assert (left.count, left.example) == (3, other)


@pytest.mark.parametrize("name", ["requests_total", "vllm:request_success_total"])
def test_a_server_s_own_text_holds_running_totals_however_they_fall(name: str, tmp_path: Path) -> None:
    start = int(logs.START.timestamp())
    values = [1000, 2000, 100, 1100, 50, 60]
    lines = [f'{name}{{region="eu"}} {value} {start + 3600 * hour}' for hour, value in enumerate(values)]
    result = imported(logs.write(tmp_path / "m.txt", ["# TYPE requests counter", *lines]))
    assert result.rates.requests[:, 0].tolist() == [n * 1_000_000 for n in (1000, 100, 1000, 50, 10)]


def test_an_answer_that_may_be_a_total_or_steps_is_asked_about(tmp_path: Path) -> None:
    path = logs.prometheus(tmp_path / "p.json", [(TOTAL, [100, 200, 300, 50, 150])])
    with pytest.raises(InputError, match=r"in 25% of its steps.*--values counter, or count"):
        imported(path)
    assert imported(path, values="counter").rates.total == 100 + 100 + 50 + 100
    assert imported(path, values="count").rates.total == 800


def test_two_metrics_of_the_same_requests_are_asked_about(tmp_path: Path) -> None:
    other = {**TOTAL, "__name__": "vllm:request_success_total"}
    path = logs.prometheus(tmp_path / "p.json", [(TOTAL, [9, 8, 9]), (other, [7, 6, 7])])
    with pytest.raises(
        InputError, match=r"may both count the same requests.*--field requests=http_requests_total"
    ):
        imported(path)
    assert imported(path, fields={"requests": "http_requests_total"}).rates.total == 26
    with pytest.raises(InputError, match="there is no metric 'x'"):
        imported(path, fields={"requests": "x"})
    apart = logs.prometheus(tmp_path / "q.json", [(TOTAL, [9, 8, 9]), ({**other, "region": "us"}, [7, 6, 7])])
    assert imported(apart).rates.total == 46


def histogram(name: str, seconds: float) -> list[tuple[dict[str, str], list[float]]]:
    """Return 100 requests, half of them up to some seconds and all of them up to twice as many."""
    labels = {"__name__": f"{name}_bucket", "region": "eu"}
    ends = ((seconds, 50), (2 * seconds, 100), ("+Inf", 100))
    return [({**labels, "le": str(end)}, [0, 0, count]) for end, count in ends]


def test_times_of_a_part_of_a_request_are_no_service_times(tmp_path: Path) -> None:
    series: list[tuple[dict[str, str], list[float]]] = [
        (TOTAL, [5, 10, 15]),
        *histogram("vllm:e2e_request_latency_seconds", 4),
        *histogram("vllm:time_to_first_token_seconds", 0.1),
        *histogram("vllm:request_prompt_tokens", 100),
    ]
    (law,) = imported(logs.prometheus(tmp_path / "p.json", series)).services.values()
    assert "p50 = 4000" in law.basis
    both = logs.prometheus(
        tmp_path / "q.json", [*series, *histogram("vllm:request_inference_time_seconds", 3)]
    )
    with pytest.raises(InputError, match=r"several metrics may be the service time: .*--field service="):
        imported(both)
    (law,) = imported(both, fields={"service": "vllm:request_inference_time_seconds"}).services.values()
    assert "p50 = 3000" in law.basis


def hours(path: Path, header: str, row: str) -> Path:
    """Write five hours; `{n}` in a row is 1 to 5."""
    return logs.write(
        path, [header, *(f"2026-11-01T{n:02d}:00Z,{row.format(n=n, m=3 * n)}" for n in range(1, 6))]
    )


def test_the_sum_of_all_regions_is_no_region(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = [f"2026-11-01T{n:02d}:00Z,{n},{n + 7},{2 * n + 7}" for n in range(5)]
    result = imported(logs.write(path, ["time,eu,us,Total", *rows]))
    assert result.rates.regions == ("eu", "us")
    assert any("'Total' is the sum of the others" in note for note in result.notes)
    other = logs.write(path, ["time,eu,us,ap", *(row + "1" for row in rows)])
    assert imported(other).rates.regions == ("ap", "eu", "us")


def test_numbers_of_rows_are_no_region(tmp_path: Path) -> None:
    rows = [f"{n},2026-11-01T{n:02d}:00Z,{n + 1},{n + 2}" for n in range(5)]
    assert imported(logs.write(tmp_path / "t.csv", ["index,time,eu,us", *rows])).rates.regions == ("eu", "us")


def test_quantiles_per_hour_are_no_requests(tmp_path: Path) -> None:
    path = hours(tmp_path / "t.csv", "time,region,latency_p50_ms,latency_p95_ms", "eu,{n}0,{m}0")
    with pytest.raises(InputError, match="states no time of any request"):
        imported(path)
    means = hours(tmp_path / "m.csv", "time,region,avg_latency_ms", "eu,{n}0")
    with pytest.raises(InputError, match="is of no known format"):
        imported(means)


def test_a_table_of_one_row_is_read_where_its_span_is_stated(tmp_path: Path) -> None:
    path = logs.write(tmp_path / "t.csv", ["time,region,requests", "2026-11-01T00:00Z,eu,5"])
    with pytest.raises(InputError, match="state the span of a row: --window 1h"):
        imported(path)
    assert imported(path, window_us=3_600_000_000).rates.total == 5


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["time,region,requests"], "there is no data"),
        (
            ["time,region,requests", "11/01/2026 12:00 AM,eu,5"],
            "column 'time': found '11/01/2026 12:00 AM'; an ISO",
        ),
        (["time;region;requests", "2026-11-01;eu;5"], "fields are separated by ';'"),
        (
            ["time,requests", '2026-11-01T00:00Z,"1,100"', '2026-11-01T01:00Z,"1,200"'],
            "without marks of thousands",
        ),
        (["", "  "], "the file is empty"),
    ],
)
def test_tables_that_lack_one_thing_are_refused_with_it(lines: list[str], words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        imported(logs.write(tmp_path / "t.csv", lines))


@pytest.mark.parametrize(
    ("unit", "value", "per_s"), [("s", "0.25", 1), ("ms", "250", 1000), ("us", "250000", 10**6)]
)
def test_times_of_traces_are_in_the_unit_that_their_name_says(
    unit: str, value: str, per_s: int, tmp_path: Path
) -> None:
    start = int(logs.START.timestamp())
    rows = [f"{(start + 60 * n) * per_s},{value},200,/v1/chat" for n in range(3)]
    result = imported(logs.write(tmp_path / "t.csv", [f"timestamp,latency_{unit},status,path", *rows]))
    assert median_ms(result) == 250
    assert result.as_json()["last"] == "2026-11-01T00:02:00Z"


def test_a_benchmark_without_details_says_the_option_that_saves_them(tmp_path: Path) -> None:
    path = tmp_path / "v.json"
    path.write_text(
        json.dumps({"model_id": "llama", "tokenizer_id": "x", "date": "20261101", "duration": 9.5})
    )
    with pytest.raises(InputError, match="--save-detailed"):
        imported(path)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_fields_that_are_named_anew_within_a_log_are_those_of_the_lines_below(
    end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = "date time cs-uri-stem sc-status time-taken"
    other = "date time sc-status c-ip time-taken cs-uri-stem"
    lines = ["#Version: 1.0"]
    for hour, fields in enumerate([first, other, other, first]):
        lines += [f"#Fields: {fields}", "#Date: 2026-11-01"]
        values = {"date": "2026-11-01", "cs-uri-stem": "/v1/chat", "time-taken": "250", "c-ip": "1.1.1.1"}
        for minute, status in enumerate(("200", "503")):
            row = {**values, "time": f"0{hour}:{minute:02d}:00", "sc-status": status}
            lines.append(" ".join(row[name] for name in fields.split()))
    lines += [f"#Fields: {other}"]
    path = tmp_path / "x.log"
    path.write_bytes(end.join([*lines, ""]).encode())
    for size in (1 << 20, 200):
        monkeypatch.setattr("carbonroute.importing.format.BLOCK_BYTES", size)
        result = imported(path)
        assert result.rates.requests[:, 0].tolist() == [1_000_000] * 4
        assert result.aggregates.failed == {"5xx": 4}
        assert not result.aggregates.left_out
        assert median_ms(result) == 250
    path.write_bytes(end.join([*lines, "no line"]).encode())
    (left,) = imported(path).aggregates.left_out.values()
    assert (left.count, left.example) == (1, "no line")
    assert [int(str(one).rsplit(" ", 1)[-1]) for one in left.lines] == [len(lines) + 1]
