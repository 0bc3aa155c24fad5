"""Carbon from what each fuel generated, as the U.S. Energy Information Administration (EIA) publishes it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, model_validator

from carbonroute.carbon.formats import joined, labelled
from carbonroute.carbon.grid import NO_VALUE
from carbonroute.carbon.signal import Accounting, Query
from carbonroute.carbon.source import FileSource, Name, Readings
from carbonroute.errors import Fault, InputError, did_you_mean, first_faults
from carbonroute.files.tables import FIRST_LINE, column_numbers, column_text, found_text, read_table
from carbonroute.files.times import to_utc
from carbonroute.units import MAX_CARBON_G_PER_KWH

Factor = Annotated[float, Field(ge=0, le=MAX_CARBON_G_PER_KWH)]
#: The world generates some 3.5 million MWh an hour: more is a fault of unit.
_MAX_MWH = 1e7
_LABELS = Accounting(rate="average", boundary="production")


class EiaFuelMix(FileSource):
    r"""Carbon intensity from a table of generation: a row per hour and zone, a column of MWh per fuel.

    .. math:: c = \sum_f f_f \max(E_f, 0) / \sum_f \max(E_f, 0)

    with the stated factor :math:`f_f` of each fuel. It is an average over what a zone generates. Generation
    can be negative, where storage is filled or a plant feeds itself; that is no part of the mix, is taken as
    0 and counted. A fuel that a zone never reports in a file counts as none of the mix; a row that lacks one
    which the zone reports elsewhere is missing and counted, because leaving it out would change the mix. So
    is a row without any generation.

    Attributes
    ----------
    time_column, zone_column
        Hold ISO 8601 times, starts of the intervals, and the zone's key (such as a balancing authority).
    factors_g_per_kwh
        For every fuel column, its emission factor.
    factors_source
        Where the factors are from, to cite.
    other_columns
        Columns that are no fuels. A column that is neither is refused: a fuel forgotten would change the mix.
    """

    kind: Literal["eia-fuel-mix"]
    time_column: Name
    zone_column: Name
    factors_g_per_kwh: Annotated[dict[Name, Factor], Field(min_length=1)]
    factors_source: Name
    other_columns: Annotated[tuple[Name, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _agrees_with_the_format(self) -> EiaFuelMix:
        labelled(self.accounting, _LABELS)
        if twice := {self.time_column, self.zone_column, *self.other_columns} & set(self.factors_g_per_kwh):
            raise ValueError(
                f"column {min(twice)!r} has a factor and another meaning; name every column once"
            )
        return self

    def read(self, query: Query) -> Readings:
        """Return the mix's carbon intensity, and what was taken as 0 or missing.

        Raises
        ------
        InputError
            With file, line and column: what is not there, no number, or has neither factor nor other meaning.
        """
        start, end = self.window(query)
        parts = [self._file(path, shown, query) for shown, path in self.files(query).items()]
        wanted = pl.col("zone").is_in(query.zones) & pl.col("time").is_between(start, end, closed="left")
        inside = pl.concat(parts).filter(wanted)
        counts = {
            "negative generation, taken as 0": int(inside["negative"].sum()),
            "rows that lack a fuel, taken as missing": int(inside["lacks"].sum()),
        }
        table = joined(parts)
        return Readings(table, labelled(self.accounting, _LABELS), counts)

    def _file(self, path: Path, shown: str, query: Query) -> pl.DataFrame:
        table = read_table(path, shown, query.digests)
        self._require_columns(table, query.key, shown)
        window = self.window(query)
        part = pl.DataFrame(
            {
                "line": range(FIRST_LINE, FIRST_LINE + len(table)),
                "time": to_utc(table[self.time_column], self.time_zone, window, shown),
                "zone": column_text(table[self.zone_column], shown),
            }
        )
        wanted = part["zone"].is_in(query.zones) & part["time"].is_between(*window, closed="left")
        mwh = self._mwh(table, wanted, shown)
        lacks = np.zeros(len(table), dtype=bool)
        for zone in set(query.zones):
            rows = (part["zone"] == zone).fill_null(value=False).to_numpy()
            known = ~np.isnan(mwh[rows])
            lacks[rows] = (~known & known.any(axis=0)).any(axis=1) & known.any(axis=1)
        mix = np.maximum(np.nan_to_num(mwh), 0)
        total = mix.sum(axis=1)
        total[lacks | (total == 0)] = np.nan
        value = pl.Series(mix @ np.array(list(self.factors_g_per_kwh.values())) / total).fill_nan(None)
        return part.with_columns(
            file=pl.lit(shown),
            place=pl.format("line {}", "line"),
            raw=value.cast(pl.String),
            value=value,
            negative=pl.Series((mwh < 0).sum(axis=1)),
            lacks=pl.Series(lacks),
        )

    def _require_columns(self, table: pl.DataFrame, scenario_key: str, shown: str) -> None:
        meant = {
            self.time_column: "time_column",
            self.zone_column: "zone_column",
            **{fuel: f"factors_g_per_kwh.{fuel}" for fuel in self.factors_g_per_kwh},
            **dict.fromkeys(self.other_columns, "other_columns"),
        }
        faults = [
            Fault(f"{scenario_key}.{key}", f"there is no column {name!r}", did_you_mean(name, table.columns))
            for name, key in meant.items()
            if name not in table.columns
        ]
        remedy = "give it a factor in factors_g_per_kwh, or name it in other_columns"
        faults += [
            Fault("line 1", f"column {name!r} has no emission factor", remedy)
            for name in table.columns
            if name not in meant
        ]
        if faults:
            raise InputError(shown, first_faults(faults))

    def _mwh(self, table: pl.DataFrame, wanted: pl.Series, shown: str) -> NDArray[np.float64]:
        """Return generation, shape (rows, fuels), NaN where there is none; refuse what is no number."""
        columns: list[pl.Series] = []
        faults: list[Fault] = []
        for fuel in self.factors_g_per_kwh:
            text = column_text(table[fuel], shown)
            mwh = column_numbers(text)
            sensible = (mwh.abs() <= _MAX_MWH).fill_null(value=False)  # False for NaN
            nothing = text.fill_null("").str.strip_chars().str.to_lowercase().is_in(NO_VALUE)
            wrong = (wanted & ~sensible & ~nothing).arg_true()
            remedy = f"MWh of one interval are expected, up to {_MAX_MWH:g}"
            places = ((row, f"line {FIRST_LINE + row}, {fuel}") for row in wrong)
            faults += first_faults(Fault(place, found_text(text[row]), remedy) for row, place in places)
            columns.append(mwh.set(~sensible, None))
        if faults:
            raise InputError(shown, faults)
        return np.column_stack([column.to_numpy() for column in columns])
