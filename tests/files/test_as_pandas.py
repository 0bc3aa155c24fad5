"""Tables as pandas DataFrames, with pandas and without pyarrow."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime
from importlib.util import find_spec

import polars as pl
import pytest

import carbonroute
from carbonroute.errors import InputError

needs_pandas = pytest.mark.skipif(find_spec("pandas") is None, reason="needs pandas")

TABLE = pl.DataFrame(
    {
        "whole": [1, 2],
        "gap": [1, None],
        "real": [0.5, None],
        "text": ["α", None],
        "flag": [True, False],
        "unsure": [True, None],
        "list": [[1], [2, 3]],
        "day": [date(2021, 1, 1), None],
        "time": [datetime(2021, 1, 1, 6, tzinfo=UTC), None],
    }
)


@pytest.fixture
def without_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every import of pyarrow fail, as where it is not installed."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)


@needs_pandas
@pytest.mark.usefixtures("without_pyarrow")
def test_every_kind_of_column_arrives() -> None:
    frame = carbonroute.to_pandas(TABLE)
    kinds = {name: str(kind) for name, kind in frame.dtypes.items()}
    assert list(kinds) == TABLE.columns
    assert (kinds["whole"], kinds["gap"]) == ("int64", "float64")
    assert (kinds["flag"], kinds["unsure"], kinds["text"]) == ("bool", "object", "object")
    assert kinds["time"].endswith("UTC]")
    assert frame["time"][0].isoformat() == "2021-01-01T06:00:00+00:00"
    assert frame["list"].tolist() == [[1], [2, 3]]
    assert frame["text"].tolist() == ["α", None]


@needs_pandas
@pytest.mark.usefixtures("without_pyarrow")
def test_every_table_of_a_run_arrives() -> None:
    result = carbonroute.run("published", {"horizon.hours": 6})
    for name, table in vars(result.tables).items():
        assert result.to_pandas(name).shape == (table.height, table.width)
    assert result.to_pandas()["policy"].tolist() == result.table()["policy"].to_list()


def test_without_pandas_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match="pandas is not installed; install it: pip install pandas"):
        carbonroute.to_pandas(TABLE)
