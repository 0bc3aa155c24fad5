"""Policies that cannot be used: refused by their name, and never run from elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from carbonroute.cli import main
from helpers import small
from helpers.refusals import Refusals

#: A policy of one's own, as it should be.
GOOD = """
class Mine:
    name = "Mine"

    def cost(self, view):
        return view.rtt_ms
"""


def write(folder: Path, code: str | bytes, use: str = "mine.py:Mine", keys: str = "") -> Path:
    (folder / "mine.py").write_bytes(code.encode() if isinstance(code, str) else code)
    return small.write(folder, ('use = "hybrid"\nalpha = 0.5', f'use = "{use}"\n{keys}'))


def changed(*changes: small.Change) -> str:
    return small.changed(GOOD, *changes)


def test_a_good_policy_runs(tmp_path: Path) -> None:
    assert (
        main(
            [
                "simulate",
                str(write(tmp_path, GOOD)),
                "--no-figures",
                "--quiet",
                "--output",
                str(tmp_path / "o"),
            ]
        )
        == 0
    )
    assert not (tmp_path / "__pycache__").exists()


USE = "policies[1].use: "
#: Code of mine.py, reference, more keys, and words of the message.
AT_LOAD: dict[str, tuple[str | bytes, str, str, tuple[str, ...]]] = {
    "no such file": (GOOD, "mein.py:Mine", "", (f"{USE}there is no file mein.py", "did you mean 'mine.py'?")),
    "no such class": (
        GOOD,
        "mine.py:Mien",
        "",
        (f"{USE}mine.py has no class 'Mien'", "did you mean 'Mine'?"),
    ),
    "no class named": (GOOD, "mine.py", "", (f"{USE}there is no policy 'mine.py'", "file.py:Class")),
    "a function": (
        "def Mine(): ...",
        "mine.py:Mine",
        "",
        (f"{USE}mine.py has no class 'Mine'", "Known: none"),
    ),
    "no cost": (
        changed(("cost", "price")),
        "mine.py:Mine",
        "",
        (f"{USE}'mine.py:Mine' has no method cost(view)", "a policy returns a cost"),
    ),
    "weights without saying that it splits": (
        changed(("def cost", "def weights")),
        "mine.py:Mine",
        "",
        (
            f"{USE}'mine.py:Mine' has no method cost(view)",
            "splits = True is for policies that return weights",
        ),
    ),
    "splitting without weights": (
        changed(('name = "Mine"', 'name = "Mine"\n    splits = True')),
        "mine.py:Mine",
        "",
        (f"{USE}'mine.py:Mine' has no method weights(view)", "splits = True is for policies that return"),
    ),
    "traffic that is not looked at as a whole": (
        changed(('name = "Mine"', 'name = "Mine"\n    reads = {"rtt_ms", "traffic_share"}')),
        "mine.py:Mine",
        "",
        (f"{USE}'mine.py:Mine' reads traffic_share, which only joint policies are shown", "set joint = True"),
    ),
    "turns of whole hours": (
        changed(('name = "Mine"', 'name = "Mine"\n    joint = True\n    reads = {"turn"}')),
        "mine.py:Mine",
        "",
        (f"{USE}'mine.py:Mine' reads turn, which tells requests of a cell apart", "are asked about cells"),
    ),
    "reads of the object": (
        changed(("    def cost", "    @property\n    def reads(self): return {'price'}\n    def cost")),
        "mine.py:Mine",
        "",
        (f"{USE}'mine.py:Mine' reads 'price', which no view has", "Known: "),
    ),
    "reads that fail": (
        changed(("    def cost", "    @property\n    def reads(self): return {}['price']\n    def cost")),
        "mine.py:Mine",
        "",
        ("policies[1]: 'mine.py:Mine' cannot be made (KeyError: 'price')", "mend it or its keys"),
    ),
    "a folder": (GOOD, "folder.py:Mine", "", (f"{USE}folder.py is a directory", "name a file")),
    "a pipe of bytes": (
        GOOD,
        "/dev/zero.py:Mine",
        "",
        (f"{USE}/dev/zero.py lies outside the scenario's folder", "put the file beside"),
    ),
    "outside": (
        GOOD,
        "../evil.py:Mine",
        "",
        (f"{USE}../evil.py lies outside the scenario's folder", "put the file beside"),
    ),
    "outside by a link": (
        GOOD,
        "link.py:Mine",
        "",
        (f"{USE}link.py lies outside the scenario's folder", "put the file beside"),
    ),
    "outside by detours": (
        GOOD,
        "folder.py/../../evil.py:Mine",
        "",
        (f"{USE}folder.py/../../evil.py lies outside", "put the file beside"),
    ),
    "a link to itself": (GOOD, "loop.py:Mine", "", (f"{USE}cannot read loop.py", "beside the scenario")),
    "a name too long": (
        GOOD,
        "a" * 5000 + ".py:Mine",
        "",
        (f"{USE}cannot read aaa", "aaa…; name the policy's file beside the scenario"),
    ),
    "a name with a NUL": (
        GOOD,
        "a\\u0000.py:Mine",
        "",
        (f"{USE}cannot read a\\x00.py", "beside the scenario"),
    ),
    "wrong syntax": (
        "class Mine\n",
        "mine.py:Mine",
        "",
        (f"{USE}mine.py fails when it is run (SyntaxError: ", "line 1", "mend the policy"),
    ),
    "NUL in the code": (
        b"\0",
        "mine.py:Mine",
        "",
        (f"{USE}mine.py fails when it is run (", "null bytes", "mend the policy"),
    ),
    "Latin-1 in the code": (
        "x = 'ä'".encode("latin-1"),
        "mine.py:Mine",
        "",
        (f"{USE}mine.py fails when it is run (SyntaxError: ", "mend the policy"),
    ),
    "fails at import": (
        "x = 1\nx / 0\n",
        "mine.py:Mine",
        "",
        (f"{USE}mine.py fails when it is run (line 2: ZeroDivisionError: ", "mend the policy"),
    ),
    "leaves at import": (
        "import sys\nsys.exit(0)\n",
        "mine.py:Mine",
        "",
        (f"{USE}mine.py fails when it is run (line 2: SystemExit: 0)", "mend the policy"),
    ),
    "imports what is not there": (
        "import nothing_like_it\n",
        "mine.py:Mine",
        "",
        ("line 1: ModuleNotFoundError: ", "mend the policy"),
    ),
    "calls itself without end": (
        "def f(): f()\nf()\n",
        "mine.py:Mine",
        "",
        ("line 1: RecursionError: ", "mend the policy"),
    ),
    "no such package": (
        GOOD,
        "nothing_like_it:Mine",
        "",
        (f"{USE}cannot import 'nothing_like_it' (ModuleNotFoundError: ", "file.py:Class"),
    ),
    "no such class in a package": (
        GOOD,
        "carbonroute.policies:Hibrid",
        "",
        (f"{USE}carbonroute.policies has no class 'Hibrid'", "did you mean 'Hybrid'?"),
    ),
    "a relative package": (
        GOOD,
        ".policies:Mine",
        "",
        (f"{USE}cannot import '.policies' (TypeError: ", "file.py:Class"),
    ),
    "no package": (GOOD, ":Mine", "", (f"{USE}cannot import '' (ValueError: ", "file.py:Class")),
    "a class of another kind": (
        GOOD,
        "fractions:Fraction",
        "",
        (f"{USE}'fractions:Fraction' has no method cost(view)", "a policy returns"),
    ),
    "unknown parameter": (
        GOOD,
        "mine.py:Mine",
        "weight = 1",
        ("policies[1].weight: 'mine.py:Mine' has no such parameter", "Known: none"),
    ),
    "missing parameter": (
        changed(("    def cost", "    def __init__(self, weight): ...\n    def cost")),
        "mine.py:Mine",
        "",
        ("policies[1].weight: missing", "'mine.py:Mine' needs it"),
    ),
    "refused parameter": (
        changed(
            (
                "    def cost",
                "    def __init__(self, weight):\n        raise ValueError('too heavy')\n    def cost",
            )
        ),
        "mine.py:Mine",
        "weight = 9",
        ("policies[1]: 'mine.py:Mine' cannot be made (ValueError: too heavy)", "mend it or its keys"),
    ),
    "parameter by place alone": (
        changed(("    def cost", "    def __init__(self, weight, /): ...\n    def cost")),
        "mine.py:Mine",
        "weight = 9",
        ("policies[1]: 'mine.py:Mine' cannot be made (TypeError: ", "mend it or its keys"),
    ),
    "a name that fails": (
        changed(('    name = "Mine"', "    @property\n    def name(self):\n        raise KeyError('x')")),
        "mine.py:Mine",
        "",
        ("policies[1]: 'mine.py:Mine' cannot be made (KeyError: 'x')", "mend it or its keys"),
    ),
    "a name of two lines": (
        changed(('"Mine"', '"Mine\\n"')),
        "mine.py:Mine",
        "",
        (f"{USE}'mine.py:Mine' has a name that cannot be shown, 'Mine\\n'", "1 to 100 printable characters"),
    ),
    "another's name": (
        changed(('"Mine"', '"Latency-First"')),
        "mine.py:Mine",
        "",
        ("policies[1].label: 'Latency-First' stands at [0] too", "names must differ"),
    ),
    "messages of many lines": (
        "raise ValueError('a\\n\\x1b[31mb')\n",
        "mine.py:Mine",
        "",
        ("ValueError: a\\n\\x1b[31mb)", "mend the policy"),
    ),
}


@pytest.mark.parametrize("name", AT_LOAD)
def test_what_is_no_policy_is_refused(name: str, tmp_path: Path, refused: Refusals) -> None:
    code, use, keys, words = AT_LOAD[name]
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "folder.py").mkdir()
    (folder / "loop.py").symlink_to("loop.py")
    (folder / "link.py").symlink_to("../evil.py")
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n{GOOD}", encoding="utf-8")
    refused(write(folder, code, use, keys), *words)
    assert not (tmp_path / "ran").exists()


def test_a_class_that_is_no_policy_is_not_made(tmp_path: Path, refused: Refusals) -> None:
    """A scenario file alone must not start programs."""
    keys = f'args = ["touch", "{tmp_path / "ran"}"]'
    refused(
        write(tmp_path, GOOD, "subprocess:Popen", keys),
        "'subprocess:Popen' has no method cost(view)",
        "a policy",
    )
    assert not (tmp_path / "ran").exists()


def returning(expression: str) -> str:
    return changed(("return view.rtt_ms", f"return {expression}"))


def doing(statement: str) -> str:
    return changed(("return view.rtt_ms", f"{statement}\n        return view.rtt_ms"))


AT_RUN: dict[str, tuple[str, tuple[str, ...]]] = {
    "raises": (doing("raise KeyError('zone')"), ("KeyError: 'zone'",)),
    "raises many lines": (doing("raise ValueError('a\\nb')"), ("ValueError: a\\nb",)),
    "NaN": (
        returning("view.rtt_ms * float('nan')"),
        ("cost is NaN; +inf marks a region that is not eligible",),
    ),
    "wrong shape": (
        returning("view.rtt_ms[..., :1]"),
        ("cost has shape (", "one cost per region is expected"),
    ),
    "one number": (returning("1.0"), ("cost has shape ()", "one cost per region is expected")),
    "nothing": (returning("None"), ("cost has shape ()", "one cost per region is expected")),
    "words": (returning("view.rtt_ms.astype(str)"), ("cost has type <U", "numbers are expected")),
    "complex numbers": (returning("view.rtt_ms * 1j"), ("cost has type complex128", "numbers are expected")),
    "changes what it sees": (
        doing("view.rtt_ms[...] = 0"),
        ("ValueError: assignment destination is read-only",),
    ),
    "changes its view": (doing("view.rtt_ms = 0"), ("FrozenInstanceError: cannot assign to field 'rtt_ms'",)),
    "wants more than there is": (
        returning("view.price"),
        ("AttributeError: 'View' object has no attribute 'price'",),
    ),
    "chooses no region": (
        f"{GOOD}    def choose(self, view):\n        return view.slo_ms.astype(int) * 0 + 2\n",
        ("choose returned region 2 … 2; there are 2, from 0",),
    ),
    "chooses by halves": (
        f"{GOOD}    def choose(self, view):\n        return view.slo_ms * 0.5\n",
        ("choose returned shape (", "float64; one region index per request"),
    ),
}


def splitting(expression: str) -> str:
    return changed(
        ('name = "Mine"', 'name = "Mine"\n    splits = True'),
        ("def cost", "def weights"),
        ("return view.rtt_ms", f"return {expression}"),
    )


AT_RUN |= {
    "weights of 200 %": (
        splitting("view.rtt_ms * 0 + 1"),
        ("weights from 1 that add up to 2 … 2", "shares from 0 are expected, 1 in all"),
    ),
    "weights below 0": (
        splitting("view.rtt_ms * 0 + [2, -1]"),
        ("weights from -1 that add up to 1 … 1", "shares from 0 are expected, 1 in all"),
    ),
    "weights that are NaN": (
        splitting("view.rtt_ms * float('nan')"),
        ("weights from nan that add up to nan", "shares from 0 are expected, 1 in all"),
    ),
    "weights of another shape": (
        splitting("view.slo_ms"),
        ("weights have shape (", "one share per region is expected"),
    ),
    "weights that are none": (
        splitting("None"),
        ("weights have shape ()", "one share per region is expected"),
    ),
}


@pytest.mark.parametrize("name", AT_RUN)
def test_a_policy_that_breaks_its_contract_is_named(name: str, tmp_path: Path, refused: Refusals) -> None:
    code, words = AT_RUN[name]
    remedy = "; mend the policy: carbonroute.check_policy tests it"
    refused(write(tmp_path, code), "policy 'Mine': ", *words, remedy, only_simulate=True)


def test_what_a_policy_prints_does_not_spoil_the_results(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario = write(tmp_path, "print('at import')\n" + doing("print('at work')"))
    assert main(["simulate", str(scenario), "--json", "--no-figures", "--output", str(tmp_path / "o")]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["policies"][1]["policy"] == "Mine"
    assert printed.err.startswith("at import\nat work\n")


def test_unknown_parameters_and_bad_values_are_refused_together_with_their_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = 'max_violation = 5\nbudget = "zz"\nmargn_ms = 3'
    path = small.write(tmp_path, ('use = "hybrid"\nalpha = 0.5', f'use = "constrained-hybrid"\n{keys}'))
    assert main(["validate", str(path), "--json"]) == 2
    faults = json.loads(capsys.readouterr().out)["faults"]
    lines = path.read_text(encoding="utf-8").splitlines()
    at = {fault["line"]: fault for fault in faults}
    for key in keys.splitlines():
        fault = at.pop(1 + lines.index(key))
        assert key.partition(" ")[0] in fault["where"]
    assert not at
