"""The inputs: accounting labels, sources, factors, and the cleaning of the data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from carbonroute.report.page import Block, Column, Section, Terms
from carbonroute.report.table_cells import Field, known, significant_cell, table_of, text_field, text_table

_NOT_STATED = "not stated"
_WITHIN = ": "
_ELSEWHERE = frozenset({"source", "synthetic_geography"})


def _factor(heading: str, name: str, unit: str = "") -> Field:
    return Field(Column(heading, unit), lambda record: significant_cell(record[name], 6))


_ENERGIES = {
    "energy_j": _factor("Energy", "energy_j", "J"),
    "energy_j_per_prompt_token": _factor("per prompt token", "energy_j_per_prompt_token", "J"),
    "energy_j_per_answer_token": _factor("per answer token", "energy_j_per_answer_token", "J"),
    "embodied_g": _factor("Embodied", "embodied_g", "g CO₂e"),
    "payload_mb": _factor("Payload", "payload_mb", "MB"),
}


def section(manifest: Mapping[str, Any], overview: Mapping[str, Any]) -> Section:
    """Return the sources of the data, and how it was treated."""
    sources = {
        "What carbon values count": overview["accounting"] or _NOT_STATED,
        "Carbon": overview["source"] or _NOT_STATED,
        "Traffic": overview["traffic_source"] or "made from the scenario's rates",
    }
    return Section(
        "data", "Data and their sources", (Terms(sources), *_factors(manifest), *_treatment(manifest))
    )


def _factors(manifest: Mapping[str, Any]) -> Iterator[Block]:
    """Yield the factors between a request and its grams, with their sources."""
    factors = manifest["factors"]
    if not factors:
        return
    workloads = [{"workload": name, **workload} for name, workload in factors["workloads"].items()]
    source = text_field("Source of the energy", "energy_source")
    fields = [text_field("Workload", "workload"), *known(_ENERGIES, workloads), source]
    yield table_of("table-energies", "Energy of a request, by workload.", fields, workloads, sortable=False)
    regions = [
        {"region": region, "pue": pue, "hardware_factor": factors["hardware_factor"][region]}
        for region, pue in factors["pue"].items()
    ]
    hardware = _factor("Hardware factor", "hardware_factor")
    fields = [text_field("Region", "region"), _factor("PUE", "pue"), hardware]
    yield table_of("table-regions", "What a region makes of it.", fields, regions, sortable=False)
    network = f"{significant_cell(factors['network_energy_j_per_gb'], 6).text} J/GB"
    sources = {f"Source of {name}": source for name, source in factors["sources"].items()}
    yield Terms({"Energy of the network": network, **sources})


def _treatment(manifest: Mapping[str, Any]) -> Iterator[Block]:
    """Yield the effects of cleaning, the content of traffic files, and the gaps in policies' data."""
    traffic = {name: value for name, value in manifest["traffic"].items() if name not in _ELSEWHERE}
    for identity, caption, of in (
        ("table-cleaning", "What was done to the carbon data.", manifest["carbon"]["cleaning"]),
        ("table-traffic", "What was made of the traffic.", traffic),
        ("table-knowledge", "What was missing in what policies knew.", manifest["knowledge"]),
    ):
        table = text_table(identity, caption, ("Item", "Value"), _flat(of))
        if table.rows:
            yield table


def _flat(fact: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Yield every value within a fact of a manifest as text, with the way to it.

    >>> list(_flat({"zone A": {"filled": 3, "hours": [1, 2]}, "zone B": {}}))
    [('zone A: filled', '3'), ('zone A: hours', '1, 2')]
    """
    if isinstance(fact, Mapping):
        for name, value in fact.items():
            yield from _flat(value, (*path, str(name).replace("_", " ")))
    elif isinstance(fact, list) and any(isinstance(value, list | Mapping) for value in fact):
        for place, value in enumerate(fact, start=1):
            yield from _flat(value, (*path, str(place)))
    elif fact is not None:
        yield _WITHIN.join(path), _as_text(fact)


def _as_text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_as_text, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.6g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
