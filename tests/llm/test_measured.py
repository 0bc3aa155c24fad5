"""Power and steps of measured tables: by hand, from files, and half of a benchmark by the other half."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from carbonroute.arrays import Array
from carbonroute.errors import InputError
from carbonroute.llm import PowerLaw, fit_power, fit_step, power_table, sheet_power
from helpers import needs
from helpers.pages import ROOT

BENCHMARK = ROOT.parent / "shared/data/llm/mlenergy_by_batch.csv"
#: What makes a configuration of the benchmark.
KEYS = ("model", "task", "gpu", "num_gpus", "tensor_parallel", "expert_parallel", "data_parallel")
MEDIAN, WORST = 0.05, 0.10
#: It cancels: the tokens held are in proportion to the batch.
CONTEXT = 500.0


def test_power_is_a_line_over_the_logarithm_between_what_was_measured() -> None:
    law = fit_power([64, 4, 16, 16], [700.0, 400.0, 490.0, 510.0], idle_w=90.0)
    assert law == PowerLaw(90.0, 700.0, (4.0, 16.0, 64.0), (400.0, 500.0, 700.0))
    assert law.at_w([0, 1, 8, 32, 900]).tolist() == pytest.approx([90, 400, 450, 600, 700])
    assert fit_power([0, 0, 8], [80.0, 100.0, 300.0]).idle_w == 90
    assert fit_power([8], [300.0], idle_w=0.0, prefill_w=600.0).prefill_w == 600


@pytest.mark.parametrize(
    ("batches", "watts", "options", "said"),
    [
        ([8, 16], [300.0, 400.0], {}, "no idle power"),
        ([0, 16], [300.0, 400.0], {"idle_w": 90.0}, "batch 0 is the idle power"),
        ([0, 0], [90.0, 91.0], {}, "no batch above 0"),
        ([8, 16], [300.0], {"idle_w": 90.0}, "one value per batch"),
        ([8, 16], [300.0, float("nan")], {"idle_w": 90.0}, "finite"),
        ([-8, 16], [300.0, 400.0], {"idle_w": 90.0}, "0 or more"),
        ([], [], {"idle_w": 90.0}, "one value per batch"),
    ],
)
def test_power_that_cannot_be_is_refused(
    batches: list[float], watts: list[float], options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        fit_power(batches, watts, **options)


@pytest.mark.parametrize(("constant_ms", "slope_ms", "filling_ms"), [(12.0, 0.03, 0.0), (3.0, 0.02, 9.0)])
def test_a_step_is_found_again(constant_ms: float, slope_ms: float, filling_ms: float) -> None:
    """A dense and a sparse server, of which every second batch is known."""
    batches = 2.0 ** np.arange(9)
    truth_ms = constant_ms + slope_ms * batches + filling_ms * (1 - np.exp(-batches / 20))
    rates = 1000 * batches / truth_ms
    law = fit_step(batches[::2], rates[::2], context_tokens=CONTEXT)
    assert law.step_ms(batches, CONTEXT * batches) == pytest.approx(truth_ms, rel=0.01)
    assert law.step_ms(4.0, 0.0) < law.step_ms(4.0, CONTEXT * 4)


@pytest.mark.parametrize(
    ("batches", "rates", "context"),
    [([8, 8], [100.0, 110.0], 1.0), ([0, 8], [1.0, 2.0], 1.0), ([4, 8], [1.0, 2.0], 0.0)],
)
def test_a_step_that_cannot_be_is_refused(batches: list[float], rates: list[float], context: float) -> None:
    with pytest.raises(ValueError, match=r"above 0|two batches"):
        fit_step(batches, rates, context_tokens=context)


def test_a_table_is_read_by_its_columns(tmp_path: Path) -> None:
    (tmp_path / "power.csv").write_text(
        "batch,power_w,seqs\n0,100,0\n8,400,16\n32,480,64\n", encoding="utf-8"
    )
    law = power_table(tmp_path / "power.csv", "power.csv")
    assert law == PowerLaw(100.0, 480.0, (8.0, 32.0), (400.0, 480.0))
    other = power_table(tmp_path / "power.csv", "power.csv", batch_column="seqs", prefill_w=700.0)
    assert (other.batches, other.prefill_w) == ((16.0, 64.0), 700.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("batch,watts\n8,400\n", "there is no column 'power_w'"),
        ("batch,power_w\n8,four\n-1,400\n16,0\n", "3 faults"),
        ("batch,power_w\n8,four\n", "line 2, power_w: found 'four'; W are expected, above 0"),
        ("batch,power_w\n,400\n", "line 2, batch: no value; 0 or more sequences are expected"),
        ("batch,power_w\n8,400\n", "column 'batch': no idle power: state idle_w, or add a row of batch 0"),
        ("batch,power_w\n", "there is a header and no data"),
        (
            "batch,power_w\n8,400\n0,500\n16,600\n",
            "line 2, power_w: found 400 W, less than the 500 W of an idle replica; as much is expected",
        ),
        (
            "batch,power_w\n0,100\n8,400\n8,410\n",
            "line 4, power_w: found 410 W, and 400 W of batch 8 in line 3; a row for each batch is expected",
        ),
    ],
)
def test_a_table_that_cannot_be_is_refused(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "power.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        power_table(tmp_path / "power.csv", "power.csv")
    assert str(caught.value).startswith("power.csv")
    assert said in str(caught.value)


def test_a_sheet_gives_power_between_idle_and_its_limit() -> None:
    law = sheet_power(700.0, 70.0, gpus=4)
    assert (law.idle_w, law.prefill_w) == (280, 2800)
    power_w = law.at_w(np.arange(600))
    assert (np.diff(power_w) >= 0).all()
    assert power_w.max() < law.prefill_w
    assert sheet_power(300.0).idle_w == 54


def configurations() -> Iterator[tuple[str, Array, Array, Array]]:
    """Yield the GPU, the batches, the power and the tokens per second of each configuration."""
    rows = defaultdict(list)
    with BENCHMARK.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            rows[tuple(row[key] for key in KEYS)].append(row)
    for key, of_it in rows.items():
        columns = ("avg_batch_size", "gpu_power_w", "output_tokens_per_s")
        batches, watts, rates = np.array([[float(row[name]) for name in columns] for row in of_it]).T
        order = np.argsort(batches)
        yield key[2], batches[order], watts[order], rates[order]


def errors(batches: Array, watts: Array, rates: Array) -> Array:
    """Return relative errors of J per token: every second batch but the last, of a fit to all others."""
    held = np.zeros(len(batches), dtype=bool)
    held[1:-1:2] = True
    fitted = ~held
    power_w = fit_power(batches[fitted], watts[fitted], idle_w=1.0).at_w(batches[held])
    law = fit_step(batches[fitted], rates[fitted], context_tokens=CONTEXT)
    token_s = law.step_ms(batches[held], CONTEXT * batches[held]) / 1000 / batches[held]
    error: Array = np.abs(power_w * token_s / (watts[held] / rates[held]) - 1)
    return error


def holds(error: Array) -> bool:
    return bool(np.median(error) <= MEDIAN and error.max() <= WORST)


def server(power: Callable[[Array], Array]) -> tuple[Array, Array, Array]:
    """Return batches, power and tokens per second of a server with a law of power."""
    batches = np.array([8.0, 16, 32, 64, 128, 256, 512])
    return batches, power(batches), 1000 * batches / (10 + 0.05 * batches)


def test_half_of_the_batches_tells_the_other_half() -> None:
    """A server whose power rises smoothly is predicted, and one whose power jumps at a batch is not."""
    assert holds(errors(*server(lambda b: 700 - 400 * np.exp(-b / 100))))
    assert not holds(errors(*server(lambda b: np.where(b == 64, 300.0, 600.0))))


@needs.data(BENCHMARK)
def test_half_of_a_benchmark_tells_the_joules_per_token_of_the_other_half() -> None:
    """The criterion: median within 5 % and worst within 10 %, of at least 12 configurations."""
    held: dict[str, list[bool]] = {"H100": [], "B200": []}
    for gpu, batches, watts, rates in configurations():
        if len(batches) >= 6:
            held[gpu].append(holds(errors(batches, watts, rates)))
    assert {gpu: len(of_it) for gpu, of_it in held.items()} == {"H100": 24, "B200": 27}
    assert sum(held["H100"]) >= 20  # 22 of 24, docs/llm.md
    assert sum(held["B200"]) >= 12  # 14 of 27


@needs.data(BENCHMARK)
def test_power_of_a_sheet_is_as_far_off_as_the_page_says() -> None:
    off: dict[str, list[float]] = {"H100": [], "B200": []}
    tdp_w = {"H100": 700.0, "B200": 1000.0}
    with BENCHMARK.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            law = sheet_power(tdp_w[row["gpu"]], gpus=int(row["num_gpus"]))
            off[row["gpu"]].append(
                float(law.at_w(float(row["avg_batch_size"]))) / float(row["gpu_power_w"]) - 1
            )
    for gpu, median, tenth in (("H100", 0.088, 0.251), ("B200", 0.174, 0.571)):
        error = np.abs(off[gpu])
        assert [np.median(error), np.quantile(error, 0.9)] == pytest.approx([median, tenth], abs=0.001)
