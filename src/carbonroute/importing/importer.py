"""From files to a scenario: each is recognised and read, all of them are counted together."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from carbonroute.errors import InputError, alike, did_you_mean
from carbonroute.files.text import Digests, refused
from carbonroute.files.time_columns import span_text
from carbonroute.importing.aggregates import Aggregates, RepeatedRowError
from carbonroute.importing.coverage import Coverage, refuse_same_requests
from carbonroute.importing.format import File
from carbonroute.importing.recognition import recognised
from carbonroute.importing.scenario import ScenarioFiles, shares_of, write
from carbonroute.importing.settings import ImportSettings
from carbonroute.importing.sources import files_of
from carbonroute.importing.windows import Rates, rates, time_text
from carbonroute.importing.workloads import MeasuredEnergy, Service, energies, measured, service

#: Options by which a sentence on what no file tells says how to state it.
_OPTION = re.compile(r"--[a-z]+ '[^']+'")


@dataclass(frozen=True)
class Import:
    """The result of an import.

    Attributes
    ----------
    notes
        How files were read, in sentences.
    aggregates, rates
        Counts, and requests per window.
    services, energies
        By workload.
    """

    files: Mapping[str, str]
    notes: tuple[str, ...]
    aggregates: Aggregates
    rates: Rates
    services: Mapping[str, Service]
    energies: Mapping[str, MeasuredEnergy]
    scenario: ScenarioFiles

    @property
    def not_told(self) -> tuple[str, ...]:
        """Figures that no file tells, in sentences."""
        sentences = [f"{sentence}" for sentence in self.scenario.to_fill_in]
        if not self.energies:
            sentences.append("energies: without, results are intensities and no grams")
        if len(self.rates.regions) == 1:
            sentences.append("other regions: with one alone there is nothing to route")
        assumed = [name for name in self.services if name not in self.aggregates.settings.slo_ms]
        if assumed and not any("latency limit" in sentence for sentence in sentences):
            sentences.append(f"latency limits: those in the file are assumed ({', '.join(assumed[:8])})")
        if set(self.rates.origins) <= set(self.rates.regions):
            sentences.append("where users are: assumed at the region that served them")
        return tuple(sentences)

    @property
    def options(self) -> tuple[str, ...]:
        """The options that state what no file tells and a run needs, with capitals for what to fill in."""
        return tuple(option[0] for line in self.scenario.to_fill_in if (option := _OPTION.search(line)))

    def as_json(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        aggregates, window_us = self.aggregates, self.rates.window_us
        low_us, high_us = aggregates.ends_us
        known = not aggregates.undated and low_us is not None and high_us is not None
        return {
            "files": dict(self.files),
            "rows": aggregates.read,
            "requests": self.rates.total,
            "failed": dict(sorted(aggregates.failed.items())),
            "left_out": {
                reason: {"count": one.count, "lines": one.lines, "example": one.example}
                for reason, one in sorted(aggregates.left_out.items())
            },
            "first": time_text(low_us) if known and low_us is not None else None,
            "last": time_text(high_us) if known and high_us is not None else None,
            "start": None if aggregates.undated else time_text(self.rates.start_us),
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
                    "service": self.services[name].basis,
                    "fit_error": self.services[name].error,
                    "energy_j": self.energies[name].average_j if name in self.energies else None,
                    "marginal_energy_j": self.energies[name].marginal_j if name in self.energies else None,
                }
                for name, share in shares_of(self.rates).items()
            ],
            "read_as": list(self.notes),
            "not_told": list(self.not_told),
            "wrote": list(self.scenario.files),
        }


def import_files(paths: Sequence[Path], settings: ImportSettings, output: Path) -> Import:
    """Read files, and return a scenario made of them; nothing is written.

    `paths`: files, patterns and folders, in any order.
    Raises InputError if a file cannot be read or recognised, two of them count the same requests, or a gap is
    refused.
    """
    reading = _read(paths, settings)
    _refuse_alike(reading.aggregates)
    aggregates, format_of = reading.aggregates, reading.format_of
    source = next(iter(format_of)) if len(format_of) == 1 else "the files"
    per_window = rates(aggregates, source)
    names = list(per_window.of_workload)
    services = {name: service(aggregates, name) for name in names}
    powered = energies(aggregates, names)
    _refuse_unknown(settings, per_window)
    listed = ", ".join(f"{Path(name).name} ({form})" for name, form in format_of.items())
    scenario = write(output, listed, settings, per_window, services, powered, dated=not aggregates.undated)
    notes = [*reading.notes, *_unused(aggregates, names)]
    return Import(format_of, tuple(notes), aggregates, per_window, services, powered, scenario)


def _refuse_alike(aggregates: Aggregates) -> None:
    """Refuse two spellings of one region or origin: each would have gaps where the other is written."""
    for kind in ("region", "origin"):
        if pairs := alike(aggregates.names[kind]):
            raise refused("the files", f"{kind}s {'; '.join(pairs[:5])}", "write one name in all rows")


@dataclass
class _FilesRead:
    """The files as they are read, and their aggregates."""

    aggregates: Aggregates
    notes: list[str] = field(default_factory=list)
    format_of: dict[str, str] = field(default_factory=dict)
    coverages: list[Coverage] = field(default_factory=list)


def _read(paths: Sequence[Path], settings: ImportSettings) -> _FilesRead:
    """Read all files, each for itself, and add up their aggregates."""
    files, notes = files_of(paths)
    settings.require_files(files)
    reading, digests = _FilesRead(Aggregates(settings), notes), Digests()
    counting = _counting(files, settings)
    dated: dict[bool, str] = {}
    for path in files:
        file, of_file = File(path, str(path), settings.skip_rows), settings.of_file(path)
        own, form = Aggregates(of_file), recognised(file, of_file)
        reading.format_of[file.name] = form.name
        if not form.has_header:
            file.layout.require_csv(file.name, f"of format {form.name}")
        notes = form.read(file, own, digests)
        if form.has_header and file.preview is not None and file.preview.unread:
            notes = [*notes, f"{file.name}: {file.preview.unread}"]
        reading.notes += [note for note in notes if note not in reading.notes]
        _refuse_same(file.name, digests)
        if own.has_requests and path not in counting:
            own.drop_requests()
            reading.notes.append(f"{file.name}: its requests are not counted, as --requests-from says")
        if own.has_requests:
            reading.coverages.append(Coverage.of(file.name, form.name, own))
            dated.setdefault(not own.undated, file.name)
            if len(dated) > 1:
                problem = "counts time from a zero of its own, and another file has dates (or the reverse)"
                raise refused(file.name, problem, "import them by themselves")
        try:
            reading.aggregates.merge(own, file.name)
        except RepeatedRowError as error:
            raise _repeated(file.name, error, reading.coverages) from error
    refuse_same_requests(reading.coverages, settings)
    return reading


def _repeated(file_name: str, error: RepeatedRowError, coverages: Sequence[Coverage]) -> InputError:
    others = [
        each.file_name
        for each in coverages
        if each.file_name != file_name and each.covers(error.begin, error.cell)
    ]
    names = ", ".join(filter(None, error.cell)) or "a row"
    problem = f"{names} of {time_text(error.begin)} stands in {others[0] if others else 'another file'} too"
    remedy = f"leave one out; or count one of them: --requests-from '{file_name}'"
    return refused(file_name, problem, remedy)


def _counting(files: Sequence[Path], settings: ImportSettings) -> set[Path]:
    """Return the files whose requests are counted: all, or those that the user states."""
    if not settings.requests_from:
        return set(files)
    counting, _ = files_of(settings.requests_from)
    names = [str(path) for path in files]
    for path in counting:
        if path not in files:
            raise refused("--requests-from", f"{path} is not imported", did_you_mean(str(path), names))
    return set(counting)


def _unused(aggregates: Aggregates, names: Sequence[str]) -> Iterator[str]:
    """Yield a note on the measures of workloads of which no file counts requests."""
    others = sorted({aggregates.workload_name(raw) for raw in measured(aggregates) if raw} - set(names))
    if others:
        kept = " ".join(f"--workload '{name}={name}'" for name in names[:8])
        yield (
            f"service times, tokens and power of {', '.join(others[:8])} are not used: no counted request is "
            f"of such a workload. If they are those of {' or '.join(names[:8])}, join the names: {kept} and "
            f"--workload '{others[0]}={names[-1]}'"
        )


def _refuse_same(file_name: str, digests: Digests) -> None:
    same = [
        other for other, digest in digests.items() if other != file_name and digest == digests.get(file_name)
    ]
    if same:
        raise refused(
            file_name, f"holds the same bytes as {same[0]}", "name one of them: requests must not count twice"
        )


def _refuse_unknown(settings: ImportSettings, known_rates: Rates) -> None:
    """Refuse stated figures of regions or workloads that no file names."""
    places = sorted({*known_rates.regions, *known_rates.origins})
    for option, stated, known in (
        ("--carbon", settings.carbon_g_per_kwh, known_rates.regions),
        ("--place", settings.places, places),
        ("--slo", settings.slo_ms, list(known_rates.of_workload)),
        ("--service", settings.service_ms, list(known_rates.of_workload)),
    ):
        for name in stated:
            if name not in known:
                raise refused(option, f"there is no {name!r}", did_you_mean(name, known))
