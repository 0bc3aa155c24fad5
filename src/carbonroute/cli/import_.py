"""``carbonroute import``: a scenario from logs, metrics, tables and traces."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from carbonroute.cli.imported import print_import
from carbonroute.cli.terminal import out, print_json, results_alone
from carbonroute.errors import RunFolderError
from carbonroute.files.folder import create_named, write_named
from carbonroute.files.text import refused
from carbonroute.importing.settings import CountUnit, Gaps, Stamp, TimeUnit, Values

#: An option that can stand more than once.
Many = Annotated[tuple[str, ...], Parameter(consume_multiple=False, negative=())]


def import_(
    *files: Path,
    output: Annotated[Path, Parameter(name=("--output", "-o"))],
    form: Annotated[str | None, Parameter(name="--format")] = None,
    log_format: str | None = None,
    field: Many = (),
    workload: Many = (),
    window: str | None = None,
    gaps: Gaps = "refuse",
    region: str | None = None,
    carbon: Many = (),
    place: Many = (),
    slo: Many = (),
    service: Many = (),
    ms_per_token: str | None = None,
    time_zone: str | None = None,
    time_unit: TimeUnit | None = None,
    service_unit: TimeUnit | None = None,
    unit: CountUnit | None = None,
    values: Values | None = None,
    stamp: Stamp | None = None,
    skip_rows: int = 0,
    requests_from: Many = (),
    since: Annotated[str | None, Parameter(name="--from")] = None,
    until: str | None = None,
    force: Annotated[bool, Parameter(negative=())] = False,
    json: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """Write a scenario, and the data that it reads, from your own files.

    Parameters
    ----------
    files
        Access logs (nginx, Apache, Envoy, HAProxy, ALB, CloudFront, IIS; also .gz), Prometheus range queries,
        OpenMetrics text, tables of requests per hour, or traces of requests; patterns in quotes, such as
        'logs/access.*.log', and folders. They are counted together; the same requests twice are refused.
    output
        The scenario file; its data are written beside it.
    form
        Format of the files, where it is not recognised: nginx, apache, envoy, haproxy, alb, w3c, prometheus,
        openmetrics, guidellm, vllm-bench, table or trace.
    log_format
        The server's own format string: nginx's log_format, Apache's LogFormat, or Envoy's text_format.
    field
        ROLE=NAME: which column, label or variable holds the time, region, origin, workload, path, status,
        service, requests, p50, p90, p95, p99, power, prompt_tokens or answer_tokens. FILE:ROLE=NAME says so
        of one of several files, or of those that a pattern fits.
    workload
        PATTERN=WORKLOAD: which paths or models are one workload, such as '/v1/chat/*=chat'; the first that
        fits. What fits none is left out. A name alone is that of all requests.
    window
        Length of a window of the rates, such as 10min; an hour, or the table's own step.
    gaps
        What becomes of windows without any value.
    region
        Region of all requests, where the files do not name it.
    carbon
        REGION=G_PER_KWH: mean carbon intensity, which no file tells.
    place
        NAME=LATITUDE/LONGITUDE of a region or origin, for round trips by distance.
    slo
        WORKLOAD=MS: latency limit.
    service
        WORKLOAD=P50_MS/P95_MS: service time, where no file tells it.
    ms_per_token
        PREFILL/DECODE: time per prompt token and per answer token, ms, where a trace has tokens alone.
    time_zone
        IANA name of the zone of times without offset; UTC, and said so.
    time_unit
        Of times that are numbers; told from their size where they are since 1970.
    service_unit
        Of service times, where their name does not say.
    unit
        What a table's numbers of requests are: of each row, or per time; its columns may say.
    values
        What the values of a metric or table are: a running total, requests per step, or per second.
    stamp
        Whether a time stamp is the start or the end of its step. By default the start, but the end where
        a table's column of times is called so.
    skip_rows
        Lines above the header of each table or trace in CSV, such as the name of an export.
    requests_from
        File or pattern whose requests are counted, where several files count the same ones; the others give
        service times, tokens and power.
    since
        Leave out what is before this time.
    until
        Leave out what is at or after this time.
    force
        Replace files that are there.
    json
        Print the report as JSON.
    """
    from carbonroute.importing import settings as stated
    from carbonroute.importing.importer import import_files

    if not files:
        raise refused(
            "import", "no file is named", "name at least one: carbonroute import FILE --output mine.toml"
        )
    if output.suffix != ".toml":
        raise refused("--output", f"found {output.name!r}", "a name in .toml is expected")
    of_all, of_files = stated.fields(field)
    settings = stated.ImportSettings(
        format=form,
        log_format=log_format,
        fields=of_all,
        file_fields=of_files,
        window_us=None if window is None else stated.window_us(window),
        gaps=gaps,
        stamp=stamp,
        values=values,
        unit=unit,
        time_zone=stated.zone(time_zone),
        time_unit=time_unit,
        service_unit=service_unit,
        workloads=stated.workloads(workload),
        region=region,
        carbon_g_per_kwh=stated.carbon(carbon),
        places=stated.places(place),
        slo_ms=stated.slo(slo),
        service_ms=stated.service(service),
        ms_per_token=None if ms_per_token is None else stated.ms_per_token(ms_per_token),
        requests_from=tuple(map(Path, requests_from)),
        since_us=stated.instant_us("--from", since),
        until_us=stated.instant_us("--until", until),
        skip_rows=stated.skip_rows(skip_rows),
    )
    with results_alone():
        imported = import_files(files, settings, output)
    _write(output, imported.scenario.files, force=force)
    if json:
        print_json(imported.as_json())
    else:
        console, report = out(), imported.as_json()
        print_import(console, report)
        console.print(
            f"\nWrote {', '.join(report['wrote'])}, in the folder {output.parent}; next: "
            f"carbonroute validate {shlex.quote(str(output))}",
            soft_wrap=True,
        )
    return 0


def _write(output: Path, files: dict[str, bytes], *, force: bool) -> None:
    """Write all files, the scenario last; none where one of them is there."""
    paths = {output.with_name(name): content for name, content in files.items()}
    if not force:
        for path in paths:
            if os.path.lexists(path):
                raise RunFolderError(f"{path}: is there already; name another file, or replace it: --force")
    written: list[Path] = []
    try:
        for path, content in paths.items():
            (write_named if force else create_named)(path, content)
            written.append(path)
    except BaseException:
        if not force:
            for path in written:
                path.unlink(missing_ok=True)
        raise
