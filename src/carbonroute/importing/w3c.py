"""Extended logs of the W3C, whose fields a line ``#Fields:`` names: Amazon CloudFront, Microsoft IIS.

https://www.w3.org/TR/WD-logfile.html
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from carbonroute.files.text import Digests, refused
from carbonroute.importing.access_log import AccessLog, Layout
from carbonroute.importing.format import File
from carbonroute.importing.settings import ImportSettings, Role
from carbonroute.importing.stamps import iso_us
from carbonroute.importing.template import Template

_FIELDS = "#Fields:"
#: A field of CloudFront alone: the place that the user's request reached, which begins with an airport.
_EDGE = "x-edge-location"


class W3c(AccessLog):
    """Extended logs; times are in UTC, and those taken in s (CloudFront) or ms (IIS)."""

    name = "w3c"
    features = "a line #Fields: date time … cs-uri-stem sc-status time-taken"
    comment = b"#"

    def recognises(self, file: File, settings: ImportSettings) -> bool:
        """Whether a line names the fields."""
        stated = settings.log_format is not None
        return file.content == "text" and not stated and any(line.startswith(_FIELDS) for line in file.lines)

    def layout(self, file: File, settings: ImportSettings) -> Layout:
        """Return the layout of the fields in their order."""
        line = next((line for line in file.lines if line.startswith(_FIELDS)), _FIELDS)
        return self._layout(line, file, settings)

    def sections(
        self, file: File, layout: Layout, settings: ImportSettings, digests: Digests
    ) -> Iterator[tuple[int, bytes, Layout]]:
        """Yield batches of a log: a server that starts again, or logs put together, name the fields anew."""
        for first_line, data in file.blocks(digests):
            begin, line = 0, first_line
            while (place := _next_fields(data, begin)) is not None:
                if place > begin:
                    yield line, data[begin : place - 1], layout
                line += data.count(b"\n", begin, place)
                end = data.find(b"\n", place)
                named = data[place : len(data) if end < 0 else end].decode()
                layout = self._layout(named, file, settings)
                line, begin = line + 1, len(data) if end < 0 else end + 1
            if begin < len(data):
                yield line, data[begin:], layout

    def _layout(self, fields: str, file: File, settings: ImportSettings) -> Layout:
        """Return the layout that a line of fields names."""
        names = fields.removeprefix(_FIELDS).split()
        if not {"date", "time"} <= set(names):
            raise refused(file.name, "its #Fields: name no date and time", "log with date and time")
        row = next((line for line in file.lines if not line.startswith("#")), "")
        between = "\t" if "\t" in row else " "
        parts: list[str | tuple[str]] = []
        for name in names:
            parts += [between, (name,)]
        chosen = settings.fields

        def first(role: Role, *candidates: str) -> str | None:
            return chosen.get(role) or next((name for name in candidates if name in names), None)

        return Layout(
            Template(tuple(parts[1:])),
            time="date",
            time_of=_time_us,
            further=("time",),
            status=first("status", "sc-status"),
            path=first("path", "cs-uri-stem"),
            service=first("service", "time-taken"),
            service_unit="s" if _EDGE in names else "ms",
            region=first("region"),
            origin=first("origin", _EDGE),
            workload=first("workload"),
            patterns={_EDGE: "^([A-Z]{3})"},
        )


def _next_fields(data: bytes, begin: int) -> int | None:
    """Return where the next line of fields begins; None where there is none."""
    word = _FIELDS.encode()
    if data.startswith(word, begin):
        return begin
    place = data.find(b"\n" + word, begin)
    return None if place < 0 else place + 1


def _time_us(texts: pl.DataFrame, settings: ImportSettings, file_name: str) -> pl.Series:
    return iso_us(texts["date"] + "T" + texts["time"].str.slice(0, 8) + "Z", settings, file_name)
