"""Options that several commands share, each with its type and help."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from carbonroute.errors import Fault, InputError
from carbonroute.units import pct

if TYPE_CHECKING:
    from carbonroute.analysis.frontier import ServiceLimits

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
    Parameter(name="--output", help="Folder for the results; files of a run of the same scenario are kept."),
]
Figures = Annotated[bool, Parameter(negative="--no-figures", help="Draw the figures.")]
Formats = Annotated[
    tuple[Literal["png", "svg", "pdf"], ...],
    Parameter(
        name="--format",
        consume_multiple=False,
        help="Write the figures in this format, besides PNG: svg or pdf; may be given again.",
    ),
]
Json = Annotated[
    bool,
    Parameter(
        name="--json", negative=(), help="Print the results as JSON, at full precision, instead of the table."
    ),
]
Quiet = Annotated[bool, Parameter(negative=(), help="Print nothing but errors (and the JSON, with --json).")]
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


#: A limit on violations up to which a policy counts as viable.
ViableViolation = Annotated[
    float,
    Parameter(
        name="--max-violation",
        converter=_share,
        help="Violations up to which a policy counts as viable: 5% or 0.05.",
    ),
]
#: A limit that the recommended policy has to keep.
MaxViolation = Annotated[
    float | None,
    Parameter(converter=_share, help="Most SLO violations of the recommended policy: 1% or 0.01."),
]


def changes_of(
    sim_hours: int | None, seed: int | None, reqs_per_hour: int | None = None
) -> dict[str, object]:
    """Return the changes to a scenario that the options state, by path."""
    given = {"horizon.hours": sim_hours, "traffic.requests_per_hour": reqs_per_hour, "sampling.seed": seed}
    return {path: value for path, value in given.items() if value is not None}


def limits_of(max_violation: float | None, max_p95: float | None, max_latency: float | None) -> ServiceLimits:
    """Return the limits that the options state, by default at most 1 % violations."""
    from carbonroute.analysis.frontier import ServiceLimits

    for option, limit in {"--max-p95": max_p95, "--max-latency": max_latency}.items():
        if limit is not None and not 0 < limit < float("inf"):
            raise InputError(option, [Fault("", f"found {limit:g}", "a time above 0 in ms is expected")])
    if (max_violation, max_p95, max_latency) == (None, None, None):
        max_violation = 0.01
    return ServiceLimits(None if max_violation is None else pct(max_violation), max_p95, max_latency)
