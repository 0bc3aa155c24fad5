"""Tables of numbers of requests: a row per span of time, region and model; or a column per region."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from statistics import NormalDist
from typing import Any

import polars as pl

from carbonroute.carbon.columns import is_called_an_end
from carbonroute.errors import Fault, InputError
from carbonroute.files.csv_layout import FIRST_LINE
from carbonroute.files.numbers import column_numbers
from carbonroute.files.preview import Preview
from carbonroute.files.tables import column_text, found_text
from carbonroute.files.text import Digests, refused
from carbonroute.importing.aggregates import MAX_ROWS, MILLIONTHS, AggregateRow, Aggregates, CellKey
from carbonroute.importing.format import File, Format
from carbonroute.importing.roles import NAMES, chosen, service_unit
from carbonroute.importing.settings import MS_IN, ImportSettings, Role
from carbonroute.importing.stamps import TimeColumn, is_common_log
from carbonroute.importing.table_checks import as_steps, require_ordered_quantiles, sums_of_others
from carbonroute.units import US_PER_S

#: Quantiles of the service time that a column may hold: the highest known one above the median is taken.
_HIGH: tuple[tuple[Role, float], ...] = (("p95", 0.95), ("p99", 0.99), ("p90", 0.9))
_ROLES: tuple[Role, ...] = (
    "region",
    "origin",
    "workload",
    "path",
    "status",
    "p50",
    "p95",
    "p99",
    "p90",
    "power",
    "requests",
)
_SECONDS = {"requests/s": 1.0, "requests/min": 60.0, "requests/h": 3600.0}
_PER_SECOND = re.compile(r"rps|qps|.*(per[_ ]?s(ec|econd)?|/s)\)?", re.I)
_OTHER = re.compile(
    r"carbon|co2|intensity|g[/_ ]?(per[_ ]?)?kwh|price|temperature|rtt|throughput|running|waiting|cache"
    r"|percent|_pct",
    re.I,
)
_MAX_LISTED = 5


def time_column(preview: Preview, settings: ImportSettings) -> str | None:
    """Return the column of times: the stated one, the first with times, or the first number so called."""
    stated = settings.fields.get("time")
    if stated is not None:
        return stated
    common = [name for name in preview.words if is_common_log(preview.first(name))]
    numeric = [
        name for name in preview.numbers if re.search(r"time|stamp|date|epoch|msec|(^|_)ts$|^t$", name, re.I)
    ]
    return next(iter([*preview.times, *common, *numeric]), None)


def required_time_column(preview: Preview, settings: ImportSettings, file_name: str) -> str:
    """Return the column of times.

    Raises InputError if there is none, or times of day stand in another column than their dates.
    """
    time = time_column(preview, settings)
    if time is None:
        problem = f"has no column of times: {preview.listed}"
        raise refused(file_name, problem, "state it: --field time=COLUMN")
    if (parts := preview.date_and_time) is not None and time in parts:
        problem = f"dates stand in column {parts[0]!r}, and times of day in {parts[1]!r}"
        raise refused(
            file_name, problem, "one column of times is expected, such as 2026-11-01T05:00: join the two"
        )
    return time


def names_requests(preview: Preview) -> bool:
    """Whether a column of numbers is called as numbers of requests are."""
    return any(NAMES["requests"].fullmatch(name) for name in preview.numbers)


class RequestTable(Format):
    """A table of requests per span of time, with quantiles of service time and power where it has them."""

    name = "table"
    has_header = True
    features = "a table with a column of times, and one of requests or a column of numbers per region"

    def recognises(self, file: File, settings: ImportSettings) -> bool:
        """Whether there are times, and numbers of requests or nothing but numbers."""
        preview = file.preview if file.content != "json" else None
        if preview is None or preview.content is not None or time_column(preview, settings) is None:
            return False
        if "requests" in settings.fields:
            return True
        time = time_column(preview, settings)
        if preview.is_log:
            return False
        numbers = [name for name in preview.numbers if name != time]
        aggregated = [NAMES[role] for role in ("requests", "p50", "p90", "p95", "p99")]
        if any(pattern.fullmatch(name) for pattern in aggregated for name in numbers):
            return True
        of_requests = [
            NAMES[role] for role in ("service", "prompt_tokens", "answer_tokens", "status", "path")
        ]
        return bool(numbers) and not any(
            pattern.fullmatch(name) or _OTHER.search(name) for name in numbers for pattern in of_requests
        )

    def read(self, file: File, aggregates: Aggregates, digests: Digests) -> list[str]:
        """Count the requests of all rows."""
        settings, preview = aggregates.settings, file.table()
        time = required_time_column(preview, settings, file.name)
        names = [name for name in preview.names if name != time]
        roles = chosen(names, _ROLES, settings, file.name)
        is_long = any(role in roles for role in ("requests", "p50", "p90", "p95", "p99", "power"))
        if "path" in roles:
            roles.setdefault("workload", roles["path"])
            del roles["path"]
        wide, sums = ([], []) if is_long else _regions(preview, time)
        value_columns = list(dict.fromkeys(roles.values())) if is_long else wide
        if not value_columns:
            problem = f"has no column of requests: {preview.listed}"
            raise refused(file.name, problem, "state it: --field requests=COLUMN")
        clock = TimeColumn(settings)
        table = self._read(
            file, [time, *value_columns], self._texts(roles) if is_long else set(), clock, digests
        )
        aggregates.read += len(table)
        aggregates.undated |= clock.dated is False
        aggregates.zone_taken |= clock.zone_taken
        kinds = [role for role in ("region", "origin", "workload", "status") if role in roles]
        aggregates.layout = f"a row per {', '.join(kinds) or 'time'}" if is_long else "a column per region"
        if is_long:
            require_ordered_quantiles(table, roles, file.name)
        texts = [roles[kind] for kind in kinds]
        counts = [roles["requests"]] if "requests" in roles else wide
        table, totals = as_steps(table, texts, counts, settings, file.name)
        is_end = settings.stamp is None and is_called_an_end(time)
        table, factor, unit = self._in_steps(
            table, roles, aggregates, file.name, counts=bool(counts), is_end=is_end or settings.stamp == "end"
        )
        if is_end:
            unit.append(
                f"times in {time!r} are called the ends of their windows; --stamp start: they begin them"
            )
        if is_long:
            sums += self._add_long(table, roles, factor, aggregates, file.name)
            unused = [name for name in preview.numbers if name not in {time, *roles.values()}]
            unit += [f"not used: {', '.join(unused[:8])}{' …' if len(unused) > 8 else ''}"] if unused else []
            columns = ", ".join(f"{role} from {name!r}" for role, name in roles.items())
        else:
            self._add_wide(table, wide, factor, aggregates, file.name)
            columns = f"a column per region: {', '.join(wide[:8])}{' …' if len(wide) > 8 else ''}"
        return [f"table: {columns}", *sums, *totals, *clock.notes, *unit]

    def _in_steps(
        self,
        table: pl.DataFrame,
        roles: Mapping[Role, str],
        aggregates: Aggregates,
        file_name: str,
        *,
        counts: bool,
        is_end: bool,
    ) -> tuple[pl.DataFrame, float, list[str]]:
        """Return a table timed by the start of each row, the factor of its numbers to requests, and notes."""
        settings = aggregates.settings
        if not counts and not is_end:
            return table, 1.0, ["table: it has no column of requests: service times and power alone are read"]
        step = _step_us(table["time_us"], settings, file_name)
        if is_end:
            table = table.with_columns(pl.col("time_us") - step)
        if counts:
            aggregates.steps[step] += len(table)
        factor, unit = self._factor(settings, roles.get("requests"), step)
        return table, factor, [f"numbers are requests {unit}"]

    def _read(
        self, file: File, columns: Sequence[str], texts: Collection[str], clock: TimeColumn, digests: Digests
    ) -> pl.DataFrame:
        """Return the columns, the first one as times, the others as numbers or texts."""
        time, *others = columns
        parts, count = [], 0
        for first_line, batch in file.batches(columns, digests):
            count += len(batch)
            if count > MAX_ROWS:
                raise refused(file.name, f"there are more than {MAX_ROWS:,} rows", "import a part of it")
            names = [column_text(batch[name], file.name) for name in sorted(texts)]
            joined = pl.concat_str(names, separator="\n", ignore_nulls=True) if names else None
            rows = None if joined is None else pl.select(joined).to_series()
            times = clock.times_us(batch[time], file.name, first_line, strict=True, series=rows)
            self._require_times(times, batch[time], first_line, file.name)
            values = [
                column_text(batch[name], file.name)
                if name in texts
                else self._numbers(batch[name], first_line, file.name)
                for name in others
            ]
            parts.append(pl.DataFrame([times.alias("time_us"), *values]))
        return pl.concat(parts)

    def _add_wide(
        self, table: pl.DataFrame, names: Sequence[str], factor: float, aggregates: Aggregates, file_name: str
    ) -> None:
        """Count a table with a column per region."""
        for name in names:
            region = aggregates.names_of("region", [name], file_name)[name]
            if region is None:
                remedy = "1 to 100 printable characters are expected: rename the column"
                raise refused(file_name, f"column {name!r} is no name of a region", remedy)
            cell = CellKey("", region, "")
            rows = zip(table["time_us"], table[name], strict=True)
            first_line = FIRST_LINE + aggregates.settings.skip_rows
            for line, (begin, value) in enumerate(rows, start=first_line):
                self._keep(aggregates, file_name, line, (begin, cell, ""), {"requests": value}, factor)

    def _add_long(
        self,
        table: pl.DataFrame,
        roles: Mapping[Role, str],
        factor: float,
        aggregates: Aggregates,
        file_name: str,
    ) -> list[str]:
        """Count a table with a row per time, region and workload; return notes on rows that are sums."""
        scales = self._scales(roles, aggregates.settings, file_name)
        kinds: tuple[Role, ...] = ("region", "origin", "workload")
        meanings = {
            kind: aggregates.names_of(kind, table[roles[kind]].unique().to_list(), file_name)
            for kind in kinds
            if kind in roles
        }
        first_line = FIRST_LINE + aggregates.settings.skip_rows
        named = {kind: roles[kind] for kind in meanings}
        sums = sums_of_others(table, named, roles["requests"]) if "requests" in roles else {}
        for line, row in enumerate(table.iter_rows(named=True), start=first_line):
            if any(row[roles[kind]] == name for kind, name in sums.items()):
                continue
            names: dict[str, str | None] = {
                kind: meaning.get(row[roles[kind]]) for kind, meaning in meanings.items()
            }
            if (missing := next((kind for kind, name in names.items() if name is None), None)) is not None:
                patterns = missing == "workload" and aggregates.settings.workloads
                reason = "no --workload pattern matches" if patterns else f"no {missing} is stated"
                aggregates.leave_out(file_name, reason, [line], 1)
                continue
            cell = CellKey(*(names.get(kind) or "" for kind in CellKey._fields))
            values = {role: row[name] for role, name in roles.items()}
            for role, by in scales.items():
                if values[role] is not None:
                    values[role] *= by
            # Rows of one workload that the file names apart are added up; the same names twice are refused.
            apart = "\n".join(str(row[roles[kind]]) for kind in meanings)
            self._keep(aggregates, file_name, line, (row["time_us"], cell, apart), values, factor)
        return [
            f"table: {kind} {name!r} is the sum of the others, and is none" for kind, name in sums.items()
        ]

    @staticmethod
    def _texts(roles: Mapping[Role, str]) -> set[str]:
        kinds: tuple[Role, ...] = ("region", "origin", "workload", "status")
        return {roles[role] for role in kinds if role in roles}

    @staticmethod
    def _require_times(times: pl.Series, column: pl.Series, first_line: int, file_name: str) -> None:
        if times.null_count():
            row = int(times.is_null().arg_true()[0])
            problem = found_text(column_text(column[row : row + 1], file_name)[0])
            where = f"line {first_line + row}, {column.name}"
            raise InputError(
                file_name, [Fault(where, problem, "a time is expected, in the unit of the others")]
            )

    @staticmethod
    def _numbers(column: pl.Series, first_line: int, file_name: str) -> pl.Series:
        """Return a column's numbers from 0 on, null where one is empty or not finite; refuse others."""
        if column.dtype.is_numeric():
            values, empty = column.cast(pl.Float64), column.is_null()
        else:
            text = column_text(column, file_name)
            values, empty = column_numbers(text), text.str.strip_chars().fill_null("") == ""
        bad = (values.is_null() & ~empty) | (values.is_not_nan() & (values < 0)).fill_null(value=False)
        faults = [
            Fault(
                f"line {first_line + row}, {column.name}",
                found_text(column_text(column[row : row + 1], file_name)[0]),
                "a number from 0 on is expected, without marks of thousands; leave an unknown one empty",
            )
            for row in bad.arg_true().head(_MAX_LISTED)
        ]
        if faults:
            raise InputError(file_name, faults)
        return values.set(~values.is_finite(), None)

    @staticmethod
    def _factor(settings: ImportSettings, name: str | None, step: int) -> tuple[float, str]:
        """Return the factor from a number to the requests of its step, and its unit in words."""
        is_rate = settings.values == "rate" or (name is not None and _PER_SECOND.fullmatch(name) is not None)
        unit = settings.unit or ("requests/s" if is_rate else "requests")
        if unit == "requests":
            return 1.0, f"per row, of {step / US_PER_S:g} s"
        return step / US_PER_S / _SECONDS[
            unit
        ], f"per {unit.partition('/')[2]}, of rows {step / US_PER_S:g} s apart"

    @staticmethod
    def _scales(roles: Mapping[Role, str], settings: ImportSettings, file_name: str) -> dict[Role, float]:
        scales: dict[Role, float] = {
            role: MS_IN[service_unit(roles[role], settings, file_name)]
            for role in ("p50", "p90", "p95", "p99")
            if role in roles
        }
        if "power" in roles and re.search(r"kw|kilowatt", roles["power"], re.I):
            scales["power"] = 1000.0
        return scales

    @staticmethod
    def _keep(
        aggregates: Aggregates,
        file_name: str,
        line: int,
        key: tuple[int, CellKey, str],
        values: Mapping[Any, Any],
        factor: float,
    ) -> None:
        """Keep the requests, quantiles and power of a row."""
        requests = values.get("requests")
        status = str(values.get("status") or "")
        if requests is None and "requests" in values:
            aggregates.leave_out(file_name, "rows without a number of requests", [line], 1)
            return
        if requests is not None and re.match(r"[45]([0-9]{2}|xx)", status):
            aggregates.failed[f"{status[0]}xx"] += round(requests * factor)
            return
        high = next(((values[role], p) for role, p in _HIGH if values.get(role) is not None), None)
        row = AggregateRow(
            requests=None if requests is None else round(requests * factor * MILLIONTHS),
            p50_ms=values.get("p50"),
            high_ms=high[0] if high else None,
            z=NormalDist().inv_cdf(high[1]) if high else 0.0,
            power_w=values.get("power"),
        )
        aggregates.add_row(file_name, f"line {line}", (key[0], key[1], f"{key[2]}\n{status}"), row)


def _regions(preview: Preview, time: str) -> tuple[list[str], list[str]]:
    """Return the columns of numbers of a region each; and notes on one left out, the sum of the others."""
    from carbonroute.carbon.columns import numbers_of

    columns = [name for name in numbers_of(preview) if name != time]
    if len(columns) < 3:
        return columns, []
    numbers = preview.rows.select(
        column_numbers(column) if column.dtype == pl.String else column.cast(pl.Float64)
        for column in preview.rows.select(columns)
    ).drop_nulls()
    total = numbers.sum_horizontal()
    for name in columns:
        own = numbers[name]
        if len(numbers) and own.sum() > 0 and ((total - 2 * own).abs() <= 1e-6 * own).all():
            note = f"table: column {name!r} is the sum of the others, and is no region"
            return [column for column in columns if column != name], [note]
    return columns, []


def _step_us(times: pl.Series, settings: ImportSettings, file_name: str) -> int:
    """Return the most frequent distance of neighbouring times, µs; of one time alone, the stated window."""
    gaps = times.unique().sort().diff().drop_nulls()
    if gaps.is_empty() and settings.window_us is not None:
        return settings.window_us
    if gaps.is_empty():
        raise refused(file_name, "all rows have the same time", "state the span of a row: --window 1h")
    counts = gaps.value_counts().sort("count", gaps.name, descending=[True, False])
    return int(counts[gaps.name][0])
