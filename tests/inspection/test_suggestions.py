"""The suggested lines, with what they leave open filled in, make a scenario that reads the file."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from carbonroute.arrays import Array
from carbonroute.inspection import inspect_file
from carbonroute.scenario import Inputs, load, resolve
from helpers import samples, small
from helpers.mutations import filled


def with_rules(suggestion: str) -> str:
    """Take up the rules that fill or delete, which are comments."""
    return re.sub(r"^# (gaps|spikes|duplicates|absurd) = ", r"\1 = ", suggestion, flags=re.MULTILINE)


def resolved(folder: Path, *changes: small.Change) -> Inputs:
    return resolve(load(small.write(folder, *changes)))


CARBON = "[carbon]\n" + small.SYNTHETIC
TRAFFIC = '[traffic]\nkind = "fixed-rate"\nrequests_per_hour = 50\n'
RTT = "[network]\njitter_std_ms = 3\n[network.rtt_ms]\nWest = { A = 5, B = 65 }\nEast = { A = 80, B = 10 }\n"
ONE_ZONE = {"watttime json": "A", "watttime csv": "A", "neso": "GB"}


def read_as_suggested(name: str, path: Path) -> Array:
    """Return the carbon of a scenario with the lines that are suggested for a sample, g/kWh, shape (H, R)."""
    changes = [(CARBON, filled(inspect_file(path).suggestion) + "\n")]
    if zone := ONE_ZONE.get(name):
        changes += [(f'name = "{region}"\n', f'name = "{region}"\nzone = "{zone}"\n') for region in "AB"]
    return resolved(path.parent, *changes).carbon.g_per_kwh


@pytest.mark.parametrize("name", samples.CARBON)
def test_carbon(name: str, tmp_path: Path) -> None:
    found = read_as_suggested(name, samples.CARBON[name](tmp_path))
    zones = (0, 0) if name in ONE_ZONE else (0, 1)
    expected = [[samples.value(zone, hour) for zone in zones] for hour in range(6)]
    if name == "eia-fuel-mix":
        expected = [[500.0, 500.0]] * 6  # every fuel was given the same factor
    assert found == pytest.approx(np.array(expected))


@pytest.mark.parametrize("above", ["# exported by X\n", "Source: X\n\nLicence: none\n"])
@pytest.mark.parametrize("name", ["wide", "long", "electricity-maps", "watttime csv", "eia-fuel-mix"])
def test_carbon_below_other_lines(name: str, above: str, tmp_path: Path) -> None:
    path = samples.CARBON[name](tmp_path)
    plain = read_as_suggested(name, path)
    path.write_text(above + path.read_text(encoding="utf-8"), encoding="utf-8")
    assert f"skip_rows = {above.count(chr(10))}\n" in inspect_file(path).suggestion + "\n"
    assert read_as_suggested(name, path).tolist() == plain.tolist()


def test_a_unit_is_never_guessed_but_read_where_a_name_states_it(tmp_path: Path) -> None:
    assert 'unit = "g/kWh"' in inspect_file(samples.parquet(tmp_path)).suggestion
    for sample in (samples.wide, samples.long):
        assert 'unit = "TODO: one of g/kWh' in inspect_file(sample(tmp_path)).suggestion


def test_rules_for_what_was_found(tmp_path: Path) -> None:
    """A gap of three hours, a spike, a row that stands twice and a word: all dealt with, and none refused."""
    path = samples.wide(tmp_path)
    lines = path.read_text(encoding="utf-8").splitlines()
    wild = [line.split(",") for line in lines]
    for i, row in enumerate(wild[1:]):
        row[1:] = [str(400 + i % 3 + column) for column in range(4)]
    wild[16][1] = "44"  # 15:00
    wild[21][1:] = ["", "", "", ""]
    wild[22][1:] = ["-5", "x", "", ""]
    del wild[23]
    wild.append(wild[-1])
    path.write_text("\n".join(map(",".join, wild)) + "\n", encoding="utf-8")
    found = inspect_file(path)
    assert not {"gaps", "spikes", "absurd"} & set(tomllib.loads(found.suggestion)["carbon"])
    suggestion = with_rules(found.suggestion)
    read = tomllib.loads(suggestion)["carbon"]
    assert read["gaps"] == "interpolate:3h"
    assert read["spikes"] == "remove:40"
    assert read["duplicates"] == "first"
    assert read["absurd"] == "missing"
    said = " ".join(found.findings)
    assert (
        "2 values that are no carbon intensity: line 23, zone A_direct: '-5', line 23, zone A_life: 'x'"
        in said
    )
    assert "4 further rows for a zone and time that has one" in said
    assert "1 spikes" in said
    assert "A_direct 2021-01-01T15:00Z at 44" in said
    known = ('service_time = "mean"', 'service_time = "mean"\ncarbon_missing = "last:6h"')
    changes = ((CARBON, filled(suggestion) + "\n"), ("hours = 6", "hours = 29"), known)
    carbon = resolved(tmp_path, *changes).carbon
    assert carbon.g_per_kwh.shape == (29, 2)
    assert carbon.g_per_kwh.min() >= 400


def test_forecasts_beside_their_numbers(tmp_path: Path) -> None:
    numbers, forecasts = (inspect_file(sample(tmp_path)) for sample in (samples.wide, samples.forecast))
    lines = filled(numbers.suggestion) + "\n" + filled(forecasts.suggestion) + "\n"
    reads = ('service_time = "mean"', 'service_time = "mean"\ncarbon = "forecast"')
    inputs = resolved(tmp_path, (CARBON, lines), reads)
    known = inputs.candidates[1].knowledge.g_per_kwh
    assert known[0].tolist() == [samples.value(0, 0) + 10, samples.value(1, 0) + 10]
    row = forecasts.table.row(0, named=True)
    assert (row["rows"], row["repeated"]) == (96, 0)
    assert (row["issues"], row["longest_lead_hours"], row["bias"], row["mean_absolute_error"]) == (
        2,
        47,
        10,
        10,
    )


def test_a_later_issue_under_an_earlier_time_does_not_look_ahead(tmp_path: Path) -> None:
    path = samples.forecast(tmp_path)
    header, *rows = path.read_text(encoding="utf-8").splitlines()
    first, second = sorted({row[:10] for row in rows})
    later = [row.rpartition(",")[0].replace(second, first) + ",9" for row in rows if row.startswith(second)]
    path.write_text("\n".join([header, *rows, *later]) + "\n", encoding="utf-8")
    found = inspect_file(path)
    assert "duplicates" not in tomllib.loads(found.suggestion)["carbon"]["forecast"]
    suggestion = with_rules(found.suggestion)
    assert tomllib.loads(suggestion)["carbon"]["forecast"]["duplicates"] == "first"
    assert any("96 rows repeat an issue and lead: check which copy is its own" in f for f in found.findings)
    numbers = inspect_file(samples.wide(tmp_path)).suggestion
    lines = filled(numbers) + "\n" + filled(suggestion) + "\n"
    reads = ('service_time = "mean"', 'service_time = "mean"\ncarbon = "forecast"')
    known = resolved(tmp_path, (CARBON, lines), reads).candidates[1].knowledge.g_per_kwh
    assert known[0].tolist() == [samples.value(0, 0) + 10, samples.value(1, 0) + 10]


@pytest.mark.parametrize("name", samples.TRAFFIC)
def test_logs(name: str, tmp_path: Path) -> None:
    suggestion = inspect_file(samples.TRAFFIC[name](tmp_path)).suggestion
    arrivals = resolved(tmp_path, (TRAFFIC, filled(suggestion) + "\n")).arrivals
    assert arrivals.count == 400
    first = next(iter(arrivals.blocks()))
    assert first.time_s is not None
    assert np.diff(first.time_s) == pytest.approx(np.full(399, 36.0))
    if name == "csv":
        assert first.prompt_tokens is not None
        assert first.prompt_tokens[:2].tolist() == [100, 101]
    if name == "jsonl":
        assert first.service_ms is not None
        assert set(first.service_ms.tolist()) == {500.0}


def test_rates(tmp_path: Path) -> None:
    suggestion = inspect_file(samples.rates(tmp_path)).suggestion
    arrivals = resolved(tmp_path, (TRAFFIC, filled(suggestion) + "\n")).arrivals
    expected = sum(0.5 + w / 144 + (w + 1) % 2 for w in range(36)) * 600
    assert arrivals.count == pytest.approx(expected)


def test_a_matrix(tmp_path: Path) -> None:
    suggestion = inspect_file(samples.matrix(tmp_path)).suggestion
    assert resolved(tmp_path, (RTT, suggestion + "\n")).rtt_ms.tolist() == [[5, 65], [80, 10]]


def test_names_of_any_kind_survive(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    odd = ['A "x" \\ y', "東京", "it's"]
    header = ",".join(["time", *('"' + name.replace('"', '""') + '"' for name in odd)])
    rows = [f"2021-01-01T{hour:02}:00Z,1,2,3" for hour in range(24)]
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    suggestion = inspect_file(path).suggestion
    assert tomllib.loads(suggestion)["carbon"]["path"] == str(path)
    assert all(name.replace("\\", "\\\\").replace('"', '\\"') in suggestion for name in odd)
