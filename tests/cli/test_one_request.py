"""A run of a single request, of which no spread is known: tables, JSON, figures and a report all the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from carbonroute.cli import main
from carbonroute.runs.store import read_tables
from helpers import small


@pytest.mark.usefixtures("few_drawn")
def test_one_request_is_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenario = small.write(
        tmp_path, ("hours = 6", "hours = 1"), ("requests_per_hour = 50", "requests_per_hour = 1")
    )
    out = tmp_path / "out"
    assert main(["simulate", str(scenario), "--json", "--report", "--output", str(out)]) == 0
    assert [row["viable"] for row in json.loads(capsys.readouterr().out)["policies"]] == [True] * 3
    assert main(["report", str(out)]) == 0
    assert "1 hour" in (page := (out / "report.html").read_text(encoding="utf-8"))
    assert "1 request" in page
    assert "1 hours" not in page
    assert "1 requests" not in page
    intervals = read_tables(out).intervals
    latency = intervals.filter(figure="avg_latency_ms_difference")
    assert latency["value"].count() == latency.height > 0
    assert latency["low"].count() == latency["high"].count() == 0
