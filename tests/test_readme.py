"""What the documents promise works: every command and every example in them is run."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import carbonroute
from carbonroute.cli import main
from carbonroute.study import cells
from helpers import needs

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_the_readme_opens_with_one_picture_and_exactly_two_commands() -> None:
    assert README.index("](docs/images/") < README.index("```")
    assert (ROOT / re.findall(r"!\[.*?\]\((.*?)\)", README)[0]).is_file()
    assert len(re.findall(r"!\[", README[: README.index("\n## ")])) == 1
    assert blocks("console")[0].split("\n")[:-1] == ["scripts/simulate", "scripts/test"]


def commands() -> list[str]:
    return [line for block in blocks("console") for line in block.splitlines() if line != "scripts/test"]


def reads_data(command: str) -> bool:
    """Whether a command runs an example that reads files which are not part of this repository."""
    return "examples/" in command and not re.search(r"limits\.toml|access\.log", command)


def carry_out(commands: list[str], folder: Path) -> None:
    (folder / "examples").symlink_to(ROOT / "examples")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for command in commands:
        arguments = [re.sub("^scripts/", f"{ROOT}/scripts/", word) for word in command.split()]
        if reads_data(command):  # a year takes its time: two days or hours will do
            arguments += ["--sim-hours", "2" if "capacity" in command else "48"]
        done = subprocess.run(
            arguments, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"


def test_the_readme_s_commands_work(tmp_path: Path) -> None:
    carry_out([command for command in commands() if not reads_data(command)], tmp_path)
    assert (tmp_path / "outputs" / "graphs" / "tradeoff_curve.png").is_file()
    assert (tmp_path / "my-results" / "graphs" / "premium" / "latency_cdf.svg").is_file()


@needs.data(ROOT.parent / "shared" / "data")
def test_the_readme_s_commands_on_real_files_work(tmp_path: Path) -> None:
    chosen = [command for command in commands() if reads_data(command)]
    assert len(chosen) >= 6
    carry_out(chosen, tmp_path)


def test_the_readme_s_policy_works(tmp_path: Path) -> None:
    policy, script = blocks("python")
    (tmp_path / "my_policy.py").write_text(policy, encoding="utf-8")
    carbonroute.check_policy(runpy.run_path(str(tmp_path / "my_policy.py"))["NearAndClean"]())
    assert main(["init", str(tmp_path / "mine.toml")]) == 0
    with (tmp_path / "mine.toml").open("a", encoding="utf-8") as file:
        file.write('[[policies]]\nuse = "my_policy.py:NearAndClean"\n')
    result = carbonroute.run(tmp_path / "mine.toml", {"horizon.hours": 2})
    assert result.tables.policies["policy"][-1] == "Near and clean"
    exec(compile(script, "README", "exec"), {})


def test_the_readme_s_study_works(tmp_path: Path) -> None:
    (text,) = (block for block in blocks("toml") if block.startswith("schema"))
    (tmp_path / "study.toml").write_text(text, encoding="utf-8")
    assert len(cells.read(tmp_path / "study.toml").cells) == 80


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
