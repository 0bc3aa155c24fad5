"""A number in the wrong unit is caught, or its unit is demanded; one file each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from carbonroute.errors import InputError
from carbonroute.scenario import load, resolve
from helpers import small

Files = dict[str, str]


def wide(factor: float) -> str:
    """Return six hours of 400 and 50 g/kWh, times a factor."""
    rows = (f"{time},{(400 + i) * factor},{(50 + i) * factor}" for i, time in enumerate(small.HOURS))
    return "\n".join(["time,A,B", *rows]) + "\n"


def carbon(kind: str, *more: str, path: str = "carbon.json") -> small.Change:
    lines = [f'kind = "{kind}"', f'path = "{path}"', *more]
    return small.SYNTHETIC, "\n".join(lines) + "\n"


def of_zones(data: object) -> small.Change:
    """Give both regions the one zone of a file."""
    return 'name = "A"\n', f'name = "A"\nzone = "{data}"\n'


BOTH = (of_zones("X"), ('name = "B"\n', 'name = "B"\nzone = "X"\n'))
RATED = 'accounting = { rate = "average" }'
SDK = json.dumps(
    [{"location": "X", "time": time, "rating": 0.4, "duration": "01:00:00"} for time in small.HOURS]
)
NESO = json.dumps(
    {
        "data": [
            {
                "from": f"2021-01-01T{half // 2:02}:{half % 2 * 30:02}Z",
                "to": f"2021-01-01T{(half + 1) // 2:02}:{(half + 1) % 2 * 30:02}Z",
                "intensity": {"forecast": 0, "actual": half % 2, "index": "low"},
            }
            for half in range(12)
        ]
    }
)
POINTS = [{"point_time": f"2021-01-01T{i // 12:02}:{i % 12 * 5:02}:00Z", "value": 900} for i in range(72)]
WATTTIME = {
    "region": "X",
    "signal_type": "co2_moer",
    "units": "g_co2_per_kwh",
    "data_point_period_seconds": 300,
}
EM_HEAD = "Datetime (UTC),Country,Zone name,Zone id,Carbon intensity gCO₂eq/kWh (direct),Data estimated\n"
EM = EM_HEAD + "".join(f"2021-01-01 {i:02}:00:00,X,X,X,0.4,false\n" for i in range(6))
MIX = "time,zone,COL,WND\n" + "".join(f"{time},X,100,300\n" for time in small.HOURS)
FACTORS = 'time_column = "time"\nzone_column = "zone"\nfactors_source = "a table"\n'
RTT = ("[network.rtt_ms]\nWest = { A = 5, B = 65 }\nEast = { A = 80, B = 10 }\n", 'rtt_file = "rtt.csv"\n')
JITTER = ("jitter_std_ms = 3\n", 'jitter = { law = "lognormal", p90_file = "p90.csv" }\n')
NORMAL = 'service_ms = { law = "normal", mean = 20, std = 4 }'
FIXED = 'kind = "fixed-rate"\nrequests_per_hour = 50\n'
PLACES = (
    ('name = "West"\n', 'name = "West"\nlatitude = 45.8\nlongitude = -119.7\n'),
    ('name = "B"\n', 'name = "B"\nlatitude = 50.1\nlongitude = 8.7\n'),
)


def replay(more: str) -> small.Change:
    lines = 'kind = "replay"\n[[traffic.logs]]\npath = "log.csv"\ntime_column = "time"\nworkload = "short"\n'
    return FIXED, f"{lines}{more}\n"


def log(times: list[str], service: str = "0.2") -> str:
    return "time,s\n" + "".join(f"{time},{service}\n" for time in times)


SECONDS = [str(1609459200 + 60 * i) for i in range(5)]
CASES: dict[str, tuple[Files, tuple[small.Change, ...], tuple[str, ...]]] = {
    "kg/kWh as g/kWh": ({"carbon.csv": wide(1e-3)}, ((small.SYNTHETIC, small.WIDE),), ("kg/kWh",)),
    "t/MWh as kg/MWh": (
        {"carbon.csv": wide(1e-3)},
        ((small.SYNTHETIC, small.WIDE.replace("g/kWh", "kg/MWh")),),
        ("kg/kWh",),
    ),
    "g/kWh as kg/kWh": (
        {"carbon.csv": wide(1)},
        ((small.SYNTHETIC, small.WIDE.replace("g/kWh", "kg/kWh")),),
        ("line 2, zone A: found '400', 400000 g/kWh", "0 … 2000 g/kWh is expected"),
    ),
    "mg/kWh as g/kWh": ({"carbon.csv": wide(1e3)}, ((small.SYNTHETIC, small.WIDE),), ("0 … 2000 g/kWh",)),
    "no unit of carbon": (
        {"carbon.csv": wide(2.2)},  # lb/MWh would pass as g/kWh: so the unit must be said
        ((small.SYNTHETIC, small.WIDE.replace('unit = "g/kWh"\n', "")),),
        ("carbon.unit: missing; this key is required",),
    ),
    "lb/MWh of no known unit": (
        {"carbon.csv": wide(1)},
        ((small.SYNTHETIC, small.WIDE.replace("g/kWh", "lbs/MWh")),),
        ("carbon.unit: found 'lbs/MWh'", "'lb/MWh'"),
    ),
    "WattTime in grams": (
        {"carbon.json": json.dumps({"data": POINTS, "meta": WATTTIME})},
        (carbon("watttime"), *BOTH),
        ("g_co2_per_kwh", "lbs_co2_per_mwh"),
    ),
    "WattTime table of no unit": (
        {"carbon.csv": "point_time,value\n2021-01-01T00:00:00Z,900\n"},
        (carbon("watttime", 'region = "X"', path="carbon.csv"), *BOTH),
        ("units", "lbs_co2_per_mwh"),
    ),
    "carbon-aware-sdk in kg": ({"carbon.json": SDK}, (carbon("carbon-aware-sdk", RATED), *BOTH), ("kg/kWh",)),
    "NESO in kg": (
        {"carbon.json": NESO},
        (carbon("neso"), of_zones("GB"), ('name = "B"\n', 'name = "B"\nzone = "GB"\n')),
        ("kg/kWh",),
    ),
    "Electricity Maps in kg": (
        {"carbon.csv": EM},
        (carbon("electricity-maps", 'scope = "direct"', path="carbon.csv"), *BOTH),
        ("kg/kWh",),
    ),
    "fuel factors in kg/kWh": (
        {"carbon.csv": MIX},
        (
            carbon(
                "eia-fuel-mix", FACTORS + "factors_g_per_kwh = { COL = 0.82, WND = 0.011 }", path="carbon.csv"
            ),
            *BOTH,
        ),
        ("kg/kWh",),
    ),
    "round trips in s": (
        {},
        (*PLACES, ("West = { A = 5, B = 65 }", "West = { A = 0.005, B = 0.065 }")),
        ("West to B: found 0.065 ms over 8,251 km", "check unit (ms)"),
    ),
    "round trips in µs": (
        {"rtt.csv": ",A,B\nWest,5000,65000\nEast,80000,10000\n"},
        (RTT,),
        ("West to B: found '65000'", "milliseconds from 0 to 60000 are expected"),
    ),
    "90th percentiles in s": (
        {"p90.csv": ",A,B\nWest,0.006,0.070\nEast,0.09,0.012\n"},
        (JITTER,),
        ("West to A: found a 90th percentile of 0.006 ms", "are both in milliseconds?"),
    ),
    "90th percentiles in µs": (
        {"p90.csv": ",A,B\nWest,6000,70000\nEast,90000,12000\n"},
        (JITTER,),
        ("milliseconds",),
    ),
    "measured times of no unit": (
        {"times.csv": "s\n0.018\n0.02\n"},
        ((NORMAL, 'service_ms = { law = "empirical", path = "times.csv", column = "s" }'),),
        ("workloads[0].service_ms.unit: missing",),
    ),
    "a limit in s": (
        {},
        (("slo_ms = 100", "slo_ms = 0.1"),),
        ("a limit of 0.1 ms", "are both in milliseconds?"),
    ),
    "a log's epoch of no unit": (
        {"log.csv": log(SECONDS)},
        (replay(""),),
        ("time_unit",),
    ),
    "a log's epoch of s as ms": (
        {"log.csv": log(SECONDS)},
        (replay('time_unit = "ms"'),),
        ("line 2, time: found '1609459200'", "in s it is 2021-01-01"),
    ),
    "a log's times of no unit": (
        {"log.csv": log(["2021-01-01T00:00:00Z"])},
        (replay('service_column = "s"'),),
        ("service_unit",),
    ),
    "a log's times of ms as s": (
        {"log.csv": log(["2021-01-01T00:00:00Z"], "20000")},
        (replay('service_column = "s"\nservice_unit = "s"'),),
        ("log.csv",),
    ),
    "rates of no unit": (
        {"rates.csv": "a\n5\n5\n"},
        ((FIXED, 'kind = "rate-file"\npath = "rates.csv"\nwindow = "3h"\n'),),
        ("traffic.unit: missing",),
    ),
    "shares in percent": (
        {},
        (("share = 0.4", "share = 40"),),
        ("origins[0].share: found 40", "less than or equal to 1"),
    ),
    "PUE in percent": ({}, (('name = "A"\n', 'name = "A"\npue = 115\n'),), ("regions[0].pue: found 115",)),
    "energy in Wh": (
        {},
        ((NORMAL, f"{NORMAL}\nenergy_wh = 0.01"),),
        ("energy_wh: unknown key", "'energy_j'"),
    ),
    "hardware in kg": (
        {},
        ((NORMAL, f"{NORMAL}\nembodied_kg = 1"),),
        ("embodied_kg: unknown key", "'embodied_g'"),
    ),
    "a hundred kWh of mJ": ({}, ((NORMAL, f"{NORMAL}\nenergy_j = 1e10"),), ("energy_j: found 10000000000",)),
}


@pytest.mark.parametrize("case", CASES)
def test_a_swapped_unit_is_refused(case: str, tmp_path: Path) -> None:
    files, changes, expected = CASES[case]
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as refusal:
        resolve(load(small.write(tmp_path, *changes)))
    for part in expected:
        assert part in str(refusal.value)


def test_the_right_units_of_the_same_files_are_accepted(tmp_path: Path) -> None:
    (tmp_path / "carbon.csv").write_text(wide(1 / 0.45359237), encoding="utf-8")
    (tmp_path / "p90.csv").write_text(",A,B\nWest,6,70\nEast,90,12\n", encoding="utf-8")
    lb = small.WIDE.replace("g/kWh", "lb/MWh")
    inputs = resolve(load(small.write(tmp_path, (small.SYNTHETIC, lb), JITTER, *PLACES)))
    assert inputs.carbon.g_per_kwh[0].tolist() == pytest.approx([400, 50])  # a pound is no kilogram
