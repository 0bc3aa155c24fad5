"""What went in: accounting labels, sources, factors, and what was done to the data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from carbonroute.report.cells import significant, words
from carbonroute.report.page import Block, Cell, Column, Facts, Row, Section, Table

_NOT_STATED = "not stated"
_WITHIN = ": "
_FACTORS = {
    "energy_j": Column("Energy", "J"),
    "energy_j_per_prompt_token": Column("per prompt token", "J"),
    "energy_j_per_answer_token": Column("per answer token", "J"),
    "embodied_g": Column("Embodied", "g CO₂e"),
    "payload_mb": Column("Payload", "MB"),
}
_OF_REGIONS = {"pue": Column("PUE"), "hardware_factor": Column("Hardware factor")}
_SHOWN_APART = frozenset({"source", "synthetic_geography"})


def section(facts: Mapping[str, Any], overview: Mapping[str, Any]) -> Section:
    """Return where the data come from, and what was done to them."""
    sources = {
        "What carbon values count": overview["accounting"] or _NOT_STATED,
        "Carbon": overview["source"] or _NOT_STATED,
        "Traffic": overview["traffic_source"] or "made from the scenario's rates",
    }
    return Section("data", "Data and their sources", (Facts(sources), *_factors(facts), *_treatment(facts)))


def _factors(facts: Mapping[str, Any]) -> Iterator[Block]:
    """Yield what stands between a request and its grams, with its sources."""
    factors = facts["factors"]
    if not factors:
        return
    of_workloads = factors["workloads"]
    known = {
        name: column
        for name, column in _FACTORS.items()
        if any(workload[name] is not None for workload in of_workloads.values())
    }
    yield Table(
        "table-energies",
        "Energy of a request, by workload.",
        (Column("Workload", numeric=False), *known.values(), Column("Source of the energy", numeric=False)),
        tuple(
            Row((words(name), *(significant(one[each], 6) for each in known), words(one["energy_source"])))
            for name, one in of_workloads.items()
        ),
        sortable=False,
    )
    yield Table(
        "table-regions",
        "What a region makes of it.",
        (Column("Region", numeric=False), *_OF_REGIONS.values()),
        tuple(
            Row((words(region), *(significant(factors[name][region], 6) for name in _OF_REGIONS)))
            for region in factors["pue"]
        ),
        sortable=False,
    )
    network = f"{significant(factors['network_energy_j_per_gb'], 6).text} J/GB"
    sources = {f"Source of {name}": source for name, source in factors["sources"].items()}
    yield Facts({"Energy of the network": network, **sources})


def _treatment(facts: Mapping[str, Any]) -> Iterator[Block]:
    """Yield what cleaning did, what traffic files hold, and what policies knew less of."""
    traffic = {name: fact for name, fact in facts["traffic"].items() if name not in _SHOWN_APART}
    for identity, caption, of in (
        ("table-cleaning", "What was done to the carbon data.", facts["carbon"]["cleaning"]),
        ("table-traffic", "What was made of the traffic.", traffic),
        ("table-knowledge", "What was missing in what policies knew.", facts["knowledge"]),
    ):
        rows = tuple(Row((words(name), Cell(value))) for name, value in _flat(of))
        if rows:
            columns = (Column("What", numeric=False), Column("Found", numeric=False))
            yield Table(identity, caption, columns, rows, sortable=False)


def _flat(fact: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Yield every value within a fact of a manifest as text, with the way to it.

    Examples
    --------
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
        yield _WITHIN.join(path), _in_words(fact)


def _in_words(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_in_words, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.6g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
