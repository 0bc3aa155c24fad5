"""Instant queries of Prometheus: asking, and reading the answer.

https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from pydantic import Field, TypeAdapter, ValidationError

from carbonroute.errors import CarbonrouteError, InputError, shortened
from carbonroute.files.answers import AnswerModel, remarks
from carbonroute.files.strict_json import parse_json
from carbonroute.live.http import Fetcher, FetchError, Request

#: No answer by region, origin and workload is longer.
_MAX_BYTES = 4 * 2**20


class ObserveError(CarbonrouteError):
    """A query has no usable answer.

    `reached`: whether the server answered at all: where not, further queries need not be sent.
    """

    def __init__(self, problem: str, *, reached: bool = True) -> None:
        self.reached = reached
        super().__init__(problem)


@dataclass(frozen=True)
class Sample:
    """A value of one series.

    `value`: finite.
    `at_s`: when the query was evaluated, or the sample was taken where the answer tells it, s since 1970.
    """

    labels: Mapping[str, str]
    value: float
    at_s: float


@dataclass(frozen=True)
class Vector:
    """The usable values of an answer; values that are no numbers are left out.

    `left_out`: how many values were NaN or infinite.
    `warnings`, `infos`: warnings and notes of the server: they may be incomplete, or the query is odd.
    """

    samples: tuple[Sample, ...]
    left_out: int = 0
    warnings: tuple[str, ...] = ()
    infos: tuple[str, ...] = ()


# A pair of a time in s and a value as text.
_Pair = Annotated[list[Any], Field(min_length=2, max_length=2)]


class _InVector(AnswerModel):
    metric: dict[str, str]
    value: _Pair


class _InMatrix(AnswerModel):
    metric: dict[str, str]
    values: Annotated[list[_Pair], Field(min_length=1)]


class _VectorData(AnswerModel):
    kind: Literal["vector"] = Field(alias="resultType")
    result: list[_InVector]

    def pairs(self) -> list[tuple[Mapping[str, str], list[Any]]]:
        return [(one.metric, one.value) for one in self.result]


class _MatrixData(AnswerModel):
    kind: Literal["matrix"] = Field(alias="resultType")
    result: list[_InMatrix]

    def pairs(self) -> list[tuple[Mapping[str, str], list[Any]]]:
        return [(one.metric, one.values[-1]) for one in self.result]


class _ScalarData(AnswerModel):
    kind: Literal["scalar"] = Field(alias="resultType")
    result: _Pair

    def pairs(self) -> list[tuple[Mapping[str, str], list[Any]]]:
        return [({}, self.result)]


class _Success(AnswerModel):
    status: Literal["success"]
    data: Annotated[_VectorData | _MatrixData | _ScalarData, Field(discriminator="kind")]


class _Failure(AnswerModel):
    status: Literal["error"]
    kind: str = Field(default="", alias="errorType")
    error: str = ""


_ANSWER: TypeAdapter[_Success | _Failure] = TypeAdapter(
    Annotated[_Success | _Failure, Field(discriminator="status")]
)


def parsed(content: bytes) -> Vector:
    """Return the values of an answer: of a matrix, the newest of each series.

    Raises ObserveError if the query failed, or the content is no answer of Prometheus.
    """
    try:
        document = parse_json(content, "the answer")
        answer = _ANSWER.validate_python(document)
    except InputError as error:
        raise ObserveError(f"the answer is no JSON ({error.faults[0]})") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "top level"
        raise ObserveError(f"the answer is none of Prometheus ({place}: {first['msg']})") from error
    if isinstance(answer, _Failure):
        raise ObserveError(f"the query failed ({answer.kind}: {shortened(answer.error, 200)})")
    samples, left_out = [], 0
    for labels, pair in answer.data.pairs():
        at_s, value = _numbers(pair)
        if math.isfinite(value):
            samples.append(Sample(labels, value, at_s))
        else:
            left_out += 1
    return Vector(tuple(samples), left_out, remarks(document, "warnings"), remarks(document, "infos"))


def _numbers(pair: list[Any]) -> tuple[float, float]:
    """Return the time and the value of a sample."""
    at_s, text = pair
    if not isinstance(at_s, float) or not isinstance(text, str):
        raise ObserveError("the answer is none of Prometheus (a time and a value as text are expected)")
    try:
        return at_s, float(text)
    except ValueError as error:
        raise ObserveError(f"the answer is none of Prometheus (found {shortened(text)!r})") from error


@dataclass(frozen=True)
class PrometheusServer:
    """A server that is asked.

    `timeout_s`: for each, s.
    `headers`: sent with each; may hold a secret.
    """

    url: str
    fetch: Fetcher
    timeout_s: float = 5.0
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def ask(self, query: str, at_s: float | None = None) -> Vector:
        """Return the values of a query.

        `at_s`: when it is evaluated, s since 1970; without, now by the server's clock.
        Raises ObserveError if there is no usable answer.
        """
        form = {"content-type": "application/x-www-form-urlencoded"}
        asked = {"query": query, "timeout": f"{max(1, round(self.timeout_s))}s"}
        if at_s is not None:
            asked["time"] = repr(at_s)
        request = Request(
            f"{self.url}/api/v1/query",
            method="POST",
            headers={**form, **self.headers},
            content=urlencode(asked).encode(),
            timeout_s=self.timeout_s,
            max_bytes=_MAX_BYTES,
        )
        try:
            return parsed(self.fetch(request).content)
        except FetchError as error:
            refused = error.problem == "status" and error.status in {400, 422}
            problem = f"{error} (the query is refused)" if refused else str(error)
            raise ObserveError(problem, reached=refused) from error
