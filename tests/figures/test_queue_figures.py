"""Figures of capacity and queues: they are legible, and say what the tables say."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from carbonroute.figures import headroom, herd, utilisation, wait_cdf
from carbonroute.figures.style import CLAIRVOYANT_NOTE
from carbonroute.figures.wait_cdf import _end
from helpers.grids import grid

from . import factory, looking

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

STEPS = (1.0, 1.25, 1.5, 2.0, 3.0, np.inf)


def by_headroom(
    policies: int = 4, names: str = "short", steps: tuple[float, ...] = STEPS, **changes: Any
) -> pl.DataFrame:
    """Make a table of headrooms: the first policy saves nothing, the others more and more."""
    rows = [
        {
            "headroom": step,
            "policy": factory._name("Policy", place + 1, names),
            "clairvoyant": place == 2,
            "carbon_reduction_pct": 20.0 * place * (1 - 0.9 / step**2),
            "slo_violation_pct": 30.0 * place / step**3,
            "rejected_pct": 10.0 * place / step**3,
        }
        for step in steps
        for place in range(policies)
    ]
    return pl.DataFrame(rows).with_columns(**{name: pl.lit(value) for name, value in changes.items()})


def herds(
    policies: int = 3, regions: int = 3, names: str = "short", hours: float = 24, extra: float | None = 4.5
) -> pl.DataFrame:
    """Make a table of herds: each policy changes its mind half as often as the one before."""
    parts = []
    for place in range(policies):
        time = np.arange(0, hours, 0.1)
        turn = ((time / (0.3 * 2**place)).astype(int) % regions)[:, np.newaxis]
        share = np.where(turn == np.arange(regions), 0.9, 0.1 / max(regions - 1, 1))
        parts.append(
            pl.DataFrame(
                {
                    "policy": factory._name("Policy", place + 1, names),
                    "clairvoyant": False,
                    "hour": np.repeat(time, regions),
                    "region": [factory._name("Region", i + 1, names) for i in range(regions)] * len(time),
                    "share": share.ravel(),
                    "utilisation": np.minimum(1, 1.2 * share * (time > hours / 2)[:, np.newaxis]).ravel(),
                    "flips_per_day": 80.0 / 2**place,
                    "hours_over_capacity": 12.0,
                    "avg_carbon_g_per_kwh": 120.0,
                    "extra_pct": extra,
                },
                schema_overrides={"extra_pct": pl.Float64},
            )
        )
    return pl.concat(parts)


CASES: dict[str, Callable[[], Axes]] = {
    "headroom": lambda: headroom.draw(by_headroom()),
    "headroom of many": lambda: headroom.draw(by_headroom(15, "long", (*np.linspace(1, 2.5, 10), np.inf))),
    "headroom, odd names": lambda: headroom.draw(by_headroom(9, "odd")),
    "one headroom": lambda: headroom.draw(by_headroom(1, steps=(np.inf,))),
    "no reduction": lambda: headroom.draw(by_headroom(carbon_reduction_pct=None)),
    "herd": lambda: herd.draw(herds()),
    "many herds": lambda: herd.draw(herds(12, 12, "long", hours=168)),
    "herd, odd names": lambda: herd.draw(herds(9, 7, "odd", extra=None)),
    "one herd": lambda: herd.draw(herds(1, 1)),
}


@functools.cache
def drawn(case: str) -> Axes:
    return CASES[case]()


@pytest.mark.parametrize("case", grid(CASES, one_of=2))
def test_no_text_overlaps_or_leaves_the_page(case: str) -> None:
    looking.assert_legible(drawn(case))


@pytest.mark.parametrize(
    "call", [lambda ax: headroom.draw(by_headroom(), ax), lambda ax: herd.draw(herds(), ax)]
)
def test_they_draw_into_a_given_axes(call: Callable[[Axes], Axes]) -> None:
    looking.assert_keeps_given_axes(call)


def title(ax: Axes) -> str:
    return " ".join(ax.get_title().split())


def test_headroom_says_who_loses_most_and_where_there_is_no_limit() -> None:
    table = by_headroom()
    assert title(drawn("headroom")) == (
        "Policy-4 loses most: it saves 60.0 % without limits, and 6.0 % at 1× the mean load, "
        "with 90.00 % violations"
    )
    assert title(headroom.draw(by_headroom(1))) == "No policy saves less where headroom is narrow"
    finite = table.filter(pl.col("headroom").is_finite())
    assert "it saves 54.0 % at 3×" in title(headroom.draw(finite))
    said = looking.words(drawn("headroom"))
    assert "1× 1.25× 1.5× 2× 3× ∞" in said
    assert CLAIRVOYANT_NOTE in said


def test_headroom_has_an_interval_at_each_value_of_several_runs() -> None:
    table = by_headroom(2)
    ends = {
        f"{name}_{end}": pl.col(name) + away
        for name in ("carbon_reduction_pct", "slo_violation_pct")
        for end, away in (("low", -1.5), ("high", 2.5))
    }
    ax = headroom.draw(table.with_columns(**ends))
    for panel, name in zip(ax.child_axes, ("carbon_reduction_pct", "slo_violation_pct"), strict=True):
        drawn_ends = np.concatenate(
            [bars.get_segments() for bars in panel.collections if isinstance(bars, LineCollection)]
        )
        expected = table.sort("policy", "headroom")[name].to_numpy()
        assert drawn_ends[:, 0, 0].tolist() == [*range(len(STEPS))] * 2
        np.testing.assert_allclose(drawn_ends[:, :, 1], expected[:, np.newaxis] + [-1.5, 2.5])
    assert "95 % confidence interval" in looking.words(ax)
    looking.assert_legible(ax)
    of_one_run = headroom.draw(table.with_columns(**{name: pl.lit(None, pl.Float64) for name in ends}))
    assert "confidence interval" not in looking.words(of_one_run)


def test_headroom_shows_each_policy_s_values_at_their_places() -> None:
    table = by_headroom(2)
    top, below = headroom.draw(table).child_axes
    for panel, column in ((top, "carbon_reduction_pct"), (below, "slo_violation_pct")):
        second = table.filter(policy="Policy-2").sort("headroom")[column].to_list()
        finite, endless, *_ = (line for line in panel.lines if line.get_color() == panel.lines[3].get_color())
        assert np.asarray(finite.get_xdata()).tolist() == [0, 1, 2, 3, 4]
        assert np.asarray(finite.get_ydata()).tolist() == second[:-1]
        assert np.asarray(endless.get_ydata()).tolist() == second[-1:]


def test_where_nothing_is_saved_there_is_nothing_to_lose() -> None:
    assert title(drawn("no reduction")) == "There is nothing to save: the baseline meets no carbon"


def test_a_herd_s_figures_stand_over_its_panel() -> None:
    said = looking.words(drawn("herd"))
    assert "Policy-1: 80.0 flips a day, 12.0 hours over capacity, 120.0 g CO₂e/kWh (+4.5 %)" in said
    assert "(+" not in looking.words(drawn("herd, odd names"))
    assert (
        title(drawn("herd")) == "Policy-1 changes a cell's main region 80.0 times a day, Policy-3 20.0 times"
    )
    assert "2 more are left out" in looking.words(drawn("many herds"))


def test_shares_of_traffic_fill_the_panel() -> None:
    panel = herd.draw(herds(1, 3)).child_axes[0]
    lowest, *_, highest = panel.collections[:3]
    assert lowest.get_datalim(panel.transData).y0 == 0
    assert highest.get_datalim(panel.transData).y1 == pytest.approx(100)


def busy(offered: float, **changes: Any) -> pl.DataFrame:
    """Make the utilisation of two regions with 4 servers, the second with work for so many, over 3 hours."""
    rows = [
        {
            "policy": policy,
            "clairvoyant": False,
            "hour": hour,
            "region": region,
            "utilisation": min(work / 4, 1),
            "servers": 4.0,
            "waiting": 0.0,
            "offered": work,
        }
        for policy, factor in (("One", 1.0), ("Two", 0.5))
        for hour in range(3)
        for region, work in (("near", 1.0), ("far", factor * offered * (hour + 1) / 3))
    ]
    return pl.DataFrame(rows).with_columns(**{name: pl.lit(value) for name, value in changes.items()})


def test_the_title_says_which_region_is_overrun() -> None:
    def said(table: pl.DataFrame) -> str:
        return title(utilisation.draw(table))

    assert (
        said(busy(6.0))
        == "One sends far more than it can carry in 1 of 3 hours; 1 of 2 policies overruns none"
    )
    assert said(busy(12.0)).endswith("in 2 of 3 hours; every policy overruns one")
    assert said(busy(4.0)) == (
        "No region is sent more than it can carry; the busiest hour takes 100.0 % of far under One"
    )
    assert said(busy(2.0)).endswith("takes 50.0 % of far under One")
    free = busy(2.0, utilisation=None, servers=None).cast({"utilisation": pl.Float64, "servers": pl.Float64})
    assert said(free) == "Nothing limits the servers of any region"


def test_what_is_sent_beyond_capacity_is_shaded_above_it() -> None:
    first = utilisation.draw(busy(6.0)).child_axes[0]
    lines = [np.asarray(line.get_ydata()).tolist() for line in first.lines[:2]]
    assert lines == [pytest.approx([25, 25, 25]), pytest.approx([50, 100, 100])]
    extents = [shade.get_datalim(first.transData) for shade in first.collections]
    assert [(box.y0, box.y1) for box in extents] == [(100, 100), (100, pytest.approx(150))]


def test_beyond_three_weeks_days_are_shown() -> None:
    data = factory.make(hours=22 * 24, policies=2, regions=2)
    panel = utilisation.draw(data.utilisation).child_axes[0]
    assert panel.get_ylabel().replace("\n", " ") == "Daily mean of servers in use (%)"
    assert len(np.asarray(panel.lines[0].get_xdata())) == 22
    hour = pl.col("hour") % 24  # a day that is over capacity for an hour shows that, whatever its mean is
    work = pl.when(hour == 12).then(15.0).otherwise(1.0)
    panel = utilisation.draw(data.utilisation.with_columns(offered=work)).child_axes[0]
    box = panel.collections[0].get_datalim(panel.transData)
    assert (box.y0, box.y1) == (100, pytest.approx(100 + 50 / 24))


def waits(*p95_ms: float) -> pl.DataFrame:
    share = np.linspace(0, 1, 101)
    return pl.concat(
        pl.DataFrame(
            {"policy": f"Policy-{place}", "clairvoyant": False, "share": share, "wait_ms": p95 * share / 0.95}
        )
        for place, p95 in enumerate(p95_ms, start=1)
    )


def test_the_title_says_who_waits_longest() -> None:
    data = factory.make(policies=2)

    def said(table: pl.DataFrame) -> str:
        return title(wait_cdf.draw(table, data.latency_cdf, data.latency_cdf_unlimited))

    assert said(waits(1200.0, 2.5)) == (
        "95 % of requests wait at most 1,200 ms under Policy-1, and 2.5 ms under Policy-2"
    )
    assert said(waits(3.0)) == "95 % of requests wait at most 3.0 ms under Policy-1"
    never = waits(0.01).with_columns(share=pl.lit(1.0))
    assert said(never) == "Hardly a request waits: 100.0 % do not at all under Policy-1"


def test_latency_without_limits_is_drawn_beside_it() -> None:
    data = factory.make(policies=2)
    _, latency = wait_cdf.draw(waits(1.0), data.latency_cdf, data.latency_cdf_unlimited).child_axes
    with_limits, _, without, _, _ = latency.lines
    assert np.asarray(without.get_xdata()) == pytest.approx(0.8 * np.asarray(with_limits.get_xdata()))
    assert with_limits.get_color() == without.get_color()
    assert "logarithmic" not in latency.get_xlabel()
    slow = data.latency_cdf.with_columns(pl.col("latency_ms") * 100)
    _, latency = wait_cdf.draw(waits(1.0), slow, data.latency_cdf_unlimited).child_axes
    assert latency.get_xlabel() == "Latency (ms, logarithmic)"


def test_distributions_of_waits_run_to_all_requests() -> None:
    cdf = pl.DataFrame({"share": [0.5, 0.9985, 1.0], "wait_ms": [1.0, 2.0, 50.0]})
    assert _end(cdf, "wait_ms") == 50.0
    assert _end(cdf.clear(), "wait_ms") == 0.0
