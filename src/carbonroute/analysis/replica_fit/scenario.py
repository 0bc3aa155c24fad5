"""A scenario whose pools have the coefficients that were fitted to a log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from carbonroute.analysis.replica_fit.calibration import ReplicaFit
from carbonroute.errors import Fault, InputError
from carbonroute.scenario.rewriting import Rewriting
from carbonroute.scenario.written.load import tables

#: What of a pool's ``llm`` says which replicas a log is of.
_NAMED = ("model", "gpu")


def options_of(scenario: str | Path, stated: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known of a log's replicas: as stated, and the rest as a scenario's pool has it.

    Raises InputError if the scenario cannot be read, or has no such pool.
    """
    data, _ = tables(scenario)
    return {**next(iter(_matching(data, scenario, stated).values())), **stated}


def calibrated(fit: ReplicaFit, scenario: str | Path, output: Path, *, code: bool = True) -> str:
    """Return a scenario as TOML, with the coefficients of its pools of that model and GPU as fitted.

    Raises InputError if the scenario cannot be used, or has no such pool.

    Parameters
    ----------
    scenario
        A built-in scenario's name, or a file.
    output
        Where it is to be written: beside the scenario where that reads data files.
    code
        Whether code of others may be run, such as policies of a file.
    """
    rewriting = Rewriting.of(scenario, output, code=code)
    fitted = {key: fit.llm[key] for key in ("step", "kv_cache_tokens") if key in fit.llm}
    changes = {
        f"{place}.{key}": value
        for place in _matching(rewriting.data, scenario, fit.llm)
        for key, value in fitted.items()
    }
    return rewriting.text(changes, f"with replicas calibrated to {fit.log}")


def _matching(
    data: Mapping[str, Any], scenario: str | Path, llm: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Return the ``llm`` of the pools of a model and a GPU by their paths, or refuse that there is none."""
    every = dict(_pools(data))
    matching = {
        place: own
        for place, own in every.items()
        if all(own.get(key) == llm[key] for key in _NAMED if key in llm)
    }
    if not matching or len({str([own.get(key) for key in _NAMED]) for own in matching.values()}) > 1:
        named = ", ".join(str(llm.get(key, "any")) for key in _NAMED)
        known = sorted({f"{own.get('model')} on {own.get('gpu')}" for own in every.values()})
        problem = f"found {'none or several' if every else 'no pool with llm'} for {named}"
        remedy = (
            f"name one: --model and --gpu, of {'; '.join(known)}" if known else "a pool with llm is expected"
        )
        raise InputError(str(scenario), [Fault("pools", problem, remedy)])
    return matching


def _pools(data: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the ``llm`` of all pools, with their paths."""
    lists = {"pools": data.get("pools", [])}
    for place, region in enumerate(data.get("regions", [])):
        lists[f"regions[{place}].pools"] = region.get("pools", []) if isinstance(region, dict) else []
    for path, pools in lists.items():
        for place, pool in enumerate(pools if isinstance(pools, list) else []):
            if isinstance(pool, dict) and isinstance(pool.get("llm"), dict):
                yield f"{path}[{place}].llm", pool["llm"]
