"""Replicas of a language model that batch continuously, as the scenario file spells them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema, core_schema

from carbonroute.errors import Fault
from carbonroute.llm import Balance
from carbonroute.scenario.written.faults import refuse
from carbonroute.scenario.written.names import Name, NameOr
from carbonroute.spec import Spec
from carbonroute.units import MAX_TIME_MS

MAX_SEQS = 65_536
MAX_TOKENS = 1_000_000_000
MAX_PARALLEL = 1024
MAX_LOAD_S = 86_400.0
MAX_KNOTS = 1000
MAX_REPLICA_POWER_W = 1e6

Milliseconds = Annotated[float, Field(ge=0, le=MAX_TIME_MS)]
Watts = Annotated[float, Field(ge=0, le=MAX_REPLICA_POWER_W)]
Figure = Annotated[float, Field(gt=0)]


@dataclass(frozen=True)
class Within:
    """Bounds of a figure, beyond which it is one in another unit.

    `least`, `most`, `unit`: the bounds, and the unit that the refusal names.
    """

    least: float
    most: float
    unit: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._kept, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "minimum": self.least, "maximum": self.most}

    def _kept(self, figure: float) -> float:
        if not self.least <= figure <= self.most:
            remedy = f"{self.least:,g} to {self.most:,g} {self.unit} are expected"
            raise ValueError(f"found {figure:g}; {remedy}")
        return figure


Gibibytes = Annotated[float, Within(1, 4096, "GiB")]
Bandwidth = Annotated[float, Within(10, 100_000, "GB/s (10⁹ byte/s)")]
Link = Annotated[float, Within(0.1, 100_000, "GB/s (10⁹ byte/s)")]
Teraflops = Annotated[float, Within(1, 100_000, "TFLOP/s (10¹² FLOP/s)")]
GpuWatts = Annotated[float, Within(5, 5000, "W")]
Billions = Annotated[float, Within(0.05, 100_000, "billion (10⁹)")]


class GpuFigures(Spec):
    """The data sheet of a GPU.

    Attributes
    ----------
    memory_gib
        Memory, GiB.
    bandwidth_gb_per_s
        Of the memory, 10⁹ byte/s.
    dense_tflops
        Arithmetic without sparsity at the precision of the weights, 10¹² FLOP/s.
    link_gb_per_s
        To the other GPUs of a replica, one direction, 10⁹ byte/s: of no account with a single one.
    tdp_w
        Thermal design power, W; without it, nothing is known of a replica's power.
    idle_w
        Power with weights loaded and no request, W.
    """

    memory_gib: Gibibytes
    bandwidth_gb_per_s: Bandwidth
    dense_tflops: Teraflops
    link_gb_per_s: Link = 32.0
    tdp_w: GpuWatts | None = None
    idle_w: Annotated[float, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _idle_below_all(self) -> GpuFigures:
        if self.idle_w is not None and self.tdp_w is not None and self.idle_w > self.tdp_w:
            refuse([Fault(".idle_w", f"found {self.idle_w:g}, more than tdp_w", "less is expected")])
        return self


class ModelFigures(Spec):
    """The shape of a language model.

    Attributes
    ----------
    parameters_b
        All parameters, 10⁹.
    active_parameters_b
        Parameters of one token's experts and all shared ones, 10⁹; without it, all: a dense model.
    lookup_parameters_b
        Parameters of which a token reads one row alone, 10⁹: the input embedding, unless the output is it.
    layers, hidden
        Number of layers; width of what they hand on.
    kv_heads, head_dim
        Heads of keys and of values, and their width.
    experts, experts_per_token
        Experts of a layer, and those that a token takes; 0 of a dense model.
    bytes_per_parameter, expert_bytes_per_parameter
        2 for bf16, 1 for fp8; of experts, where it is another number.
    """

    parameters_b: Billions
    active_parameters_b: float = Field(default=0.0, ge=0, json_schema_extra={"left_out": "all"})
    lookup_parameters_b: Annotated[float, Field(ge=0)] = 0.0
    layers: Annotated[int, Field(ge=1)]
    hidden: Annotated[int, Field(ge=1)]
    kv_heads: Annotated[int, Field(ge=1)]
    head_dim: Annotated[int, Field(ge=1)]
    experts: Annotated[int, Field(ge=0)] = 0
    experts_per_token: Annotated[int, Field(ge=0)] = 0
    bytes_per_parameter: Figure = 2.0
    expert_bytes_per_parameter: float = Field(
        default=0.0, ge=0, json_schema_extra={"left_out": "`bytes_per_parameter`"}
    )

    @model_validator(mode="before")
    @classmethod
    def _dense_by_default(cls, table: object) -> object:
        """Take all parameters as active, and experts as precise as the rest, where nothing is said."""
        if not isinstance(table, dict) or "parameters_b" not in table:
            return table
        return {
            "active_parameters_b": table["parameters_b"],
            "expert_bytes_per_parameter": table.get("bytes_per_parameter", 2.0),
            **table,
        }

    @model_validator(mode="after")
    def _sparse_or_dense(self) -> ModelFigures:
        refuse(self._faults())
        return self

    @property
    def kv_values_per_token(self) -> float:
        """Numbers that the cache holds for a token."""
        return 2.0 * self.layers * self.kv_heads * self.head_dim

    def _faults(self) -> Iterator[Fault]:
        if self.active_parameters_b > self.parameters_b:
            problem = f"found {self.active_parameters_b:g}, and parameters_b of {self.parameters_b:g}"
            yield Fault(".active_parameters_b", problem, "as much at most is expected")
        if self.lookup_parameters_b >= self.active_parameters_b:
            problem = f"found {self.lookup_parameters_b:g} of {self.active_parameters_b:g} active ones"
            yield Fault(".lookup_parameters_b", problem, "less is expected")
        sparse = self.active_parameters_b < self.parameters_b
        if sparse and not 0 < self.experts_per_token < self.experts:
            problem = f"found {self.experts_per_token} of {self.experts}, and not all parameters are active"
            yield Fault(".experts_per_token", problem, "some, but not all of the experts are expected")
        if not sparse and self.experts != self.experts_per_token:
            problem = f"found {self.experts} experts, and all parameters active"
            yield Fault(".active_parameters_b", problem, "those of one token are expected")


class StepTimes(Spec):
    """Coefficients of the time of a step; see docs/llm.md. Data sheets give those that are left out.

    Attributes
    ----------
    overhead_ms, weights_ms, kv_ms_per_token, compute_ms_per_token, experts_ms, expert_share, link_ms, \
link_ms_per_token, sequence_ms
        See the formula `step-time`.
    """

    overhead_ms: Milliseconds | None = None
    weights_ms: Milliseconds | None = None
    kv_ms_per_token: Milliseconds | None = None
    compute_ms_per_token: Milliseconds | None = None
    experts_ms: Milliseconds | None = None
    expert_share: Annotated[float, Field(gt=0, le=1)] | None = None
    link_ms: Milliseconds | None = None
    link_ms_per_token: Milliseconds | None = None
    sequence_ms: Milliseconds | None = None

    @property
    def stated(self) -> dict[str, float]:
        """The coefficients that are stated."""
        return self.model_dump(exclude_none=True)


class Power(Spec):
    """Power of a replica, all of its accelerators together: by batch, or a table of measurements.

    Attributes
    ----------
    idle_w
        While it has no request, W; of a table, where it has no row of batch 0.
    prefill_w
        In a step that is all prompt, W; without it, the most of `decode_w`.
    batches, decode_w
        Power of steps that only decode, W, at numbers of sequences, ascending.
    table
        CSV or Parquet file, instead: batch and power, one row for each.
    batch_column, power_column
        Columns of the table: sequences, 0 while idle, and power of the whole replica, W.
    """

    idle_w: Watts | None = None
    prefill_w: Watts | None = None
    batches: Annotated[tuple[Figure, ...], Field(strict=False, max_length=MAX_KNOTS)] = ()
    decode_w: Annotated[tuple[Watts, ...], Field(strict=False, max_length=MAX_KNOTS)] = ()
    table: Annotated[str, Field(min_length=1)] | None = None
    batch_column: Name = "batch"
    power_column: Name = "power_w"

    @model_validator(mode="after")
    def _one_source(self) -> Power:
        refuse(self._faults())
        return self

    def _faults(self) -> Iterator[Fault]:
        if (self.table is None) == (not self.decode_w):
            yield Fault("", "found both or neither of decode_w and table", "one is expected")
        if len(self.batches) != len(self.decode_w):
            problem = f"found {len(self.batches)} batches, and {len(self.decode_w)} powers"
            yield Fault(".decode_w", problem, "a power for each batch is expected")
        if list(self.batches) != sorted(set(self.batches)):
            yield Fault(".batches", "they do not ascend", "each above the one before is expected")
        if self.idle_w is None and self.table is None:
            yield Fault(".idle_w", "missing", "the power without requests is expected, W", "missing-key")
        stated = {f".decode_w[{place}]": watts for place, watts in enumerate(self.decode_w)}
        for place, watts in {**stated, ".prefill_w": self.prefill_w}.items():
            if watts is not None and self.idle_w is not None and watts < self.idle_w:
                problem = f"found {watts:g} W, less than the {self.idle_w:g} W of an idle replica"
                yield Fault(place, problem, "as much is expected, or more")


class Llm(Spec):
    """An engine that batches continuously: every server of the pool is a replica of one model.

    Attributes
    ----------
    model
        Name of a data sheet (`carbonroute models`), or its figures.
    gpu
        Name of a data sheet (`carbonroute gpus`), or its figures.
    tensor_parallel
        Accelerators of a replica, which share its weights.
    max_num_seqs
        Sequences in a batch at most.
    max_num_batched_tokens
        Tokens that a step computes at most: longer prompts are read in chunks.
    kv_cache_tokens
        Tokens that a replica's cache holds; without it, what the weights leave of the memory.
    block_tokens
        Tokens of a block of the cache.
    memory_share
        Share of the accelerators' memory that the engine may use.
    prefix_hit_share
        Part of every prompt that is in the cache already.
    prefix_caching
        Whether a preempted sequence finds again those of its blocks that nobody has taken since.
    balance
        Which replica gets a request: ``"least-load"`` or ``"round-robin"``.
    load_s
        Time from switching a replica on until it takes requests, s.
    bandwidth_share, compute_share
        Parts of the data sheet's bandwidth and arithmetic that the engine reaches.
    step
        Coefficients of the time of a step; needed where model and gpu are not stated.
    power
        Power of a replica; without it, that of the data sheet where it states one.
    """

    model: NameOr[ModelFigures] | None = None
    gpu: NameOr[GpuFigures] | None = None
    tensor_parallel: Annotated[int, Field(ge=1, le=MAX_PARALLEL)] = 1
    max_num_seqs: Annotated[int, Field(ge=1, le=MAX_SEQS)] = 256
    max_num_batched_tokens: Annotated[int, Field(ge=1, le=MAX_TOKENS)] = 2048
    kv_cache_tokens: Annotated[int, Field(ge=1, le=MAX_TOKENS)] | None = None
    block_tokens: Annotated[int, Field(ge=1, le=4096)] = 16
    memory_share: Annotated[float, Field(gt=0, le=1)] = 0.9
    prefix_hit_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    prefix_caching: bool = True
    balance: Balance = "least-load"
    load_s: Annotated[float, Field(ge=0, le=MAX_LOAD_S)] = 0.0
    bandwidth_share: Annotated[float, Field(gt=0, le=1)] = 0.85
    compute_share: Annotated[float, Field(gt=0, le=1)] = 0.75
    step: StepTimes = StepTimes()
    power: Power | None = None

    @property
    def has_power(self) -> bool:
        """Whether the power of a replica is known: stated, or of a data sheet, all of which have one."""
        sheet = isinstance(self.gpu, str) or (self.gpu is not None and self.gpu.tdp_w is not None)
        return self.power is not None or sheet

    @model_validator(mode="after")
    def _keys_agree(self) -> Llm:
        refuse(self._faults())
        return self

    def _faults(self) -> Iterator[Fault]:
        if (self.model is None) != (self.gpu is None):
            yield Fault("", "found one of model and gpu", "both are expected, or neither")
        if self.model is None:
            needed = {"weights_ms", "kv_ms_per_token", "compute_ms_per_token"} - self.step.stated.keys()
            for name in sorted(needed):
                yield Fault(f".step.{name}", "missing", "state it, or model and gpu", "missing-key")
            if self.kv_cache_tokens is None:
                yield Fault(".kv_cache_tokens", "missing", "state it, or model and gpu", "missing-key")
        if self.max_num_batched_tokens < self.max_num_seqs:
            problem = f"found {self.max_num_batched_tokens}, and max_num_seqs of {self.max_num_seqs}"
            yield Fault(".max_num_batched_tokens", problem, "a token for each sequence is expected, or more")
        if self.kv_cache_tokens is not None and self.kv_cache_tokens < self.block_tokens:
            problem = f"found {self.kv_cache_tokens}, and blocks of {self.block_tokens} tokens"
            yield Fault(".kv_cache_tokens", problem, "a block at least is expected")
