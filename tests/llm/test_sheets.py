"""The time of a step and the size of a cache, of data sheets: by hand, and against measured servers."""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from carbonroute.catalogue import Gpu, LanguageModel, gpus, language_models
from carbonroute.llm import Attained, kv_cache_tokens, step_law, weights_gib
from helpers import needs
from helpers.pages import ROOT

BENCHMARK = ROOT.parent / "shared/data/llm/mlenergy_by_batch.csv"

#: All of a sheet's figures, and nothing besides.
WHOLE = Attained(bandwidth_share=1, compute_share=1, link_share=1, overhead_ms=0, all_reduce_us=0)


@dataclass(frozen=True)
class Figures:
    """A GPU of round figures."""

    memory_gib: float = 100.0
    bandwidth_gb_per_s: float = 1000.0
    dense_tflops: float = 100.0
    link_gb_per_s: float = 10.0


def model(**figures: Any) -> LanguageModel:
    """Return a dense model of 10⁹ parameters, 0.1·10⁹ of them input embedding, with some figures changed."""
    plain = LanguageModel(
        **dict.fromkeys(("model", "full_name", "source", "note"), ""),
        parameters_b=1.0,
        active_parameters_b=1.0,
        layers=10,
        hidden=1000,
        intermediate=1,
        heads=8,
        kv_heads=4,
        head_dim=100,
        kv_latent=None,
        vocabulary=100_000,
        tied=False,
        experts=0,
        experts_per_token=0,
        bytes_per_parameter=2.0,
        expert_bytes_per_parameter=2.0,
    )
    return replace(plain, **figures)


def test_a_dense_model_on_one_gpu() -> None:
    law = step_law(model(), Figures(), attained=WHOLE)
    assert law.weights_ms == pytest.approx(1.8)  # 0.9·10⁹ · 2 B over 10¹² B/s
    assert law.compute_ms_per_token == pytest.approx(0.018)  # 1.8·10⁹ FLOP over 10¹⁴ FLOP/s
    assert law.kv_ms_per_token == pytest.approx(16e-6)  # 2 · 10 · 4 · 100 · 2 B
    assert (law.overhead_ms, law.experts_ms, law.link_ms, law.link_ms_per_token) == (0, 0, 0, 0)
    assert step_law(model(tied=True), Figures(), attained=WHOLE).weights_ms == pytest.approx(2.0)
    halved = step_law(model(), Figures(), attained=WHOLE, kv_bytes=1)
    assert halved.kv_ms_per_token == pytest.approx(8e-6)


def test_shares_and_overhead_count_each_where_they_belong() -> None:
    attained = Attained(
        bandwidth_share=0.5, compute_share=0.25, link_share=0.1, overhead_ms=3, all_reduce_us=20
    )
    law = step_law(model(), Figures(), attained=attained, tensor_parallel=2)
    assert law.overhead_ms == 3
    assert law.weights_ms == pytest.approx(1.8 / 2 / 0.5)
    assert law.kv_ms_per_token == pytest.approx(16e-6 / 2 / 0.5)
    assert law.compute_ms_per_token == pytest.approx(0.018 / 2 / 0.25)
    assert law.link_ms == pytest.approx(0.4)  # 20 exchanges of 20 µs
    assert law.link_ms_per_token == pytest.approx(20 * 2000 / 10e9 * 1000 / 0.1)  # 2 · ½ · 2,000 B each


def test_more_gpus_send_more_and_split_the_cache_by_heads_alone() -> None:
    four, eight = (step_law(model(), Figures(), attained=WHOLE, tensor_parallel=n) for n in (4, 8))
    assert eight.link_ms_per_token / four.link_ms_per_token == pytest.approx(1.75 / 1.5)
    assert eight.weights_ms == pytest.approx(four.weights_ms / 2)
    assert eight.kv_ms_per_token == four.kv_ms_per_token  # four heads
    latent = model(kv_heads=None, head_dim=None, kv_latent=800)
    one, two = (step_law(latent, Figures(), attained=WHOLE, tensor_parallel=n) for n in (1, 2))
    assert one.kv_ms_per_token == two.kv_ms_per_token == pytest.approx(16e-6)


def test_a_sparse_model_reads_the_experts_that_its_batch_meets() -> None:
    # 8 experts of 0.1·10⁹ and 0.2·10⁹ shared, half of which is the input embedding.
    sparse = model(
        parameters_b=1.0,
        active_parameters_b=0.4,
        experts=8,
        experts_per_token=2,
        expert_bytes_per_parameter=1.0,
    )
    law = step_law(sparse, Figures(), attained=WHOLE)
    assert law.weights_ms == pytest.approx(0.2)
    assert law.experts_ms == pytest.approx(0.8)
    assert law.expert_share == 0.25
    assert law.compute_ms_per_token == pytest.approx(0.006)  # 2 · (0.4 − 0.1)·10⁹
    assert float(law.step_ms(1, 0)) == pytest.approx(0.4)  # of 8 experts, 2
    assert float(law.step_ms(100, 0)) == pytest.approx(1.0, rel=1e-9)
    assert weights_gib(sparse) == pytest.approx((0.4 + 0.8) / 1.073741824)


def test_the_cache_has_what_weights_and_reserve_leave() -> None:
    gib = 1.073741824
    free_gb = (100 * 0.9 - 1.5) * gib - 2.0
    assert kv_cache_tokens(model(), Figures()) == int(free_gb / 16e-6)
    two_gb = (100 * 0.8 - 3) * gib - 1.0
    two = kv_cache_tokens(model(), Figures(), tensor_parallel=2, memory_share=0.8, reserve_gib=3)
    assert two == pytest.approx(2 * two_gb / 16e-6, abs=1)
    assert kv_cache_tokens(language_models()["llama-3.1-70b"], gpus()["h100-sxm"]) == 0


@pytest.mark.parametrize(
    ("key", "memory_gib", "gpus_of_it", "share", "tokens"),
    [
        # vLLM 0.19.0 and 0.28.0, casys-kaist/LLMServingSim@5daddb2: an RTX 4090, and one and two
        # RTX PRO 6000 of 95.6 GiB.
        ("llama-3.1-8b", 24.0, 1, 0.9, 2588 * 16),
        ("llama-3.1-8b", 95.6, 1, 0.92, 574_608),
        ("qwen3-32b", 95.6, 2, 0.92, 462_144),
    ],
)
def test_the_cache_is_that_of_measured_servers(
    key: str, memory_gib: float, gpus_of_it: int, share: float, tokens: int
) -> None:
    held = kv_cache_tokens(
        language_models()[key],
        Figures(memory_gib=memory_gib),
        tensor_parallel=gpus_of_it,
        memory_share=share,
    )
    assert held == pytest.approx(tokens, rel=0.025)


def test_every_gpu_and_model_gives_a_law() -> None:
    for model_ in language_models().values():
        for gpu in gpus().values():
            law = step_law(model_, gpu, tensor_parallel=8)
            assert 0 < law.weights_ms < 1000
            assert 0 < law.kv_ms_per_token < 0.01
            assert 0 < law.compute_ms_per_token < 10
            assert (law.experts_ms > 0) == (model_.experts > 0)


def test_the_sheet_of_the_catalogue_is_read_as_it_is() -> None:
    gpu: Gpu = gpus()["rtx-4090"]
    assert step_law(language_models()["llama-3.1-8b"], gpu).weights_ms == pytest.approx(
        15.01 / 1008 / 0.85 * 1e3, rel=1e-3
    )


@needs.data(BENCHMARK)
def test_steps_are_as_far_off_a_benchmark_as_the_page_says() -> None:
    """Too fast on the H100, by a time per sequence: docs/llm.md."""
    known = {each.full_name: each for each in language_models().values()}
    steps = []
    with BENCHMARK.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            name, count = row["model"], row["num_gpus"]
            each = known.get(name.removesuffix("-FP8"))
            if (
                each is None
                or row["gpu"] != "H100"
                or row["tensor_parallel"] != count
                or row["expert_parallel"] != "1"
            ):
                continue
            if name.endswith("-FP8"):
                each = replace(each, bytes_per_parameter=1.0, expert_bytes_per_parameter=1.0)
            law = step_law(each, gpus()["h100-sxm"], tensor_parallel=int(count))
            batch = float(row["avg_batch_size"])
            held = batch * (float(row["avg_output_tokens"]) / 2 + 150)
            steps.append((batch, float(law.step_ms(batch, held)), float(row["itl_ms_p50"])))
    batches, step_ms, measured_ms = np.array(steps).T
    assert len(batches) == 139
    assert np.median(np.abs(step_ms / measured_ms - 1)) == pytest.approx(0.328, abs=0.001)
    assert np.median(np.abs((step_ms + 0.065 * batches) / measured_ms - 1)) == pytest.approx(0.089, abs=0.001)
    at_eight = batches < 9
    assert np.median((step_ms / measured_ms)[at_eight] - 1) == pytest.approx(-0.14, abs=0.005)
