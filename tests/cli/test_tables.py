"""Tables for papers: LaTeX that compiles, Markdown and CSV that read back, with the printed figures."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbonroute.cli import main
from carbonroute.report.text_tables import FORMATS, NumberText, TextColumn, TextTable, escaped
from carbonroute.runs.store import read_tables
from helpers import small

#: What LaTeX may come upon in text: commands, escapes, mathematics and plain characters.
TOKEN = re.compile(
    r"\\\([^()$&#%]*\\\)|\\[a-zA-Z]+(?:\d+)?(?:\{\})?|\\[&%$#_{}]|\\[`'^~=\".]\{[A-Za-z]\}|\\,|"
    r"\{[\[*]?\}|\{[A-Za-z]\}|\{U\+[0-9A-F]{4,6}\}|[ !'(),\-./0-9:;=?@A-Z\]a-z+`~]"
)


def compiles(text: str) -> bool:
    """Whether a cell is made of tokens that LaTeX takes in text, in ASCII."""
    return text.isascii() and re.fullmatch(f"(?:{TOKEN.pattern})*", text) is not None


@given(st.text())
def test_any_text_is_latex_in_ascii(text: str) -> None:
    assert compiles(escaped(text.replace("\x00", "").replace("\n", " ").replace("\t", " "))), escaped(text)


@pytest.mark.parametrize(
    ("text", "tex"),
    [
        ("a_b & 50 % #1 $x$ {y}", r"a\_b \& 50 \% \#1 \$x\$ \{y\}"),
        ("~home^2\\n", r"\textasciitilde{}home\textasciicircum{}2\textbackslash{}n"),
        ("Zürich, Gdańsk, Łódź, São Paulo", r"Z\"{u}rich, Gda\'{n}sk, \L{}\'{o}d\'{z}, S\~{a}o Paulo"),
        ("α ≤ 0.5 ± 1", r"\(\alpha\) \(\leq\) 0.5 \(\pm\) 1"),
        ("λΩΑο", r"\(\lambda\)\(\Omega\)Ao"),
        ("a--b", "a-{}-b"),
        ("[x] *y*", "{[}x] {*}y{*}"),
        ("東京 🌍", r"\texttt{U+6771}\texttt{U+4EAC} \texttt{U+1F30D}"),
        ("e\u0301", r"\'{e}"),
    ],
)
def test_names_are_escaped(text: str, tex: str) -> None:
    assert escaped(text) == tex
    assert compiles(tex)


TABLE = TextTable(
    "T",
    (TextColumn("Policy", numeric=False), TextColumn("Latency", "ms"), TextColumn("Share", "%")),
    (("[a|b] & c_d", NumberText("1.5", "1.5 ± 0.1", "1.4", "1.6"), NumberText("–", "–")),),
    ("50 % of it",),
)


def test_a_table_in_each_format() -> None:
    latex = FORMATS["latex"](TABLE)
    assert r"\begin{tabular}{lrr}" in latex
    assert r"Policy & Latency (ms) & Share (\%) \\" in latex
    assert r"{[}a\textbar{}b] \& c\_d & 1.5 \(\pm\) 0.1 & -- \\" in latex
    assert [latex.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 1, 1]
    assert FORMATS["markdown"](TABLE).splitlines()[2] == r"| \[a\|b\] & c\_d | 1.5 ± 0.1 | – |"
    rows = list(csv.reader(io.StringIO(FORMATS["csv"](TABLE))))
    assert rows[0] == ["Policy", "Latency (ms)", "Latency (ms) low", "Latency (ms) high", "Share (%)"]
    assert rows[1] == ["[a|b] & c_d", "1.5", "1.4", "1.6", ""]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    arguments = ["simulate", "published", "--sim-hours", "24", "--no-figures", "--quiet", "--output"]
    assert main([*arguments, str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    file = 'schema = 1\nname = "s"\nscenario = "published"\nengine = "exact"\n[changes]\nhorizon.hours = 6\n'
    grid = "[grid]\nnetwork.jitter_std_ms = [0, 3]\nsampling.seed = [1, 2]\n"
    (folder / "s.toml").write_text(file + grid, encoding="utf-8")
    assert main(["study", "run", str(folder / "s.toml"), "--output", str(folder / "out"), "--quiet"]) == 0
    return folder / "out"


def test_figures_of_a_run_are_those_of_its_csv(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tables", str(run), "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    with (run / "tables" / "simulation_results.csv").open(encoding="utf-8") as file:
        stated = list(csv.DictReader(file))
    assert len(rows) == len(stated) == 7
    for row, policy in zip(rows, stated, strict=True):
        assert row["Policy"].removesuffix(" †") == policy["policy"]
        assert row["Policy"].endswith("†") == (policy["clairvoyant"] == "true")
        assert row["Latency (ms)"] == policy["avg_latency_ms"]
        assert row["Violations (%)"] == policy["slo_violation_pct"]
        assert row["Reduction (%)"] == policy["carbon_reduction_pct"]
        assert float(row["Violations (%) low"]) <= float(row["Violations (%)"]) + 0.005
    assert main(["tables", str(run), "--format", "latex"]) == 0
    text = capsys.readouterr().out
    body = re.findall(r"^(?!%|\\)(.*) \\\\$", text, re.MULTILINE)
    assert len(body) == 8
    assert all(compiles(cell) for line in body for cell in re.split(r"(?<!\\)&", line))


def test_every_table_can_be_had_in_every_format(
    run: Path, study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder, names in (
        (run, ["policies", "workloads", "routing", "carbon", "rtt", "intervals"]),
        (study, ["summary", "results"]),
    ):
        for name in names:
            for form in FORMATS:
                file = tmp_path / f"{name}.{form}"
                arguments = ["tables", str(folder), "--table", name, "--format", form, "--output", str(file)]
                assert main(arguments) == 0
                assert file.read_text(encoding="utf-8").count("\n") >= 4
        assert main(["tables", str(folder), "--table", "polices"]) == 2
        headings = file.read_text(encoding="utf-8").partition("\n")[0].split(",")
        assert len(set(headings)) == len(headings)
        assert "Requests or replications" in headings or folder == study
        assert "--table: there is none called 'polices'" in capsys.readouterr().err
    assert main(["tables", str(tmp_path)]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_study_s_summary_has_intervals_over_its_seeds(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tables", str(study)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(
        r"| network.jitter\_std\_ms | Policy | Latency (ms) | P95 (ms) | Violations (%) |"
    )
    assert len(lines) >= 2 + 2 * 7
    assert any("±" in line for line in lines)


@pytest.mark.usefixtures("few_drawn")
def test_figures_for_a_paper_have_no_sentence_above_them(run: Path, study: Path) -> None:
    for command in (["figures", str(run)], ["study", "figures", str(study)]):
        folder = Path(command[-1]) / "graphs"
        assert main([*command, "--format", "svg", "--quiet"]) == 0
        house = {path.name: path.read_text(encoding="utf-8") for path in folder.rglob("*.svg")}
        assert main([*command, "--format", "svg", "--style", "paper", "--quiet"]) == 0
        paper = {path.name: path.read_text(encoding="utf-8") for path in folder.rglob("*.svg")}
        assert house.keys() == paper.keys()
        for name, text in paper.items():
            width = re.search(r'<svg [^>]*width="([\d.]+)pt"', text)
            assert width is not None
            assert float(width[1]) <= 3.5 * 72 + 0.01, name
            assert text != house[name]


WATTS = 'energy_j = {energy}\nenergy_source = "a meter"\n'


@pytest.mark.parametrize(
    ("energy", "unit", "per_kg"), [(3.6e6, "kg", 1.0), (3.6e3, "g", 1e3), (1e8, "t", 1e-3)]
)
def test_masses_have_the_unit_that_fits(
    energy: float, unit: str, per_kg: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """300 requests of 1 kWh at 50 to 400 g/kWh are 15 to 120 kg; a thousandth of it is as many grams."""
    changes = ((f"slo_ms = {slo}", f"{WATTS.format(energy=energy)}slo_ms = {slo}") for slo in (100, 300))
    run = tmp_path / "run"
    arguments = ["simulate", str(small.write(tmp_path, *changes)), "--no-figures", "--quiet", "--output"]
    assert main([*arguments, str(run)]) == 0
    total_kg = read_tables(run).policies["total_kg"].to_list()
    for form, column in (("markdown", f"| Emissions ({unit}) |"), ("latex", f"& Emissions ({unit}) &")):
        assert main(["tables", str(run), "--format", form]) == 0
        assert column in capsys.readouterr().out
    assert main(["tables", str(run), "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    shown = [float(row[f"Emissions ({unit})"]) for row in rows]
    assert shown == pytest.approx([kg * per_kg for kg in total_kg], rel=0.01)
    assert all(1 <= max(shown) < 1000 for _ in shown)


def test_each_workload_has_a_percentile_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    arguments = ["simulate", str(small.write(tmp_path)), "--no-figures", "--quiet", "--output"]
    assert main([*arguments, str(run)]) == 0
    assert main(["tables", str(run)]) == 0
    shown = capsys.readouterr().out
    assert "P95" not in shown
    assert "--table workloads" in shown
    assert main(["tables", str(run), "--table", "workloads"]) == 0
    assert "| P95 (ms) |" in capsys.readouterr().out
