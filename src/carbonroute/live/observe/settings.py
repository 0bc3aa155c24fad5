"""``[live.observe]``: where the metrics are, what measures, and how series name regions and origins."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, cast
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from carbonroute.errors import Fault, did_you_mean
from carbonroute.files.durations import Seconds
from carbonroute.files.toml import key_text
from carbonroute.live.observe.preset import COUNTED, Quantity
from carbonroute.live.observe.register import ENGINES, METERS
from carbonroute.live.observe.scope import Scope
from carbonroute.live.secrets import EnvName
from carbonroute.spec import Spec

#: What stands for the range in queries of one's own.
RANGE = "$range"

Label = Annotated[str, Field(pattern="^[a-zA-Z_][a-zA-Z0-9_]*$", max_length=200)]
Text = Annotated[str, Field(min_length=1, max_length=500)]
Query = Annotated[str, Field(min_length=1, max_length=5000)]


class Queries(Spec):
    """PromQL of one's own, by quantity; each answers with a value per region, and is asked before a preset's.

    Those of counts state the range as ``$range``, such as ``sum by (region) (increase(x_total[$range]))``.

    Attributes
    ----------
    requests, prompt_tokens, answer_tokens
        Requests, and tokens of prompts and answers, in the range.
    energy_j
        Energy in the range, J.
    service_ms, wait_ms
        Mean time in service, and in the queue, ms.
    running, waiting
        Requests in service, and in the queue, now.
    servers
        Servers, or places of requests, that are switched on now.
    available
        Above 0 where a region takes requests; 0 where it does not.
    sampled_at
        When the newest sample of a region was taken, s since 1970, such as ``max by (region)
        (timestamp(x_total))``.
    """

    requests: Query | None = None
    prompt_tokens: Query | None = None
    answer_tokens: Query | None = None
    energy_j: Query | None = None
    service_ms: Query | None = None
    wait_ms: Query | None = None
    running: Query | None = None
    waiting: Query | None = None
    servers: Query | None = None
    available: Query | None = None
    sampled_at: Query | None = None

    @property
    def stated(self) -> dict[Quantity, str]:
        """The queries that are stated."""
        stated = {name: query for name, query in vars(self).items() if query is not None}
        return cast("dict[Quantity, str]", stated)

    @model_validator(mode="after")
    def _counts_have_a_range(self) -> Queries:
        for name in sorted(COUNTED):
            query = getattr(self, name)
            if query is not None and RANGE not in query:
                problem = f"found {name} without {RANGE}"
                raise ValueError(f"{problem}; a count in the range is expected, such as increase(x[{RANGE}])")
        return self


class Observe(Spec):
    """The table ``[live.observe]``: measurements of regions and traffic by Prometheus.

    Attributes
    ----------
    prometheus
        Address of the server, or of one that answers like it (Thanos, Mimir, VictoriaMetrics).
    engine
        What serves, or carries, the requests: ``"vllm"``, ``"sglang"``, ``"tgi"``, ``"triton"`` or
        ``"envoy"``.
    energy
        What measures energy, besides: ``"dcgm"`` or ``"kepler"``.
    region_label, origin_label, workload_label
        Labels of the series. Without the last two, counts are split by the scenario's expected shares.
    region_values, origin_values, workload_values
        Value of the label for a region, origin or workload, where it is not the name in the scenario; for
        Envoy, the zones of regions and origins.
    matchers
        Values that further labels must have, for the queries of presets.
    range
        Counts and means are those of so long, or of the time since the tick before where that is longer; at
        least two scrapes must lie in it.
    max_age
        Older samples are unknown.
    timeout
        For each query.
    token_env
        Environment variable with a bearer token for the server.
    queries
        PromQL of one's own.
    """

    prometheus: str
    engine: str | None = None
    energy: str | None = None
    region_label: Label = "region"
    origin_label: Label | None = None
    workload_label: Label | None = None
    region_values: dict[str, Text] = Field(default_factory=dict)
    origin_values: dict[str, Text] = Field(default_factory=dict)
    workload_values: dict[str, Text] = Field(default_factory=dict)
    matchers: dict[Label, Text] = Field(default_factory=dict)
    range: Seconds = Seconds.parse("1min")
    max_age: Seconds = Seconds.parse("30s")
    timeout: Seconds = Seconds.parse("5s")
    token_env: EnvName | None = None
    queries: Queries = Queries()

    @field_validator("prometheus")
    @classmethod
    def _is_address(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
        except ValueError:
            usable = False
        if not usable or parts.query or parts.fragment or parts.username or parts.password:
            raise ValueError("an address such as 'http://127.0.0.1:9090' is expected, without user and query")
        return url.rstrip("/")

    @field_validator("engine", "energy")
    @classmethod
    def _is_known(cls, name: str | None, info: object) -> str | None:
        known: Mapping[str, object] = ENGINES if getattr(info, "field_name", "") == "engine" else METERS
        if name is not None and name not in known:
            raise ValueError(f"found {name!r}; {did_you_mean(name, known)}")
        return name

    @model_validator(mode="after")
    def _counts_requests(self) -> Observe:
        if self.engine is None and self.queries.requests is None:
            problem = "found neither of engine and queries.requests"
            raise ValueError(f"{problem}; one is expected, as requests must be counted")
        if self.engine is None and self.queries.sampled_at is None:
            problem = "found neither of engine and queries.sampled_at"
            raise ValueError(f"{problem}; one is expected, as it tells how old samples are")
        labels = [self.region_label, self.origin_label, self.workload_label]
        stated = [label for label in labels if label]
        if len(set(stated)) < len(stated):
            raise ValueError("found one label for two of region, origin and workload; each needs its own")
        return self

    def faults(
        self, origins: Sequence[str], workloads: Sequence[str], regions: Sequence[str]
    ) -> Iterator[Fault]:
        """Yield the faults beside a scenario's names: unknown ones, and two of one label value."""
        preset = ENGINES.get(self.engine or "")
        for key, names, values in (
            ("region_values", regions, self.region_values),
            ("origin_values", origins, self.origin_values),
            ("workload_values", workloads, self.workload_values),
        ):
            kind = key.removesuffix("_values")
            for name in values:
                if name not in names:
                    where = f"{key}.{key_text(name)}"
                    yield Fault(where, f"there is no {kind} {name!r}", did_you_mean(name, names))
            called: dict[str, str] = {}
            for name in names:
                value = values.get(name, name)
                value = value if preset is None or kind == "workload" else preset.told_by(value)
                other = called.setdefault(value, name)
                if other != name:
                    problem = f"{other!r} and {name!r} have one label value, {value!r}"
                    yield Fault(key, problem, "a value of its own is expected for each")

    def scope(self, passed_s: float, origins: Sequence[str], regions: Sequence[str]) -> Scope:
        """Return the scope of queries, when some time passed since the tick before, s."""
        preset = ENGINES.get(self.engine or "")
        return Scope(
            range_s=max(1, math.ceil(max(self.range.seconds, passed_s))),
            region_label=self.region_label,
            origin_label=self.origin_label or (preset.origin_label if preset else None),
            workload_label=self.workload_label,
            matchers=self.matchers,
            regions=[self.region_values.get(name, name) for name in regions],
            origins=[self.origin_values.get(name, name) for name in origins],
        )

    def asked(self, scope: Scope) -> dict[Quantity, str]:
        """Return the query of each quantity that is asked for, ``sampled_at`` first."""
        preset = ENGINES.get(self.engine or "")
        queries = preset.queries(scope) if preset else {}
        if self.energy is not None:
            queries["energy_j"] = METERS[self.energy](scope)
        own = {name: query.replace(RANGE, scope.range) for name, query in self.queries.stated.items()}
        for name in ("running", "waiting"):
            if name in own:  # the preset's mean would be of another quantity
                queries.pop("mean_running" if name == "running" else "mean_waiting", None)
        every = {**queries, **own}
        return {"sampled_at": every.pop("sampled_at"), **every}
