"""One limit for every command: it is each workload's own, and the workload that breaks it is named."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from carbonroute.cli import main
from helpers import small

#: A tenth of the requests have a limit that a third of them miss anywhere; the others are never late.
MIXED = (("share = 0.7", "share = 0.9"), ("share = 0.3", "share = 0.1"), ("slo_ms = 300", "slo_ms = 135"))
POOLS = ("[[origins]]", "[[pools]]\nservers = 30\n[[origins]]")
STUDY = 'schema = 1\nname = "mixed"\nscenario = "small.toml"\n[grid]\n"network.jitter_std_ms" = [3, 4]\n'


def arguments(command: str, folder: Path, *changes: small.Change) -> list[str]:
    scenario = small.write(folder, *MIXED, *changes, *[POOLS] * (command == "headroom"))
    named = [command, str(scenario)]
    if command == "study":
        (folder / "study.toml").write_text(STUDY, encoding="utf-8")
        return ["study", "run", str(folder / "study.toml")]
    return [*named, *(["--no-figures"])]


@pytest.mark.parametrize("command", ["simulate", "frontier", "headroom", "sensitivity", "study"])
def test_a_mix_within_the_limit_is_not_enough(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of all requests few are late, of the long answers many: nothing is recommended."""
    code = main([*arguments(command, tmp_path), "--output", str(tmp_path / "out")])
    out, err = capsys.readouterr()
    said = " ".join((out + err).split())
    assert code == (1 if command in {"frontier", "sensitivity"} else 0)
    assert re.search(r"[Nn]o(ne of the)? polic.* violations in every workload", said)
    assert "Long answers" in said or command == "headroom"
    whole = arguments(command, tmp_path, ("[horizon]", '[limits]\nper = "all"\n[horizon]'))
    assert main([*whole, "--output", str(tmp_path / "all")]) == 0
    out, err = capsys.readouterr()
    assert "in every workload" not in out + err
    assert not re.search(r"No policy .*(stays|keeps)", out)


def test_every_command_has_the_scenarios_limit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    limit = ("[horizon]", '[limits]\nviolations = "70%"\n[horizon]')
    for command in ("simulate", "headroom", "frontier", "sensitivity"):
        given = [*arguments(command, tmp_path, limit), "--json", "--output", str(tmp_path / command)]
        assert main(given) == 0
        document = json.loads(capsys.readouterr().out)
        stated = document.get("max_violation_pct") or document["limits"]["slo_violation_pct"]
        assert stated == pytest.approx(70)
    for command in ("simulate", "headroom", "frontier"):
        given = [*arguments(command, tmp_path, limit), "--max-violation", "60%", "--json"]
        assert main([*given, "--output", str(tmp_path / command)]) == 0
        document = json.loads(capsys.readouterr().out)
        stated = document.get("max_violation_pct") or document["limits"]["slo_violation_pct"]
        assert stated == pytest.approx(60)


def test_the_published_verdicts_name_the_workload_that_breaks_the_limit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["simulate", "published", "--no-figures", "--output", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    hybrid = next(line for line in lines if "Hybrid (α=0.7)" in line)
    assert "1.33" in hybrid
    assert "viable over all requests, but ResNet-50 Image Embedding 10.47 %" in hybrid


def test_percentiles_of_a_mix_stand_by_workload(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main([*arguments("simulate", tmp_path), "--json", "--output", str(tmp_path / "out")]) == 0
    (figures,) = (
        row
        for row in json.loads(capsys.readouterr().out)["workloads"]
        if (row["policy"], row["workload"]) == ("Latency-First", "long")
    )
    assert main([*arguments("simulate", tmp_path), "--output", str(tmp_path / "out")]) == 0
    first, second = capsys.readouterr().out.split("by workload")
    assert "P95" not in first.replace("P95 latency", "")
    assert f"{figures['p95_latency_ms']:.1f}, {figures['slo_violation_pct']:.2f} %" in second
