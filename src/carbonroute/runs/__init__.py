"""Run a scenario with an engine, in one or several replications: outcomes and tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, cast

import polars as pl

from carbonroute.errors import Fault, InputError, did_you_mean
from carbonroute.files.as_pandas import to_pandas
from carbonroute.metrics import Tables
from carbonroute.outcome import Outcome
from carbonroute.runs.notebook import as_html
from carbonroute.runs.replications import once
from carbonroute.runs.run_plan import RunPlan, carry_out
from carbonroute.runs.tabulate import compare_engines, tabulate
from carbonroute.scenario import Inputs, Scenario, load

__all__ = ["Result", "default_engine", "run"]


@dataclass(frozen=True)
class Result:
    """A finished run.

    Attributes
    ----------
    inputs
        The engine's inputs; `inputs.scenario` is the scenario. Of several replications: the first.
    engine
        Name of the engine, or ``"both"``.
    outcomes
        One per policy, in the scenario's order; of several replications, merged.
    tables
        The tables, for figures, files and reports.
    """

    inputs: Inputs
    engine: str
    outcomes: tuple[Outcome, ...]
    tables: Tables
    seeds: tuple[int, ...]

    def __repr__(self) -> str:
        """Say what was run: the tables are too much for a line."""
        scenario, names = self.inputs.scenario, ", ".join(outcome.policy for outcome in self.outcomes)
        return (
            f"<Result of {scenario.name!r}: {scenario.horizon.hours:,} hours, engine {self.engine!r}, "
            f"policies {names}; table() has the figures>"
        )

    def table(self, name: str = "policies") -> pl.DataFrame:
        """Return one of the run's tables, at full precision.

        `name`: a field of `Tables`: ``"policies"``, ``"workloads"``, ``"intervals"``, …
        Raises InputError if there is no table of that name.
        """
        names = [field.name for field in fields(Tables)]
        if name not in names:
            raise InputError(
                "table", [Fault("", f"there is none called {name!r}", did_you_mean(name, names))]
            )
        return cast("pl.DataFrame", getattr(self.tables, name))

    def to_pandas(self, name: str = "policies") -> Any:
        """Return one of the run's tables as a pandas DataFrame; pyarrow is not needed.

        `name`: as of `table`.
        Raises InputError if there is no table of that name, or pandas is not installed.
        """
        return to_pandas(self.table(name))

    def _repr_html_(self) -> str:
        """Show the finding and the policies in a notebook."""
        return as_html(self.tables)


def run(  # noqa: PLR0913  one argument per option of the command
    source: Scenario | str | Path,
    changes: Mapping[str, object] | None = None,
    *,
    engine: str | None = None,
    max_violation: float | None = None,
    workers: int = 1,
    replications: int | None = None,
    until: str | None = None,
    journal: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Result:
    """Run a scenario under each of its policies.

    Raises InputError or PolicyError if the scenario, its data or a policy cannot be used, or these options do
    not go together.

    Parameters
    ----------
    source
        A scenario, a built-in scenario's name, or a TOML file.
    changes
        Values to set before the run, by dotted path; not with a scenario that is loaded already.
    engine
        One of `carbonroute.engines.ENGINES`; or ``"both"``: sampled, compared with exact in
        `Tables.agreement`. By default queued where the scenario states pools of servers, and sampled
        elsewhere.
    max_violation
        Share of SLO violations up to which a policy counts as viable, 0…1, instead of the scenario's limit.
    workers
        Processes of the sampled engine, or of the queued one's replications; results are the same for any
        number.
    replications
        Independent runs, each with a seed of its own, the first with the scenario's: they give every figure
        an interval. One by default; with `until`, at most so many, and `MOST` by default.
    until
        Add replications until the interval of a figure is this narrow under every policy, such as
        ``"slo_violation_pct ± 0.05"``; see `Precision`.
    journal
        Folder for the records of every decision of the queued engine, one run of it; policies that are asked
        about single requests have none.
    progress
        Called with the number of requests × policies done, and of all.

    Examples
    --------
    >>> result = run("published", {"horizon.hours": 24})
    >>> result.tables.policies["policy"][0]
    'Latency-First'
    """
    scenario = (source if isinstance(source, Scenario) else load(source, changes)).within(max_violation)
    engine = engine or default_engine(scenario)
    plan = RunPlan.read(engine, workers, replications, until, journal)
    done, figures = carry_out(plan, scenario, progress)
    noted = replace(done.inputs, notes=(*done.inputs.notes, *plan.notes(done, figures)))
    tables = tabulate(noted, done.outcomes, done.comparison, figures)
    if engine == "both":
        tables = replace(tables, agreement=compare_engines(done, once(done.inputs, "exact", workers=1)))
    return Result(done.inputs, engine, done.outcomes, tables, done.seeds)


def default_engine(scenario: Scenario) -> str:
    """Return the default engine of a scenario."""
    return "queued" if scenario.has_pools else "sampled"
