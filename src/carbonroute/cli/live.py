"""``carbonroute live``: run a policy on real traffic, check what it would do, and tell what it saved."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from carbonroute.cli.extra import require_extra
from carbonroute.cli.options import Json, NoCode, QuietAlone
from carbonroute.cli.terminal import DONE, MISSED, empty_table, out, print_json, results_alone, say
from carbonroute.errors import Ended, Fault, InputError

if TYPE_CHECKING:
    from rich.console import Console

    from carbonroute.arrays import Array
    from carbonroute.live.config import LiveSetup
    from carbonroute.live.controller import Snapshot
    from carbonroute.live.probe import Probe
    from carbonroute.live.savings import Savings
    from carbonroute.live.signals.feed import RegionCarbon

_FLAG = Parameter(negative=())
#: Signals that come within so long are one.
_AT_ONCE_S = 1.0
#: Carbon is waited for so long before the first decision: who does not answer delays nothing else.
_FIRST_S = 5.0


def check(
    file: Path,
    /,
    *,
    shadow: Annotated[bool, _FLAG] = False,
    canary: str | None = None,
    json: Json = False,
    no_code: NoCode = False,
) -> int:
    """Read a live file, ask every source, metric and actuator once, and print the decision; change nothing.

    What the actuators would be sent is printed, too. The exit code is 1 where something should be mended
    before the start: also a variable that is not set, a port that is taken, and a journal that cannot be
    written.

    Parameters
    ----------
    file
        The live file.
    shadow
        As of live run.
    canary
        As of live run.
    """
    require_extra("live check")
    from carbonroute.live.clock import SystemClock
    from carbonroute.live.config import load_live
    from carbonroute.live.http import HttpFetcher
    from carbonroute.live.probe import probe

    mode, clock = _mode(canary, shadow=shadow), SystemClock()
    with results_alone(), HttpFetcher(clock) as fetch:
        setup = load_live(file, {"mode": mode} if mode else None, code=not no_code)
        seen = probe(setup, clock, fetch)
    if json:
        print_json(
            {
                "mode": str(setup.settings.mode),
                "carbon": [_carbon(one) for one in seen.carbon],
                "regions": list(setup.names.regions),
                "available": seen.available.tolist(),
                "decision": _cells(setup, seen.weights),
                "in_force": _cells(setup, seen.held),
                "would_send": None if seen.sent is None else _cells(setup, seen.sent),
                "reasons": list(seen.reasons),
                "problems": list(seen.problems),
                "notes": list(seen.notes),
            }
        )
    else:
        console = out()
        _print_carbon(console, seen.carbon)
        _print_weights(console, setup, seen.weights, seen.held, str(setup.settings.mode))
        _print_sent(console, setup, seen)
        _print_lines(console, seen.notes, "", "Said by servers:")
        _print_lines(console, seen.problems, "Nothing to mend.", "To mend before the start:")
    return MISSED if seen.problems else DONE


def run(
    file: Path,
    /,
    *,
    shadow: Annotated[bool, _FLAG] = False,
    canary: str | None = None,
    ticks: int | None = None,
    quiet: QuietAlone = False,
    no_code: NoCode = False,
) -> int:
    """Run a live file's policy until the process is ended: read, decide, move weights, record.

    SIGTERM and Ctrl-C end it after the present tick; the traffic then goes back to the baseline, unless the
    file says on_stop = "hold". The exit code is 1 where the baseline could not be restored.

    Parameters
    ----------
    file
        The live file.
    shadow
        Decide and record, and move nothing, whatever the file says.
    canary
        Share of the traffic that follows the policy, such as 5%, instead of the file's mode.
    ticks
        End after so many decisions.
    """
    require_extra("live run")
    if ticks is not None and ticks < 1:
        raise InputError("--ticks", [Fault("", f"found {ticks}", "1 or more is expected")])
    from carbonroute.live.clock import SystemClock
    from carbonroute.live.config import load_live
    from carbonroute.live.http import HttpFetcher
    from carbonroute.live.running import assembled, journal_folder, run_ticks
    from carbonroute.live.serving import served

    mode, clock = _mode(canary, shadow=shadow), SystemClock()
    setup = load_live(file, {"mode": mode} if mode else None, code=not no_code)
    told = _TickPrinter(quiet=quiet)
    with (
        results_alone(),
        HttpFetcher(clock) as fetch,
        assembled(setup, clock, fetch) as parts,
        served(parts, clock) as (keep, port),
        _ended_by(clock.end),
    ):
        say(f"{setup.settings.mode}: {setup.entry.shown} of {setup.scenario.name!r}; {journal_folder(setup)}")
        if port is not None:
            host = setup.settings.listen.rpartition(":")[0]
            say(f"status page: http://{host}:{port}/")
        parts.ports.feed.run_in_background(first_s=_FIRST_S)

        def note(snapshot: Snapshot, monotonic_s: float) -> None:
            keep(snapshot, monotonic_s)
            told(snapshot)

        restored = run_ticks(parts, clock, note, ticks)
    if restored is None:
        say("ended: weights are as they were")
        return DONE
    for record in restored.records:
        if record["result"] != "ok":
            say(f"{record['name']}: {record['detail'] or record['result']}")
    verified = bool(restored.verified.all())
    say("ended: the baseline is in force" if verified else "ended, and the baseline could not be restored")
    return DONE if verified else MISSED


def _mode(canary: str | None, *, shadow: bool) -> str | None:
    """Return the mode that the options state instead of the file's, or None."""
    if shadow and canary is not None:
        raise InputError("--canary", [Fault("", "found beside --shadow", "state one of them")])
    return "shadow" if shadow else None if canary is None else _canary(canary)


def _canary(share: str) -> str:
    """Return the mode in which a share such as 5% follows the policy."""
    from carbonroute.live.config import Mode

    mode = f"canary:{share}"
    try:
        Mode.parse(mode)
    except ValueError as error:
        remedy = "a share such as 5% is expected, above 0% and below 100%"
        raise InputError("--canary", [Fault("", f"found {share!r}", remedy)]) from error
    return mode


def status(file: Path, /, *, json: Json = False, no_code: NoCode = False) -> int:
    """Print the last decision of a live file's controller, and whether it runs.

    The exit code is 1 where it does not run, or has alarms.

    Parameters
    ----------
    file
        The live file.
    """
    require_extra("live status")
    from carbonroute.control.chain import last_record
    from carbonroute.files.folder import is_held
    from carbonroute.live.config import load_live
    from carbonroute.live.running import journal_folder

    with results_alone():
        setup = load_live(file, code=not no_code)
        folder = journal_folder(setup)
        runs = folder.exists() and is_held(folder)
        record = last_record(folder) if folder.exists() else None
    if json:
        print_json({"runs": runs, "last": None if record is None else record.model_dump(mode="json")})
    else:
        console = out()
        console.print("The controller runs." if runs else "No controller runs.")
        if record is None or record.live is None:
            console.print(f"{folder} has no decisions yet.", soft_wrap=True)
        else:
            console.print(f"Last decision: {record.time_utc}, {record.mode}, weights of: {record.live.by}.")
            _print_lines(console, record.reasons, "", "Why:")
            _print_weights(console, setup, record.live.planned, record.live.in_force, record.mode)
            _print_lines(console, record.live.alarms, "No alarms.", "Alarms:")
    alarms = record is not None and record.live is not None and bool(record.live.alarms)
    return MISSED if alarms or not runs else DONE


def savings(
    journal: Path,
    /,
    *,
    scenario: Path | None = None,
    json: Json = False,
    no_code: NoCode = False,
) -> int:
    """Print what a live controller saved: as intended, settled with final carbon, and measured.

    Parameters
    ----------
    journal
        Folder of its decision records.
    scenario
        Scenario whose carbon source has the final values of that time: what was intended is settled with
        these.
    """
    from carbonroute.live.savings import savings as worked_out

    with results_alone():
        saved = worked_out(journal, scenario, code=not no_code)
    if json:
        from dataclasses import asdict

        times = ("first", "last")
        print_json(
            {
                "modes": [
                    {**asdict(one), **{name: getattr(one, name).isoformat() for name in times}}
                    for one in saved
                ]
            }
        )
    else:
        for one in saved:
            _print_savings(out(), one)
    return DONE


def init(scenario: Path, /, *, output: Path = Path("live.toml"), no_code: NoCode = False) -> int:
    """Write a commented live file for a scenario: a shadow that moves nothing.

    Parameters
    ----------
    scenario
        The scenario file.
    output
        Where to; a file that is there already is left alone.
    """
    import os

    from carbonroute.files.folder import create_named
    from carbonroute.live.draft import draft, runnable
    from carbonroute.scenario import load, resolve

    with results_alone():
        inputs = resolve(load(scenario, code=not no_code))
    named = os.path.relpath(scenario, output.parent)
    policy = runnable(inputs.scenario.name, inputs.candidates, inputs.site).label
    create_named(output, draft(inputs.scenario.regions, policy, named, str(output)).encode())
    out().print(f"Wrote {output}. Next: carbonroute live check {shlex.quote(str(output))}", soft_wrap=True)
    return DONE


class _TickPrinter:
    """Prints a line for each tick that changes something, and for alarms that come and go."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet, self._by, self._alarms = quiet, "", frozenset[str]()

    def __call__(self, snapshot: Snapshot) -> None:
        """Print what is new in a snapshot."""
        time, alarms = f"{snapshot.time_utc:%Y-%m-%d %H:%M:%S}Z", frozenset(snapshot.alarms)
        for alarm in sorted(alarms - self._alarms):
            say(f"{time} alarm: {alarm}")
        for alarm in sorted(self._alarms - alarms):
            say(f"{time} over: {alarm}")
        by = f"{snapshot.by}{''.join(f'; {reason}' for reason in snapshot.reasons)}"
        if by != self._by and not self._quiet:
            say(f"{time} weights of: {by}")
        self._by, self._alarms = by, alarms


@contextmanager
def _ended_by(end: Callable[[], None]) -> Iterator[None]:
    """End after the present tick on SIGTERM, SIGHUP and Ctrl-C; at once if another comes a second later."""
    import signal
    import time

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    first_s: list[float] = []

    def ended(number: int, _frame: object) -> None:
        first_s.append(time.monotonic())
        end()
        # Supervisors may send a signal to a process and to its group, which comes twice.
        if first_s[-1] - first_s[0] > _AT_ONCE_S:
            raise Ended(signal.Signals(number))

    try:
        for number in before:
            signal.signal(number, ended)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _carbon(one: RegionCarbon) -> dict[str, object]:
    return {
        "region": one.region,
        "g_per_kwh": one.g_per_kwh,
        "source": one.source,
        "accounting": str(one.accounting),
        "observed_at": one.observed_at.isoformat() if one.observed_at else None,
        "age_s": one.age_s,
        "kind": one.kind,
        "step": one.step,
    }


def _cells(setup: LiveSetup, weights: Array) -> list[dict[str, object]]:
    return [
        {"origin": origin, "workload": workload, "weights": dict(zip(setup.names.regions, row, strict=True))}
        for origin, of_origin in zip(setup.names.origins, weights.tolist(), strict=True)
        for workload, row in zip(setup.names.workloads, of_origin, strict=True)
    ]


def _print_carbon(console: Console, carbon: tuple[RegionCarbon, ...]) -> None:
    table = empty_table("Carbon now")
    for heading in ("region", "g/kWh", "age", "from", "step"):
        table.add_column(heading)
    for one in carbon:
        age = "–" if one.age_s is None else f"{one.age_s / 60:z.0f} min"
        value = "unknown" if one.g_per_kwh is None else f"{one.g_per_kwh:.0f}"
        table.add_row(one.region, value, age, one.source or "–", one.step)
    console.print(table)


def _print_weights(console: Console, setup: LiveSetup, decided: object, held: object, mode: str) -> None:
    """Print the decision of each cell beside what is in force; weights of shape (O, W, R)."""
    console.print(f"Decision in mode {mode}, % of the traffic; in brackets: in force")
    texts = [
        [
            [f"{100 * a:.1f} ({100 * b:.1f})" for a, b in zip(after, before, strict=True)]
            for after, before in zip(new, old, strict=True)
        ]
        for new, old in zip(_rows(decided), _rows(held), strict=True)
    ]
    _print_cells(console, setup, texts)


def _print_sent(console: Console, setup: LiveSetup, seen: Probe) -> None:
    """Print what the actuators would be sent."""
    if seen.sent is None:
        console.print("Would be sent: nothing, in a shadow.")
        return
    why = "".join(f" ({reason})" for reason in seen.reasons)
    console.print(f"Would be sent in mode {setup.settings.mode}, % of the traffic{why}")
    texts = [[[f"{100 * share:.2f}" for share in row] for row in rows] for rows in _rows(seen.sent)]
    _print_cells(console, setup, texts)


def _print_cells(console: Console, setup: LiveSetup, texts: list[list[list[str]]]) -> None:
    """Print a row for each origin and workload."""
    table = empty_table()
    for heading in ("origin", "workload", *setup.names.regions):
        table.add_column(heading)
    for origin, of_origin in zip(setup.names.origins, texts, strict=True):
        for workload, row in zip(setup.names.workloads, of_origin, strict=True):
            table.add_row(origin, workload, *row)
    console.print(table)


def _rows(weights: object) -> list[list[list[float]]]:
    import numpy as np

    rows: list[list[list[float]]] = np.array(weights, dtype=float).tolist()
    return rows


def _print_lines(console: Console, lines: Sequence[str], none: str, heading: str) -> None:
    if not lines:
        if none:
            console.print(none)
        return
    console.print(heading)
    for line in lines:
        console.print(f"  {line}", soft_wrap=True)


def _count(requests: float) -> str:
    return f"{requests:,.0f}" if requests >= 10 else f"{requests:.2g}"


def _print_savings(console: Console, saved: Savings) -> None:
    from carbonroute.live.savings import POLICY
    from carbonroute.metrics.masses import mass_in_words
    from carbonroute.units import G_PER_KG

    def mass(grams: float) -> str:
        return mass_in_words(grams / G_PER_KG)

    would = "would have emitted" if saved.mode == "shadow" else "emitted"
    span = f"{saved.first:%Y-%m-%d %H:%M} to {saved.last:%Y-%m-%d %H:%M} UTC"
    expected = ", as the scenario expects them: nothing is measured" if saved.expected else ""
    console.print(f"{span}: mode {saved.mode}, {_count(saved.requests)} requests{expected}.")
    for called, grams in (("As intended", saved.intended_g), ("Settled", saved.settled_g)):
        if not grams:
            continue
        own = grams[POLICY]
        console.print(f"{called}, the policy {would} {mass(own)}:")
        for name, other in grams.items():
            if name != POLICY:
                share = f", {100 * abs(other - own) / other:.1f} %" if other > 0 else ""
                word = "less" if own <= other else "more"
                console.print(f"  {mass(abs(other - own))} {word} than {name} ({mass(other)}){share}")
    if saved.settled_g:
        gap = saved.settled_g[POLICY] - saved.intended_g[POLICY]
        console.print(f"Gap of settled and intended emissions: {mass(gap)}.")
    else:
        console.print("Not settled: name a scenario with the final carbon values by --scenario.")
    if saved.measured is not None:
        one = saved.measured
        console.print(
            f"Measured by switchback: {one.saving_pct:.1f} ± {one.half_width_pct:.1f} % per request "
            f"({one.intervals[0]:,} intervals of the policy, {one.intervals[1]:,} of the baseline; 95 %)."
        )
    for reason, count in saved.left_out.items():
        console.print(f"Left out: {count:,} interval{'s' * (count != 1)} ({reason}).")
