"""Inspecting a scenario: the files that it reads, as it reads them, and the signals that a run uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from carbonroute.carbon import FileSource, Forecast, Query, Signal
from carbonroute.errors import InputError
from carbonroute.files import patterns
from carbonroute.files.preview import Certainty, Preview, Recognition, head_of
from carbonroute.inspection import forecasts, network, traffic
from carbonroute.inspection.carbon import HourlyValues, describe, describe_hours, pictures
from carbonroute.inspection.ordering import Ordered
from carbonroute.inspection.recognise import TRAFFIC
from carbonroute.inspection.result import Inspection, Kind
from carbonroute.scenario import Scenario, resolve
from carbonroute.scenario.resolved.inputs import Inputs
from carbonroute.scenario.resolved.round_trips import round_trips
from carbonroute.traffic import Arrivals, TrafficSource
from carbonroute.traffic.source import TrafficFile
from carbonroute.units import US_PER_S

#: Requests of synthetic traffic that are looked at, at most.
_MOST_REQUESTS = 5_000_000
_UNDATED = {"lowest_hour_utc": "lowest_hour", "highest_hour_utc": "highest_hour"}
_DAYLESS = datetime(2001, 1, 1, tzinfo=UTC)


def inspect_scenario(scenario: Scenario) -> list[Inspection]:
    """Inspect every file that a scenario reads, and the signals that a run uses.

    A file that cannot be read has the reason among its findings.
    """
    inputs = _resolved(scenario)
    parts = [*_carbon_files(scenario), *_traffic_files(scenario)]
    if isinstance(inputs, InputError):
        broken = f"the scenario cannot be run: {inputs}"
        return [
            *parts,
            _network(scenario),
            Inspection("scenario", "carbon", {}, {}, pl.DataFrame(), (broken,)),
        ]
    parts.append(_signal(scenario, inputs.carbon))
    if not scenario.traffic.files():
        parts.append(_arrivals(scenario, inputs.arrivals))
    return [*parts, _network(scenario)]


def _resolved(scenario: Scenario) -> Inputs | InputError:
    try:
        return resolve(scenario)
    except InputError as error:
        return error


def _carbon_files(scenario: Scenario) -> Iterator[Inspection]:
    own = [(region.carbon or scenario.carbon, region.zone or region.name) for region in scenario.regions]
    inspected: list[FileSource] = []
    for source, _ in own:
        if not isinstance(source, FileSource) or source in inspected:
            continue
        inspected.append(source)
        zones = [zone for other, zone in own if other == source]
        yield _told(source.file_name, "carbon", partial(_file, source, zones, scenario))
        if (forecast := source.forecast) is not None:
            yield from _forecasts(forecast, zones, scenario.folder)


def _told(name: str, kind: Kind, look: Callable[[], Inspection]) -> Inspection:
    """Return an inspection, or the refusal of its file as its finding."""
    try:
        return look()
    except InputError as error:
        return _refused(name, kind, error)


def _refused(name: str, kind: Kind, error: InputError) -> Inspection:
    return Inspection(name, kind, {}, {}, pl.DataFrame(), (str(error),))


def _file(source: FileSource, zones: list[str], scenario: Scenario) -> Inspection:
    query = Query.of_all_times(list(dict.fromkeys(zones)), scenario.folder)
    if (start := scenario.horizon.start) is not None:
        query = replace(query, start=start, hours=scenario.horizon.hours)
    readings = source.read(query)
    table = readings.table.filter(pl.col("zone").is_in(zones))
    series = describe(table, source.file_name, in_grams=True, step=source.step)
    counts = [f"{count:,} {remark}, in the horizon" for remark, count in readings.counts.items() if count]
    reading = {"format": source.kind, "accounting": str(readings.accounting), "unit of values": "g/kWh"}
    return Inspection(
        name=source.file_name,
        kind="carbon",
        reading=reading | {"zones": "those of the scenario"},
        quantities=series.quantities,
        table=series.table,
        findings=(*counts, *series.findings),
        pictures=pictures(series.hours, in_grams=True),
    )


def _forecasts(forecast: Forecast, zones: list[str], folder: Path) -> Iterator[Inspection]:
    try:
        files = forecast.files(Query.of_all_times(list(dict.fromkeys(zones)), folder))
    except InputError as error:
        yield _refused(forecast.file_name, "carbon", error)
        return
    for name, path in files.items():
        yield _told(
            name, "carbon", partial(_forecast, forecast, Preview(path, name, layout=forecast.table_layout))
        )


def _forecast(forecast: Forecast, file: Preview) -> Inspection:
    roles = ("issue", "lead", "zone", "value")
    columns = {role: column for role in roles if (column := getattr(forecast, f"{role}_column")) is not None}
    lists: dict[str, tuple[str, ...]] = {"further columns of words": ()}
    recognition = Recognition(Certainty.SIGNATURE, "forecast", columns, lists)
    return _without_suggestion(
        forecasts.inspect(file, recognition, forecast.where), {"unit of values": forecast.unit}
    )


def _traffic_files(scenario: Scenario) -> Iterator[Inspection]:
    source = type(scenario.traffic)
    for file in _named(scenario.traffic.files(), scenario.folder):
        yield _told(file.path, file.form, partial(_traffic_file, source, file, scenario.folder))


def _named(files: Sequence[TrafficFile], folder: Path) -> Iterator[TrafficFile]:
    """Yield each file that a name or pattern means; one that means none stays, to be refused."""
    for file in files:
        if patterns.is_name(file.path, folder):
            yield file
        else:
            names = patterns.fitting(patterns.without_marks(file.path), folder)
            yield from (replace(file, path=name) for name in names or [file.path])


def _traffic_file(source: type[TrafficSource], file: TrafficFile, folder: Path) -> Inspection:
    path = folder / file.path
    head = head_of(path, file.path, layout=file.layout)
    preview = Preview(path, file.path, beginning=lambda: head, typed=head, layout=file.layout)
    inspection = TRAFFIC[file.form](source, preview, file.recognition, file)
    return _without_suggestion(inspection, file.reading)


def _without_suggestion(inspection: Inspection, settings: Mapping[str, str]) -> Inspection:
    """Return the inspection of a file that stands in a scenario already."""
    return replace(inspection, reading={**inspection.reading, **settings}, suggestion="")


def _signal(scenario: Scenario, signal: Signal) -> Inspection:
    start = scenario.horizon.start or _DAYLESS
    hours = HourlyValues(tuple(region.name for region in scenario.regions), start, signal.g_per_kwh)
    table, findings = describe_hours(hours)
    dated = scenario.horizon.start is not None
    return Inspection(
        name="carbon as the run uses it",
        kind="carbon",
        reading={"source": signal.source, "accounting": str(signal.accounting), "unit of values": "g/kWh"},
        quantities={
            "hours": len(hours.values),
            "first": start if dated else None,
            "regions": len(hours.zones),
        },
        table=table.rename({"zone": "region", **({} if dated else _UNDATED)}),
        findings=(*signal.notes, *findings),
        pictures=pictures(hours, in_grams=True, dated=dated),
    )


def _arrivals(scenario: Scenario, arrivals: Arrivals) -> Inspection:
    quantities = {"expected_requests": arrivals.count, "hours": scenario.horizon.hours}
    times: list[np.ndarray] = []
    hourly = np.zeros(scenario.horizon.hours, dtype=np.int64)
    looked = 0
    for block in arrivals.blocks():
        hourly += np.bincount(block.hour, minlength=len(hourly))
        looked += len(block)
        if block.time_s is not None:
            times.append(np.round(block.time_s * US_PER_S).astype(np.int64))
        if looked >= _MOST_REQUESTS:
            break
    findings = list(arrivals.notes)
    if looked < arrivals.count and looked >= _MOST_REQUESTS:
        findings.append(f"only the first {looked:,} requests were looked at")
    known = Ordered.of(np.concatenate(times)) if times else None
    if known is not None and known.count:
        described = traffic.describe(known, looked, dated=False)
        picture = traffic.pictures(known, dated=False)
    else:
        described = {"requests": looked, "busiest_hour_requests": int(hourly.max())}
        findings.append("requests come at some time within their hours: gaps between them are not known")
        rate = pl.DataFrame({"hour": np.arange(len(hourly)), "requests_per_hour": hourly})
        picture = {"rate": rate}
    return Inspection(
        name="traffic as the run uses it",
        kind="traffic" if times else "rates",
        reading={"kind": scenario.traffic.kind, "source": arrivals.source},
        quantities=quantities | described,
        table=pl.DataFrame(),
        findings=tuple(findings),
        pictures=picture,
    )


def _network(scenario: Scenario) -> Inspection:
    def look() -> Inspection:
        network_rtt = round_trips(scenario)
        origins = [origin.name for origin in scenario.origins]
        regions = [region.name for region in scenario.regions]
        quantities, findings = network.describe(network_rtt.rtt_ms, origins, regions, scenario.name)
        return Inspection(
            name="network as the run uses it",
            kind="rtt",
            reading={"source": scenario.network.rtt_file or "the scenario", "unit of values": "ms"},
            quantities=quantities,
            table=pl.DataFrame(),
            findings=(*network_rtt.notes, *findings),
            pictures={"matrix": network.long(network_rtt.rtt_ms, origins, regions)},
        )

    return _told(scenario.network.rtt_file or "network", "rtt", look)
