"""HTTP logs of HAProxy (``option httplog``), with or without syslog's prefix.

Fields: https://docs.haproxy.org/3.0/configuration.html#8.2.3.
"""

from __future__ import annotations

import re

import polars as pl

from carbonroute.files.text import refused
from carbonroute.files.times import ALWAYS, to_utc
from carbonroute.importing.access_log import AccessLog, Layout
from carbonroute.importing.format import File
from carbonroute.importing.settings import ImportSettings
from carbonroute.importing.template import Template

#: Words before the client are of whoever passed the line on; each is tried once, however long it is.
_WORDS = r"^\s*(?:\S+\s+)*?"
_LINE_TEXT = re.compile(
    _WORDS + r"(?P<client>\S+:\d+) \[(?P<time>\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d)[^\]]*\] (?P<frontend>\S+) "
    r"(?P<backend>[^/ ]+)/(?P<server>\S+) (?P<tq>-?\d+)/(?P<tw>-?\d+)/(?P<tc>-?\d+)/(?P<tr>-?\d+)"
    r"/\+?(?P<total>-?\d+) "
    r'(?P<status>-?\d+) \+?\d+ \S+ \S+ \S{4} \S+ \S+ (?:\{[^}]*\} ){0,2}"(?P<request>[^"]*)"?\s*$'
)
_TCP_LINE = re.compile(
    _WORDS + r"\S+:\d+ \[\d\d/\w{3}/\d{4}:[0-9:.]+\] \S+ [^/ ]+/\S+ -?\d+/-?\d+/\+?-?\d+ \+?\d+ \S\S "
)
_LINE = re.compile(_LINE_TEXT.pattern.encode())


class _Expression(Template):
    """A layout that is a regular expression: fields stand between slashes and are of any number."""

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of its groups."""
        return tuple(_LINE.groupindex)

    @property
    def pattern(self) -> re.Pattern[bytes]:
        """The expression."""
        return _LINE

    @property
    def _place_of(self) -> dict[str, tuple[int, str, str]]:
        return {}


class HaProxy(AccessLog):
    """HTTP logs of HAProxy; times are local ones, whose zone is to be stated."""

    name = "haproxy"
    has_zone = False
    features = (
        "lines such as: … 10.0.1.2:33317 [01/Nov/2026:12:14:14.655] in api/eu1 10/0/30/69/109 200 2750 …"
    )

    def recognises(self, file: File, settings: ImportSettings) -> bool:
        """Whether most of the first lines are HAProxy's."""
        if settings.log_format is not None:
            return False
        return file.mostly(_LINE_TEXT) or file.mostly(_TCP_LINE)

    def layout(self, file: File, settings: ImportSettings) -> Layout:
        """Return HAProxy's layout; the region is that of `--field region=server`, or another field."""
        if file.mostly(_TCP_LINE):
            remedy = "log requests: option httplog, in the frontend; or import its metrics (openmetrics)"
            raise refused(file.name, "is a log of connections (option tcplog), without requests", remedy)
        chosen = settings.fields
        return Layout(
            _Expression(()),
            time="time",
            time_of=_time_us,
            status="status",
            request="request",
            service=chosen.get("service", "total"),
            service_unit="ms",
            region=chosen.get("region", "backend" if settings.region is None else None),
            origin=chosen.get("origin"),
            workload=chosen.get("workload"),
        )

    def notes(self, layout: Layout) -> list[str]:
        """Return the variable of each role, and the time zone, in sentences."""
        zone = "haproxy: times are in UTC unless --time-zone says otherwise: its lines state no zone"
        return [*super().notes(layout), zone]


def _time_us(texts: pl.DataFrame, settings: ImportSettings, file_name: str) -> pl.Series:
    """Return local times as µs since 1970; null where clocks make one unclear."""
    distinct = texts["time"].unique().drop_nulls()
    local = distinct.str.to_datetime("%d/%b/%Y:%H:%M:%S", time_unit="us", strict=False)
    times = to_utc(local, settings.time_zone or "UTC", ALWAYS, file_name, lenient=True).dt.timestamp("us")
    return texts["time"].replace_strict(distinct, times, default=None, return_dtype=pl.Int64)
