"""Units zone by zone, marks in numbers, and zeros that mean no data: read when stated, else asked about."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from carbonroute.cli import main
from carbonroute.units import G_PER_KWH
from helpers import small
from helpers.carbon_sources import ask, refusal, says, table

GRAMS = [412.5, 420, 431.25, 400, 398.5, 405]
OTHER = [61.0, 62, 63, 64, 65, 66]


def keys(*lines: str) -> str:
    return small.WIDE + "".join(f"{line}\n" for line in lines)


def scaled(values: Sequence[float], unit: str) -> list[float]:
    return [value / G_PER_KWH[unit] for value in values]


@pytest.mark.parametrize("unit", ["kg/kWh", "t/MWh", "lb/kWh"])
@pytest.mark.parametrize("first", [True, False])
def test_a_zone_in_a_larger_unit_is_refused_and_read_when_stated(
    unit: str, first: bool, tmp_path: Path
) -> None:
    zones = {"A": scaled(GRAMS, unit), "B": OTHER}
    text = table(zones if first else dict(reversed(zones.items())))
    message = refusal(tmp_path, text)
    assert says(message, "no value of A is above ", "looks like kg/kWh", "zone_units = { A = 'kg/kWh' }")
    found = ask(tmp_path, text, keys(f'zone_units = {{ A = "{unit}" }}'))
    assert found.g_per_kwh == pytest.approx(np.array([GRAMS, OTHER]).T)
    kept = ask(tmp_path, text, keys('tiny = "keep"')).g_per_kwh[:, 0]
    assert kept == pytest.approx(scaled(GRAMS, unit))


def test_the_zone_is_found_in_a_long_file_and_in_parquet(tmp_path: Path) -> None:
    long = small.LONG_CSV.replace(",A,40", ",A,0.40")
    message = refusal(tmp_path, long, small.LONG)
    assert says(message, "no value of A is above 0.405 g/kWh", "zone_units = { A = 'kg/kWh' }")
    unit = small.LONG + 'zone_units = { A = "kg/kWh" }\n'
    assert ask(tmp_path, long, unit).g_per_kwh[:, 0] == pytest.approx([400 + i for i in range(6)])
    frame = pl.read_csv(table({"A": scaled(GRAMS, "kg/kWh"), "B": OTHER}).encode(), try_parse_dates=True)
    frame.write_parquet(tmp_path / "carbon.parquet")
    section = small.WIDE.replace("carbon.csv", "carbon.parquet")
    data = (tmp_path / "carbon.parquet").read_bytes()
    assert says(refusal(tmp_path, data, section), "no value of A is above ")


def test_a_zone_in_a_smaller_unit_is_refused_and_read_when_stated(tmp_path: Path) -> None:
    text = table({"A": scaled(GRAMS, "g/MWh"), "B": OTHER})
    message = refusal(tmp_path, text)
    assert says(
        message, "line 2, zone A: found '412500.0'", "if it is in g/MWh, state that unit: 412.5 g/kWh"
    )
    found = ask(tmp_path, text, keys('zone_units = { A = "g/MWh" }'))
    assert found.g_per_kwh == pytest.approx(np.array([GRAMS, OTHER]).T)


def test_units_of_a_zone_that_is_not_there_are_refused(tmp_path: Path) -> None:
    unit = 'zone_units = { AA = "kg/kWh" }'
    for text, section in ((small.WIDE_CSV, small.WIDE), (small.LONG_CSV, small.LONG)):
        message = refusal(tmp_path, text, f"{section}{unit}\n")
        assert says(message, "zone_units.AA: there is no zone 'AA'", "did you mean 'A'?")


@pytest.mark.parametrize("unit", list(G_PER_KWH))
def test_every_unit(unit: str, tmp_path: Path) -> None:
    text = table({"A": scaled(GRAMS, unit), "B": scaled(OTHER, unit)})
    found = ask(tmp_path, text, small.WIDE.replace('"g/kWh"', f'"{unit}"'))
    assert found.g_per_kwh == pytest.approx(np.array([GRAMS, OTHER]).T)


def test_a_unit_in_the_name_of_a_column_is_no_other_than_the_stated_one(tmp_path: Path) -> None:
    text = table({"A": GRAMS, "B": OTHER}).replace("A,B", "A lb/MWh,B lb/MWh")
    section = keys('column_suffix = " lb/MWh"')
    message = refusal(tmp_path, text, section)
    assert says(message, "column 'A lb/MWh': states lb/MWh, and unit = 'g/kWh' is stated", "unit = 'lb/MWh'")
    found = ask(tmp_path, text, section.replace('"g/kWh"', '"lb/MWh"'))
    assert found.g_per_kwh[0, 1] == pytest.approx(61 * 0.45359237)
    same = text.replace("lb/MWh", "kg/MWh")  # the same number as in g/kWh
    assert ask(tmp_path, same, keys('column_suffix = " kg/MWh"')).g_per_kwh[0, 1] == 61


MIXED = "time,zone,value,ci_unit\n" + "".join(
    f"{time},A,{0.4 + i / 1000:g},kg CO2/kWh\n{time},B,{100 + i},lbs CO2 per MWh\n"
    for i, time in enumerate(small.HOURS)
)


def test_a_column_of_units_is_read_row_by_row_or_agrees(tmp_path: Path) -> None:
    section = small.LONG.replace('unit = "g/kWh"', 'unit_column = "ci_unit"')
    found = ask(tmp_path, MIXED, section)
    expected = [[400 + i, (100 + i) * 0.45359237] for i in range(6)]
    assert found.g_per_kwh == pytest.approx(np.array(expected))
    message = refusal(tmp_path, MIXED, small.LONG)
    assert says(message, "column 'ci_unit'", "and unit = 'g/kWh' is stated", "unit_column")
    message = refusal(tmp_path, MIXED.replace("kg CO2/kWh", "furlong"), section)
    assert says(message, "line 2, ci_unit: found 'furlong'", "a unit is expected, such as g/kWh")
    agrees = (
        MIXED.replace("kg CO2/kWh", "gCO2eq/kWh").replace("lbs CO2 per MWh", "kg/MWh").replace(",0.4", ",4")
    )
    assert ask(tmp_path, agrees, small.LONG).g_per_kwh[0].tolist() == [4, 100]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('unit_column = "x"', "found 'g/kWh', and unit_column too"),
        ('thousands = ","\ndecimal = ","', "decimal and thousands are both ','"),
        ('zone_units = { A = "g/GWh" }', "zone_units"),
        ('separator = ":"', "separator"),
    ],
)
def test_settings_that_contradict_each_other(line: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=words):
        ask(tmp_path, small.WIDE_CSV, keys(line))


#: Texts of the values of zone A, the keys that read them, and words of the refusal without.
MARKS = {
    "dots between thousands": (
        ["1.050", "1.060", "1.070"],
        'thousands = "."',
        "thousands = '.' if 1.050 is 1050",
    ),
    "quoted thousands": (['"1,050"', '"1,060"', '"1,070"'], 'thousands = ","', "thousands = ','"),
    "spaces": (["1 050", "1 060", "1 070"], 'thousands = " "', "thousands = ' '"),
    "narrow spaces": (["1\u202f050", "1\u202f060", "1\u202f070"], 'thousands = " "', "write 1050"),
    "decimal commas": (['"1050,0"', '"1060,0"', '"1070,0"'], 'decimal = ","', "decimal = ','"),
    "both": (
        ['"1.050,0"', '"1.060,0"', '"1.070,0"'],
        'thousands = "."\ndecimal = ","',
        "found '1.050,0'; write 1050.0, or state thousands = '.'",
    ),
    "commas and points": (['"1,050.0"', '"1,060.0"', '"1,070.0"'], 'thousands = ","', "thousands = ','"),
    "raised commas": (["1\u2019050", "1\u2019060", "1\u2019070"], 'thousands = "\'"', "write 1050"),
}


@pytest.mark.parametrize("name", MARKS)
def test_numbers_with_marks_are_refused_and_read_when_stated(name: str, tmp_path: Path) -> None:
    values, section, words = MARKS[name]
    text = table({"A": values, "B": [61, 62, 63]})
    assert words in refusal(tmp_path, text, hours=3)
    found = ask(tmp_path, text, keys(*section.split("\n")), hours=3)
    assert found.g_per_kwh.tolist() == [[1050, 61], [1060, 62], [1070, 63]]


def test_decimal_commas_beside_dots_between_thousands_name_the_dots(tmp_path: Path) -> None:
    text = table({"A": ['"950,5"', '"1.050,5"'], "B": ['"61,0"', '"62,0"']})
    message = refusal(tmp_path, text, keys('decimal = ","'), hours=2)
    assert "line 3, zone A: found '1.050,5'; write 1050.5, or state thousands = '.'" in message
    found = ask(tmp_path, text, keys('decimal = ","', 'thousands = "."'), hours=2)
    assert found.g_per_kwh.tolist() == [[950.5, 61], [1050.5, 62]]


def test_single_values_with_a_dot_between_thousands_name_it(tmp_path: Path) -> None:
    text = table({"A": [950, "1.010", 960, "1.020"], "B": [61, 62, 63, 64]})
    assert "or state thousands = '.' if it is 1010" in refusal(tmp_path, text, hours=4)
    found = ask(tmp_path, text, keys('thousands = "."'), hours=4)
    assert found.g_per_kwh[:, 0].tolist() == [950, 1010, 960, 1020]


def test_a_mark_that_does_not_fit_a_number_is_refused(tmp_path: Path) -> None:
    text = table({"A": ["1.050", "61.5"], "B": [61, 62]})
    assert says(refusal(tmp_path, text, keys('thousands = "."'), hours=2), "line 3, zone A: found '61.5'")


@pytest.mark.parametrize("values", [[980, "1.050", 990, 985, 970, 960], [412, 410, 0.409, 0.408, 411, 413]])
def test_single_values_1000_times_too_low_are_refused(values: list[float | str], tmp_path: Path) -> None:
    text = table({"A": values, "B": OTHER})
    message = refusal(tmp_path, text)
    low = [i for i, value in enumerate(values) if float(value) < 2]
    for row in low:
        assert says(message, f"line {row + 2}, zone A: ", "1,000 times lower than the values beside it")
    assert ask(tmp_path, text, keys('tiny = "keep"')).g_per_kwh[low[0], 0] == float(values[low[0]])
    mended = [f"{float(value) * 1000:g}" if i in low else value for i, value in enumerate(values)]
    assert ask(tmp_path, table({"A": mended, "B": OTHER})).g_per_kwh[low[0], 0] > 400


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_other_separators_are_named_and_read_when_stated(separator: str, tmp_path: Path) -> None:
    text = table({"A": ["300,5", "310,5"], "B": ["50,2", "51,2"]}).splitlines()
    lines = [line.replace(",", separator, 1) for line in text]
    lines[0] = separator.join(("time", "A", "B"))
    lines[1:] = [
        separator.join((line.split(separator)[0], a, b))
        for line, a, b in zip(lines[1:], ("300,5", "310,5"), ("50,2", "51,2"), strict=True)
    ]
    data = "\n".join(lines) + "\n"
    message = refusal(tmp_path, data, hours=2)
    spelled = {"\t": "\\t"}.get(separator, separator)
    assert says(
        message, f"separated by '{spelled}'", "decimal commas, as '300,5'", f"separator = '{spelled}'"
    )
    found = ask(tmp_path, data, keys(f'separator = "{spelled}"', 'decimal = ","'), hours=2)
    assert found.g_per_kwh.tolist() == [[300.5, 50.2], [310.5, 51.2]]
    note = refusal(tmp_path, f"sep={separator}\n{data}", hours=2)
    assert says(note, "line 1 states a separator", "remove line 1", "skip_rows = 1")
    below = keys(f'separator = "{spelled}"', 'decimal = ","', "skip_rows = 1")
    assert (
        ask(tmp_path, f"sep={separator}\n{data}", below, hours=2).g_per_kwh.tolist()
        == found.g_per_kwh.tolist()
    )


ZEROS = {"A": [120.0, 121, 122, 123, 124, 125], "B": [410.0, 411, 412, 0, 414, 415]}


def test_zeros_beside_hundreds_are_asked_about(tmp_path: Path) -> None:
    found = ask(tmp_path, table(ZEROS))
    assert found.g_per_kwh[3, 1] == 0
    assert found.cleaning["carbon.csv"]["zeros"] == {
        "by_zone": {"B": 1},
        "first": {"B": ["2021-01-01T03:00Z"]},
    }
    assert says(found.notes[0], "1 values of 0", "(B 1: 2021-01-01T03:00Z)", "zeros = 'missing' or 'keep'")
    assert ask(tmp_path, table(ZEROS), keys('zeros = "keep"')).notes == ()
    rules = keys('zeros = "missing"', 'gaps = "interpolate:1h"')
    found = ask(tmp_path, table(ZEROS), rules)
    assert found.g_per_kwh[3, 1] == 413
    assert found.cleaning["carbon.csv"]["zeros"]["rule"] == "missing"
    message = refusal(tmp_path, table(ZEROS), keys('zeros = "missing"'))
    assert says(message, "line 5, zone B: found '0'", "gaps = 'interpolate:6h'")


@pytest.mark.parametrize(
    ("values", "count"),
    [
        ([0, 0, 412, 413, 414, 415], 2),
        ([412, 413, 0, 0, 0, 0], 4),
        ([412, 0, 413, 0, 414, 0], 3),
        ([0, 0, 0, 0, 0, 0], 6),
        ([60, 20, 3, 0, 4, 30], 0),
        ([412, 413, 414, 415, 0.0, 20], 0),
    ],
)
def test_which_zeros_are_asked_about(values: list[float], count: int, tmp_path: Path) -> None:
    found = ask(tmp_path, table({"A": [120, 121, 122, 123, 124, 125], "B": values}))
    zeros = found.cleaning.get("carbon.csv", {}).get("zeros", {"by_zone": {}})
    assert zeros["by_zone"].get("B", 0) == count


def test_a_zero_of_a_quarter_of_an_hour_too(tmp_path: Path) -> None:
    text = table({"A": [400, 0, 402, 403, 404, 405, 406, 407]}, minutes=15)
    found = ask(tmp_path, text, keys('step = "15min"'), zones=("A",), hours=2)
    assert found.cleaning["carbon.csv"]["zeros"]["by_zone"] == {"A": 1}


def test_validate_and_simulate_name_hour_and_zone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenario = small.changed(small.SCENARIO, (small.SYNTHETIC, small.WIDE))
    (tmp_path / "small.toml").write_text(scenario, encoding="utf-8")
    (tmp_path / "carbon.csv").write_text(table(ZEROS), encoding="utf-8")
    assert main(["validate", str(tmp_path / "small.toml")]) == 0
    said = "".join(capsys.readouterr())
    assert "B 1: 2021-01-01T03:00Z" in said
    assert main(["simulate", str(tmp_path / "small.toml"), "--output", str(tmp_path / "run")]) == 0
    assert "B 1: 2021-01-01T03:00Z" in "".join(capsys.readouterr())
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text(encoding="utf-8"))
    assert '"zeros"' in json.dumps(manifest)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("carbon_free_percent", "is a percentage"),
        ("Renewable energy percentage (RE%)", "is a percentage"),
        ("re_pct", "is a percentage"),
        ("renewables", "is renewable or carbon-free energy"),
        ("Carbon-free energy", "is renewable or carbon-free energy"),
    ],
)
def test_a_column_that_is_called_otherwise_is_no_carbon_intensity_and_its_name_is(
    name: str, said: str, tmp_path: Path
) -> None:
    long, section = (text.replace("value", name) for text in (small.LONG_CSV, '"value"'))
    message = refusal(tmp_path, long, small.LONG.replace('"value"', section))
    assert says(message, f"line 1, column '{name}'", f"{said} by its name", "value_column")
    both = "".join(f"{line},{i or 'carbon_intensity'}\n" for i, line in enumerate(long.splitlines()))
    found = ask(tmp_path, both, small.LONG.replace('"value"', '"carbon_intensity"'))
    assert found.g_per_kwh[:, 0].tolist() == [1, 2, 3, 4, 5, 6]
    wide = table({f"A {name}": GRAMS, f"B {name}": OTHER})
    message = refusal(tmp_path, wide, keys(f'column_suffix = " {name}"'))
    assert message.count(f"{said} by its name") == 2


@pytest.mark.parametrize("suffix", [" g/kWh (% of hours: all)", "_intensity_with_renewables", "_renewably"])
def test_names_with_a_unit_or_the_word_intensity_are_carbon(suffix: str, tmp_path: Path) -> None:
    wide = table({f"A{suffix}": GRAMS, f"B{suffix}": OTHER})
    found = ask(tmp_path, wide, keys(f'column_suffix = "{suffix}"'))
    assert found.g_per_kwh[:, 0].tolist() == GRAMS
