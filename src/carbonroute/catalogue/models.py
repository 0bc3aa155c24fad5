"""Models that are served: time and energy of a request, measured elsewhere, each with its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from carbonroute.catalogue.tables import number, rows

_MS_PER_S = 1000.0


@dataclass(frozen=True)
class Model:
    """A model as it was measured, or as the table says another one stands for it.

    Attributes
    ----------
    model, full_name
        Short name, and the name of its weights.
    gpu, num_gpus, max_num_seqs
        Hardware, and requests that may run at once.
    answer_tokens
        Mean tokens of an answer; None for an encoder.
    ms_per_answer_token
        Requests that ran at once / tokens per second: the mean time of a token, that of the prompt included.
    j_per_answer_token
        Energy of the GPUs per token of an answer, that of the prompt included, J.
    service_mean_ms, service_std_ms, energy_j
        Of an encoder: time and energy of a request.
    source, note
        Whom to cite; what is guessed.
    """

    model: str
    full_name: str
    task: str
    gpu: str
    num_gpus: int | None
    max_num_seqs: int | None
    answer_tokens: float | None
    ms_per_answer_token: float | None
    j_per_answer_token: float | None
    service_mean_ms: float | None
    service_std_ms: float | None
    energy_j: float | None
    source: str
    note: str

    @property
    def hardware(self) -> str:
        """Hardware and load that it was measured on, in words."""
        if self.num_gpus is None:
            return self.gpu
        return f"{self.num_gpus} × {self.gpu}, up to {self.max_num_seqs} requests at once, task {self.task}"


@cache
def models() -> Mapping[str, Model]:
    """Return all models by short name, in the order of the table."""
    return MappingProxyType({row["model"]: _model(row) for row in rows("models")})


def model(name: str) -> Model | None:
    """Return the model of a short name, whatever its case, or None.

    >>> model("Llama-3.1-70B").full_name
    'meta-llama/Llama-3.1-70B-Instruct'
    """
    return models().get(name.casefold())


def _model(row: Mapping[str, str]) -> Model:
    requests, tokens_per_s = number(row, "avg_batch_size"), number(row, "output_tokens_per_s")
    gpus, at_once = number(row, "num_gpus"), number(row, "max_num_seqs")
    return Model(
        model=row["model"],
        full_name=row["full_name"],
        task=row["task"],
        gpu=row["gpu"],
        num_gpus=None if gpus is None else int(gpus),
        max_num_seqs=None if at_once is None else int(at_once),
        answer_tokens=number(row, "avg_output_tokens"),
        ms_per_answer_token=_MS_PER_S * requests / tokens_per_s if requests and tokens_per_s else None,
        j_per_answer_token=number(row, "gpu_j_per_output_token"),
        service_mean_ms=number(row, "service_mean_ms"),
        service_std_ms=number(row, "service_std_ms"),
        energy_j=number(row, "energy_j"),
        source=row["source"],
        note=row["note"],
    )
