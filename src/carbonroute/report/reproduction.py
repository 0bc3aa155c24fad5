"""The command, seeds, versions, scenario and digests that reproduce a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from carbonroute.figures.formatting import ranges
from carbonroute.report.page import Block, Code, Section, Terms, Text
from carbonroute.report.table_cells import digests_table

_FROM_PYTHON = """\
import json
import carbonroute

with open("manifest.json", encoding="utf-8") as file:
    scenario = carbonroute.Scenario.model_validate(json.load(file)["scenario"])
result = carbonroute.run(scenario, {options})
"""


def section(manifest: Mapping[str, Any], leaving_out: str) -> Section:
    """Return how to run it again, and the digests of all its outputs but that of the page itself."""
    outputs = {name: digest for name, digest in manifest["outputs"].items() if name != leaving_out}
    scenario = json.dumps(manifest["scenario"], indent=2, ensure_ascii=False)
    seeds = manifest["seeds"]
    versions = ", ".join(f"{name} {version}" for name, version in manifest["versions"].items())
    terms = {
        "Seeds" if len(seeds) > 1 else "Seed": ranges(sorted(seeds)),
        "Engine": manifest["engine"],
        "Versions": f"carbonroute {manifest['carbonroute']}, {versions}",
    }
    blocks: list[Block] = [
        Text("The same command, data and versions give the same bytes."),
        Code(manifest.get("command") or _from_python(manifest)),
        Terms(terms),
        *([digests_table("inputs", "Files read", manifest["inputs"])] if manifest["inputs"] else []),
        Code(scenario, summary="The scenario, with all defaults"),
        digests_table("outputs", f"The {len(outputs)} files written", outputs, folded=True),
    ]
    return Section("reproduction", "How to reproduce this", tuple(blocks))


def _from_python(manifest: Mapping[str, Any]) -> str:
    options = f'engine="{manifest["engine"]}", max_violation={manifest["max_violation_pct"] / 100:.12g}'
    if len(manifest["seeds"]) > 1:
        options += f", replications={len(manifest['seeds'])}"
    return _FROM_PYTHON.format(options=options)
