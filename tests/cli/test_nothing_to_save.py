"""A baseline of 0 g: every command says that there is nothing to save, and policies are viable as ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from carbonroute.cli import main
from helpers import small

CLEAN = "time,A,B\n" + "".join(f"{time},0,36\n" for time in small.HOURS)
#: Both origins are nearest to the clean region.
NEAR = ("East = { A = 80, B = 10 }", "East = { A = 8, B = 10 }")
POOLS = ("[[origins]]", "[[pools]]\nservers = 3\n[[origins]]")
STUDY = (
    'schema = 1\nname = "clean"\nscenario = "small.toml"\n[grid]\n"traffic.requests_per_hour" = [40, 50]\n'
)


@pytest.mark.usefixtures("few_drawn")
@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("simulate", "Against Latency-First, there is nothing to save."),
        ("frontier", "use Latency-First: it takes 0 g CO₂e/kWh: there is nothing to save (violations 0.00 %"),
        ("headroom", "– With capacity for 1 × the load: there is nothing to save."),
        (
            "study",
            "Within 5 % SLO violations in every workload, there is nothing to save: "
            "Latency-First emits nothing.",
        ),
    ],
)
def test_a_baseline_without_carbon(
    command: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario = small.write_with_carbon(tmp_path, CLEAN, small.WIDE, NEAR, *[POOLS] * (command == "headroom"))
    arguments = [command, str(scenario)]
    if command == "study":
        (tmp_path / "study.toml").write_text(STUDY, encoding="utf-8")
        arguments = ["study", "run", str(tmp_path / "study.toml")]
    assert main([*arguments, "--output", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert words in said
    assert "No policy" not in said
    if command == "simulate":
        assert said.count("viable") == 3
