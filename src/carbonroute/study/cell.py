"""Evaluation of one cell of a study, in a worker."""

from __future__ import annotations

import io
import platform
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from carbonroute.errors import CarbonrouteError, described, is_interrupt, visible
from carbonroute.files.installed import version
from carbonroute.metrics import policies
from carbonroute.metrics.measure import GRAMS, INTENSITY, reduction_pct
from carbonroute.runs import default_engine
from carbonroute.runs.run_plan import RunPlan, carry_out
from carbonroute.scenario import Inputs
from carbonroute.study.cells import Base

Row = Mapping[str, Any]

#: Libraries whose version may change the last bit of a result.
LIBRARIES = ("carbonroute", "numba", "numpy", "polars", "pydantic", "scipy")


@dataclass(frozen=True)
class CellResult:
    """The result of a cell.

    Attributes
    ----------
    columns
        Values per policy, by column of the policy table; empty where it failed.
    about
        Accounting of carbon, and sources of carbon and traffic.
    notes
        Assumptions, filled values and omissions.
    files
        SHA-256 of every file that was read, by the name that the scenario gives it.
    error
        Why it failed, in a line; empty where it did not.
    log
        Printed output, and the traceback of a failure.
    """

    columns: Mapping[str, list[Any]]
    about: Mapping[str, Any]
    notes: tuple[str, ...]
    files: Mapping[str, str]
    error: str
    log: str
    seconds: float
    versions: Mapping[str, str] = field(default_factory=dict)


def evaluate(base: Base, changes: Mapping[str, Any]) -> CellResult:
    """Evaluate a cell of a study with its changes, by path; an error in it is a result like any other."""
    begin = time.perf_counter()
    with _captured_output() as output:
        try:
            rows, inputs, notes = _policies(base, changes)
        except BaseException as error:  # anyone's policy may raise anything
            if is_interrupt(error):
                raise
            # The package's own errors name the place; others need a traceback.
            lines = "" if isinstance(error, CarbonrouteError) else traceback.format_exc()
            message = str(error) if isinstance(error, CarbonrouteError) else described(error)
            failed = (visible(message) or type(error).__name__, output.getvalue() + lines)
            return CellResult({}, {}, (), {}, *failed, time.perf_counter() - begin, versions())
    columns = {name: [row[name] for row in rows] for name in ("policy", "clairvoyant", *base.file.columns)}
    about = {
        "accounting": str(inputs.carbon.accounting),
        "carbon_source": inputs.carbon.source,
        "traffic_source": inputs.arrivals.source,
    }
    files = dict(sorted(inputs.digests.items()))
    seconds = time.perf_counter() - begin
    return CellResult(columns, about, notes, files, "", output.getvalue(), seconds, versions())


def _policies(base: Base, changes: Mapping[str, Any]) -> tuple[Sequence[Row], Inputs, tuple[str, ...]]:
    """Return the rows of a cell's policy table, its inputs and its notes."""
    file, scenario = base.file, base.scenario(changes)
    plan = RunPlan.read(file.engine or default_engine(scenario), 1, file.replications, file.until)
    done, figures = carry_out(plan, scenario, None)
    rows: Sequence[Row] = policies.rows(scenario, done.outcomes, done.comparison)
    if file.baseline:
        rows = _against(file.baseline, rows)
    return rows, done.inputs, (*done.inputs.notes, *plan.notes(done, figures))


def _against(baseline: str, rows: Sequence[Row]) -> list[Row]:
    """Return the rows with reductions that refer to another policy."""
    reference = next(row for row in rows if row["policy"] == baseline)
    return [
        {
            **row,
            "baseline": baseline,
            "baseline_carbon_g_per_kwh": reference["avg_carbon_g_per_kwh"],
            **{
                one.reduction: reduction_pct(row[one.amount], reference[one.amount])
                for one in (INTENSITY, GRAMS)
            },
        }
        for row in rows
    ]


@contextmanager
def _captured_output() -> Iterator[io.StringIO]:
    """Capture printed output, on the main thread only: stdout belongs to the process."""
    output = io.StringIO()
    if threading.current_thread() is not threading.main_thread():
        yield output
        return
    with redirect_stdout(output), redirect_stderr(output):
        yield output


@lru_cache(maxsize=1)
def _versions() -> tuple[tuple[str, str], ...]:
    return ("python", platform.python_version()), *((name, version(name)) for name in LIBRARIES)


def versions() -> dict[str, str]:
    """Return the versions that a result may depend on."""
    return dict(_versions())
