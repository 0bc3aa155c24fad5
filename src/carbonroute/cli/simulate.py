"""``carbonroute simulate``: from a scenario to the policy table, the run folder and the figures."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from itertools import chain
from pathlib import Path
from typing import Literal

import polars as pl

from carbonroute.cli import options
from carbonroute.cli.progress import Display, progress, stepper
from carbonroute.cli.results import finite, missed, print_run
from carbonroute.cli.terminal import DONE, MISSED, out, print_json, results_alone, say
from carbonroute.engines import sampled
from carbonroute.errors import Fault, InputError, visible
from carbonroute.metrics import simulation_results, slo
from carbonroute.runs import Result, default_engine, run
from carbonroute.runs.store import RunFolder, manifest_entries, write_run
from carbonroute.scenario import Scenario, load

#: Requests × policies from which on a run says what draws none: it takes half an hour or more.
MANY = 10**10


def simulate(
    scenario: str = "published",
    /,
    *,
    sim_hours: options.SimHours = None,
    reqs_per_hour: int | None = None,
    seed: options.Seed = None,
    output: options.Output = Path("outputs"),
    engine: Literal["sampled", "exact", "both", "queued"] | None = None,
    workers: options.Workers = None,
    replications: int | None = None,
    until: str | None = None,
    max_violation: options.MaxViolation = None,
    figures: options.Figures = True,
    formats: options.Formats = (),
    style: options.Style = "house",
    report: options.Report = False,
    journal: Path | None = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    no_code: options.NoCode = False,
) -> int:
    """Run a scenario under each of its policies, print the policy table, and write tables and figures.

    The exit code is 1 where an objective of the scenario is missed.

    Parameters
    ----------
    scenario
        A built-in scenario's name (see `carbonroute scenarios`) or a TOML file.
    reqs_per_hour
        Requests per hour, instead of the scenario's.
    engine
        How to evaluate: every request sampled; exact expected values; both, compared (the exit code
        is 1 where they disagree); or queued, where requests wait for servers. By default queued where the
        scenario states pools of servers, and sampled elsewhere.
    replications
        Independent runs, each with a seed of its own: figures get intervals. With --until: at most so many.
    until
        Add replications until an interval is this narrow under every policy: "slo_violation_pct ± 0.05".
    journal
        Folder for the records of every decision of a queued run; see `carbonroute replay`.
    """
    changes = options.changes_of(sim_hours, seed, reqs_per_hour)
    command = _command(
        scenario,
        {
            "--sim-hours": sim_hours,
            "--reqs-per-hour": reqs_per_hour,
            "--seed": seed,
            "--engine": engine,
            "--replications": replications,
            "--until": until,
            "--max-violation": max_violation,
        },
    )
    if (workers or 1) > 1 and engine not in {"exact", "queued"}:
        sampled.ready()
    with progress(quiet=quiet) as bar, results_alone(quiet=quiet), RunFolder(output) as folder:
        if reqs_per_hour is not None:
            _require_rate(load(scenario, code=not no_code))
        loaded = load(scenario, changes, code=not no_code)
        result = run(
            loaded,
            engine=engine,
            max_violation=max_violation,
            workers=options.workers_of(workers, engine),
            replications=replications,
            until=until,
            journal=journal,
            progress=_stepper(bar, engine or default_engine(loaded)),
        )
        write_run(folder, result)
        drawn = {}
        if figures:
            from carbonroute.cli.drawing import draw_all

            drawn = draw_all(folder, result.tables, ("png", *formats), stepper(bar, "drawing"), style)
        folder.finish({**manifest_entries(result), "command": command})
        if report:
            from carbonroute.report import write

            write(output, drawn=drawn if style == "house" and not formats else {})
    if json:
        _print_json(result)
    elif not quiet:
        console = out()
        print_run(console, result)
        files = f"{len(folder.digests) + report} files, listed in manifest.json"
        console.print(f"\nWrote {folder.path}/ ({files}).", soft_wrap=True)
    for note in (*folder.notes, *sampled.notes(result.inputs.scenario, workers or 1)):
        say(f"note: {note}")
    shortfalls = list(missed(result.tables))
    if quiet or json:
        for line in shortfalls:
            say(line)
    return MISSED if shortfalls else DONE


def _command(scenario: str, options: Mapping[str, object]) -> str:
    """Return the command line that reproduces the results.

    >>> _command("my scenario.toml", {"--seed": 7, "--engine": None, "--until": "avg_latency_ms ± 1"})
    "carbonroute simulate 'my scenario.toml' --seed 7 --until 'avg_latency_ms ± 1'"
    """
    given = [(name, str(value)) for name, value in options.items() if value is not None]
    return visible(shlex.join(["carbonroute", "simulate", scenario, *chain.from_iterable(given)]))


def _stepper(display: Display | None, engine: str) -> Callable[[int, int], None] | None:
    """Begin the task of a run; the first step of one that draws very many requests notes how many."""
    step = stepper(display, "simulating")
    if step is None or engine not in {"sampled", "both"}:
        return step
    is_told = False

    def told(done: int, total: int) -> None:
        nonlocal is_told
        if not is_told and total >= MANY:
            instead = (
                "--engine exact works out expected values without drawing, where it supports the policies"
            )
            say(f"note: {total:,} requests × policies are to be drawn; {instead}")
        is_told = True
        step(done, total)

    return told


def _require_rate(scenario: Scenario) -> None:
    """Refuse a rate from the command line where the scenario's traffic has none."""
    traffic = scenario.traffic
    if not hasattr(traffic, "requests_per_hour"):
        problem = f"traffic of kind {traffic.kind!r} brings its own rate"
        raise InputError("--reqs-per-hour", [Fault("", problem, "leave the option out")])


def _print_json(result: Result) -> None:
    tables = result.tables
    document = {
        **{
            key: value
            for key, value in manifest_entries(result).items()
            if key not in {"scenario", "versions"}
        },
        "scenario": result.inputs.scenario.name,
        "policies": _with_verdict(result),
        "workloads": tables.workloads.rows(named=True),
        "saving": tables.saving.rows(named=True),
        "pools": tables.pools.rows(named=True),
        "tokens": tables.tokens.rows(named=True),
        "replicas": tables.replicas.rows(named=True),
        "intervals": tables.intervals.rows(named=True),
        "agreement": [finite(row) for row in tables.agreement.rows(named=True)],
    }
    print_json(document)


def _with_verdict(result: Result) -> list[dict[str, object]]:
    tables = result.tables
    verdict = tables.policies.select("policy", "viable", "dominated_by", slo.PER)
    doubts = [slo.beyond_doubt(row, tables.intervals) for row in tables.policies.rows(named=True)]
    verdict = verdict.with_columns(pl.Series("beyond_doubt", doubts, pl.Boolean))
    return simulation_results(tables).join(verdict, on="policy", maintain_order="left").rows(named=True)
