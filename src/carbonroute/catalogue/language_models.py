"""Language models: parameters, layers and heads, of which the time of a step and the cache follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from carbonroute.catalogue.tables import matching, number, required, rows

_GIGA = 1e9


@dataclass(frozen=True)
class LanguageModel:
    """The shape of a language model, as its configuration states it.

    Attributes
    ----------
    model, full_name
        Key in the catalogue, the same as that of its measured workload where there is one
        (`carbonroute.catalogue.models`); name of its weights at Hugging Face.
    parameters_b, active_parameters_b
        Parameters, and those of one token's experts and all shared ones, 10⁹; both embeddings count.
    layers, hidden
        Layers; width of what they hand on.
    intermediate
        Width inside a feed-forward layer, or inside one expert of a sparse model.
    heads, kv_heads, head_dim
        Heads of queries, of keys and of values, and their width; of the latter two None where keys and
        values are stored as one latent vector.
    kv_latent
        Width of that vector, None elsewhere.
    vocabulary, tied
        Tokens that it knows; whether input and output share one embedding.
    experts, experts_per_token
        Experts of a layer, and those that a token takes; 0 of a dense model.
    bytes_per_parameter, expert_bytes_per_parameter
        As the weights are published: of shared parameters, and of experts.
    source, note
        Whom to cite; what is special.
    """

    model: str
    full_name: str
    parameters_b: float
    active_parameters_b: float
    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int | None
    head_dim: int | None
    kv_latent: int | None
    vocabulary: int
    tied: bool
    experts: int
    experts_per_token: int
    bytes_per_parameter: float
    expert_bytes_per_parameter: float
    source: str
    note: str

    @property
    def lookup_parameters_b(self) -> float:
        """Parameters of which a token reads one row alone, 10⁹: the input embedding, where it is not tied."""
        return 0.0 if self.tied else self.vocabulary * self.hidden / _GIGA

    @property
    def kv_values_per_token(self) -> int:
        """Numbers that the cache holds for a token, all layers together, as if attention had no window."""
        per_layer = (
            2 * (self.kv_heads or 0) * (self.head_dim or 0) if self.kv_latent is None else self.kv_latent
        )
        return self.layers * per_layer


@cache
def language_models() -> Mapping[str, LanguageModel]:
    """Return all language models by key, in the order of the table."""
    return MappingProxyType({row["model"]: _model(row) for row in rows("language-models")})


def language_model(name: str) -> LanguageModel | None:
    """Return the language model of a key, whatever its case and with spaces or hyphens, or None.

    >>> language_model("Llama 3.1 8B").kv_values_per_token
    65536
    """
    return language_models().get("-".join(name.casefold().split()))


def search_language_models(text: str = "") -> list[LanguageModel]:
    """Return the language models with all words of a text in key or name, whatever its case.

    >>> [each.model for each in search_language_models("meta 70b")]
    ['llama-3.1-70b', 'llama-3.3-70b']
    """
    return [each for each in language_models().values() if matching(text, each.model, each.full_name)]


def _model(row: Mapping[str, str]) -> LanguageModel:
    return LanguageModel(
        model=row["model"],
        full_name=row["full_name"],
        parameters_b=required(row, "parameters_b"),
        active_parameters_b=required(row, "active_parameters_b"),
        layers=int(row["layers"]),
        hidden=int(row["hidden"]),
        intermediate=int(row["intermediate"]),
        heads=int(row["heads"]),
        kv_heads=_whole(row, "kv_heads"),
        head_dim=_whole(row, "head_dim"),
        kv_latent=_whole(row, "kv_latent"),
        vocabulary=int(row["vocabulary"]),
        tied=row["tied"] == "yes",
        experts=int(row["experts"]),
        experts_per_token=int(row["experts_per_token"]),
        bytes_per_parameter=required(row, "bytes_per_parameter"),
        expert_bytes_per_parameter=required(row, "expert_bytes_per_parameter"),
        source=row["source"],
        note=row["note"],
    )


def _whole(row: Mapping[str, str], column: str) -> int | None:
    value = number(row, column)
    return None if value is None else int(value)
