"""Many files, one scenario: patterns, a zone in the name, regions' own files, and two series of one zone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from carbonroute.carbon import Signal
from carbonroute.carbon.synthetic import Synthetic
from carbonroute.cli import main
from carbonroute.errors import InputError
from carbonroute.scenario import load, resolve
from helpers import small
from helpers.carbon_sources import query, source
from helpers.refusals import Refusals

ONE = (
    'kind = "file"\npath = "grid/{zone}.csv"\nlayout = "long"\ntime_column = "time"\n'
    'value_column = "value"\nunit = "g/kWh"\n'
)
BY_COLUMN = small.changed(small.LONG, ("carbon.csv", "grid/*.csv"))
WIDE = small.changed(small.WIDE, ("carbon.csv", "grid/*.csv"))


def rows(base: float, hours: range = range(6), column: str = "value") -> str:
    """Return a file of one zone."""
    return f"time,{column}\n" + "".join(f"{small.HOURS[hour]},{base + hour}\n" for hour in hours)


def named(zone: str, base: float, hours: range = range(6)) -> str:
    """Return a file with a column that names its zone."""
    return "time,zone,value\n" + "".join(f"{small.HOURS[hour]},{zone},{base + hour}\n" for hour in hours)


def put(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".parquet":
            pl.read_csv(text.encode(), try_parse_dates=True).write_parquet(path)
        else:
            path.write_text(text, encoding="utf-8")


def asked(folder: Path, files: dict[str, str], section: str, **changes: Any) -> Signal:
    put(folder, files)
    return source(section).signal(query(folder, **changes))


FIRST, LAST = range(3), range(3, 6)
READ: dict[str, tuple[dict[str, str], str]] = {
    "a file per zone": ({"grid/A.csv": rows(400), "grid/B.csv": rows(50)}, ONE),
    "a file per zone, Parquet, with years in the name": (
        {"grid/A_2021-2024.parquet": rows(400), "grid/B_2021-2024.parquet": rows(50)},
        small.changed(ONE, ("{zone}.csv", "{zone}_2021-2024.parquet")),
    ),
    "a folder per zone": (
        {"grid/A/B.csv": rows(400), "grid/B/B.csv": rows(50)},
        small.changed(ONE, ("{zone}.csv", "{zone}/*.csv")),
    ),
    "the zone twice in the name": (
        {"A/A_2021.csv": rows(400), "B/B_2021.csv": rows(50)},
        small.changed(ONE, ("grid/{zone}.csv", "{zone}/{zone}_2021.csv")),
    ),
    "parts of the time by pattern": (
        {"grid/A-1.csv": rows(400, FIRST), "grid/A-2.csv": rows(400, LAST), "grid/B-1.csv": rows(50)},
        small.changed(ONE, ("{zone}.csv", "{zone}-?.csv")),
    ),
    "parts of the time by list": (
        {f"{part}/{zone}.csv": rows(base, hours)
         for part, hours in (("early", FIRST), ("late", LAST)) for zone, base in (("A", 400), ("B", 50))},
        small.changed(ONE, ('"grid/{zone}.csv"', '["early/{zone}.csv", "late/{zone}.csv"]')),
    ),
    "a column of zones, by pattern": (
        {"grid/x.csv": named("A", 400), "grid/y.csv": named("B", 50)}, BY_COLUMN
    ),
    "a column of zones, and the zone in the name": (
        {
            "grid/A.csv": named("A", 400) + named("C", 1)[16:],
            "grid/B.csv": named("B", 50) + named("A", 9)[16:],
        },
        small.changed(BY_COLUMN, ("*", "{zone}")),
    ),
    "a column per zone, in files of their own": (
        {"grid/x.csv": rows(400, column="A"), "grid/y.csv": rows(50, column="B")}, WIDE
    ),
    "a column per zone, by list": (
        {"x.csv": rows(400, column="A"), "y.csv": rows(50, column="B")},
        small.changed(small.WIDE, ('"carbon.csv"', '["x.csv", "y.csv"]')),
    ),
    "a column per zone, the zone in the name": (
        {"grid/A.csv": rows(400, column="A"), "grid/B.csv": rows(50, column="B")},
        small.changed(WIDE, ("*", "{zone}")),
    ),
    "a file whose name is a pattern": (
        {"grid[1].csv": small.WIDE_CSV, "grid1.csv": "time,A,B\n"},
        small.changed(small.WIDE, ("carbon", "grid[1]")),
    ),
    "one file by a pattern": ({"carbon.csv": small.LONG_CSV}, small.changed(small.LONG, ("carbon", "carb*"))),
}  # fmt: skip


@pytest.mark.parametrize("case", READ)
def test_many_files_are_one_source(case: str, tmp_path: Path) -> None:
    files, section = READ[case]
    found = asked(tmp_path, files, section)
    assert found.g_per_kwh.T.tolist() == [[400 + hour for hour in range(6)], [50 + hour for hour in range(6)]]
    assert set(found.files) == set(files) - {"grid1.csv"}
    assert all(path == tmp_path / name for name, path in found.files.items())


def test_a_zone_s_files_are_not_those_of_a_longer_name(tmp_path: Path) -> None:
    files = {"US_2021.csv": rows(400), "US_CAL_2021.csv": rows(50)}
    section = small.changed(ONE, ("grid/{zone}.csv", "{zone}_*.csv"))
    found = asked(tmp_path, files, section, zones=("US", "US_CAL"))
    assert found.g_per_kwh[0].tolist() == [400, 50]


def test_zones_may_have_signs_that_patterns_know(tmp_path: Path) -> None:
    files = {"grid/[x]_1.csv": rows(400), "grid/x_1.csv": rows(7), "grid/y*_1.csv": rows(50)}
    found = asked(tmp_path, files, small.changed(ONE, ("{zone}", "{zone}_*")), zones=("[x]", "y*"))
    assert found.g_per_kwh[0].tolist() == [400, 50]


REFUSED: dict[str, tuple[dict[str, str], str, str]] = {
    "no file of a zone": (
        {"grid/A.csv": rows(400), "grid/Bb.csv": rows(50)}, ONE,
        "regions[1].zone: there is no file 'grid/B.csv'; did you mean 'Bb'? Known: A, Bb",
    ),
    "no file of a zone in one part": (
        {"early/A.csv": rows(1), "late/A.csv": rows(1), "early/B.csv": rows(1)},
        READ["parts of the time by list"][1],
        "regions[1].zone: there is no file 'late/B.csv'; Known: A",
    ),
    "no file at all": (
        {"gird/A.csv": rows(1)}, BY_COLUMN, "/grid: did you mean 'gird'? Known: gird",
    ),
    "no file of a pattern": (
        {"grid/A.cvs": rows(1)}, BY_COLUMN, "/grid: did you mean 'grid/A.cvs'? Known: grid/A.cvs",
    ),
    "no folder of a zone's files": (
        {"gird/A.csv": rows(1)}, ONE, "/grid: did you mean 'gird'? Known: gird",
    ),
    "other braces": (
        {"grid/A_2021.csv": rows(1)}, small.changed(ONE, ("{zone}", "{zone}_{year}")),
        "carbon.path: found {year} in 'grid/{zone}_{year}.csv'; {zone} alone is known: write * for what else",
    ),
    "braces of another name": (
        {"grid/A.csv": rows(1)}, small.changed(ONE, ("{zone}", "{region}")), "{zone} alone is known",
    ),
    "several zones and none named": (
        {"grid/A.csv": rows(1), "grid/B.csv": rows(2)}, small.changed(ONE, ("{zone}", "*")),
        "carbon.zone_column: missing, and 2 zones are asked for: A, B; state it, or {zone} in path",
    ),
    "one column in a file per zone, as wide": (
        {"grid/A.csv": rows(1), "grid/B.csv": rows(2)}, small.changed(WIDE, ("*", "{zone}")),
        "state layout = 'long' and value_column = 'value'",
    ),
    "two whole series of one zone": (
        {"grid/x.csv": named("A", 400), "grid/y.csv": named("A", 50) + named("B", 1)[16:]}, BY_COLUMN,
        "grid/x.csv and grid/y.csv, zone A: these files cover the same hours: one source per region",
    ),
    "two whole series of one column": (
        {"grid/x.csv": small.WIDE_CSV, "grid/y.csv": small.WIDE_CSV.replace("Z,4", "Z,3")}, WIDE,
        "zone A: these files cover the same hours: one source per region",
    ),
    "their mean": (
        {"grid/x.csv": named("A", 400), "grid/y.csv": named("A", 50) + named("B", 1)[16:]},
        BY_COLUMN + 'duplicates = "mean"\n', "these files cover the same hours: one source per region",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_files_that_do_not_fit_are_refused(case: str, tmp_path: Path) -> None:
    files, section, words = REFUSED[case]
    with pytest.raises(InputError) as caught:
        asked(tmp_path, files, section)
    assert words in str(caught.value)
    assert "duplicates = 'mean'" not in str(caught.value)


PATCH = {
    "an hour of both": rows(400, range(4)) + "|" + rows(400, LAST).replace("403.0", "403"),
    "a file that puts an hour right": rows(400) + "|" + rows(7, range(2, 3)),
    "the same values again": rows(400) + "|" + rows(400),
}


@pytest.mark.parametrize("case", PATCH)
def test_duplicates_stay_duplicates(case: str, tmp_path: Path) -> None:
    files = dict(zip(("A1.csv", "A2.csv"), PATCH[case].split("|"), strict=True))
    section = small.changed(ONE, ("grid/{zone}", "{zone}?"))
    with pytest.raises(InputError, match=r"a second value for .*duplicates = 'first', 'last' or 'mean'"):
        asked(tmp_path, files, section, zones=("A",))
    found = asked(tmp_path, files, section + 'duplicates = "first"\n', zones=("A",))
    assert found.g_per_kwh.ravel().tolist() == [400, 401, 402, 403, 404, 405]


def test_a_whole_file_may_revise_another(tmp_path: Path) -> None:
    files = {"A1.csv": rows(400), "A2.csv": rows(410)}
    section = small.changed(ONE, ("grid/{zone}", "{zone}?")) + 'duplicates = "last"\n'
    assert asked(tmp_path, files, section, zones=("A",)).g_per_kwh[0, 0] == 410


OWN = ('name = "B"\n', 'name = "B"\ncarbon = {{ {} }}\n')


def scenario(folder: Path, section: str, own: str, *changes: small.Change) -> Path:
    return small.write(folder, (small.SYNTHETIC, section), (OWN[0], OWN[1].format(own)), *changes)


def carbon_of(path: Path) -> list[float]:
    first: list[float] = resolve(load(path)).carbon.g_per_kwh[0].tolist()
    return first


INHERITED: dict[str, tuple[dict[str, str], str, str]] = {
    "a path": (
        {"a.csv": rows(400), "b.csv": rows(50)}, small.changed(ONE, ("grid/{zone}", "a")), 'path = "b.csv"',
    ),
    "a path with the zone": (
        {"grid/A.csv": rows(400), "more/B.csv": rows(50)}, ONE, 'path = "more/{zone}.csv"',
    ),
    "another column": (
        {"grid/A.csv": rows(400), "b.csv": rows(50, column="co2")}, ONE,
        'path = "b.csv", value_column = "co2"',
    ),
    "another unit": ({"grid/A.csv": rows(400), "b.csv": rows(50)}, ONE, 'path = "b.csv", unit = "kg/MWh"'),
    "another layout": (
        {"grid/A.csv": rows(400), "b.csv": small.WIDE_CSV}, ONE, 'path = "b.csv", layout = "wide"',
    ),
    "a layout back": (
        {"a.csv": small.WIDE_CSV.replace("A,B", "A_x,B_x"), "b.csv": rows(50)},
        small.changed(small.WIDE, ("carbon", "a")) + 'column_suffix = "_x"\n',
        'path = "b.csv", layout = "long", value_column = "value"',
    ),
    "rules": (
        {"a.csv": rows(400), "b.csv": "time,value\n" + "".join(f"{time},0.5\n" for time in small.HOURS)},
        small.changed(ONE, ("grid/{zone}", "a")) + 'tiny = "keep"\n',
        'path = "b.csv"',
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", INHERITED)
def test_a_region_inherits_what_it_does_not_state(case: str, tmp_path: Path) -> None:
    files, section, own = INHERITED[case]
    put(tmp_path, files)
    first = carbon_of(scenario(tmp_path, section, own))
    assert first == [400, 0.5 if case == "rules" else 50]


def test_all_regions_may_name_their_files_and_the_scenario_the_rest(
    tmp_path: Path, refused: Refusals
) -> None:
    put(tmp_path, {"a.csv": rows(400), "b.csv": rows(50)})
    section = ONE.replace('path = "grid/{zone}.csv"\n', "")
    both = ('name = "A"\n', 'name = "A"\ncarbon = { path = "a.csv" }\n')
    assert carbon_of(scenario(tmp_path, section, 'path = "b.csv"', both)) == [400, 50]
    refused(scenario(tmp_path, section, 'path = "b.csv"'), "carbon.path: missing; this key is required")


def test_faults_of_the_scenario_s_carbon_are_told_once(tmp_path: Path, refused: Refusals) -> None:
    message = refused(
        scenario(tmp_path, ONE.replace("g/kWh", "g/Wh"), 'path = "b.csv"'), "carbon.unit: found"
    )
    assert message.count("unit") == 1
    refused(scenario(tmp_path, ONE, 'paht = "b.csv"'), "regions[1].carbon.paht: unknown key", "mean 'path'?")


def test_a_file_in_a_synthetic_scenario_states_its_kind(tmp_path: Path, refused: Refusals) -> None:
    put(tmp_path, {"b.csv": rows(50)})
    refused(scenario(tmp_path, small.SYNTHETIC, 'path = "b.csv"'), "regions[1].carbon.kind: missing", "file")
    shaped = scenario(tmp_path, small.SYNTHETIC, "noise = 0.0")
    carbon = load(shaped).regions[1].carbon
    assert isinstance(carbon, Synthetic)
    assert carbon.noise == 0


def test_the_remedy_for_two_series_works(tmp_path: Path) -> None:
    put(tmp_path, {"a.csv": rows(400), "b.csv": rows(50)})
    zoned = ('name = "A"\n', 'name = "A"\nzone = "value"\n')
    wide = small.changed(small.WIDE, ('"carbon.csv"', '["a.csv", "b.csv"]'))
    with pytest.raises(InputError, match="these files cover the same hours: one source per region"):
        carbon_of(small.write(tmp_path, (small.SYNTHETIC, wide), zoned, ('"B"\n', '"B"\nzone = "value"\n')))
    section = small.changed(small.WIDE, ("carbon.csv", "a.csv"))
    own = 'path = "b.csv" }\nzone = "value"\n#'
    assert carbon_of(scenario(tmp_path, section, own, zoned)) == [400, 50]


MOER = "point_time,value\n" + "".join(f"{time},{{0}}\n" for time in small.HOURS)
PROVIDERS: dict[str, tuple[str, str, str]] = {
    "watttime": ("{zone}.csv", 'units = "lbs_co2_per_mwh"\nstep = "1h"\n', MOER),
    "carbon-aware-sdk": (
        "*.json",
        'step = "1h"\naccounting = { rate = "average" }\n',
        '{{"Emissions": ['
        + ",".join(
            f'{{{{"location": "{{1}}", "time": "{time}", "rating": {{0}}, "duration": "01:00:00"}}}}'
            for time in small.HOURS
        )
        + "]}}",
    ),
    "electricity-maps": (
        "{zone}.json",
        'scope = "lifecycle"\n',
        '{{"zone": "{1}", "history": ['
        + ",".join(
            f'{{{{"zone": "{{1}}", "datetime": "{time}", "carbonIntensity": {{0}}}}}}' for time in small.HOURS
        )
        + "]}}",
    ),
}


@pytest.mark.parametrize("kind", PROVIDERS)
@pytest.mark.parametrize("own", [False, True])
def test_files_of_a_provider_may_be_one_per_zone(kind: str, own: bool, tmp_path: Path) -> None:
    """Also where the second region names its folder and inherits the rest."""
    pattern, keys, form = PROVIDERS[kind]
    other = "more/" * own
    suffix = pattern.rpartition(".")[2]
    put(tmp_path, {f"A.{suffix}": form.format(400, "A"), f"{other}B.{suffix}": form.format(50, "B")})
    section = f'kind = "{kind}"\npath = "{pattern}"\n{keys}'
    changes = [(OWN[0], OWN[1].format(f'path = "{other}{pattern}"'))] if own else []
    found = carbon_of(small.write(tmp_path, (small.SYNTHETIC, section), *changes))
    factor = 0.45359237 if kind == "watttime" else 1
    assert found == pytest.approx([400 * factor, 50 * factor])


def test_inspect_reads_all_files_of_a_scenario(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path, {"grid/A.csv": rows(400), "grid/B.csv": rows(50)})
    path = small.write(tmp_path, (small.SYNTHETIC, ONE))
    assert main(["inspect", str(path)]) == 0
    assert "cannot be run" not in capsys.readouterr().out
    (tmp_path / "grid" / "B.csv").unlink()
    assert main(["inspect", str(path)]) == 0
    assert "there is no file 'grid/B.csv'" in " ".join(capsys.readouterr().out.split())
