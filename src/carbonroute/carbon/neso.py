"""Carbon from Great Britain's National Energy System Operator: JSON of its carbon intensity interface."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import polars as pl

from carbonroute.carbon import jsonfile
from carbonroute.carbon.formats import PublishedFormat, joined, labelled
from carbonroute.carbon.rules import Step
from carbonroute.carbon.signal import Accounting, Query
from carbonroute.carbon.source import Name, Readings
from carbonroute.errors import Fault, InputError
from carbonroute.files.durations import minutes


class Neso(PublishedFormat):
    """National history of Great Britain: ``/intensity/{from}/{to}`` of api.carbonintensity.org.uk, as JSON.

    The numbers are CO2 of generation alone, imports and losses included, per kWh used (*Carbon Intensity
    Forecast Methodology*, NESO, May 2024). `from` is the start of a half-hour. Answers for its regions have
    forecasts and no measured values, and are refused.

    Attributes
    ----------
    zone
        What a region's zone calls this grid.
    step
        As in `FileSource`; the file must agree with it.
    actual_missing
        What stands in for a half-hour without a measured value: nothing, or the forecast beside it, counted.
    """

    kind: Literal["neso"]
    step: Step = "30min"
    zone: Name = "GB"
    actual_missing: Literal["missing", "forecast"] = "missing"

    @property
    def labels(self) -> Accounting:
        """What the numbers count."""
        return Accounting(rate="average", scope="direct", boundary="consumption")

    def read(self, query: Query) -> Readings:
        """Return the half-hours, and for how many of those asked for a forecast stands in.

        Raises
        ------
        InputError
            With file and place: what is not such an answer, or has intervals of another length than `step`.
        """
        start, end = self.window(query)
        parts = [self._file(path, shown, query) for shown, path in self.files(query).items()]
        table = joined(parts)
        forecasts = pl.concat(parts).filter(pl.col("time").is_between(start, end, closed="left"))
        counts = {"forecasts in place of missing values": int(forecasts["forecast"].sum())}
        return Readings(table, labelled(self.accounting, self.labels), counts)

    def _file(self, path: Path, shown: str, query: Query) -> pl.DataFrame:
        data = jsonfile.member(
            jsonfile.read_json(path, shown, query.digests), "data", (list, dict), "", shown
        )
        if isinstance(data, dict) or any(isinstance(item, dict) and "data" in item for item in data):
            raise _regional(shown)
        rows = jsonfile.items(data, "data", shown)
        if "regions" in rows[0]:
            raise _regional(shown)
        time = jsonfile.times(rows, "from", "data[{}]", shown)
        self._check_step(time, jsonfile.times(rows, "to", "data[{}]", shown), shown)
        intensity = jsonfile.column(rows, "intensity", (dict,), "data[{}]", shown)
        part = jsonfile.numbers(intensity, "actual", "data[{}].intensity", shown)
        missing = part["value"].is_null()
        if self.actual_missing == "forecast" and missing.any():
            forecast = jsonfile.numbers(intensity, "forecast", "data[{}].intensity", shown)
            part = part.with_columns(pl.coalesce(pl.col(name), forecast[name]) for name in ("raw", "value"))
        stands_in = missing & part["value"].is_not_null()
        return part.with_columns(time=time, forecast=stands_in, zone=pl.lit(self.zone), file=pl.lit(shown))

    def _check_step(self, start: pl.Series, end: pl.Series, shown: str) -> None:
        lengths = (end - start).dt.total_seconds() / 60
        remedy = f"step = {self.step!r} is expected"
        wrong = (lengths != minutes(self.step)).arg_true()
        if len(wrong):
            raise InputError(
                shown, (Fault(f"data[{row}].to", f"{lengths[row]:g} min after from", remedy) for row in wrong)
            )


def _regional(shown: str) -> InputError:
    found = "the file is of regions, which have forecasts and no measured values"
    return InputError(shown, [Fault("data", found, "an answer of /intensity/{from}/{to} is expected")])
