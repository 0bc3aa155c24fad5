"""GPUs: memory, bandwidth, arithmetic, power and link as their data sheets state them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from carbonroute.catalogue.tables import matching, number, required, rows


@dataclass(frozen=True)
class Gpu:
    """A GPU, by its data sheet.

    Attributes
    ----------
    gpu, full_name
        Key in the catalogue, such as ``"h100-sxm"``; name in words.
    memory_gb
        Memory as the sheet states it; vendors mean GiB, or a little less.
    usable_gib
        Memory that its driver shows, GiB; None where none is known.
    bandwidth_gb_per_s
        Of the memory, 10⁹ byte/s.
    dense_tflops
        Arithmetic at 16 bit, without sparsity, 10¹² FLOP/s: bf16, and fp16 where there is no bf16.
    tdp_w
        Thermal design power of the whole card or module, W.
    idle_w
        Power with weights loaded and no request, W; None where no source states it.
    link, link_gb_per_s
        Link to the other GPUs of a server, and its bandwidth in one direction, 10⁹ byte/s.
    source, note
        Whom to cite; what is special.
    """

    gpu: str
    full_name: str
    memory_gb: float
    usable_gib: float | None
    bandwidth_gb_per_s: float
    dense_tflops: float
    tdp_w: float
    idle_w: float | None
    link: str
    link_gb_per_s: float
    source: str
    note: str

    @property
    def memory_gib(self) -> float:
        """Memory for weights and cache, GiB: what the driver shows, else the figure of the sheet."""
        return self.memory_gb if self.usable_gib is None else self.usable_gib


@cache
def gpus() -> Mapping[str, Gpu]:
    """Return all GPUs by key, in the order of the table."""
    return MappingProxyType({row["gpu"]: _gpu(row) for row in rows("gpus")})


def gpu(name: str) -> Gpu | None:
    """Return the GPU of a key, whatever its case and with spaces or hyphens, or None.

    >>> gpu("H100 SXM").dense_tflops
    989.4
    """
    return gpus().get("-".join(name.casefold().split()))


def search_gpus(text: str = "") -> list[Gpu]:
    """Return the GPUs with all words of a text in key or name, whatever its case.

    >>> [each.gpu for each in search_gpus("a100 pcie")]
    ['a100-80gb-pcie']
    """
    return [each for each in gpus().values() if matching(text, each.gpu, each.full_name)]


def _gpu(row: Mapping[str, str]) -> Gpu:
    return Gpu(
        gpu=row["gpu"],
        full_name=row["full_name"],
        memory_gb=required(row, "memory_gb"),
        usable_gib=number(row, "usable_gib"),
        bandwidth_gb_per_s=required(row, "bandwidth_gb_per_s"),
        dense_tflops=required(row, "dense_tflops"),
        tdp_w=required(row, "tdp_w"),
        idle_w=number(row, "idle_w"),
        link=row["link"],
        link_gb_per_s=required(row, "link_gb_per_s"),
        source=row["source"],
        note=row["note"],
    )
