"""A policy of one's own on the command line: a template, its check, and its run."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from carbonroute.cli import main
from carbonroute.policies import POLICIES
from carbonroute.scenario import builtin_scenarios, load


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def checked(use: str, capsys: pytest.CaptureFixture[str], code: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["policies", "--check", use, "--json"]) == code
    captured = capsys.readouterr()
    assert captured.err == ""
    document: dict[str, Any] = json.loads(captured.out)
    return document


def test_the_template_passes_its_check_and_runs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--policy", "mine.py"]) == 0
    assert "carbonroute policies --check mine.py:MyPolicy" in capsys.readouterr().out
    report = checked("mine.py:MyPolicy", capsys)
    assert report["kept"] is True
    assert report["reads"] == ["carbon_g_per_kwh", "rtt_ms"]
    assert (report["declared"], report["clairvoyant"], report["deterministic"]) == (None, False, True)
    assert main(["init", "mine.toml", "--from", "published"]) == 0
    entry = (here / "mine.py").read_text(encoding="utf-8").split("\n\n")[2].splitlines()[:3]
    with (here / "mine.toml").open("a", encoding="utf-8") as file:  # as the template itself says
        file.write("\n" + "\n".join(line.strip() for line in entry) + "\n")
    capsys.readouterr()
    arguments = ["simulate", "mine.toml", "--sim-hours", "24", "--no-figures", "--output", "out", "--json"]
    assert main(arguments) == 0
    rows = (here / "out" / "tables" / "simulation_results.csv").read_text(encoding="utf-8").splitlines()
    assert [row.split(",")[1] for row in rows if row.startswith("Cleanest within 80 ms")] == ["false"]


def test_a_template_replaces_nothing_and_is_a_file_of_python(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "mine.py").write_text("kept", encoding="utf-8")
    for arguments, words in (
        (["--policy", "mine.py"], "is there already"),
        (["--policy", "mine.txt"], "a file of Python is expected, such as my_policy.py"),
        (["a.toml", "--policy", "other.py"], "write one file at a time"),
        (["a.toml", "--name", " "], "1 to 100 printable characters"),
    ):
        assert main(["init", *arguments]) == 2
        assert words in " ".join(capsys.readouterr().err.split())
    assert [path.name for path in here.iterdir()] == ["mine.py"]
    assert (here / "mine.py").read_text(encoding="utf-8") == "kept"


@pytest.mark.parametrize("source", builtin_scenarios())
def test_a_copy_does_not_have_the_name_of_the_original(source: str, here: Path) -> None:
    for file, options, name in (
        ("mine.toml", [], "mine"),
        (f"{source}.toml", [], f"{source}-copy"),
        ("b.toml", ["--name", 'a "quoted" \\ name'], 'a "quoted" \\ name'),
    ):
        assert main(["init", file, "--from", source, *options]) == 0
        copy = load(here / file)
        assert copy.name == name
        assert copy.policies == load(source).policies


#: Bodies of `cost`, what a report says of each, and a word of its remedy.
BROKEN = {
    "raises": ("        return view.price", "policy-raised", "mend the line"),
    "shape": ("        return view.rtt_ms.min(axis=-1)", "policy-answer", "in the shape of view.rtt_ms"),
    "NaN": ("        return view.rtt_ms * float('nan')", "policy-answer", "+inf is not eligible"),
    "batch": ("        return abs(view.rtt_ms - view.rtt_ms.mean())", "policy-batch", "along the last axis"),
    "order": (
        "        cost = view.rtt_ms * 0\n        cost[..., 1:] = 1\n        return cost",
        "policy-permutation",
        "not by their places",
    ),
    "dice": (
        "        import random\n        return view.rtt_ms * random.random()",
        "policy-dice",
        "draw nothing",
    ),
    "state": (
        "        self.n = getattr(self, 'n', 0) + 1\n        return view.rtt_ms * (-1) ** self.n",
        "policy-determinism",
        "keep nothing between two calls",
    ),
    "in place": (
        "        view.rtt_ms[...] = 1\n        return view.carbon_g_per_kwh",
        "policy-input",
        "copies",
    ),
    "jitter": ("        return view.rtt_ms + view.jitter_ms", "policy-unfit", "set oracle = True"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_contract_is_told_with_its_remedy_and_ends_with_1(
    kind: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    body, fault, remedy = BROKEN[kind]
    (here / "bad.py").write_text(
        f"class Bad:\n    name = 'Bad'\n    def cost(self, view):\n{body}\n", "utf-8"
    )
    report = checked("bad.py:Bad", capsys, code=1)
    faults = {each["id"]: each for each in report["faults"]}
    assert remedy in faults[fault]["remedy"]
    assert report["kept"] is False
    if kind in {"raises", "jitter"}:
        assert faults["policy-raised"]["line"] == 4
        assert report["deterministic"] is None
    assert (report["deterministic"] is False) == (kind in {"dice", "state"})
    assert main(["policies", "--check", "bad.py:Bad"]) == 1
    assert remedy in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("class Bad:\n    def cost(self, view)\n        return 1\n", "line 2: bad.py fails when it is run"),
        ("import numpy as np\n\nnp.nothing\nclass Bad: pass\n", "line 3: bad.py fails when it is run"),
        ("class Good:\n    pass\n", "has no class 'Bad'; Known: Good"),
        ("class Bad:\n    pass\n", "has no method cost(view); a policy returns a cost per region"),
        (
            "class Bad:\n    def weights(self, view): pass\n",
            "cost(view); splits = True is for classes that return",
        ),
        (
            "class Bad:\n    splits = True\n    def cost(self, view): pass\n",
            "has no method weights(view); splits",
        ),
        (
            "class Bad:\n    def __init__(self, k): pass\n    def cost(self, view): pass\n",
            "cannot be made (TypeError: Bad.__init__() missing 1 required positional argument: 'k'); give",
        ),
        (None, "there is no file bad.py"),
    ],
)
def test_a_file_that_does_not_load_ends_with_2_and_the_line(
    code: str | None, words: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if code is not None:
        (here / "bad.py").write_text(code, encoding="utf-8")
    assert main(["policies", "--check", "bad.py:Bad", "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in " ".join(captured.err.split())


def test_a_file_in_any_folder_and_every_built_in_can_be_checked(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "sub").mkdir()
    assert main(["init", "--policy", "sub/own.py"]) == 0
    for place in ("sub/own.py", str(here / "sub" / "own.py")):
        assert checked(f"{place}:MyPolicy", capsys)["use"] == f"{place}:MyPolicy"
    assert checked("latency-first", capsys)["declared"] == ["rtt_ms"]
    assert checked("clairvoyant-bound", capsys)["clairvoyant"] is True
    assert checked("constrained-hybrid", capsys)["breaks"] is True
    assert main(["policies", "--check", "nearest-greenest"]) == 0  # it has no defaults: its examples
    assert "Nearest-Greenest (1)" in capsys.readouterr().out
    assert checked("nearest-greenest:2", capsys)["policy"] == "Nearest-Greenest (2)"


@pytest.mark.parametrize(
    ("use", "words"),
    [
        ("nearest-greenest:two", "'nearest-greenest:<k>' with a number is expected"),
        ("nearest-greenest:0", "k: found 0"),
        ("latency-first:2", "'latency-first' needs no number"),
    ],
)
def test_a_number_behind_a_name_is_refused_as_in_a_scenario(
    use: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["policies", "--check", use]) == 2
    assert words in capsys.readouterr().err


def test_the_list_is_data_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policies", "--json"]) == 0
    listed = {each["use"]: each for each in json.loads(capsys.readouterr().out)}
    assert set(POLICIES.members) <= set(listed)
    assert "alpha" in listed["hybrid"]["parameters"]


@pytest.mark.parametrize("arguments", [["init"], ["init", "--policy"]])
def test_the_command_that_is_named_next_runs_as_it_is_pasted(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A name with a space and a quote is one word of the command."""
    assert main([*arguments, "it's mine.py" if "--policy" in arguments else "it's mine.toml"]) == 0
    words = shlex.split(capsys.readouterr().out.partition("Next: carbonroute ")[2])
    assert words[0] in {"simulate", "policies"}
    assert main(words if words[0] == "policies" else ["validate", *words[1:]]) == 0
