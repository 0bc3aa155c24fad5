"""Carbon from generation by fuel, as the U.S. Energy Information Administration (EIA) publishes it."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, model_validator

from carbonroute.carbon.columns import distinct, numbered, placed_by_line, surveyed, value_column, zone_column
from carbonroute.carbon.formats import labelled
from carbonroute.carbon.grid import NO_VALUE
from carbonroute.carbon.paths import Name
from carbonroute.carbon.signal import Accounting, Query
from carbonroute.carbon.source import CarbonReadings, CsvSource, Survey, require_stamp
from carbonroute.errors import Fault, InputError, did_you_mean, first_faults
from carbonroute.files import toml
from carbonroute.files.answers import AnswerModel, as_instant, records, validated
from carbonroute.files.numbers import column_numbers
from carbonroute.files.preview import Certainty, Preview, Recognition
from carbonroute.files.tables import column_text, found_text
from carbonroute.files.text import refused
from carbonroute.files.times import to_utc
from carbonroute.units import MAX_CARBON_G_PER_KWH

Factor = Annotated[float, Field(ge=0, le=MAX_CARBON_G_PER_KWH)]
#: The world generates some 3.5 million MWh an hour: more is a fault of unit.
_MAX_MWH = 1e7
_LABELS = Accounting(rate="average", boundary="production")

#: Names of columns of fuels.
_FUEL = re.compile(
    "wnd|sun|wat|oil|ng|col|nuc|oth|wind|solar|hydro|water|gas|coal|nuclear|other|geo|biomass|petroleum|"
    "bat|ps|snb|ues|unk|natural_gas",
    re.I,
)


def _of_hour(text: object) -> object:
    """Return a period such as ``"2024-03-01T05"`` as a time in UTC; any other value as `as_instant` does."""
    is_hour = isinstance(text, str) and re.fullmatch(r"[0-9-]{10}T[0-9]{2}", text)
    return as_instant(f"{text}:00Z" if is_hour else text)


def _as_text(value: object) -> object:
    return repr(value) if isinstance(value, float) else value


class _Generation(AnswerModel):
    period: Annotated[datetime, BeforeValidator(_of_hour)]
    respondent: str
    fueltype: str
    value: Annotated[str | None, BeforeValidator(_as_text)] = None
    unit: str = Field(alias="value-units")


class _Response(AnswerModel):
    data: list[Any]


class _FuelMixAnswer(AnswerModel):
    response: _Response


class EiaFuelMix(CsvSource):
    r"""Carbon intensity from generation: a table with a row per hour and zone and a column of MWh per fuel.

    An answer of the interface's ``electricity/rto/fuel-type-data`` (JSON) is such a table too. Its columns
    are ``period`` (moved from the end of an hour to its start), ``respondent``, and every ``fueltype``.

    The intensity is Σ E · f / Σ E over the fuels, with the energy E and the stated factor f of each. It
    is an average over a zone's generation. Generation can be negative, where storage is filled or a plant
    feeds itself; that is no part of the mix, is taken as 0 and counted. A fuel that a zone never reports
    in a file counts as none of the mix; a row that lacks one which the zone reports elsewhere is missing
    and counted, because leaving it out would change the mix. So is a row without any generation.

    Attributes
    ----------
    time_column
        Holds ISO 8601 times, the starts of the intervals.
    zone_column
        Holds the zone's key, such as a balancing authority.
    factors_g_per_kwh
        For every fuel column, its emission factor.
    factors_source
        Where the factors are from, to cite.
    other_columns
        Columns that are no fuels. Any further column is refused: a fuel left out would change the mix.
    """

    json_keys: ClassVar[str] = "EIA's response.data[…].fueltype"

    kind: Literal["eia-fuel-mix"]
    time_column: Name
    zone_column: Name
    factors_g_per_kwh: Annotated[dict[Name, Factor], Field(min_length=1)]
    factors_source: Name
    other_columns: Annotated[tuple[Name, ...], Field(strict=False)] = ()

    @property
    def labels(self) -> Accounting:
        """Accounting of values in this format."""
        return _LABELS

    @model_validator(mode="after")
    def _agrees_with_the_format(self) -> EiaFuelMix:
        labelled(self.accounting, _LABELS)
        if twice := {self.time_column, self.zone_column, *self.other_columns} & set(self.factors_g_per_kwh):
            raise ValueError(
                f"column {min(twice)!r} has a factor and another meaning; name every column once"
            )
        return self

    @classmethod
    def recognise(cls, preview: Preview) -> Recognition | None:
        """Recognise EIA's JSON, and tables of times, zones and fuels, if they have no carbon intensity."""
        if preview.is_json:
            fuels = _fuels(preview.content)
            columns = {"time": "period", "zone": "respondent"}
            return (
                Recognition(Certainty.SIGNATURE, "eia-fuel-mix", columns, {"fuels": fuels}) if fuels else None
            )
        fuels = tuple(name for name in preview.numbers if _FUEL.fullmatch(name.strip()))
        zone = zone_column(preview)
        if not preview.times or zone is None or preview.is_log or not fuels:
            return None
        certainty = Certainty.SHAPE
        if value_column(preview) is not None:
            certainty = Certainty.POSSIBLE
        elif len(fuels) < 3:
            return None
        columns = {"time": preview.times[0], "zone": zone}
        note = f'columns of fuels are there too, for kind = "eia-fuel-mix": {toml.names(fuels)}'
        return Recognition(certainty, "eia-fuel-mix", columns, {"fuels": fuels}, (note,))

    @classmethod
    def survey(cls, preview: Preview, recognition: Recognition) -> Survey:
        """Return the generation of all fuels, MWh: without factors there is no carbon intensity yet."""
        file_name, fuels = preview.file_name, recognition.lists["fuels"]
        if preview.is_json:
            table, place = generation_of(preview.content, file_name)
            frame = table.select(file=pl.lit(file_name), place=place, time="period")
            times, findings = {"time_column": "period"}, list[str]()
        else:
            table, time, times, findings = surveyed(preview, recognition)
            frame = numbered(table, file_name, time, preview.layout.first_line)
        zone = recognition.columns["zone"]
        mwh = pl.DataFrame([preview.numbers_in(table, [fuel]) for fuel in fuels])
        total = mwh.select(pl.sum_horizontal(pl.all().clip(lower_bound=0))).to_series()
        rows = frame.with_columns(
            zone=column_text(table[zone], file_name), raw=total.cast(pl.String), value=total
        )
        known = {times["time_column"], zone, *fuels}
        settings = {
            "kind": "eia-fuel-mix",
            "zone_column": zone,
            "other_columns": [name for name in table.columns if name not in known] or None,
            "factors_source": toml.ask("whom to cite for the factors"),
            "factors_g_per_kwh": dict.fromkeys(fuels, toml.ask("g/kWh")),
            **times,
            "skip_rows": preview.layout.skip_rows or None,
        }
        comments = [f"zones: {toml.names(distinct(rows, 'zone'))}"]
        return Survey(lambda: rows, "MWh generated", settings, comments, findings)

    def parse_answer(self, content: Any, file_name: str) -> CarbonReadings:
        """Return the mix's carbon intensity of an answer: see `parse_table`."""
        table, place = generation_of(content, file_name)
        return self.of_answer(table, place, file_name, Query.of_all_times(distinct(table, "respondent")))

    def of_answer(
        self, table: pl.DataFrame, place: pl.Series, file_name: str, query: Query
    ) -> CarbonReadings:
        """Return the mix's carbon intensity of a provider's answer as a table.

        Its columns are the fuels that it names: one with a factor that it does not name is none of the mix.

        `table`: a row per time and zone, and a column per fuel; times are starts of intervals.
        `file_name`, `query`: as of `parse_table`.
        """
        absent = [fuel for fuel in self.factors_g_per_kwh if fuel not in table.columns]
        nothing = [pl.lit(None, pl.String).alias(fuel) for fuel in absent]
        return self._mix(table.with_columns(nothing), place, file_name, query)

    def parse_table(self, table: pl.DataFrame, file_name: str, query: Query) -> CarbonReadings:
        """Return the mix's carbon intensity; flagged are negative generation and rows that lack a fuel."""
        return self._mix(table, None, file_name, query)

    def _mix(
        self, table: pl.DataFrame, place: pl.Series | None, file_name: str, query: Query
    ) -> CarbonReadings:
        """Return the readings of a table; `place` of its rows, if that is not their line."""
        self._require_columns(table, query.key, file_name)
        window = self.window(query)
        first_line = self.csv_layout.first_line
        if place is None:
            require_stamp(table[self.time_column], self.stamp, file_name, first_line)
        elif self.stamp == "end":
            raise refused(file_name, "its periods are ends of hours, and read so", "leave stamp out")
        time = to_utc(table[self.time_column], self.time_zone, window, file_name, first_line)
        rows = placed_by_line(table, file_name, time, first_line)
        if place is not None:
            rows = rows.with_columns(place=place)
        rows = rows.with_columns(zone=column_text(table[self.zone_column], file_name))
        asked = rows["zone"].is_in(query.zones) & rows["time"].is_between(*window, closed="left")
        mwh = self._mwh(table, rows["place"], asked, file_name)
        lacks = np.zeros(len(table), dtype=bool)
        for zone in set(query.zones):
            of_zone = (rows["zone"] == zone).fill_null(value=False).to_numpy()
            known = ~np.isnan(mwh[of_zone])
            lacks[of_zone] = (~known & known.any(axis=0)).any(axis=1) & known.any(axis=1)
        mix = np.maximum(np.nan_to_num(mwh), 0)
        total = mix.sum(axis=1)
        total[lacks | (total == 0)] = np.nan
        value = pl.Series(mix @ np.array(list(self.factors_g_per_kwh.values())) / total).fill_nan(None)
        table = self.begun(rows).with_columns(
            raw=value.cast(pl.String),
            value=value,
            negative=pl.Series((mwh < 0).sum(axis=1)),
            lacks=pl.Series(lacks),
        )
        flags = {
            "negative": "negative generation, taken as 0",
            "lacks": "rows that lack a fuel, taken as missing",
        }
        return CarbonReadings(table, labelled(self.accounting, _LABELS), flagged=flags)

    def _require_columns(self, table: pl.DataFrame, scenario_key: str, file_name: str) -> None:
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
            Fault(self.csv_layout.header, f"column {name!r} has no emission factor", remedy)
            for name in table.columns
            if name not in meant
        ]
        if faults:
            raise InputError(file_name, first_faults(faults))

    def _mwh(
        self, table: pl.DataFrame, place: pl.Series, asked: pl.Series, file_name: str
    ) -> NDArray[np.float64]:
        """Return generation, shape (rows, fuels), NaN where there is none; refuse words in rows asked for."""
        columns: list[pl.Series] = []
        faults: list[Fault] = []
        for fuel in self.factors_g_per_kwh:
            text = column_text(table[fuel], file_name)
            mwh = column_numbers(text)
            sensible = (mwh.abs() <= _MAX_MWH).fill_null(value=False)  # False for NaN
            nothing = text.fill_null("").str.strip_chars().str.to_lowercase().is_in(NO_VALUE)
            wrong = (asked & ~sensible & ~nothing).arg_true()
            remedy = f"MWh of one interval are expected, up to {_MAX_MWH:g}"
            faults += first_faults(
                Fault(f"{place[row]}, {fuel}", found_text(text[row]), remedy) for row in wrong
            )
            columns.append(mwh.set(~sensible, None))
        if faults:
            raise InputError(file_name, faults)
        return np.column_stack([column.to_numpy() for column in columns])


def _fuels(content: Any) -> tuple[str, ...]:
    """Return the fuels of an answer of ``electricity/rto/fuel-type-data``; none if it is no such answer."""
    response = content.get("response") if isinstance(content, dict) else None
    data = response.get("data") if isinstance(response, dict) else None
    if not isinstance(data, list):
        return ()
    fuels = [row.get("fueltype") for row in data if isinstance(row, dict)]
    return tuple(dict.fromkeys(fuel for fuel in fuels if isinstance(fuel, str)))


def generation_of(content: Any, file_name: str) -> tuple[pl.DataFrame, pl.Series]:
    """Return an answer as a table with a column per fuel, and the places of its rows.

    A period is the end of an hour in UTC; the table has its start.

    Raises InputError with the place of every part that cannot be read.
    """
    response = validated(_FuelMixAnswer, content, file_name).response
    where = "response.data"
    rows = records(_Generation, response.data, where, file_name)
    remedy = "'megawatthours' is expected"
    faults = [
        Fault(f"{where}[{row}].value-units", f"found {unit!r}", remedy)
        for row, unit in enumerate(rows["unit"])
        if unit != "megawatthours"
    ]
    if faults:
        raise InputError(file_name, first_faults(faults))
    long = pl.DataFrame(
        {**rows, "period": pl.Series(rows["period"], dtype=pl.Datetime("us", "UTC"))}
    ).with_row_index()
    key = ("period", "respondent", "fueltype")
    again = long.filter(~pl.struct(*key).is_first_distinct())
    if len(again):
        remedy = "one value for each period, respondent and fueltype is expected"
        places = again["index"].to_list()
        raise InputError(file_name, (Fault(f"{where}[{row}]", "stands twice", remedy) for row in places))
    wide = long.pivot("fueltype", index=["period", "respondent"], values="value", maintain_order=True)
    first = long.group_by("period", "respondent", maintain_order=True).agg(pl.col("index").first())["index"]
    table = wide.with_columns(pl.col("period") - pl.duration(hours=1))
    return table, pl.select(pl.format(f"{where}[{{}}]", first)).to_series()
