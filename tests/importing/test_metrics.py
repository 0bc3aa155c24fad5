"""Metrics: running totals and values of steps, buckets, quantiles, power; and text of a scrape."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from carbonroute.errors import InputError
from carbonroute.importing.importer import Import, import_files
from carbonroute.importing.laws import Z95
from carbonroute.importing.settings import ImportSettings
from helpers import logs
from helpers.logs import imported

TOTAL = {"__name__": "http_requests_total", "region": "eu", "model": "m"}


def hourly(result: Import, origin: str = "eu") -> list[float]:
    place = result.rates.origins.index(origin)
    return [count / 1e6 for count in result.rates.requests[:, place].tolist()]


def test_a_total_that_never_falls_counts_its_increase(tmp_path: Path) -> None:
    path = logs.prometheus(tmp_path / "p.json", [(TOTAL, [100, 110, 130, 130])])
    result = imported(path)
    assert hourly(result) == [10.0, 20.0, 0.0]  # from each sample to the next; the last one begins nothing
    assert any("running total" in said for said in result.notes)


def test_a_total_that_begins_again_counts_from_0(tmp_path: Path) -> None:
    values = [*range(1000, 1200, 10), 5, 25, *range(35, 300, 10)]
    result = imported(logs.prometheus(tmp_path / "p.json", [(TOTAL, values)]))
    assert hourly(result)[18:22] == [10.0, 5.0, 20.0, 10.0]


def test_values_that_fall_are_those_of_steps(tmp_path: Path) -> None:
    path = logs.prometheus(tmp_path / "p.json", [(TOTAL, [431, 427, 479])])
    result = imported(path)
    assert hourly(result) == [431.0, 427.0, 479.0]
    assert result.rates.start_us == logs.START.timestamp() * 1e6
    assert any("as increase() gives them" in said for said in result.notes)
    late = imported(path, stamp="end")
    assert late.rates.start_us == (logs.START.timestamp() - 3600) * 1e6
    assert hourly(imported(path, values="counter", gaps="zero")) == [427.0, 52.0]


def test_a_query_without_name_must_say_what_its_values_are(tmp_path: Path) -> None:
    path = logs.prometheus(tmp_path / "p.json", [({"region": "eu"}, [2.5, 1.5])])
    with pytest.raises(InputError, match=r"--values counter, count .* or rate"):
        imported(path)
    assert hourly(imported(path, values="rate")) == [9000.0, 5400.0]


def test_shorter_steps_are_added_up_and_pods_of_a_region_too(tmp_path: Path) -> None:
    path = logs.prometheus(
        tmp_path / "p.json",
        [
            ({**TOTAL, "pod": "a"}, [1, 2, 3, 2, 1, 1]),
            ({**TOTAL, "pod": "b"}, [10, 20, 10, 20, 10, 20]),
        ],
        step_s=1200,
    )
    assert hourly(imported(path)) == [46.0, 54.0]


def test_statuses_that_are_failures_are_counted_apart(tmp_path: Path) -> None:
    path = logs.prometheus(
        tmp_path / "p.json", [({**TOTAL, "code": "200"}, [9, 8]), ({**TOTAL, "code": "503"}, [1, 2])]
    )
    result = imported(path)
    assert hourly(result) == [9.0, 8.0]
    assert result.aggregates.failed == {"5xx": 3}


def test_values_that_are_not_finite_are_gaps_and_not_0(tmp_path: Path) -> None:
    path = logs.prometheus(tmp_path / "p.json", [(TOTAL, [9, "NaN", 5, "+Inf", 7])])
    with pytest.raises(
        InputError, match=r"from 2026-11-01T01:00:00Z on a row is missing \(eu, m\); .*--gaps"
    ):
        imported(path)
    assert hourly(imported(path, gaps="zero")) == [9.0, 0.0, 5.0, 0.0, 7.0]
    result = imported(path, gaps="interpolate")
    assert hourly(result) == [9.0, 7.0, 5.0, 6.0, 7.0]
    assert result.aggregates.left_out["values that are not finite"].count == 2
    assert any("by the rule 'interpolate'" in note for note in result.rates.notes)


def buckets(path: Path) -> Path:
    """Write totals, buckets of seconds and power: 100 requests, 50 below 1 s, 95 below 2 s, all below 4 s."""
    name = "request_duration_seconds_bucket"
    labels = {"__name__": name, "region": "eu", "model": "m"}
    ends = {"1": 50, "2": 95, "4": 100, "+Inf": 100}
    return logs.prometheus(
        path,
        [
            (TOTAL, [5, 65, 105]),
            *(({**labels, "le": end}, [7, 7 + count // 2, 7 + count]) for end, count in ends.items()),
            ({"__name__": "gpu_power_watts", "region": "eu", "model": "m"}, [500, 700, 650]),
        ],
    )


def test_buckets_give_quantiles_and_power_gives_energy(tmp_path: Path) -> None:
    result = imported(buckets(tmp_path / "p.json"))
    (service,) = result.services.values()
    sigma = np.log(2) / Z95
    assert service.entries["mean"] == pytest.approx(1000 * np.exp(sigma**2 / 2), rel=1e-5)
    # (500 W + 700 W) · 3600 s for 60 + 40 requests; 60 requests more per hour go with 200 W less
    assert result.energies["m"].average_j == pytest.approx(1200 * 3600 / 100)
    assert result.energies["m"].marginal_j is None  # two points are no slope
    assert result.aggregates.rows


def test_quantile_labels_give_the_median_over_time(tmp_path: Path) -> None:
    labels = {"__name__": "latency_ms", "region": "eu", "model": "m"}
    path = logs.prometheus(
        tmp_path / "p.json",
        [
            (TOTAL, [3, 4, 5, 4]),
            ({**labels, "quantile": "0.5"}, [100, 200, 300, 200]),
            ({**labels, "quantile": "0.95"}, [400, 400, "NaN", 500]),
        ],
    )
    (service,) = imported(path).services.values()
    sigma = np.log(400 / 200) / Z95
    assert service.entries["mean"] == pytest.approx(200 * np.exp(sigma**2 / 2), rel=1e-4)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"status": "error", "error": "timeout"}, r"the query failed \(timeout\)"),
        ({"status": "success", "data": {"resultType": "vector", "result": []}}, "query_range"),
        ({"status": "success", "data": {"resultType": "matrix", "result": []}}, "holds no series"),
        (
            {"data": {"resultType": "matrix", "result": [{"metric": {}, "values": [[1793491200]]}]}},
            r"data.result\[0\].values\[0\]: is no sample",
        ),
        (
            {"data": {"resultType": "matrix", "result": [{"metric": {}, "values": [[2, "1"], [1, "1"]]}]}},
            "in the order of time",
        ),
        (
            {
                "data": {
                    "resultType": "matrix",
                    "result": [{"metric": {"__name__": "queue_bytes"}, "values": [[1, "1"], [2, "1"]]}],
                }
            },
            "none of its metrics counts requests: queue_bytes",
        ),
    ],
)
def test_answers_that_hold_no_requests_are_refused(content: object, words: str, tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    text = json.dumps(content)
    path.write_text(text if "resultType" in text else text.replace("{", '{"resultType": 0, ', 1))
    with pytest.raises(InputError, match=words):
        imported(path)


def test_openmetrics_with_time_stamps_is_a_series(tmp_path: Path) -> None:
    start = int(logs.START.timestamp())
    lines = ["# HELP http_requests Requests.", "# TYPE http_requests counter"]
    for hour, value in enumerate([10, 30, 60]):
        lines.append(f'http_requests_total{{region="e\\"u",model="m"}} {value} {start + 3600 * hour}')
        lines.append(f'http_requests_created{{region="e\\"u",model="m"}} {start} {start + 3600 * hour}')
    result = imported(logs.write(tmp_path / "m.txt", [*lines, "# EOF"]))
    assert result.files[str(tmp_path / "m.txt")] == "openmetrics"
    assert hourly(result, 'e"u') == [20.0, 30.0]


def test_a_scrape_without_times_gives_quantiles_to_a_log(tmp_path: Path) -> None:
    scrape = logs.write(
        tmp_path / "m.prom",
        [
            "# TYPE request_seconds histogram",
            'request_seconds_bucket{le="1"} 50',
            'request_seconds_bucket{le="2"} 95',
            'request_seconds_bucket{le="+Inf"} 100',
        ],
    )
    with pytest.raises(InputError, match="states no time of any request"):
        imported(scrape)
    log = logs.write(
        tmp_path / "a.csv", ["time,region,requests", "2026-11-01T00:00Z,eu,5", "2026-11-01T01:00Z,eu,7"]
    )
    result = import_files([scrape, log], ImportSettings(), tmp_path / "s.toml")
    assert result.services["requests"].entries["law"] == "lognormal"
    assert hourly(result) == [5.0, 7.0]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('requests_total{region="eu" 5 1793491200', "line 2 is no sample"),
        ("requests_total{region=eu} 5 1793491200", "line 2: found 'region=eu'"),
        ('requests_total{region="eu"} five 1793491200', "line 2: found 'five'"),
        ('requests_total{region="eu"} 5', "no time stamps"),
    ],
)
def test_a_scrape_that_is_none_is_refused(line: str, words: str, tmp_path: Path) -> None:
    path = logs.write(tmp_path / "m.txt", ["# TYPE requests counter", line])
    with pytest.raises(InputError, match=words):
        imported(path)


def scrape(path: Path, name: str, values: list[float], kind: str = "", behind: str = "") -> Path:
    start = int(logs.START.timestamp())
    lines = [f'{name}{{region="eu"}} {v} {start + 3600 * hour}{behind}' for hour, v in enumerate(values)]
    return logs.write(path, [*([f"# TYPE {name} {kind}"] if kind else ()), *lines])


@pytest.mark.parametrize("name", ["nv_inference_request_success", "tgi_request_success", "requests"])
def test_a_counter_whose_name_does_not_say_so_is_no_number_per_step(name: str, tmp_path: Path) -> None:
    typed = scrape(tmp_path / "typed.txt", name, [100, 110, 130], "counter")
    assert hourly(imported(typed)) == [10.0, 20.0]
    if name == "requests":
        return
    bare = scrape(tmp_path / "bare.txt", name, [100, 110, 130])
    answer = logs.prometheus(tmp_path / "p.json", [({"__name__": name, "region": "eu"}, [100, 110, 130])])
    for path in (bare, answer):
        assert hourly(imported(path)) == [10.0, 20.0]
        assert hourly(imported(path, values="count")) == [100.0, 110.0, 130.0]


@pytest.mark.parametrize("values", [[0, 5, 9], [10, 50, 100], list(range(1000, 1024))])
def test_values_of_another_name_that_rise_as_none_per_step_do_are_asked_about(
    values: list[int], tmp_path: Path
) -> None:
    labels = {"__name__": "requests_seen", "region": "eu"}
    path = logs.prometheus(tmp_path / "p.json", [(labels, values)])
    with pytest.raises(InputError, match=r"requests_seen never falls.*--values counter, or count"):
        imported(path)
    assert sum(hourly(imported(path, values="counter"))) == values[-1] - values[0]
    assert sum(hourly(imported(path, values="count"))) == sum(values)


@pytest.mark.parametrize("values", [[100, 110, 90], [100, 100, 100], [100, 110, 130]])
def test_values_that_fall_or_rise_a_little_are_those_of_steps_whatever_their_name(
    values: list[int], tmp_path: Path
) -> None:
    labels = {"__name__": "requests_by_hour", "region": "eu"}
    assert hourly(imported(logs.prometheus(tmp_path / "p.json", [(labels, values)]))) == values


@pytest.mark.parametrize(
    "name", ["job:http_requests:rate5m", "requests_per_second", "http_requests_rps", "job:requests:irate1m"]
)
def test_a_name_that_is_that_of_a_rate_has_requests_per_second(name: str, tmp_path: Path) -> None:
    path = logs.prometheus(tmp_path / "p.json", [({"__name__": name, "region": "eu"}, [2.5, 1.5])])
    assert hourly(imported(path)) == [9000.0, 5400.0]
    assert hourly(imported(path, values="count")) == [2.5, 1.5]


def test_names_with_a_rate_within_a_word_are_none_of_a_rate(tmp_path: Path) -> None:
    labels = {"__name__": "generate_requests", "region": "eu"}
    assert hourly(imported(logs.prometheus(tmp_path / "p.json", [(labels, [7, 5])]))) == [7.0, 5.0]


def test_an_exemplar_behind_a_sample_is_no_label(tmp_path: Path) -> None:
    exemplar = ' # {trace_id="a}b"} 0.67 1793491200.5'
    path = scrape(tmp_path / "m.txt", "http_requests_total", [0, 5, 9], behind=exemplar)
    assert hourly(imported(path)) == [5.0, 4.0]
    start = int(logs.START.timestamp())
    odd = [f'http_requests_total{{region="e }} \\"u"}} {n} {start + 3600 * n}' for n in range(3)]
    assert imported(logs.write(tmp_path / "odd.txt", odd)).rates.origins == ('e } "u',)


def test_copies_of_two_servers_of_prometheus_are_counted_once(tmp_path: Path) -> None:
    whole: tuple[dict[str, str], list[object]] = ({**TOTAL, "prometheus_replica": "a"}, [0, 10, 30])
    part: tuple[dict[str, str], list[object]] = ({**TOTAL, "prometheus_replica": "b"}, [0, "NaN", 30])
    for series in ([whole, part], [part, whole]):
        result = imported(logs.prometheus(tmp_path / "p.json", series))
        assert hourly(result) == [10.0, 20.0]
        assert any("1 series are copies that another prometheus_replica measured" in n for n in result.notes)
    pods = [({**TOTAL, "replica": pod}, [0, 10, 30]) for pod in "ab"]
    assert hourly(imported(logs.prometheus(tmp_path / "p.json", pods))) == [20.0, 40.0]


def test_native_histograms_a_failed_query_and_milliseconds(tmp_path: Path) -> None:
    native = {"metric": TOTAL, "histograms": [[1793491200, {"count": "1", "sum": "1"}]]}
    answer = {"status": "success", "data": {"resultType": "matrix", "result": [native]}}
    (tmp_path / "n.json").write_text(json.dumps(answer), encoding="utf-8")
    with pytest.raises(InputError, match=r"holds native histograms; query numbers: histogram_count"):
        imported(tmp_path / "n.json")
    failed = {"status": "error", "errorType": "timeout", "error": "query timed out"}
    (tmp_path / "f.json").write_text(json.dumps(failed), encoding="utf-8")
    with pytest.raises(InputError, match=r"the query failed \(query timed out\)"):
        imported(tmp_path / "f.json")
    path = logs.prometheus(tmp_path / "p.json", [(TOTAL, [0, 10, 30])])
    answer = json.loads(path.read_text())
    answer["data"]["result"][0]["values"] = [[t * 1000, v] for t, v in answer["data"]["result"][0]["values"]]
    path.write_text(json.dumps(answer), encoding="utf-8")
    assert hourly(imported(path)) == [10.0, 20.0]
