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

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_the_readme_opens_with_one_picture_and_exactly_two_commands() -> None:
    assert README.index("](docs/images/") < README.index("```")
    assert (ROOT / re.findall(r"!\[.*?\]\((.*?)\)", README)[0]).is_file()
    assert len(re.findall(r"!\[", README[: README.index("\n## ")])) == 1
    assert blocks("console")[0].split("\n")[:-1] == ["scripts/simulate", "scripts/test"]


def test_the_readme_s_commands_work(tmp_path: Path) -> None:
    commands = [line for block in blocks("console") for line in block.splitlines() if line != "scripts/test"]
    assert len(commands) >= 6
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for command in commands:
        study = "examples/studies/limits.toml" in command  # it needs no data
        if "examples/" in command and not study and not (ROOT.parent / "shared" / "data").is_dir():
            continue
        arguments = command.replace("scripts/", f"{ROOT}/scripts/").split()
        if "examples/" in command and not study:  # a year takes its time: two days or hours will do
            arguments += ["--sim-hours", "2" if "capacity" in command else "48"]
        done = subprocess.run(
            arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
    assert (tmp_path / "outputs" / "graphs" / "tradeoff_curve.png").is_file()
    assert (tmp_path / "my-results" / "graphs" / "premium" / "latency_cdf.svg").is_file()


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
