"""Pools with `llm` in a scenario file: what they become, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from carbonroute.errors import InputError
from carbonroute.llm import StepLaw
from carbonroute.runs import run
from carbonroute.workloads import Tokens
from helpers import llm

SHEETS = 'model = "llama-3.1-8b"\ngpu = "rtx-4090"\n'
NO_STEP = (f"kv_cache_tokens = 8192\nstep = {llm.STEP}\npower = {llm.POWER}\n", SHEETS)


def test_stated_coefficients_are_taken_as_they_are(tmp_path: Path) -> None:
    capacity = llm.inputs(tmp_path).capacity
    assert capacity.limited
    assert not capacity.neutral
    first = capacity.replicas[0].pool
    assert first.law == StepLaw(1.0, 9.0, 0.0005, 0.05)
    assert (first.kv_blocks, first.block_tokens, first.max_num_seqs) == (512, 16, 16)
    assert capacity.idle_w.tolist() == [100.0, 100.0]
    assert (capacity.busy_w > 300).all()


def test_data_sheets_give_law_cache_and_power(tmp_path: Path) -> None:
    inputs = llm.inputs(tmp_path, NO_STEP)
    pool = inputs.capacity.replicas[0].pool
    # 15 GB at 85 % of 1,008 GB/s; 2 · 7.5 · 10⁹ FLOP at 75 % of 165 TFLOP/s; 131,072 byte a token.
    assert pool.law.weights_ms == pytest.approx(17.5, rel=0.01)
    assert pool.law.compute_ms_per_token == pytest.approx(0.121, rel=0.01)
    assert pool.law.kv_ms_per_token == pytest.approx(131_072 / (1008e6 * 0.85))
    assert pool.kv_blocks == pytest.approx(2588, rel=0.03)  # as vLLM 0.19 finds room for
    assert inputs.energy is not None
    assert inputs.energy.request_j.tolist() == [0.0]


def test_a_stated_coefficient_goes_before_the_sheet(tmp_path: Path) -> None:
    text = SHEETS + "step = { overhead_ms = 3 }\nkv_cache_tokens = 1600\n"
    pool = llm.inputs(tmp_path, (NO_STEP[0], text)).capacity.replicas[0].pool
    assert pool.law.overhead_ms == 3
    assert pool.law.weights_ms == pytest.approx(17.5, rel=0.01)
    assert pool.kv_blocks == 100


def test_figures_of_its_own_take_the_place_of_sheets(tmp_path: Path) -> None:
    named = llm.inputs(tmp_path, NO_STEP).capacity.replicas[0].pool
    own = (
        "gpu = { memory_gib = 24, bandwidth_gb_per_s = 1008, dense_tflops = 165 }\n"
        "model = { parameters_b = 8.03, lookup_parameters_b = 0.525336576, layers = 32, hidden = 4096, "
        "kv_heads = 8, head_dim = 128 }\n"
    )
    stated = llm.inputs(tmp_path, (NO_STEP[0], own)).capacity.replicas[0].pool
    assert stated.law.weights_ms == pytest.approx(named.law.weights_ms, rel=1e-3)
    assert stated.power is None  # no tdp_w


def test_lengths_alone_get_the_times_of_an_idle_replica(tmp_path: Path) -> None:
    (law,) = llm.inputs(tmp_path).laws
    assert isinstance(law, Tokens)
    step = StepLaw(1.0, 9.0, 0.0005, 0.05)
    assert law.decode_ms_per_token == pytest.approx(float(step.step_ms(1, 200 + 30)))
    alone_ms = law.time_ms(np.array(200.0), np.array(0.0))
    assert float(alone_ms) == pytest.approx(float(step.step_ms(200, 200)))


def test_a_table_of_power_is_read(tmp_path: Path) -> None:
    (tmp_path / "power.csv").write_text("batch,power_w\n0,90\n1,310\n16,510\n")
    inputs = llm.inputs(tmp_path, (llm.POWER, '{ table = "power.csv" }'))
    power = inputs.capacity.replicas[0].pool.power
    assert power is not None
    assert power.at_w([0, 1, 16]).tolist() == [90.0, 310.0, 510.0]


NO_TIME = "{ overhead_ms = 0, weights_ms = 0, kv_ms_per_token = 0, compute_ms_per_token = 0 }"


@pytest.mark.parametrize(
    ("before", "after", "refusal"),
    [
        ("servers = 2\n", "", r"pools\[0\].*found llm, and no number of replicas; state servers"),
        ("[pools.llm]\n", "speed = 2\n[pools.llm]\n", r"pools\[0\].speed: found 2 beside llm"),
        ("max_num_seqs = 16", "max_num_seqs = 1024", "found 512, and max_num_seqs of 1024; a token for"),
        (f"step = {llm.STEP}\n", "", "step.weights_ms: missing; state it, or model and gpu"),
        (f"step = {llm.STEP}\n", 'model = "llama-3.1-8b"\n', "found one of model and gpu; both"),
        (
            NO_STEP[0],
            SHEETS.replace("8b", "8"),
            "there is no model 'llama-3.1-8'; did you mean.*llama-3.1-8b",
        ),
        (NO_STEP[0], SHEETS.replace("4090", "40"), r"pools\[0\].llm.gpu: there is no GPU 'rtx-40'"),
        (NO_STEP[0], SHEETS.replace("rtx-4090", "H100"), "did you mean 'h100-sxm'"),
        (llm.STEP, NO_TIME, r"pools\[0\].llm.step: a step takes no time; overhead_ms or weights_ms above 0"),
        (NO_STEP[0], SHEETS.replace("8b", "70b"), "the weights leave no memory for the cache"),
        ("idle_w = 100", "idle_w = 400", r"decode_w\[0\]: found 300 W, less than the 400 W of an idle"),
        ("batches = [1, 16]", "batches = [16, 1]", "they do not ascend"),
        (
            'law = "tokens", prompt',
            'law = "tokens", decode_ms_per_token = 9, prompt',
            "state the lengths alone",
        ),
        (
            'law = "tokens", prompt_tokens = { law = "lognormal", mean = 200, std = 150 }, ',
            'law = "tokens", ',
            r"workloads\[0\].*prompt",
        ),
        (
            f"[[pools]]\n{llm.POOL}",
            "[[pools]]\nservers = 5\n",
            r"workloads\[0\].ttft_slo_ms: a pool without llm serves it; state llm of all its pools",
        ),
    ],
)
def test_what_cannot_be_is_refused(before: str, after: str, refusal: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=refusal):
        llm.inputs(tmp_path, (before, after))


GPU = "gpu = { memory_gib = 24, bandwidth_gb_per_s = 1008, dense_tflops = 165 }\n"
MODEL = "model = { parameters_b = 8.03, layers = 32, hidden = 4096, kv_heads = 8, head_dim = 128 }\n"


@pytest.mark.parametrize(
    ("before", "after", "faults"),
    [
        (
            "memory_gib",
            "memory_gb",
            [
                "gpu.memory_gib: missing; this key is required",
                "gpu.memory_gb: unknown key; did you mean 'memory_gib'? Known: memory_gib, …",
            ],
        ),
        ("layers = 32, ", "", ["model.layers: missing; this key is required"]),
        (
            "layers",
            "active_parameters_b = 2, layers",
            [
                "model.experts_per_token: found 0 of 0, and not all parameters are active; "
                "some, but not all of the experts are expected"
            ],
        ),
        (MODEL, "model = 8\n", ["model: found 8; a name in quotes is expected, or a table with its figures"]),
        (GPU, 'gpu = ["l4"]\n', ["gpu: found ['l4']; a name in quotes is expected, or a table…"]),
        (GPU, 'gpu = " l4"\n', ["gpu: found ' l4'; 1 to 100 printable…"]),
    ],
)
def test_a_fault_in_figures_is_told_by_the_keys_of_the_file(
    before: str, after: str, faults: list[str], tmp_path: Path
) -> None:
    figures = GPU + MODEL
    assert before in figures
    with pytest.raises(InputError) as refusal:
        llm.inputs(tmp_path, (NO_STEP[0], figures.replace(before, after)))
    found = [f"{fault.where}: {fault.found}; {fault.remedy}" for fault in refusal.value.faults]
    assert len(found) == len(faults), found
    for line, fault in zip(found, faults, strict=True):
        expected = f"pools[0].llm.{fault}"
        assert line.startswith(expected[:-1]) if fault.endswith("…") else line == expected


def test_lengths_without_llm_and_without_times_are_refused(tmp_path: Path) -> None:
    plain = (f"[[pools]]\n{llm.POOL}", ""), ("ttft_slo_ms = 500\ntpot_slo_ms = 40\n", "")
    with pytest.raises(InputError, match="the times per token are missing; state prefill_ms_per_token"):
        llm.inputs(tmp_path, *plain)
    law = 'law = "tokens", prefill_ms_per_token = 0.1, decode_ms_per_token = 10, '
    assert not llm.inputs(tmp_path, *plain, ('law = "tokens", ', law)).capacity.limited


def test_load_shares_count_full_replicas(tmp_path: Path) -> None:
    inputs = llm.inputs(tmp_path, ("servers = 2", "load_share = 0.5"))
    full = inputs.capacity.replicas[0]
    load = 20_000 / 3600 * full.busy_ms[0] / 1000
    assert inputs.capacity.servers.tolist() == [np.ceil(load / 2)] * 2


IMAGES = """\
[[workloads]]
id = "img"
name = "Images"
model = "pictures"
share = 0.5
slo_ms = 5000
service_ms = { law = "normal", mean = 100, std = 10 }
ENERGY
[[pools]]
workloads = ["img"]
servers = 40

[[policies]]
use = "latency-first"
"""
MIXED = (
    ("share = 1\n", "share = 0.5\n"),
    ("servers = 2\n", 'workloads = ["chat"]\nservers = 2\n'),
    ('[[policies]]\nuse = "latency-first"\n', IMAGES),
)


def test_replicas_of_known_power_need_no_energy_beside_servers_that_do(tmp_path: Path) -> None:
    inputs = llm.inputs(tmp_path, *MIXED, ("ENERGY", "energy_j = 100"))
    assert inputs.energy is not None
    assert inputs.energy.request_j.tolist() == [0.0, 100.0]
    notes = " ".join(run(inputs.scenario).tables.overview["notes"][0])
    assert "The energy of img has no source" in notes
    assert "The energy of chat" not in notes
    assert llm.inputs(tmp_path, *MIXED, ("ENERGY", "")).energy is None


def test_replicas_of_unknown_power_need_an_energy_beside_others(tmp_path: Path) -> None:
    remedy = r"workloads\[0\].energy_j: missing; .*; those served by llm of known power"
    with pytest.raises(InputError, match=remedy):
        llm.inputs(tmp_path, *MIXED, ("ENERGY", "energy_j = 100"), (f"power = {llm.POWER}\n", ""))


def test_power_of_servers_is_taken_beside_replicas_without_energies(tmp_path: Path) -> None:
    power = ("servers = 40\n", "servers = 40\nidle_power_w = 100\nbusy_power_w = 300\n")
    inputs = llm.inputs(tmp_path, *MIXED, ("ENERGY", "energy_j = 100"), power)
    assert inputs.capacity.busy_w[[1, 3]].tolist() == [300.0, 300.0]


def notes(folder: Path, *changes: tuple[str, str]) -> str:
    return "\n".join(llm.inputs(folder, *changes).notes)


def test_derived_figures_are_told_once_for_equal_pools(tmp_path: Path) -> None:
    told = notes(tmp_path, NO_STEP)
    line = (
        "Chat on rtx-4090: a step of one sequence takes 18.6 ms, the cache of a replica holds 42,128 tokens"
    )
    assert told.count(line) == 1
    assert "W idle, " in told


def test_a_mean_request_that_never_fits_is_refused_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refusal:
        llm.inputs(tmp_path, ("kv_cache_tokens = 8192", "kv_cache_tokens = 256"))
    (fault,) = refusal.value.faults
    assert fault.where == "pools[0].llm"
    tokens = "260 tokens of chat, and the cache of a replica holds 256"
    assert fault.found == f"no request of mean length fits: {tokens}"
    assert llm.inputs(tmp_path, ("kv_cache_tokens = 8192", "kv_cache_tokens = 272")).capacity.limited


def test_a_wrong_pool_of_all_regions_is_told_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refusal:
        llm.inputs(tmp_path, (NO_STEP[0], SHEETS.replace("8b", "70b")))
    (fault,) = refusal.value.faults
    assert "they need 131.4 GiB of each of 1 accelerators" in fault.found


@pytest.mark.parametrize(
    ("table", "key", "refusal"),
    [
        ("0,98\n8,443\n", "prefill_w = 72", r"power.prefill_w: found 72 W, less than the 98 W of an idle"),
        ("0,0.098\n8,0.443\n", "", "power: the most is 0.443 W; watts are expected: are they kW?"),
        ("0,98\n8,90\n", "", r"power.csv: line 3, power_w: found 90 W, less than the 98 W"),
    ],
)
def test_a_table_of_power_is_held_to_the_rules_of_stated_power(
    table: str, key: str, refusal: str, tmp_path: Path
) -> None:
    (tmp_path / "power.csv").write_text(f"batch,power_w\n{table}")
    stated = ", ".join(filter(None, ['table = "power.csv"', key]))
    with pytest.raises(InputError, match=refusal):
        llm.inputs(tmp_path, (llm.POWER, f"{{ {stated} }}"))


def test_why_there_are_no_grams_is_told(tmp_path: Path) -> None:
    why = "There are no grams: the power of pools[0].llm is not known; state gpu.tdp_w, or power"
    assert why in notes(tmp_path, (f"power = {llm.POWER}\n", ""))
    assert "no grams" not in notes(tmp_path)
    assert "There are no grams: the energy of img is not known" in notes(tmp_path, *MIXED, ("ENERGY", ""))


def test_limits_that_an_idle_replica_breaks_are_told(tmp_path: Path) -> None:
    """The prompt takes 1 + max(9 + 0.1, 10) ms, a further token 10.1 ms, the nearest round trip 5 ms."""
    told = notes(
        tmp_path, ("ttft_slo_ms = 500", "ttft_slo_ms = 15.9"), ("tpot_slo_ms = 40", "tpot_slo_ms = 10")
    )
    assert "ttft_slo_ms of chat is out of reach" in told
    assert "tpot_slo_ms of chat is out of reach" in told
    assert "takes 16 ms, and the limit is 15.9 ms" in told
    assert "\nslo_ms of chat" not in told
    assert "out of reach" not in notes(
        tmp_path, ("ttft_slo_ms = 500", "ttft_slo_ms = 16.1"), ("tpot_slo_ms = 40", "tpot_slo_ms = 10.2")
    )
    short = notes(tmp_path, ("slo_ms = 10000", "slo_ms = 400"))
    assert "\nslo_ms of chat is out of reach" in short
    assert "ttft_slo_ms of chat never counts: its 500 ms are more than the 400 ms of slo_ms" in short


def test_doubtful_settings_of_a_pool_are_told(tmp_path: Path) -> None:
    assert "load_s of pools[0].llm, 7201 s, is longer than the run" in notes(
        tmp_path, ("max_num_seqs = 16", "max_num_seqs = 16\nload_s = 7201")
    )
    split = (NO_STEP[0], SHEETS + "tensor_parallel = 3\n")
    assert "3, does not divide the model's 8 heads of keys and values" in notes(tmp_path, split)
    assert "most servers have 8" in notes(tmp_path, (NO_STEP[0], SHEETS + "tensor_parallel = 16\n"))
    assert "tensor_parallel" not in notes(tmp_path, (NO_STEP[0], SHEETS + "tensor_parallel = 4\n"))


@pytest.mark.parametrize(
    ("before", "after", "refusal"),
    [
        (
            "= 1008",
            "= 0.864",
            r"bandwidth_gb_per_s: found 0.864; 10 to 100,000 GB/s \(10⁹ byte/s\) are expected",
        ),
        ("= 165", "= 181000", r"dense_tflops: found 181000; 1 to 100,000 TFLOP/s"),
        (
            "memory_gib = 24",
            "memory_gib = 49152",
            r"gpu.memory_gib: found 49152; 1 to 4,096 GiB are expected",
        ),
        ("= 8.03", "= 0.0148", r"model.parameters_b: found 0.0148; 0.05 to 100,000 billion"),
        ("165 }", "165, tdp_w = 0.45 }", r"gpu.tdp_w: found 0.45; 5 to 5,000 W are expected"),
    ],
)
def test_figures_in_another_unit_are_refused(before: str, after: str, refusal: str, tmp_path: Path) -> None:
    figures = GPU + MODEL
    assert before in figures
    with pytest.raises(InputError, match=refusal):
        llm.inputs(tmp_path, (NO_STEP[0], figures.replace(before, after)))
