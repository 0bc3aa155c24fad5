"""Laws of measured tables: power by the size of the batch, and the time of a step by tokens per second."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from carbonroute.arrays import Array
from carbonroute.errors import Fault, InputError
from carbonroute.files.text import Digests
from carbonroute.llm.power import PowerLaw
from carbonroute.llm.step import StepLaw
from carbonroute.units import MS_PER

#: Batches over which experts may fill up, for `fit_step`: from two sequences to thousands.
_FILLS = np.geomspace(2.0, 4000.0, 60)
#: A replica of more is a fault of unit.
_MAX_W = 1e6


def fit_power(
    batches: ArrayLike, watts: ArrayLike, *, idle_w: float | None = None, prefill_w: float | None = None
) -> PowerLaw:
    """Return the power of a replica, as measured at some sizes of its batch.

    Raises ValueError if a value is not finite or below 0, no batch is above 0, or the idle power is stated
    twice or not at all.

    Parameters
    ----------
    batches, watts
        Sequences that decode, and the power of the whole replica at them, W, in any order; shape (N,).
        Equal batches count as their mean, and batch 0 is the idle power.
    idle_w
        Where no batch is 0, W.
    prefill_w
        Of steps that are all prompt, W; by default the highest of `watts`, as measured batches hold prompts.

    Examples
    --------
    >>> law = fit_power([8, 0, 128, 32], [400.0, 100.0, 560.0, 480.0])
    >>> law.at_w([0, 16, 32]).round().tolist()
    [100.0, 440.0, 480.0]
    """
    sizes, power_w = _checked(batches, watts)
    idle = power_w[sizes == 0]
    if len(idle) and idle_w is not None:
        raise ValueError("a row of batch 0 is the idle power; leave out the row, or idle_w")
    if not len(idle) and idle_w is None:
        raise ValueError("no idle power: state idle_w, or add a row of batch 0")
    busy = sizes > 0
    if not busy.any():
        raise ValueError("no batch above 0")
    knots, means_w = _means(sizes[busy], power_w[busy])
    return PowerLaw(
        idle_w=float(idle.mean()) if len(idle) else float(idle_w or 0.0),
        prefill_w=float(power_w.max()) if prefill_w is None else prefill_w,
        batches=tuple(knots.tolist()),
        decode_w=tuple(means_w.tolist()),
    )


def fit_step(batches: ArrayLike, tokens_per_s: ArrayLike, *, context_tokens: float) -> StepLaw:
    """Return the time of a step, of the tokens per second that were measured at some sizes of the batch.

    A step of b sequences takes b/tokens_per_s: a constant, a time per sequence, and one that fills up with b
    as the experts of a sparse model do, none of them below 0, by least squares of relative errors.

    `batches`, `tokens_per_s`: sequences, and tokens per second of all of them together; shape (N,).
    `context_tokens`: mean tokens that the cache held of each sequence: its prompt and half of its answer.
    Raises ValueError if a value is not finite or not above 0, or fewer than two batches differ.

    >>> law = fit_step([1, 10, 100], [1000 / 20.1, 10_000 / 21, 100_000 / 30], context_tokens=500.0)
    >>> law.step_ms([1, 50], [500.0, 25_000.0]).round(1).tolist()
    [20.1, 25.0]
    """
    sizes, rates = _checked(batches, tokens_per_s)
    if (sizes <= 0).any() or (rates <= 0).any() or context_tokens <= 0:
        raise ValueError("batches, tokens per second and the context are above 0")
    sizes, step_ms = _means(sizes, MS_PER["s"] * sizes / rates)
    if len(sizes) < 2:
        raise ValueError("two batches that differ are the least that tell a constant from a slope")
    _, fill, (constant_ms, slope_ms, filling_ms) = min(
        (_fitted(sizes, step_ms, float(fill)) for fill in _FILLS), key=lambda fitted: fitted[0]
    )
    return StepLaw(
        overhead_ms=0.0,
        weights_ms=float(constant_ms),
        kv_ms_per_token=float(slope_ms) / context_tokens,
        compute_ms_per_token=0.0,
        experts_ms=float(filling_ms),
        expert_share=1 - float(np.exp(-1 / fill)),
    )


def _fitted(sizes: Array, step_ms: Array, fill: float) -> tuple[float, float, Array]:
    """Return the error of the best step that fills up by some batch, that batch, and its three times, ms."""
    from scipy.optimize import nnls

    # Formula step-fit.
    parts = np.stack([np.ones_like(sizes), sizes, 1 - np.exp(-sizes / fill)], axis=1)
    times_ms, error = nnls(parts / step_ms[:, None], np.ones_like(sizes))
    return float(error), fill, times_ms


def power_table(
    path: Path,
    file_name: str,
    *,
    batch_column: str = "batch",
    power_column: str = "power_w",
    idle_w: float | None = None,
    prefill_w: float | None = None,
    digests: Digests | None = None,
) -> PowerLaw:
    """Read the power of a replica from a table with a row per size of its batch.

    Raises InputError if the file cannot be read or has no such column, a batch is no number of 0 or more, a
    power none above 0 or below the idle one, a batch stands twice with different powers, or there is no idle
    power, no batch above 0, or the idle power twice.

    Parameters
    ----------
    path, file_name
        CSV (also ``.gz``) or Parquet file, and its name in messages.
    batch_column, power_column
        Columns of the sequences that decode, 0 while idle, and of the power of the whole replica, W.
    idle_w, prefill_w
        As of `fit_power`.
    """
    columns = {"batch_column": batch_column, "power_column": power_column}
    batches, watts = _columns(path, file_name, columns, digests)
    if faults := list(_of_rows(batches, watts, idle_w, power_column)):
        raise InputError(file_name, faults)
    try:
        return fit_power(batches, watts, idle_w=idle_w, prefill_w=prefill_w)
    except ValueError as error:
        raise InputError(file_name, [Fault(f"column {batch_column!r}", str(error))]) from error


def _of_rows(batches: Array, watts: Array, idle_w: float | None, power_column: str) -> Iterator[Fault]:
    """Yield a fault for each row with less power than an idle replica, or another one than an earlier row."""
    from carbonroute.files.csv_layout import FIRST_LINE

    idle = watts[batches == 0]
    least_w = float(idle[0]) if len(idle) else idle_w or 0.0
    first: dict[float, int] = {}
    for row, (batch, power_w) in enumerate(zip(batches.tolist(), watts.tolist(), strict=True)):
        where, found = f"line {row + FIRST_LINE}, {power_column}", f"found {power_w:g} W"
        earlier = first.setdefault(batch, row)
        if power_w != watts[earlier]:
            problem = f"{found}, and {watts[earlier]:g} W of batch {batch:g} in line {earlier + FIRST_LINE}"
            yield Fault(where, problem, "a row for each batch is expected")
        elif power_w < least_w:
            problem = f"{found}, less than the {least_w:g} W of an idle replica"
            yield Fault(where, problem, "as much is expected, or more")


def _columns(path: Path, file_name: str, names: Mapping[str, str], digests: Digests | None) -> list[Array]:
    """Return the batches and the values of a table; refuse batches below 0, and values not above it."""
    from carbonroute.files.csv_layout import FIRST_LINE
    from carbonroute.files.numbers import column_numbers
    from carbonroute.files.tables import column_text, found_text, read_table, required

    table = read_table(path, file_name, digests)
    required(names, table.columns, file_name)
    columns, faults = [], []
    for key, name in names.items():
        text = column_text(table[name], file_name)
        numbers = column_numbers(text).to_numpy().astype(np.float64)
        is_batch = key == "batch_column"
        right = (numbers >= 0 if is_batch else numbers > 0) & (numbers <= _MAX_W)  # False for NaN
        expected = (
            "0 or more sequences are expected" if is_batch else f"W are expected, above 0, up to {_MAX_W:g}"
        )
        faults += [
            Fault(f"line {row + FIRST_LINE}, {name}", found_text(text[int(row)]), expected)
            for row in np.flatnonzero(~right)
        ]
        columns.append(numbers)
    if faults:
        raise InputError(file_name, faults)
    return columns


def _checked(batches: ArrayLike, values: ArrayLike) -> tuple[Array, Array]:
    """Return both as arrays of one shape (N,), or refuse what is not finite, negative, or does not fit."""
    sizes, numbers = np.asarray(batches, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if sizes.ndim != 1 or sizes.shape != numbers.shape or not len(sizes):
        raise ValueError(f"one value per batch is expected, found shapes {sizes.shape} and {numbers.shape}")
    both = np.stack([sizes, numbers])
    if not (np.isfinite(both) & (both >= 0)).all():
        raise ValueError("batches and values are finite and 0 or more")
    return sizes, numbers


def _means(sizes: Array, values: Array) -> tuple[Array, Array]:
    """Return the distinct sizes, ascending, and the mean of the values at each."""
    knots, place = np.unique(sizes, return_inverse=True)
    return knots, np.bincount(place, values) / np.bincount(place)
