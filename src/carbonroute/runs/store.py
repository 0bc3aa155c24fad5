"""Writing and reading the folder of a run: its tables, data and manifest."""

from __future__ import annotations

import io
import platform
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Self

import polars as pl
from pydantic import Field, JsonValue, model_validator

from carbonroute.errors import RunFolderError
from carbonroute.files.folder import stands
from carbonroute.files.installed import version
from carbonroute.files.schema import read_shaped
from carbonroute.files.tables import csv_bytes
from carbonroute.metrics import (
    Tables,
    as_published,
    per_workload_results,
    simulation_results,
    where_the_saving_comes_from,
)
from carbonroute.metrics.shapes import SHAPES, misfits
from carbonroute.runs import Result
from carbonroute.runs.folder import RunFolder, read_stated, require_unchanged, writer_of
from carbonroute.runs.manifest import (
    MANIFEST,
    STUDY,
    Document,
    Manifest,
    Nothing,
    Sha256,
    Subdocument,
    read_manifest,
)
from carbonroute.scenario import Scenario
from carbonroute.scenario.resolved.assumptions import factor_source
from carbonroute.scenario.written.mistaken import remedy_for
from carbonroute.scenario.written.sections import FACTORS
from carbonroute.units import J_PER_KWH

__all__ = [
    "RunFolder",
    "RunManifest",
    "add_to",
    "manifest_entries",
    "origin",
    "read_manifest",
    "read_tables",
    "tables_of",
    "write_run",
]

_LIBRARIES = ("matplotlib", "numpy", "polars", "pydantic", "scipy")
#: Tables that a run without queues does not write.
_OF_QUEUES = ("pools", "utilisation", "wait_cdf", "herd", "latency_cdf_unlimited", "tokens", "replicas")
_AGAIN = "run `carbonroute simulate` again"


def write_run(folder: RunFolder, result: Result) -> None:
    """Write a run's tables and data: CSV as published, Parquet at full precision."""
    tables = result.tables
    folder.write("tables/simulation_results.csv", csv_bytes(as_published(simulation_results(tables), tables)))
    folder.write(
        "tables/per_workload_results.csv", csv_bytes(as_published(per_workload_results(tables), tables))
    )
    more = {
        "where_the_saving_comes_from": where_the_saving_comes_from(tables),
        "intervals": tables.intervals,
        "objectives": tables.objectives,
        "agreement": tables.agreement,
        "pools": tables.pools,
        "tokens": tables.tokens,
        "replicas": tables.replicas,
    }
    for name, table in more.items():
        if table.height:
            folder.write(f"tables/{name}.csv", csv_bytes(table))
    folder.write(
        "data/carbon_intensity_traces.csv", csv_bytes(_wide(tables.carbon, "hour", "carbon_g_per_kwh"))
    )
    folder.write("data/latency_matrix.csv", csv_bytes(_wide(tables.rtt, "origin", "rtt_ms")))
    if tables.utilisation.height:
        folder.write("data/utilisation.csv", csv_bytes(tables.utilisation))
    for field in fields(Tables):
        table = getattr(tables, field.name)
        if table.height or field.name not in _OF_QUEUES:
            parquet = io.BytesIO()
            table.write_parquet(parquet)
            folder.write(_parquet_name(field.name), parquet.getvalue())


def manifest_entries(result: Result) -> dict[str, Any]:
    """Return the manifest of a run, without its outputs."""
    scenario, inputs = result.inputs.scenario, result.inputs
    overview = result.tables.overview.row(0, named=True)
    means, regions = inputs.carbon.reference_g_per_kwh, [region.name for region in scenario.regions]
    return {
        "carbonroute": version("carbonroute"),
        "engine": result.engine,
        "seed": scenario.sampling.seed,
        "seeds": list(result.seeds),
        "finding": overview["finding"],
        "max_violation_pct": result.tables.policies["max_violation_pct"][0],
        "clairvoyant": [outcome.policy for outcome in result.outcomes if outcome.clairvoyant],
        "notes": overview["notes"],
        "objectives": result.tables.objectives.rows(named=True),
        "carbon": {
            "accounting": overview["accounting"],
            "source": overview["source"],
            "cleaning": dict(inputs.carbon.cleaning),
            "long_run_mean_g_per_kwh": None
            if means is None
            else dict(zip(regions, means.tolist(), strict=True)),
        },
        "traffic": {
            "source": overview["traffic_source"],
            "synthetic_geography": overview["synthetic_geography"],
            **inputs.arrivals.provenance,
        },
        "knowledge": {
            candidate.label: candidate.knowledge.facts
            for candidate in inputs.candidates
            if candidate.knowledge.missing or candidate.knowledge.left_out
        },
        "factors": _factors(scenario),
        **origin(scenario, inputs.digests),
    }


class _Carbon(Document):
    cleaning: dict[str, JsonValue]


class _Scenario(Document):
    name: str
    description: str = ""


class _Workload(Subdocument):
    energy_j: float | None
    energy_j_per_prompt_token: float | None
    energy_j_per_answer_token: float | None
    embodied_g: float | None
    payload_mb: float | None
    energy_source: str


class _Factors(Subdocument):
    workloads: dict[str, _Workload]
    pue: dict[str, float]
    hardware_factor: dict[str, float]
    network_energy_j_per_gb: float
    sources: dict[str, str]

    @model_validator(mode="after")
    def _same_regions(self) -> Self:
        if self.pue.keys() != self.hardware_factor.keys():
            raise ValueError("hardware_factor should have the regions of pue")
        return self


class RunManifest(Manifest):
    """The part of a run's manifest that a report needs; see `manifest_entries`."""

    carbonroute: str
    engine: str
    seeds: Annotated[list[int], Field(min_length=1)]
    max_violation_pct: float
    carbon: _Carbon
    traffic: dict[str, JsonValue]
    knowledge: dict[str, JsonValue]
    factors: _Factors | Nothing
    scenario: _Scenario
    versions: dict[str, str]
    inputs: dict[str, Sha256]
    command: str = ""


def origin(scenario: Scenario, digests: Mapping[str, str]) -> dict[str, Any]:
    """Return the provenance of results: the scenario, digests of its files, and versions of libraries."""
    return {
        "scenario": scenario.model_dump(mode="json", by_alias=True, exclude_none=True),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in _LIBRARIES},
        "inputs": dict(sorted(digests.items())),
    }


def add_to(folder: RunFolder, scenario: Scenario, digests: Mapping[str, str], command: str) -> dict[str, Any]:
    """Keep the run in a folder for a command that adds to it; return its manifest without outputs.

    Earlier outputs of the command itself are not kept. Where the folder holds no run of the same scenario
    (whatever its limits: each command records those that it used), data and versions, it is started anew,
    and its notes say so.

    Raises RunFolderError if a file of that run was changed since.
    """
    provenance = {"carbonroute": version("carbonroute"), **origin(scenario, digests)}
    if not stands(folder.path, MANIFEST):
        return provenance
    earlier = read_manifest(folder.path)
    outputs = earlier.pop("outputs")
    if differing := _differing(earlier, provenance):
        folder.notes.append(
            f"{folder.path}: its {len(outputs)} files were of another {differing}, and have been replaced; "
            "--output names another folder"
        )
        return provenance
    folder.keep(outputs, but={name for name in outputs if writer_of(name) == command})
    return earlier


def _differing(earlier: Mapping[str, Any], provenance: Mapping[str, Any]) -> str:
    """Return the first part of a run's provenance that is another one than before; "" if none is."""
    was, now = (dict(of.get("scenario", {})) for of in (earlier, provenance))
    for name in ("name", *(was | now)):
        if name != "limits" and was.get(name) != now.get(name):
            return f"scenario ({name})"
    words = {"inputs": "state of the data", "versions": "version of a library", "carbonroute": "version"}
    return next((text for name, text in words.items() if earlier.get(name) != provenance[name]), "")


def _factors(scenario: Scenario) -> dict[str, Any]:
    """Return every factor between a request and its grams, with its source."""
    not_stated = "source not stated"
    workloads = {
        workload.id: {
            "energy_j": workload.energy_j,
            "energy_j_per_prompt_token": workload.energy_j_per_prompt_token,
            "energy_j_per_answer_token": workload.energy_j_per_answer_token,
            "embodied_g": workload.embodied_g,
            "payload_mb": workload.payload_mb,
            "energy_source": workload.energy_source or not_stated,
        }
        for workload in scenario.workloads
        if workload.has_energy
    }
    if not scenario.counts_grams:
        return {}
    return {
        "j_per_kwh": J_PER_KWH,
        "workloads": workloads,
        "pue": {region.name: region.pue for region in scenario.regions},
        "hardware_factor": {region.name: region.hardware_factor for region in scenario.regions},
        "network_energy_j_per_gb": scenario.network.energy_j_per_gb,
        "sources": {
            name: scenario.sources.get(name) or factor_source(scenario, name) or not_stated
            for name in FACTORS
        },
    }


def read_tables(path: Path) -> Tables:
    """Return the tables of a run folder, after checking all files against its manifest.

    Raises RunFolderError if the folder is not that of a finished run, a file of it was changed since, or a
    table is malformed.
    """
    outputs = read_manifest(path)["outputs"]
    require_unchanged(path, outputs)
    return tables_of(path, outputs)


def tables_of(path: Path, outputs: Mapping[str, str]) -> Tables:
    """Return the tables of a run folder whose outputs are checked already.

    Raises RunFolderError if the folder is not that of a run, or a table is malformed.
    """
    if read_manifest(path).get("kind") == STUDY:
        remedy = remedy_for(path, "name the folder of a run")
        raise RunFolderError(f"{path}: holds a study, not a run; {remedy}")
    if not any(name.startswith("data/") for name in outputs):
        others = ", ".join(sorted({writer_of(name) or name for name in outputs})) or "nothing"
        raise RunFolderError(
            f"{path}: holds the results of {others}, and no run; `carbonroute simulate SCENARIO` makes one"
        )
    by_name = {}
    for name, shape in SHAPES.items():
        file = _parquet_name(name)
        if file in outputs or name not in _OF_QUEUES:
            by_name[name] = read_shaped(read_stated(path, file, outputs), shape, str(path / file), _AGAIN)
    tables = Tables(**by_name)
    for misfit in misfits(tables):
        raise RunFolderError(f"{path}: {misfit}; {_AGAIN}")
    return tables


def _parquet_name(table: str) -> str:
    return f"data/{table}.parquet"


def _wide(table: pl.DataFrame, index: str, values: str) -> pl.DataFrame:
    kept = (
        [index, "time"] if table.get_column("time", default=pl.Series([None])).null_count() == 0 else [index]
    )
    return table.pivot("region", index=kept, values=values, maintain_order=True)
