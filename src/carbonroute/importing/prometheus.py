"""Answers of Prometheus's ``query_range`` interface (also of Thanos, Mimir and VictoriaMetrics), as JSON.

https://prometheus.io/docs/prometheus/latest/querying/api/#range-queries
"""

from __future__ import annotations

import math
from typing import Any

from carbonroute.errors import Fault, InputError
from carbonroute.files.strict_json import read_json
from carbonroute.files.text import Digests, refused
from carbonroute.importing.format import File, Format
from carbonroute.importing.series import MetricSeries, add, checked
from carbonroute.importing.settings import ImportSettings
from carbonroute.importing.tally import RequestTally


class Prometheus(Format):
    """A matrix: for each set of labels, samples of time and text."""

    name = "prometheus"
    features = "JSON with data.resultType and data.result, as query_range answers"

    def recognises(self, file: File, _settings: ImportSettings) -> bool:
        """Whether it is a JSON answer with a result type."""
        return file.content == "json" and b'"resultType"' in file.head

    def read(self, file: File, tally: RequestTally, digests: Digests) -> list[str]:
        """Count the requests of all series."""
        content = read_json(file.path, file.shown, digests)
        return add(tally, file.shown, checked(_series(content, file.shown), file.shown))


def _series(content: Any, shown: str) -> list[MetricSeries]:
    if not isinstance(content, dict) or content.get("status", "success") != "success":
        error = content.get("error") if isinstance(content, dict) else None
        raise refused(shown, f"the query failed ({error})", "run the query again, and save its answer")
    data = content.get("data")
    if not isinstance(data, dict) or data.get("resultType") != "matrix":
        found = f"found {data.get('resultType')!r}" if isinstance(data, dict) else "missing"
        remedy = "'matrix' is expected: query a range of time (query_range)"
        raise InputError(shown, [Fault("data.resultType", found, remedy)])
    results = data.get("result")
    if not isinstance(results, list) or not results:
        raise InputError(shown, [Fault("data.result", "holds no series", "a query that finds some")])
    return [_one(result, f"data.result[{place}]", shown) for place, result in enumerate(results)]


def _one(result: Any, where: str, shown: str) -> MetricSeries:
    if not isinstance(result, dict) or not isinstance(result.get("metric"), dict):
        raise InputError(shown, [Fault(f"{where}.metric", "missing", "an object of labels is expected")])
    labels = {str(key): str(value) for key, value in result["metric"].items()}
    samples = result.get("values")
    if not isinstance(samples, list):
        raise InputError(shown, [Fault(f"{where}.values", "missing", "a list of samples is expected")])
    times, values = [], []
    for place, sample in enumerate(samples):
        try:
            time, text = sample
            times.append(float(time))
            value = float(text)
        except (TypeError, ValueError) as error:
            remedy = 'a time in s and a number as text are expected, such as [1793491200, "431"]'
            raise InputError(shown, [Fault(f"{where}.values[{place}]", "is no sample", remedy)]) from error
        values.append(value if math.isfinite(value) else math.nan)
    return MetricSeries(labels.pop("__name__", ""), labels, times, values)
