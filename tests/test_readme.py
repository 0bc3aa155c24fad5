"""What the README promises works: every command and every example in it is run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import carbonroute
from carbonroute.cli import main
from helpers.pages import ROOT, blocks, carry_out, commands, reads_data

README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8")


def test_the_readme_opens_with_one_picture_and_exactly_two_commands() -> None:
    assert TEXT.index("](docs/images/") < TEXT.index("```")
    assert (ROOT / re.findall(r"!\[.*?\]\((.*?)\)", TEXT)[0]).is_file()
    assert len(re.findall(r"!\[", TEXT[: TEXT.index("\n## ")])) == 1
    assert blocks(README, "console")[0].split("\n")[:-1] == ["scripts/simulate", "scripts/test"]


def test_the_readme_is_short_and_leads_to_pages_that_are_there() -> None:
    assert len(TEXT.splitlines()) <= 120
    linked = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", TEXT)]
    assert [link for link in linked if not (ROOT / link).exists()] == []
    assert {f"docs/start/{reader}.md" for reader in ("engineer", "researcher", "manager")} <= set(linked)


@pytest.mark.full  # and in .ci/run
def test_the_readme_s_commands_work(tmp_path: Path) -> None:
    assert not any(map(reads_data, commands(README)))
    carry_out(commands(README), tmp_path)
    assert (tmp_path / "outputs" / "graphs" / "tradeoff_curve.png").is_file()
    assert (tmp_path / "example" / "report.html").is_file()


def test_the_readme_s_policy_works(tmp_path: Path) -> None:
    policy, script = blocks(README, "python")
    (tmp_path / "my_policy.py").write_text(policy, encoding="utf-8")
    assert main(["init", str(tmp_path / "mine.toml")]) == 0
    with (tmp_path / "mine.toml").open("a", encoding="utf-8") as file:
        file.write('[[policies]]\nuse = "my_policy.py:NearAndClean"\n')
    result = carbonroute.run(tmp_path / "mine.toml", {"horizon.hours": 2})
    assert result.tables.policies["policy"][-1] == "Near and clean"
    exec(compile(script, "README", "exec"), {})


def test_the_recipes_name_files_that_are_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = [
        path
        for path in re.findall(r"`((?:src|tests|scripts|requirements)/[\w/.]+)`", text)
        if "<" not in path
    ]
    assert len(named) >= 10
    for path in named:
        assert (ROOT / path).exists(), path
