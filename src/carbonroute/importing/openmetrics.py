"""Metrics as text, in the formats of OpenMetrics and Prometheus, with or without time stamps.

https://prometheus.io/docs/specs/om/open_metrics_spec/
"""

from __future__ import annotations

import math
import re

from carbonroute.files.text import Digests, refused
from carbonroute.importing.aggregates import MAX_ROWS, Aggregates
from carbonroute.importing.format import File, Format
from carbonroute.importing.series import MetricSeries, add, checked, seconds
from carbonroute.importing.settings import ImportSettings

#: Behind ``#``, OpenMetrics may have an exemplar, with labels of its own.
_SAMPLE = re.compile(
    r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\})?\s+(\S+)(?:\s+(-?[0-9.eE+]+))?(?:\s+#.*)?\s*'
)
_TYPE = re.compile(r"# TYPE (\S+) (\S+)\s*")
_LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"\s*,?')
_ESCAPES = {r"\\": "\\", r"\"": '"', r"\n": "\n"}


class OpenMetrics(Format):
    """One sample per line; several time stamps make a series."""

    name = "openmetrics"
    features = 'lines that begin with # TYPE or # HELP, and samples: requests_total{region="a"} 12 1793491200'

    def recognises(self, file: File, settings: ImportSettings) -> bool:
        """Whether it has lines of types, or nothing but samples with labels."""
        if file.content != "text" or settings.log_format is not None:
            return False
        if any(line.startswith(("# TYPE ", "# HELP ")) for line in file.lines):
            return True
        return bool(file.lines) and all(
            line.startswith("#") or (_SAMPLE.fullmatch(line) and "{" in line) for line in file.lines
        )

    def read(self, file: File, aggregates: Aggregates, digests: Digests) -> list[str]:
        """Count the requests of all series."""
        samples: dict[tuple[str, tuple[tuple[str, str], ...]], dict[float, float]] = {}
        counters: set[str] = set()
        dated = False
        count = 0
        for first_line, data in file.blocks(digests):
            for place, line in enumerate(data.decode().split("\n")):
                if not line.strip() or line.startswith("#"):
                    stated = _TYPE.fullmatch(line)
                    if stated is not None and stated[2] == "counter":
                        counters |= {stated[1], f"{stated[1]}_total"}
                    continue
                number = first_line + place
                match = _SAMPLE.fullmatch(line.strip())
                if match is None:
                    raise refused(
                        file.name, f"line {number} is no sample", "a metric, its labels and a number"
                    )
                name, labels, value, stamp = match.groups()
                key = name, tuple(sorted(_labels(labels or "", number, file.name)))
                time = 0.0 if stamp is None else seconds(float(stamp))
                dated |= stamp is not None
                values = samples.setdefault(key, {})
                if time in values:
                    problem = f"line {number}: {name} has this time twice"
                    raise refused(
                        file.name, problem, "one sample per series and time; or import one scrape at a time"
                    )
                values[time] = _number(value, number, file.name)
                count += 1
                if count > MAX_ROWS:
                    raise refused(
                        file.name, f"there are more than {MAX_ROWS:,} samples", "import a part of it"
                    )
        series = [
            MetricSeries(
                name,
                dict(labels),
                sorted(values),
                [values[time] for time in sorted(values)],
                is_raw=True,
                is_counter=name in counters,
            )
            for (name, labels), values in samples.items()
        ]
        if dated:
            return add(aggregates, file.name, checked(series, file.name))
        notes = (
            "one scrape without time stamps: it tells quantiles of service time, and not when requests came"
        )
        buckets = [one for one in series if "le" in one.labels or "quantile" in one.labels]
        if not buckets:
            raise refused(
                file.name, "its samples have no time stamps", "a range of time is expected: query_range"
            )
        return [notes, *add(aggregates, file.name, buckets)]


def _number(text: str, line: int, file_name: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise refused(file_name, f"line {line}: found {text!r}", "a number is expected") from error
    return value if math.isfinite(value) else math.nan


def _labels(text: str, line: int, file_name: str) -> list[tuple[str, str]]:
    labels, place = [], 0
    while place < len(text):
        match = _LABEL.match(text, place)
        if match is None:
            raise refused(file_name, f"line {line}: found {text!r}", 'labels such as region="a" are expected')
        value = re.sub(r'\\[\\"n]', lambda escape: _ESCAPES[escape[0]], match[2])
        labels.append((match[1], value))
        place = match.end()
    return labels
