"""Tables for trying figures out: of any size, in any extreme, or with the published study's results."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from carbonroute.metrics import Tables

ODD = (
    "a$b_c%<x>",
    "東京リージョン",
    "Straße_№{1}^2",
    r"\alpha $\frac",
    "Ελλάδα & Кола",
    "Δ#~tilde",
    "£$$_{x}",
)
#: Names of up to 90 characters; most fonts lack some of their glyphs.
SCRIPTS = (
    "東京" * 45,
    "서울",
    "🌍-global",
    "القاهرة-1",
    "תל אביב",
    "e\u0301\u0323" * 30,
    "हिन्दी क्षेत्र",
    "กรุงเทพมหานคร " * 6 + "อมร",
    "family 👨\u200d👩\u200d👧",
)


@dataclass(frozen=True)
class Size:
    """What the made tables shall look like."""

    regions: int = 5
    policies: int = 7
    workloads: int = 3
    origins: int = 4
    hours: int = 168
    dated: bool = False
    names: str = "short"  # "short" | "long" | "folded" | "longest" | "odd" | "any script"
    violations: str = "mixed"  # "mixed" | "none" | "all"
    reduction: str = "mixed"  # "mixed" | "negative" | "null" | "same"
    latency: str = "usual"  # "usual" | "huge" | "tails"
    saving: str = "usual"  # "usual" | "more" | "nothing" | "huge" | "tiny" | "first only"
    load: float = 1.0  # share of capacity, in the busiest hours: beyond 1 requests wait for long
    synthetic_geography: bool = False
    seed: int = 1


def _name(kind: str, index: int, style: str) -> str:
    if style == "long":
        return f"{kind} {'abcdefgh ijklmnop qrstuvwx'[: 21 - len(kind)]} {index:02d}"
    if style == "folded":  # as long as those of policies with parameters
        return f"Constrained {kind} (≤ {index} % violations per workload)"
    if style == "longest":
        return f"{'W' * (97 - len(str(index)))}-{index}"
    if style == "any script":
        return f"{SCRIPTS[index % len(SCRIPTS)]} {index}"
    if style == "odd":
        return f"{ODD[index % len(ODD)]} {index}"
    return f"{kind}-{index}"


def make(size: Size | None = None, **changes: Any) -> Tables:
    """Make tables of a size; keyword arguments are its fields."""
    size = size or Size(**changes)
    rng = np.random.default_rng(size.seed)
    names = {
        kind: [_name(kind, index, size.names) for index in range(1, count + 1)]
        for kind, count in [
            ("Region", size.regions),
            ("Policy", size.policies),
            ("Workload", size.workloads),
            ("Origin", size.origins),
        ]
    }
    clairvoyant = [index % 3 == 2 for index in range(size.policies)]
    if size.policies == 1:
        clairvoyant = [True]
    policies = _policies(size, rng, names["Policy"], clairvoyant)
    tables = Tables(
        policies=policies,
        routing=_routing(rng, names["Policy"], clairvoyant, names["Region"]),
        workloads=_workloads(size, rng, policies, names["Workload"]),
        latency_cdf=_cdf(rng, policies),
        carbon=_carbon(size, rng, names["Region"]),
        rtt=_rtt(rng, names["Origin"], names["Region"]),
        saving=_saving(size, names["Policy"], names["Workload"]),
        overview=pl.DataFrame(
            {
                "scenario": [names["Policy"][0]],
                "workloads": [", ".join(names["Workload"])],
                "regions": [", ".join(names["Region"])],
                "hours": [size.hours],
                "finding": [f"{names['Policy'][-1]} cuts carbon by 12.3 % at 1.00 % violations."],
                "notes": [["carbon.csv: 3 hours filled"]],
                "accounting": ["average, life-cycle, consumption"],
                "source": ["synthetic"],
                "traffic_source": ["synthetic"],
                "synthetic_geography": [size.synthetic_geography],
            }
        ),
    )
    more = queues(tables.latency_cdf, names["Region"], size.hours, size.load, size.seed)
    return replace(tables, **more)


def queues(
    latency: pl.DataFrame, regions: list[str], hours: int, load: float = 1.0, seed: int = 1
) -> dict[str, pl.DataFrame]:
    """Make the tables of queues for the policies of a latency table."""
    rng = np.random.default_rng(seed)
    policies = latency.select("policy", "clairvoyant").unique(maintain_order=True)
    cells = (policies.height, hours, len(regions))
    day = 1 + 0.5 * np.sin(2 * np.pi * np.arange(hours) / 24)[:, np.newaxis]
    offered = (
        load * rng.uniform(0.1, 0.9, (policies.height, 1, len(regions))) * day * rng.uniform(0.9, 1.1, cells)
    )
    rows = policies.select(pl.all().repeat_by(hours * len(regions)).explode())
    utilisation = rows.with_columns(
        hour=np.broadcast_to(np.arange(hours)[:, np.newaxis], cells).ravel(),
        region=pl.Series(regions * (hours * policies.height)),
        utilisation=np.minimum(offered, 1).ravel(),
        servers=10.0,
        waiting=np.maximum(offered - 1, 0).ravel(),
        offered=10 * offered.ravel(),
    )
    share = np.linspace(0.3, 1, 100)
    longest_ms = 10.0 ** rng.uniform(1, 5, policies.height)
    waits = [
        pl.DataFrame(
            {"policy": policy, "clairvoyant": seer, "share": share, "wait_ms": longest * (share - 0.3) ** 3}
        )
        for (policy, seer), longest in zip(policies.iter_rows(), longest_ms, strict=True)
    ]
    of_policy = policies.with_columns(
        flips_per_day=rng.uniform(0, 500, policies.height),
        hours_over_capacity=rng.uniform(0, hours, policies.height),
        avg_carbon_g_per_kwh=rng.uniform(20, 400, policies.height),
        extra_pct=pl.Series([None, *rng.uniform(-50, 50, policies.height - 1)], dtype=pl.Float64),
    )
    herd = utilisation.select(
        "policy",
        "clairvoyant",
        pl.col("hour").cast(pl.Float64),
        "region",
        share=pl.col("offered") / pl.col("offered").sum().over("policy", "hour"),
        utilisation="utilisation",
    ).join(of_policy, on=["policy", "clairvoyant"], maintain_order="left")
    return {
        "herd": herd,
        "utilisation": utilisation,
        "wait_cdf": pl.concat(waits),
        "latency_cdf_unlimited": latency.with_columns(pl.col("latency_ms") * 0.8),
    }


def _policies(
    size: Size, rng: np.random.Generator, names: list[str], clairvoyant: list[bool]
) -> pl.DataFrame:
    n = len(names)
    violations = {
        "mixed": np.round(rng.beta(0.3, 1.0, n) * 100, 2),
        "none": np.zeros(n),
        "all": np.full(n, 100.0),
    }[size.violations]
    carbon = rng.uniform(20, 300, n)
    base = carbon[0]
    if size.reduction == "negative":
        carbon = base * rng.uniform(1.0, 2.0, n)
        carbon[0] = base
    elif size.reduction == "same":
        carbon = np.full(n, base)
        violations = np.full(n, violations[0])
    elif size.reduction == "null":
        carbon[0] = base = 0.0
    reduction = [None] * n if base == 0 else list(100 * (base - carbon) / base)
    average = rng.uniform(20, 150, n)
    if size.reduction == "same":
        average = np.full(n, average[0])
    if size.latency == "huge":
        average = average * 10.0 ** rng.uniform(0, 7, n)
    p95 = average * (30.0 if size.latency == "tails" else 2.1)
    return pl.DataFrame(
        {
            "policy": names,
            "clairvoyant": clairvoyant,
            "requests": [33_600] * n,
            "avg_latency_ms": average,
            "p95_latency_ms": p95,
            "slo_violation_pct": violations,
            "avg_carbon_g_per_kwh": carbon,
            **_fresh(n),
            "carbon_reduction_pct": pl.Series(reduction, dtype=pl.Float64),
            "baseline": [names[0]] * n,
            "max_violation_pct": [5.0] * n,
            "viable": list(violations <= 5),
            "dominated_by": pl.Series(_dominated(names, carbon, violations, average), dtype=pl.String),
        }
    )


def _fresh(count: int) -> dict[str, pl.Series]:
    """Make the columns of policies that all decide on fresh data."""
    names = ("fresh_carbon_g_per_kwh", "fresh_total_kg", "extra_vs_fresh_pct")
    return {name: pl.Series([None] * count, dtype=pl.Float64) for name in names}


def _saving(size: Size, names: list[str], workloads: list[str]) -> pl.DataFrame:
    """Make the steps of a saving: two runs of the same size and kind differ by their seed."""
    kg = 0.0123 * (1 + size.seed / 7) * {"huge": 1e9, "tiny": 1e-6}.get(size.saving, 1.0)
    shares = {"more": (1, 1.4, 0.9, 1.1), "nothing": (0, 0, 0, 0), "first only": (1,)}.get(
        size.saving, (1, 0.55, 0.52 - size.seed / 100, 0.43)
    )
    steps = ("latency-first", "static-greenest", "hourly routing", "clairvoyant bound")[: len(shares)]
    policies = [names[index % len(names)] for index in range(len(shares))]
    return pl.DataFrame(
        {
            "step": steps,
            "policy": policies,
            "clairvoyant": [step == "clairvoyant bound" for step in steps],
            "total_kg": [kg * share for share in shares],
            "saved_pct": [None if size.saving == "nothing" else 100.0 * (1 - share) for share in shares],
            "slo_violation_pct": [0.0, 1.25, 100.0, None][: len(shares)],
            "worst_workload": [workloads[-1], workloads[-1], workloads[0], None][: len(shares)],
            "worst_violations_pct": [0.0, 8.5, 100.0, None][: len(shares)],
        },
        schema_overrides=dict.fromkeys(
            ("total_kg", "saved_pct", "slo_violation_pct", "worst_violations_pct"), pl.Float64
        ),
    )


def _dominated(names: list[str], *costs: Any) -> list[str | None]:
    rows = list(zip(*costs, strict=True))
    return [
        next(
            (
                name
                for name, other in zip(names, rows, strict=True)
                if all(a <= b for a, b in zip(other, row, strict=True)) and other != row
            ),
            None,
        )
        for row in rows
    ]


def _routing(
    rng: np.random.Generator, policies: list[str], clairvoyant: list[bool], regions: list[str]
) -> pl.DataFrame:
    share = rng.dirichlet(np.full(len(regions), 0.5), len(policies))
    return pl.DataFrame(
        {
            "policy": np.repeat(policies, len(regions)),
            "clairvoyant": np.repeat(clairvoyant, len(regions)),
            "region": regions * len(policies),
            "requests": np.round(share.ravel() * 33_600).astype(int),
            "share": share.ravel(),
        }
    )


def _workloads(
    size: Size, rng: np.random.Generator, policies: pl.DataFrame, names: list[str]
) -> pl.DataFrame:
    slo = [80.0, 82.0, 100.0, 100.0, 150.0, 400.0]
    rows = [
        {
            "policy": row["policy"],
            "clairvoyant": row["clairvoyant"],
            "workload": f"w{index}",
            "name": name,
            "requests": 1000,
            "avg_latency_ms": row["avg_latency_ms"],
            "p95_latency_ms": row["p95_latency_ms"],
            "slo_ms": slo[index % len(slo)],
            "slo_violation_pct": None
            if index == 5
            else min(
                row["slo_violation_pct"] * (rng.uniform(0.3, 1.6) if size.violations == "mixed" else 1), 100.0
            ),
        }
        for row in policies.iter_rows(named=True)
        for index, name in enumerate(names)
    ]
    return pl.DataFrame(rows, schema_overrides={"slo_violation_pct": pl.Float64})


def _cdf(rng: np.random.Generator, policies: pl.DataFrame) -> pl.DataFrame:
    share = np.linspace(0, 1, 201)
    frames = []
    for row in policies.iter_rows(named=True):
        spread = np.log(row["p95_latency_ms"] / row["avg_latency_ms"]) / 1.645
        normal = np.sort(rng.normal(size=share.size))
        frames.append(
            pl.DataFrame(
                {
                    "policy": row["policy"],
                    "clairvoyant": row["clairvoyant"],
                    "share": share,
                    "latency_ms": row["avg_latency_ms"] * np.exp(spread * normal),
                }
            )
        )
    return pl.concat(frames)


def _carbon(size: Size, rng: np.random.Generator, regions: list[str]) -> pl.DataFrame:
    hours = np.arange(size.hours)
    mean = rng.uniform(20, 450, len(regions))
    day = 1 + 0.2 * np.sin(2 * np.pi * ((hours % 24) - 6) / 24)
    season = 1 + 0.3 * np.cos(2 * np.pi * hours / 8760)
    noise = rng.uniform(0.9, 1.1, (size.hours, len(regions)))
    values = np.maximum(5, mean * (day * season)[:, None] * noise)
    start = datetime(2024, 1, 1, tzinfo=UTC)
    time = [start + timedelta(hours=int(h)) for h in hours] if size.dated else [None] * size.hours
    return pl.DataFrame(
        {
            "hour": np.repeat(hours, len(regions)),
            "time": pl.Series(time, dtype=pl.Datetime("us", "UTC")).gather(np.repeat(hours, len(regions))),
            "region": regions * size.hours,
            "carbon_g_per_kwh": values.ravel(),
        }
    )


def _rtt(rng: np.random.Generator, origins: list[str], regions: list[str]) -> pl.DataFrame:
    share = rng.dirichlet(np.ones(len(origins)))
    return pl.DataFrame(
        {
            "origin": np.repeat(origins, len(regions)),
            "origin_share": np.repeat(share, len(regions)),
            "region": regions * len(origins),
            "rtt_ms": rng.uniform(3, 250, len(origins) * len(regions)),
        }
    )


# The published study: its policies and workloads as it printed them, its model for the rest.
STUDY_REGIONS = ["US-East", "US-West", "EU-West", "EU-North", "Singapore"]
STUDY_CARBON = [323.0, 79.0, 276.0, 25.0, 367.0]
STUDY_ORIGINS = {"US-East": 0.40, "US-West": 0.20, "EU": 0.25, "Asia": 0.15}
STUDY_RTT = {
    "US-East": [5, 65, 85, 95, 230],
    "US-West": [65, 5, 145, 155, 170],
    "EU": [85, 145, 10, 25, 165],
    "Asia": [230, 170, 165, 175, 5],
}
STUDY_POLICIES = {
    "Latency-First": (37.5, 79.5, 0.00, 268.7, 0.0, [13419, 6739, 8435, 0, 5007]),
    "Carbon-First": (132.7, 225.9, 71.11, 24.9, 90.7, [0, 0, 0, 33600, 0]),
    "Hybrid (α=0.2)": (102.6, 201.1, 51.17, 35.7, 86.7, [0, 6739, 0, 26861, 0]),
    "Hybrid (α=0.3)": (102.6, 201.2, 51.02, 35.7, 86.7, [0, 6739, 0, 26861, 0]),
    "Hybrid (α=0.5)": (101.7, 201.1, 48.41, 37.1, 86.2, [0, 7782, 0, 25818, 0]),
    "Hybrid (α=0.7)": (62.8, 127.5, 1.33, 117.7, 56.2, [1412, 18746, 0, 8435, 5007]),
    "Constrained Hybrid": (65.9, 137.6, 1.01, 108.6, 59.6, [302, 18490, 0, 9801, 5007]),
}
STUDY_WORKLOADS = {
    "bert_base": (
        "BERT-base Text Classification",
        20156,
        100.0,
        [0.0, 74.87, 54.94, 54.94, 51.7, 0.02, 0.02],
    ),
    "bert_large": (
        "BERT-large Question Answering",
        10159,
        150.0,
        [0.0, 62.48, 42.36, 41.88, 40.23, 0.98, 1.38],
    ),
    "resnet50": ("ResNet-50 Image Embedding", 3285, 80.0, [0.0, 74.76, 55.28, 55.28, 53.55, 10.47, 5.88]),
}
STUDY_LATENCY = {
    "bert_base": [25.4, 120.7, 90.8, 90.8, 89.8, 50.6, 53.1],
    "bert_large": [67.4, 162.7, 131.9, 132.0, 131.0, 92.8, 98.4],
    "resnet50": [19.6, 113.6, 84.4, 84.4, 83.6, 45.3, 43.8],
}
STUDY_SERVICE = {"bert_base": (0.60, 18, 4), "bert_large": (0.30, 60, 12), "resnet50": (0.10, 12, 3)}


def study() -> Tables:
    """Give the published study's tables (latency curves and traces are made from its model)."""
    rng = np.random.default_rng(42)
    names = list(STUDY_POLICIES)
    columns = list(zip(*STUDY_POLICIES.values(), strict=True))
    average, p95, violations, carbon, reduction, _ = map(list, columns)
    n = len(names)
    policies = pl.DataFrame(
        {
            "policy": names,
            "clairvoyant": [name == "Constrained Hybrid" for name in names],
            "requests": [33_600] * n,
            "avg_latency_ms": average,
            "p95_latency_ms": p95,
            "slo_violation_pct": violations,
            "avg_carbon_g_per_kwh": carbon,
            **_fresh(n),
            "carbon_reduction_pct": reduction,
            "baseline": ["Latency-First"] * n,
            "max_violation_pct": [5.0] * n,
            "viable": [value <= 5 for value in violations],
            "dominated_by": pl.Series(_dominated(names, carbon, violations, average), dtype=pl.String),
        }
    )
    tables = Tables(
        policies=policies,
        routing=_study_routing(),
        workloads=_study_workloads(),
        latency_cdf=_study_cdf(rng),
        carbon=_study_carbon(rng),
        rtt=pl.DataFrame(
            [
                {
                    "origin": origin,
                    "origin_share": STUDY_ORIGINS[origin],
                    "region": region,
                    "rtt_ms": float(ms),
                }
                for origin, row in STUDY_RTT.items()
                for region, ms in zip(STUDY_REGIONS, row, strict=True)
            ]
        ),
        saving=_study_saving(),
        overview=pl.DataFrame(
            {
                "scenario": ["published"],
                "workloads": ["BERT-base, BERT-large, ResNet-50"],
                "regions": ["5 regions: US-East, US-West, EU-West, EU-North, Singapore"],
                "hours": [168],
                "finding": ["Constrained Hybrid (clairvoyant) cuts carbon by 59.6 % at 1.01 % violations."],
                "notes": pl.Series([[]], dtype=pl.List(pl.String)),
                "accounting": ["average intensity"],
                "source": ["synthetic, from annual means"],
                "traffic_source": ["synthetic"],
                "synthetic_geography": [False],
            }
        ),
    )
    return replace(tables, **queues(tables.latency_cdf, STUDY_REGIONS, 168))


def _study_saving() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "step": ["latency-first", "static-greenest", "hourly routing", "clairvoyant bound"],
            "policy": ["Latency-First", "Static-Greenest", "Constrained Hybrid", "Clairvoyant-Bound"],
            "clairvoyant": [False, False, False, True],
            "total_kg": [0.0500, 0.0211, 0.0204, 0.0190],
            "saved_pct": [0.0, 57.8, 59.2, 62.0],
            "slo_violation_pct": [0.0, 1.10, 1.05, 0.0],
        }
    )


def _study_routing() -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "policy": policy,
                "clairvoyant": policy == "Constrained Hybrid",
                "region": region,
                "requests": count,
                "share": count / 33_600,
            }
            for policy, row in STUDY_POLICIES.items()
            for region, count in zip(STUDY_REGIONS, row[5], strict=True)
        ]
    )


def _study_workloads() -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "policy": policy,
                "clairvoyant": policy == "Constrained Hybrid",
                "workload": workload,
                "name": name,
                "requests": requests,
                "avg_latency_ms": STUDY_LATENCY[workload][index],
                "p95_latency_ms": 1.6 * STUDY_LATENCY[workload][index],
                "slo_ms": slo,
                "slo_violation_pct": violations[index],
            }
            for index, policy in enumerate(STUDY_POLICIES)
            for workload, (name, requests, slo, violations) in STUDY_WORKLOADS.items()
        ]
    )


def _study_cdf(rng: np.random.Generator) -> pl.DataFrame:
    share = np.linspace(0, 1, 401)
    frames = []
    for policy, row in STUDY_POLICIES.items():
        goal = np.array(row[5]) / 33_600
        samples = []
        for origin_index, (origin, part) in enumerate(STUDY_ORIGINS.items()):
            # Each origin's requests are sent to regions as the whole run's are: near enough to look at.
            weights = (
                goal if row[5].count(0) >= 3 else np.eye(5)[[0, 1, 2, 4][origin_index]] * 0.5 + goal * 0.5
            )
            n = int(20_000 * part)
            region = rng.choice(5, n, p=weights / weights.sum())
            rtt = np.array(STUDY_RTT[origin])[region]
            workload = rng.choice(3, n, p=[0.6, 0.3, 0.1])
            mean = np.array([18, 60, 12])[workload]
            std = np.array([4, 12, 3])[workload]
            samples.append(rtt + np.maximum(1, rng.normal(mean, std)) + np.maximum(0, rng.normal(0, 3, n)))
        latency = np.quantile(np.concatenate(samples), share)
        frames.append(
            pl.DataFrame(
                {
                    "policy": policy,
                    "clairvoyant": policy == "Constrained Hybrid",
                    "share": share,
                    "latency_ms": latency * row[1] / np.interp(0.95, share, latency),
                }
            )
        )
    return pl.concat(frames)


def _study_carbon(rng: np.random.Generator) -> pl.DataFrame:
    hours = np.arange(168)
    day = 1 + 0.2 * np.sin(2 * np.pi * ((hours % 24) - 6) / 24)
    values = np.maximum(5, np.array(STUDY_CARBON) * day[:, None] * rng.uniform(0.9, 1.1, (168, 5)))
    return pl.DataFrame(
        {
            "hour": np.repeat(hours, 5),
            "time": pl.Series([None] * 840, dtype=pl.Datetime("us", "UTC")),
            "region": STUDY_REGIONS * 168,
            "carbon_g_per_kwh": values.ravel(),
        }
    )
