"""Carbon intensities are not taken for requests; a table that may hold either is asked about."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from carbonroute.cli import main
from carbonroute.errors import InputError
from helpers import logs
from helpers.logs import imported


def table(path: Path, header: str, *cells: str) -> Path:
    """Write three hours; `{n}` in a cell is 0, 1, 2."""
    rows = [",".join([f"2026-11-01T{n:02d}:00Z", *(cell.format(n=n) for cell in cells)]) for n in range(3)]
    return logs.write(path, [header, *rows])


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("time,DE,FR,PL", ("35{n}", "6{n}", "70{n}")),
        ("time,US-CAL-CISO,DK-DK1", ("20{n}.5", "10{n}")),
        ("time,zone,value", ("DE", "35{n}")),
        ("time,DE gCO2/kWh", ("35{n}",)),
        ("timestamp,region,carbon_intensity", ("eu", "35{n}")),
        ("time,zone,value,status", ("DE", "35{n}", "estimated")),
    ],
)
def test_a_sign_of_carbon_is_refused_and_the_remedy_reads_it(
    header: str, cells: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = table(tmp_path / "t.csv", header, *cells)
    with pytest.raises(InputError, match=r"looks like carbon intensities \(file\).*carbonroute inspect"):
        imported(path)
    assert main(["inspect", str(path)]) == 0
    assert "[carbon]" in capsys.readouterr().out


def test_numbers_that_are_not_whole_are_asked_about_and_either_remedy_works(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = table(tmp_path / "t.csv", "time,germany,france", "350.{n}5", "61.{n}5")
    with pytest.raises(InputError, match=r"'germany', 'france' are not whole.*--unit requests.*--as carbon"):
        imported(path)
    assert main(["inspect", str(path), "--as", "carbon"]) == 0
    assert "[carbon]" in capsys.readouterr().out
    total = sum(350.05 + n / 10 + 61.05 + n / 10 for n in range(3))
    assert imported(path, unit="requests/h").rates.total == pytest.approx(total)
    assert imported(path, unit="requests/min").rates.total == pytest.approx(60 * total)


def test_requests_of_regions_called_as_grids_are_read_where_the_unit_is_stated(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", "time,DE,FR", "35{n}", "6{n}")
    assert imported(path, unit="requests").rates.total == 350 + 351 + 352 + 60 + 61 + 62


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("time,eu-west-1,us-east-1", ("35{n}", "6{n}")),
        ("time,zone,requests", ("DE", "35{n}")),
        ("time,zone,rps", ("DE", "0.{n}5")),
        ("time,eu,value", ("a", "5{n}")),
        ("time,DE,p95_ms,requests", ("1", "80.5", "5{n}")),
    ],
)
def test_tables_of_requests_are_not_asked_about(header: str, cells: tuple[str, ...], tmp_path: Path) -> None:
    assert imported(table(tmp_path / "t.csv", header, *cells)).rates.total > 0


def test_the_answer_of_a_carbon_interface_is_named(tmp_path: Path) -> None:
    hours = [
        {"zone": "DE", "carbonIntensity": 300, "datetime": f"2026-11-01T{hour:02d}:00:00.000Z"}
        for hour in range(3)
    ]
    path = tmp_path / "em.json"
    path.write_text(json.dumps({"zone": "DE", "history": hours}))
    with pytest.raises(InputError, match=r"carbon intensities \(electricity-maps\).*carbonroute inspect"):
        imported(path)
