"""Answers of Prometheus's ``query_range`` interface (also of Thanos, Mimir and VictoriaMetrics), as JSON.

https://prometheus.io/docs/prometheus/latest/querying/api/#range-queries
"""

from __future__ import annotations

import math
from typing import Any

from carbonroute.errors import Fault, InputError
from carbonroute.files.answers import remarks
from carbonroute.files.text import refused
from carbonroute.importing.aggregates import Aggregates
from carbonroute.importing.format import File, JsonFormat
from carbonroute.importing.series import MetricSeries, add, checked, seconds


class PrometheusMatrix(JsonFormat):
    """A matrix: for each set of labels, samples of time and text."""

    name = "prometheus"
    features = "JSON with data.resultType and data.result, as query_range answers"
    keys = ("resultType", "errorType")

    def add(self, content: Any, file: File, aggregates: Aggregates) -> list[str]:
        """Count the requests of all series."""
        notes = add(aggregates, file.name, checked(_series(content, file.name), file.name))
        said = (*remarks(content, "warnings"), *remarks(content, "infos"))
        return [*notes, *(f"{file.name}: the server says: {text}" for text in said)]


def _series(content: Any, file_name: str) -> list[MetricSeries]:
    if not isinstance(content, dict) or content.get("status", "success") != "success":
        error = content.get("error") if isinstance(content, dict) else None
        raise refused(file_name, f"the query failed ({error})", "run the query again, and save its answer")
    data = content.get("data")
    if not isinstance(data, dict) or data.get("resultType") != "matrix":
        problem = f"found {data.get('resultType')!r}" if isinstance(data, dict) else "missing"
        remedy = "'matrix' is expected: query a range of time (query_range)"
        raise InputError(file_name, [Fault("data.resultType", problem, remedy)])
    results = data.get("result")
    if not isinstance(results, list) or not results:
        raise InputError(file_name, [Fault("data.result", "holds no series", "a query that finds some")])
    return [_one(result, f"data.result[{place}]", file_name) for place, result in enumerate(results)]


def _one(result: Any, where: str, file_name: str) -> MetricSeries:
    if not isinstance(result, dict) or not isinstance(result.get("metric"), dict):
        raise InputError(file_name, [Fault(f"{where}.metric", "missing", "an object of labels is expected")])
    labels = {str(key): str(value) for key, value in result["metric"].items()}
    samples = result.get("values")
    if samples is None and isinstance(result.get("histograms"), list):
        remedy = "query numbers: histogram_count(METRIC) for requests, or histogram_quantile(0.95, METRIC)"
        raise InputError(file_name, [Fault(f"{where}.histograms", "holds native histograms", remedy)])
    if not isinstance(samples, list):
        raise InputError(file_name, [Fault(f"{where}.values", "missing", "a list of samples is expected")])
    times, values = [], []
    for place, sample in enumerate(samples):
        try:
            time, text = sample
            times.append(seconds(float(time)))
            value = float(text)
        except (TypeError, ValueError) as error:
            remedy = 'a time in s and a number as text are expected, such as [1793491200, "431"]'
            raise InputError(
                file_name, [Fault(f"{where}.values[{place}]", "is no sample", remedy)]
            ) from error
        values.append(value if math.isfinite(value) else math.nan)
    return MetricSeries(labels.pop("__name__", ""), labels, times, values)
