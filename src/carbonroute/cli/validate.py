"""``carbonroute validate``: check a scenario and its data."""

from __future__ import annotations

from carbonroute.cli.options import NoCode
from carbonroute.cli.terminal import out, results_alone
from carbonroute.scenario import load, resolve


def validate(file: str, /, *, no_code: NoCode = False) -> int:
    """Check a scenario and its data files without simulating it; all faults are listed at once.

    Parameters
    ----------
    file
        A TOML file, or a built-in scenario's name.
    """
    with results_alone():
        inputs = resolve(load(file, code=not no_code))
    hours, origins, workloads, regions = inputs.shape
    requests = round(inputs.arrivals.count)
    console = out()
    console.print(
        f"{file}: valid. {hours:,} hours, {requests:,} requests, {origins} origins, {workloads} workloads, "
        f"{regions} regions, {len(inputs.candidates)} policies.",
        soft_wrap=True,
    )
    for note in inputs.notes:
        console.print(f"– {note}.", soft_wrap=True)
    return 0
