"""Documents that are written read back as what was written."""

from __future__ import annotations

import tomllib
from datetime import date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbonroute.files.toml import document
from carbonroute.scenario import builtin_scenarios, builtin_text

KEYS = st.one_of(
    st.sampled_from(["a", "b-1", "x y", "ü", 'q"', "a.b"]), st.text(st.characters(codec="utf-8"))
)
SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8"), max_size=40),
    st.datetimes(),
    st.dates(),
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=5)),
    max_leaves=25,
)


@given(st.dictionaries(KEYS, VALUES, max_size=6))
def test_any_document_reads_back(tables: dict[str, Any]) -> None:
    assert tomllib.loads(document(tables)) == tables


@pytest.mark.parametrize("name", builtin_scenarios())
def test_scenarios_read_back(name: str) -> None:
    tables = tomllib.loads(builtin_text(name))
    text = document(tables)
    assert tomllib.loads(text) == tables
    assert max(map(len, text.splitlines())) < 250


def test_times_keep_their_offset() -> None:
    tables = {"start": datetime.fromisoformat("2021-01-01T00:00:00+02:00"), "day": date(2021, 1, 1)}
    assert tomllib.loads(document(tables)) == tables


def test_a_table_of_many_keys_has_no_long_line() -> None:
    tables = {"network": {"rtt_ms": {"here": {f"region {n}": n + 0.5 for n in range(400)}}}}
    text = document(tables)
    assert tomllib.loads(text) == tables
    assert max(map(len, text.splitlines())) < 50
