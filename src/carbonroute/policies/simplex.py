"""Linear programs by HiGHS: least cost, from 0 up, and few of many columns at a time.

The answer is a function of the program alone: each begins at the basis of all slacks, and no basis outlives
it. Within one program, costs and bounds change, and each optimum begins at the
last one's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from carbonroute.arrays import Array, Mask
from carbonroute.policies.base import Regions

if TYPE_CHECKING:
    import highspy

#: Places as HiGHS takes them.
Places: TypeAlias = NDArray[np.int32]

#: A price below it is rounding: HiGHS keeps constraints, and prices, as far as it goes.
_TOLERANCE = 1e-9

#: No threads, which a fork would not survive.
_ALWAYS: Mapping[str, Any] = MappingProxyType({"output_flag": False, "threads": 1})

#: No presolve, which costs more than it saves here.
_SIMPLEX: Mapping[str, Any] = MappingProxyType(
    {
        "presolve": "off",
        "solver": "simplex",
        "primal_feasibility_tolerance": _TOLERANCE,
        "dual_feasibility_tolerance": _TOLERANCE,
    }
)

#: Where the simplex method cannot tell.
_INTERIOR_POINT: Mapping[str, Any] = MappingProxyType({"solver": "ipm"})

#: Programs of fewer columns are solved at once.
_FEW_COLUMNS = 1500

#: How many columns of each cell a larger program begins with.
_FIRST_COLUMNS = 6

#: Steps to the prices by which these are chosen, and how soft the choice is, in mean costs: from, to.
_STEPS, _SOFTNESS = 30, (1.0, 0.02)


@dataclass(frozen=True)
class Columns:
    """A sparse matrix by its columns, and a cost for each.

    Attributes
    ----------
    starts
        Where each column's entries begin, and in the end their number, shape (columns + 1,).
    rows, values
        Shape (entries,); the rows of a column ascend.
    cost
        Shape (columns,).
    """

    starts: Places
    rows: Places
    values: Array
    cost: Array

    @classmethod
    def each(cls, uses: Sequence[tuple[Regions, Array]], limits: Regions, cost: Array) -> Iterator[Columns]:
        """Yield K flows of each of G programs, and one column of −1 at no cost for each limit.

        Parameters
        ----------
        uses
            Rows, ascending and −1 for none, shape (K,), and values of the flows in them, shape (G, K).
        limits
            Rows of the limits.
        cost
            Of the flows, shape (G, K).
        """
        of_flows = np.stack([row for row, _ in uses], axis=1)
        entries, excess = of_flows >= 0, np.ones((len(cost), len(limits)))
        values = np.stack([value for _, value in uses], axis=2).reshape(len(cost), -1)
        values = np.hstack([values.compress(entries.ravel(), axis=1), -excess])
        lengths = np.concatenate([entries.sum(axis=1), np.ones(len(limits), int)])
        # As HiGHS takes them.
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        rows = np.append(of_flows[entries], limits).astype(np.int32)
        for of_program in zip(values, np.hstack([cost, 0 * excess]), strict=True):
            yield cls(starts, rows, *of_program)

    def matrix(self, rows: int) -> Any:
        """Return it as a sparse matrix, shape (rows, columns)."""
        from scipy.sparse import csc_array

        return csc_array((self.values, self.rows, self.starts), shape=(rows, len(self.cost)))

    def part(self, columns: Regions) -> Columns:
        """Return some of the columns, in this order."""
        lengths = np.diff(self.starts)[columns]
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        entries = np.arange(starts[-1]) + np.repeat(self.starts[columns] - starts[:-1], lengths)
        return Columns(starts, self.rows[entries], self.values[entries], self.cost[columns])

    def reduced(self, cost: Array, price: Array) -> Array:
        """Return cost − matrixᵀ · price, shape (columns,)."""
        charged: Array = np.add.reduceat(self.values * price[self.rows], self.starts[:-1])
        return cost - charged


class Optimum(NamedTuple):
    """The columns, the price of each row, and the reduced cost of each column."""

    columns: Array
    price: Array
    reduced: Array


def solver() -> highspy.Highs:
    """Return HiGHS, ready for one program after the other."""
    import highspy

    highs = highspy.Highs()
    _set(highs, _SIMPLEX)
    return highs


class Simplex:
    """Find the cheapest columns, from 0 up, with low ≤ matrix · columns ≤ high.

    The flows come first, each in one of the rows of cells, which are equations and come first too; they
    ascend by cell. Of many flows only those of least cost at estimated prices are given to HiGHS. At the
    prices of its answer all are looked at: those that would lower the cost come in, until there are none, and
    the answer is that of the whole.

    Parameters
    ----------
    highs
        A `solver`, which forgets the program before.
    columns
        The matrix, and costs.
    low, high
        Of each row.

    Attributes
    ----------
    by_interior_point
        Whether the simplex method could not tell: the solver is of no use for other programs then.
    """

    def __init__(self, highs: highspy.Highs, columns: Columns, low: Array, high: Array) -> None:
        self._solver, self._columns, self._low, self._high = highs, columns, low, high
        self.by_interior_point = False
        self._passed = False
        # The columns that HiGHS has; None for all.
        self._inside: Regions | None = None
        if len(columns.cost) > _FEW_COLUMNS:
            self._inside = np.flatnonzero(promising(columns, low, high))

    def least(self, cost: Array, upper: Array) -> Optimum | None:
        """Return the columns of least cost from 0 to `upper`, which is 0 or +inf; None if there are none."""
        inside = slice(None) if self._inside is None else self._inside
        its_cost, its_upper = cost[inside], upper[inside]
        if not self._passed:
            self._pass(its_cost, its_upper)
        else:
            number, places = len(its_cost), np.arange(len(its_cost), dtype=np.int32)
            self._solver.changeColsCost(number, places, its_cost)
            self._solver.changeColsBounds(number, places, np.zeros(number), its_upper)
        while True:
            optimum = self._optimum(cost)
            if self._inside is None:
                return optimum
            outside = upper > 0
            outside[self._inside] = False
            if optimum is not None:
                outside &= optimum.reduced < -_TOLERANCE
            if not outside.any():
                return optimum
            self._add(np.flatnonzero(outside), cost)

    def _pass(self, cost: Array, upper: Array) -> None:
        """Give the columns that are chosen to HiGHS."""
        import highspy

        part = self._columns if self._inside is None else self._columns.part(self._inside)
        none = np.zeros(len(cost))
        self._solver.passModel(
            len(cost),
            len(self._high),
            len(part.rows),
            int(highspy.MatrixFormat.kColwise),
            int(highspy.ObjSense.kMinimize),
            0.0,  # offset
            cost,
            none,
            upper,
            self._low,
            self._high,
            part.starts[:-1],
            part.rows,
            part.values,
            np.zeros(len(cost), dtype=np.int32),  # no whole numbers
        )
        self._passed = True

    def spend(self, rows: Regions) -> None:
        """From now on use all of these limits: matrix · columns = high."""
        for row, high in zip(rows.tolist(), self._high[rows].tolist(), strict=True):
            self._solver.changeRowBounds(row, high, high)

    def _add(self, columns: Regions, cost: Array) -> None:
        """Give more columns to HiGHS, from 0 up."""
        part, number = self._columns.part(columns), len(columns)
        self._solver.addCols(
            *(number, cost[columns], np.zeros(number), np.full(number, np.inf), len(part.rows)),
            *(part.starts[:-1], part.rows, part.values),
        )
        self._inside = columns if self._inside is None else np.concatenate([self._inside, columns])

    def _optimum(self, cost: Array) -> Optimum | None:
        """Return the optimum over the columns that HiGHS has; None if they are infeasible."""
        status = self._run()
        if status.name == "kInfeasible":
            return None
        if status.name != "kOptimal":
            raise ArithmeticError(f"HiGHS found no optimum: {self._solver.modelStatusToString(status)}")
        solution = self._solver.getSolution()
        price, its_columns = np.array(solution.row_dual), np.maximum(solution.col_value, 0.0)
        if self._inside is None:
            return Optimum(its_columns, price, np.array(solution.col_dual))
        columns, reduced = np.zeros(len(cost)), self._columns.reduced(cost, price)
        columns[self._inside], reduced[self._inside] = its_columns, solution.col_dual
        return Optimum(columns, price, reduced)

    def _run(self) -> highspy.HighsModelStatus:
        """Return how HiGHS ended: where the simplex method cannot tell, the interior point answers."""
        self._solver.run()
        status = self._solver.getModelStatus()
        if status.name not in ("kOptimal", "kInfeasible"):
            self._solver.clearSolver()
            self._solver.resetOptions()
            _set(self._solver, _INTERIOR_POINT)
            self.by_interior_point = True
            self._solver.run()
            status = self._solver.getModelStatus()
        return status


def _set(highs: highspy.Highs, options: Mapping[str, Any]) -> None:
    for name, value in {**_ALWAYS, **options}.items():
        highs.setOptionValue(name, value)


def promising(columns: Columns, low: Array, high: Array) -> Mask:
    """Return which columns may be in the optimum: some of each cell, at estimated prices, and the excess.

    Each cell spreads its requests, more of them the less a flow costs; limits that are passed by that become
    dearer, by the logarithm of how far. Less is spread the more steps were taken. The estimate decides about
    time alone.
    """
    cells, limit = int((low == high).sum()), np.maximum(high[low < high], _TOLERANCE)
    row = columns.rows[columns.starts[:-1]]
    cell = row[row < cells]
    first, flows = np.searchsorted(cell, np.arange(cells)), columns.part(np.arange(len(cell)))
    of_entry = np.repeat(np.arange(len(cell)), np.diff(flows.starts))
    entries, total = (
        np.bincount(flows.rows, minlength=len(high)),
        np.bincount(flows.rows, flows.values, len(high)),
    )
    unit = np.maximum(total, _TOLERANCE)[cells:] / np.maximum(entries, 1)[cells:]
    price, above = np.zeros(len(high)), flows.cost
    for softness in np.geomspace(*_SOFTNESS, _STEPS):
        reduced = flows.reduced(flows.cost, price)
        above = reduced - np.minimum.reduceat(reduced, first)[cell]
        spread = np.exp(-above / softness)
        spread *= (high[:cells] / np.add.reduceat(spread, first))[cell]
        used = np.bincount(flows.rows, flows.values * spread[of_entry], len(high))[cells:]
        dearer = softness * np.log(np.clip(used / limit, 1e-3, 1e3)) / unit
        price[cells:] = np.minimum(price[cells:] - dearer, 0)
    order = np.lexsort((above, cell))
    chosen = np.ones(len(columns.cost), bool)
    chosen[order[np.arange(len(cell)) - first[cell] >= _FIRST_COLUMNS]] = False
    return chosen
