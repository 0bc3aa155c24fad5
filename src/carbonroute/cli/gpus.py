"""``carbonroute gpus``: search the catalogue of GPUs."""

from __future__ import annotations

from typing import Any

from carbonroute.catalogue import Gpu, search_gpus
from carbonroute.catalogue import gpus as all_gpus
from carbonroute.cli.options import Json
from carbonroute.cli.terminal import DONE, MISSED, empty_table, out, print_json, say
from carbonroute.errors import did_you_mean


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
    matches = search_gpus(words)
    if json:
        print_json([_as_json(each) for each in matches])
    elif matches:
        _print(matches)
    if matches:
        return DONE
    say(f"no GPU of the catalogue matches {words!r}; {did_you_mean(words, all_gpus())}")
    return MISSED


def _print(matches: list[Gpu]) -> None:
    table = empty_table()
    for heading in ("gpu", "GiB", "GB/s", "TFLOP/s", "TDP W", "idle W", "link GB/s", "link"):
        table.add_column(heading, justify="left" if heading in {"gpu", "link"} else "right")
    for each in matches:
        idle = "–" if each.idle_w is None else f"{each.idle_w:g}"
        figures = (each.memory_gib, each.bandwidth_gb_per_s, each.dense_tflops, each.tdp_w)
        table.add_row(
            each.gpu, *(f"{figure:g}" for figure in figures), idle, f"{each.link_gb_per_s:g}", each.link
        )
    console = out()
    console.print(table)
    console.print(
        "TFLOP/s: 16 bit, without sparsity; link: one direction; –: no source. Sources: --json, docs/llm.md.",
        soft_wrap=True,
    )


def _as_json(each: Gpu) -> dict[str, Any]:
    return {**vars(each), "memory_gib": each.memory_gib}
