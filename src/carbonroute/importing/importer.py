"""From files to a scenario: each is recognised and read, all of them are counted together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from carbonroute.errors import Fault, InputError, did_you_mean
from carbonroute.files.text import Digests, refused
from carbonroute.files.time_columns import span_text
from carbonroute.importing import FORMATS, NAMES
from carbonroute.importing.format import File, Format
from carbonroute.importing.scenario import Written, shares_of, write
from carbonroute.importing.settings import ImportSettings
from carbonroute.importing.tally import RequestTally
from carbonroute.importing.windows import Rates, rates, step_us, time_text
from carbonroute.importing.workloads import MeasuredEnergy, Service, energies, service

#: How packed files begin, what their names end in, and how their content is imported.
_PACKED = (
    (b"\x1f\x8b", ".gz", "give it a name that ends in .gz"),
    (b"\x28\xb5\x2f\xfd", ".zst", "unpack it: zstd -d; or pack it as .gz"),
    (b"PK\x03\x04", ".zip", "unpack it"),
)


@dataclass(frozen=True)
class Import:
    """What was imported.

    Attributes
    ----------
    files
        Format by file.
    said
        How files were read, in sentences.
    tally, rates
        Counts, and requests per window.
    services, energies
        By workload.
    written
        The scenario and its data.
    """

    files: Mapping[str, str]
    said: tuple[str, ...]
    tally: RequestTally
    rates: Rates
    services: Mapping[str, Service]
    energies: Mapping[str, MeasuredEnergy]
    written: Written

    @property
    def not_told(self) -> tuple[str, ...]:
        """What no file tells, in sentences."""
        found = [f"{what}" for what in self.written.to_fill_in]
        if not self.energies:
            found.append("energies: without, results are intensities and no grams")
        if len(self.rates.regions) == 1:
            found.append("other regions: with one alone there is nothing to route")
        assumed = [name for name in self.services if name not in self.tally.settings.slo_ms]
        if assumed and not any("latency limit" in what for what in found):
            found.append(f"latency limits: those in the file are assumed ({', '.join(assumed[:8])})")
        if set(self.rates.origins) <= set(self.rates.regions):
            found.append("where users are: assumed at the region that served them")
        return tuple(found)

    def as_json(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        tally, window_us = self.tally, self.rates.window_us
        low_us, high_us = tally.ends_us
        known = not tally.undated and low_us is not None and high_us is not None
        return {
            "files": dict(self.files),
            "rows": tally.read,
            "requests": self.rates.total,
            "failed": dict(sorted(tally.failed.items())),
            "left_out": {
                reason: {"count": one.count, "lines": one.lines, "example": one.example}
                for reason, one in sorted(tally.left_out.items())
            },
            "first": time_text(low_us) if known and low_us is not None else None,
            "last": time_text(high_us) if known and high_us is not None else None,
            "start": None if tally.undated else time_text(self.rates.start_us),
            "hours": self.rates.hours,
            "window": span_text(window_us),
            "windows": len(self.rates.requests),
            "gaps": list(self.rates.notes),
            "regions": list(self.rates.regions),
            "origins": self.rates.share_of_origins(),
            "workloads": [
                {
                    "id": name,
                    "share": share,
                    "service_ms": self.services[name].entries or None,
                    "service": self.services[name].says,
                    "fit_error": self.services[name].error,
                    "energy_j": self.energies[name].average_j if name in self.energies else None,
                    "marginal_energy_j": self.energies[name].marginal_j if name in self.energies else None,
                }
                for name, share in shares_of(self.rates).items()
            ],
            "read_as": list(self.said),
            "not_told": list(self.not_told),
            "wrote": list(self.written.files),
        }


def import_files(paths: Sequence[Path], settings: ImportSettings, output: Path) -> Import:
    """Read files, and return a scenario made of them; nothing is written.

    Parameters
    ----------
    paths
        The files, in any order.
    settings
        What the user states.
    output
        Where the scenario will be written.

    Raises
    ------
    InputError
        If a file cannot be read or recognised, two of them count the same requests, or a gap is refused.
    """
    tally, digests = RequestTally(settings), Digests()
    said: list[str] = []
    format_of: dict[str, str] = {}
    counted: dict[str, str] = {}
    undated: set[bool] = set()
    for path in sorted(paths):
        file = File(path, str(path))
        if file.shown in format_of:
            raise refused(file.shown, "is named twice", "name it once")
        one = recognised(file, settings)
        format_of[file.shown] = one.name
        before, tally.undated = _counted(tally), False
        said += [line for line in one.read(file, tally, digests) if line not in said]
        _refuse_same(file.shown, digests)
        if _counted(tally) > before:
            counted[file.shown] = one.name
            undated.add(tally.undated)
            if len(undated) > 1:
                mixed = "counts time from a zero of its own, and another file has dates (or the reverse)"
                raise refused(file.shown, mixed, "import them by themselves")
        if len(set(counted.values())) > 1:
            named = ", ".join(f"{shown} ({name})" for shown, name in counted.items())
            remedy = (
                "the same requests must not count twice: import one of them, and the others by themselves"
            )
            raise refused("import", f"{named} both count requests", remedy)
    tally.undated = True in undated
    source = next(iter(format_of)) if len(format_of) == 1 else "the files"
    found = rates(tally, source)
    names = list(found.of_workload)
    services = {name: service(tally, name) for name in names}
    powered = energies(tally, names, step_us(tally))
    _refuse_unknown(settings, found)
    listed = ", ".join(f"{Path(shown).name} ({name})" for shown, name in format_of.items())
    written = write(output, listed, settings, found, services, powered, dated=not tally.undated)
    return Import(format_of, tuple(said), tally, found, services, powered, written)


def recognised(file: File, settings: ImportSettings) -> Format:
    """Return the format of a file: the stated one, or the first that recognises it.

    Raises
    ------
    InputError
        If there is none: with all that were tried.
    """
    for magic, suffix, remedy in _PACKED:
        if file.head.startswith(magic):
            raise refused(file.shown, f"is packed, as files in {suffix} are", remedy)
    if settings.format is not None:
        if settings.format not in NAMES:
            raise refused("--format", f"found {settings.format!r}", did_you_mean(settings.format, NAMES))
        return FORMATS[NAMES.index(settings.format)]
    if not file.head.strip():
        raise refused(
            file.shown, "the file is empty", "a log, a table or an answer of an interface is expected"
        )
    found = next((one for one in FORMATS if one.recognises(file, settings)), None)
    if found is None:
        table = file.preview if file.content != "json" else None
        looks = (
            f"columns {table.listed}"
            if table and not table.is_json
            else f"it begins with {file.first_line!r}"
        )
        remedy = (
            "state it: --format NAME, and what its columns hold: --field time=COLUMN; or --log-format '…'"
        )
        faults = [Fault("", f"is of no known format: {looks}", remedy)]
        faults += [Fault(f"tried {one.name}", f"looked for {one.features}") for one in FORMATS]
        raise InputError(file.shown, faults)
    return found


def _counted(tally: RequestTally) -> int:
    return tally.counts.total() + sum(row.requests is not None for row in tally.rows.values())


def _refuse_same(shown: str, digests: Digests) -> None:
    same = [other for other, digest in digests.items() if other != shown and digest == digests.get(shown)]
    if same:
        raise refused(
            shown, f"holds the same bytes as {same[0]}", "name one of them: requests must not count twice"
        )


def _refuse_unknown(settings: ImportSettings, found: Rates) -> None:
    """Refuse what the user states of regions or workloads that there are not."""
    places = sorted({*found.regions, *found.origins})
    for option, stated, known in (
        ("--carbon", settings.carbon_g_per_kwh, found.regions),
        ("--place", settings.places, places),
        ("--slo", settings.slo_ms, list(found.of_workload)),
        ("--service", settings.service_ms, list(found.of_workload)),
    ):
        for name in stated:
            if name not in known:
                raise refused(option, f"there is no {name!r}", did_you_mean(name, known))
