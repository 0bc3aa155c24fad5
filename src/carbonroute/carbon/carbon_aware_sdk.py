"""Carbon as the Green Software Foundation's Carbon Aware SDK writes it: JSON emissions data."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import polars as pl
from pydantic import model_validator

from carbonroute.carbon import jsonfile
from carbonroute.carbon.formats import PublishedFormat, joined
from carbonroute.carbon.signal import Query
from carbonroute.carbon.source import Readings
from carbonroute.errors import Fault, InputError
from carbonroute.files.durations import minutes

#: ``[days.]hours:minutes[:seconds]`` as .NET writes a TimeSpan, or ISO 8601.
_SPAN = re.compile(
    r"(?:(?P<d>\d{1,4})\.)?(?P<h>\d{1,2}):(?P<m>\d{2})(?::(?P<s>\d{2})(?:\.0{1,7})?)?"
    r"|P(?:(?P<D>\d{1,4})D)?(?:T(?:(?P<H>\d{1,4})H)?(?:(?P<M>\d{1,4})M)?(?:(?P<S>\d{1,6})S)?)?",
    re.ASCII,
)


class CarbonAwareSdk(PublishedFormat):
    """Emissions data of the Carbon Aware SDK: its answers, or its JSON data source.

    A list of objects with ``location``, ``time``, ``rating`` in g/kWh and ``duration``, spelt so or with a
    capital letter, or that list under ``Emissions``
    (https://github.com/Green-Software-Foundation/carbon-aware-sdk). A location is a region's zone, and a time
    the start of an interval. What the ratings count depends on where the SDK had them from: `accounting.rate`
    must be stated. A rating that is absent, null or −1 is not known.

    Attributes
    ----------
    step
        As in `FileSource`; every duration must agree with it.
    """

    kind: Literal["carbon-aware-sdk"]

    @model_validator(mode="after")
    def _rate_is_stated(self) -> CarbonAwareSdk:
        if self.accounting.rate is None:
            raise ValueError(
                "the file does not say what its ratings count; state accounting.rate: 'marginal' where the "
                "SDK had them from WattTime, 'average' where from Electricity Maps"
            )
        return self

    def read(self, query: Query) -> Readings:
        """Return the rows of the files, and how many ratings asked for are −1.

        Raises
        ------
        InputError
            With file and place: what is not such a list, or has another duration than `step`.
        """
        start, end = self.window(query)
        parts = [self._file(path, shown, query) for shown, path in self.files(query).items()]
        table = joined(parts)
        unknown = pl.col("value") == -1
        wanted = pl.col("zone").is_in(query.zones) & pl.col("time").is_between(start, end, closed="left")
        counts = {"ratings of -1, taken as missing": table.select((unknown & wanted).sum()).item()}
        known = pl.when(unknown.not_() | pl.col("value").is_null())
        table = table.with_columns(raw=known.then("raw"), value=known.then("value"))
        return Readings(table, self.accounting, counts)

    def _file(self, path: Path, shown: str, query: Query) -> pl.DataFrame:
        content, place = jsonfile.read_json(path, shown, query.digests), ""
        if isinstance(content, dict):
            place = "Emissions" if "Emissions" in content else "emissions"
            content = content.get(place)
        rows, where = jsonfile.items(content, place, shown), f"{place}[{{}}]"
        time, zone, rating, duration = (
            name.title() if name.title() in rows[0] else name
            for name in ("time", "location", "rating", "duration")
        )
        self._check_step(jsonfile.column(rows, duration, (str,), where, shown), f"{where}.{duration}", shown)
        return jsonfile.numbers(rows, rating, where, shown).with_columns(
            time=jsonfile.times(rows, time, where, shown),
            zone=pl.Series(jsonfile.column(rows, zone, (str,), where, shown), dtype=pl.String),
            file=pl.lit(shown),
        )

    def _check_step(self, durations: list[str], where: str, shown: str) -> None:
        right = {text for text in set(durations) if _seconds(text) == minutes(self.step) * 60}
        remedy = f"step = {self.step!r} is expected"
        faults = [
            Fault(where.format(row), f"found {text!r}", remedy)
            for row, text in enumerate(durations)
            if text not in right
        ]
        if faults:
            raise InputError(shown, faults)


def _seconds(span: str) -> int | None:
    """Return a span's seconds, or None where it is not one of whole seconds."""
    if not (match := _SPAN.fullmatch(span)):
        return None
    seconds = {"d": 86400, "h": 3600, "m": 60, "s": 1}
    return sum(seconds[unit.lower()] * int(count) for unit, count in match.groupdict(default="0").items())
