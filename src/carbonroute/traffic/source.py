"""The base of every kind of traffic: its requests, and how the files that it reads are inspected."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Literal

from carbonroute.files.csv_layout import PLAIN, CsvLayout
from carbonroute.files.durations import Duration
from carbonroute.files.preview import Preview, Recognition
from carbonroute.spec import Spec
from carbonroute.traffic.requests import Arrivals, Demand

#: A row of a file is a request (``"traffic"``), or the rates of a window of time (``"rates"``).
Form = Literal["traffic", "rates"]
#: A column of `Requests` that only logs have.
Measured = Literal["service_ms", "prompt_tokens", "answer_tokens"]


@dataclass(frozen=True)
class TrafficFile:
    """A file that a scenario's traffic reads, as its settings read it.

    `path`: relative to the scenario file.
    `time_unit`, `time_zone`, `window`: of its times, and between its rows; None where the settings do not
    state them.
    """

    path: str
    form: Form
    recognition: Recognition
    time_unit: str | None = None
    time_zone: str | None = None
    window: Duration | None = None
    reading: Mapping[str, str] = field(default_factory=dict)
    layout: CsvLayout = PLAIN


@dataclass(frozen=True)
class TrafficContent:
    """The content of a recognised file, as far as the settings that read it depend on it.

    Attributes
    ----------
    lacks_zone
        Whether the file has times whose zone is not known.
    time_unit
        Of a log: ``"iso"``, the unit of numbers since 1970, or None if it is not known.
    hours, start
        Of a log: the hours from its first request to its last, and the first of them; None without calendar.
    words
        Of a log: the most frequent words in its columns of origins and workloads, by ``"origin"`` and
        ``"workload"``.
    window
        Of rates: the time between rows; None if it is not known.
    columns
        Of rates: their columns; None if they are all columns but that of the times.
    whole
        Of rates: whether all are whole numbers, as counts are.
    comments
        Notes for the suggested lines.
    skip_rows
        Number of lines above the header of a CSV file.
    """

    lacks_zone: bool
    time_unit: str | None = None
    hours: int = 0
    start: datetime | None = None
    words: Mapping[str, Sequence[str]] = field(default_factory=dict)
    window: str | None = None
    columns: Sequence[str] | None = None
    whole: bool = False
    comments: Sequence[str] = ()
    skip_rows: int = 0


class TrafficSource(Spec):
    """A kind of traffic; a member says its `kind`, and makes the requests of a horizon.

    One that reads files also states their `form`, recognises them, and suggests the settings that read them.
    """

    #: Whether the number of requests is random.
    is_random: ClassVar[bool] = True
    #: Whether requests are read from logs during a run: no router knows their rates before, and no forked
    #: process can read them.
    is_logged: ClassVar[bool] = False
    #: The form of its files; None if it reads none.
    form: ClassVar[Form | None] = None
    #: The key that all of its rates are proportional to; None where requests are those of logs.
    rate_key: ClassVar[str | None] = "requests_per_hour"

    #: Whether its settings say how many lines stand above the header of a CSV file.
    skips_rows: ClassVar[bool] = False

    kind: str

    @abstractmethod
    def arrivals(self, demand: Demand) -> Arrivals:
        """Return the requests of a horizon.

        Raises InputError with file, line and column, if a file cannot be used, or does not fit the scenario.
        """

    def measures(self, column: Measured, workload: str) -> tuple[bool, ...]:  # noqa: ARG002  kinds that read logs override it and use both
        """Return whether each log that can hold requests of a workload has a column of `Requests`."""
        return ()

    def files(self) -> tuple[TrafficFile, ...]:
        """Return the files that it reads."""
        return ()

    @classmethod
    def recognise(cls, preview: Preview) -> Recognition | None:  # noqa: ARG003  kinds that read files override it and use it
        """Return how this kind would take a file, and how surely; None if it is not one of its own."""
        return None

    @classmethod
    def suggest(cls, path: str, recognition: Recognition, content: TrafficContent) -> str:
        """Return the lines of a scenario (TOML) that read a recognised file."""
        raise NotImplementedError(f"{cls.__name__} reads no files")
