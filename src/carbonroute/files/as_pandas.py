"""Tables as pandas DataFrames, without pyarrow."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import polars as pl

from carbonroute.errors import Fault, InputError


def to_pandas(table: pl.DataFrame) -> Any:
    """Return a table as a pandas DataFrame; pandas alone has to be installed for it, not pyarrow.

    Numbers with gaps become floats with NaN; texts, lists, and truth values with gaps become objects with
    None; times keep their zone.

    Raises InputError if pandas is not installed.
    """
    try:
        pd = import_module("pandas")
    except ImportError as error:
        remedy = "install it: pip install pandas"
        raise InputError("to_pandas", [Fault("", "pandas is not installed", remedy)]) from error
    return pd.DataFrame({name: _column(table[name], pd) for name in table.columns}, columns=table.columns)


def _column(values: pl.Series, pd: Any) -> Any:
    kind = values.dtype
    if isinstance(kind, pl.Datetime) and kind.time_zone:
        utc = pd.Series(values.dt.convert_time_zone("UTC").dt.replace_time_zone(None).to_numpy())
        return utc.dt.tz_localize("UTC").dt.tz_convert(kind.time_zone)
    if kind.is_numeric() or kind.is_temporal() or (kind == pl.Boolean and not values.null_count()):
        return pd.Series(values.to_numpy())
    return pd.Series(values.to_list(), dtype=object)
