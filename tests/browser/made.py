"""Runs whose reports are opened, and the scenarios behind them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from carbonroute.cli import main
from helpers import small

ROOT = Path(__file__).parents[2]

#: Names that would be more than text on a page that does not escape them.
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</svg><script>alert(2)</script>",
    "{{ 7 * 7 }}</title><b>",
)


def report(folder: Path, scenario: str | Path, *options: str) -> Path:
    """Run a scenario, and return the folder that holds its report."""
    arguments = ["simulate", str(scenario), "--report", "--no-figures", "--quiet", *options]
    assert main([*arguments, "--output", str(folder / "run")]) == 0
    return folder / "run"


def published(folder: Path) -> Path:
    """Return the published study's run."""
    return report(folder, "published")


def queued(folder: Path) -> Path:
    """Return a run whose requests wait for servers."""
    scenario = ROOT / "examples" / "capacity-published.toml"
    return report(folder, scenario, "--sim-hours", "2", "--reqs-per-hour", "5000")


def crowded(folder: Path) -> Path:
    """Return a run of 12 regions under 15 policies, with long names and hostile ones."""
    script, image, closing, template = (f"'{name}'" for name in HOSTILE)
    regions = [*(f"'{name}'" for name in HOSTILE), *(f"'A region with a long name {i:02}'" for i in range(8))]
    labels = [
        *(f"'Policy {name}'" for name in HOSTILE),
        *(f"'Hybrid {i} with averyverylongname'" for i in range(10)),
    ]
    rtt_ms = ", ".join(f"{name} = {5 + 9 * place}" for place, name in enumerate(regions))
    start, end = (small.SCENARIO.index(part) for part in ("[[regions]]", "[[workloads]]"))
    changes = [
        (small.SCENARIO[small.SCENARIO.index('[[policies]]\nuse = "hybrid"') :], policies_of(labels)),
        (small.SCENARIO[start:end], regions_of(regions)),
        ('name = "small"', f"name = {script}\ndescription = {image}"),
        ("West = { A = 5, B = 65 }", f"{closing} = {{ {rtt_ms} }}"),
        ("East = { A = 80, B = 10 }", f"{template} = {{ {rtt_ms} }}"),
        ('name = "West"', f"name = {closing}"),
        ('name = "East"', f"name = {template}"),
        ('name = "Short answers"\nmodel = "tiny"', f"name = {closing}\nmodel = {template}"),
        ('name = "Long answers"', f"name = {image}"),
    ]
    return report(folder, small.write(folder, *changes))


def regions_of(names: list[str]) -> str:
    """Return the entries of regions, each dirtier than the one before."""
    return "".join(
        f"[[regions]]\nname = {name}\ncarbon_g_per_kwh = {40 * place + 30}\n"
        for place, name in enumerate(names)
    )


def policies_of(labels: list[str]) -> str:
    """Return the entries of policies, the first of them clairvoyant."""
    first, *others = labels
    actual = 'information = { service_time = "actual" }'
    hybrids = (
        f'[[policies]]\nuse = "hybrid"\nalpha = {place / 20}\nlabel = {label}\n'
        for place, label in enumerate(others, start=1)
    )
    return f'[[policies]]\nuse = "constrained-hybrid"\n{actual}\nlabel = {first}\n{"".join(hybrids)}'


def measured(folder: Path) -> Path:
    """Return a run of stated energies and a carbon file, with an interval beside every figure."""
    energy = 'energy_j = 5000\nenergy_source = "a meter"\n'
    changes = ((f"slo_ms = {slo}", f"{energy}slo_ms = {slo}") for slo in (100, 300))
    scenario = small.write_with_carbon(folder, small.WIDE_CSV, small.WIDE, *changes)
    return report(folder, scenario, "--replications", "3")


def llm(folder: Path) -> Path:
    """Return a run of regions that serve language models."""
    return report(folder, "llm-three-regions", "--sim-hours", "2", "--reqs-per-hour", "1500")


RUNS: dict[str, Callable[[Path], Path]] = {
    "published": published,
    "queued": queued,
    "crowded": crowded,
    "measured": measured,
    "llm": llm,
}
