"""Files as people have them: described rightly by `inspect`, or refused with a remedy that works."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import re
import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from carbonroute.cli import main
from carbonroute.errors import InputError
from carbonroute.inspection import Inspection, Kind, inspect_file
from carbonroute.scenario import Inputs, load, resolve
from carbonroute.units import G_PER_KWH
from helpers import samples, small
from helpers.mutations import filled
from inspection.test_suggestions import CARBON, TRAFFIC, with_rules

DAY = [f"2021-01-01T{hour:02}:00Z" for hour in range(24)]


#: Lines that read a table of a column for each of two zones.
CARBON_WIDE = """[carbon]
kind = "file"
path = "file.csv"
layout = "wide"
time_column = "time"
unit = "g/kWh"
{keys}accounting = {{ rate = "average", scope = "lifecycle", boundary = "consumption" }}
"""


def inspected(folder: Path, text: str, name: str = "file.csv", kind: Kind | None = None) -> Inspection:
    (folder / name).write_text(text, encoding="utf-8")
    return inspect_file(folder / name, kind)


def wide(header: str, row: Callable[[int], str], hours: int = 24) -> str:
    lines = [f"2021-01-{1 + hour // 24:02}T{hour % 24:02}:00Z,{row(hour)}" for hour in range(hours)]
    return "\n".join([header, *lines]) + "\n"


def settings_of(found: Inspection) -> dict[str, Any]:
    section: dict[str, Any]
    (section,) = tomllib.loads(found.suggestion).values()
    return section


def said(found: Inspection) -> str:
    return " ".join(found.findings)


def read(folder: Path, lines: str, *changes: small.Change, zones: tuple[str, str] = ("A", "B")) -> Inputs:
    """Resolve the small scenario with suggested lines in it."""
    section = TRAFFIC if lines.startswith("[traffic]") else CARBON
    named = [(f'name = "{r}"\n', f'name = "{r}"\nzone = "{z}"\n') for r, z in zip("AB", zones, strict=True)]
    return resolve(load(small.write(folder, (section, lines + "\n"), *named, *changes)))


# What is healthy


def test_a_solar_dip_of_every_day_is_neither_a_spike_nor_a_gap(tmp_path: Path) -> None:
    text = wide("time,Z", lambda h: str(35 + h % 2 if 10 <= h % 24 <= 14 else 380 + h % 5), 14 * 24)
    found = inspected(tmp_path, text)
    assert found.findings == ()
    zone = found.table.row(0, named=True)
    assert (zone["spikes"], zone["longest_gap_hours"]) == (0, 0)
    assert not {"gaps", "spikes"} & set(settings_of(found))
    assert "gaps" not in found.suggestion
    inputs = read(tmp_path, filled(found.suggestion), ("hours = 6", "hours = 336"), zones=("Z", "Z"))
    assert inputs.carbon.g_per_kwh.mean() == pytest.approx(zone["mean"], rel=1e-12)


def test_a_dip_of_two_days_a_week_recurs_too(tmp_path: Path) -> None:
    def row(hour: int) -> str:
        return str(60 if hour // 24 % 7 >= 5 and 11 <= hour % 24 <= 13 else 400 + hour % 3)

    found = inspected(tmp_path, wide("time,DE", row, 21 * 24))
    assert found.table["spikes"].to_list() == [0]


# Rules are comments with what they would change


def test_rules_say_how_many_values_they_change_of_which_zone_and_its_mean(tmp_path: Path) -> None:
    text = wide("time,A,B", lambda h: f"{'' if h in (5, 6) else 400 + h % 2},{'' if h == 9 else 50}")
    found = inspected(tmp_path, text)
    assert "gaps" not in settings_of(found)
    (line,) = [line for line in found.suggestion.splitlines() if line.startswith("# gaps = ")]
    assert line.startswith('# gaps = "interpolate:2h" # fills A 2 h (mean 400.5 before, 400.5')
    assert "B 1 h (mean 50 before, 50 after)" in " ".join(found.suggestion.replace("\n#", "").split())
    with pytest.raises(InputError, match="gaps = 'interpolate:6h'"):
        read(tmp_path, filled(found.suggestion), ("hours = 6", "hours = 24"))
    known = ('service_time = "mean"', 'service_time = "mean"\ncarbon_missing = "last:6h"')
    carbon = read(tmp_path, filled(with_rules(found.suggestion)), ("hours = 6", "hours = 24"), known).carbon
    assert carbon.g_per_kwh[9, 1] == 50
    assert carbon.g_per_kwh[5, 0] == pytest.approx(400 + 1 / 3)


def test_copies_that_differ_say_by_how_much_and_equal_ones_change_nothing(tmp_path: Path) -> None:
    rows = wide("time,A", lambda h: str(300 + h))
    equal = inspected(tmp_path, rows + f"{DAY[3]},303\n")
    assert settings_of(equal)["duplicates"] == "first"
    assert "1 further rows for a zone and time that has one (A 1): all equal to the first (1)" in said(equal)
    found = inspected(tmp_path, rows + f"{DAY[3]},393\n")
    assert (
        "1 of 1 differ from the first, by up to 90 (line 26: 393 where 303 stands for 2021-01-01T03:00Z)"
        in (said(found))
    )
    assert "duplicates" not in settings_of(found)
    means = " ".join(found.suggestion.replace("\n#", "").split())
    assert "A 311.5 by first or 315.25 by last or 313.375 by mean" in means


def test_impossible_values_are_left_out_by_a_comment(tmp_path: Path) -> None:
    found = inspected(tmp_path, wide("time,A_g_per_kwh", lambda h: "-999" if h == 4 else "300"))
    assert '# absurd = "missing" # leaves out A_g_per_kwh 1 values (mean 245.875 before, 300 after)' in (
        found.suggestion
    )


# Units


@pytest.mark.parametrize(
    ("header", "row", "unit"),
    [
        ("time,zone,ci,ci_unit", "A,400,gCO2eq/kWh", "g/kWh"),
        ("time,zone,carbon_intensity,unit", "A,400,kg CO₂ per MWh", "kg/MWh"),
        ("time,unit,zone,value", "lbs/MWh,A,900", "lb/MWh"),
        ("time,DE,FR,unit", "0.4,0.05,tCO2/MWh", "t/MWh"),
        ("time,zone,Carbon intensity (g CO2e/kWh)", "A,400", "g/kWh"),
        ("time,DE [kgCO2eq/kWh],FR [kgCO2eq/kWh]", "0.4,0.05", "kg/kWh"),
    ],
)
def test_a_unit_in_a_header_or_a_column_is_read(header: str, row: str, unit: str, tmp_path: Path) -> None:
    found = inspected(tmp_path, wide(header, lambda _: row))
    assert settings_of(found)["unit"] == unit
    assert found.reading["unit of values"] == unit
    assert "kg/kWh" not in said(found)


def test_units_row_by_row_are_read_from_their_column(tmp_path: Path) -> None:
    def rows(hour: int) -> str:
        return f"A,400,{'g/kWh' if hour % 2 else 'lb/MWh'}"

    found = inspected(tmp_path, wide("time,zone,ci,uom", rows))
    assert settings_of(found)["unit_column"] == "uom"
    assert "unit" not in settings_of(found)
    carbon = read(tmp_path, filled(found.suggestion), zones=("A", "A")).carbon
    assert carbon.g_per_kwh[:2, 0] == pytest.approx([400 * 0.45359237, 400])
    assert found.table["mean"][0] == pytest.approx((400 + 400 * 0.45359237) / 2)


def test_units_in_the_headers_of_zones_are_read_zone_by_zone(tmp_path: Path) -> None:
    def rows(hour: int) -> str:
        return f"{400 + hour},{0.3 + hour / 1000}"

    found = inspected(tmp_path, wide("time,DE [gCO2/kWh],FR [kg CO2/kWh]", rows))
    settings = settings_of(found)
    assert (settings["unit"], settings["zone_units"]) == ("g/kWh", {"FR [kg CO2/kWh]": "kg/kWh"})
    carbon = read(tmp_path, filled(found.suggestion), zones=("DE [gCO2/kWh]", "FR [kg CO2/kWh]")).carbon
    assert carbon.g_per_kwh[0] == pytest.approx([400, 300])
    assert found.table["max"].to_list() == pytest.approx([423, 323])
    found = inspected(tmp_path, wide("time,DE,FR [kg CO2/kWh]", rows))
    assert settings_of(found)["zone_units"] == {"FR [kg CO2/kWh]": "kg/kWh"}
    assert str(settings_of(found)["unit"]).startswith("TODO")
    assert "some headers state a unit, others none, such as 'DE'" in said(found)


@pytest.mark.parametrize(
    "suffix",
    [
        "_gCO2_per_kWh",
        " (gCO2eq/kWh)",
        " gCO₂/kWh",
        "_carbon_intensity_gCO2_per_kWh",
        "_direct_gCO2_per_kWh",
        "_co2_intensity [g/kWh]",
    ],
)
def test_the_unit_in_headers_belongs_to_the_suffix_and_leaves_the_zones(suffix: str, tmp_path: Path) -> None:
    text = wide(f"time,A{suffix},B{suffix}", lambda h: f"{300 + h},{400 + h}")
    found = inspected(tmp_path, text)
    settings = settings_of(found)
    assert (settings["column_suffix"], settings["unit"]) == (suffix, "g/kWh")
    lines = found.suggestion.replace(f'"{tmp_path}/file.csv"', '"file.csv"')
    assert read(tmp_path, lines).carbon.g_per_kwh[:2].tolist() == [[300, 400], [301, 401]]


def test_series_of_several_kinds_with_a_unit_have_a_suffix_each(tmp_path: Path) -> None:
    kinds = [f"{zone}_{kind}_gCO2_per_kWh" for zone in "AB" for kind in ("direct", "life")]
    found = inspected(tmp_path, wide(f"time,{','.join(kinds)}", lambda h: f"{300 + h},1,2,{400 + h}"))
    assert settings_of(found)["column_suffix"] == "_direct_gCO2_per_kWh"
    assert 'column_suffix could also be "_life_gCO2_per_kWh"' in found.suggestion


def test_units_that_no_scenario_reads_are_named_and_none_is_taken(tmp_path: Path) -> None:
    text = wide("time,DE,FR,unit", lambda h: f"400,300,{'g/kWh' if h % 2 else 'lb/MWh'}")
    found = inspected(tmp_path, text)
    assert str(settings_of(found)["unit"]).startswith("TODO")
    assert "several units are stated (lb/MWh, g/kWh, in column 'unit')" in said(found)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (lambda h: f"{400 + h},{0.7 + h / 1000}", "B: its median is 0.7115, that of the other zones 411.5"),
        (lambda h: f"{400 + h},{'0' if h == 7 else 300 + h}", "line 9, 2021-01-01T07:00Z"),
        (
            lambda h: f"{(400 + h) / (1000 if h > 11 else 1)},{h + 30}",
            "A: 12 values are a thousand times from",
        ),
    ],
)
def test_levels_that_do_not_fit_are_asked_about(
    row: Callable[[int], str], words: str, tmp_path: Path
) -> None:
    assert words in said(inspected(tmp_path, wide("time,A,B", row)))


@pytest.mark.parametrize(
    ("cell", "value", "marks"),
    [
        ('"1,050"', 1050, {"thousands": ","}),
        ("1'050", 1050, {"thousands": "'"}),
        ("1 050", 1050, {"thousands": " "}),
        ('"1,050.5"', 1050.5, {"thousands": ","}),
        ('"300,5"', 300.5, {"decimal": ","}),
        ('"1.050,5"', 1050.5, {"decimal": ",", "thousands": "."}),
    ],
)
@pytest.mark.parametrize("share", [1, 8])
def test_numbers_with_marks_are_numbers_and_no_zones(
    cell: str, value: float, marks: dict[str, str], share: int, tmp_path: Path
) -> None:
    text = wide("time,PL,FR", lambda h: f"{61 if h % share else cell},61")
    found = inspected(tmp_path, text)
    assert found.table["zone"].to_list() == ["PL", "FR"]
    assert found.table["max"].to_list() == [value, 61]
    assert marks.items() <= settings_of(found).items()
    assert "numbers are written with marks" in said(found)
    assert read(tmp_path, filled(found.suggestion), zones=("PL", "FR")).carbon.g_per_kwh[0, 0] == value


def test_marks_are_those_of_all_columns(tmp_path: Path) -> None:
    found = inspected(tmp_path, wide("time,PL,FR", lambda h: f'"1,{50 + h:03}","61,{h + 1}"'))
    assert settings_of(found)["decimal"] == ","
    assert found.table["max"].to_list() == [1.073, 61.9]


# Which kind of file it is


def test_seconds_since_1970_and_parts_of_a_date_are_no_zones(tmp_path: Path) -> None:
    start = int(samples.START.timestamp())
    text = wide("datetime,timestamp,hour,DE,FR", lambda h: f"{start + 3600 * h},{h},{400 + h},{50 + h}")
    assert inspected(tmp_path, text).table["zone"].to_list() == ["DE", "FR"]


@pytest.mark.parametrize(
    "header", ["time,temperature,humidity", "date,price_eur", "time,CPU,GPU", "when,eu-west-1,us-east-1"]
)
def test_numbers_beside_times_are_not_carbon_without_a_sign_of_it(header: str, tmp_path: Path) -> None:
    text = wide(header, lambda h: ",".join([f"{h + 0.5}"] * header.count(",")))
    with pytest.raises(InputError, match="nothing in it says what its numbers are") as refusal:
        inspected(tmp_path, text)
    choices = re.findall(r"--as (\w+) for", str(refusal.value))
    assert choices == ["carbon", "traffic", "rates"]
    for kind in choices[0], choices[2]:
        assert inspected(tmp_path, text, kind=kind).kind == kind


@pytest.mark.parametrize("per_s", [1, 10**3, 10**6, 10**9])
def test_carbon_at_numbers_since_1970_is_read_as_at_times(per_s: int, tmp_path: Path) -> None:
    start = int(samples.START.timestamp())
    rows = [f"{(start + 3600 * hour) * per_s},{300 + hour}" for hour in range(24)]
    found = inspected(tmp_path, "\n".join(["timestamp,DE", *rows]) + "\n")
    unit = {1: "s", 10**3: "ms", 10**6: "us", 10**9: "ns"}[per_s]
    assert f"times in 'timestamp' are numbers: read as {unit} since 1970, UTC" in found.findings
    carbon = read(tmp_path, filled(found.suggestion), zones=("DE", "DE")).carbon
    assert carbon.g_per_kwh[:, 0].tolist() == [300.0 + hour for hour in range(6)]
    assert f"24 times that are numbers, read as {unit} since 1970" in str(carbon.notes)


def test_carbon_at_numbers_and_at_times_is_recognised_alike(tmp_path: Path) -> None:
    start = int(samples.START.timestamp())
    rows = [f"{start + 3600 * hour},{300 + hour}" for hour in range(24)]
    numbers = inspected(tmp_path, "\n".join(["timestamp,carbon_intensity", *rows]) + "\n")
    times = [f"{time},{300 + hour}" for hour, time in enumerate(DAY)]
    stamps = inspected(tmp_path, "\n".join(["timestamp,carbon_intensity", *times]) + "\n")
    assert numbers.kind == stamps.kind == "carbon"
    assert numbers.quantities == stamps.quantities
    assert numbers.table.equals(stamps.table)


def test_rows_of_several_regions_per_window_are_not_taken_for_windows(tmp_path: Path) -> None:
    rows = [f"{time},{region},{50 + hour}" for hour, time in enumerate(DAY) for region in ("eu", "us")]
    text = "\n".join(["time,region,requests", *rows]) + "\n"
    with pytest.raises(InputError, match="--as rates for request rates or counts"):
        inspected(tmp_path, text)
    assert "one row per window, with a column for each region" in said(
        inspected(tmp_path, text, kind="rates")
    )
    wide_rows = [f"{time},{50 + hour},{50 + hour}" for hour, time in enumerate(DAY)]
    pivoted = inspected(tmp_path, "\n".join(["time,requests_eu,requests_us", *wide_rows]) + "\n")
    assert read(tmp_path, filled(pivoted.suggestion)).arrivals.count == 2 * sum(range(50, 56))


@pytest.mark.parametrize("name", ["carbon.csv", "co2_2021.csv"])
def test_a_file_name_is_a_sign_of_carbon(name: str, tmp_path: Path) -> None:
    assert inspected(tmp_path, wide("time,value", lambda h: f"{300 + h}.5"), name).kind == "carbon"


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("timestamp,value", lambda h: str(50 + h)),
        ("timestamp,requests", lambda h: str(50 + h)),
        ("Time,eu-west-1,us-east-1", lambda h: f"{431 + h},{2100 + h}"),
        ("time,request_count", str),
    ],
)
def test_counts_are_rates(header: str, row: Callable[[int], str], tmp_path: Path) -> None:
    found = inspected(tmp_path, wide(header, row))
    assert found.kind == "rates"
    assert 'unit = "TODO: one of requests/window' in found.suggestion


def counts(minutes: list[float]) -> str:
    rows = [
        f"2021-01-01 {int(at) // 60:02}:{int(at) % 60:02}:{int(at * 60) % 60:02},{50 + place % 20}"
        for place, at in enumerate(minutes)
    ]
    return "\n".join(["timestamp,value", *rows]) + "\n"


def test_counts_off_the_grid_of_hours_are_replayed_from_the_next_hour(tmp_path: Path) -> None:
    found = inspected(tmp_path, counts([5 * window + 173 / 60 for window in range(280)]))
    assert (found.quantities["windows"], found.quantities["window_min"]) == (280, 5)
    assert "start = 2021-01-01T01:00:00Z" in found.suggestion
    changes = (("start = 2021-01-01T00", "start = 2021-01-01T01"),)
    arrivals = read(tmp_path, filled(found.suggestion), *changes).arrivals
    # 72 windows of 50 to 69 each, from the 11th on, of which the first and the last count in part
    assert arrivals.count == pytest.approx(72 * 59.5, rel=0.01)


@pytest.mark.parametrize(("rule", "mean"), [("zero", 57.15), ("interpolate", 59.5)])
def test_missing_windows_are_counted_and_filled_by_a_named_rule(
    rule: str, mean: float, tmp_path: Path
) -> None:
    found = inspected(tmp_path, counts([5 * window for window in range(280) if window not in (20, 21)]))
    assert found.quantities["missing_windows"] == 2
    assert "2 windows of 5 min have no row, up to 2 in a row: first 2021-01-01T01:40Z" in said(found)
    lines = filled(found.suggestion)
    with pytest.raises(InputError, match="gaps = 'zero:10min' where nothing came"):
        read(tmp_path, lines)
    inputs = read(tmp_path, re.sub(rf'# (gaps = "{rule}:10min")', r"\1", lines))
    assert any("file.csv without a row filled" in note for note in inputs.arrivals.notes)
    assert inputs.arrivals.count == pytest.approx(72 * mean, abs=72)


@pytest.mark.parametrize("rule", ["zero", "zero:1", "fill:1h", "interpolate:0min"])
def test_a_rule_for_windows_is_spelled_out(rule: str, tmp_path: Path) -> None:
    found = inspected(tmp_path, counts([5.0 * window for window in range(280)]))
    with pytest.raises(InputError, match="'refuse', 'zero:1h' or 'interpolate:1h' is expected"):
        read(tmp_path, f'{filled(found.suggestion)}\ngaps = "{rule}"')


def test_lengths_are_tokens_and_the_unit_of_time_is_asked(tmp_path: Path) -> None:
    rows = [
        {"timestamp": 3000 * i, "input_length": 500 + i, "output_length": 20, "ids": [i]} for i in range(50)
    ]
    found = inspected(tmp_path, "\n".join(map(json.dumps, rows)), "lengths.jsonl")
    read_as = {"prompt tokens column": "input_length", "answer tokens column": "output_length"}
    assert read_as.items() <= dict(found.reading).items()
    assert "1.7 d in s, 2.45 min in ms" in said(found)
    assert 'time_unit = "TODO: one of s, ms, us, ns"' in found.suggestion
    lines = found.suggestion.replace("TODO: one of s, ms, us, ns", "ms")
    assert read(tmp_path, lines).arrivals.count == 50


def test_requests_without_an_answer_are_counted(tmp_path: Path) -> None:
    rows = [f"{i},M1,{100 + i},{0 if i % 4 == 0 else 50},Conversation log" for i in range(40)]
    found = inspected(
        tmp_path, "\n".join(["Timestamp,Model,Request tokens,Response tokens,Log Type", *rows]) + "\n"
    )
    assert "10 of 40 requests have 0 answer tokens (column 'Response tokens')" in said(found)
    assert found.reading["further columns"] == "Log Type"
    notes = read(tmp_path, filled(found.suggestion)).arrivals.notes
    assert any("10 of 40 requests of" in note and "0 answer tokens" in note for note in notes)


# Several files


def _rising(level: int, hour: int) -> str:
    return str(level + hour)


def test_two_files_of_the_same_hours_are_two_sources(tmp_path: Path) -> None:
    for name, level in (("a.csv", 400), ("b.csv", 50)):
        (tmp_path / name).write_text(wide("time,carbon", partial(_rising, level)), encoding="utf-8")
    lines = small.WIDE.replace('"carbon.csv"', '["a.csv", "b.csv"]')
    zones = [(f'name = "{region}"\n', f'name = "{region}"\nzone = "carbon"\n') for region in "AB"]
    path = small.write(tmp_path, (small.SYNTHETIC, lines), *zones)
    with pytest.raises(
        InputError,
        match=r"a.csv and b.csv, zone carbon: these files cover the same hours: one source per region",
    ) as refusal:
        resolve(load(path))
    assert "duplicates = 'mean'" not in str(refusal.value)
    own = ", ".join(line for line in small.WIDE.replace("carbon.csv", "b.csv").splitlines())
    remedy = (zones[1][0], f"{zones[1][1]}carbon = {{ {own} }}\n")
    path = small.write(
        tmp_path, (small.SYNTHETIC, small.WIDE.replace("carbon.csv", "a.csv")), zones[0], remedy
    )
    assert resolve(load(path)).carbon.g_per_kwh[0].tolist() == [400, 50]


def test_estimates_are_counted_within_the_horizon(tmp_path: Path) -> None:
    path = samples.electricity_maps(tmp_path)
    lines = path.read_text(encoding="utf-8").splitlines()
    estimated = [line.replace("false", "true") if place % 2 else line for place, line in enumerate(lines)]
    path.write_text("\n".join(estimated) + "\n", encoding="utf-8")
    assert "30 estimated by the source" in inspect_file(path).findings
    carbon = read(
        tmp_path, filled(inspect_file(path).suggestion), ("start = 2021-01-01T00", "start = 2021-01-01T18")
    ).carbon
    assert any("6 estimated by the source" in note for note in carbon.notes)


def test_the_command_prints_what_a_rule_would_change(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "grid.csv"
    path.write_text(wide("time,A", lambda h: "" if h == 4 else str(300 + h)), encoding="utf-8")
    assert main(["inspect", str(path)]) == 0
    assert (
        '# gaps = "interpolate:1h" # fills A 1 h (mean 311.826 before, 311.5 after)'
        in capsys.readouterr().out
    )


def stepped(minutes: list[int]) -> str:
    rows = [
        f"2021-01-{1 + at // 1440:02}T{at // 60 % 24:02}:{at % 60:02}Z,{300 + at // 60}" for at in minutes
    ]
    return "\n".join(["time,A", *rows]) + "\n"


@pytest.mark.parametrize(
    ("before", "after", "until"),
    [(60, 15, "until-next:1h"), (15, 60, "until-next:1h"), (30, 15, "until-next:30min")],
)
def test_a_step_that_changes_for_good_is_suggested(
    before: int, after: int, until: str, tmp_path: Path
) -> None:
    minutes = [*range(0, 600, before), *range(600, 1440, after)]
    found = inspected(tmp_path, stepped(minutes))
    assert settings_of(found)["step"] == until
    assert re.search(r"the step changes at line \d+ from", said(found))
    assert (found.quantities["hours"], found.table["missing_hours"][0]) == (24, 0)
    carbon = read(tmp_path, filled(found.suggestion), ("hours = 6", "hours = 24"), zones=("A", "A")).carbon
    assert carbon.g_per_kwh[:, 0].tolist() == [300 + hour for hour in range(24)]


def test_an_hour_with_one_value_may_be_a_step_or_lack_rows(tmp_path: Path) -> None:
    found = inspected(tmp_path, stepped([at for at in range(0, 360, 15) if at // 60 != 2 or at % 60 == 0]))
    assert settings_of(found)["step"] == "15min"
    assert "1 hours have some of their 4 values: the first, A 2021-01-01T02:00Z, has 1" in said(found)
    comments = " ".join(found.suggestion.replace("\n#", "").split())
    assert 'step = "until-next:1h" # in place of step above, if a value stands until the next one' in comments
    assert (
        "the step changes at line 11 from 1h to 15min" in comments
        or "at line 10 from 15min to 1h" in comments
    )
    lines = filled(found.suggestion).replace('step = "15min"', 'step = "until-next:1h"', 1)
    assert read(tmp_path, lines, zones=("A", "A")).carbon.g_per_kwh[2, 0] == 302


def test_rows_that_are_lost_here_and_there_change_no_step(tmp_path: Path) -> None:
    found = inspected(tmp_path, stepped([at for at in range(0, 2880, 15) if at % 195 and at % 345 != 15]))
    assert settings_of(found)["step"] == "15min"
    assert "until-next" not in found.suggestion


def test_newest_first_is_said_and_read(tmp_path: Path) -> None:
    header, *rows = wide("time,A,B", lambda h: f"{400 + h},{50 + h}").splitlines()
    found = inspected(tmp_path, "\n".join([header, *reversed(rows)]) + "\n")
    assert "rows stand newest first: a scenario sorts them" in found.findings
    g_per_kwh = read(tmp_path, filled(found.suggestion)).carbon.g_per_kwh
    assert g_per_kwh[:, 0].tolist() == np.arange(400.0, 406).tolist()


# Times that are no ISO 8601 times, or that stand elsewhere


@pytest.mark.parametrize("per_s", [1, 10**3, 10**6, 10**9])
@pytest.mark.parametrize("kind", ["rates"])
def test_numbers_since_1970_beside_zones_are_no_client_s_rates(
    kind: Kind | None, per_s: int, tmp_path: Path
) -> None:
    start = int(samples.START.timestamp())
    rows = [f"{(start + 3600 * hour) * per_s},{300 + hour},{60 + hour}" for hour in range(24)]
    with pytest.raises(InputError, match="column 'timestamp' counts time since 1970"):
        inspected(tmp_path, "\n".join(["timestamp,DE,FR", *rows]) + "\n", "carbon.csv", kind)


def test_carbon_without_times_is_no_table_of_rates_and_the_remedy_reads_it(tmp_path: Path) -> None:
    text = "\n".join(["A,B", *(f"{300 + hour},{60 + hour}" for hour in range(24))]) + "\n"
    with pytest.raises(InputError, match="has no column of times; for carbon intensities") as refusal:
        inspected(tmp_path, text, "carbon.csv")
    settings = re.search(r"instead: (layout.*'wide'), (start = \S+) and (step = '1h')", str(refusal.value))
    assert settings
    lines = "\n".join(
        ["[carbon]", 'kind = "file"', 'path = "carbon.csv"', 'unit = "g/kWh"', *settings.groups()]
    )
    lines = lines.replace("2024-01-01", "2021-01-01")
    carbon = read(tmp_path, lines).carbon.g_per_kwh
    assert carbon.tolist() == [[300 + hour, 60 + hour] for hour in range(6)]
    assert inspected(tmp_path, text, "numbers.csv").kind == "rates"
    assert inspected(tmp_path, text, "carbon.csv", "rates").kind == "rates"


def test_dates_beside_hours_are_not_days_of_duplicates(tmp_path: Path) -> None:
    rows = [f"2021-01-{day:02},{hour},{300 + hour}" for day in (1, 2) for hour in range(1, 25)]
    with pytest.raises(InputError, match="dates stand in column 'date', and hours in 'hour_ending'"):
        inspected(tmp_path, "\n".join(["date,hour_ending,DE", *rows]) + "\n")
    times = [f"2021-01-{day:02}T{hour:02}:00,{300 + hour}" for day in (1, 2) for hour in range(1, 25)]
    one = inspected(tmp_path, "\n".join(["time,DE", *times]) + "\n")
    assert settings_of(one)["time_column"] == "time"


@pytest.mark.parametrize("spelling", [" UTC", " GMT", " Z"])
def test_times_with_a_spelling_of_utc_are_suggested_and_read(spelling: str, tmp_path: Path) -> None:
    text = wide("time,A_gCO2_per_kWh,B_gCO2_per_kWh", lambda h: f"{300 + h},400").replace(
        "Z,", f"{spelling},"
    )
    settings = settings_of(found := inspected(tmp_path, text))
    assert settings["time_column"] == "time"
    assert "time_zone" not in settings
    lines = found.suggestion.replace(f'"{tmp_path}/file.csv"', '"file.csv"')
    assert read(tmp_path, lines).carbon.g_per_kwh[:2].tolist() == [[300, 400], [301, 400]]


def test_an_abbreviated_zone_is_refused_with_the_key_that_states_it(tmp_path: Path) -> None:
    text = wide("time,DE_gCO2_per_kWh", lambda h: f"{300 + h}").replace("Z,", " CET,")
    with pytest.raises(InputError, match="without 'CET', and state time_zone, an IANA name"):
        inspected(tmp_path, text)


@pytest.mark.parametrize("kind", [None, "carbon", "rates"])
def test_times_of_another_layout_are_named(kind: Kind | None, tmp_path: Path) -> None:
    rows = [f"01/01/2021 {1 + hour:02}:00 AM,{300 + hour}" for hour in range(6)]
    with pytest.raises(InputError, match="column 'time' holds '01/01/2021 01:00 AM', which is no ISO 8601"):
        inspected(tmp_path, "\n".join(["time,DE", *rows]) + "\n", kind=kind)


@pytest.mark.parametrize("minutes", [15, 60])
@pytest.mark.parametrize("header", ["period_end", "Interval Ending", "to", "end time (UTC)"])
def test_times_that_are_called_ends_are_ends(header: str, minutes: int, tmp_path: Path) -> None:
    text = wide(f"{header},A,B", lambda h: f"{300 + h},{60 + h}", 24 * 60 // minutes)
    per_hour = 60 // minutes
    stamps = [f"2021-01-01T{m // 60:02}:{m % 60:02}:00Z" for m in range(minutes, 24 * 60, minutes)]
    rows = [f"{t},{300 + i},{60 + i}" for i, t in enumerate([*stamps, "2021-01-02T00:00:00Z"])]
    found = inspected(tmp_path, "\n".join([text.split("\n", maxsplit=1)[0], *rows]) + "\n")
    assert settings_of(found)["stamp"] == "end"
    assert found.table["missing_hours"].sum() == 0
    carbon = read(tmp_path, filled(found.suggestion)).carbon.g_per_kwh
    assert carbon[0, 0] == pytest.approx(300 + (per_hour - 1) / 2, rel=1e-12)


@pytest.mark.parametrize("name", ["spend", "tomorrow", "trend", "time", "until when"])
def test_other_names_do_not_say_that_times_are_ends(name: str, tmp_path: Path) -> None:
    found = inspected(tmp_path, wide(f"{name},DE,FR", lambda h: f"{300 + h},{60 + h}"))
    assert ("stamp" in settings_of(found)) == (name == "until when")


# Columns of zones


@pytest.mark.parametrize("code", ["NO", "ID"])
def test_norway_and_indonesia_are_no_numbers_of_rows(code: str, tmp_path: Path) -> None:
    found = inspected(tmp_path, wide(f"time,DE,{code},FR", lambda h: f"{300 + h},{5 + h * h % 7},{60 + h}"))
    assert found.table["zone"].to_list() == ["DE", code, "FR"]
    counted = inspected(tmp_path, wide(f"time,{code},DE,FR", lambda h: f"{h + 1},{300 + h},{60 + h}"))
    assert counted.table["zone"].to_list() == ["DE", "FR"]


def test_a_comma_behind_every_row_is_no_zone(tmp_path: Path) -> None:
    found = inspected(tmp_path, wide("time,DE,FR,", lambda h: f"{300 + h},{60 + h},"))
    assert found.table["zone"].to_list() == ["DE", "FR"]
    assert found.findings == ()


def test_raised_commas_between_thousands_are_read(tmp_path: Path) -> None:
    found = inspected(tmp_path, wide("time,A,B", lambda h: f"1\u2019{200 + h},{60 + h}"), "carbon.csv")
    assert settings_of(found)["thousands"] == "'"
    carbon = read(tmp_path, filled(found.suggestion)).carbon.g_per_kwh
    assert carbon.tolist() == [[1200 + hour, 60 + hour] for hour in range(6)]


# Separators, marks and comments


@pytest.mark.parametrize("separator", [";", "\t", "|"])
@pytest.mark.parametrize(("decimal", "thousands"), [(",", "."), (",", None), (",", " "), (".", None)])
def test_other_separators_are_read_and_suggested(
    separator: str, decimal: str, thousands: str | None, tmp_path: Path
) -> None:
    def number(value: float) -> str:
        return f"{value:,.2f}".replace(",", "G").replace(".", decimal).replace("G", thousands or "")

    values = [(300.5 + hour, 990.25 + 10 * hour) for hour in range(24)]
    text = wide("time,DE,PL", lambda h: ",".join(f"{{{i}}}" for i in range(2))).replace(",", separator)
    lines = text.splitlines()
    rows = [line.format(*map(number, row)) for line, row in zip(lines[1:], values, strict=True)]
    found = inspected(tmp_path, "\n".join([lines[0], *rows]) + "\n")
    settings = settings_of(found)
    marks = {"decimal": decimal if decimal != "." else None, "thousands": thousands}
    assert {key: settings.get(key) for key in marks} == marks
    assert settings["separator"] == separator
    carbon = read(tmp_path, filled(found.suggestion), zones=("DE", "PL")).carbon
    assert carbon.g_per_kwh.tolist() == [list(row) for row in values[:6]]


def test_the_refusal_of_semicolons_names_all_marks_of_line_2_and_they_read_it(tmp_path: Path) -> None:
    text = wide("time;A;B", lambda h: f"300,5;1.0{h:02},25").replace("Z,", "Z;")
    lines = CARBON_WIDE.format(keys="")
    (tmp_path / "file.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"separator = ';' and decimal = ',' and thousands = '.'"):
        read(tmp_path, lines)
    keys = "separator = ';'\ndecimal = ','\nthousands = '.'\n"
    carbon = read(tmp_path, CARBON_WIDE.format(keys=keys)).carbon
    assert carbon.g_per_kwh.tolist() == [[300.5, 1000.25 + hour] for hour in range(6)]


def test_semicolons_that_no_carbon_has_are_still_refused(tmp_path: Path) -> None:
    text = wide("time;rps;rps_b", lambda h: f"{h};{h}").replace("Z,", "Z;")
    with pytest.raises(InputError, match="line 1: fields are separated by ';'; save it with commas"):
        inspected(tmp_path, text)


@pytest.mark.parametrize(
    ("texts", "decimal"),
    [(["0,710", "1,250"], ","), (["0,710", "0,750"], ","), (["0.710", "0.750"], None), (["0.710", ""], None)],
)
def test_a_leading_zero_is_no_group_of_thousands(
    texts: list[str], decimal: str | None, tmp_path: Path
) -> None:
    text = wide("time;A;B", lambda h: f"{texts[h % 2]};{texts[0]}").replace("Z,", "Z;")
    settings = settings_of(inspected(tmp_path, text, "carbon.csv"))
    assert (settings.get("decimal"), settings.get("thousands")) == (decimal, None)


#: Rows of merged cells above the header, as spreadsheets write them.
MERGED = (
    ["{separator}Grid{separator}Grid"],
    ["Carbon intensity{separator}{separator}"],
    ['"Carbon intensity"{separator}{separator}""'],
    ["All{separator}All{separator}All", "{separator}Grid{separator}"],
    ["# by X", "{separator}Grid{separator}Grid"],
)


@pytest.mark.parametrize("separator", [",", ";"])
@pytest.mark.parametrize(
    "above",
    [
        ["# exported by X"],
        ["# exported by X, 2024", "# licence: none"],
        ["Carbon intensity", "", "Source: X"],
        ["# a;b;c"],
        *MERGED,
    ],
)
def test_lines_above_a_table_are_named_and_the_remedy_works(
    above: list[str], separator: str, tmp_path: Path
) -> None:
    table = wide("time,A,B", lambda h: f"{300 + h},{400 + h}").replace(",", separator)
    path = tmp_path / "file.csv"
    lines_above = [line.format(separator=separator) for line in above]
    path.write_text("\n".join([*lines_above, table]), encoding="utf-8")
    where = "line 1" if len(above) == 1 else f"lines 1 to {len(above)}"
    pattern = (
        rf"{where} stands? above the table, whose header is line {len(above) + 1}: .* "
        rf"remove {where}, or state skip_rows = {len(above)}"
    )
    keys = "" if separator == "," else f"separator = '{separator}'\n"
    with pytest.raises(InputError, match=pattern):
        read(tmp_path, CARBON_WIDE.format(keys=keys))
    skip_rows = f"skip_rows = {len(above)}\n"
    assert read(tmp_path, CARBON_WIDE.format(keys=keys + skip_rows)).carbon.g_per_kwh[0].tolist() == [
        300,
        400,
    ]
    path.write_text(table, encoding="utf-8")
    assert read(tmp_path, CARBON_WIDE.format(keys=keys)).carbon.g_per_kwh[0].tolist() == [300, 400]


@pytest.mark.parametrize("separator", [",", ";"])
@pytest.mark.parametrize(
    "above", [["# by X"], ["Carbon intensity", "", "Source: X"], ["sep={separator}"], *MERGED]
)
@pytest.mark.parametrize("name", ["file.csv", "file.csv.gz"])  # read as a whole, and by its first rows
def test_lines_above_a_table_of_carbon_are_skipped_by_the_suggestion(
    above: list[str], separator: str, name: str, tmp_path: Path
) -> None:
    table = wide("time,A_gCO2_per_kWh,B_gCO2_per_kWh", lambda h: f"{300 + h},{400 + h}")
    lines_of_file = [*(line.format(separator=separator) for line in above), table.replace(",", separator)]
    content = "\n".join(lines_of_file).encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    found = inspect_file(tmp_path / name)
    settings = settings_of(found)
    assert settings["skip_rows"] == len(above)
    assert found.quantities["rows"] == 2 * 24
    lines = found.suggestion.replace(f'"{tmp_path}/{name}"', f'"{name}"')
    assert read(tmp_path, lines).carbon.g_per_kwh[:2].tolist() == [[300, 400], [301, 401]]


def test_lines_of_faults_are_counted_from_the_top_of_the_file(tmp_path: Path) -> None:
    table = wide("time,A,B", lambda h: f"{300 + h},{'x' if h == 3 else 400 + h}")
    (tmp_path / "file.csv").write_text(f"# one\n# two\n{table}")
    with pytest.raises(InputError, match="line 7, zone B"):
        read(tmp_path, CARBON_WIDE.format(keys="skip_rows = 2\n"))
    (tmp_path / "file.csv").write_text(f"# one\n# two\n{table}".replace("T03:00Z", "T3"))
    with pytest.raises(InputError, match="line 7, time"):
        read(tmp_path, CARBON_WIDE.format(keys="skip_rows = 2\n"))
    with pytest.raises(InputError, match="has 27 lines, and skip_rows = 27 is stated"):
        read(tmp_path, CARBON_WIDE.format(keys="skip_rows = 27\n"))
    with pytest.raises(
        InputError, match=r"line 2 stands above .* remove lines 1 to 2, or state skip_rows = 2"
    ):
        read(tmp_path, CARBON_WIDE.format(keys="skip_rows = 1\n"))


#: Tables of other kinds than carbon, with the entry of the suggestion that skips the lines above.
OTHER_KINDS = {
    "rates": ("time,requests\n2024-01-01T00:00Z,5\n2024-01-01T01:00Z,6\n", ("traffic", "skip_rows")),
    "log": (
        "arrived,prompt_tokens,answer_tokens\n2024-01-01T00:00Z,5,6\n2024-01-01T00:01Z,7,8\n",
        ("traffic", "logs", 0, "skip_rows"),
    ),
    "matrix": ("from,A,B\nA,1,20\nB,20,1\n", ("network", "rtt_skip_rows")),
    "pairs": ("from,to,rtt_ms\nA,B,20\nB,A,20\n", ("network", "rtt_skip_rows")),
    "forecasts": (
        "issue_time,lead_hours,zone,forecast\n2024-01-01T00:00Z,0,DE,300\n2024-01-01T00:00Z,1,DE,310\n",
        ("carbon", "forecast", "skip_rows"),
    ),
}


@pytest.mark.parametrize("kind", OTHER_KINDS)
@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("name", ["file.csv", "file.csv.gz"])  # read as a whole, and by its first rows
def test_lines_above_a_table_of_another_kind_are_skipped_by_the_suggestion(
    kind: str, name: str, merged: bool, tmp_path: Path
) -> None:
    table, place = OTHER_KINDS[kind]
    empty_cells = "," * table.partition("\n")[0].count(",")
    above = f"Exported by X{empty_cells}\n" if merged else "Exported by X\n\n"
    content = f"{above}{table}".encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    suggested: Any = tomllib.loads(inspect_file(tmp_path / name).suggestion)
    for step in place:
        suggested = suggested[step]
    assert suggested == (1 if merged else 2)


@pytest.mark.parametrize("head", ["time,A,A\n", ",A,B\nUTC,g/kWh,g/kWh\n", ",A,A\ntime,B,B\n"])
def test_a_row_of_units_or_a_repeated_name_is_no_header_below_merged_cells(head: str, tmp_path: Path) -> None:
    table = wide("", lambda h: f"{300 + h},{400 + h}").lstrip("\n")
    (tmp_path / "file.csv").write_text(head + table, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read(tmp_path, CARBON_WIDE.format(keys=""))
    assert "above the table" not in str(caught.value)


def test_lines_above_a_table_that_nobody_recognises_are_none_of_its_columns(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot tell what this is: columns 'a', 'b'"):
        inspected(tmp_path, "Exported by X\n\na,b\nx,1\ny,2\n")


@pytest.mark.parametrize("header", ["#,time,A", "# time,A,B", "#time,A,B"])
def test_a_header_that_begins_as_a_comment_is_a_header(header: str, tmp_path: Path) -> None:
    rows = [f"2021-01-01T{hour:02}:00Z,{300 + hour},{400 + hour}" for hour in range(24)]
    if header.startswith("#,"):
        rows = [f"{hour},{row.rpartition(',')[0]}" for hour, row in enumerate(rows)]
    assert inspected(tmp_path, "\n".join([header, *rows]) + "\n", "carbon.csv").kind == "carbon"


# Values that stand until the next one


EVENTS = {
    "at any time": (["00:00", "02:30", "03:15", "06:00", "07:00"], "until-next:3h"),
    "every 90 min": (["00:00", "01:30", "03:00", "04:30", "06:00", "07:30", "09:00"], "until-next:2h"),
}


@pytest.mark.parametrize("case", EVENTS)
def test_rows_of_events_are_read_by_until_next(case: str, tmp_path: Path) -> None:
    times, rule = EVENTS[case]
    rows = [f"2021-01-01T{time}Z,{300 + place},{400 + place}" for place, time in enumerate(times)]
    found = inspected(tmp_path, "\n".join(["time,A,B", *rows]) + "\n", "carbon.csv")
    assert settings_of(found)["step"] == rule
    assert "gaps" not in found.suggestion
    carbon = read(tmp_path, filled(found.suggestion)).carbon.g_per_kwh
    minutes = [60 * int(time[:2]) + int(time[3:]) for time in times]
    by_minute = np.array([300.0 + np.searchsorted(minutes, m, side="right") - 1 for m in range(360)])
    assert carbon[:, 0] == pytest.approx(by_minute.reshape(6, 60).mean(axis=1), rel=1e-12)


@pytest.mark.parametrize("case", EVENTS)
def test_refusals_of_events_name_the_rule_that_reads_them(case: str, tmp_path: Path) -> None:
    times, rule = EVENTS[case]
    rows = [f"2021-01-01T{time}Z,{300 + place},{400 + place}" for place, time in enumerate(times)]
    (tmp_path / "file.csv").write_text("\n".join(["time,A,B", *rows]) + "\n", encoding="utf-8")
    with pytest.raises(InputError) as refusal:
        read(tmp_path, CARBON_WIDE.format(keys=""))
    assert f"state step = '{rule}'" in str(refusal.value)
    assert "state another step" not in str(refusal.value)
    assert read(tmp_path, CARBON_WIDE.format(keys=f"step = '{rule}'\n")).carbon.g_per_kwh[0, 0] == 300


def test_a_zone_that_is_truly_low_is_kept_as_the_refusal_says(tmp_path: Path) -> None:
    text = wide("time,A,B", lambda h: f"{1.2 + h % 3 / 10:g},{800 + h}")
    (tmp_path / "file.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"no value of A is above .* or tiny = 'keep' if it is so low"):
        read(tmp_path, CARBON_WIDE.format(keys=""))
    carbon = read(tmp_path, CARBON_WIDE.format(keys="tiny = 'keep'\n")).carbon.g_per_kwh
    assert carbon[:3, 0].tolist() == pytest.approx([1.2, 1.3, 1.4])


@pytest.mark.parametrize("bad", ["soon", ""])
def test_a_time_of_another_kind_among_numbers_is_refused_with_its_line(bad: str, tmp_path: Path) -> None:
    start = int(samples.START.timestamp())
    stamps = [str(start + 3600 * hour) for hour in range(24)]
    rows = [f"{stamp},1{hour:02},200" for hour, stamp in enumerate([*stamps[:4], bad, *stamps[5:]])]
    (tmp_path / "file.csv").write_text("\n".join(["time,A,B", *rows]) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"line 6, time: .*; s since 1970 are expected, as in the first row"):
        read(tmp_path, CARBON_WIDE.format(keys=""))


@pytest.mark.parametrize("suffix", ["_carbon_free_percent", " renewable %", "_renewables"])
def test_green_energy_and_percentages_are_not_taken_for_carbon(suffix: str, tmp_path: Path) -> None:
    alone = wide(f"time,DE{suffix},FR{suffix}", lambda hour: f"{40 + hour},{90 - hour}")
    long = wide(f"time,zone,carbon{suffix}", lambda hour: f"DE,{40 + hour}")
    for text in (alone, long):
        with pytest.raises(InputError, match="cannot tell what this is"):
            inspected(tmp_path, text)
    beside = wide(
        f"time,DE{suffix},DE_ci,FR{suffix},FR_ci", lambda hour: f"{hour},{300 + hour},9,{50 + hour}"
    )
    found = inspected(tmp_path, beside)
    assert settings_of(found)["column_suffix"] == "_ci"
    assert suffix not in found.suggestion


PACKED: dict[str, tuple[Callable[[bytes], bytes], str, str]] = {
    "gzip by another name": (
        gzip.compress,
        "is packed, as files in .gz are",
        "give it a name that ends in .gz",
    ),
    "bzip2": (bz2.compress, "is packed, as files in .bz2 are", "bunzip2 '{}'"),
    "xz": (lzma.compress, "is packed, as files in .xz are", "unxz '{}'"),
    "zstd": (lambda data: b"\x28\xb5\x2f\xfd" + data, "is packed, as files in .zst are", "zstd -d '{}'"),
    "zip, or a spreadsheet": (
        lambda data: b"PK\x03\x04" + data,
        "is packed",
        "unzip '{}'; or, of a spreadsheet",
    ),
    "UTF-16": (lambda data: data.decode().encode("utf-16"), "is text in UTF-16", "iconv -f UTF-16"),
    "UTF-16, big end first": (
        lambda data: b"\xfe\xff" + data.decode().encode("utf-16-be"),
        "is text in UTF-16",
        "iconv -f UTF-16 -t UTF-8 '{}'",
    ),
    "Parquet": (lambda data: b"PAR1" + data, "is a Parquet file", "a name that ends in .parquet"),
}


@pytest.mark.parametrize("form", PACKED)
def test_what_is_no_text_is_called_by_its_name_with_what_makes_it_text(form: str, tmp_path: Path) -> None:
    pack, problem, remedy = PACKED[form]
    path = tmp_path / "carbon.csv"
    path.write_bytes(pack(small.WIDE_CSV.encode()))
    with pytest.raises(InputError) as inspecting:
        inspect_file(path)
    scenario = small.write_with_carbon(tmp_path, path.read_bytes())
    with pytest.raises(InputError) as running:
        resolve(load(scenario))
    for error, name in ((inspecting, str(path)), (running, "carbon.csv")):
        assert problem in str(error.value)
        assert remedy.format(name) in str(error.value)


def test_a_gzip_file_by_another_name_is_read_once_it_is_called_so(tmp_path: Path) -> None:
    text = wide("time,DE,FR", lambda hour: f"{300 + hour},{50 + hour}")
    (tmp_path / "carbon.csv.gz").write_bytes(gzip.compress(text.encode()))
    assert inspect_file(tmp_path / "carbon.csv.gz").table["zone"].to_list() == ["DE", "FR"]


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize(
    ("one", "other", "problem"),
    [
        ("DE", "de", "'DE' and 'de' differ in capitals or spaces alone"),
        ("Zürich", "Zu\u0308rich", '"Zu\\u0308rich" and "Z\\u00fcrich" look the same'),
    ],
)
def test_two_spellings_of_one_zone_are_asked_about(
    complete: bool, one: str, other: str, problem: str, tmp_path: Path
) -> None:
    def row(hour: int) -> str:
        if not complete:
            return f"{one if hour % 2 else other},{300 + hour}"
        time = f"2021-01-{1 + hour // 24:02}T{hour % 24:02}:00Z"
        return f"{one},{300 + hour}\n{time},{other},{200 + hour}"

    found = inspected(tmp_path, wide("time,zone,carbon_intensity", row, 48))
    assert f"zones {problem}: one zone under two names?" in said(found)
    healthy = inspected(tmp_path, wide("time,DE,FR,Zürich", lambda h: f"{300 + h},{50 + h},{90 + h}"))
    assert "two names" not in said(healthy)


def test_a_zone_that_only_looks_like_that_of_the_file_is_named_as_the_file_spells_it(tmp_path: Path) -> None:
    text = small.WIDE_CSV.replace("time,A", "time,Zu\u0308rich")
    zone = ('name = "A"\n', 'name = "A"\nzone = "Zürich"\n')
    with pytest.raises(InputError, match="there is no column 'Zürich'") as error:
        resolve(load(small.write_with_carbon(tmp_path, text, small.WIDE, zone)))
    spelled = re.search(r"composed of other characters: (\S+)\?", str(error.value))
    assert spelled is not None
    scenario = small.write_with_carbon(
        tmp_path, text, small.WIDE, (zone[0], f'name = "A"\nzone = {spelled[1]}\n')
    )
    assert resolve(load(scenario)).carbon.g_per_kwh[0].tolist() == [400, 50]


@pytest.mark.parametrize("form", ["{hour:02}:00", "{hour}:00", "{hour:02}:00:00", "{hour:02}:00:00.000"])
@pytest.mark.parametrize("header", ["date,time,DE,FR", "date,start,end,DE", "day,clock,carbon intensity"])
def test_times_of_day_beside_their_dates_are_named_and_read_once_joined(
    form: str, header: str, tmp_path: Path
) -> None:
    def text(between: str, head: str) -> str:
        rows = []
        for n in range(48):
            day, of_day, end = (
                f"2021-01-{1 + n // 24:02}",
                form.format(hour=n % 24),
                form.format(hour=(n + 1) % 24),
            )
            ends = f"{end}," if "end" in header else ""
            rows.append(
                f"{day}{between}{of_day},{ends}" + ",".join(["300"] * (header.count(",") - 1 - bool(ends)))
            )
        return "\n".join([head, *rows]) + "\n"

    with pytest.raises(InputError, match=r"dates stand in column .*, and times of day in .*: join the two"):
        inspected(tmp_path, text(",", header))
    if form.startswith("{hour:02}") and "end" not in header:
        joined = inspected(tmp_path, text("T", header.partition(",")[2]), kind="carbon")
        assert joined.quantities["step"] == "1h"


def test_a_date_in_each_row_needs_no_time_of_day(tmp_path: Path) -> None:
    rows = "".join(f"2021-01-{day:02},DE,{300 + day},12:00\n" for day in range(1, 29))
    found = inspected(tmp_path, "date,zone,carbon_intensity,printed\n" + rows)
    assert found.quantities["step"] == "1d"


@pytest.mark.parametrize(
    ("row", "unit"),
    [(",lb/MWh,lb/MWh", "lb/MWh"), ("UTC,[gCO2eq/kWh],kgCO2/MWh", "g/kWh"), (",g/kWh,lb/MWh", None)],
)
def test_units_in_a_row_below_the_header_are_read_and_the_file_without_it_too(
    row: str, unit: str | None, tmp_path: Path
) -> None:
    healthy = wide("time,A,B", lambda hour: f"{300 + hour},{50 + hour}")
    header, _, rest = healthy.partition("\n")
    found = inspected(tmp_path, f"{header}\n{row}\n{rest}")
    assert "the first row states units" in said(found)
    assert "delete its line" in said(found)
    stated = settings_of(found)["unit"]
    assert stated == unit if unit else stated.startswith("TODO")
    with pytest.raises(InputError, match="line 2, time"):
        read(tmp_path, filled(found.suggestion), ("hours = 6", "hours = 24"))
    assert "the first row" not in said(inspected(tmp_path, healthy))
    carbon = read(tmp_path, filled(found.suggestion), ("hours = 6", "hours = 24")).carbon
    assert carbon.g_per_kwh[0].tolist() == pytest.approx(
        [300 * G_PER_KWH[unit or "g/kWh"], 50 * G_PER_KWH[unit or "g/kWh"]]
    )
