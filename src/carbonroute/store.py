"""The run folder: files that appear whole or not at all, and a manifest that knows their digests."""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from secrets import token_hex
from typing import Any, Literal

import polars as pl

from carbonroute.errors import RunFolderError
from carbonroute.metrics import (
    Tables,
    as_published,
    per_workload_results,
    simulation_results,
    where_the_saving_comes_from,
)
from carbonroute.runs import Result
from carbonroute.scenario import Inputs, Scenario
from carbonroute.scenario.model import FACTORS
from carbonroute.tablefile import csv_bytes, read_parquet
from carbonroute.textfile import sha256
from carbonroute.units import J_PER_KWH

MANIFEST = "manifest.json"
#: What the manifest of a study says it is (a run's says nothing).
STUDY: Literal["study"] = "study"
#: What makes a folder that of a study, finished or not.
SETTINGS = "study.json"

_LIBRARIES = ("matplotlib", "numpy", "polars", "pydantic", "scipy")
#: Tables that a run without queues does not write.
_OF_QUEUES = ("pools", "utilisation", "wait_cdf", "herd", "latency_cdf_unlimited")
_OTHER_FOLDER = "name another folder, or remove it first"
_PARTIAL = ".partial"
#: A partial file of this age belongs to a run that was killed.
_ABANDONED_AFTER_S = 600


class RunFolder:
    """A folder that one run writes into.

    Every file is written beside its place and moved there when it is complete and on the disk. The manifest
    comes last: it lists what belongs to the run, and what an earlier run left that this one did not write
    again is removed. A `manifest.json` that is no run's is left alone, and the folder with it.

    Parameters
    ----------
    path
        The folder; made when it is missing.
    kind
        What it holds: a run, or a study.

    Raises
    ------
    RunFolderError
        If the folder cannot be made or written, or holds something of another kind.
    """

    def __init__(self, path: Path, kind: Literal["run", "study"] = "run") -> None:
        self.path = path
        self.digests: dict[str, str] = {}
        with reporting(path):
            path.mkdir(parents=True, exist_ok=True)
            earlier = read_manifest(path) if (path / MANIFEST).exists() else {"outputs": {}, "kind": kind}
        held = earlier.get("kind", "run")
        if held != kind or (kind == "run" and (path / SETTINGS).exists()):
            other = "study" if kind == "run" else "run"
            raise RunFolderError(f"{path}: holds a {other}, not a {kind}; name another folder")
        self._earlier = earlier["outputs"]

    def write(self, name: str, data: bytes) -> Path:
        """Write one file of the run, by its name relative to the folder; return its path."""
        target = self.path / name
        with reporting(target):
            write_whole(target, data)
        self.digests[name] = hashlib.sha256(data).hexdigest()
        return target

    @classmethod
    def reopen(cls, path: Path) -> RunFolder:
        """Return the folder of a finished run, to write more into it."""
        manifest = read_manifest(path)
        folder = cls(path, manifest.get("kind", "run"))
        folder.digests = dict(manifest["outputs"])
        return folder

    def finish(self, facts: Mapping[str, Any]) -> Path:
        """Remove what an earlier run left over, write the manifest, and return its path."""
        with reporting(self.path):
            for name in self._earlier.keys() - self.digests.keys():
                (self.path / name).unlink(missing_ok=True)
            for folder in {(self.path / name).parent for name in [*self.digests, MANIFEST]}:
                _remove_abandoned(folder)
        manifest = {**facts, "outputs": dict(sorted(self.digests.items()))}
        text = json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        return self.write(MANIFEST, text.encode())


@contextmanager
def reporting(path: Path) -> Iterator[None]:
    """Turn an operating system's refusal into an error that names the place."""
    try:
        yield
    except OSError as error:
        found = f"cannot write here ({error.strerror or error})"
        raise RunFolderError(f"{path}: {found}; make room and rights, or name another place") from error


def _remove_abandoned(folder: Path) -> None:
    """Remove partial files of runs that were killed long ago; another run may be writing its own."""
    for partial in folder.glob(f".*{_PARTIAL}"):
        with suppress(FileNotFoundError):
            if time.time() - partial.stat().st_mtime > _ABANDONED_AFTER_S:
                partial.unlink()


def write_whole(target: Path, data: bytes) -> None:
    """Write a file so that its name never holds less than all of it, whatever happens."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{token_hex(4)}{_PARTIAL}")
    try:
        with partial.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    except BaseException:  # Ctrl-C, too, leaves nothing half-written
        partial.unlink(missing_ok=True)
        raise


def create_whole(target: Path, data: bytes) -> None:
    """Write a new file; refuse to replace one.

    Raises
    ------
    RunFolderError
        If there is such a file, or it cannot be written.
    """
    with reporting(target):
        if target.exists():
            raise RunFolderError(f"{target}: is there already; name another file, or remove it first")
        write_whole(target, data)


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


def facts(result: Result) -> dict[str, Any]:
    """Return what a manifest states of a run, without its outputs: enough to run it again."""
    scenario, inputs = result.inputs.scenario, result.inputs
    overview = result.tables.overview.row(0, named=True)
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
            "long_run_mean_g_per_kwh": _by_region(inputs),
        },
        "traffic": {
            "source": overview["traffic_source"],
            "synthetic_geography": overview["synthetic_geography"],
            **inputs.arrivals.facts,
        },
        "knowledge": {
            candidate.label: candidate.knowledge.facts
            for candidate in inputs.candidates
            if candidate.knowledge.missing or candidate.knowledge.left_out
        },
        "factors": _factors(scenario),
        **origin(inputs),
    }


def origin(inputs: Inputs) -> dict[str, Any]:
    """Return what all results of a scenario follow from: the scenario, its data, and the libraries."""
    return {
        "scenario": inputs.scenario.model_dump(mode="json", by_alias=True, exclude_none=True),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in _LIBRARIES},
        "inputs": dict(sorted(inputs.digests.items())),
    }


def add_to(path: Path, inputs: Inputs, stems: Collection[str]) -> tuple[RunFolder, dict[str, Any]]:
    """Return the folder of a run, to write more about its scenario into it, and what its manifest states.

    Where the folder is not that of a run of the same scenario, data and versions, it is begun anew.

    Parameters
    ----------
    path, inputs
        The folder, and what is written about.
    stems
        Names of files without their endings: what an earlier run has of them is not kept.
    """
    facts = {"carbonroute": version("carbonroute"), **origin(inputs)}
    earlier = read_manifest(path) if (path / MANIFEST).exists() else {}
    if all(earlier.get(name) == fact for name, fact in facts.items()):
        folder = RunFolder.reopen(path)
        for name in earlier.pop("outputs"):
            if name.rpartition(".")[0] in stems:
                del folder.digests[name]
        return folder, earlier
    return RunFolder(path), facts


def _by_region(inputs: Inputs) -> dict[str, float] | None:
    """Return the long-run means that were known before the run."""
    means = inputs.carbon.reference_g_per_kwh
    names = (region.name for region in inputs.scenario.regions)
    return None if means is None else dict(zip(names, means.tolist(), strict=True))


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
    if not workloads:
        return {}
    return {
        "j_per_kwh": J_PER_KWH,
        "workloads": workloads,
        "pue": {region.name: region.pue for region in scenario.regions},
        "hardware_factor": {region.name: region.hardware_factor for region in scenario.regions},
        "network_energy_j_per_gb": scenario.network.energy_j_per_gb,
        "sources": {name: scenario.sources.get(name, not_stated) for name in FACTORS},
    }


def read_manifest(path: Path) -> dict[str, Any]:
    """Return a run folder's manifest.

    Raises
    ------
    RunFolderError
        If there is none, or it is not one.
    """
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunFolderError(f"{path}: there is no {MANIFEST}; name the folder of a finished run") from error
    except (OSError, ValueError, RecursionError) as error:
        raise RunFolderError(f"{path / MANIFEST}: cannot be read ({error}); {_OTHER_FOLDER}") from error
    outputs = manifest.get("outputs") if isinstance(manifest, dict) else None
    if not isinstance(outputs, dict) or not all(_stays_inside(name) for name in outputs):
        raise RunFolderError(f"{path / MANIFEST}: is not the manifest of a run; {_OTHER_FOLDER}")
    return dict(manifest)


def _stays_inside(name: str) -> bool:
    """Whether a path from a manifest names something below its folder: files of earlier runs are removed."""
    return not Path(name).is_absolute() and ".." not in Path(name).parts


def read_tables(path: Path) -> Tables:
    """Return the tables of a run folder, after checking that they are what its manifest says.

    Raises
    ------
    RunFolderError
        If the folder is not that of a finished run, or a table was changed since.
    """
    digests = read_manifest(path)["outputs"]
    tables = {}
    for field in fields(Tables):
        name = _parquet_name(field.name)
        if name not in digests and field.name in _OF_QUEUES:
            continue
        if not (path / name).is_file() or sha256(path / name) != digests.get(name):
            raise RunFolderError(
                f"{path / name}: is not what the manifest says; run `carbonroute simulate` again"
            )
        tables[field.name] = read_parquet(path / name, str(path / name))
    return Tables(**tables)


def _parquet_name(table: str) -> str:
    return f"data/{table}.parquet"


def _wide(table: pl.DataFrame, index: str, values: str) -> pl.DataFrame:
    kept = (
        [index, "time"] if table.get_column("time", default=pl.Series([None])).null_count() == 0 else [index]
    )
    return table.pivot("region", index=kept, values=values, maintain_order=True)
