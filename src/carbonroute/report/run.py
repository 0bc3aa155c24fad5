"""The page of one run, made of its tables and its manifest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from carbonroute.figures import SYNTHETIC_GEOGRAPHY
from carbonroute.files.text import count_of
from carbonroute.metrics import Tables, objectives
from carbonroute.metrics.best import best_first
from carbonroute.report import capacity, data, policies, reproduction, risk, serving
from carbonroute.report.figures import figures
from carbonroute.report.page import Items, Page, Section, Switches, Verdict

if TYPE_CHECKING:
    from carbonroute.figures.layout import Drawn

#: The report's name in a run folder.
REPORT = "report.html"

#: The figure that stands with the table of policies, and with it on the first page of paper.
_FIRST = "figure-tradeoff_curve"

_ENGINES = {
    "sampled": "every request sampled",
    "exact": "expected values, worked out",
    "both": "every request sampled, and held against expected values",
    "queued": "every request sampled, with queues",
}


def page_of_run(manifest: Mapping[str, Any], tables: Tables, drawn: Mapping[str, Drawn]) -> Page:
    """Return the page of a run, by its manifest (as `RunManifest` has it), its tables and drawn figures."""
    overview = tables.overview.row(0, named=True)
    drawings, ordered = tuple(figures(tables, drawn)), best_first(tables)
    sections = (
        policies.section(ordered, [each for each in drawings if each.id == _FIRST]),
        Section(
            "figures", "Figures", (*_switches(tables), *(each for each in drawings if each.id != _FIRST))
        ),
        *policies.saving(tables),
        *risk.sections(ordered, manifest["engine"]),
        *capacity.sections(ordered),
        *serving.sections(ordered),
        *_notes(overview),
        data.section(manifest, overview),
        reproduction.section(manifest, leaving_out=REPORT),
    )
    return Page(
        title=f"{overview['scenario']}: how much carbon can routing save?",
        description=manifest["scenario"].get("description", ""),
        about=tuple(_about(manifest, tables)),
        finding=overview["finding"],
        verdicts=tuple(
            Verdict(row["met"], f"{row['policy']} – {objectives.in_words(row)}.")
            for row in tables.objectives.rows(named=True)
        ),
        warnings=(SYNTHETIC_GEOGRAPHY,) if overview["synthetic_geography"] else (),
        sections=sections,
        maker=f"carbonroute {manifest['carbonroute']}",
    )


def _switches(tables: Tables) -> Iterator[Switches]:
    """Yield the boxes that hide policies, where there are several."""
    if tables.policies.height > 1:
        yield Switches(tuple(tables.policies["policy"]))


def _about(manifest: Mapping[str, Any], tables: Tables) -> Iterator[str]:
    """Yield the size of the run, in a few words each."""
    yield count_of(tables.policies.height, "policy", "policies")
    yield tables.overview["regions"][0]
    yield count_of(tables.overview["hours"][0], "hour")
    yield count_of(round(tables.policies["requests"][0]), "request")
    if len(manifest["seeds"]) > 1:
        yield f"{len(manifest['seeds']):,} replications"
    yield _ENGINES.get(manifest["engine"], manifest["engine"])


def _notes(overview: Mapping[str, Any]) -> Iterator[Section]:
    """Yield the assumptions and remarks, if there are any."""
    if overview["notes"]:
        notes = tuple(f"{note}." for note in overview["notes"])
        yield Section("notes", "Assumptions and remarks", (Items(notes),))
