"""Options that several commands share, each with its type and help."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from carbonroute.errors import Fault, InputError
from carbonroute.units import pct

if TYPE_CHECKING:
    from carbonroute.analysis.frontier import ServiceLimits
    from carbonroute.scenario import Scenario

SimHours = Annotated[int | None, Parameter(help="Hours to simulate, instead of the scenario's.")]
Seed = Annotated[int | None, Parameter(help="Seed of all random numbers, instead of the scenario's.")]
CarbonSeed = Annotated[
    int | None,
    Parameter(
        name="--seed",
        help="Seed of the scenario's carbon, instead of its own; the engine itself draws nothing.",
    ),
]
Output = Annotated[Path, Parameter(help="Folder for the results.")]
AddedOutput = Annotated[
    Path,
    Parameter(
        name="--output",
        help="Folder for the results; files of a run of the same scenario are kept, those of another "
        "replaced.",
    ),
]
Figures = Annotated[bool, Parameter(negative="--no-figures", help="Draw the figures.")]
Formats = Annotated[
    tuple[Literal["png", "svg", "pdf"], ...],
    Parameter(
        name="--format",
        consume_multiple=False,
        negative=(),
        show_default=False,
        help="Write the figures in this format, besides PNG: svg or pdf; may be given again.",
    ),
]
Style = Annotated[
    Literal["house", "paper"],
    Parameter(
        help="How figures are drawn: house; or paper, for one column of it (at most 3.5 in wide, 8 pt, no "
        "sentence above the plot)."
    ),
]
Json = Annotated[
    bool,
    Parameter(
        name="--json", negative=(), help="Print the results as JSON, at full precision, instead of the table."
    ),
]
Quiet = Annotated[bool, Parameter(negative=(), help="Print nothing but errors (and the JSON, with --json).")]
QuietAlone = Annotated[bool, Parameter(name="--quiet", negative=(), help="Print nothing but errors.")]
Workers = Annotated[
    int | None,
    Parameter(
        help="Processes on this machine; one per core by default. The results are the same for any number."
    ),
]
Report = Annotated[
    bool,
    Parameter(
        negative=(),
        help="Write report.html too: one page that shows all of it, and needs no network.",
    ),
]
NoCode = Annotated[
    bool,
    Parameter(
        name="--no-code",
        negative=(),
        help="Run no code but carbonroute's own: a scenario is refused that names a policy of a file, a "
        "module or an installed package.",
    ),
]
MaxP95 = Annotated[float | None, Parameter(help="Highest 95th percentile of its latency, ms.")]
MaxLatency = Annotated[float | None, Parameter(help="Highest mean of its latency, ms.")]


def _share(_type: object, tokens: tuple[object, ...]) -> float:
    from carbonroute.scenario.written.limits import share

    return share(str(getattr(tokens[0], "value", tokens[0])))


#: A limit on violations up to which a policy counts as viable, and can be recommended.
MaxViolation = Annotated[
    float | None,
    Parameter(
        converter=_share,
        help="Share of SLO violations up to which a policy is viable, instead of the scenario's limit (5% "
        "where it states none): 1% or 0.01.",
    ),
]


def changes_of(
    sim_hours: int | None, seed: int | None, reqs_per_hour: int | None = None
) -> dict[str, object]:
    """Return the changes to a scenario that the options state, by path."""
    given = {"horizon.hours": sim_hours, "traffic.requests_per_hour": reqs_per_hour, "sampling.seed": seed}
    return {path: value for path, value in given.items() if value is not None}


def workers_of(stated: int | None, engine: str | None) -> int:
    """Return the number of processes: the stated one, else one per core where an engine may share its work.

    >>> workers_of(3, "sampled"), workers_of(None, "exact")
    (3, 1)
    """
    from carbonroute.processes import cores

    if stated is not None and stated < 1:
        raise InputError("workers", [Fault("", f"found {stated}", "1 or more is expected")])
    return stated if stated is not None else 1 if engine == "exact" else cores()


def limits_of(scenario: Scenario, max_p95: float | None, max_latency: float | None) -> ServiceLimits:
    """Return the limits on latency that the options state, and the scenario's limit on violations.

    Where limits on latency are stated, the latter holds only if it is stated too.
    """
    from carbonroute.analysis.frontier import ServiceLimits

    for option, limit in {"--max-p95": max_p95, "--max-latency": max_latency}.items():
        if limit is not None and not 0 < limit < float("inf"):
            raise InputError(option, [Fault("", f"found {limit:g}", "a time above 0 in ms is expected")])
    alone = (max_p95, max_latency) != (None, None) and "violations" not in scenario.limits.model_fields_set
    return ServiceLimits(None if alone else pct(scenario.limits.violations), max_p95, max_latency)
