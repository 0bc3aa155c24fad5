"""``carbonroute calibrate``: a scenario, or its replicas, as a journal or a log of requests measured them."""

from __future__ import annotations

import math
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from carbonroute.cli.options import Json, NoCode
from carbonroute.cli.terminal import empty_table, out, print_json, results_alone
from carbonroute.errors import Fault, InputError, RunFolderError
from carbonroute.files.folder import create_named, write_named
from carbonroute.files.text import refused

if TYPE_CHECKING:
    from rich.console import Console

    from carbonroute.analysis.replica_fit import ReplicaFit
    from carbonroute.analysis.replica_fit.quality import QualityRow
    from carbonroute.live.calibrate import Calibration, QuantityRow

#: Options that only a log of requests has, and how a scenario spells them.
_OF_LOG = "model", "gpu", "tensor_parallel", "max_num_seqs", "max_num_batched_tokens", "kv_cache_tokens"


def calibrate(
    measured: Path,
    /,
    *,
    scenario: str | None = None,
    output: Annotated[Path | None, Parameter(name=("--output", "-o"))] = None,
    model: str | None = None,
    gpu: str | None = None,
    tensor_parallel: int | None = None,
    max_num_seqs: int | None = None,
    max_num_batched_tokens: int | None = None,
    kv_cache_tokens: int | None = None,
    replicas: int = 1,
    holdout: float = 0.5,
    columns: str = "",
    force: Annotated[bool, Parameter(negative=())] = False,
    json: Json = False,
    no_code: NoCode = False,
) -> int:
    """Write a scenario with what was measured: by a journal of decisions, or by a log of a model's requests.

    Of a journal, a folder: rates, service times and energies. Printed is a table of each quantity: its value
    in the scenario, as measured, and the 95 % interval. Of a log, a file with arrival, prompt, output, first
    and last token of each request: the coefficients of a replica's step time, their intervals, how far the
    model's times are off in the fitted and in the held-out part, and for which requests it does not hold.
    What the measurements do not tell is said, and stays as it is.

    Parameters
    ----------
    measured
        A folder that `carbonroute simulate --journal` or `carbonroute live run` wrote, of one policy; or a
        log of requests: CSV, JSON lines, Parquet, or JSON of GuideLLM or of vllm bench serve.
    scenario
        A built-in scenario's name, or a file, with the origins, workloads and regions of the journal, or
        with pools of the log's model and GPU.
    output
        The file to write, in .toml; comments are not kept. Of a log without a scenario: a pool.
    model
        Of a log: name of a data sheet (`carbonroute models`), whose values stay where the log does not
        determine a coefficient.
    gpu
        Of a log: the same of `carbonroute gpus`.
    tensor_parallel
        Of a log: accelerators of a replica; 1 by default.
    max_num_seqs
        Of a log: limit of requests in a batch; 256 by default.
    max_num_batched_tokens
        Of a log: limit of tokens in a step of it; 2048 by default.
    kv_cache_tokens
        Of a log: tokens that a replica's cache holds; without it, fitted.
    replicas
        Of a log: how many served it.
    holdout
        Of a log: share of the requests, the last ones by arrival, that is predicted and not fitted.
    columns
        Of a log: columns that are named otherwise, such as arrival=t0,first=ttft:ms; the roles are arrival,
        prompt, output, first, last, status and model, and first and last are times or, after arrival,
        durations.
    force
        Replace a file that is there.
    """
    if output is not None and output.suffix != ".toml":
        raise refused("--output", f"found {output.name!r}", "a name in .toml is expected")
    if output is not None and output.exists() and not force:
        raise RunFolderError(f"{output}: is there already; name another file, or replace it: --force")
    given = dict(
        zip(
            _OF_LOG,
            (model, gpu, tensor_parallel, max_num_seqs, max_num_batched_tokens, kv_cache_tokens),
            strict=True,
        )
    )
    stated = {name: value for name, value in given.items() if value is not None}
    if not measured.is_file():
        if stated:
            option = f"--{next(iter(stated)).replace('_', '-')}"
            raise refused(option, f"{measured} is no file", "it is an option of logs of requests")
        result: Calibration | ReplicaFit
        result, text = _of_journal(measured, scenario, output, no_code)
    else:
        result, text = _of_log(measured, scenario, output, stated, (replicas, holdout, columns, no_code))
    if output is not None:
        (write_named if force else create_named)(output, text.encode())
    if json:
        print_json(result.as_json())
    else:
        _print(result, output, has_scenario=scenario is not None)
    return 0


def _of_journal(
    journal: Path, scenario: str | None, output: Path | None, no_code: bool
) -> tuple[Calibration, str]:
    """Return what a journal measured, and the scenario as TOML."""
    from carbonroute.live.calibrate import calibrate as calibrated

    missing = [name for name, given in (("--scenario", scenario), ("--output", output)) if given is None]
    if scenario is None or output is None:
        remedy = "a journal corrects a scenario, and writes it anew; a log of requests is a file"
        raise InputError("carbonroute calibrate", [Fault(name, "missing", remedy) for name in missing])
    with results_alone():
        result = calibrated(journal, scenario, output, code=not no_code)
    return result, result.text


def _of_log(
    path: Path,
    scenario: str | None,
    output: Path | None,
    stated: dict[str, Any],
    settings: tuple[int, float, str, bool],
) -> tuple[ReplicaFit, str]:
    """Return what a log measured, and the pool, or the scenario, as TOML."""
    from carbonroute.analysis.replica_fit import calibrated, fit_log, options_of
    from carbonroute.importing.request_log import read_request_log

    replicas, holdout, columns, no_code = settings
    if not 0 <= holdout < 1:
        raise refused("--holdout", f"found {holdout:g}", "a share from 0 to below 1 is expected")
    if replicas < 1:
        raise refused("--replicas", f"found {replicas}", "1 or more is expected")
    log = read_request_log(path, columns)
    with results_alone():
        options = stated if scenario is None else options_of(scenario, stated)
        fit = fit_log(log, options, replicas=replicas, holdout=holdout)
        if scenario is None or output is None:
            return fit, fit.text
        return fit, calibrated(fit, scenario, output, code=not no_code)


def _print(result: Calibration | ReplicaFit, output: Path | None, *, has_scenario: bool) -> None:
    from carbonroute.live.calibrate import Calibration

    console = out()
    if isinstance(result, Calibration):
        _print_journal(console, result)
    else:
        _print_fit(console, result)
    if output is not None:
        run = f"carbonroute simulate {shlex.quote(str(output))}"
        following = run if has_scenario else "paste the pool into a scenario"
        console.print(f"\nWrote {output}; next: {following}", soft_wrap=True)


def _print_journal(console: Console, result: Calibration) -> None:
    table = empty_table(f"Measured in {result.evidence}")
    table.add_column("quantity")
    for name in ("scenario", "measured", "95 % interval"):
        table.add_column(name, justify="right")
    table.add_column("")
    for row in result.rows:
        table.add_row(
            f"{row.quantity} ({row.unit})" if row.unit else row.quantity,
            _number(row.scenario),
            _number(row.measured),
            _interval(row.interval),
            _verdict(row),
        )
    console.print(table)
    for note in result.notes:
        console.print(f"– {note}.", soft_wrap=True)


def _print_fit(console: Console, fit: ReplicaFit) -> None:
    from carbonroute.analysis.replica_fit import holds_text

    begin = "data sheet" if fit.has_sheets else "guess"
    table = empty_table(f"Fitted to {fit.fitted:,} of {fit.requests:,} requests of {fit.log}")
    table.add_column("coefficient")
    for name in (begin, "fitted", "95 % interval"):
        table.add_column(name, justify="right")
    table.add_column("")
    for one in fit.coefficients:
        note = "" if one.determined else "not determined"
        table.add_row(one.name, _number(one.start), _number(one.value), _interval(one.interval), note)
    if fit.cache is not None:
        note = "" if fit.cache.determined else "not determined"
        low, high = fit.cache.interval
        interval = "unknown" if math.isnan(low) else f"{low:,.0f} to {high:,.0f}"
        table.add_row("kv_cache_tokens", f"{fit.cache.start:,}", f"{fit.cache.tokens:,}", interval, note)
    console.print(table)
    _print_residuals(console, fit, begin)
    for note in fit.notes:
        console.print(f"– {note}.", soft_wrap=True)
    console.print("Where the model does not hold, all requests together:")
    for text in holds_text(fit.misses):
        console.print(f"– {text}.", soft_wrap=True)


def _print_residuals(console: Console, fit: ReplicaFit, begin: str) -> None:
    """Print measured and modelled times: of the fitted part, of the held-out one, and by the first values."""
    from carbonroute.analysis.replica_fit import FITTED, HELD_OUT, QUANTITIES, SHEET

    by_part = {(row.quantity, row.statistic, row.part): row for row in fit.rows}
    table = empty_table("Times, ms: measured, and as the model has them")
    table.add_column("")
    for part in (FITTED, HELD_OUT):
        for name in (f"{part}: measured", "model", "error"):
            table.add_column(name, justify="right")
    table.add_column(f"{begin} alone, all: error", justify="right")
    for quantity, statistic in dict.fromkeys(key[:2] for key in by_part):
        cells = []
        for part in (FITTED, HELD_OUT):
            row = by_part.get((quantity, statistic, part))
            cells += [""] * 3 if row is None else _cells(row)
        sheet = by_part.get((quantity, statistic, SHEET))
        cells.append("" if sheet is None else f"{sheet.error:+.1%}")
        table.add_row(f"{QUANTITIES[quantity]}, {statistic}", *cells)
    console.print(table)


def _cells(row: QualityRow) -> list[str]:
    return [f"{row.measured:,.1f}", f"{row.model:,.1f}", f"{row.error:+.1%}"]


def _number(value: float) -> str:
    return "none" if math.isnan(value) else f"{value:.5g}"


def _interval(interval: tuple[float, float]) -> str:
    low, high = interval
    return "unknown" if math.isnan(low) else f"{low:.4g} to {high:.4g}"


def _verdict(row: QuantityRow) -> str:
    outside = not (row.holds or math.isnan(row.scenario))
    return "; ".join(filter(None, ("the scenario's value lies outside" if outside else "", row.note)))
