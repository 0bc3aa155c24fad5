"""The pictures of an inspection: legible at every size, and about their table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from carbonroute.figures import inspection_carbon, inspection_rates, inspection_rtt, inspection_traffic
from carbonroute.inspection.carbon import HourlyValues, pictures
from carbonroute.inspection.network import long
from carbonroute.inspection.ordering import Ordered
from carbonroute.inspection.traffic import pictures as traffic_pictures
from helpers.grids import grid

from . import looking

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes

START = datetime(2022, 3, 1, 5, tzinfo=UTC)


def carbon(
    zones: int, hours: int, *, dated: bool = True, gaps: bool = False, name: str = "Z", in_grams: bool = False
) -> Axes:
    rng = np.random.default_rng(zones)
    values = rng.uniform(20, 700, zones) + 10 * rng.normal(size=(hours, zones))
    if gaps:
        values[hours // 3 : hours // 2] = np.nan
        values[:, 0] = np.nan
    names = tuple(f"{name}{zone}" for zone in range(zones))
    tables = pictures(HourlyValues(names, START, values), in_grams=in_grams, dated=dated)
    return inspection_carbon.draw(tables["traces"], tables["day"])


def traffic(requests: int, span_s: float) -> Axes:
    times_s = np.sort(np.random.default_rng(requests).uniform(0, span_s, requests))
    tables = traffic_pictures(Ordered.of((1e6 * times_s).astype(np.int64)), dated=False)
    return inspection_traffic.draw(tables["rate"], tables["gaps"])


def rates(windows: int, column: str = "hour") -> Axes:
    rate = np.abs(np.random.default_rng(windows).normal(size=windows)) * (windows > 1)
    return inspection_rates.draw(pl.DataFrame({column: np.arange(windows) / 6, "rate": rate}))


def matrix(rows: int, columns: int, name: str = "place-", missing: int = 0) -> Axes:
    values = np.random.default_rng(rows).uniform(1, 400, (rows, columns))
    values.flat[:missing] = np.nan
    names = [[f"{name}{index}" for index in range(count)] for count in (rows, columns)]
    return inspection_rtt.draw(long(values, *names))


CASES: dict[str, Callable[[], Axes]] = {
    "a zone": lambda: carbon(1, 48, in_grams=True),
    "a year of 26 zones": lambda: carbon(26, 8760),
    "no calendar": lambda: carbon(5, 168, dated=False),
    "a year without calendar": lambda: carbon(3, 8760, dated=False),
    "gaps": lambda: carbon(4, 300, gaps=True),
    "two hours of long names": lambda: carbon(12, 2, name=r"a very long name of a zone $\alpha_x "),
    "a log": lambda: traffic(5000, 3600),
    "two requests": lambda: traffic(2, 1),
    "one request": lambda: traffic(1, 1),
    "a month": lambda: traffic(20_000, 30 * 86_400),
    "rates": lambda: rates(2016),
    "one rate": lambda: rates(1, "window"),
    "a matrix": lambda: matrix(33, 33),
    "a small matrix": lambda: matrix(4, 5, missing=3),
    "a cell": lambda: matrix(1, 1),
    "a large matrix": lambda: matrix(120, 90),
    "long names": lambda: matrix(12, 12, "a place with a very long name indeed "),
}


@pytest.mark.parametrize("case", grid(CASES, one_of=2))
def test_no_text_overlaps_or_leaves_the_page(case: str) -> None:
    looking.assert_legible(CASES[case](), at_least=3)


def test_titles_are_about_the_table() -> None:
    assert carbon(1, 48).get_title().startswith("Z0 is at ")
    assert "values are missing" in carbon(4, 300, gaps=True).get_title()
    values = np.array([[1.0, 99.0], [250.4, np.nan]])
    title = inspection_rtt.draw(long(values, ["a", "b"], ["c", "d"])).get_title()
    said = " ".join(title.split())
    assert said == "Round trips take up to 250 ms from b to c; 1 of 4 pairs are missing"
    rate = pl.DataFrame({"hour": [0.0, 1.0, 2.0], "rate": [1.0, 1.0, 4.0]})
    assert inspection_rates.draw(rate).get_title() == "The mean rate is 2, the peak 2 times as high"
    assert inspection_rates.draw(rate[:2]).get_title() == "The rate is 1 throughout"


def test_axes_name_the_unit_only_where_it_is_known() -> None:
    known, unknown = (
        carbon(2, 48, in_grams=in_grams).child_axes[0].get_ylabel() for in_grams in (True, False)
    )
    assert "g CO₂e/kWh" in known.replace("\n", " ")
    assert unknown.replace("\n", " ") == "Value (unit of the file)"
    hourly = pl.DataFrame({"hour": [0, 1], "requests_per_hour": [5, 6]})
    assert inspection_rates.draw(hourly).get_ylabel() == "Requests per hour"


def test_a_year_is_shown_by_the_day() -> None:
    lines = carbon(2, 8760).child_axes[0].lines
    assert len(np.asarray(lines[0].get_xdata())) == 366  # it begins at five
    day = carbon(2, 8760).child_axes[1].lines[0]
    assert np.asarray(day.get_xdata()).tolist() == list(range(24))


def test_windows_hold_all_requests_but_those_of_the_last_part() -> None:
    times_us = np.arange(0, 600_000_001, 1_000_000)  # one a second, for ten minutes
    rate = traffic_pictures(Ordered.of(times_us), dated=True)["rate"]
    assert rate["requests_per_s"].to_list() == [1.0] * 10
    assert rate["time"][1] - rate["time"][0] == timedelta(minutes=1)


def test_a_given_axes_keeps_its_place() -> None:
    tables = pictures(HourlyValues(("A",), START, np.ones((30, 1))), in_grams=True)
    looking.assert_keeps_given_axes(lambda ax: inspection_carbon.draw(tables["traces"], tables["day"], ax))
