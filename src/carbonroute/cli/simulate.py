"""``carbonroute simulate``: from a scenario to the policy table, the run folder and the figures."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from json import dumps
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from carbonroute.cli.terminal import Formats, out, progress, stepper
from carbonroute.errors import Fault, InputError
from carbonroute.metrics import as_published, simulation_results
from carbonroute.scenario import load
from carbonroute.store import RunFolder, facts, write_run
from carbonroute.study import MAX_VIOLATION, Result, run

if TYPE_CHECKING:
    from rich.table import Table

#: Columns of the printed table and their headings, in two lines.
_NUMBERS = MappingProxyType(
    {
        "avg_latency_ms": "Latency\nms",
        "p95_latency_ms": "P95\nms",
        "slo_violation_pct": "Violations\n%",
        "avg_carbon_g_per_kwh": "Carbon\ng/kWh",
        "carbon_reduction_pct": "Reduction\n%",
    }
)
#: Besides, where the scenario states energies.
_GRAMS = MappingProxyType({"total_kg": "Emissions\nkg", "emissions_reduction_pct": "Reduction\n%"})


def share(text: str) -> float:
    """Return a share from ``5%`` or ``0.05``; a bare number above 1 is ambiguous and refused."""
    number = text.removesuffix("%").strip()
    try:
        value = float(number) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1
    if not 0 <= value <= 1:
        raise ValueError(
            f"found {text!r}; a percentage such as '5%' or a share from 0 to 1 such as 0.05 is expected"
        )
    return value


def _share(_type: object, tokens: tuple[object, ...]) -> float:
    return share(str(getattr(tokens[0], "value", tokens[0])))


def simulate(
    scenario: str = "published",
    /,
    *,
    sim_hours: int | None = None,
    reqs_per_hour: int | None = None,
    seed: int | None = None,
    output: Path = Path("outputs"),
    engine: Literal["sampled"] = "sampled",
    max_violation: Annotated[float, Parameter(converter=_share)] = MAX_VIOLATION,
    figures: Annotated[bool, Parameter(negative="--no-figures")] = True,
    format: Formats = (),  # noqa: A002  the option's name
    json: Annotated[bool, Parameter(name="--json", negative=())] = False,
    quiet: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Run a scenario under each of its policies, print the policy table, and write tables and figures.

    Parameters
    ----------
    scenario
        A built-in scenario's name (see `carbonroute scenarios`) or a TOML file.
    sim_hours
        Hours to simulate, instead of the scenario's.
    reqs_per_hour
        Requests per hour, instead of the scenario's.
    seed
        Seed of all random numbers, instead of the scenario's.
    output
        Folder for the results.
    engine
        How to evaluate: every request sampled.
    max_violation
        Violations up to which a policy counts as viable: 5% or 0.05.
    figures
        Draw the figures.
    format
        Write the figures in this format, besides PNG: svg or pdf; may be given again.
    json
        Print the results as JSON, at full precision, instead of the table.
    quiet
        Print nothing but errors (and the JSON, with --json).
    """
    given = {"horizon.hours": sim_hours, "traffic.requests_per_hour": reqs_per_hour, "sampling.seed": seed}
    changes = {path: value for path, value in given.items() if value is not None}
    if reqs_per_hour is not None:
        _require_rate(scenario)
    # What a user's policy prints is a log: stdout is for the results.
    with progress(quiet=quiet) as bar, redirect_stdout(sys.stderr):
        step = stepper(bar, "simulating")
        result = run(scenario, changes, engine=engine, max_violation=max_violation, progress=step)
        folder = RunFolder(output)
        write_run(folder, result)
        if figures:
            from carbonroute.cli.figures import draw_into

            draw_into(folder, result.tables, ("png", *format), stepper(bar, "drawing"))
        folder.finish(facts(result))
    if json:
        _print_json(result)
    elif not quiet:
        _print_table(result)
        out().print(
            f"\nWrote {folder.path}/ ({len(folder.digests)} files, listed in manifest.json).", soft_wrap=True
        )
    return 0


def _require_rate(scenario: str) -> None:
    """Refuse a rate from the command line where the scenario's traffic has none."""
    traffic = load(scenario).traffic
    if not hasattr(traffic, "requests_per_hour"):
        found = f"traffic of kind {traffic.kind!r} brings its own rate"
        raise InputError("--reqs-per-hour", [Fault("", found, "leave the option out")])


def _print_table(result: Result) -> None:
    console = out()
    console.print(_policy_table(result))
    if any(outcome.clairvoyant for outcome in result.outcomes):
        console.print("† clairvoyant: decides on what no router can know.")
    console.print(f"\n{result.tables.overview['finding'][0]}", soft_wrap=True)
    for note in result.tables.overview["notes"][0]:
        console.print(f"– {note}.", soft_wrap=True)


def _policy_table(result: Result) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    tables = result.tables
    table = Table(
        title=result.inputs.scenario.name, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    table.add_column("Policy", overflow="fold")
    grams = _GRAMS if tables.policies["total_kg"].null_count() == 0 else {}
    for heading in (*_NUMBERS.values(), *grams.values()):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("Verdict", overflow="fold")
    rows = as_published(simulation_results(tables), tables).rows(named=True)
    for row, policy in zip(rows, tables.policies.rows(named=True), strict=True):
        numbers = [row[name] or "–" for name in _NUMBERS]
        numbers += [_figure(row[name], style) for name, style in zip(grams, (".4g", ".1f"), strict=False)]
        verdict = "viable" if policy["viable"] else f"over {policy['max_violation_pct']:g} % violations"
        if policy["dominated_by"]:
            verdict += f", dominated by {policy['dominated_by']}"
        table.add_row(f"{row['policy']}{' †' if row['clairvoyant'] else ''}", *numbers, verdict)
    return table


def _figure(value: float | None, style: str) -> str:
    return "–" if value is None else f"{value:z{style}}"


def _print_json(result: Result) -> None:
    tables = result.tables
    document = {
        **{key: value for key, value in facts(result).items() if key not in {"scenario", "versions"}},
        "scenario": result.inputs.scenario.name,
        "policies": _with_verdict(result),
        "workloads": tables.workloads.rows(named=True),
        "saving": tables.saving.rows(named=True),
    }
    sys.stdout.write(dumps(document, indent=2, allow_nan=False) + "\n")


def _with_verdict(result: Result) -> list[dict[str, object]]:
    tables = result.tables
    verdict = tables.policies.select("policy", "viable", "dominated_by")
    return simulation_results(tables).join(verdict, on="policy", maintain_order="left").rows(named=True)
