"""Tables, manifests and digests that are not what we wrote are refused, by every command that reads them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from carbonroute import study
from carbonroute.cli import main
from carbonroute.metrics import Tables
from carbonroute.metrics.shapes import SHAPES
from carbonroute.runs.manifest import read_manifest
from carbonroute.runs.store import read_tables
from helpers.damage import draw_nothing, made_run, made_study, own_table, refused, restated, sealed
from helpers.grids import grid
from helpers.refusals import content


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a place with a scenario and, in ``out``, its run; to be copied."""
    return made_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a place with a study and, in ``out``, its results; to be copied."""
    return made_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no figures into reports."""
    draw_nothing(monkeypatch)


def other_type(table: pl.DataFrame) -> pl.DataFrame:
    """Return a table whose last column that is no text has become text."""
    kinds = table.schema.items()
    name = [name for name, kind in kinds if kind not in (pl.String, pl.List(pl.String))][-1]
    return table.with_columns(pl.col(name).cast(pl.String))


def escaped(table: pl.DataFrame) -> pl.DataFrame:
    """Return a table with an escape in a name, wherever the name stands."""
    name = next(name for name in table.columns if name in {"policy", "region"})
    return table.with_columns(pl.col(name).replace({table[name].drop_nulls()[0]: "\x1b[31m"}))


def without_values(name: str, table: pl.DataFrame) -> pl.DataFrame:
    """Return a table with nulls in a column."""
    return table.with_columns(pl.lit(None, table[name].dtype).alias(name))


def with_times(times: pl.Expr, table: pl.DataFrame) -> pl.DataFrame:
    """Return a table with other times."""
    return table.with_columns(times.alias("time"))


#: Damages of any table, of such as have a row per combination of names, and of numbers.
DAMAGES: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
    "a column of another type": other_type,
    "numbers instead of what is first": lambda it: it.with_columns(pl.lit(1.5).alias(it.columns[0])),
    "a column less": lambda it: it.drop(it.columns[-1]),
    "a column more": lambda it: it.with_columns(more=pl.lit(1)),
    "columns in another order": lambda it: it.select(it.columns[::-1]),
    "no columns": lambda it: it.select([]),
}
ROWS: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
    "a null where a name belongs": lambda it: it.with_columns(
        pl.lit(None, it.dtypes[0]).alias(it.columns[0])
    ),
    "a row less": lambda it: it.head(it.height - 1),
    "a row twice": lambda it: pl.concat([it, it.head(1)]),
    "no rows": lambda it: it.clear(),
    "escapes": escaped,
}
NUMBERS = {"NaN": float("nan"), "infinite": float("inf"), "huge": 1e300, "below 0": -1.0}


@pytest.mark.parametrize(("damage", "third"), grid(DAMAGES, range(3), one_of=3))
def test_tables_of_a_run_that_are_none_of_ours_are_refused(
    damage: str, third: int, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in list(SHAPES)[third::3]:
        if (run / "out" / f"data/{name}.parquet").exists():
            out = shutil.copytree(run / "out", tmp_path / name)
            path = own_table(out, f"data/{name}.parquet", DAMAGES[damage])
            for command in ("figures", "report"):
                refused([command, str(out)], capsys, f"{path}: ", "run `carbonroute simulate` again")


@pytest.mark.parametrize(
    ("name", "damage"), grid(["policies", "routing", "workloads", "carbon", "rtt"], ROWS, one_of=2)
)
def test_tables_of_a_run_that_do_not_go_together_are_refused(
    name: str, damage: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = shutil.copytree(run / "out", tmp_path / "out")
    own_table(out, f"data/{name}.parquet", ROWS[damage])
    for command in ("figures", "report"):
        refused([command, str(out)], capsys, "run `carbonroute simulate` again")


@pytest.mark.parametrize(
    ("name", "half"),
    grid(["policies", "routing", "workloads", "carbon", "rtt", "overview", "intervals"], range(2), one_of=2),
)
def test_a_null_where_a_run_has_a_value_is_refused(
    name: str, half: int, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = f"data/{name}.parquet"
    for column in sorted(SHAPES[name].required)[half::2]:
        out = shutil.copytree(run / "out", tmp_path / column)
        path = own_table(out, file, partial(without_values, column))
        refused(["report", str(out)], capsys, f"{path}: column '{column}' holds None in row 0")


@pytest.mark.parametrize(
    ("place", "number"),
    grid(
        [
            "policies avg_latency_ms",
            "routing share",
            "carbon carbon_g_per_kwh",
            "rtt rtt_ms",
            "latency_cdf latency_ms",
            "intervals confidence",
        ],
        NUMBERS,
        one_of=2,
    ),
)
def test_numbers_that_no_run_has_are_refused(
    place: str, number: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, column = place.split()
    out = shutil.copytree(run / "out", tmp_path / "out")
    wrong = pl.lit(NUMBERS[number]).alias(column)
    path = own_table(out, f"data/{name}.parquet", lambda it: it.with_columns(wrong))
    refused(["figures", str(out)], capsys, f"{path}: column '{column}' holds ")


def test_times_that_do_not_go_with_their_hours_are_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, time in enumerate((pl.lit(None), pl.lit(2**61), pl.col("time").cast(pl.Int64).sort())):
        out = shutil.copytree(run / "out", tmp_path / str(number))
        wrong = pl.when(pl.col("hour") == 1).then(time).otherwise(0).cast(pl.Datetime("us", "UTC"))
        own_table(out, "data/carbon.parquet", partial(with_times, wrong))
        refused(["report", str(out)], capsys, "table carbon has times that are not an hour apart")


def test_a_table_of_much_text_is_not_read(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = shutil.copytree(run / "out", tmp_path / "out")
    much = pl.lit("x" * 20_000).alias("step")
    path = own_table(out, "data/saving.parquet", lambda it: it.clear(40_000).with_columns(much))
    assert path.stat().st_size < 200_000
    refused(["report", str(out)], capsys, f"{path}: has 800,000,000 bytes of text")


def test_every_table_has_a_shape(run: Path) -> None:
    assert list(SHAPES) == [field.name for field in fields(Tables)]
    assert read_tables(run / "out").policies.height == 3


@pytest.mark.parametrize("damage", sorted({**DAMAGES, **ROWS}.keys() - {"a row less"}))
def test_results_of_a_study_that_are_none_of_ours_are_refused(
    damage: str, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = shutil.copytree(finished, tmp_path / "study")
    out = str(place / "out")
    path = own_table(place / "out", "results.parquet", {**DAMAGES, **ROWS}[damage])
    for words in (["study", "show", out], ["report", out]):
        refused(words, capsys, f"{path}: ", "`carbonroute study run` makes it again from its journal")
    (place / "out" / "manifest.json").unlink()
    assert main(["study", "run", str(place / "study.toml"), "--output", out, "--quiet"]) == 0
    assert study.read(out).results.equals(study.read(finished / "out").results)


FACTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "no finding": lambda it: it.pop("finding"),
    "finding: a text": lambda it: it.update(finding="x"),
    "cells: another number": lambda it: it.update(cells=5),
    "cells: huge": lambda it: it.update(cells=10**300),
    "axes: none": lambda it: it.update(axes=[]),
    "axes: null": lambda it: it.update(axes=None),
    "an axis without a label": lambda it: it["axes"][0].pop("label"),
    "an axis with another number": lambda it: it["axes"][0].update(number=7.0),
    "an axis of another name": lambda it: it["axes"][0].update(axis="x"),
    "an axis of escapes": lambda it: it["axes"][0].update(label="\x1b[31m"),
    "failed: a cell": lambda it: it["failed"].append({"cell": 0, "where": "x", "error": "y"}),
    "failed: integers": lambda it: it.update(failed=[1]),
    "metrics: unknown": lambda it: it["metrics"].append("x"),
    "metrics: one less": lambda it: it["metrics"].remove("avg_latency_ms"),
    "notes: null": lambda it: it.update(notes=[None]),
    "about: a text": lambda it: it.update(about="x"),
    "versions: integers": lambda it: it.update(versions={"python": 3}),
    "outputs: an integer": lambda it: it["outputs"].update({"results.parquet": 1}),
    "outputs: none": lambda it: it.update(outputs={}),
    "kind: another": lambda it: it.update(kind="x"),
}


@pytest.mark.parametrize("kind", FACTS)
def test_a_study_s_manifest_of_other_content_is_refused(
    kind: str, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = shutil.copytree(finished / "out", tmp_path / "out")
    sealed(out, FACTS[kind])
    for words in (["study", "show", str(out)], ["report", str(out)]):
        refused(words, capsys)


HALF = {
    "workloads": {},
    "pue": {"A": 1.0},
    "hardware_factor": {},
    "network_energy_j_per_gb": 0.0,
    "sources": {},
}
RUN_FACTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "no engine": lambda it: it.pop("engine"),
    "engine: null": lambda it: it.update(engine=None),
    "seeds: none": lambda it: it.update(seeds=[]),
    "seeds: texts": lambda it: it.update(seeds=["1"]),
    "max_violation_pct: a text": lambda it: it.update(max_violation_pct="5"),
    "carbon: null": lambda it: it.update(carbon=None),
    "carbon: without cleaning": lambda it: it["carbon"].pop("cleaning"),
    "traffic: a list": lambda it: it.update(traffic=[1]),
    "knowledge: 1": lambda it: it.update(knowledge=1),
    "factors: half": lambda it: it.update(factors={"workloads": {}}),
    "factors: of other regions": lambda it: it.update(factors=HALF),
    "scenario: a text": lambda it: it.update(scenario="x"),
    "description: 1": lambda it: it["scenario"].update(description=1),
    "versions: a list": lambda it: it.update(versions=[]),
    "inputs: no digest": lambda it: it.update(inputs={"x": "y"}),
    "command: 1": lambda it: it.update(command=1),
}


@pytest.mark.parametrize("kind", RUN_FACTS)
def test_a_run_s_manifest_of_other_content_makes_no_report(
    kind: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = shutil.copytree(run / "out", tmp_path / "out")
    sealed(out, RUN_FACTS[kind])
    refused(["report", str(out)], capsys, f"{out / 'manifest.json'}: ")


@pytest.mark.parametrize("how", ["changed", "removed"])
def test_a_file_that_is_not_what_the_manifest_says_is_named_with_the_command_that_mends_it(
    how: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = shutil.copytree(run, tmp_path / "run") / "out"
    assert main(["report", str(whole)]) == 0
    added = {
        "graphs/carbon_traces.png": "figures",
        "graphs/pareto_front.svg": "frontier",
        "policy.toml": "frontier",
        "tables/headroom.csv": "headroom",
    }
    (whole / "graphs").mkdir()
    for name in added:
        (whole / name).write_bytes(b"made")
        restated(whole, name)
    commands = {"report.html": "report", **added}
    capsys.readouterr()
    for name in read_manifest(whole)["outputs"]:
        out = shutil.copytree(whole, tmp_path / "copy")
        if how == "changed":
            (out / name).write_bytes((out / name).read_bytes() + b" ")
        else:
            (out / name).unlink()
        state = "does not match the manifest" if how == "changed" else "is missing"
        writer = commands.get(name, "simulate")
        for command in ("report", "figures"):
            if how == "changed" or command != writer:
                refused([command, str(out)], capsys, f"{out / name}: {state}; ", f"`carbonroute {writer}`")
        shutil.rmtree(out)


def test_what_a_command_writes_itself_may_be_missing_and_is_made_again(run: Path, tmp_path: Path) -> None:
    out = shutil.copytree(run / "out", tmp_path / "out")
    assert main(["report", str(out)]) == 0
    before = content(out)
    (out / "report.html").unlink()
    assert main(["report", str(out)]) == 0
    assert content(out) == before
