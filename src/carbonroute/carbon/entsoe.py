"""Carbon from generation by production type, as the European grid operators (ENTSO-E) publish it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from xml.etree.ElementTree import Element

import polars as pl
from pydantic import AfterValidator, Field

from carbonroute.carbon.eia_fuel_mix import EiaFuelMix, Factor
from carbonroute.carbon.formats import PublishedFormat, Suggestion, usual_step
from carbonroute.carbon.paths import Name
from carbonroute.carbon.rules import Step, step_of
from carbonroute.carbon.signal import Accounting, Query
from carbonroute.carbon.source import CarbonReadings, Survey
from carbonroute.errors import Fault, InputError, NoDataError, first_faults
from carbonroute.files import toml
from carbonroute.files.answers import as_instant
from carbonroute.files.preview import Certainty, Preview, Recognition
from carbonroute.files.strict_json import TOP
from carbonroute.files.text import Digests, refused
from carbonroute.files.xml import children, name_of, read_xml, text_at
from carbonroute.units import US_PER_MINUTE

_RESOLUTION = re.compile(r"PT(\d{1,4})([MH])|P1D", re.ASCII)
_NUMBER = re.compile(r"-?\d{1,12}(\.\d{1,12})?", re.ASCII)
_TYPE = re.compile(r"B\d\d", re.ASCII)
#: The reason of an acknowledgement that is an answer; of others with the same code, the question was wrong.
_NO_DATA = re.compile("no matching data", re.I)
#: Points of one answer: two years of 15 min in 25 production types.
_MAX_POINTS = 2_000_000


def _production_type(text: str) -> str:
    if not _TYPE.fullmatch(text):
        raise ValueError(f"found {text!r}; a production type such as 'B04' (gas) is expected")
    return text


ProductionType = Annotated[str, AfterValidator(_production_type)]


class Entsoe(PublishedFormat):
    r"""Carbon intensity from generation: XML of the transparency platform, document A75, process A16.

    The intensity is Σ P · f / Σ P over the production types, with the power P and the stated factor f of
    each: an average over a zone's generation. A region's zone is the area's EIC code, such as
    ``"10Y1001A1001A82H"``. Curves of type A03 omit values that repeat the one before; they are put back.
    Consumption, as of pumped storage, is no part of the mix. A type that a zone never reports in a file
    counts as none of the mix; an interval that lacks one which the zone reports elsewhere is missing.

    Attributes
    ----------
    step
        Length of the interval that one value stands for; the resolution must agree with it.
    factors_g_per_kwh
        For every production type, such as ``B04`` (gas), its emission factor.
    factors_source
        Where the factors are from, to cite.
    """

    form: ClassVar = "table"

    kind: Literal["entsoe"]
    factors_g_per_kwh: Annotated[dict[ProductionType, Factor], Field(min_length=1)]
    factors_source: Name

    @property
    def labels(self) -> Accounting:
        """Accounting of the values."""
        return Accounting(rate="average", boundary="production")

    @classmethod
    def recognise(cls, preview: Preview) -> Recognition | None:
        """Recognise the root and the production types of a document of generation."""
        root = preview.content
        known = isinstance(root, Element) and name_of(root) == "GL_MarketDocument"
        return Recognition(Certainty.SIGNATURE, "entsoe") if known else None

    @classmethod
    def suggest(cls, content: Any, file_name: str) -> Suggestion:
        """Return settings that read a document; the factors are the scenario's to state."""
        table = generation(content, file_name)
        types = [name for name in table.columns if _TYPE.fullmatch(name)]
        settings = {
            "kind": "entsoe",
            "step": usual_step(table["period"], table["zone"]),
            "factors_source": toml.ask("whom to cite for the factors"),
            "factors_g_per_kwh": dict.fromkeys(types, toml.ask("g/kWh")),
        }
        return Suggestion(settings)

    @classmethod
    def survey(cls, preview: Preview, recognition: Recognition) -> Survey:  # noqa: ARG003  `FileSource.survey` has it
        """Return the generation of all types, MW: without factors there is no carbon intensity yet."""
        name = preview.file_name
        suggestion = cls.suggest(preview.content, name)
        table = generation(preview.content, name)
        types = [column for column in table.columns if _TYPE.fullmatch(column)]
        total = table.select(pl.sum_horizontal(pl.col(types).clip(lower_bound=0))).to_series()
        zones = table["zone"].unique(maintain_order=True).to_list()
        rows = table.select(file=pl.lit(name), place="place", time="period", zone="zone").with_columns(
            raw=total.cast(pl.String), value=total
        )
        step = suggestion.settings["step"]
        return Survey(
            lambda: rows,
            "MW generated",
            {key: entry for key, entry in suggestion.settings.items() if entry is not None},
            [f"zones: {toml.names(zones)}"],
            accounting=Accounting(rate="average", boundary="production"),
            step=Step.parse(step) if step else None,
        )

    def table(self, path: Path, file_name: str, digests: Digests | None = None) -> pl.DataFrame:
        """Return the generation in a file."""
        return generation(read_xml(path, file_name, digests), file_name)

    def parse_table(self, table: pl.DataFrame, file_name: str, query: Query) -> CarbonReadings:
        """Return the mix's carbon intensity in a table of `generation`."""
        self._check_step(table, file_name)
        mix = EiaFuelMix.spelled(
            kind="eia-fuel-mix",
            path=self.path,
            step=self.step.text,
            accounting=self.accounting,
            time_column="period",
            zone_column="zone",
            factors_g_per_kwh=self.factors_g_per_kwh,
            factors_source=self.factors_source,
        )
        return mix.of_answer(table.drop("place", "minutes"), table["place"], file_name, query)

    def parse_document(self, root: Element, file_name: str) -> CarbonReadings:
        """Return the mix's carbon intensity in a document, or in a provider's answer.

        Raises InputError if it has no data, or with the place of every part that cannot be read.
        """
        table = generation(root, file_name)
        zones = table["zone"].unique(maintain_order=True).to_list()
        return self.parse_table(table, file_name, Query.of_all_times(zones))

    def _check_step(self, table: pl.DataFrame, file_name: str) -> None:
        lengths = [each for each in table["minutes"].unique().to_list() if each != self.step.minutes]
        if lengths:
            step = step_of(lengths[0] * US_PER_MINUTE)
            problem = f"an interval has {lengths[0]} min"
            remedy = f"state step = {step.text!r}" if step else f"step = {self.step!r} is expected"
            raise InputError(file_name, [Fault("resolution", problem, remedy)])


def generation(root: Element, file_name: str) -> pl.DataFrame:
    """Return the generation in a document, MW.

    Columns are `place`, `period` (start, UTC), `zone`, `minutes` and one per production type. Rows are
    intervals of a zone.

    Raises NoDataError if it has no data; InputError with the place of every part that cannot be read.
    """
    if name_of(root) == "Acknowledgement_MarketDocument":
        text = text_at(root, "Reason", "text") or "no reason is given"
        kind = NoDataError if _NO_DATA.match(text) else InputError
        raise kind(file_name, [Fault("", f"there is no data ({text})", "check the zone and the times")])
    if name_of(root) != "GL_MarketDocument":
        raise refused(file_name, f"found {name_of(root)!r}", "a GL_MarketDocument is expected")
    faults: list[Fault] = []
    rows = []
    for index, series in enumerate(children(root, "TimeSeries")):
        zone = text_at(series, "inBiddingZone_Domain.mRID")
        if zone is None and text_at(series, "outBiddingZone_Domain.mRID"):
            continue  # consumption
        try:
            rows += list(_series(series, f"TimeSeries[{index}]", zone))
        except _FaultySeriesError as error:
            faults.append(error.fault)
        if len(rows) > _MAX_POINTS:
            raise refused(file_name, f"holds more than {_MAX_POINTS:,} values", "ask for a shorter time")
    if faults:
        raise InputError(file_name, first_faults(faults))
    if not rows:
        remedy = "an answer to document type A75 is expected"
        raise NoDataError(file_name, [Fault("", "holds no generation", remedy)])
    return _wide(rows, file_name)


Row = tuple[str, datetime, str, int, str, float | None]


class _FaultySeriesError(Exception):
    """A series that cannot be read."""

    def __init__(self, where: str, problem: str, remedy: str) -> None:
        self.fault = Fault(where or TOP, problem, remedy)
        super().__init__(problem)


def _series(series: Element, where: str, zone: str | None) -> Iterator[Row]:
    """Yield the place, start, zone, minutes, type and MW of each interval of a series."""
    kind = text_at(series, "MktPSRType", "psrType")
    unit = text_at(series, "quantity_Measure_Unit.name")
    curve = text_at(series, "curveType") or "A01"
    if zone is None:
        raise _FaultySeriesError(where, "no zone", "inBiddingZone_Domain.mRID is expected")
    if kind is None or not _TYPE.fullmatch(kind):
        raise _FaultySeriesError(f"{where}.MktPSRType", f"found {kind!r}", "a type such as B04 is expected")
    if unit != "MAW":
        raise _FaultySeriesError(
            f"{where}.quantity_Measure_Unit.name", f"found {unit!r}", "'MAW' is expected"
        )
    if curve not in ("A01", "A03"):
        raise _FaultySeriesError(f"{where}.curveType", f"found {curve!r}", "'A01' or 'A03' is expected")
    for index, period in enumerate(children(series, "Period")):
        place = f"{where}.Period[{index}]"
        start, minutes, count = _interval(period, place)
        values = _values(period, place, count)
        last: float | None = None
        for position in range(1, count + 1):
            last = values.get(position, last if curve == "A03" else None)
            time = start + timedelta(minutes=(position - 1) * minutes)
            yield f"{place}.Point {position}", time, zone, minutes, kind, last


def _interval(period: Element, place: str) -> tuple[datetime, int, int]:
    """Return the start of a period, the minutes of its intervals, and their number."""
    resolution = text_at(period, "resolution")
    match = _RESOLUTION.fullmatch(resolution or "")
    minutes = 0 if match is None else int(match[1] or 24) * (1 if match[2] == "M" else 60)
    ends = []
    for name in ("start", "end"):
        text = text_at(period, "timeInterval", name)
        try:
            time = as_instant(text)
        except ValueError:
            time = None
        if not isinstance(time, datetime):
            raise _FaultySeriesError(
                f"{place}.timeInterval.{name}", f"found {text!r}", "a time in UTC is expected"
            )
        ends.append(time)
    if not minutes or ends[1] <= ends[0]:
        raise _FaultySeriesError(
            f"{place}.resolution", f"found {resolution!r}", "a span such as 'PT15M' is expected"
        )
    count, rest = divmod(ends[1] - ends[0], timedelta(minutes=minutes))
    if rest or count > _MAX_POINTS:
        raise _FaultySeriesError(
            f"{place}.timeInterval", "it is no multiple of the resolution", "whole intervals are expected"
        )
    return ends[0], minutes, count


def _values(period: Element, place: str, count: int) -> dict[int, float]:
    """Return the MW of the positions that a period states."""
    values: dict[int, float] = {}
    for index, point in enumerate(children(period, "Point")):
        position, quantity = text_at(point, "position"), text_at(point, "quantity")
        where = f"{place}.Point[{index}]"
        if position is None or not position.isdecimal() or not 1 <= int(position) <= count:
            raise _FaultySeriesError(where, f"found position {position!r}", f"1 … {count} is expected")
        if int(position) in values:
            raise _FaultySeriesError(where, f"position {position} stands twice", "each stands once")
        if quantity is None or not _NUMBER.fullmatch(quantity):
            raise _FaultySeriesError(where, f"found quantity {quantity!r}", "a number is expected")
        values[int(position)] = float(quantity)
    return values


def _wide(rows: list[Row], file_name: str) -> pl.DataFrame:
    """Return rows with a column per production type; refuse an interval that stands twice."""
    schema: dict[str, Any] = {
        "place": pl.String,
        "period": pl.Datetime("us", "UTC"),
        "zone": pl.String,
        "minutes": pl.Int64,
        "type": pl.String,
        "mw": pl.Float64,
    }
    long = pl.DataFrame(rows, schema=schema, orient="row")
    again = long.filter(~pl.struct("period", "zone", "type").is_first_distinct())
    if len(again):
        remedy = "one value for each time, zone and production type is expected"
        raise InputError(
            file_name, (Fault(place, "stands twice", remedy) for place in again["place"].head(60))
        )
    key = ["period", "zone", "minutes"]
    wide = long.pivot("type", index=key, values="mw", maintain_order=True)
    first = long.group_by(key, maintain_order=True).agg(pl.col("place").first())["place"]
    return wide.select(first, *key, *sorted(set(wide.columns) - set(key)))
