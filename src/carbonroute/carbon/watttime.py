"""Carbon from WattTime: answers of version 3 of its interface, as JSON or CSV."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import polars as pl
from pydantic import model_validator

from carbonroute.carbon import jsonfile
from carbonroute.carbon.formats import PublishedFormat, column_named, joined, labelled
from carbonroute.carbon.rules import Step
from carbonroute.carbon.signal import Accounting, Query
from carbonroute.carbon.source import Name, Readings
from carbonroute.errors import Fault, InputError
from carbonroute.files.durations import minutes
from carbonroute.files.tables import FIRST_LINE, column_numbers, column_text, read_table
from carbonroute.files.times import to_utc
from carbonroute.units import G_PER_KWH

_UNITS = "lbs_co2_per_mwh"


class WattTime(PublishedFormat):
    """History from WattTime's version 3: ``/v3/historical`` as JSON, or CSV of ``point_time`` and ``value``.

    The marginal signal (co2_moer) is the rate of the generators that answer a change of load, inside the
    region or beyond; the average one (co2_aoer) is of all generation in the region and knows no imports
    (https://watttime.org/data-science/data-signals). Both count CO2 in pounds per MWh; whether of combustion
    alone is not said, so that the scope is the scenario's to state. `point_time` is the start of an interval.

    Attributes
    ----------
    signal_type
        Which signal the file must be of.
    region, units
        What a CSV file does not say of itself and must be stated for one; JSON must agree where they are.
    step
        As in `FileSource`; JSON must agree with it.
    """

    kind: Literal["watttime"]
    step: Step = "5min"
    signal_type: Literal["co2_moer", "co2_aoer"] = "co2_moer"
    region: Name | None = None
    units: Literal["lbs_co2_per_mwh"] | None = None

    @property
    def labels(self) -> Accounting:
        """What the numbers count."""
        if self.signal_type == "co2_moer":
            return Accounting(rate="marginal")
        return Accounting(rate="average", boundary="production")

    @model_validator(mode="after")
    def _csv_says_nothing_of_itself(self) -> WattTime:
        names = (self.path,) if isinstance(self.path, str) else self.path
        if not all(_is_json(name) for name in names) and (self.region is None or self.units is None):
            raise ValueError(
                "a CSV file of WattTime does not say whose numbers it holds; state region and "
                f"units = {_UNITS!r}, and signal_type if it is not 'co2_moer'"
            )
        return self

    def read(self, query: Query) -> Readings:
        """Return the rows of the files in g/kWh, and how many warnings came with them.

        Raises
        ------
        InputError
            With file and place: what is no such answer, of another signal, unit or step, or a forecast.
        """
        parts, warnings = [], 0
        for shown, path in self.files(query).items():
            part, of_file = (
                self._json(path, shown, query) if _is_json(shown) else self._csv(path, shown, query)
            )
            parts.append(part.with_columns(pl.col("value") * G_PER_KWH["lb/MWh"], file=pl.lit(shown)))
            warnings += of_file
        accounting = labelled(self.accounting, self.labels)
        return Readings(joined(parts), accounting, {"warnings of the source": warnings})

    def _csv(self, path: Path, shown: str, query: Query) -> tuple[pl.DataFrame, int]:
        table = read_table(path, shown, query.digests)
        raw = column_text(column_named(table, ["value"], shown), shown)
        time = to_utc(column_named(table, ["point_time"], shown), self.time_zone, self.window(query), shown)
        lines = pl.Series("line", range(FIRST_LINE, FIRST_LINE + len(table)))
        part = pl.DataFrame({"line": lines, "time": time, "raw": raw, "value": column_numbers(raw)})
        return part.with_columns(place=pl.format("line {}", "line"), zone=pl.lit(self.region)), 0

    def _json(self, path: Path, shown: str, query: Query) -> tuple[pl.DataFrame, int]:
        answer = jsonfile.read_json(path, shown, query.digests)
        meta = jsonfile.member(answer, "meta", (dict,), "", shown)
        self._check(meta, shown)
        warnings = jsonfile.member(meta, "warnings", (list, type(None)), "meta", shown) or []
        rows = jsonfile.items(answer.get("data"), "data", shown)
        part = jsonfile.numbers(rows, "value", "data[{}]", shown)
        times = jsonfile.times(rows, "point_time", "data[{}]", shown)
        return part.with_columns(time=times, zone=pl.lit(meta["region"])), len(warnings)

    def _check(self, meta: dict[str, Any], shown: str) -> None:
        """Refuse an answer that is not what the scenario says it is, with all that is wrong."""
        if "generated_at" in meta or "generated_at_period_seconds" in meta:
            remedy = "an answer of /v3/historical is expected"
            raise InputError(shown, [Fault("meta.generated_at", "the file is a forecast", remedy)])
        region = jsonfile.member(meta, "region", (str,), "meta", shown)
        expected = (
            ("region", self.region or region, "as the scenario says"),
            ("signal_type", self.signal_type, "as the scenario says"),
            ("units", _UNITS, "the only unit of a carbon signal"),
            ("data_point_period_seconds", minutes(self.step) * 60.0, f"step = {self.step!r}"),
        )
        faults = [
            Fault(
                f"meta.{key}",
                f"found {jsonfile.kind_of(found)}",
                f"{jsonfile.kind_of(right)} is expected: {why}",
            )
            for key, right, why in expected
            if (found := jsonfile.member(meta, key, (type(right),), "meta", shown)) != right
        ]
        if faults:
            raise InputError(shown, faults)


def _is_json(name: str) -> bool:
    return name.lower().endswith((".json", ".json.gz"))
