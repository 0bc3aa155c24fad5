"""Plain files are read as the library for tables reads them, value by value; all others are left to it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from carbonroute.carbon import CarbonSource, FileSource, Query
from carbonroute.live.signals.plain import plain_points
from carbonroute.live.signals.provider import Point, points_of
from helpers.live import bed

WIDE: dict[str, Any] = {
    "kind": "file",
    "path": "c.csv",
    "layout": "wide",
    "time_column": "t",
    "unit": "g/kWh",
}
LONG: dict[str, Any] = {**WIDE, "layout": "long", "zone_column": "z", "value_column": "v"}
ROWS = "t,A,B\n2026-03-01T23:00Z,310,1\n2026-03-02T00:00Z,300.25,2\n"


def source(**keys: Any) -> FileSource:
    made = TypeAdapter(CarbonSource).validate_python(keys)
    assert isinstance(made, FileSource)
    return made


def both(
    text: str, folder: Path, zones: tuple[str, ...] = ("A", "B"), **keys: Any
) -> tuple[dict[str, list[Point]] | None, dict[str, list[Point]]]:
    (folder / "c.csv").write_text(text, encoding="utf-8")
    made = source(**keys)
    readings = made.read(Query.of_all_times(zones, folder))
    return plain_points(made, zones, folder), points_of(readings, made.step.minutes)


@pytest.mark.parametrize("unit", ["g/kWh", "lb/MWh", "kg/kWh"])
@pytest.mark.parametrize("layout", ["wide", "long"])
def test_a_plain_file_is_read_as_by_the_library(layout: str, unit: str, tmp_path: Path) -> None:
    rng, times = np.random.default_rng(1), [f"2026-03-0{1 + i // 24}T{i % 24:02}:00" for i in range(100)]
    offsets, places = ["Z", "+00:00", "+02:30", ":30-05:00"], [0, 1, 2, 6]
    rows = [
        (
            time.replace("T", "T "[i % 2]) + offsets[i % 4],
            [f"{value:.{places[i % 4]}f}" if i % 7 else "" for value in rng.uniform(1, 900, 3)],
        )
        for i, time in enumerate(times)
    ]
    if layout == "wide":
        text = "A_g,t,C,B_g\n" + "".join(f"{a},{time},{c},{b}\n" for time, (a, b, c) in rows)
        keys = {**WIDE, "column_suffix": "_g", "unit": unit, "step": "30min"}
    else:
        lines = (f"{zone},{time},{v}\n" for time, row in rows for zone, v in zip("ABC", row, strict=True))
        text, keys = "z,t,v\n" + "".join(lines), {**LONG, "unit": unit}
    plain, full = both(text, tmp_path, **keys)
    assert plain is not None
    assert plain == {zone: full[zone] for zone in ("A", "B")}
    assert len(plain["A"]) == 100
    assert sum(point.g_per_kwh is None for point in plain["A"]) == 15


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (ROWS.replace("300.25", '"300.25"'), {}),
        (ROWS.replace("\n", "\r\n"), {}),
        (ROWS.replace("300.25", "n/a"), {"absurd": "missing"}),
        (ROWS.replace("300.25", "3e2"), {}),
        (ROWS.replace("Z", ""), {"time_zone": "UTC"}),
        (ROWS.replace(",", ";"), {"separator": ";"}),
        (ROWS, {"stamp": "end"}),
        (ROWS, {"path": "*.csv"}),
        (ROWS, {"step": "until-next:1h"}),
        (ROWS, {"zone_units": {"A": "kg/kWh"}}),
        ("above\n" + ROWS, {"skip_rows": 1}),
        (ROWS.replace("A", "Ä"), {}),
    ],
)
def test_what_is_not_plain_is_left_to_the_library(text: str, keys: dict[str, Any], tmp_path: Path) -> None:
    zones = ("Ä" if "Ä" in text else "A", "B")
    plain, full = both(text, tmp_path, zones, **{**WIDE, **keys})
    assert plain is None
    assert len(full["B"]) >= 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "t,A,B\n",
        "t,A\n2026-03-01T23:00Z,310\n",
        ROWS + "\n\n2026-03-02T01:00Z,3\n",
        ROWS + "2026-03-02T01:00Z,3\n",
        ROWS + "2026-13-02T01:00Z,3,4\n",
        ROWS + "2026-03-02T24:00Z,3,4\n",
        ROWS.replace("t,A,B", "t,A,A"),
        ROWS + "x" * 2**20,
    ],
)
def test_what_is_faulty_is_left_to_the_library(text: str, tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text(text, encoding="utf-8")
    assert plain_points(source(**WIDE), ("A", "B"), tmp_path) is None
    assert plain_points(source(**{**WIDE, "path": "none.csv"}), ("A", "B"), tmp_path) is None


CODE = """
import sys
from pathlib import Path
from carbonroute.cli import main
assert main(["live", "run", sys.argv[1], "--shadow", "--ticks", "2"]) == 0
parts = {name.partition(".")[0] for name in sys.modules}
loaded = {"polars._plr"} & set(sys.modules) | {"numba", "scipy", "matplotlib", "llvmlite"} & parts
assert not loaded, loaded
"""


def test_a_controller_on_a_plain_file_loads_no_library_that_it_does_not_need(tmp_path: Path) -> None:
    world = bed(tmp_path, ("[traffic]", "[control]\ninterval_s = 0.01\n\n[traffic]"))
    (tmp_path / "c.csv").write_text(ROWS, encoding="utf-8")
    text = world.path.read_text(encoding="utf-8").replace('mode = "live"', 'mode = "shadow"')
    begin = text.index("[[live.carbon.sources]]")
    carbon = ", ".join(f'{key} = "{value}"' for key, value in WIDE.items())
    keys = f'[[live.carbon.sources]]\nkind = "file"\ncarbon = {{ {carbon} }}\n'
    world.path.write_text(text[:begin] + keys, encoding="utf-8")
    paths = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(world.path)],
        env={**os.environ, **paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
