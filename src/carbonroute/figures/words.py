"""Numbers and findings in words, as titles and labels say them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from carbonroute.errors import visible
from carbonroute.figures.style import policy_labels
from carbonroute.metrics.measure import GRAMS, INTENSITY, Measure, measure_of, measure_of_row

if TYPE_CHECKING:
    from collections.abc import Sequence

SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
CARBON = "g CO₂e/kWh"
CARBON_INTENSITY = f"Carbon intensity ({CARBON})"
VIOLATIONS = "SLO violations (% of requests)"


def number(value: float, digits: int = 1) -> str:
    """Write a number with so many decimals, a true minus sign, and never "−0".

    Examples
    --------
    >>> number(-3.25), number(-0.001), number(12345.6, 0)
    ('−3.2', '0.0', '12,346')
    """
    if not math.isfinite(value):
        return "n/a"
    if abs(value) >= 1e6:
        return _power(value, ".2e")
    return f"{round(value, digits) + 0.0:,.{digits}f}".replace("-", "−")


def tick(value: float, _position: int | None = None) -> str:
    """Write a tick's value: short, whatever its size.

    Examples
    --------
    >>> tick(2500.0), tick(-0.5), tick(3e6), tick(1e12)
    ('2,500', '−0.5', '3×10⁶', '10¹²')
    """
    return f"{round(value, 9):,.10g}".replace("-", "−") if abs(value) < 1e5 else _power(value, ".3g")


def _power(value: float, form: str) -> str:
    """Write a large number with a power of ten."""
    mantissa, _, exponent = f"{value:{form}}".replace("-", "−").partition("e")
    if not exponent:
        return mantissa
    power = "10" + str(int(exponent)).translate(SUPERSCRIPTS)
    return power if mantissa == "1" else f"{mantissa}×{power}"


def percent(value: float, digits: int = 1) -> str:
    """Write a percentage, with the space that SI asks for."""
    return f"{number(value, digits)} %"


def limit(policies: pl.DataFrame) -> float:
    """Give the limit on violations behind ``viable``, in percent (column ``max_violation_pct``)."""
    return float(policies["max_violation_pct"][0])


def plain(value: float) -> str:
    """Write a number as its author did: no needless decimals.

    Examples
    --------
    >>> plain(5.0), plain(0.5)
    ('5', '0.5')
    """
    return tick(float(f"{value:.6g}"))


def change(reduction_pct: float, measure: Measure) -> str:
    """Say what a reduction in percent does to carbon, or to emissions.

    Examples
    --------
    >>> change(59.6, INTENSITY), change(-3.0, GRAMS), change(0.01, GRAMS)
    ('cuts carbon 59.6 %', 'raises emissions 3.0 %', 'leaves emissions unchanged')
    """
    what = "emissions" if measure is GRAMS else "carbon"
    if round(reduction_pct, 1) == 0:
        return f"leaves {what} unchanged"
    return f"{'cuts' if reduction_pct > 0 else 'raises'} {what} {percent(abs(reduction_pct))}"


def amount(row: dict[str, Any]) -> str:
    """Write what a policy emits, a row of ``Tables.policies``: with a unit that suits it."""
    measure = measure_of_row(row)
    value = row[measure.amount]
    if measure is INTENSITY:
        return f"{number(value)} {CARBON}"
    unit = mass_unit([value / 1e3])
    return f"{number(value / 1e3 * unit.per_kg, unit.digits)} {unit.name} CO₂e per request"


def best(policies: pl.DataFrame) -> dict[str, Any] | None:
    """Give the row of the viable policy with the least carbon (the first on ties), or None.

    Grams, where energies are stated.
    """
    viable = policies.filter("viable")
    return lowest(viable, measure_of(policies).amount) if viable.height else None


def lowest(frame: pl.DataFrame, column: str) -> dict[str, Any]:
    """Give the row with the lowest value, the first on ties (where polars' ``arg_min`` may give another)."""
    return frame.row(int(frame[column].to_numpy().argmin()), named=True)


def highest(frame: pl.DataFrame, column: str) -> dict[str, Any]:
    """Give the row with the highest value, the first on ties."""
    return frame.row(int(frame[column].to_numpy().argmax()), named=True)


def achievement(row: dict[str, Any]) -> str:
    """Say what a policy (a row of ``Tables.policies``) reaches in carbon."""
    measure = measure_of_row(row)
    reduction_pct = row[measure.reduction]
    return f"takes {amount(row)}" if reduction_pct is None else change(reduction_pct, measure)


def headline(policies: pl.DataFrame) -> str:
    """Say what the best viable policy reaches, and what is left of it without foresight.

    Uses all columns of ``Tables.policies`` that concern carbon, violations and viability.
    """
    row = best(policies)
    labels = policy_labels(policies)
    if row is None:
        return _none_viable(policies, labels)
    sentence = f"{labels[row['policy']]} {achievement(row)} at {_violations(row)}"
    blind = policies.filter(~policies["clairvoyant"])
    if not row["clairvoyant"] or blind.is_empty():
        return sentence
    honest = best(blind)
    if honest is None:
        return f"{sentence}; without foresight, no policy stays within {plain(limit(policies))} %"
    runner_up = f"{labels[honest['policy']]} {achievement(honest)} at {_violations(honest)}"
    return f"{sentence}; without foresight, {runner_up}"


def _violations(row: dict[str, Any]) -> str:
    return f"{percent(row['slo_violation_pct'], 2)} violations"


def _none_viable(policies: pl.DataFrame, labels: dict[str, str]) -> str:
    row = lowest(policies, "slo_violation_pct")
    return (
        f"No policy stays within {plain(limit(policies))} % violations; "
        f"{labels[row['policy']]} comes closest with {percent(row['slo_violation_pct'], 2)}"
    )


class MassUnit(NamedTuple):
    """A unit that suits some masses: how many there are in a kilogram, and how many decimals to show."""

    name: str
    per_kg: float
    digits: int


_MASS_UNITS = (("t", 1e-3), ("kg", 1.0), ("g", 1e3), ("mg", 1e6), ("µg", 1e9))


def mass_unit(masses_kg: Sequence[float]) -> MassUnit:
    """Choose the unit in which the largest of some masses has one to three digits, and three are shown.

    Examples
    --------
    >>> mass_unit([0.0123, 0.0045])
    MassUnit(name='g', per_kg=1000.0, digits=1)
    """
    largest = max(map(abs, masses_kg), default=0.0)
    if not largest:
        return MassUnit("g", 1e3, 0)
    name, per_kg = next((unit for unit in _MASS_UNITS if largest * unit[1] >= 1), _MASS_UNITS[-1])
    return MassUnit(name, per_kg, max(0, 2 - math.floor(math.log10(largest * per_kg))))


class CarbonColumn(NamedTuple):
    """Where a figure finds a policy's carbon, what its axis says, and whether less is better."""

    name: str
    label: str
    less_is_better: bool


def carbon_column(policies: pl.DataFrame) -> CarbonColumn:
    """Choose the carbon axis: the reduction, or where a zero baseline leaves it undefined, the amount."""
    measure = measure_of(policies)
    if policies[measure.reduction].null_count():
        what = "Emissions" if measure is GRAMS else "Average carbon intensity"
        return CarbonColumn(
            measure.amount, f"{what} ({measure.unit}; less to the right)", less_is_better=True
        )
    baseline = " ".join(str(policies["baseline"][0]).split())
    what = "Emissions" if measure is GRAMS else "Carbon"
    return CarbonColumn(measure.reduction, f"{what} reduction vs. {baseline} (%)", less_is_better=False)


def printable(frame: pl.DataFrame) -> pl.DataFrame:
    r"""Return a table whose texts and names of columns command nothing: see `visible`.

    A drawing would show boxes for control characters, and an SVG that holds one is no XML.

    >>> import polars as pl
    >>> printable(pl.DataFrame({"region": ["A\x1b[0m", "B"]}))["region"].to_list()
    ['A\\x1b[0m', 'B']
    """
    for name in frame.columns:
        if frame[name].dtype == pl.String:
            texts = frame[name].drop_nulls().unique()
            odd = {text: visible(text) for text in texts if not text.isprintable()}
            frame = frame.with_columns(pl.col(name).replace(odd)) if odd else frame
    return frame.rename(visible)
