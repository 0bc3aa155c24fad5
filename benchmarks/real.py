"""Real inputs – a year of carbon, a log of requests, a year of six grids – against drawing random numbers."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.measuring import Row, Size, medians_s
from benchmarks.process import child
from benchmarks.scale import draw
from carbonroute.engines import sampled
from carbonroute.runs import run
from carbonroute.scenario import Inputs, Scenario, load, resolve

ZONES = 52
START = datetime(2021, 1, 1, tzinfo=UTC)
YEAR = Path(__file__).parents[1] / "examples" / "aws-2021.toml"


def measure(size: Size) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        return [*reading(size, Path(folder)), *replaying(size, Path(folder)), *year(size)]


def scenario(folder: Path, hours: int, sections: str, regions: list[str]) -> Path:
    """Write a scenario of one origin and workload, with these sections, and return its path."""
    rtt = ", ".join(f"{name} = {5 + index}" for index, name in enumerate(regions))
    path = folder / "scenario.toml"
    path.write_text(
        f"""
schema = 1
name = "measured"
[horizon]
hours = {hours}
start = 2021-01-01T00:00:00Z
{sections}
[network]
jitter_std_ms = 3
rtt_ms = {{ o = {{ {rtt} }} }}
[[origins]]
name = "o"
share = 1.0
[[workloads]]
id = "w"
name = "w"
model = "w"
share = 1.0
slo_ms = 100
service_ms = {{ law = "normal", mean = 18, std = 4 }}
[[policies]]
use = "latency-first"
"""
        + "".join(f'[[regions]]\nname = "{name}"\ncarbon_g_per_kwh = 100\n' for name in regions)
    )
    return path


def reading(size: Size, folder: Path) -> list[Row]:
    """Reading a year of hourly carbon of many zones from CSV, against drawing as many normals."""
    hours = 48 if size.small else 8760
    zones = [f"z{index}" for index in range(ZONES)]
    dice = np.random.default_rng(1)
    values = pl.DataFrame(dice.uniform(20, 800, (hours, ZONES)).round(2), schema=zones)
    times = pl.datetime_range(START, interval="1h", end=START.replace(year=2022), closed="left", eager=True)
    values.insert_column(0, times.head(hours).dt.strftime("%Y-%m-%dT%H:%M:%SZ").alias("time"))
    values.write_csv(folder / "carbon.csv")
    file = """
[carbon]
kind = "file"
path = "carbon.csv"
layout = "wide"
time_column = "time"
unit = "g/kWh"
"""
    traffic = '[traffic]\nkind = "fixed-rate"\nrequests_per_hour = 1\n'
    read = load(scenario(folder, hours, file + traffic, zones))
    draw_s, bytes_s, read_s = medians_s(
        size.repeat,
        lambda: dice.standard_normal((hours, ZONES)),
        (folder / "carbon.csv").read_bytes,
        lambda: resolve(read),
    )
    return [
        Row(f"drawing {hours:,} × {ZONES} normals", f"{draw_s * 1e3:.1f} ms"),
        Row("reading the bytes of as many values in CSV", f"{bytes_s * 1e3:.1f} ms"),
        Row("reading, checking and aligning them", f"{read_s * 1e3:.0f} ms"),
        Row("reading ÷ drawing", f"{read_s / draw_s:.0f}×"),
    ]


def replaying(size: Size, folder: Path) -> list[Row]:
    """Playing a Parquet log again, against drawing what its requests would need."""
    count, hours = (10_000, 24) if size.small else (10_000_000, 240)
    time_s = np.sort(np.random.default_rng(2).uniform(0, hours * 3600, count))
    since = pl.Series((time_s * 1e6).astype(np.int64)).cast(pl.Duration("us"))
    pl.select(time=pl.lit(START) + since).write_parquet(folder / "log.parquet")
    sections = """
[carbon]
kind = "synthetic"
[traffic]
kind = "replay"
[[traffic.logs]]
path = "log.parquet"
time_column = "time"
workload = "w"
"""
    path = scenario(folder, hours, sections, ["near", "far"])
    replayed = load(path)
    draw_s, whole_s = medians_s(min(size.repeat, 3), lambda: draw(count), lambda: played(replayed))
    _, peak_bytes = child(
        ["carbonroute", "simulate", str(path), "--no-figures", "--quiet", "--output", str(folder / "out")]
    )
    return [
        Row(f"replaying {count:,} requests from Parquet", f"{whole_s:.2f} s"),
        Row("replay, requests per second", f"{count / whole_s / 1e6:.1f} M/s"),
        Row("replaying ÷ drawing", f"{whole_s / draw_s:.1f}×"),
        Row("peak memory of simulating them", f"{peak_bytes / 2**20:.0f} MiB"),
    ]


def played(replayed: Scenario) -> Inputs:
    """Read a log, check it, and route it under one policy."""
    inputs = resolve(replayed)
    sampled.run(inputs)
    return inputs


def year(size: Size) -> list[Row]:
    """Route a year of six real grids under all policies, where the data is there."""
    if not (YEAR.parents[2] / "shared" / "data").is_dir():
        return [Row("a year of six real grids", "its data is not there")]
    changes = {"horizon.hours": 24} if size.small else {}
    scenario = load(YEAR, changes)
    count = round(resolve(scenario).arrivals.count)
    draw_s, year_s = medians_s(min(size.repeat, 3), lambda: draw(count), lambda: run(scenario))
    policies = len(scenario.policies)
    return [
        Row(f"a year of six real grids: {count:,} requests, {policies} policies", f"{year_s:.2f} s"),
        Row("the year ÷ drawing", f"{year_s / draw_s:.0f}×"),
    ]
