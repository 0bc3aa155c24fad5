"""``carbonroute models``: search the catalogue of language models."""

from __future__ import annotations

from typing import Any

from carbonroute.catalogue import LanguageModel, language_models, model, search_language_models
from carbonroute.cli.options import Json
from carbonroute.cli.terminal import DONE, MISSED, empty_table, out, print_json, say
from carbonroute.errors import did_you_mean
from carbonroute.llm import weights_gib

_TEXTS = {"model", "measured"}
_KIB = 1024
#: Bytes of a number in the cache, 16 bit.
_BYTES = 2


def models(*text: str, json: Json = False) -> int:
    """List language models: parameters, layers, cache of a token, and experts.

    "measured" says which ones `carbonroute init --models` takes too: the catalogue has their time and energy
    as measured. The exit code is 1 where none matches.

    Parameters
    ----------
    text
        Part of a key or a name; all words must match. Without, all language models.
    json
        Print all that the catalogue knows as JSON, sources and the measured figures included.
    """
    words = " ".join(text)
    matches = search_language_models(words)
    if json:
        print_json([_as_json(each) for each in matches])
    elif matches:
        _print(matches)
    if matches:
        return DONE
    say(f"no language model of the catalogue matches {words!r}; {did_you_mean(words, language_models())}")
    return MISSED


def _print(matches: list[LanguageModel]) -> None:
    table = empty_table()
    for heading in ("model", "10⁹", "active", "weights GiB", "layers", "cache KiB", "experts", "measured"):
        table.add_column(heading, justify="left" if heading in _TEXTS else "right")
    for each in matches:
        experts = f"{each.experts_per_token} of {each.experts}" if each.experts else "–"
        table.add_row(
            each.model,
            f"{each.parameters_b:g}",
            f"{each.active_parameters_b:g}",
            f"{weights_gib(each):.1f}",
            str(each.layers),
            f"{each.kv_values_per_token * _BYTES / _KIB:g}",
            experts,
            "yes" if model(each.model) else "",
        )
    console = out()
    console.print(table)
    console.print(
        "10⁹, active: parameters, all and a token's; cache: a token's, 16 bit. Sources: --json, docs/llm.md.",
        soft_wrap=True,
    )


def _as_json(each: LanguageModel) -> dict[str, Any]:
    measured = model(each.model)
    return {
        **vars(each),
        "lookup_parameters_b": each.lookup_parameters_b,
        "kv_values_per_token": each.kv_values_per_token,
        "weights_gib": weights_gib(each),
        "measured": None if measured is None else vars(measured),
    }
