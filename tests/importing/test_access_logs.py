"""Access logs of each server: what is read from their lines, and what is left out."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from carbonroute.errors import InputError
from helpers import logs
from helpers.logs import hourly, imported

ENVOY = (
    '[{time}] "POST {path} HTTP/2" {status} - 154 100 {ms} {upstream} "10.0.35.28" "curl/8" '
    '"cc21d9b0" "chat.example" "10.0.2.1:80"'
)
HAPROXY = (
    "Nov  1 00:00:00 lb haproxy[14389]: 10.0.1.2:33317 [01/Nov/2026:{clock}.655] in {backend}/srv1 "
    '10/0/30/69/{total} {status} 2750 - - ---- 1/1/1/1/0 0/0 {{1wt.eu}} {{}} "GET /v1/chat?x=1 HTTP/1.1"'
)
ALB = (
    "https 2026-11-01T00:{minute:02d}:00.186641Z app/lb/50dc6c495c0c9188 192.168.131.39:2817 10.0.0.1:80 "
    '0.086 {seconds} 0.037 {status} {status} 0 57 "GET https://a:443/v1/chat?q=1 HTTP/1.1" "curl (x)" '
    "ECDHE TLSv1.2 arn:aws:elasticloadbalancing:{region}:123456789012:targetgroup/t/73e2d6bc24d8a067 "
    '"Root=1-58337262" "-" "-" 0 2026-11-01T00:00:00.000000Z "forward" "-" "-" "10.0.0.1:80" "200" "-" "-"'
)


def test_nginx_counts_by_region_and_hour_and_measures_answered_requests(tmp_path: Path) -> None:
    lines = [
        logs.nginx_line(1, seconds=1.0),
        logs.nginx_line(59.9, seconds=2.0, path="/v1/chat/completions?stream=1"),
        logs.nginx_line(61, seconds=3.0, region="us"),
        logs.nginx_line(61, seconds=9.0, region="us", status=502),
        logs.nginx_line(61, seconds=9.0, region="us", status=429),
    ]
    result = imported(logs.write(tmp_path / "a.log", lines))
    assert result.files == {str(tmp_path / "a.log"): "nginx"}
    assert hourly(result) == {"eu": [2.0, 0.0], "us": [0.0, 1.0]}
    assert result.aggregates.failed == {"5xx": 1, "4xx": 1}
    (sketch,) = result.aggregates.service.values()
    assert sketch.quantiles([0.1, 0.5, 1.0]).tolist() == [1000, 2000, 3000]
    assert list(result.services) == ["/v1/chat/completions"]


def test_the_offset_of_a_stamp_counts(tmp_path: Path) -> None:
    lines = [logs.nginx_line(30, zone_hours=5), logs.nginx_line(90, zone_hours=-7)]
    result = imported(logs.write(tmp_path / "a.log", lines))
    assert hourly(result) == {"eu": [1.0, 1.0]}
    assert result.as_json()["first"] == "2026-11-01T00:30:00Z"


def test_lines_of_another_layout_are_left_out_with_their_numbers(tmp_path: Path) -> None:
    lines = [
        logs.nginx_line(0),
        'torn "line',
        logs.nginx_line(1),
        "",
        logs.nginx_line(2).replace("[01/Nov", "[41/Nov"),
        logs.nginx_line(3).replace("curl/8", "two words \x1b[31m"),
        logs.nginx_line(4) + " more=1",
        logs.nginx_line(5).replace(" region=eu", ""),
        logs.nginx_line(6).replace(" rt=", " ut="),
    ]
    result = imported(logs.write(tmp_path / "a.log", lines))
    left = result.aggregates.left_out
    name = str(tmp_path / "a.log")
    assert result.rates.total == 3
    assert left["not as nginx lays out a line"].count == 4
    assert left["not as nginx lays out a line"].lines == [f"{name}: line {n}" for n in (2, 7, 8)]
    assert left["not as nginx lays out a line"].example == 'torn "line'
    assert left["the time cannot be read"].lines == [f"{name}: line 5"]
    assert result.aggregates.read == 8


def test_a_literal_of_a_log_format_must_stand_in_the_line(tmp_path: Path) -> None:
    lines = [f"v{n} {logs.START.isoformat()} /a" for n in (1, 2)]
    result = imported(logs.write(tmp_path / "a.log", lines), log_format="v1 $time_iso8601 $uri")
    assert result.rates.total == 1
    assert result.aggregates.left_out["not as nginx lays out a line"].example.startswith("v2 ")


def test_a_log_format_is_followed(tmp_path: Path) -> None:
    form = (
        '$remote_addr [$time_iso8601] $http_host "$request_method $uri" $status $request_time '
        "${dc}|$upstream_response_time"
    )
    lines = [
        '10.0.0.1 [2026-11-01T02:00:01+02:00] h "GET /a" 200 0.500 eu|0.250',
        '10.0.0.1 [2026-11-01T02:00:01+02:00] h "GET /b" 200 0.500 us|-',
    ]
    result = imported(logs.write(tmp_path / "a.log", lines), log_format=form)
    assert hourly(result) == {"eu": [1.0], "us": [1.0]}
    assert result.aggregates.service["/a"].quantile(0.5) == 250.0  # the server's own time, not the whole
    assert result.aggregates.without_service == 1


@pytest.mark.parametrize("behind", [" $region", ""])
def test_a_value_for_each_server_that_was_tried_moves_no_other_value(tmp_path: Path, behind: str) -> None:
    form = f"$time_iso8601 $status $uri $dc $upstream_response_time{behind}"
    tries = ["0.250", "9.000, 0.250", "9.000 : 0.250", "9.000, 8.000 : 0.250", "-"]
    ending = " eu" if behind else ""
    lines = [f"2026-11-01T00:00:01Z 200 /a eu {times}{ending}" for times in tries]
    result = imported(logs.write(tmp_path / "a.log", lines), log_format=form)
    assert hourly(result) == {"eu": [5.0]}
    assert (
        result.aggregates.service["/a"].quantile(0.01)
        == result.aggregates.service["/a"].quantile(0.99)
        == 250.0
    )
    assert result.aggregates.without_service == 1


def test_a_line_with_more_cells_than_its_layout_is_left_out(tmp_path: Path) -> None:
    lines = [logs.nginx_line(0), logs.nginx_line(1).replace("region=", "x y region=")]
    result = imported(logs.write(tmp_path / "a.log", lines))
    assert result.rates.total == 1
    assert result.aggregates.left_out["not as nginx lays out a line"].count == 1


def test_a_layout_that_is_no_cells_is_read_by_the_expression(tmp_path: Path) -> None:
    form = "$time_iso8601;$status;$request_time;$uri;$region"
    lines = ["2026-11-01T00:00:01Z;200;0.5;/a b;eu", "2026-11-01T00:00:01Z;200;0.25;/a;eu", "nothing"]
    result = imported(logs.write(tmp_path / "a.log", lines), log_format=form)
    assert result.rates.total == 1
    assert result.aggregates.left_out["not as nginx lays out a line"].count == 2


def test_times_in_seconds_since_1970_and_milliseconds_of_service(tmp_path: Path) -> None:
    lines = [f"{logs.START.timestamp() + 0.5:.3f} 200 1250 /a"]
    result = imported(
        logs.write(tmp_path / "a.log", lines),
        log_format="$msec $status $duration $uri",
    )
    assert result.aggregates.service["/a"].quantile(0.5) == 1250.0
    assert result.rates.start_us == logs.START.timestamp() * 1e6


def test_what_stands_behind_a_known_format_is_asked(tmp_path: Path) -> None:
    line = logs.nginx_line(0).replace(" rt=1.000 region=eu", " 0.123")
    with pytest.raises(InputError, match=r"'0.123' stands behind the combined format; .*--log-format"):
        imported(logs.write(tmp_path / "a.log", [line]))


def test_workloads_are_those_of_the_patterns_and_others_are_left_out(tmp_path: Path) -> None:
    paths = ["/v1/chat/completions", "/v1/chat/x", "/v1/embeddings", "/healthz"]
    path = logs.write(tmp_path / "a.log", [logs.nginx_line(0, path=path) for path in paths])
    result = imported(path, workloads=(("/v1/chat/*", "chat"), ("/v1/emb*", "embed")))
    assert result.rates.of_workload == {"chat": 2_000_000, "embed": 1_000_000}
    assert result.aggregates.left_out["no --workload pattern matches"].count == 1


def test_more_paths_than_can_be_workloads_are_refused(tmp_path: Path) -> None:
    lines = [logs.nginx_line(0, path=f"/threads/{n}") for n in range(201)]
    with pytest.raises(InputError, match=r"more than 200 workloads.*--workload '/v1/chat/\*=chat'"):
        imported(logs.write(tmp_path / "a.log", lines))


def test_envoy(tmp_path: Path) -> None:
    lines = [
        ENVOY.format(time="2026-11-01T00:00:01.310Z", path="/v1/chat", status=200, ms=226, upstream=200),
        ENVOY.format(time="2026-11-01T00:59:59.999Z", path="/v1/chat", status=503, ms=3, upstream="-"),
        ENVOY.format(time="2026-11-01T01:00:00.000Z", path="/v1/chat", status=0, ms=3, upstream="-"),
        ENVOY.format(time="2026-11-01T01:00:00.000Z", path="/v1/chat", status=200, ms=300, upstream="-"),
    ]
    result = imported(logs.write(tmp_path / "a.log", lines), region="eu")
    assert result.files[str(tmp_path / "a.log")] == "envoy"
    assert hourly(result) == {"eu": [1.0, 1.0]}
    assert result.aggregates.failed == {"5xx": 1, "without an answer": 1}
    assert result.aggregates.service["/v1/chat"].quantile(1) == 200.0


def test_envoy_with_a_format_of_its_own(tmp_path: Path) -> None:
    form = '%START_TIME% %RESPONSE_CODE% %DURATION% %REQ(X-REGION)% "%REQ(:PATH)%"'
    lines = ['2026-11-01T00:00:01.310Z 200 40 us "/v1/chat?x"']
    result = imported(logs.write(tmp_path / "a.log", lines), log_format=form, fields={"region": "x-region"})
    assert hourly(result) == {"us": [1.0]}
    assert result.aggregates.service["/v1/chat"].quantile(1) == 40.0


def test_haproxy(tmp_path: Path) -> None:
    lines = [
        HAPROXY.format(clock="02:14:14", backend="eu", total=109, status=200),
        HAPROXY.format(clock="02:15:14", backend="us", total=250, status=200),
        HAPROXY.format(clock="02:15:15", backend="us", total=-1, status=-1),
    ]
    result = imported(logs.write(tmp_path / "a.log", lines), time_zone="Europe/Berlin")
    assert hourly(result) == {"eu": [1.0], "us": [1.0]}
    assert result.as_json()["first"] == "2026-11-01T01:14:14Z"  # winter time since 01:00 UTC of 25 October
    assert result.aggregates.service["/v1/chat"].quantiles([0.1, 1]).tolist() == [109, 250]
    assert result.aggregates.failed == {"without an answer": 1}


def test_alb(tmp_path: Path) -> None:
    lines = [
        ALB.format(minute=1, seconds=0.048, status=200, region="eu-west-1"),
        ALB.format(minute=2, seconds=-1, status=504, region="us-east-1"),
        ALB.format(minute=3, seconds=0.25, status=200, region="us-east-1") + ' "-" TID_1 new',
    ]
    result = imported(logs.write(tmp_path / "a.log", lines))
    assert hourly(result) == {"eu-west-1": [1.0], "us-east-1": [1.0]}
    assert result.aggregates.service["/v1/chat"].quantiles([0.1, 1]).tolist() == [48, 250]
    assert result.aggregates.failed == {"5xx": 1}


def test_a_packed_log_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    text = "\ufeff" + "\r\n".join([logs.nginx_line(0), logs.nginx_line(1)]) + "\r\n"
    path = tmp_path / "a.log.gz"
    path.write_bytes(gzip.compress(text.encode()))
    assert imported(path).rates.total == 2


def test_bytes_that_are_no_utf_8_spoil_one_field_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(logs.nginx_line(0).replace("curl", "c\xff").encode("latin-1") + b"\n")
    assert imported(path).rates.total == 1


def test_blocks_end_where_lines_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [logs.nginx_line(n / 10, seconds=1 + n / 100) for n in range(120)]
    lines[71] = "nothing of nginx"
    path = logs.write(tmp_path / "a.log", lines)
    whole = imported(path)
    monkeypatch.setattr("carbonroute.importing.format.BLOCK_BYTES", 1000)
    monkeypatch.setattr("carbonroute.importing.format.BLOCK_BYTES", 100)  # some blocks end within a line
    assert imported(path).scenario.files == whole.scenario.files
    small = imported(path)
    assert small.scenario.files == whole.scenario.files
    assert small.as_json() == whole.as_json()
    assert whole.aggregates.left_out["not as nginx lays out a line"].lines == [f"{path}: line 72"]


def test_a_line_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("carbonroute.importing.format.BLOCK_BYTES", 1000)
    monkeypatch.setattr("carbonroute.importing.format.MAX_LINE_BYTES", 2000)
    path = tmp_path / "a.log"
    path.write_text(f"{logs.nginx_line(0)}\n" * 2 + "x" * 5000)
    with pytest.raises(InputError, match="line 3 has more than 2,000 bytes"):
        imported(path)
