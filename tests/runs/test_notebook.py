"""What a notebook needs: figures in axes of one's own, and a worked example that works."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import polars as pl
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import carbonroute
from carbonroute.figures import FIGURES, SYNTHETIC_GEOGRAPHY, available
from carbonroute.figures.layout import figure_of
from carbonroute.figures.style import MUTED, TEXT_PT
from carbonroute.runs import Result
from helpers.grids import grid

NOTEBOOK = Path(__file__).parents[2] / "examples" / "notebook.ipynb"
SHOWN = "tradeoff_curve"


@pytest.fixture(scope="module")
def result() -> Result:
    return carbonroute.run("published", {"horizon.hours": 3})


@pytest.fixture
def places() -> list[Axes]:
    """Return two axes side by side, in matplotlib's own style."""
    page = Figure(figsize=(9, 3))
    FigureCanvasAgg(page)
    return list(page.subplots(1, 2))


def looks(ax: Axes) -> dict[str, Any]:
    """Return what a style decides in an axes, and what was drawn."""
    figure_of(ax).draw_without_rendering()
    labels = [*ax.get_xticklabels(), *ax.get_yticklabels(), ax.xaxis.label, ax.yaxis.label]
    spines = {
        side: (spine.get_visible(), spine.get_edgecolor(), spine.get_linewidth())
        for side, spine in ax.spines.items()
    }
    return {
        "title": " ".join(ax.get_title().split()),
        "sizes": {label.get_fontsize() for label in labels},
        "colours": {label.get_color() for label in labels},
        "mathematics": {label.get_parse_math() for label in labels},
        "spines": spines,
        "marks": len(ax.collections) + len(ax.lines) + len(ax.patches),
    }


def test_a_figure_in_given_axes_looks_as_in_its_own(result: Result, places: list[Axes]) -> None:
    left, right = places
    right.plot([1, 2], [3, 4], label="in the way")
    before = dict(mpl.rcParams)
    assert carbonroute.draw(SHOWN, result, right) is right
    assert dict(mpl.rcParams) == before
    assert not left.has_data()
    assert figure_of(right).axes == places
    own = looks(carbonroute.draw(SHOWN, result.tables))
    assert own["sizes"] == {TEXT_PT}
    assert looks(right) == own


@pytest.mark.parametrize("name", grid([name for name in FIGURES if name != SHOWN], one_of=3))
def test_every_figure_draws_into_given_axes(name: str, result: Result, places: list[Axes]) -> None:
    if name not in available(result):
        with pytest.raises(ValueError, match=f"no data for figure '{name}'; there are regional_"):
            carbonroute.draw(name, result, places[0])
        return
    assert carbonroute.draw(name, result, places[0]) is places[0]
    assert places[0].get_title()
    assert figure_of(carbonroute.draw(name, result)) is not figure_of(places[0])


def test_an_unknown_figure_is_refused(result: Result) -> None:
    with pytest.raises(ValueError, match="no figure 'pie'; there are regional_carbon_latency"):
        carbonroute.draw("pie", result)


def test_a_drawn_geography_is_said_once_below_given_axes(result: Result, places: list[Axes]) -> None:
    overview = result.tables.overview.with_columns(synthetic_geography=pl.lit(value=True))
    tables = replace(result.tables, overview=overview)
    page = figure_of(places[0])
    carbonroute.draw("carbon_heatmap", tables, places[0])
    assert page.get_supxlabel() == ""
    page.supxlabel("Mine")
    for ax in places:
        carbonroute.draw(SHOWN, tables, ax)
    assert page.get_supxlabel() == f"Mine\n{SYNTHETIC_GEOGRAPHY}"
    own = figure_of(carbonroute.draw(SHOWN, tables))
    (footer,) = own.texts
    assert " ".join(footer.get_text().split()) == SYNTHETIC_GEOGRAPHY
    assert footer.get_color() == MUTED


def cells(path: Path, kind: str) -> list[dict[str, Any]]:
    """Return a notebook's cells of a kind."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the example after all its cells were run, in a process and settings of their own."""
    folder = tmp_path_factory.mktemp("notebook")
    places = ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")
    environment = {**os.environ, **{name: str(folder / name.lower()) for name in places}}
    copy = folder / NOTEBOOK.name
    copy.write_bytes(NOTEBOOK.read_bytes())
    command = [sys.executable, "-m", "jupyter", "execute", "--timeout=600", "--inplace", copy.name]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=1200
    )
    assert done.returncode == 0, done.stderr
    return copy


def test_the_example_does_what_its_sentences_promise(executed: Path) -> None:
    run, table, figures, seeds, sure = ("".join(cell["source"]) for cell in cells(executed, "markdown"))
    given = [
        {kind: "".join(data) for kind, data in output["data"].items()}
        for cell in cells(executed, "code")
        for output in cell["outputs"]
        if "data" in output
    ]
    shown, policies, drawn, by_seed, intervals = given
    assert "shows its finding and its policies; † marks" in run
    assert "requests meet" in shown["text/html"]
    assert "Constrained Hybrid †" in shown["text/html"]
    assert "a polars DataFrame" in table
    assert "the cleanest on top" in table
    assert "shape: (7, 5)" in policies["text/plain"]
    assert re.findall(r"│ ([A-Z]\S+)", policies["text/plain"])[0] == "Carbon-First"
    assert "axes of yours" in figures
    assert "2 Axes" in drawn["text/plain"]
    assert len(drawn["image/png"]) > 20_000
    assert "a row per seed, a column per policy" in seeds
    assert "shape: (3, 8)" in by_seed["text/plain"]
    assert "ten runs" in sure
    assert intervals["text/plain"].count("t over 10 replications") == 7


def test_no_cell_of_the_example_complains(executed: Path) -> None:
    outputs = [output for cell in cells(executed, "code") for output in cell["outputs"]]
    complaints = ["".join(output["text"]) for output in outputs if output.get("name") == "stderr"]
    # What the kernel says of itself comes before the first cell's own.
    assert [text for text in complaints if not text.startswith("[IPKernelApp]")] == []
    assert "error" not in {output["output_type"] for output in outputs}


def test_the_example_is_kept_without_outputs() -> None:
    kept = cells(NOTEBOOK, "code")
    assert [(cell["outputs"], cell["execution_count"]) for cell in kept] == [([], None)] * 5
    assert set(json.loads(NOTEBOOK.read_text(encoding="utf-8"))["metadata"]) == {
        "kernelspec",
        "language_info",
    }
