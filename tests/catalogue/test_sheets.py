"""Data sheets of GPUs and language models: every figure is there or its gap is said, and has a source."""

from __future__ import annotations

import json
import re
from dataclasses import fields

import pytest

from carbonroute.catalogue import (
    Gpu,
    LanguageModel,
    gpu,
    gpus,
    language_model,
    language_models,
    models,
    search_gpus,
    search_language_models,
)
from carbonroute.cli import main
from carbonroute.llm import weights_gib
from carbonroute.units import GB_PER_GIB

Output = pytest.CaptureFixture[str]
#: What a row may lack.
GAPS = {"usable_gib", "idle_w", "kv_heads", "head_dim", "kv_latent", "note"}


def complete(row: Gpu | LanguageModel) -> bool:
    """Whether every field of a row is stated that has to be."""
    return all(getattr(row, field.name) not in {None, ""} for field in fields(row) if field.name not in GAPS)


@pytest.mark.parametrize("key", sorted(gpus()))
def test_every_gpu_is_complete_and_plausible(key: str) -> None:
    each = gpus()[key]
    assert complete(each)
    assert each == gpu(key.upper().replace("-", " "))
    # A driver shows a little more or less than the sheet, by the meaning of GB and by error correction.
    assert each.usable_gib is not None
    assert each.memory_gb * 0.93 < each.usable_gib <= each.memory_gb
    assert f"{each.memory_gb:g} GB" in each.full_name
    # What is beyond is a figure with sparsity or a slip: W for a TFLOP/s, FLOP for a byte.
    assert 0.4 < each.tdp_w / each.dense_tflops < 5
    assert 75 < 1000 * each.dense_tflops / each.bandwidth_gb_per_s < 450
    assert each.idle_w is None or 0.05 < each.idle_w / each.tdp_w < 0.4
    # PCIe has 16 lanes of 1, 2 or 4 GB/s in one direction.
    if each.link.startswith("PCIe"):
        assert each.link_gb_per_s == {"3.0": 16, "4.0": 32, "5.0": 64}[each.link.split()[1]]
    else:
        assert each.link_gb_per_s >= 150


def parameters_b(model: LanguageModel, experts: int) -> float:
    """Return the parameters of a model without latent vectors and biases, with some experts of each layer."""
    assert model.kv_heads is not None
    assert model.head_dim is not None
    attention = 2 * model.hidden * model.head_dim * (model.heads + model.kv_heads)
    feed_forward = 3 * model.hidden * model.intermediate * max(experts, 1)
    embeddings = (1 if model.tied else 2) * model.vocabulary * model.hidden
    return (model.layers * (attention + feed_forward + model.hidden * model.experts) + embeddings) / 1e9


@pytest.mark.parametrize("key", sorted(language_models()))
def test_every_language_model_is_complete_and_adds_up(key: str) -> None:
    model = language_models()[key]
    assert complete(model)
    assert model == language_model(key.upper())
    assert (model.kv_latent is None) == (model.kv_heads is not None) == (model.head_dim is not None)
    assert model.experts_per_token <= model.experts
    assert ("huggingface.co" in model.source) or ("arXiv" in model.source)
    if model.kv_latent is None:
        assert model.parameters_b == pytest.approx(parameters_b(model, model.experts), rel=2e-3)
        assert model.active_parameters_b == pytest.approx(
            parameters_b(model, model.experts_per_token), rel=5e-3
        )
    # The size in a name is rounded by its maker.
    stated = re.search(r"-(\d+)b", key)
    if stated:
        assert model.parameters_b == pytest.approx(float(stated[1]), rel=0.25)


def test_sizes_that_their_makers_publish() -> None:
    """Figures of model cards, which the configurations know nothing of."""
    for key, total, active, rel in (
        ("llama-3.1-405b", 405.85, 405.85, 1e-3),
        ("mixtral-8x7b", 46.7, 12.9, 2e-3),
        ("qwen3-30b-a3b", 30.5, 3.3, 0.02),
        ("qwen3-235b-a22b", 235, 22, 0.01),
        ("deepseek-v3", 671, 37, 0.02),
    ):
        model = language_models()[key]
        assert model.parameters_b == pytest.approx(total, rel=rel)
        assert model.active_parameters_b == pytest.approx(active, rel=rel)
    for key, checkpoint_gib, active in (("gpt-oss-20b", 12.8, 3.61), ("gpt-oss-120b", 60.8, 5.13)):
        model = language_models()[key]
        assert weights_gib(model) == pytest.approx(checkpoint_gib, rel=5e-3)
        assert model.active_parameters_b - model.lookup_parameters_b == pytest.approx(active, rel=5e-3)


def test_figures_that_the_serving_literature_has() -> None:
    """15.0 GB of weights that each token reads, and 131,072 B of cache: Llama 3.1 8B."""
    model = language_models()["llama-3.1-8b"]
    read_gb = (model.parameters_b - model.lookup_parameters_b) * model.bytes_per_parameter
    assert read_gb == pytest.approx(15.0, abs=0.02)
    assert model.kv_values_per_token * 2 == 131_072
    # DeepSeek-V3 stores 512 + 64 numbers a layer.
    assert language_models()["deepseek-v3"].kv_values_per_token * 2 == 70_272
    # A tied embedding is read whole, as the output.
    assert language_models()["llama-3.2-1b"].lookup_parameters_b == 0


def test_a_model_of_both_tables_has_one_name() -> None:
    shared = set(models()) & set(language_models())
    assert len(shared) >= 12
    for key in shared:
        full = language_models()[key].full_name
        assert models()[key].full_name.removesuffix("-FP8") == full


def test_searches_take_all_words() -> None:
    assert [each.gpu for each in search_gpus("NVIDIA 4090")] == ["rtx-4090"]
    assert [each.model for each in search_language_models("openai 120B")] == ["gpt-oss-120b"]
    assert len(search_gpus()) == len(gpus())
    assert search_language_models("llama 9b") == []


def test_the_commands_list_figures(capsys: Output) -> None:
    assert main(["gpus", "h100", "sxm"]) == 0
    (row,) = [line.split() for line in capsys.readouterr().out.splitlines() if "h100-sxm" in line]
    assert row == ["h100-sxm", "79.6", "3350", "989.4", "700", "–", "450", "NVLink", "4"]
    assert main(["models", "llama-3", "8b"]) == 0
    (row,) = [line.split() for line in capsys.readouterr().out.splitlines() if "llama-3.1-8b" in line]
    assert row == ["llama-3.1-8b", "8.03", "8.03", "15.0", "32", "128", "–", "yes"]


def test_the_commands_as_json_have_sources_and_measured_figures(capsys: Output) -> None:
    assert main(["gpus", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [each["gpu"] for each in listed] == list(gpus())
    assert all(each["source"] for each in listed)
    assert main(["models", "--json"]) == 0
    listed = {each["model"]: each for each in json.loads(capsys.readouterr().out)}
    assert list(listed) == list(language_models())
    assert listed["mistral-7b"]["measured"] is None
    assert listed["llama-3.1-8b"]["measured"]["source"] == models()["llama-3.1-8b"].source
    assert listed["llama-3.1-8b"]["weights_gib"] * GB_PER_GIB == pytest.approx(16.06, abs=0.01)


@pytest.mark.parametrize(
    ("command", "typed", "meant"),
    [("gpus", "h100-smx", "h100-sxm"), ("models", "llmaa-3.1-8b", "llama-3.1-8b")],
)
def test_no_match_offers_the_nearest(command: str, typed: str, meant: str, capsys: Output) -> None:
    assert main([command, typed]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"did you mean {meant!r}" in printed.err
    assert main([command, typed, "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == []
