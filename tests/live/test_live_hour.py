"""Live control of the real HAProxy: it replays equal, and calibrated and simulated again it meets itself.

Users note who answered and how long it took: by their clock, and by that of the region. The simulated figures
lie between both, within intervals that are computed from the counts and the calibration's own errors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

import carbonroute
from carbonroute.cli import main
from carbonroute.control.chain import records
from carbonroute.live.calibrate import Calibration, calibrate
from carbonroute.live.savings import savings
from carbonroute.scenario import load
from helpers import needs
from helpers.example import copied, settled, stack

pytestmark = [needs.program("haproxy"), needs.program("prometheus"), pytest.mark.waits]

REGIONS, RTT_MS = ("eu", "us", "ap"), (5, 45, 90)
SLO_MS, ENERGY_J, TICK_S = 90.0, 200.0, 2.0
HOUR_S, J_PER_KWH = 3600, 3.6e6
#: Standard deviations of an interval: it fails by chance but once in two million.
Z = 5.0
#: HAProxy has 256 weights; one is the trickle of a region that is idle, another the rounding.
STEPS = 2 / 256
#: A new hour of carbon is known within a minute, and in force within a tick.
LATE_S = 66.0
#: An hour with fewer requests says little.
LEAST = 200


def carbon(hour: int) -> tuple[int, ...]:
    """Return the regions' carbon in an hour since 1970: the greenest is another in the next."""
    return (160, 300, 220) if hour % 2 else (300, 220, 160)


def prepared(folder: Path) -> None:
    """Let the scenario be wrong about the load, by a third, and service times, tenfold; measure both live."""
    changes = {
        "scenario.toml": {
            "max_step = 0.5 ": "max_region_share = 0.6 ",
            'kind = "fixed-rate"\nrequests_per_hour = 72000': 'kind = "poisson"\nrequests_per_hour = 36000',
            "carbon_g_per_kwh = 300\n": "carbon_g_per_kwh = 300\npools = [{ servers = 64 }]\n",
            "slo_ms = 120": f"slo_ms = {SLO_MS:g}",
            "mean = 20, std = 4": "mean = 200, std = 40",
            'use = "latency-first"': 'use = "carbon-first"\nlabel = "Greenest"',
        },
        "live.toml": {
            'policy = "Hybrid"': 'policy = "Greenest"',
            'mode = "shadow"': 'mode = "live"\non_stop = "hold"',
            'kind = "file"  ': 'kind = "file"\nevery = "1min"  ',
            'range = "15s"': 'range = "2s"',
        },
    }
    for name, texts in changes.items():
        text = (folder / name).read_text(encoding="utf-8")
        for before, after in texts.items():
            assert before in text, before
            text = text.replace(before, after)
        (folder / name).write_text(text, encoding="utf-8")


def grids(folder: Path) -> None:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    lines = ["time," + ",".join(REGIONS)]
    for later in range(-2, 4):
        time = hour + timedelta(hours=later)
        values = map(str, carbon(int(time.timestamp()) // HOUR_S))
        lines.append(f"{time:%Y-%m-%dT%H:%MZ}," + ",".join(values))
    (folder / "grid.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Served:
    """What users noted in an hour: when, by whom, and how long it took by their and the region's clock."""

    hour: int
    began_s: np.ndarray
    region: np.ndarray
    took_ms: np.ndarray
    region_ms: np.ndarray

    @property
    def g(self) -> np.ndarray:
        """Grams of each request."""
        return np.asarray(np.array(carbon(self.hour))[self.region] * ENERGY_J / J_PER_KWH)


def served(folder: Path, first_s: float, last_s: float) -> Iterator[Served]:
    """Yield the hours that have enough requests, without those before new carbon was in force."""
    lines = (folder / "served.csv").read_text(encoding="utf-8").splitlines()[1:]
    rows = [line.split(",") for line in lines if line.count(",") == 3]
    began_s = np.array([float(row[0]) for row in rows])
    region = np.array([REGIONS.index(row[1]) for row in rows])
    took_ms, region_ms = np.array([[float(text) for text in row[2:]] for row in rows]).T
    hours = began_s // HOUR_S
    for hour in range(int(first_s // HOUR_S), int(last_s // HOUR_S) + 1):
        begin_s = max(first_s, hour * HOUR_S + LATE_S if hour > first_s // HOUR_S else 0.0)
        here = (hours == hour) & (began_s >= begin_s) & (began_s < last_s)
        if here.sum() >= LEAST:
            yield Served(hour, began_s[here], region[here], took_ms[here], region_ms[here])


def simulated(scenario: Path, hour: int) -> tuple[float, float, float]:
    """Return the mean latency, ms, the share within the limit, and grams per request of an hour."""
    means = {f"regions[{place}].carbon_g_per_kwh": value for place, value in enumerate(carbon(hour))}
    tables = carbonroute.run(load(scenario, {"horizon.hours": 1, **means})).tables
    (row,) = [row for row in tables.policies.to_dicts() if row["policy"] == "Greenest"]
    g = 1000 * row["total_kg"] / row["requests"]
    return row["avg_latency_ms"], 1 - row["slo_violation_pct"] / 100, g


def meets(live: Served, figures: tuple[float, float, float], service_error_ms: float) -> list[bool]:
    """Whether simulated figures lie in the intervals of the live ones."""
    latency_ms, within, g = figures
    count = len(live.region)
    error_ms = math.hypot(live.took_ms.std() / math.sqrt(count), service_error_ms)
    error_ms = Z * error_ms + STEPS * (max(RTT_MS) - min(RTT_MS))
    # The user's clock has the proxy and the network besides; the region's has none of them.
    shares = (live.took_ms <= SLO_MS).mean(), (live.region_ms <= SLO_MS).mean()
    error = Z * math.sqrt(max(within * (1 - within), 1 / count) / count) + STEPS
    error_g = Z * live.g.std() / math.sqrt(count) + STEPS * (live.g.max() - live.g.min())
    return [
        live.region_ms.mean() - error_ms <= latency_ms <= live.took_ms.mean() + error_ms,
        shares[0] - error <= within <= shares[1] + error,
        abs(g - live.g.mean()) <= error_g,
    ]


@pytest.mark.parametrize("minutes", [0.5, pytest.param(60, marks=pytest.mark.full(long=True))])
def test_live_control_replays_equal_and_meets_its_own_simulation(
    minutes: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, port, prometheus_port = copied(tmp_path)
    monkeypatch.chdir(folder)
    prepared(folder)
    with stack(folder, port, prometheus_port, "--log", "served.csv"):
        grids(folder)
        settled(folder)
        ticks = str(round(minutes * 60 / TICK_S))
        assert main(["live", "run", "live.toml", "--ticks", ticks, "--quiet"]) == 0
    every = list(records(folder / "journal"))
    assert len(every) == int(ticks)
    capsys.readouterr()
    assert main(["replay", "journal", "--beside", "."]) == 0
    assert " 0 differ" in capsys.readouterr().out

    first_s, last_s = (datetime.fromisoformat(every[place].time_utc).timestamp() for place in (1, -1))
    hours = list(served(folder, first_s, last_s))
    assert hours, "too few requests"
    result = calibrate(folder / "journal", folder / "scenario.toml", folder / "calibrated.toml")
    (folder / "calibrated.toml").write_text(result.text, encoding="utf-8")
    error_ms = error_of(result)
    for live in hours:
        calibrated = simulated(folder / "calibrated.toml", live.hour)
        wrong = simulated(folder / "scenario.toml", live.hour)
        assert meets(live, calibrated, error_ms) == [True] * 3, (live, calibrated)
        assert meets(live, wrong, error_ms)[:2] == [False] * 2, (live, wrong)
    asked(result, hours)
    (saved,) = savings(folder / "journal")
    if len(hours) == 1:
        intended_g = saved.intended_g["policy"] / saved.requests
        assert meets(hours[0], (0, 0, intended_g), error_ms)[2]


def error_of(result: Calibration) -> float:
    """Return the standard error of the calibrated service time, ms."""
    (row,) = [row for row in result.rows if row.quantity.startswith("mean service time")]
    return (row.interval[1] - row.interval[0]) / 2 / 1.96


def asked(result: Calibration, hours: list[Served]) -> None:
    """Check the calibrated rate beside the users' own count, whose windows are a range apart."""
    count = sum(len(live.began_s) for live in hours)
    seconds = sum(live.began_s[-1] - live.began_s[0] for live in hours)
    per_hour = result.changes["traffic.requests_per_hour"]
    assert abs(per_hour / HOUR_S - count / seconds) <= Z * math.sqrt(2 * count) / seconds
