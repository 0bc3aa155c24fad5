"""``carbonroute fetch``: history of carbon providers into files that scenarios read."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from pydantic import ValidationError

from carbonroute.cli.extra import require_extra
from carbonroute.cli.options import Json
from carbonroute.cli.progress import progress, stepper
from carbonroute.cli.terminal import DONE, out, print_json, say
from carbonroute.errors import Fault, InputError
from carbonroute.files import toml
from carbonroute.units import CarbonUnit

if TYPE_CHECKING:
    from carbonroute.live.signals.archives import Archive, Kind, Options

Source = Literal["electricity-maps", "watttime", "neso", "eia", "entsoe", "carbon-aware-sdk", "prometheus"]


def fetch(
    source: Source,
    /,
    *,
    start: Annotated[str, Parameter(name="--from")],
    end: Annotated[str, Parameter(name="--to")],
    output: Path,
    zones: str = "",
    token_env: str | None = None,
    username_env: str | None = None,
    password_env: str | None = None,
    base_url: str | None = None,
    api: Literal["v3", "v4"] | None = None,
    scope: Literal["direct", "lifecycle"] | None = None,
    signal_type: Literal["co2_moer", "co2_aoer"] | None = None,
    rate: Literal["average", "marginal"] | None = None,
    step: str | None = None,
    query: str | None = None,
    region_label: str | None = None,
    unit: CarbonUnit | None = None,
    json: Json = False,
    quiet: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Fetch the history of a carbon provider into files, and print the scenario lines that read them.

    A file holds what the provider answered about a zone. Times that files in the folder have are not asked
    for again, so that a fetch that was interrupted goes on where it ended. The provider's own limits are
    kept; each request that is sent again is told. KIND.gaps.json in the folder says which intervals have no
    value. It needs the packages of `carbonroute[live]`.

    Parameters
    ----------
    source
        The provider.
    start
        First hour, UTC, such as 2024-01-01 or 2024-01-01T06:00.
    end
        The hour after the last one, UTC.
    output
        Folder for the files.
    zones
        Zones as the provider names them, separated by commas; neso has GB alone.
    token_env
        Name of the environment variable that holds the token or key (electricity-maps, eia, entsoe,
        prometheus).
    username_env
        Name of the environment variable that holds the user (watttime).
    password_env
        Name of the environment variable that holds the password (watttime).
    base_url
        Address of the provider, if it is not the usual one; needed for carbon-aware-sdk and prometheus.
    api
        Version of the interface (electricity-maps): v3 unless stated.
    scope
        Emission factors (electricity-maps): lifecycle unless stated.
    signal_type
        Signal (watttime): co2_moer unless stated.
    rate
        Average or marginal values (carbon-aware-sdk, prometheus).
    step
        Length of an interval (entsoe: 15min unless stated; carbon-aware-sdk and prometheus: 1h).
    query
        Query that answers carbon intensities (prometheus).
    region_label
        Label that names the zone (prometheus): region unless stated.
    unit
        Unit of the query's answer (prometheus): g/kWh unless stated.
    quiet
        Print nothing but the lines and errors.
    """
    require_extra("fetch")
    from carbonroute.live.clock import SystemClock
    from carbonroute.live.http import HttpFetcher
    from carbonroute.live.signals.archives import Options
    from carbonroute.live.signals.fetching import Listener, fetch_history
    from carbonroute.live.signals.provider import ProviderContext

    span = _time("--from", start), _time("--to", end)
    options = Options(
        token_env, username_env, password_env, base_url, api, scope, signal_type, query, region_label,
        unit, step, rate,
    )  # fmt: skip
    archive = _archive(source, options)
    named = tuple(dict.fromkeys(filter(None, (zone.strip() for zone in zones.split(",")))))
    if source == "neso":
        named = named or ("GB",)
    clock = SystemClock()
    with progress(quiet=quiet) as display, HttpFetcher(clock) as ask:
        shown, around = stepper(display, f"fetching {source}"), ProviderContext(ask, clock)
        listener = Listener() if shown is None else Listener(shown, say)
        fetched = fetch_history(source, archive, named, span, output, around, listener)
    if not quiet:
        files = f"{len(fetched.written):,} new files, {fetched.there:,} were there"
        say(f"{output}: {files}")
    for nothing in fetched.empty:
        say(f"note: the provider has nothing for {nothing}")
    for zone, gaps in fetched.gaps.items():
        if gaps.missing or not quiet:
            say(f"{'note: ' if gaps.missing else ''}{zone}: {gaps}")
    if all(gaps.missing == gaps.intervals for gaps in fetched.gaps.values()):
        nothing_at_all = Fault("", "the provider has no values of these zones and times", "name others")
        raise InputError(f"fetch {source}", [nothing_at_all])
    if json:
        print_json(
            {
                "written": list(fetched.written),
                "there": fetched.there,
                "empty": list(fetched.empty),
                "gaps": {zone: gaps.as_json() for zone, gaps in fetched.gaps.items()},
                "carbon": fetched.keys,
            }
        )
        return DONE
    comments = [f"zones: {toml.names(named)}", "path is relative to the scenario file"]
    out().print(toml.section("[carbon]", fetched.keys, comments), soft_wrap=True, markup=False)
    return DONE


def _time(option: str, text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        remedy = "a date or hour in UTC is expected, such as 2024-01-01 or 2024-01-01T06:00"
        raise InputError(option, [Fault("", f"found {text!r}", remedy)]) from error
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _archive(source: Kind, options: Options) -> Archive:
    """Return the provider's history; what its settings refuse is named by the options."""
    from carbonroute.live.signals.archives import ARCHIVES, option_of

    try:
        return ARCHIVES[source](options)
    except ValidationError as error:
        faults = [
            Fault(
                option_of(str(detail["loc"][0])) if detail["loc"] else "", detail["msg"], "see fetch --help"
            )
            for detail in error.errors(include_input=False, include_url=False, include_context=False)
        ]
        raise InputError("fetch", [replace(each, found=_plain(each.found)) for each in faults]) from error
    except ValueError as error:
        raise InputError("fetch", [Fault("", str(error), "see fetch --help")]) from error


def _plain(message: str) -> str:
    return message.removeprefix("Value error, ")
