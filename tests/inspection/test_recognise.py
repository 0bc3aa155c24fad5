"""Every kind of file is told from the others, and what cannot be told is refused in so many words."""

from __future__ import annotations

from pathlib import Path

import pytest

from carbonroute.errors import InputError
from carbonroute.inspection import Kind
from carbonroute.inspection.recognise import Recognised, recognised
from helpers import samples

EXPECTED = {
    "wide": ("carbon", "wide"),
    "long": ("carbon", "long"),
    "parquet": ("carbon", "long"),
    "electricity-maps": ("carbon", "electricity-maps"),
    "watttime json": ("carbon", "watttime"),
    "watttime csv": ("carbon", "watttime"),
    "carbon-aware-sdk": ("carbon", "carbon-aware-sdk"),
    "neso": ("carbon", "neso"),
    "eia-fuel-mix": ("carbon", "eia-fuel-mix"),
}


def known(path: Path, kind: Kind | None = None) -> Recognised:
    return recognised(path, path.name, kind)


@pytest.mark.parametrize("name", samples.CARBON)
def test_carbon_formats(name: str, tmp_path: Path) -> None:
    found = known(samples.CARBON[name](tmp_path))
    assert (found.reader.kind, found.recognition.format) == EXPECTED[name]


def test_columns_of_a_long_table(tmp_path: Path) -> None:
    found = known(samples.long(tmp_path))
    assert found.recognition.columns == {
        "time": "when",
        "zone": "area",
        "value": "carbon",
    }
    assert found.recognition.lists["further columns of words"] == ("kind",)


def test_a_reader_that_is_less_sure_leaves_a_comment(tmp_path: Path) -> None:
    path = tmp_path / "both.csv"
    rows = [f"2021-01-01T{hour:02}:00Z,A,400,1,2" for hour in range(24)]
    path.write_text("\n".join(["time,zone,carbon,COL,NG", *rows]), encoding="utf-8")
    found = known(path)
    assert (found.recognition.format, found.recognition.lists["fuels"]) == ("long", ("COL", "NG"))
    assert '# columns of fuels are there too, for kind = "eia-fuel-mix": "COL", "NG"' in (
        found.inspection().suggestion
    )


def test_forecasts(tmp_path: Path) -> None:
    found = known(samples.forecast(tmp_path))
    assert (found.reader.kind, found.recognition.format) == ("carbon", "forecast")
    assert found.recognition.columns == {
        "issue": "issue",
        "lead": "lead_h",
        "zone": "zone",
        "value": "forecast",
        "actual": "actual",
    }


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        (
            "csv",
            {
                "time": "TIMESTAMP",
                "prompt tokens": "ContextTokens",
                "answer tokens": "GeneratedTokens",
            },
        ),
        (
            "jsonl",
            {"time": "arrived_at", "service time": "latency", "workload": "model"},
        ),
        ("parquet", {"time": "request_time", "prompt tokens": "input_tokens"}),
    ],
)
def test_logs(name: str, columns: dict[str, str], tmp_path: Path) -> None:
    found = known(samples.TRAFFIC[name](tmp_path))
    assert (found.reader.kind, dict(found.recognition.columns)) == ("traffic", columns)


def test_rates_and_matrices(tmp_path: Path) -> None:
    assert known(samples.rates(tmp_path)).recognition.lists == {"rates": ("0", "1")}
    assert known(samples.matrix(tmp_path)).recognition.lists["columns"] == ("West", "East", "A", "B")
    assert known(samples.rates(tmp_path)).reader.kind == "rates"
    assert known(samples.matrix(tmp_path)).reader.kind == "rtt"


def test_a_table_of_something_else_is_not_taken_for_anything(tmp_path: Path) -> None:
    path = tmp_path / "power.csv"
    path.write_text("system,model,watts\nbig,bert,1859.5\nsmall,bert,11\n", encoding="utf-8")
    with pytest.raises(
        InputError, match="cannot tell what this is: columns 'system', 'model', 'watts'"
    ) as error:
        known(path)
    for kind in ("carbon", "traffic", "rates", "rtt", "--as"):
        assert kind in str(error.value)


def test_a_kind_that_is_forced_is_all_that_is_looked_for(tmp_path: Path) -> None:
    path = samples.wide(tmp_path)
    assert known(path, "rates").recognition.columns == {"time": "time"}
    assert known(path, "traffic").recognition.format == "log"
    with pytest.raises(InputError, match="as rtt, a first column that names"):
        known(path, "rtt")
    with pytest.raises(InputError, match="this JSON is nothing that is known"):
        known(samples.neso(tmp_path), "traffic")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.csv", b"", "is no table|there is no data"),
        ("header.csv", b"time,A\n", "there is no data"),
        ("bad.parquet", b"PAR1 and nothing else", "is not a Parquet file"),
        ("bad.csv.gz", b"\x1f\x8b broken", "is not a complete gzip file"),
        ("bytes.csv", b"time,A\n\xff\xfe,1\n", "is not UTF-8"),
        ("list.json", b"[1, 2]", "this JSON is nothing that is known"),
    ],
)
def test_what_cannot_be_read_is_refused(name: str, content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=reason):
        known(tmp_path / name)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for name in ("none.csv", "none.parquet", "none.json"):
        with pytest.raises(InputError, match=name):
            known(tmp_path / name)
