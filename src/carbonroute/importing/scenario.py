"""The scenario of an import, as text, and its data files. Every figure has its source, or ``assumed``."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from carbonroute.files.tables import csv_bytes
from carbonroute.files.toml import key_text, value
from carbonroute.importing.aggregates import MILLIONTHS
from carbonroute.importing.laws import rounded, rounded_up
from carbonroute.importing.settings import ImportSettings
from carbonroute.importing.windows import Rates, minutes, time_text
from carbonroute.importing.workloads import MeasuredEnergy, Service
from carbonroute.units import S_PER_HOUR, US_PER_S

#: Added to the 99th percentile of the service time, where no limit is stated.
SLO_ALLOWANCE_MS = 100.0
_WIDTH = 110
#: How a line begins that the user must complete.
FILL_IN = "# fill in: "


@dataclass(frozen=True)
class ScenarioFiles:
    """A scenario and its data.

    `files`: content by name, the scenario's last.
    `to_fill_in`: figures that a run needs and no file tells, in sentences, each with the option that states
    it.
    """

    files: dict[str, bytes]
    to_fill_in: tuple[str, ...]


@dataclass
class _Text:
    lines: list[str] = field(default_factory=list)
    to_fill_in: list[str] = field(default_factory=list)

    def say(self, comment: str) -> None:
        """Add a comment, in lines of a readable width."""
        words = " ".join("".join(c if c.isprintable() else " " for c in comment).split())
        self.lines += textwrap.wrap(
            words,
            _WIDTH,
            initial_indent="# ",
            subsequent_indent="#   ",
            break_long_words=False,
            break_on_hyphens=False,
        )

    def put(self, key: str, entry: object, source: str = "") -> None:
        """Add a key with its source as a comment above it, or behind it where it is short."""
        line = f"{key} = {_value(entry)}"
        if source and len(line) + len(source) + 4 <= _WIDTH:
            line = f"{line:<39} # {source}"
        elif source:
            self.say(source)
        self.lines.append(line)

    def open(self, line: str, why: str, option: str) -> None:
        """Add a line that the user must complete."""
        self.lines.append(f"{FILL_IN}{line}   ({why}; {option})")


def _value(entry: object) -> str:
    if isinstance(entry, Mapping):
        return (
            "{ " + ", ".join(f"{key_text(str(key))} = {_value(item)}" for key, item in entry.items()) + " }"
        )
    if isinstance(entry, float) and entry.is_integer() and abs(entry) < 1e15:
        return str(int(entry))
    return value(entry)


def write(
    output: Path,
    sources: str,
    settings: ImportSettings,
    rates: Rates,
    services: Mapping[str, Service],
    energies: Mapping[str, MeasuredEnergy],
    *,
    dated: bool,
) -> ScenarioFiles:
    """Return the scenario and its data files.

    Parameters
    ----------
    output
        The scenario file; the others stand beside it, and their names begin as its own does.
    settings, rates, services, energies
        What the user states; requests per window; laws and energies by workload.
    dated
        Whether times are those of the calendar.
    """
    files: dict[str, bytes] = {f"{output.stem}-rates.csv": _rates_csv(rates, dated=dated)}
    written = _Text()
    _head(written, output.stem, sources, rates, dated=dated)
    _traffic(written, output, rates, dated=dated)
    _assumed(written)
    _places(written, settings, rates)
    _workloads(written, files, output, settings, rates, services, energies)
    _policies(written)
    files[output.name] = ("\n".join(written.lines) + "\n").encode()
    return ScenarioFiles(files, tuple(written.to_fill_in))


def _head(written: _Text, stem: str, sources: str, rates: Rates, *, dated: bool) -> None:
    """Write where the scenario comes from, its name, its horizon and its information."""
    written.say("Written by carbonroute import.")
    written.say(f"Read: {sources}.")
    written.say(
        "Figures that the user stated, or that stand in for those that no file tells, are marked: assumed. "
        "Check the rest: carbonroute validate FILE"
    )
    written.put("schema", 1)
    written.put("name", _name(stem))
    written.lines += ["", "[horizon]"]
    written.put("hours", rates.hours, "all windows of the files")
    if dated:
        written.lines.append(f"{'start = ' + time_text(rates.start_us):<39} # start of the first window")
    else:
        written.say("No dates: the files count time from a zero of their own, which is hour 0.")
    written.lines += ["", "[information]"]
    written.put("service_time", "mean", "a router knows the law, not the request")


def _assumed(written: _Text) -> None:
    """Write the sections of which no file tells anything: carbon and network."""
    written.lines += ["", "[carbon]"]
    written.say(
        'No file tells the grids: each region has a constant mean. For hourly values: kind = "file", or '
        "that of a provider (docs/model.md); carbonroute inspect FILE suggests the lines."
    )
    written.put("kind", "synthetic", "assumed")
    written.lines += ["", "[network]"]
    written.say(
        "No file tells round trips: they are estimated by great-circle distance. For measured ones state "
        "rtt_ms or rtt_file instead."
    )
    written.put("missing", "great-circle", "assumed")
    written.put("jitter_std_ms", 10, "assumed")


def _policies(written: _Text) -> None:
    written.lines += [""]
    written.say("Policies to compare; carbonroute policies lists all.")
    for use, keys in (
        ("latency-first", {}),
        ("carbon-first", {}),
        ("static-greenest", {}),
        ("constrained-hybrid", {"max_violation": 0.05}),
    ):
        written.lines.append("[[policies]]")
        written.put("use", use)
        for key, entry in keys.items():
            written.put(key, entry, "assumed")


def _name(stem: str) -> str:
    printable = "".join(c for c in stem if c.isprintable()).strip()
    return printable[:100] or "imported"


def _rates_csv(rates: Rates, *, dated: bool) -> bytes:
    """Return requests per hour by window and origin."""
    per_hour = S_PER_HOUR * US_PER_S / rates.window_us / MILLIONTHS
    columns: dict[str, object] = {}
    if dated:
        begin = rates.start_us + np.arange(len(rates.requests)) * rates.window_us
        times = pl.Series(begin).cast(pl.Datetime("us", "UTC"))
        columns["time"] = times.dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    for place, origin in enumerate(rates.origins):
        values = rates.requests[:, place].astype(np.float64) * per_hour
        columns[_column(origin)] = [f"{rounded(number, 12):.12g}" for number in values.tolist()]
    return csv_bytes(pl.DataFrame(columns))


def _column(origin: str) -> str:
    """Return the column of an origin: no spreadsheet runs it as a formula, and none is called time."""
    return f"from {origin}" if origin == "time" or not origin[0].isalnum() else origin


def _traffic(written: _Text, output: Path, rates: Rates, *, dated: bool) -> None:
    written.lines += ["", "[traffic]"]
    written.say(
        "Requests that were answered, per window and origin; within a window a Poisson process: assumed."
    )
    for note in rates.notes:
        written.say(note)
    written.put("kind", "rate-file")
    written.put("path", f"{output.stem}-rates.csv")
    written.put("unit", "requests/h")
    written.put("window", minutes(rates.window_us))
    if dated:
        written.put("time_column", "time")
    written.put("columns", {origin: _column(origin) for origin in rates.origins})


def _places(written: _Text, settings: ImportSettings, rates: Rates) -> None:
    unplaced = sorted({*rates.origins, *rates.regions} - settings.places.keys())
    uncharted = [region for region in rates.regions if region not in settings.carbon_g_per_kwh]
    written.lines += [""]
    same = set(rates.origins) <= set(rates.regions)
    if same:
        written.say(
            "assumed: the users of a region are those whose requests it served. Shares: of all requests."
        )
    else:
        written.say("Shares: of all requests.")
    for origin, share in rates.share_of_origins().items():
        written.lines.append("[[origins]]")
        written.put("name", origin)
        written.put("share", share)
        _place(written, settings, origin)
    written.lines += [""]
    for region in rates.regions:
        written.lines.append("[[regions]]")
        written.put("name", region)
        _place(written, settings, region)
        grams = settings.carbon_g_per_kwh.get(region)
        if grams is None:
            option = f"--carbon {region}=G"
            written.open("carbon_g_per_kwh = …", "mean of its grid, gCO2e/kWh: no file tells it", option)
        else:
            written.put("carbon_g_per_kwh", grams, "assumed: stated by --carbon")
    if uncharted:
        given = ",".join(f"{region}=G_PER_KWH" for region in uncharted)
        written.to_fill_in.append(f"the mean carbon intensity of {', '.join(uncharted)}: --carbon '{given}'")
    if unplaced:
        given = ",".join(f"{name}=LATITUDE/LONGITUDE" for name in unplaced)
        written.to_fill_in.append(
            f"where {', '.join(unplaced)} is: --place '{given}', or round trips (network.rtt_ms)"
        )


def _place(written: _Text, settings: ImportSettings, name: str) -> None:
    place = settings.places.get(name)
    if place is None:
        written.open("latitude = …", "degrees north: no file tells it", f"--place {name}=LATITUDE/LONGITUDE")
        written.open("longitude = …", "degrees east", "the same option")
        return
    written.put("latitude", place[0], "assumed: stated by --place")
    written.put("longitude", place[1])


def _workloads(
    written: _Text,
    files: dict[str, bytes],
    output: Path,
    settings: ImportSettings,
    rates: Rates,
    services: Mapping[str, Service],
    energies: Mapping[str, MeasuredEnergy],
) -> None:
    of_workload = shares_of(rates)
    every_energy = all(name in energies for name in of_workload)
    written.lines += [""]
    written.say(
        "Shares: of all requests, the same in every window and origin. Service times: of answered requests."
    )
    for place, (name, share) in enumerate(of_workload.items()):
        service = services[name]
        written.lines.append("[[workloads]]")
        written.put("id", name)
        written.put("name", name)
        written.put("model", name)
        written.put("share", share)
        _slo(written, name, settings, service)
        _law(written, files, output, name, service, place)
        energy = energies.get(name)
        if energy is None:
            written.say("energy_j: no file tells it; without, there are intensities and no grams")
            continue
        also = (
            f"{energy.marginal_j:.6g} J more per further request"
            if energy.marginal_j is not None
            else "no marginal energy could be measured: rates hardly differ, or power does not rise with them"
        )
        source = (
            "average: power · time / requests, idle power included; "
            f"marginal (slope of power over rate): {also}"
        )
        if every_energy:
            written.put("energy_j", rounded(energy.average_j), source)
            written.put("energy_source", "measured power divided by requests, idle power included")
        else:
            none = "Other workloads have none, so none is stated."
            written.say(f"energy_j = {rounded(energy.average_j):g}: {source}. {none}")


def shares_of(rates: Rates) -> dict[str, float]:
    """Return the share of all requests by workload."""
    from carbonroute.importing.windows import shares

    return shares(rates.of_workload)


def _slo(written: _Text, name: str, settings: ImportSettings, service: Service) -> None:
    stated = settings.slo_ms.get(name)
    if stated is not None:
        written.put("slo_ms", stated, "assumed: stated by --slo")
    elif service.p99_ms is not None and np.isfinite(service.p99_ms):
        rule = (
            f"assumed: p99 of service time + {SLO_ALLOWANCE_MS:g} ms for the way, rounded up; --slo states it"
        )
        written.put("slo_ms", rounded_up(service.p99_ms + SLO_ALLOWANCE_MS), rule)
    else:
        written.open("slo_ms = …", "latency limit, ms: no file tells it", f"--slo '{name}=MS'")
        written.to_fill_in.append(f"the latency limit of {name}: --slo '{name}=MS'")


def _law(
    written: _Text, files: dict[str, bytes], output: Path, name: str, service: Service, place: int
) -> None:
    if not service.entries:
        law = '{ law = "lognormal", mean = …, std = … }'
        written.open(f"service_ms = {law}", "no file tells it", f"--service '{name}=P50_MS/P95_MS'")
        written.to_fill_in.append(f"the service time of {name}: --service '{name}=P50_MS/P95_MS'")
        return
    if service.entries["law"] == "tokens" and "decode_ms_per_token" not in service.entries:
        known = _value({**service.entries, "prefill_ms_per_token": "…", "decode_ms_per_token": "…"})
        written.open(f"service_ms = {known}", service.basis, "--ms-per-token PREFILL/DECODE")
        written.to_fill_in.append(f"the ms per token of {name}: --ms-per-token PREFILL_MS/DECODE_MS")
        return
    entries = dict(service.entries)
    if service.times_ms is not None:
        beside = f"{output.stem}-service-{place + 1}.csv"
        column = [f"{rounded(number, 9):.9g}" for number in service.times_ms.tolist()]
        files[beside] = csv_bytes(pl.DataFrame({"service_ms": column}))
        entries |= {"path": beside, "column": "service_ms", "unit": "ms"}
    written.put("service_ms", entries, service.basis)
