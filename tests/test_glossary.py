"""Every column of the tables stands in the glossary of docs/model.md."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest

from carbonroute.cli import main

MODEL = Path(__file__).parents[1] / "docs/model.md"

#: Two regions with servers, energies, objectives and a herd: every table has a row.
SCENARIO = """
schema = 1
name = "all-columns"
horizon = { hours = 2, start = 2021-01-01T00:00:00Z }
traffic = { kind = "poisson", requests_per_hour = 200 }
carbon = { kind = "synthetic" }
network = { rtt_ms = { here = { near = 10, far = 40 } } }
origins = [{ name = "here", share = 1.0 }]
regions = [{ name = "near", carbon_g_per_kwh = 400 }, { name = "far", carbon_g_per_kwh = 50 }]
pools = [{ servers = 20, idle_power_w = 10, busy_power_w = 20 }]
policies = [{ use = "latency-first" }, { use = "spill" }, { use = "optimal", control = { routers = 2 } }]
objectives = { policy = "Spill", slo_violation_pct = "<= 5" }

[[workloads]]
id = "w"
name = "w"
model = "w"
share = 1.0
slo_ms = 2000
energy_j = 3.6
service_ms = { law = "gamma", mean = 500, std = 500 }
"""

COMMANDS = {
    "simulate": ["simulate", "all-columns.toml", "--no-figures", "--replications", "2"],
    "exact": ["simulate", "starter", "--sim-hours", "24", "--engine", "both", "--no-figures"],
    "frontier": ["frontier", "starter", "--no-figures"],
    "sensitivity": ["sensitivity", "starter", "--no-figures"],
    "whatif": ["whatif", "starter", "--full", "Sweden", "--engine", "exact"],
    "headroom": ["headroom", "all-columns.toml", "--at", "1.25,inf", "--no-figures"],
}


def columns(folder: Path) -> set[str]:
    """Return the columns of all tables of a run that hold more than one region's or one origin's numbers."""
    tables = [*folder.glob("tables/*.csv")]
    names = {name for path in tables for name in pl.read_csv(path, n_rows=0).columns}
    for path in folder.glob("data/*.parquet"):
        tables.append(path)
        names |= set(pl.read_parquet_schema(path))
    assert tables
    return names


@pytest.mark.parametrize("command", COMMANDS)
def test_every_column_of_a_table_is_explained(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("all-columns.toml").write_text(SCENARIO)
    assert main([*COMMANDS[command], "--quiet", "--output", "run"]) == 0
    glossary = MODEL.read_text(encoding="utf-8").split("\n## Glossary\n")[1]
    terms = set(re.findall(r"`([^`]+)`", glossary))
    starts = tuple(term[:-1] for term in terms if term.endswith("…"))
    unexplained = {name for name in columns(Path("run")) - terms if not name.startswith(starts)}
    assert unexplained == set()
