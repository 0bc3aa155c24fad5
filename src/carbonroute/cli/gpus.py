"""``carbonroute gpus``: search the catalogue of GPUs."""

from __future__ import annotations

from carbonroute.catalogue import Gpu, search_gpus
from carbonroute.catalogue import gpus as all_gpus
from carbonroute.cli.listing import Listing
from carbonroute.cli.options import Json
from carbonroute.errors import did_you_mean

_LISTING = Listing[Gpu](
    kind="GPU",
    columns={
        "gpu": lambda each: each.gpu,
        "GiB": lambda each: f"{each.memory_gib:g}",
        "GB/s": lambda each: f"{each.bandwidth_gb_per_s:g}",
        "TFLOP/s": lambda each: f"{each.dense_tflops:g}",
        "TDP W": lambda each: f"{each.tdp_w:g}",
        "idle W": lambda each: "–" if each.idle_w is None else f"{each.idle_w:g}",
        "link GB/s": lambda each: f"{each.link_gb_per_s:g}",
        "link": lambda each: each.link,
    },
    texts=frozenset({"gpu", "link"}),
    note="TFLOP/s: 16 bit, without sparsity; link: one direction; –: no source. "
    "Sources: --json, docs/llm.md.",
    as_json=lambda each: {**vars(each), "memory_gib": each.memory_gib},
)


def gpus(*text: str, json: Json = False) -> int:
    """List GPUs by their data sheets: memory, bandwidth, arithmetic, power, link.

    The exit code is 1 where none matches.

    Parameters
    ----------
    text
        Part of a key or a name; all words must match. Without, all GPUs.
    json
        Print all that the catalogue knows as JSON, sources included.
    """
    words = " ".join(text)
    return _LISTING.show(words, search_gpus(words), lambda: did_you_mean(words, all_gpus()), json=json)
