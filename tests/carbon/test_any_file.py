"""Whatever stands in a file, it is refused with a place, or its signal is valid."""

from __future__ import annotations

import random
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbonroute.carbon import Signal
from carbonroute.errors import InputError
from carbonroute.units import MAX_CARBON_G_PER_KWH
from helpers import small
from helpers.carbon_sources import ask, table
from helpers.grids import examples
from helpers.refusals import has_parts

ANY = settings(max_examples=examples(250))
RULES = st.fixed_dictionaries(
    {},
    optional={
        "gaps": st.sampled_from(["refuse", "interpolate:2h", "previous-day:30h"]),
        "duplicates": st.sampled_from(["refuse", "first", "last", "mean"]),
        "spikes": st.sampled_from(["keep", "remove:3", "remove:40"]),
        "absurd": st.sampled_from(["refuse", "missing"]),
        "tiny": st.sampled_from(["refuse", "keep"]),
        "step": st.sampled_from(["15min", "30min", "1h", "3h"]),
        "repeat": st.just("year"),
        "time_zone": st.sampled_from(["UTC", "Europe/Berlin"]),
    },
)
STAMP = st.one_of(
    st.sampled_from([*small.HOURS, "2021-01-01T00:30:00Z", "2020-12-31T22:00Z", "2021-01-01T03:00"]),
    st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)).map(lambda time: f"{time.isoformat()}Z"),
    st.text(max_size=5),
)
FIELD = st.one_of(
    st.sampled_from(["400", "401.5", "50", "", " ", "nan", "n/a", "-1", "2001", "1e999", "0", "0.3"]),
    st.floats().map(repr),
    st.text(max_size=4),
)


def valid(folder: Path, data: str | bytes, section: str, rules: dict[str, str], **changes: Any) -> None:
    """Ask a source, and check that it refuses as it should or gives a signal as it should."""
    section += "".join(f'{name} = "{rule}"\n' for name, rule in rules.items())
    try:
        found = ask(folder, data, section, **{"history_hours": 3, **changes})
    except InputError as error:
        faults = str(error).splitlines()
        if all(has_parts(fault) for fault in (faults[1:] or faults)):
            return
        raise AssertionError("a fault without a place, a finding or a remedy") from error
    is_valid(found, rules)


def is_valid(found: Signal, rules: dict[str, str]) -> None:
    values, measured = found.g_per_kwh, found.measured_g_per_kwh
    assert values.shape == (6, 2)
    assert measured.shape == (9, 2)
    assert ((values >= 0) & (values <= MAX_CARBON_G_PER_KWH)).all()
    known = ~np.isnan(measured)
    assert np.array_equal(measured[3:][known[3:]], values[known[3:]])
    assert known[3:].all() or "filled" in found.cleaning["carbon.csv"]
    assert ((measured[known] >= 0) & (measured[known] <= MAX_CARBON_G_PER_KWH)).all()
    assert bool(found.notes) == bool(found.cleaning)
    assert rules.get("gaps", "refuse") != "refuse" or known[3:].all()


@ANY
@given(st.lists(st.tuples(STAMP, FIELD, FIELD), max_size=12), RULES, st.randoms(use_true_random=False))
def test_any_rows_of_a_wide_file(
    tmp_path: Path, rows: list[tuple[str, str, str]], rules: dict[str, str], dice: random.Random
) -> None:
    lines = small.WIDE_CSV.splitlines()[1:] + [",".join(row) for row in rows]
    dice.shuffle(lines)
    valid(tmp_path, "\n".join(["time,A,B", *lines]), small.WIDE, rules)


@ANY
@given(
    st.lists(st.tuples(STAMP, st.sampled_from(["A", "B", "C", ""]), FIELD), max_size=12),
    RULES,
    st.sets(st.integers(1, 12), max_size=3),
)
def test_any_rows_of_a_long_file(
    tmp_path: Path, rows: list[tuple[str, str, str]], rules: dict[str, str], lost: set[int]
) -> None:
    lines = [line for i, line in enumerate(small.LONG_CSV.splitlines()) if i not in lost]
    valid(tmp_path, "\n".join([*lines, *(",".join(row) for row in rows)]), small.LONG, rules)


@ANY
@given(st.lists(st.tuples(st.integers(0, len(small.WIDE_CSV)), st.binary(max_size=3)), max_size=4), RULES)
def test_any_bytes_anywhere(tmp_path: Path, changes: list[tuple[int, bytes]], rules: dict[str, str]) -> None:
    data = small.WIDE_CSV.encode()
    for place, new in changes:
        data = data[:place] + new + data[place + len(new) :]
    valid(tmp_path, data, small.WIDE, rules)


@ANY
@given(st.binary(max_size=60), RULES, st.sampled_from(["carbon.csv", "carbon.csv.gz", "carbon.parquet"]))
def test_any_bytes_at_all(tmp_path: Path, data: bytes, rules: dict[str, str], name: str) -> None:
    with pytest.raises(InputError):
        ask(
            tmp_path,
            data,
            small.changed(small.WIDE, ("carbon.csv", name))
            + "".join(f'{key} = "{rule}"\n' for key, rule in rules.items()),
        )


#: A zone whose highest value is 200 times below the others' looks like another unit.
CLEAN = st.floats(MAX_CARBON_G_PER_KWH / 200, MAX_CARBON_G_PER_KWH)
SERIES = st.lists(st.tuples(CLEAN, CLEAN), min_size=6, max_size=30)
FEW = settings(max_examples=examples(60))


@FEW
@given(SERIES)
def test_cleaning_what_is_clean_changes_nothing(tmp_path: Path, rows: list[tuple[float, float]]) -> None:
    values = np.array(rows)
    text = table({"A": values[:, 0].tolist(), "B": values[:, 1].tolist()})
    every = 'gaps = "interpolate:6h"\nduplicates = "mean"\nabsurd = "missing"\n'
    for rules in ("", every):
        found = ask(tmp_path, text, small.WIDE + rules, hours=len(rows))
        assert np.array_equal(found.g_per_kwh, values)
        assert np.array_equal(found.measured_g_per_kwh, values)


@FEW
@given(SERIES, st.data())
def test_the_order_of_rows_changes_nothing_but_their_count(
    tmp_path: Path, rows: list[tuple[float, float]], data: st.DataObject
) -> None:
    text = table({zone: [row[i] for row in rows] for i, zone in enumerate("AB")})
    header, *lines = text.splitlines()
    order = data.draw(st.permutations(range(len(lines))))
    sorted_, shuffled = (
        ask(tmp_path, "\n".join([header, *given_]), hours=len(rows))
        for given_ in (lines, [lines[i] for i in order])
    )
    assert np.array_equal(sorted_.g_per_kwh, shuffled.g_per_kwh)
    back = sum(later < earlier for earlier, later in pairwise(order))
    told = dict(shuffled.cleaning.get("carbon.csv", {}))
    assert told.pop("out_of_order_rows", 0) == back
    assert told == dict(sorted_.cleaning.get("carbon.csv", {}))


@FEW
@given(st.sampled_from([("5min", 12), ("15min", 4), ("30min", 2)]), st.data())
def test_hours_are_the_means_of_their_steps(
    tmp_path: Path, step: tuple[str, int], data: st.DataObject
) -> None:
    name, per_hour = step
    values = data.draw(
        st.lists(st.floats(2, 2000), min_size=3 * per_hour, max_size=3 * per_hour), label="values"
    )
    text = table({"A": values}, minutes=60 // per_hour)
    found = ask(tmp_path, text, f'{small.WIDE}step = "{name}"\n', zones=("A",), hours=3)
    assert found.g_per_kwh[:, 0] == pytest.approx(np.reshape(values, (3, per_hour)).mean(axis=1), rel=1e-12)
