"""Sources of one provider's format, whose labels, units and time zone are known."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

import polars as pl
from pydantic import ValidationError, model_validator

from carbonroute.carbon.rules import step_of
from carbonroute.carbon.signal import Accounting, Query
from carbonroute.carbon.source import CarbonReadings, FileSource, Survey
from carbonroute.errors import Fault, InputError
from carbonroute.files import toml
from carbonroute.files.preview import Preview, Recognition
from carbonroute.files.strict_json import TOP
from carbonroute.files.time_columns import common_step_us


@dataclass(frozen=True)
class Suggestion:
    """Settings that read a file.

    Attributes
    ----------
    settings
        Keys of the scenario's section; a value of None is left out.
    comments
        Notes for the suggested lines.
    assumed
        Values with which `carbonroute inspect` reads the file where the scenario must state them.
    names_zones
        Whether the file names its zones.
    """

    settings: Mapping[str, Any]
    comments: Sequence[str] = ()
    assumed: Mapping[str, Any] = field(default_factory=dict)
    names_zones: bool = True


class PublishedFormat(FileSource):
    """A file source whose format states the zone of its times, and some of what its numbers count."""

    is_published: ClassVar[bool] = True

    @property
    def labels(self) -> Accounting:
        """Accounting of values in this format; the rest is the scenario's to state."""
        return Accounting()

    @model_validator(mode="after")
    def _as_the_format_says(self) -> PublishedFormat:
        labelled(self.accounting, self.labels)
        if self.time_zone not in (None, "UTC"):
            raise ValueError(
                f"found time_zone {self.time_zone!r}; times in this format are in UTC or have their offset, "
                "leave it out"
            )
        if self.stamp is not None or self.step.until_next:
            raise ValueError("stamp and a step that changes are stated by this format; leave them out")
        return self

    @classmethod
    @abstractmethod
    def suggest(cls, content: Any, file_name: str) -> Suggestion:
        """Return settings that read a recognised file, by its content: a table or a JSON value.

        Raises InputError if it lacks a part that the settings depend on.
        """

    @classmethod
    def survey(cls, preview: Preview, recognition: Recognition) -> Survey:  # noqa: ARG003  `FileSource.survey` has it
        """Return the readings of a recognised file, and the settings that read it."""
        file_name = preview.file_name
        content = preview.content if preview.is_json else preview.table()
        suggestion = cls.suggest(content, file_name)
        settings = {key: entry for key, entry in suggestion.settings.items() if entry is not None}
        if preview.layout.skip_rows:
            settings["skip_rows"] = preview.layout.skip_rows
        try:
            source = cls.model_validate({"path": preview.path.name, **settings, **suggestion.assumed})
        except ValidationError as error:
            faults = [
                Fault(str(detail["loc"][0]) if detail["loc"] else "", detail["msg"], "check the file")
                for detail in error.errors()
            ]
            raise InputError(file_name, faults) from error
        query = Query.of_all_times(())
        if preview.is_json:
            readings = source.parse_answer(content, file_name)
        else:
            readings = source.parse_table(content, file_name, query)
        zones = readings.table["zone"].drop_nulls().unique(maintain_order=True).to_list()
        readings = readings.counted(zones, *source.window(query))
        named = [f"zones: {toml.names(zones)}"] if suggestion.names_zones else []
        return Survey(
            lambda: readings.table,
            "g/kWh",
            settings,
            [*named, *suggestion.comments],
            [f"{count:,} {remark}" for remark, count in readings.counts.items() if count],
            source.labels,
            source.step,
        )


class ForecastFormat(PublishedFormat):
    """A format of an interface that answers forecasts too."""

    @abstractmethod
    def parse_forecast(self, content: Any, file_name: str) -> tuple[CarbonReadings, datetime | None]:
        """Return the values of an answer of forecasts, and when they were made, UTC; None: it does not say.

        Raises InputError with the place of every part that cannot be read, or differs from the settings.
        """


def labelled(stated: Accounting, known: Accounting) -> Accounting:
    """Return the stated labels, completed by the known ones.

    Raises ValueError if a stated label contradicts a known one.
    """
    labels = known.model_dump(exclude_none=True)
    for name, label in stated.model_dump(exclude_none=True).items():
        if labels.setdefault(name, label) != label:
            raise ValueError(
                f"found accounting.{name} {label!r}; numbers in this format are {labels[name]!r}"
            )
    return Accounting(**labels)


def of_json(
    file_name: str,
    where: str,
    time: Sequence[Any],
    zone: Sequence[str] | str,
    value: Sequence[float | None],
) -> pl.DataFrame:
    """Return values of a JSON list as `CarbonReadings.table`; `where`: their place, ``{}``: the index."""
    table = pl.DataFrame(
        {
            "index": range(len(value)),
            "time": pl.Series(time, dtype=pl.Datetime("us", "UTC")),
            "value": pl.Series(value, dtype=pl.Float64),
        }
    )
    return table.select(
        file=pl.lit(file_name),
        place=pl.format(where, "index") if where else pl.lit(TOP),
        time="time",
        zone=pl.lit(zone) if isinstance(zone, str) else pl.Series(zone, dtype=pl.String),
        raw=pl.col("value").cast(pl.String).str.strip_suffix(".0"),
        value="value",
    )


def usual_step(time: pl.Series, zone: pl.Series | None = None) -> str | None:
    """Return the most frequent step of each zone's times as a scenario spells it; None if it has none."""
    zones = pl.repeat("", len(time), eager=True) if zone is None or len(zone) != len(time) else zone
    step = step_of(common_step_us(pl.DataFrame({"zone": zones, "time": time})))
    return step.text if step else None
