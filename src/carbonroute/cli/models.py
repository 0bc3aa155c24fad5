"""``carbonroute models``: search the catalogue of language models."""

from __future__ import annotations

from typing import Any

from carbonroute.catalogue import LanguageModel, language_models, model, search_language_models
from carbonroute.cli.listing import Listing
from carbonroute.cli.options import Json
from carbonroute.errors import did_you_mean
from carbonroute.llm import weights_gib

_KIB = 1024
#: Bytes of a number in the cache, 16 bit.
_BYTES = 2


def _as_json(each: LanguageModel) -> dict[str, Any]:
    measured = model(each.model)
    return {
        **vars(each),
        "lookup_parameters_b": each.lookup_parameters_b,
        "kv_values_per_token": each.kv_values_per_token,
        "weights_gib": weights_gib(each),
        "measured": None if measured is None else vars(measured),
    }


_LISTING = Listing[LanguageModel](
    kind="language model",
    columns={
        "model": lambda each: each.model,
        "10⁹": lambda each: f"{each.parameters_b:g}",
        "active": lambda each: f"{each.active_parameters_b:g}",
        "weights GiB": lambda each: f"{weights_gib(each):.1f}",
        "layers": lambda each: str(each.layers),
        "cache KiB": lambda each: f"{each.kv_values_per_token * _BYTES / _KIB:g}",
        "experts": lambda each: f"{each.experts_per_token} of {each.experts}" if each.experts else "–",
        "measured": lambda each: "yes" if model(each.model) else "",
    },
    texts=frozenset({"model", "measured"}),
    note="10⁹, active: parameters, all and a token's; cache: a token's, 16 bit. "
    "Sources: --json, docs/llm.md.",
    as_json=_as_json,
)


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
    return _LISTING.show(words, matches, lambda: did_you_mean(words, language_models()), json=json)
