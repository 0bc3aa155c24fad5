"""Study files: which cells they make, and every fault told before anything is run."""

from __future__ import annotations

import hashlib
import itertools
import json
from pathlib import Path

import polars as pl
import pytest
from scipy import stats

from carbonroute import study
from carbonroute.cli import main
from carbonroute.errors import InputError
from carbonroute.runs import run as run_once
from carbonroute.scenario import load
from carbonroute.study import cells
from carbonroute.study import file as study_file
from carbonroute.study.tables import summary_of
from helpers import small

HEAD = 'schema = 1\nname = "made"\nscenario = "small.toml"\nengine = "exact"\n'


def made(tmp_path: Path, text: str, *changes: tuple[str, str]) -> Path:
    """Write a study of the small scenario beside it."""
    small.write(tmp_path, *changes).rename(tmp_path / "small.toml")
    file = tmp_path / "made.toml"
    file.write_text(HEAD + text, encoding="utf-8")
    return file


def labels(found: cells.Study) -> list[tuple[str, ...]]:
    return [tuple(value.label for value in cell.values) for cell in found.cells]


def test_a_grid_makes_every_combination_and_the_last_axis_changes_first(tmp_path: Path) -> None:
    text = '[grid]\nnetwork.jitter_std_ms = [0, 3.5]\n"sampling.seed" = { from = 1, to = 3 }\n'
    found = cells.read(made(tmp_path, text))
    assert [axis.name for axis in found.axes] == ["network.jitter_std_ms", "sampling.seed"]
    assert labels(found) == list(itertools.product(["0", "3.5"], ["1", "2", "3"]))
    assert [axis.averaged for axis in found.axes] == [False, True]
    assert [cell.index for cell in found.cells] == list(range(6))


def test_a_cell_is_its_scenario_as_loaded_with_its_changes(tmp_path: Path) -> None:
    text = """
[changes]
horizon.hours = 3
[grid]
"regions[A].pue" = [1.0, 1.5]
horizon.start = [2022-01-01T00:00:00Z]
"""
    found = cells.read(made(tmp_path, text))
    for cell, pue in zip(found.cells, (1.0, 1.5), strict=True):
        changes = {"horizon.hours": 3, "regions[A].pue": pue, "horizon.start": cell.changes["horizon.start"]}
        scenario = load(tmp_path / "small.toml", changes)
        stated = json.dumps(
            scenario.model_dump(mode="json", by_alias=True, exclude_none=True),
            sort_keys=True,
            separators=(",", ":"),
            ensure_ascii=False,
        )
        assert cell.digest == hashlib.sha256(stated.encode()).hexdigest()
        assert scenario.regions[0].pue == pue


def test_variants_belong_together_and_axes_of_them_are_crossed(tmp_path: Path) -> None:
    text = """
[[variants]]
label = "calm"
changes = { network.jitter_std_ms = 0, "sampling.seed" = 1 }
[[variants]]
label = "rough"
changes = { network.jitter_std_ms = 9, "sampling.seed" = 2 }
[[variants]]
axis = "length"
label = "short"
changes = { horizon.hours = 2 }
[[variants]]
axis = "length"
label = "long"
changes = { horizon.hours = 4 }
"""
    found = cells.read(made(tmp_path, text))
    assert [axis.name for axis in found.axes] == ["variant", "length"]
    assert labels(found) == [("calm", "short"), ("calm", "long"), ("rough", "short"), ("rough", "long")]
    assert found.cells[3].changes == {"network.jitter_std_ms": 9, "sampling.seed": 2, "horizon.hours": 4}


def test_a_table_of_another_kind_replaces_and_other_tables_set_single_keys(tmp_path: Path) -> None:
    text = """
[changes.carbon]
kind = "synthetic"
noise = 0.0
[grid]
policies = [[{ use = "hybrid", alpha = 0.3 }], [{ use = "hybrid", alpha = 0.6 }, { use = "latency-first" }]]
"""
    found = cells.read(made(tmp_path, text))
    assert labels(found) == [("hybrid(alpha=0.3)",), ("hybrid(alpha=0.6), latency-first",)]
    scenario = found.base.scenario(found.cells[1].changes)
    assert [entry.shown for entry in scenario.policies] == ["Hybrid (α=0.6)", "Latency-First"]


@pytest.mark.parametrize(
    ("steps", "numbers"),
    [
        ("{ from = 1, to = 3 }", [1, 2, 3]),
        ("{ from = 0, to = 0.3, step = 0.1 }", [0.0, 0.1, 0.2, 0.3]),
        ("{ from = 3, to = 1, step = -1 }", [3, 2, 1]),
        ("{ from = 1, to = 2, step = 0.4 }", [1.0, 1.4, 1.8]),
        ("{ from = 10, to = 1, step = -4 }", [10, 6, 2]),
    ],
)
def test_ranges_hold_both_ends_and_plain_numbers(tmp_path: Path, steps: str, numbers: list[float]) -> None:
    found = cells.read(made(tmp_path, f"[grid]\nnetwork.jitter_std_ms = {steps}\n"))
    assert [cell.values[0].number for cell in found.cells] == numbers


def test_large_integers_are_counted_exactly(tmp_path: Path) -> None:
    text = made(
        tmp_path, "[grid]\nnetwork.jitter_std_ms = { from = 9007199254740992, to = 9007199254740995 }\n"
    )
    (axis,) = study_file.axes_of(study_file.read(text), "study")
    assert [value.number for value in axis.values] == [2**53 + place for place in range(4)]


def test_without_axes_a_study_is_one_cell(tmp_path: Path) -> None:
    file = made(tmp_path, "")
    tables = study.run(file, tmp_path / "out", workers=1)
    assert tables.results["cell"].unique().to_list() == [0]
    assert tables.axes.is_empty()
    assert tables.summary.height == tables.results.height


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[grid]\nhorizon.hours = 3\n", "grid.horizon.hours: found 3; an array of values is expected"),
        ("[grid]\nhorizon.hours = []\n", "horizon.hours: has no values"),
        ("[grid]\nhorizon.hours = [2, 2]\n", "'2' stands there twice; leave one out"),
        ("[grid]\nhorizon.hours = [2, -1]\n", "cell 1 (horizon.hours = -1): horizon.hours: found -1"),
        ("[grid]\nhorizon.huors = [2]\n", "horizon.huors: unknown key; did you mean 'hours'?"),
        ('[grid]\n"regions[Z].pue" = [1]\n', "regions: has no member 'Z'"),
        ("[grid]\nsampling.seed = { from = 3, to = 1 }\n", "a step that leads from one to the other"),
        ("[grid]\nsampling.seed = { from = 1, to = 3, step = 0 }\n", "a step that leads from one"),
        ("[grid]\nsampling.seed = { from = 1, to = 30000000 }\n", "at most 1,000,000 values"),
        ("[grid]\nsampling.seed = { from = 'a', to = 3 }\n", "numbers are expected"),
        (
            "[grid]\nsampling.seed = { from = 0, to = 1e400 }\n",
            "found {'from': 0, 'to': inf}; a step that leads",
        ),
        ("[grid]\nsampling.seed = { from = nan, to = 3 }\n", "a step that leads from one to the other"),
        ("[grid]\nsampling.seed = { from = -inf, to = inf }\n", "a step that leads from one to the other"),
        ("[grid]\nsampling.seed = { from = -1e308, to = 1e308, step = 1e-308 }\n", "a step that leads from"),
        ("[grid]\nsampling.seed = { from = 0, to = 1, step = 5e-324 }\n", "a step that leads from one to"),
        ("[grid]\nsampling.seed = { from = true, to = 3 }\n", "numbers are expected"),
        ("[grid]\nsampling.seed = { from = 1, to = 9223372036854775807 }\n", "at most 1,000,000 values"),
        (
            f"[grid]\nsampling.seed = {{ from = 0, to = 1{'0' * 300} }}\n",
            "grid.sampling.seed.to: found an integer of 997 bits; an integer of 64 bits is expected",
        ),
        (
            f"[grid]\nsampling.seed = [0x{'f' * 5000}]\n",
            "grid.sampling.seed[0]: found an integer of 20000 bits",
        ),
        (f"[changes]\nsampling.seed = 1{'0' * 300}\n", "changes.sampling.seed: found an integer of 997 bits"),
        ("[changes]\nhorizon.hours = inf\n", "cell 0: horizon.hours: found inf"),
        ("[changes]\nhorizon.start = 0001-01-01T00:00:00+14:00\n", "lies outside the calendar"),
        (
            "replications = 10000000000000000000\n",
            "replications: found 10000000000000000000; an integer of 64 bits",
        ),
        (
            "[grid]\nsampling.seed = { from = 1, to = 1000000 }\n"
            "horizon.hours = { from = 1, to = 1000000 }\n",
            "grid: 1,000,000,000,000 cells; at most 1,000,000 are expected",
        ),
        (
            "[grid]\ndescription = ['\\u202e']\n".replace("'", '"'),
            "description: found '\\u202e'; state it as a variant",
        ),
        ("metrics = ['latency']\n", "metrics[0]: found 'latency'; did you mean"),
        ("baseline = 'Nobody'\n", "baseline: there is no policy 'Nobody' in cell 0"),
        ("engin = 'exact'\n", "engin: unknown key; did you mean 'engine'?"),
        ("replications = 0\n", "replications: found 0"),
        ("replications = 4\n", "engine 'exact' computes expected values"),
        ("until = 'x'\n", "until: found 'x'; a figure and a half-width"),
        ("[[variants]]\nlabel = 'a'\n", "variants[0].changes: missing"),
        ("[[variants]]\naxis = 'policy'\nlabel = 'a'\nchanges = {}\n", "policy: is a column of the results"),
        (
            "[grid]\nhorizon.hours = [2]\n[[variants]]\nlabel = 'a'\nchanges = { horizon.hours = 3 }\n",
            "variant: sets horizon.hours, as axis horizon.hours does",
        ),
        (
            "[grid]\npolicies = [[{ use = 'hybrid' }]]\n",
            "cell 0 (policies = hybrid): policies[0].alpha: missing",
        ),
        (
            "[grid]\nname = ['small']\n[[variants]]\nlabel = 'a'\nchanges = {}\n"
            "[[variants]]\nlabel = 'b'\nchanges = { network.jitter_std_ms = 3 }\n",
            "is the same scenario as cell 0",
        ),
    ],
)
def test_faults_are_told_before_anything_is_run(
    tmp_path: Path, text: str, found: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = made(tmp_path, text)
    assert main(["study", "run", str(file), "--output", str(tmp_path / "out"), "--workers", "1"]) == 2
    said = capsys.readouterr().err
    assert found in said
    assert str(file) in said or "engine" in found or "until" in found
    assert not (tmp_path / "out").exists()


def test_a_fault_of_many_cells_is_told_once(tmp_path: Path) -> None:
    text = "[grid]\nhorizon.hours = [2, 0]\nsampling.seed = { from = 1, to = 20 }\n"
    with pytest.raises(InputError) as caught:
        cells.read(made(tmp_path, text))
    assert len(caught.value.faults) == 1
    assert "cell 20 (horizon.hours = 0, sampling.seed = 1)" in str(caught.value)


def test_rows_are_what_single_runs_find(tmp_path: Path) -> None:
    text = "[grid]\nnetwork.jitter_std_ms = [1, 8]\nsampling.seed = [5, 6]\n"
    tables = study.run(made(tmp_path, text), tmp_path / "out", workers=2)
    for jitter_ms, seed in itertools.product((1, 8), (5, 6)):
        changes = {"network.jitter_std_ms": jitter_ms, "sampling.seed": seed}
        alone = run_once(tmp_path / "small.toml", changes, engine="exact").tables.policies
        mine = tables.results.filter(
            pl.col("network.jitter_std_ms") == jitter_ms, pl.col("sampling.seed") == seed
        )
        columns = [name for name in alone.columns if name in mine.columns]
        assert mine.select(columns).equals(
            alone.select(columns).cast({"requests": pl.Float64, "rejected": pl.Float64})
        )


def test_seeds_are_averaged_with_their_intervals(tmp_path: Path) -> None:
    text = "[grid]\nnetwork.jitter_std_ms = [1, 8]\nsampling.seed = { from = 1, to = 4 }\n"
    tables = study.run(made(tmp_path, text), tmp_path / "out", workers=1)
    mine = tables.results.filter(pl.col("network.jitter_std_ms") == 8, policy="Hybrid (α=0.5)")
    row = tables.summary.filter(pl.col("network.jitter_std_ms") == 8, policy="Hybrid (α=0.5)").row(
        0, named=True
    )
    values = mine["avg_carbon_g_per_kwh"].to_list()
    mean = sum(values) / 4
    std = (sum((value - mean) ** 2 for value in values) / 3) ** 0.5
    assert row["n"] == 4
    assert row["avg_carbon_g_per_kwh"] == pytest.approx(mean)
    half_width = 3.182446305 * std / 2  # Student's t with 3 degrees of freedom, 97.5 %
    assert row["avg_carbon_g_per_kwh_low"] == pytest.approx(mean - half_width)
    assert row["avg_carbon_g_per_kwh_high"] == pytest.approx(mean + half_width)


def test_intervals_of_shares_go_no_further_than_shares_can() -> None:
    results = pl.DataFrame(
        {
            "status": "done",
            "sampling.seed": [1, 2],
            "policy": "Hybrid",
            "clairvoyant": False,
            "slo_violation_pct": [0.1, 3.0],
            "rejected_pct": [0.0, 0.0],
            "unlimited_slo_violation_pct": [100.0, 100.0],
            "carbon_reduction_pct": [-1.0, 3.0],
            "emissions_reduction_pct": [99.0, 99.9],
            "avg_wait_ms": [0.0, 1.0],
            "max_violation_pct": 5.0,
            "baseline": "Latency-First",
        }
    )
    axes = pl.DataFrame(
        {"axis": "sampling.seed", "label": ["1", "2"], "number": [1.0, 2.0], "averaged": True}
    )
    row = summary_of(results, axes).row(0, named=True)
    t = 12.706204736  # Student's, one degree of freedom, 97.5 %; times half of what lies between the two
    # As many trials would vary so much, less (1.96/t)² of them: 1.73, of which 0.0268 are violations.
    trials = 0.0155 * 0.9845 / (0.029 / 2) ** 2 * (1.959963985 / t) ** 2
    high = 100 * stats.beta.ppf(0.975, 0.0155 * trials + 1, 0.9845 * trials)
    assert 0 <= row["slo_violation_pct_low"] < 1e-9
    assert row["slo_violation_pct_high"] == pytest.approx(high)
    for same in ("rejected_pct", "unlimited_slo_violation_pct"):  # nothing says how rare the other is
        assert row[f"{same}_low"] is None
        assert row[f"{same}_high"] is None
    assert row["carbon_reduction_pct_low"] == pytest.approx(1 - t * 4 / 2)
    assert row["emissions_reduction_pct_high"] == 100
    assert row["avg_wait_ms_low"] == 0
    assert row["avg_wait_ms_high"] == pytest.approx(0.5 + t / 2)


def test_reductions_refer_to_the_baseline_that_is_asked_for(tmp_path: Path) -> None:
    text = 'baseline = "Hybrid (α=0.5)"\nmetrics = ["avg_carbon_g_per_kwh"]\n[grid]\nsampling.seed = [1, 2]\n'
    tables = study.run(made(tmp_path, text), tmp_path / "out", workers=1)
    assert "avg_latency_ms" not in tables.results.columns
    for _, cell in tables.results.group_by("cell"):
        reference = cell.filter(policy="Hybrid (α=0.5)")["avg_carbon_g_per_kwh"][0]
        expected = 100 * (1 - cell["avg_carbon_g_per_kwh"] / reference)
        assert cell["carbon_reduction_pct"].to_list() == pytest.approx(expected.to_list())
        assert set(cell["baseline"]) == {"Hybrid (α=0.5)"}


def test_what_was_found_is_shown_in_words_and_as_csv_and_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = made(tmp_path, "[grid]\nnetwork.jitter_std_ms = [1, 8]\nsampling.seed = [1, 2]\n")
    out = str(tmp_path / "out")
    assert main(["study", "run", str(file), "--output", out, "--workers", "1"]) == 0
    printed = capsys.readouterr().out
    assert main(["study", "show", out]) == 0
    assert capsys.readouterr().out in printed
    finding = json.loads((tmp_path / "out" / "manifest.json").read_text())["finding"]
    assert len(finding) >= 2
    assert all(sentence in printed for sentence in finding)
    tables = study.read(tmp_path / "out")
    assert main(["study", "show", out, "--csv"]) == 0
    assert pl.read_csv(capsys.readouterr().out.encode()).height == tables.results.height
    assert main(["study", "show", out, "--json"]) == 0
    whole = capsys.readouterr().out
    assert len(json.loads(whole)["results"]) == tables.results.height
    assert main(["study", "run", str(file), "--output", out, "--json"]) == 0
    assert capsys.readouterr().out == whole
    assert main(["study", "status", out]) == 0
    assert capsys.readouterr().out == "made: finished. 4 of 4 cells.\n"
    assert main(["study", "status", out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["done"] == 4


@pytest.mark.usefixtures("undrawn")
def test_a_study_writes_its_report_where_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = made(tmp_path, "[grid]\nsampling.seed = [1]\n")
    arguments = ["study", "run", str(file), "--output", str(tmp_path / "out"), "--workers", "1"]
    assert main(arguments) == 0
    assert not (tmp_path / "out/report.html").exists()
    assert main([*arguments, "--report"]) == 0
    assert (tmp_path / "out/report.html").is_file()
    assert "results.parquet and report.html." in capsys.readouterr().out


def test_the_finding_is_what_the_results_say(tmp_path: Path) -> None:
    tables = study.run(
        made(tmp_path, "[grid]\nnetwork.jitter_std_ms = [1, 8]\n"), tmp_path / "out", workers=1
    )
    honest = tables.results.filter(~pl.col("clairvoyant") & pl.col("viable"))
    best = honest.sort("carbon_reduction_pct", descending=True).row(0, named=True)
    first = tables.manifest["finding"][0]
    assert best["policy"] in first
    assert f"by {best['carbon_reduction_pct']:.1f} %" in first
    assert f"network.jitter_std_ms = {best['network.jitter_std_ms']}" in first


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = made(tmp_path, "[grid]\nsampling.seed = [1, 2]\n")
    of_run, of_study = str(tmp_path / "run"), str(tmp_path / "study")
    assert (
        main(["simulate", str(tmp_path / "small.toml"), "--no-figures", "--quiet", "--output", of_run]) == 0
    )
    before = {path: path.read_bytes() for path in Path(of_run).rglob("*") if path.is_file()}
    assert main(["study", "run", str(file), "--output", of_run]) == 2
    assert "holds a run, not a study" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in before} == before
    assert main(["study", "run", str(file), "--output", of_study, "--quiet"]) == 0
    for command in (["simulate", "--no-figures"], ["frontier", "published", "--sim-hours", "1"]):
        assert main([*command, "--output", of_study]) == 2
        assert "holds a study, not a run" in capsys.readouterr().err
    for verb in ("show", "status"):
        assert main(["study", verb, of_run]) == 2
    assert len(study.read(of_study).results) > 0


def test_workers_find_files_wherever_they_are_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path, "")
    monkeypatch.chdir(tmp_path)
    assert cells.read(Path("made.toml")).base.folder == tmp_path
