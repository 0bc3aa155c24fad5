"""Regions with sources of their own: each is asked once, and what counts differently is not compared."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from carbonroute.carbon import Query, Signal, Synthetic, combined
from carbonroute.carbon.files import CarbonFile
from carbonroute.errors import InputError
from helpers import small
from helpers.carbon_sources import START, query, source, table

AVERAGE = 'accounting = { rate = "average", scope = "direct" }\n'
MARGINAL = 'accounting = { rate = "marginal" }\n'
MIXED = "allow_mixed_accounting = true\n"
ZONES = ("A", "B", "C")


class Counting(CarbonFile):
    """A file that remembers what it was asked."""

    def signal(self, query: Query) -> Signal:
        ASKED.append(query)
        return super().signal(query)


ASKED: list[Query] = []


def file(folder: Path, name: str, values: dict[str, list[float | None]], more: str = "") -> CarbonFile:
    (folder / name).write_text(table(values, START - timedelta(hours=24)), encoding="utf-8")
    return source(small.changed(small.WIDE, ("carbon.csv", name)) + more)


def hours(base: float) -> list[float | None]:
    return [base + hour for hour in range(30)]


def ask(folder: Path, default: Any, own: list[Any], **changes: Any) -> Signal:
    return combined(default, own, query(folder, **{"zones": ZONES, "history_hours": 2, **changes}))


def test_columns_stand_in_the_order_of_the_regions(tmp_path: Path) -> None:
    grid = file(tmp_path, "grid.csv", {"A": hours(100), "C": hours(300)})
    own = file(tmp_path, "own.csv", {"B": hours(200)}, 'source = "ours"\n')
    found = ask(tmp_path, grid, [None, own, None], reference=True, hours=6)
    assert found.g_per_kwh[0].tolist() == [124, 224, 324]
    assert found.measured_g_per_kwh[0].tolist() == [122, 222, 322]
    assert found.measured_g_per_kwh.shape == (8, 3)
    assert list(found.files) == ["grid.csv", "own.csv"]
    assert found.source == "file grid.csv; ours"
    assert str(found.accounting) == "not stated"
    assert found.notes == ()
    assert found.reference_g_per_kwh is not None
    assert found.reference_g_per_kwh.tolist() == [111.5, 211.5, 311.5]  # the mean of the day before
    found = ask(tmp_path, own, [grid, None, grid])
    assert found.g_per_kwh[0].tolist() == [124, 224, 324]


def test_each_source_is_asked_once_for_its_regions(tmp_path: Path) -> None:
    file(tmp_path, "all.csv", {"A": hours(100), "B": hours(200), "C": hours(300)})
    keys = source(small.changed(small.WIDE, ("carbon.csv", "all.csv"))).model_dump()
    first, second = Counting(**keys), Counting(**{**keys, "source": "other"})
    ASKED.clear()
    dice = np.arange(24.0).reshape(3, 8)
    ask(tmp_path, first, [second, None, Counting(**{**keys, "source": "other"})], uniform=lambda: dice)
    assert [(q.zones, q.index, q.key) for q in ASKED] == [
        (("A", "C"), (0, 2), "regions[0].carbon"),
        (("B",), (1,), "carbon"),
    ]
    assert ASKED[0].uniform().tolist() == dice[[0, 2]].tolist()
    ASKED.clear()
    ask(tmp_path, first, [None, first, Counting(**keys)])
    assert [(q.zones, q.index) for q in ASKED] == [(ZONES, None)]


def test_a_region_s_dice_are_its_own_whatever_the_others_do(tmp_path: Path) -> None:
    noisy = Synthetic(kind="synthetic", noise=0.5, weather_std_g_per_kwh=20)
    dice = np.random.default_rng(0)
    uniform, normal = dice.random((3, 8)), dice.standard_normal((3, 8))
    changes: dict[str, Any] = {
        "mean_g_per_kwh": (300.0, None, 200.0),
        "uniform": lambda: uniform,
        "normal": lambda: normal,
    }
    own = file(tmp_path, "own.csv", {"B": hours(200)})
    alone = ask(tmp_path, noisy, [None] * 3, **{**changes, "mean_g_per_kwh": (300.0, 100.0, 200.0)})
    found = ask(tmp_path, noisy, [None, own, None], **changes)
    assert np.array_equal(found.measured_g_per_kwh[:, [0, 2]], alone.measured_g_per_kwh[:, [0, 2]])
    assert found.g_per_kwh[0, 1] == 224


def test_faults_name_the_region_of_the_scenario(tmp_path: Path) -> None:
    grid = file(tmp_path, "grid.csv", {"A": hours(100), "B": hours(1)})
    own = file(tmp_path, "own.csv", {"B": hours(200)})
    with pytest.raises(InputError, match=r"own\.csv: regions\[2\]\.zone: there is no column 'C'"):
        ask(tmp_path, grid, [None, None, own])
    with pytest.raises(InputError, match=r"carbon: regions\[2\]\.carbon_g_per_kwh: missing"):
        ask(tmp_path, grid, [None, None, Synthetic(kind="synthetic")])
    wrong = own.model_copy(update={"time_column": "when"})
    with pytest.raises(InputError, match=r"regions\[1\]\.carbon\.time_column: there is no column 'when'"):
        ask(tmp_path, grid, [None, wrong, wrong])


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        (
            AVERAGE,
            MARGINAL,
            ("regions A, C: accounting is average, direct", "regions B: accounting is marginal"),
        ),
        (AVERAGE, "", ("regions A, C: accounting is average, direct", "regions B: accounting is not stated")),
    ],
)
def test_different_accounting_is_refused_side_by_side(
    one: str, other: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    grid = file(tmp_path, "grid.csv", {"A": hours(100), "C": hours(300)}, one)
    own = file(
        tmp_path, "own.csv", {"B": hours(200)}, other + MIXED
    )  # only the scenario's source may allow it
    with pytest.raises(InputError) as caught:
        ask(tmp_path, grid, [None, own, None])
    assert str(caught.value).startswith("carbon: 2 faults")
    for part in words:
        assert part in str(caught.value)
    assert "allow_mixed_accounting = true" in str(caught.value)


def test_mixed_accounting_that_is_allowed_is_stated(tmp_path: Path) -> None:
    grid = file(tmp_path, "grid.csv", {"A": hours(100), "C": hours(300)}, AVERAGE + MIXED)
    own = file(tmp_path, "own.csv", {"B": hours(200)}, MARGINAL)
    found = ask(tmp_path, grid, [None, own, None])
    assert str(found.accounting) == "mixed: average, direct (A, C); marginal (B)"
    assert found.notes == ("mixed accounting allowed: average, direct (A, C); marginal (B)",)
    assert found.g_per_kwh[0].tolist() == [124, 224, 324]


def test_what_cleaning_did_to_each_is_kept(tmp_path: Path) -> None:
    holed: list[float | None] = [*hours(100)[:25], None, *hours(100)[26:]]
    rule = 'gaps = "interpolate:1h"\n'
    grid = file(tmp_path, "grid.csv", {"A": holed, "B": holed, "C": holed}, rule)
    own = file(tmp_path, "own.csv", {"B": holed}, rule)
    again = CarbonFile.model_validate({**grid.model_dump(exclude_unset=True), "gaps": "interpolate:2h"})
    found = ask(tmp_path, grid, [None, own, again])
    assert set(found.cleaning) == {"grid.csv", "own.csv", "grid.csv (regions[2].carbon)"}
    assert found.cleaning["own.csv"]["filled"]["by_zone"] == {"B": 1}
    assert len(found.notes) == 3
    assert np.isnan(found.measured_g_per_kwh[3]).all()


def test_reference_means_need_every_source_to_know_them(tmp_path: Path) -> None:
    grid = file(tmp_path, "grid.csv", {"A": hours(100), "C": hours(300)})
    changes: dict[str, Any] = {"mean_g_per_kwh": (None, 50.0, None), "reference": True, "history_hours": 0}
    made = Synthetic(kind="synthetic")
    long = query(tmp_path, zones=ZONES, hours=30, **changes)
    early = query(tmp_path, zones=ZONES, hours=6, start=START - timedelta(hours=2), **changes)
    assert combined(grid, [None, made, None], early).reference_g_per_kwh is None
    (tmp_path / "grid.csv").write_text(
        table({"A": [100.0] * 60, "C": [300.0] * 60}, START - timedelta(hours=30)), encoding="utf-8"
    )
    reference = combined(grid, [None, made, None], long).reference_g_per_kwh
    assert reference is not None
    assert reference.tolist() == [100, 50, 300]


def test_values_within_the_hour_stand_at_a_step_that_divides_those_of_all_sources(tmp_path: Path) -> None:
    """Beside quarters of an hour and thirds, an hourly value stands in all twelve steps of its hour."""

    def minutely(name: str, zone: str, step: int) -> CarbonFile:
        times = [START + timedelta(minutes=minute) for minute in range(0, 120, step)]
        text = "".join(f"{time.isoformat()},{100 + 60 * time.hour + time.minute}\n" for time in times)
        (tmp_path / name).write_text(f"time,{zone}\n{text}", encoding="utf-8")
        return source(small.changed(small.WIDE, ("carbon.csv", name)) + f'step = "{step}min"\n')

    grid = file(tmp_path, "grid.csv", {"A": hours(100), "C": hours(300)})
    own = [None, minutely("b.csv", "B", 15), minutely("c.csv", "C", 20)]
    asked = ask(tmp_path, grid, own, hours=2, history_hours=0, within_hour=True)
    fine = asked.within_hour
    assert fine is not None
    assert fine.per_hour == 12
    minutes = np.arange(0, 120, 5)
    for region, step in enumerate((60, 15, 20)):
        assert fine.begun_minutes[:, region].tolist() == (minutes % step).tolist()
    begun = minutes[:, np.newaxis] - fine.begun_minutes
    assert fine.g_per_kwh[:, 1:].tolist() == (100 + begun[:, 1:]).tolist()
    assert fine.g_per_kwh[:, 0].tolist() == [124.0] * 12 + [125.0] * 12
    other = file(tmp_path, "other.csv", {"B": hours(100), "C": hours(300)})
    assert ask(tmp_path, grid, [None, other, other], hours=2, within_hour=True).within_hour is None
