"""A small file of every kind and format, all for 2021-01-01, with what they say."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

START = datetime(2021, 1, 1, tzinfo=UTC)
HOURS = 30


def value(zone: int, hour: int) -> float:
    """What zone A (0) or B (1) has in an hour."""
    return 400.0 + hour - 300 * zone


def _time(hour: float, form: str = "%Y-%m-%dT%H:%M:%SZ") -> str:
    return (START + timedelta(hours=hour)).strftime(form)


def _csv(folder: Path, name: str, header: str, rows: list[str]) -> Path:
    path = folder / name
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def _json(folder: Path, name: str, content: object) -> Path:
    path = folder / name
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def wide(folder: Path) -> Path:
    rows = [
        f"{_time(h)},{value(0, h)},{value(0, h) + 50},{value(1, h)},{value(1, h) + 50}" for h in range(HOURS)
    ]
    return _csv(folder, "wide.csv", "time,A_direct,A_life,B_direct,B_life", rows)


def long(folder: Path) -> Path:
    rows = [
        f"{_time(h, '%Y-%m-%d %H:%M')},{'AB'[z]},{kind},{value(z, h) + 50 * (kind == 'life')}"
        for z in (0, 1)
        for kind in ("direct", "life")
        for h in range(HOURS)
    ]
    return _csv(folder, "long.csv", "when,area,kind,carbon", rows)


def parquet(folder: Path) -> Path:
    cells = [(z, h) for z in (0, 1) for h in range(HOURS)]
    table = pl.DataFrame(
        {
            "timestamp": [START + timedelta(hours=h) for _, h in cells],
            "zone": ["AB"[z] for z, _ in cells],
            "gCO2_per_kWh": [value(z, h) for z, h in cells],
        }
    )
    path = folder / "long.parquet"
    table.write_parquet(path)
    return path


def electricity_maps(folder: Path) -> Path:
    header = (
        "Datetime (UTC),Country,Zone name,Zone id,Carbon intensity gCO₂eq/kWh (direct),"
        "Carbon intensity gCO₂eq/kWh (Life cycle),Data estimated"
    )
    form = "%Y-%m-%d %H:%M:%S"
    rows = [
        f"{_time(h, form)},X,X,{'AB'[z]},{value(z, h) - 50},{value(z, h)},false"
        for z in (0, 1)
        for h in range(HOURS)
    ]
    return _csv(folder, "maps.csv", header, rows)


def watttime_json(folder: Path) -> Path:
    meta = {
        "data_point_period_seconds": 300,
        "region": "A",
        "warnings": [],
        "signal_type": "co2_moer",
        "units": "lbs_co2_per_mwh",
    }
    points = [
        {"point_time": _time(step / 12), "value": value(0, step // 12) / 0.45359237}
        for step in range(12 * HOURS)
    ]
    return _json(folder, "moer.json", {"meta": meta, "data": points})


def watttime_csv(folder: Path) -> Path:
    rows = [f"{_time(step / 12)},{value(0, step // 12) / 0.45359237!r}" for step in range(12 * HOURS)]
    return _csv(folder, "moer.csv", "point_time,value", rows)


def carbon_aware_sdk(folder: Path) -> Path:
    rows = [
        {"location": "AB"[z], "time": _time(h), "rating": value(z, h), "duration": "01:00:00"}
        for z in (0, 1)
        for h in range(HOURS)
    ]
    return _json(folder, "sdk.json", {"Emissions": rows})


def neso(folder: Path) -> Path:
    data = [
        {
            "from": _time(half / 2, "%Y-%m-%dT%H:%MZ"),
            "to": _time((half + 1) / 2, "%Y-%m-%dT%H:%MZ"),
            "intensity": {"forecast": 1, "actual": value(0, half // 2), "index": "high"},
        }
        for half in range(2 * HOURS)
    ]
    return _json(folder, "gb.json", {"data": data})


def fuel_mix(folder: Path) -> Path:
    rows = [f"{_time(h)},{'AB'[z]},100,50,{50 + h}" for z in (0, 1) for h in range(HOURS)]
    return _csv(folder, "mix.csv", "period,ba,COL,NG,WND", rows)


def forecast(folder: Path) -> Path:
    rows = [
        f"{_time(24 * issue)},{'AB'[z]},{lead},{value(z, lead)},{value(z, lead) + 10}"
        for z in (0, 1)
        for issue in (0, 1)
        for lead in range(48)
    ]
    return _csv(folder, "forecasts.csv", "issue,zone,lead_h,actual,forecast", rows)


def log_csv(folder: Path) -> Path:
    rows = [f"{_time(i / 100, '%Y-%m-%d %H:%M:%S')},{100 + i},{i % 7}" for i in range(400)]
    return _csv(folder, "log.csv", "TIMESTAMP,ContextTokens,GeneratedTokens", rows)


def log_jsonl(folder: Path) -> Path:
    since = START.timestamp()
    lines = [json.dumps({"arrived_at": since + 36 * i, "model": "m", "latency": 0.5}) for i in range(400)]
    path = folder / "log.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def log_parquet(folder: Path) -> Path:
    table = pl.DataFrame(
        {"request_time": [START + timedelta(seconds=36 * i) for i in range(400)], "input_tokens": range(400)}
    )
    path = folder / "log.parquet"
    table.write_parquet(path)
    return path


def rates(folder: Path) -> Path:
    rows = [f"{0.5 + (w % 144) / 144},{0 if w % 2 else 1}" for w in range(288)]
    return _csv(folder, "rates_10min.csv", "0,1", rows)


def matrix(folder: Path) -> Path:
    return _csv(folder, "rtt.csv", "from,West,East,A,B", ["West,2,70,5,65", "East,73,3,80,10"])


CARBON: dict[str, Callable[[Path], Path]] = {
    "wide": wide,
    "long": long,
    "parquet": parquet,
    "electricity-maps": electricity_maps,
    "watttime json": watttime_json,
    "watttime csv": watttime_csv,
    "carbon-aware-sdk": carbon_aware_sdk,
    "neso": neso,
    "eia-fuel-mix": fuel_mix,
}
TRAFFIC: dict[str, Callable[[Path], Path]] = {"csv": log_csv, "jsonl": log_jsonl, "parquet": log_parquet}
