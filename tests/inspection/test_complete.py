"""Rows that are complete are described as a whole, exactly as they are one by one."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from carbonroute.carbon.complete import CompleteHours
from carbonroute.inspection.carbon import describe, describe_complete

HOURS, ZONES = 96, ("DE", "FR", "PL")
VALUES = 300 + 80 * np.sin(np.arange(HOURS) / 3.8)[:, np.newaxis] + np.arange(HOURS * 3).reshape(HOURS, 3) % 7


def table(*, by_hour: bool = False) -> pl.DataFrame:
    """Return complete rows, zone by zone or hour by hour."""
    zone, hour = np.repeat(np.arange(3), HOURS), np.tile(np.arange(HOURS), 3)
    if by_hour:
        zone, hour = np.tile(np.arange(3), HOURS), np.repeat(np.arange(HOURS), 3)
    start = datetime(2024, 1, 1, 5, tzinfo=UTC)
    return pl.DataFrame(
        {
            "file": pl.repeat("f.csv", len(zone), eager=True),
            "place": pl.int_range(2, len(zone) + 2, eager=True),
            "time": pl.Series(hour * 3_600_000_000).cast(pl.Duration("us")) + start,
            "zone": pl.Series(ZONES).gather(zone).cast(pl.Enum(ZONES)),
            "raw": pl.repeat("a number", len(zone), eager=True),
            "value": VALUES[hour, zone],
        }
    )


def in_parts(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the same rows, in memory in a part for each zone."""
    return pl.concat([rows.slice(zone * HOURS, HOURS) for zone in range(len(ZONES))], rechunk=False)


def complete(rows: pl.DataFrame) -> CompleteHours | None:
    """Return the rows if they are complete and ordinary, as those of a table with a zone in each."""
    found = CompleteHours.of_rows(rows["time"], rows["zone"], rows["value"])
    return found if found is not None and found.lie_within(0.0, 1000.0) else None


def complete_columns(rows: pl.DataFrame) -> CompleteHours | None:
    """Return the same for rows zone by zone, as those of a table with a column for each."""
    found = CompleteHours.of_columns(rows["time"].head(HOURS), ZONES, rows["value"])
    return found if found is not None and found.lie_within(0.0, 1000.0) else None


@pytest.mark.parametrize("by_hour", [False, True])
@pytest.mark.parametrize("unit", [None, "g/kWh", "kg/kWh", "g/MWh"])
def test_complete_rows_are_described_as_one_by_one(by_hour: bool, unit: str | None) -> None:
    rows = table(by_hour=by_hour)
    found, joined = complete(rows), complete(in_parts(rows))
    assert found is not None
    assert joined is not None
    assert np.array_equal(joined.values, VALUES)
    columns = complete_columns(table())
    assert columns is not None
    assert (columns.start, columns.last, columns.zones) == (found.start, found.last, found.zones)
    assert np.array_equal(columns.values, VALUES)
    whole = describe_complete(found, in_grams=unit == "g/kWh", unit=unit)
    if unit in ("kg/kWh", "g/MWh"):  # 300 of them are absurd, or near 0
        assert whole is None
        return
    assert whole is not None
    one_by_one = describe(rows, "f.csv", in_grams=unit == "g/kWh", unit=unit)
    assert whole.quantities == one_by_one.quantities
    assert whole.findings == one_by_one.findings
    assert whole.rules() == one_by_one.rules()
    assert list(whole.proposed) == list(one_by_one.proposed)
    assert whole.hours.start == one_by_one.hours.start
    assert np.array_equal(whole.hours.values, one_by_one.hours.values)
    assert_frame_equal(whole.table, one_by_one.table, rel_tol=1e-12)


@pytest.mark.parametrize(
    ("row", "change"),
    [
        (7, {"value": None}),
        (7, {"value": float("nan")}),
        (7, {"value": -1.0}),
        (7, {"value": 1000.5}),
        (7, {"time": None}),
        (7, {"zone": None}),
        (7, {"zone": "PL"}),
        (7, {"time": datetime(2024, 1, 1, 13, tzinfo=UTC)}),
        (0, {"time": datetime(2024, 1, 1, 5, 1, tzinfo=UTC)}),
        (HOURS, {"time": datetime(2024, 1, 1, 5, 30, tzinfo=UTC)}),
    ],
)
@pytest.mark.parametrize("by_hour", [False, True])
def test_one_row_that_needs_a_look_makes_them_incomplete(
    by_hour: bool, row: int, change: dict[str, object]
) -> None:
    rows = table(by_hour=by_hour)
    (name, entry), here = next(iter(change.items())), pl.int_range(pl.len()) == row
    dtype = rows.schema[name]
    changed = rows.with_columns(
        pl.when(here).then(pl.lit(entry, dtype=dtype)).otherwise(pl.col(name)).alias(name)
    )
    for incomplete in (changed, in_parts(changed), rows.filter(~here), pl.concat([rows, rows[row]])):
        assert complete(incomplete) is None
    if not by_hour and row < HOURS and name != "zone":
        assert complete_columns(changed) is None


def test_half_hours_two_hours_and_newest_first_are_no_complete_hours() -> None:
    rows = table()
    start = rows["time"][0]
    for factor in (0.5, 2, -1):
        apart = (rows["time"].to_physical() - rows["time"].to_physical()[0]) * factor
        times = pl.Series("time", apart.cast(pl.Int64)).cast(pl.Duration("us")) + start
        assert complete(rows.with_columns(times)) is None
        assert complete_columns(rows.with_columns(times)) is None


def test_a_spike_among_complete_rows_needs_a_look() -> None:
    rows = table()
    spoilt = rows.with_columns(value=pl.when(pl.int_range(pl.len()) == 40).then(900.0).otherwise("value"))
    found = complete(spoilt)
    assert found is not None
    assert describe_complete(found, in_grams=True) is None
