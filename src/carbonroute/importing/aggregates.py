"""Aggregates of imported requests: counts per window, quantiles and sums, of a size that no log adds to.

Only whole numbers are added up, so that nothing depends on the order of lines or of files.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import polars as pl

from carbonroute.arrays import Integers
from carbonroute.errors import shortened
from carbonroute.files.text import refused
from carbonroute.importing.settings import ImportSettings
from carbonroute.importing.sketch import Sketch
from carbonroute.units import MAX_TIME_MS, US_PER_HOUR

#: Region and workload of requests of which no file says more.
HERE, ALL = "here", "requests"
#: How many names of one kind are kept; more are paths with identifiers in them, or users.
MAX_NAMES = 200
#: Rows of tables and series that are held.
MAX_ROWS = 5_000_000
#: Counts of tables may be fractions: they are kept in millionths.
MILLIONTHS = 1_000_000
_MAX_LISTED = 3
MAX_NAME = 100


class RepeatedRowError(Exception):
    """Two files hold a figure of the same time and cell.

    `begin`, `cell`: the time, µs, and the cell.
    """

    def __init__(self, begin: int, cell: CellKey) -> None:
        super().__init__(begin, cell)
        self.begin, self.cell = begin, cell


class CellKey(NamedTuple):
    """Whose requests a number counts; the empty text where no file says."""

    origin: str
    region: str
    workload: str


@dataclass
class LeftOut:
    """Lines or rows that were left out for one reason.

    `lines`: file and line of the first ones of each file.
    """

    count: int = 0
    lines: list[str] = field(default_factory=list)
    example: str = ""


@dataclass(frozen=True)
class AggregateRow:
    """One row of a table, or one step of a series: the requests of a span of time, as a whole.

    Attributes
    ----------
    requests
        In millionths; None where the row does not say.
    p50_ms, high_ms, z
        Median of the service time, a higher quantile, and the standard-normal score of the latter.
    is_counted
        Whether its requests are in the rates; else they weight its quantiles and divide its power alone.
    """

    requests: int | None = None
    p50_ms: float | None = None
    high_ms: float | None = None
    z: float = 0.0
    power_w: float | None = None
    is_counted: bool = True

    def joined(self, other: AggregateRow) -> AggregateRow | None:
        """Return the row that holds the figures of both; None where both hold one of them."""
        both_count = self.requests is not None and other.requests is not None
        if (
            (both_count and self.is_counted and other.is_counted)
            or (self.p50_ms is not None and other.p50_ms is not None)
            or (self.power_w is not None and other.power_w is not None)
        ):
            return None
        counting = (
            self if self.requests is not None and (self.is_counted or other.requests is None) else other
        )
        timed = self if self.p50_ms is not None else other
        return replace(
            counting,
            p50_ms=timed.p50_ms,
            high_ms=timed.high_ms,
            z=timed.z,
            power_w=other.power_w if self.power_w is None else self.power_w,
        )


@dataclass
class TokenSums:
    """Sums over requests of prompt tokens p, answer tokens a and service time s (µs), for least squares."""

    sums: Counter[str] = field(default_factory=Counter)

    def add(self, table: pl.DataFrame) -> None:
        """Add rows with ``prompt``, ``answer`` and ``us``: exact, in 128 bits."""
        p, a, s = (pl.col(name).cast(pl.Int128) for name in ("prompt", "answer", "us"))
        products = {"p": p, "a": a, "s": s, "pp": p * p, "pa": p * a, "aa": a * a, "ps": p * s, "as": a * s}
        row = table.select(n=pl.len().cast(pl.Int128), **{key: term.sum() for key, term in products.items()})
        for key, value in row.row(0, named=True).items():
            self.sums[key] += int(value)


class Aggregates:
    """Counts, quantiles and sums of requests.

    Attributes
    ----------
    counts
        Requests that were answered, by window and cell; a window by its index since 1970.
    rows
        Rows of tables and series, by time (µs), cell and a text that tells series of one cell apart.
    steps
        Rows by the distance of neighbouring ones, µs, whether they hold a value or not.
    service, prompts, answers, tokens
        By workload: quantiles of service time (ms) and of tokens, and sums for least squares.
    buckets, quantiles
        Requests (millionths) up to the upper end of each bucket (ms), by workload; measured quantiles (ms),
        by workload and probability.
    failed
        Requests that were not answered, by how they ended.
    left_out
        Lines and rows that were not counted, by reason.
    undated
        Whether times are since a zero of the files' own.
    zone_taken
        Whether times without an offset were taken as UTC, as no zone is stated.
    layout
        How one file tells its requests apart, such as the columns of a table.
    """

    def __init__(self, settings: ImportSettings) -> None:
        self.settings = settings
        self.window_us = settings.window_us or US_PER_HOUR
        self.counts: Counter[tuple[int, CellKey]] = Counter()
        self.rows: dict[tuple[int, CellKey, str], AggregateRow] = {}
        self.service: defaultdict[str, Sketch] = defaultdict(Sketch)
        self.prompts: defaultdict[str, Sketch] = defaultdict(Sketch)
        self.answers: defaultdict[str, Sketch] = defaultdict(Sketch)
        self.tokens: defaultdict[str, TokenSums] = defaultdict(TokenSums)
        self.buckets: defaultdict[str, Counter[float]] = defaultdict(Counter)
        self.quantiles: defaultdict[tuple[str, float], Sketch] = defaultdict(Sketch)
        self.failed: Counter[str] = Counter()
        self.left_out: dict[str, LeftOut] = {}
        self.steps: Counter[int] = Counter()
        self.without_service = 0
        self.undated = False
        self.zone_taken = False
        self.layout = ""
        self.read = 0
        self.low_us: int | None = None
        self.high_us: int | None = None
        self.names: defaultdict[str, set[str]] = defaultdict(set)

    def add_requests(self, file_name: str, table: pl.DataFrame, lines: Integers) -> None:
        """Count requests.

        `table`: a row per request: ``time_us``, null where it cannot be read, or no such column; and as far
        as known ``region``, ``origin``, ``workload`` (text), ``status`` (Int64; 0: no answer),
        ``service_ms``, ``prompt``, ``answer`` (tokens).
        `lines`: line of each row, shape (n,).
        Raises InputError if there are too many names of one kind.
        """
        self.read += len(table)
        table = table.with_columns(line=pl.Series(lines))
        dated = "time_us" in table.columns
        if dated:
            table = self._keep(file_name, table, pl.col("time_us").is_not_null(), "the time cannot be read")
            table = self._within(file_name, table)
        for kind in ("region", "origin", "workload"):
            table = self._named(file_name, table, kind)
        table = self._answered(table)
        if table.is_empty():
            return
        self._count_values(table)
        if not dated:
            return
        low, high = table["time_us"].min(), table["time_us"].max()
        self.span(int(low), int(high))  # type: ignore[arg-type]  # polars types them as any literal
        window = (pl.col("time_us") // self.window_us).alias("window")
        kinds = [kind for kind in ("origin", "region", "workload") if kind in table.columns]
        for group in table.group_by(window, *kinds).len().iter_rows(named=True):
            cell = CellKey(*(group.get(kind, "") for kind in CellKey._fields))
            self.counts[group["window"], cell] += group["len"]

    @property
    def or_zone(self) -> str:
        """What else helps where times lack or come twice: the zone of local times, if none is stated."""
        return "; or, if times are local, state their zone: --time-zone" if self.zone_taken else ""

    @property
    def has_requests(self) -> bool:
        """Whether it counts requests in time."""
        return bool(self.counts) or any(
            row.requests is not None and row.is_counted for row in self.rows.values()
        )

    def drop_requests(self) -> None:
        """Keep service times, tokens and power alone, of a file whose requests another one counts."""
        self.counts.clear()
        self.failed.clear()
        self.steps.clear()
        self.low_us = self.high_us = None
        self.rows = {key: replace(row, is_counted=False) for key, row in self.rows.items()}

    def merge(self, other: Aggregates, file_name: str) -> None:
        """Add the aggregates of a further file.

        Raises InputError if there are too many names or rows; RepeatedRowError if both hold a figure of the
        same time and cell.
        """
        self.counts.update(other.counts)
        self.failed.update(other.failed)
        self.steps.update(other.steps)
        self._merge_measures(other)
        for key, row in other.rows.items():
            self._merge_row(file_name, key, row)
        for kind, names in other.names.items():
            self._note_names(kind, names, file_name)
        for reason, left in other.left_out.items():
            noted = self.left_out.setdefault(reason, LeftOut())
            noted.count += left.count
            noted.lines += left.lines[: _MAX_LISTED - len(noted.lines)]
            noted.example = noted.example or left.example
        self.without_service += other.without_service
        self.undated |= other.undated
        self.zone_taken |= other.zone_taken
        self.read += other.read
        if other.low_us is not None and other.high_us is not None:
            self.span(other.low_us, other.high_us)

    def _merge_measures(self, other: Aggregates) -> None:
        for sketches, more_sketches in (
            (self.service, other.service),
            (self.prompts, other.prompts),
            (self.answers, other.answers),
        ):
            for workload, sketch in more_sketches.items():
                sketches[workload].merge(sketch)
        for quantile, sketch in other.quantiles.items():
            self.quantiles[quantile].merge(sketch)
        for workload, sums in other.tokens.items():
            self.tokens[workload].sums.update(sums.sums)
        for workload, below in other.buckets.items():
            self.buckets[workload].update(below)

    def _merge_row(self, file_name: str, key: tuple[int, CellKey, str], row: AggregateRow) -> None:
        if key in self.rows:
            joined = self.rows[key].joined(row)
            if joined is None:
                raise RepeatedRowError(key[0], key[1])
            row = joined
        elif len(self.rows) >= MAX_ROWS:
            raise refused(
                file_name, f"there are more than {MAX_ROWS:,} rows", "import a part: --from, --until"
            )
        self.rows[key] = row

    def span(self, low_us: int, high_us: int) -> None:
        """Note times between which there are requests."""
        self.low_us = low_us if self.low_us is None else min(self.low_us, low_us)
        self.high_us = high_us if self.high_us is None else max(self.high_us, high_us)

    @property
    def ends_us(self) -> tuple[int | None, int | None]:
        """Times of the first and the last request, or row; None without any."""
        times = [begin for (begin, _, _), row in self.rows.items() if row.requests and row.is_counted]
        known = [*times, *(us for us in (self.low_us, self.high_us) if us is not None)]
        return (min(known), max(known)) if known else (None, None)

    def leave_out(
        self, file_name: str, reason: str, lines: Iterable[int], count: int, example: str = ""
    ) -> None:
        """Note lines or rows that are not counted, and the reason."""
        if not count:
            return
        noted = self.left_out.setdefault(reason, LeftOut())
        noted.count += count
        if len(noted.lines) < _MAX_LISTED:
            noted.lines += [f"{file_name}: line {line}" for line in lines][: _MAX_LISTED - len(noted.lines)]
        noted.example = noted.example or shortened(example, 200)

    def add_row(self, file_name: str, place: str, key: tuple[int, CellKey, str], row: AggregateRow) -> None:
        """Keep a row of a table, or a step of a series, unless it is outside of `--from` and `--until`.

        Raises InputError if the same time and cell is there already, or there are too many rows.
        """
        since, until = self.settings.since_us, self.settings.until_us
        if (since is not None and key[0] < since) or (until is not None and key[0] >= until):
            self.leave_out(
                file_name, "before --from" if since and key[0] < since else "at or after --until", [], 1
            )
            return
        if key in self.rows:
            named = ", ".join(filter(None, key[1])) or "the same"
            remedy = "leave one out, or name the column that tells them apart: --field workload=COLUMN"
            raise refused(file_name, f"{place}: {named} has this time twice", remedy + self.or_zone)
        if len(self.rows) >= MAX_ROWS:
            raise refused(
                file_name, f"there are more than {MAX_ROWS:,} rows", "import a part: --from, --until"
            )
        self.rows[key] = row

    def workload_name(self, text: str) -> str:
        """Return the name of a workload: of requests of which no file names one, the stated one for all."""
        return text or next((name for pattern, name in self.settings.workloads if pattern == "*"), ALL)

    def names_of(self, kind: str, raw: Iterable[str | None], file_name: str) -> Mapping[str, str | None]:
        """Return the names that texts of a file mean; None where they mean none.

        Raises InputError if there are too many different names.
        """
        meaning: Callable[[str], str | None] = (
            self.settings.workload_of if kind == "workload" else lambda text: text
        )
        name_by_text: dict[str, str | None] = {}
        for text in raw:
            if text is None:
                continue
            name = meaning(text)
            name_by_text[text] = name if name is not None and _is_name(name) else None
        self._note_names(kind, (name for name in name_by_text.values() if name is not None), file_name)
        return name_by_text

    def _note_names(self, kind: str, names: Iterable[str], file_name: str) -> None:
        known_names = self.names[kind]
        known_names.update(names)
        if len(known_names) > MAX_NAMES:
            examples = ", ".join(shortened(name, 40) for name in sorted(known_names)[:5])
            remedy = {
                "workload": "say which paths are which workload: --workload '/v1/chat/*=chat'",
                "region": "name the field of the region: --field region=NAME",
                "origin": "leave the origin out, or name another field: --field origin=NAME",
            }[kind]
            raise refused(file_name, f"there are more than {MAX_NAMES} {kind}s, such as {examples}", remedy)

    def _keep(self, file_name: str, table: pl.DataFrame, good: pl.Expr, reason: str) -> pl.DataFrame:
        mask = table.select(good).to_series()
        if mask.all():
            return table
        left = table.filter(~mask)["line"]
        self.leave_out(file_name, reason, left.head(_MAX_LISTED).to_list(), len(left))
        return table.filter(mask)

    def _within(self, file_name: str, table: pl.DataFrame) -> pl.DataFrame:
        since, until = self.settings.since_us, self.settings.until_us
        if since is not None:
            table = self._keep(file_name, table, pl.col("time_us") >= since, "before --from")
        if until is not None:
            table = self._keep(file_name, table, pl.col("time_us") < until, "at or after --until")
        return table

    def _named(self, file_name: str, table: pl.DataFrame, kind: str) -> pl.DataFrame:
        if kind not in table.columns:
            return table
        texts = table[kind]
        meaning = self.names_of(kind, texts.unique().to_list(), file_name)
        if any(text != name for text, name in meaning.items()):
            names = table[kind].replace_strict(
                list(meaning), list(meaning.values()), default=None, return_dtype=pl.String
            )
            table = table.with_columns(names.alias(kind))
        patterns = kind == "workload" and self.settings.workloads
        reason = "no --workload pattern matches" if patterns else f"no {kind} is stated"
        named = pl.col(kind).is_not_null()
        if "status" in table.columns:  # no server answered: it may have neither path nor region
            nameless = table[kind] if kind != "workload" else texts
            named |= ~_is_answered(pl.col("status")) & (nameless.is_null() | (nameless == "-"))
        return self._keep(file_name, table, named, reason)

    def _answered(self, table: pl.DataFrame) -> pl.DataFrame:
        """Return the requests that were answered; count the others by how they ended."""
        if "status" in table.columns:
            status = table["status"].fill_null(0)
            good = table.select(_is_answered(pl.col("status"))).to_series()
            if not good.all():
                failed = status.filter(~good)
                for ending, low in (("4xx", 400), ("5xx", 500)):
                    self._fail(ending, int(failed.is_between(low, low + 99).sum()))
                self._fail("without an answer", int((~failed.is_between(400, 599)).sum()))
                table = table.filter(good)
        if "answer" in table.columns:
            empty = table["answer"].fill_null(1) == 0
            self._fail("without answer tokens", int(empty.sum()))
            table = table.filter(~empty)
        return table

    def _fail(self, ending: str, count: int) -> None:
        if count:
            self.failed[ending] += count

    def _count_values(self, table: pl.DataFrame) -> None:
        if "workload" not in table.columns:
            table = table.with_columns(workload=pl.lit(""))
        for column, sketches in (
            ("service_ms", self.service),
            ("prompt", self.prompts),
            ("answer", self.answers),
        ):
            if column not in table.columns:
                continue
            known = table.select("workload", value=pl.col(column).cast(pl.Float64)).filter(
                pl.col("value").is_between(0, MAX_TIME_MS)
            )
            if column == "service_ms":
                self.without_service += len(table) - len(known)
            names = known["workload"].unique().to_list()
            for workload in names:
                part = known.filter(pl.col("workload") == workload) if len(names) > 1 else known
                sketches[workload].add(part["value"].to_numpy())
        if {"service_ms", "prompt", "answer"} <= set(table.columns):
            us = (pl.col("service_ms") * 1000).round().cast(pl.Int64)
            known = table.select("workload", "prompt", "answer", us=us).drop_nulls()
            for (workload,), part in known.partition_by("workload", as_dict=True).items():
                self.tokens[str(workload)].add(part)


def lines_from(first_line: int, count: int) -> Integers:
    """Return the numbers of so many lines."""
    return np.arange(first_line, first_line + count)


def _is_answered(status: pl.Expr) -> pl.Expr:
    """Whether HTTP statuses are those of answered requests."""
    return status.fill_null(0).is_between(100, 399)


def _is_name(text: str) -> bool:
    return 0 < len(text) <= MAX_NAME and text.isprintable() and text == text.strip() and text != "-"
