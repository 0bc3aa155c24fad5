"""Completion of commands and options in shells, installed into a home of the test."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from carbonroute.cli import main

PLACES = {
    "bash": ".local/share/bash-completion/completions/carbonroute",
    "zsh": ".zsh/completions/_cyclopts_carbonroute",
    "fish": ".config/fish/completions/carbonroute.fish",
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("ZSH", "ZSH_CUSTOM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("shell", PLACES)
def test_completion_is_installed_for_a_shell(
    shell: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--install-completion", "--shell", shell]) == 0
    script = home / PLACES[shell]
    assert f"Wrote {script}." in capsys.readouterr().out
    text = script.read_text(encoding="utf-8")
    for name in ("simulate", "whatif", "max-violation", "install-completion"):
        assert name in text
    written = [script.relative_to(home).parts[0], {"bash": ".bashrc", "zsh": ".zshrc"}.get(shell)]
    assert {path.name for path in home.iterdir()} - {".cache"} == set(filter(None, written))


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_bash_completes_a_command_and_an_option(home: Path) -> None:
    assert main(["--install-completion", "--shell", "bash"]) == 0
    program = r"""
        . "$HOME/.bashrc"
        name=$(complete -p carbonroute | sed 's/.*-F \([^ ]*\).*/\1/')
        COMP_WORDS=(carbonroute sim); COMP_CWORD=1; $name carbonroute sim carbonroute
        echo "${COMPREPLY[@]}"
        COMP_WORDS=(carbonroute simulate --repl); COMP_CWORD=2; $name carbonroute --repl simulate
        echo "${COMPREPLY[@]}"
    """
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["simulate", "--replications"]


def test_a_shell_that_is_not_recognised_is_asked_for(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from cyclopts.completion import detect

    def unknown() -> str:
        raise detect.ShellDetectionError

    monkeypatch.setattr(detect, "detect_shell", unknown)
    assert main(["--install-completion"]) == 2
    assert "name it: --shell bash, zsh or fish" in capsys.readouterr().err
    assert list(home.iterdir()) == []
