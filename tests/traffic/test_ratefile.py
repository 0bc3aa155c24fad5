"""Files of rates: as many requests in every window as they say, within a failure probability of 1e-6."""

from __future__ import annotations

import math
from datetime import timedelta
from functools import partial
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from carbonroute.errors import InputError
from carbonroute.traffic import intensity
from carbonroute.traffic.ratefile import RateFile
from helpers import needs
from traffic.wanted import DATA, START, demand, together

SERVEGEN = "servegen_m-large_client_rates_10min.parquet"
ALPHA = 1e-6
Z = NormalDist().inv_cdf(1 - ALPHA / 2)

#: Requests per second of two clients in the hours of a day.
A = 0.5 + np.arange(24) / 10
B = 3.0 - np.arange(24) / 10


def rates(**keys: Any) -> RateFile:
    settings = {"kind": "rate-file", "path": "rates.csv", "unit": "requests/s", "window": "1h"}
    return RateFile(**{**settings, **keys})


def write(folder: Path, hours: int = 24, **columns: Any) -> None:
    pl.DataFrame({"a": A[:hours], "b": B[:hours], **columns}).write_csv(folder / "rates.csv")


def times(first_hour: int = 0, count: int = 24, minutes: int = 60) -> list[str]:
    return [(START + timedelta(hours=first_hour, minutes=minutes * i)).isoformat() for i in range(count)]


def check_windows(time_s: np.ndarray, per_s: np.ndarray, window_s: float, variation: float = 1.0) -> None:
    """Poisson counts of each window: chi-square; with another variation the total alone."""
    expected = per_s * window_s
    counts = np.histogram(time_s, np.arange(len(per_s) + 1) * window_s)[0]
    assert counts.sum() == len(time_s)
    assert abs(counts.sum() - expected.sum()) <= Z * variation * math.sqrt(expected.sum()) + variation**2
    if variation == 1:
        assert ((counts - expected) ** 2 / expected).sum() <= stats.chi2.isf(ALPHA, len(per_s))


def check_variation(gaps: np.ndarray, cv: float) -> None:
    """Mean square about 1 of a fixed number of gamma gaps in units of their mean.

    With v = cv², central moments v, 3v² + 6v³ and 15v³ + 130v⁴ + 120v⁵ give a square (gap − 1)² the mean v,
    the variance v²(2 + 6v) and the skewness (8 + 112v + 120v²)/(2 + 6v)^1.5. It lengthens the upper tail of a
    mean of n squares beyond the normal law's by Cornish and Fisher's term, (z² − 1)·skewness/(6√n).
    """
    v, n = cv**2, len(gaps)
    skewness = (8 + 112 * v + 120 * v**2) / (2 + 6 * v) ** 1.5 / math.sqrt(n)
    limit = Z + (Z**2 - 1) * skewness / 6
    assert abs(((gaps - 1) ** 2).mean() / v - 1) <= limit * math.sqrt((2 + 6 * v) / n)


def test_every_window_has_its_rate(tmp_path: Path) -> None:
    write(tmp_path)
    arrivals = rates().arrivals(demand(folder=tmp_path))
    assert arrivals.count == pytest.approx((A + B).sum() * 3600)
    time_s = together(arrivals)["time_s"]
    check_windows(time_s, A + B, 3600)
    assert "rates.csv states no times: its first window is taken to begin at hour 0" in arrivals.notes
    assert arrivals.synthetic_geography
    assert arrivals.files == {"rates.csv": tmp_path / "rates.csv"}


@pytest.mark.parametrize("fault", ["shifted", "two percent more", "one client"])
def test_other_rates_are_rejected(fault: str, tmp_path: Path) -> None:
    slope = A  # the sum of both is constant, and would hide a shift
    write(tmp_path, b=slope)
    time_s = together(rates().arrivals(demand(folder=tmp_path)))["time_s"]
    check_windows(time_s, 2 * slope, 3600)
    wrong = {"shifted": np.roll(2 * slope, 1), "two percent more": 2.04 * slope, "one client": slope}[fault]
    with pytest.raises(AssertionError):
        check_windows(time_s, wrong, 3600)


@pytest.mark.parametrize(("unit", "factor"), [("requests/s", 1), ("requests/min", 60), ("requests/h", 3600)])
def test_units_and_scale(unit: str, factor: float, tmp_path: Path) -> None:
    write(tmp_path)
    arrivals = rates(unit=unit, scale=2.5).arrivals(demand(folder=tmp_path))
    assert arrivals.count == pytest.approx((A + B).sum() * 3600 * 2.5 / factor)


@pytest.mark.parametrize("cv", [0.5, 4.0])
def test_bursts_keep_the_rate(cv: float, tmp_path: Path) -> None:
    write(tmp_path)
    time_s = together(rates(cv=cv).arrivals(demand(folder=tmp_path)))["time_s"]
    check_windows(time_s, A + B, 3600, cv)
    per_s = (A + B)[0]  # the same in every window
    gaps = np.diff(time_s[:250_001]) * per_s
    check_variation(gaps, cv)
    with pytest.raises(AssertionError):
        check_variation(gaps, 1.15 * cv)


def test_columns_are_chosen_or_belong_to_origins(tmp_path: Path) -> None:
    write(tmp_path, c=np.zeros(24))
    wanted = demand(folder=tmp_path)
    check_windows(together(rates(columns=["a"]).arrivals(wanted))["time_s"], A, 3600)
    arrivals = rates(columns={"West": "b", "Mid": "c", "East": "a"}).arrivals(wanted)
    found = together(arrivals)
    assert not arrivals.synthetic_geography
    for origin, per_s in ((0, B), (2, A)):
        check_windows(found["time_s"][found["origin"] == origin], per_s, 3600)
    assert not (found["origin"] == 1).any()
    with pytest.raises(AssertionError):
        check_windows(found["time_s"][found["origin"] == 0], A, 3600)


def test_times_place_the_file_in_the_horizon(tmp_path: Path) -> None:
    write(tmp_path, a=A, b=A, time=times(first_hour=-6))
    found = together(rates(time_column="time").arrivals(demand(folder=tmp_path, hours=18)))
    check_windows(found["time_s"], 2 * A[6:], 3600)
    write(tmp_path, a=A, b=A, time=[time.removesuffix("+00:00") for time in times(first_hour=-6)])
    local = rates(time_column="time", time_zone="Etc/GMT-1")  # an hour ahead of UTC
    found = together(local.arrivals(demand(folder=tmp_path, hours=17)))
    check_windows(found["time_s"], 2 * A[7:], 3600)


def test_a_horizon_may_begin_within_a_window(tmp_path: Path) -> None:
    write(tmp_path, a=A, b=A, time=times())
    start = START + timedelta(minutes=30)
    found = together(rates(time_column="time").arrivals(demand(folder=tmp_path, hours=2, start=start)))
    halves = 2 * A[[0, 1, 1, 2]]
    check_windows(found["time_s"], halves, 1800)


def test_a_file_that_ends_is_repeated_only_where_that_is_said(tmp_path: Path) -> None:
    write(tmp_path, hours=6, a=A[:6], b=A[:6])
    wanted = demand(folder=tmp_path)
    with pytest.raises(InputError, match="6 windows of 1h do not reach the end of the horizon"):
        rates().arrivals(wanted)
    arrivals = rates(repeat="file").arrivals(wanted)
    check_windows(together(arrivals)["time_s"], np.tile(2 * A[:6], 4), 3600)
    assert "rates.csv is shorter than the horizon and starts again after its end" in arrivals.notes
    assert not any("starts again" in n for n in rates().arrivals(demand(folder=tmp_path, hours=6)).notes)


@needs.data(DATA)
def test_a_published_file_of_rates_gives_its_own_counts() -> None:
    table = pl.read_parquet(DATA / SERVEGEN)
    per_s = table.sum_horizontal().to_numpy()[: 24 * 6].astype(float) * 0.01
    traffic = rates(path=SERVEGEN, window="10min", scale=0.01)
    arrivals = traffic.arrivals(demand(folder=DATA))
    check_windows(together(arrivals)["time_s"], per_s, 600)
    assert arrivals.provenance["columns"] == 162
    two_weeks = traffic.arrivals(demand(folder=DATA, hours=336))
    assert two_weeks.count == pytest.approx(table.sum_horizontal().cast(pl.Float64).sum() * 6, rel=1e-5)
    with pytest.raises(InputError, match="2016 windows of 10min do not reach"):
        traffic.arrivals(demand(folder=DATA, hours=337))


def test_clipped_gaps_are_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)
    real = intensity._gaps
    monkeypatch.setattr(intensity, "_gaps", lambda *given: np.minimum(real(*given), 3))
    time_s = together(rates().arrivals(demand(folder=tmp_path)))["time_s"]
    with pytest.raises(AssertionError):
        check_windows(time_s, A + B, 3600)


def parts(folder: Path, names: list[str], *, dated: bool) -> RateFile:
    """Write each 8 hours of the day into a file of its own; return the source of their pattern."""
    for place, name in enumerate(names):
        hours = slice(8 * place, 8 * place + 8)
        table = {"a": A[hours], "b": B[hours]} | ({"time": times()[hours]} if dated else {})
        pl.DataFrame(table).write_csv(folder / name)
    return rates(path="day-*.csv", **({"time_column": "time"} if dated else {}))


@pytest.mark.parametrize("dated", [True, False])
def test_files_of_a_pattern_are_one_file(dated: bool, tmp_path: Path) -> None:
    columns: dict[str, Any] = {"time": times()} if dated else {}
    write(tmp_path, **columns)
    whole = rates(**({"time_column": "time"} if dated else {})).arrivals(demand(folder=tmp_path))
    # with times, whatever the names' order
    names = ["day-3.csv", "day-1.csv", "day-2.csv"] if dated else ["day-1.csv", "day-2.csv", "day-3.csv"]
    joined = parts(tmp_path, names, dated=dated).arrivals(demand(folder=tmp_path))
    assert joined.count == whole.count
    assert together(joined)["time_s"].tolist() == together(whole)["time_s"].tolist()
    assert joined.files == {name: tmp_path / name for name in names}


def test_faults_in_files_of_a_pattern_name_their_file_and_line(tmp_path: Path) -> None:
    source = parts(tmp_path, ["day-1.csv", "day-2.csv", "day-3.csv"], dated=True)
    whole = (tmp_path / "day-2.csv").read_text(encoding="utf-8")
    lines = whole.splitlines(keepends=True)
    (tmp_path / "day-2.csv").write_text("".join([*lines[:4], *lines[5:]]), encoding="utf-8")
    with pytest.raises(InputError, match=r"day-2\.csv: line 5, time: .* is not 1h after"):
        source.arrivals(demand(folder=tmp_path))
    (tmp_path / "day-2.csv").write_text(whole.replace("a,b,time", "a,c,time"), encoding="utf-8")
    with pytest.raises(InputError, match=r"day-2\.csv: line 1: .* 'a', 'c'; those of day-1\.csv"):
        source.arrivals(demand(folder=tmp_path))
    (tmp_path / "day-2.csv").write_text(whole.replace("1.5", "-1.5"), encoding="utf-8")
    with pytest.raises(InputError, match=r"day-2\.csv: 2 faults\n  line 4, a: found '-1\.5"):
        source.arrivals(demand(folder=tmp_path))


@pytest.mark.parametrize(
    ("path", "said"), [("dya-*.csv", "no file fits 'dya-"), ("day-{origin}.csv", "found {origin}")]
)
def test_a_pattern_that_means_no_file_is_refused(path: str, said: str, tmp_path: Path) -> None:
    parts(tmp_path, ["day-1.csv"], dated=False)
    with pytest.raises(InputError, match=said):
        rates(path=path).arrivals(demand(folder=tmp_path))


def test_lines_above_the_header_are_skipped_and_counted(tmp_path: Path) -> None:
    table = "time,a\n" + "".join(f"{time},{5 + hour}\n" for hour, time in enumerate(times(count=3)))
    (tmp_path / "rates.csv").write_text(f"Exported by X\n\n{table}")
    asked = partial(demand, folder=tmp_path, hours=3)
    with pytest.raises(InputError, match="remove lines 1 to 2, or state skip_rows = 2"):
        rates(time_column="time").arrivals(asked())
    read = rates(time_column="time", skip_rows=2)
    assert read.arrivals(asked()).count == pytest.approx((5 + 6 + 7) * 3600)
    for good, bad, where in (("6\n", "x\n", "line 5, a"), ("T01:", "T01.", "line 5, time")):
        (tmp_path / "rates.csv").write_text(f"Exported by X\n\n{table.replace(good, bad)}")
        with pytest.raises(InputError, match=where):
            read.arrivals(asked())
    (tmp_path / "rates.csv").write_text(f"Exported by X\n\n{table}".replace("T02:", "T03:"))
    with pytest.raises(InputError, match="line 6, time"):
        read.arrivals(asked())
