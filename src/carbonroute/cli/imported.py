"""The printed report of an import: what was read, left out and assumed, and what no file tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from carbonroute.cli.terminal import empty_table

if TYPE_CHECKING:
    from rich.console import Console


def print_import(console: Console, report: dict[str, Any]) -> None:
    """Print the report of an import, as `Import.as_json` gives it."""
    for file, name in report["files"].items():
        console.print(f"{file}: {name}", soft_wrap=True)
    table = empty_table(headings=False)
    table.add_column()
    table.add_column(justify="right")
    lines = {
        "rows read": report["rows"],
        "requests answered": report["requests"],
        **{f"failed: {ending}": count for ending, count in report["failed"].items()},
        **{f"left out: {reason}": one["count"] for reason, one in report["left_out"].items()},
        "first request": report["first"],
        "last request": report["last"],
        "horizon, hours": report["hours"],
        f"windows of {report['window']}": report["windows"],
        "regions": ", ".join(report["regions"]),
    }
    for name, value in lines.items():
        if value is not None:
            table.add_row(name, f"{value:,.0f}" if isinstance(value, int | float) else value)
    console.print(table)
    for reason, one in report["left_out"].items():
        where = f" (first: {', '.join(one['lines'])})" if one["lines"] else ""
        example = f", such as {one['example']!r}" if one["example"] else ""
        console.print(f"– Left out, {reason}: {one['count']:,}{where}{example}.", soft_wrap=True)
    for note in [*report["read_as"], *report["gaps"]]:
        console.print(f"– {note}.", soft_wrap=True)
    for one in report["workloads"]:
        energy = f"; {one['energy_j']:.6g} J per request, idle power included" if one["energy_j"] else ""
        console.print(
            f"– {one['id']}: {one['share']:.2%} of requests; {one['service']}{energy}.", soft_wrap=True
        )
    console.print("\nNo file tells:", soft_wrap=True)
    for sentence in report["not_told"]:
        console.print(f"– {sentence}", soft_wrap=True)
