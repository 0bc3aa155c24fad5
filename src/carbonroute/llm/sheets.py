"""From the figures of data sheets to the time of a step and the size of the cache: nothing is fitted.

The GPUs and models of the catalogue have these figures; so may anything else with the same attributes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from carbonroute.llm.step import StepLaw
from carbonroute.units import BYTES_PER_GB, GB_PER_GIB, MS_PER, US_PER_MS

#: Numbers of 16 bit: keys, values, and what GPUs of a replica exchange.
_BYTES = 2.0
#: All-reduces of a layer: after attention, and after the feed-forward part (Megatron-LM, arXiv:1909.08053).
_PER_LAYER = 2


class GpuSheet(Protocol):
    """Figures of a GPU."""

    @property
    def memory_gib(self) -> float:
        """Memory, GiB."""

    @property
    def bandwidth_gb_per_s(self) -> float:
        """Bandwidth of the memory, 10⁹ byte/s."""

    @property
    def dense_tflops(self) -> float:
        """Arithmetic without sparsity, 10¹² FLOP/s."""

    @property
    def link_gb_per_s(self) -> float:
        """Bandwidth to the other GPUs, one direction, 10⁹ byte/s."""


class ModelSheet(Protocol):
    """Figures of a language model."""

    @property
    def parameters_b(self) -> float:
        """Parameters, 10⁹."""

    @property
    def active_parameters_b(self) -> float:
        """Parameters of one token's experts and all shared ones, 10⁹."""

    @property
    def lookup_parameters_b(self) -> float:
        """Parameters of which a token reads one row alone, 10⁹."""

    @property
    def layers(self) -> int:
        """Layers."""

    @property
    def hidden(self) -> int:
        """Width of what layers hand on."""

    @property
    def kv_heads(self) -> int | None:
        """Heads of keys and values; None where the cache cannot be split between GPUs."""

    @property
    def kv_values_per_token(self) -> float:
        """Numbers that the cache holds for a token."""

    @property
    def experts(self) -> int:
        """Experts of a layer; 0 of a dense model."""

    @property
    def experts_per_token(self) -> int:
        """Experts that a token takes."""

    @property
    def bytes_per_parameter(self) -> float:
        """Bytes of a shared parameter."""

    @property
    def expert_bytes_per_parameter(self) -> float:
        """Bytes of a parameter of an expert."""


@dataclass(frozen=True)
class Attained:
    """Parts of a data sheet's figures that a server attains, and times that no sheet states.

    docs/llm.md says where each is from.

    Attributes
    ----------
    bandwidth_share, compute_share, link_share
        Of the memory's bandwidth, of the arithmetic, and of the link, 0…1.
    overhead_ms
        Of every step, ms.
    all_reduce_us
        Time of an exchange between GPUs however little it carries, µs.
    """

    bandwidth_share: float = 0.85
    compute_share: float = 0.75
    link_share: float = 0.5
    overhead_ms: float = 1.0
    all_reduce_us: float = 15.0


#: What is assumed where nothing is stated.
ATTAINED = Attained()
#: Part of the memory that a server takes: `gpu_memory_utilization` of vLLM by default.
MEMORY_SHARE = 0.9
#: Memory of each GPU for activations, logits and the driver's own, GiB: docs/llm.md has three measured sizes.
RESERVE_GIB = 1.5


def step_law(
    model: ModelSheet,
    gpu: GpuSheet,
    *,
    tensor_parallel: int = 1,
    attained: Attained = ATTAINED,
    kv_bytes: float = _BYTES,
) -> StepLaw:
    """Return the time of a step of a replica.

    Parameters
    ----------
    tensor_parallel
        GPUs of a replica, between which each layer is split.
    attained
        Parts of the sheet's figures that count.
    kv_bytes
        Bytes of a number in the cache.

    Examples
    --------
    >>> from carbonroute.catalogue import gpu, language_model
    >>> law = step_law(language_model("llama-3.1-8b"), gpu("rtx-4090"))
    >>> round(law.weights_ms, 1), round(law.compute_ms_per_token, 3), law.link_ms
    (17.5, 0.121, 0.0)
    """
    read_gb_per_ms = gpu.bandwidth_gb_per_s * attained.bandwidth_share / MS_PER["s"]
    # 10⁹ FLOP over 10¹² FLOP/s are ms.
    tflops = gpu.dense_tflops * attained.compute_share * tensor_parallel
    experts_b = _experts_b(model)
    shared_b = model.parameters_b - experts_b - model.lookup_parameters_b
    exchanges = _PER_LAYER * model.layers if tensor_parallel > 1 else 0
    # Formula ring-all-reduce.
    exchanged_gb = 2 * (1 - 1 / tensor_parallel) * model.hidden * _BYTES / BYTES_PER_GB
    link_gb_per_ms = gpu.link_gb_per_s * attained.link_share / MS_PER["s"]
    # Formula sheet-step.
    return StepLaw(
        overhead_ms=attained.overhead_ms,
        weights_ms=shared_b * model.bytes_per_parameter / (read_gb_per_ms * tensor_parallel),
        kv_ms_per_token=_kv_gb_per_token(model, tensor_parallel, kv_bytes) / read_gb_per_ms,
        compute_ms_per_token=2 * (model.active_parameters_b - model.lookup_parameters_b) / tflops,
        experts_ms=experts_b * model.expert_bytes_per_parameter / (read_gb_per_ms * tensor_parallel),
        expert_share=model.experts_per_token / model.experts if model.experts else 1.0,
        link_ms=exchanges * attained.all_reduce_us / US_PER_MS,
        link_ms_per_token=exchanges * exchanged_gb / link_gb_per_ms,
    )


def weights_gib(model: ModelSheet) -> float:
    """Return the size of a model's weights, GiB, all of its GPUs together.

    >>> from carbonroute.catalogue import language_model
    >>> round(weights_gib(language_model("gpt-oss-20b")), 1)
    12.8
    """
    experts_b = _experts_b(model)
    shared_gb = (model.parameters_b - experts_b) * model.bytes_per_parameter
    return (shared_gb + experts_b * model.expert_bytes_per_parameter) / GB_PER_GIB


def kv_cache_tokens(
    model: ModelSheet,
    gpu: GpuSheet,
    *,
    tensor_parallel: int = 1,
    memory_share: float = MEMORY_SHARE,
    reserve_gib: float = RESERVE_GIB,
    kv_bytes: float = _BYTES,
) -> int:
    """Return the tokens that the cache of a replica holds; 0 where the weights leave no room.

    `model`, `gpu`, `tensor_parallel`, `kv_bytes`: as of `step_law`.
    `memory_share`, `reserve_gib`: part of a GPU's memory that the server takes, and how much of it is neither
    weights nor cache, GiB.

    >>> from carbonroute.catalogue import gpu, language_model
    >>> kv_cache_tokens(language_model("llama-3.1-8b"), gpu("rtx-4090")) // 16
    2633
    """
    free_gib = gpu.memory_gib * memory_share - weights_gib(model) / tensor_parallel - reserve_gib
    # Formula cache-size.
    held = free_gib * GB_PER_GIB / _kv_gb_per_token(model, tensor_parallel, kv_bytes)
    return max(int(held), 0)


def _experts_b(model: ModelSheet) -> float:
    """Return the parameters of all experts, 10⁹: those that one token leaves out tell the size of one."""
    if not model.experts:
        return 0.0
    idle = model.experts - model.experts_per_token
    return (model.parameters_b - model.active_parameters_b) * model.experts / idle


def _kv_gb_per_token(model: ModelSheet, tensor_parallel: int, kv_bytes: float) -> float:
    """Return the cache of a token on each GPU, 10⁹ byte: a head, or a latent vector, is never split."""
    parts = min(tensor_parallel, model.kv_heads or 1)
    return model.kv_values_per_token * kv_bytes / parts / BYTES_PER_GB
