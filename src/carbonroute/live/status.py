"""The state of a controller as one JSON document: for the page, for programs, and for people on call."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from carbonroute.arrays import Array
from carbonroute.live.board import Board
from carbonroute.live.config import LiveSetup
from carbonroute.live.controller import Snapshot
from carbonroute.live.names import Names
from carbonroute.live.savings import SavingsAccount
from carbonroute.live.signals.feed import RegionCarbon

#: Moments of the last day that the document has, evenly.
_MOST_MOMENTS = 288


def document(setup: LiveSetup, board: Board, account: SavingsAccount, monotonic_s: float) -> dict[str, Any]:
    """Return the state of a controller.

    `monotonic_s`: the clock that never jumps, s.
    """
    latest, names = board.latest, setup.names
    about = {
        "scenario": setup.scenario.name,
        "policy": setup.candidate.label,
        "mode": str(setup.settings.mode),
        "interval_s": board.interval_s,
        "healthy": board.healthy(monotonic_s),
        "regions": list(names.regions),
    }
    if latest is None:
        return {**about, "last": None}
    return {
        **about,
        "last": {
            "time_utc": latest.time_utc.isoformat(timespec="seconds"),
            "age_s": round(board.age_s(monotonic_s), 1),
            "tick": latest.tick,
            "took_ms": round(latest.took_s * 1e3, 1),
            "policy_ms": None if latest.policy_s is None else round(latest.policy_s * 1e3, 1),
            "by": latest.by,
            "reasons": list(latest.reasons),
            "alarms": list(latest.alarms),
        },
        "cells": _cells(names, latest),
        "carbon": [_carbon(one, open_) for one, open_ in zip(latest.carbon, latest.available, strict=True)],
        "actuators": [_actuator(one) for one in latest.actuators],
        "emissions_g_per_h": dict(latest.emissions_g_per_h),
        "since_start": _since_start(account),
        "last_day": _last_day(board.last_day, names, shadow=setup.settings.mode.share == 0),
    }


def _cells(names: Names, latest: Snapshot) -> list[dict[str, Any]]:
    return [
        {
            "origin": origin,
            "workload": workload,
            "requests_per_s": _number(latest.per_s[i, j]),
            "decided": _shares(names, latest.weights[i, j]),
            "in_force": _shares(names, latest.in_force[i, j]),
        }
        for i, origin in enumerate(names.origins)
        for j, workload in enumerate(names.workloads)
    ]


def _shares(names: Names, weights: Array) -> dict[str, float]:
    return {region: round(float(share), 6) for region, share in zip(names.regions, weights, strict=True)}


def _carbon(one: RegionCarbon, available: bool) -> dict[str, Any]:
    return {
        "region": one.region,
        "available": bool(available),
        "g_per_kwh": _number(one.g_per_kwh),
        "age_s": _number(one.age_s),
        "step": one.step,
        "source": one.source,
        "accounting": str(one.accounting),
    }


def _actuator(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: record[key] for key in ("name", "result", "ms", "detail")}


def _since_start(account: SavingsAccount) -> dict[str, Any]:
    measured = account.difference()
    return {
        "seconds": account.seconds,
        "requests": account.requests,
        "emissions_g": dict(account.intended_g),
        "measured": None
        if measured is None
        else {
            "saving_pct": measured.saving_pct,
            "half_width_pct": measured.half_width_pct,
            "intervals": list(measured.intervals),
        },
    }


def _last_day(snapshots: Sequence[Snapshot], names: Names, *, shadow: bool) -> dict[str, Any]:
    """Return the history: of each cell the weights in force, or in a shadow as decided, and carbon."""
    every = max(1, -(-len(snapshots) // _MOST_MOMENTS))
    kept = snapshots[::-1][::every][::-1]  # the last one is the present
    return {
        "time_utc": [one.time_utc.isoformat(timespec="seconds") for one in kept],
        "followed": [
            [
                {
                    region: [
                        round(float((one.weights if shadow else one.in_force)[i, j, k]), 4) for one in kept
                    ]
                    for k, region in enumerate(names.regions)
                }
                for j in range(len(names.workloads))
            ]
            for i in range(len(names.origins))
        ],
        "carbon_g_per_kwh": {
            region: [_number(one.carbon[k].g_per_kwh) for one in kept]
            for k, region in enumerate(names.regions)
        },
        "by": [one.by for one in kept],
    }


def _number(value: float | None) -> float | None:
    """Return a number for JSON: none where it is unknown."""
    return None if value is None or math.isnan(value) else round(float(value), 6)
