"""The family of a study's figures: each draws the tables of one study, and nothing else.

A figure is one file with ``draw(summary, axes, ax=None) -> Axes`` and ``wanted(summary, axes) -> bool``, and
one line in ``STUDY_FIGURES``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from carbonroute.figures import (
    Format,
    as_file,
    study_heatmap,
    study_lines,
    study_pareto,
    study_violations,
)
from carbonroute.figures.layout import figure_of
from carbonroute.figures.words import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import polars as pl
    from matplotlib.axes import Axes

    from carbonroute.study import StudyTables


class Draw(Protocol):
    """How a member draws."""

    def __call__(self, summary: pl.DataFrame, axes: pl.DataFrame, ax: Axes | None = None, /) -> Axes:
        """Draw a study's tables into the given axes, or into a figure of its own."""
        ...


class StudyFigure(NamedTuple):
    """A member of the family.

    Attributes
    ----------
    draw
        Draws it from a study's summary and axes.
    wanted
        Whether these have anything for it to show.
    """

    draw: Draw
    wanted: Callable[[pl.DataFrame, pl.DataFrame], bool]


STUDY_FIGURES: Mapping[str, StudyFigure] = {
    "study_heatmap": StudyFigure(study_heatmap.draw, study_heatmap.wanted),
    "study_violations": StudyFigure(study_violations.draw, study_violations.wanted),
    "study_lines": StudyFigure(study_lines.draw, study_lines.wanted),
    "study_pareto": StudyFigure(study_pareto.draw, study_pareto.wanted),
}


def draw(name: str, tables: StudyTables, ax: Axes | None = None) -> Axes:
    """Draw one figure of a study in the house style.

    Parameters
    ----------
    name
        A name in ``STUDY_FIGURES``.
    tables
        What the study found.
    ax
        Where to draw; by default in a figure of its own, as high as it needs to be.

    Raises
    ------
    ValueError
        If there is no figure of that name, or this study has nothing for it to show.
    """
    if name not in STUDY_FIGURES:
        raise ValueError(f"no figure {name!r} of a study; there are {', '.join(STUDY_FIGURES)}")
    if not STUDY_FIGURES[name].wanted(tables.summary, tables.axes):
        shown = ", ".join(wanted(tables)) or "none"
        raise ValueError(f"this study has nothing for figure {name!r} to show; there are {shown}")
    return STUDY_FIGURES[name].draw(printable(tables.summary), printable(tables.axes), ax)


def wanted(tables: StudyTables) -> list[str]:
    """Return the names of the figures that a study has something to show in."""
    return [name for name, member in STUDY_FIGURES.items() if member.wanted(tables.summary, tables.axes)]


def render(name: str, tables: StudyTables, fmt: Format = "png") -> bytes:
    """Draw one figure of a study and give it as a file's content; the same tables always give the same bytes.

    Parameters
    ----------
    name
        A name in ``STUDY_FIGURES``.
    tables
        What the study found.
    fmt
        ``"png"`` (300 dpi), ``"svg"`` or ``"pdf"``.

    Raises
    ------
    ValueError
        If there is no figure of that name, it has nothing to show, or the format is another.
    """
    return as_file(figure_of(draw(name, tables)), fmt)
