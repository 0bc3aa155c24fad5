"""Folders to damage, how to damage them unnoticed by digests, and what a refusal must be."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from carbonroute import figures
from carbonroute.cli import main
from carbonroute.report import run as page_of_run
from carbonroute.report import study as page_of_study
from helpers import small, studies
from helpers.refusals import has_parts

STUDY = studies.Made(
    'engine = "exact"\n[grid]\n"network.jitter_std_ms" = [1, 2]\n"workloads[short].slo_ms" = [60, 100]\n', 4
)


def made_run(place: Path) -> Path:
    """Return a place with a scenario and, in ``out``, its run; to be copied."""
    file = small.write(place, ("hours = 6", "hours = 2"))
    words = ["simulate", str(file), "--output", str(place / "out"), "--no-figures", "--quiet"]
    assert main([*words, "--replications", "3"]) == 0
    return place


def made_study(place: Path) -> Path:
    """Return a place with a study and, in ``out``, its results; to be copied."""
    assert main(["study", "run", str(STUDY.write(place)), "--output", str(place / "out"), "--quiet"]) == 0
    return place


def draw_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no figures into reports."""
    monkeypatch.setattr(page_of_run, "figures", lambda *_: ())
    monkeypatch.setattr(page_of_study, "figures", lambda _: ())


def draw_few(
    monkeypatch: pytest.MonkeyPatch, names: Sequence[str] = ("carbon_traces", "workload_slo_violations")
) -> None:
    """Draw these figures alone; the first of two names regions, the other policies and workloads."""
    import_module("carbonroute.cli.drawing")  # before: it keeps the register that it finds
    few = {name: figures.FIGURES[name] for name in names}
    monkeypatch.setattr(figures, "FIGURES", few)


def restated(folder: Path, name: str) -> None:
    """Have the manifest state what a file is now."""
    stated = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    sealed(folder, lambda manifest: manifest["outputs"].update({name: stated}))


def sealed(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a manifest, and have it state its own digest: SHA-256 of the rest, as JSON with sorted keys."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    del manifest["sha256"]
    change(manifest)
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    manifest["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def line_of(record: object) -> bytes:
    """Return a line of a journal, with its checksum."""
    text = json.dumps(record).encode()
    return f"{zlib.crc32(text):08x} ".encode() + text + b"\n"


def records_of(folder: Path) -> list[dict[str, Any]]:
    """Return what a journal says, line by line."""
    lines = (folder / "journal.jsonl").read_bytes().splitlines()
    return [json.loads(line.partition(b" ")[2]) for line in lines]


def refused(words: list[str], capsys: pytest.CaptureFixture[str], *said: str) -> None:
    """Check that a command refuses, with all parts of a message, and says so."""
    assert main(words) == 2, words
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    message = printed.err.removeprefix("error: ").rstrip("\n")
    assert has_parts(message.splitlines()[0]), message
    for part in said:
        assert part in message


def own_table(folder: Path, name: str, change: Callable[[pl.DataFrame], pl.DataFrame]) -> Path:
    """Change a table of a folder, and have its manifest state what it is now."""
    path = folder / name
    change(pl.read_parquet(path)).write_parquet(path)
    restated(folder, name)
    return path
