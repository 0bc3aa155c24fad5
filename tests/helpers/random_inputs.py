"""Random scenarios by number: all laws of service time and jitter, energies, policies of every kind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from carbonroute.network import Jitter, PairLognormal
from carbonroute.scenario import Inputs, Scenario, resolve
from carbonroute.workloads import Empirical, Gamma, Lognormal, Normal, ServiceLaw, Tokens
from helpers.scenarios import Document

ACTUAL = {"service_time": "actual"}
POLICIES: tuple[Document, ...] = (
    {"use": "latency-first"},
    {"use": "hybrid", "alpha": 0.5},
    {"use": "constrained-hybrid"},
    {"use": "constrained-hybrid", "margin_ms": 5, "information": ACTUAL},
    {"use": "constrained-hybrid", "information": {"service_time": "quantile:0.9", "carbon_age": "1h"}},
    {"use": "static-greenest", "information": ACTUAL},
    {"use": "constrained-hybrid", "max_violation": 0.2},
    {"use": "constrained-hybrid", "max_violation": 0.2, "budget": "per-workload"},
    {"use": "nearest-greenest", "k": 2},
    {"use": "random"},
    {"use": "clairvoyant-bound"},
)


def measured(times_ms: np.ndarray) -> Empirical:
    """Return measured service times without a file."""
    law = Empirical(law="empirical", path="times.csv", column="ms", unit="ms")
    return law.with_times(times_ms.astype(float))


def random_inputs(number: int, requests: int) -> Inputs:
    """Return a scenario of so many requests, the same for the same number."""
    dice = np.random.default_rng(number)
    hours, origins, workloads, regions = (
        int(dice.integers(*ends)) for ends in ((1, 6), (1, 4), (1, 4), (2, 9))
    )
    document: Document = {
        "schema": 1,
        "name": f"random {number}",
        "horizon": {"hours": hours},
        "sampling": {"scheme": "streams", "seed": number},
        "traffic": {"kind": "fixed-rate", "requests_per_hour": requests // hours}
        if dice.random() < 0.5
        else {"kind": "poisson", "requests_per_hour": requests / hours},
        "carbon": {"kind": "synthetic", "noise": 0.3},
        "network": {
            "energy_j_per_gb": 1000,
            "jitter_std_ms": dice.choice([0, 1, 3, 20]).item(),
            "rtt_ms": {
                f"o{o}": {f"r{r}": dice.integers(0, 120).item() for r in range(regions)}
                for o in range(origins)
            },
        },
        "origins": [{"name": f"o{o}", "share": s} for o, s in enumerate(_shares(dice, origins))],
        "regions": [
            {
                "name": f"r{r}",
                "carbon_g_per_kwh": dice.integers(10, 600).item(),
                "pue": dice.choice([1, 1.2, 1.5]).item(),
                "hardware_factor": dice.choice([1, 2]).item(),
            }
            for r in range(regions)
        ],
        "workloads": [
            {
                "id": f"w{w}",
                "name": "w",
                "model": "w",
                "share": s,
                "slo_ms": dice.integers(40, 200).item(),
                "service_ms": {"law": "normal", "mean": 20, "std": 3},
                "energy_j": dice.choice([0, 1]).item(),
                "payload_mb": dice.choice([0, 1]).item(),
                "embodied_g": 0.001,
            }
            for w, s in enumerate(_shares(dice, workloads))
        ],
        "policies": [{**policy, "label": f"p{p}"} for p, policy in enumerate(POLICIES)],
    }
    inputs = resolve(Scenario.model_validate(document, context={"folder": Path()}))
    return _with_laws(inputs, dice)


def _with_laws(inputs: Inputs, dice: np.random.Generator) -> Inputs:
    laws = tuple(_law(dice) for _ in inputs.laws)
    jitter: Jitter = inputs.jitter
    if dice.random() < 0.4:
        jitter = PairLognormal(inputs.rtt_ms, dice.choice([0, 0.05, 0.2, 0.5], size=inputs.rtt_ms.shape))
    token_j = [
        dice.choice([0, 0.01, 0.1], size=2) if isinstance(law, Tokens) else np.zeros(2) for law in laws
    ]
    workloads = tuple(
        workload.model_copy(
            update={
                "energy_j_per_prompt_token": float(prompt_j),
                "energy_j_per_answer_token": float(answer_j),
            }
        )
        if isinstance(law, Tokens)
        else workload
        for workload, law, (prompt_j, answer_j) in zip(inputs.scenario.workloads, laws, token_j, strict=True)
    )
    assert inputs.energy is not None
    return replace(
        inputs,
        laws=laws,
        jitter=jitter,
        energy=replace(inputs.energy, token_j=np.array(token_j)),
        scenario=inputs.scenario.model_copy(update={"workloads": workloads}),
    )


def _shares(dice: np.random.Generator, count: int) -> list[float]:
    weights = dice.integers(1, 10, count)
    return [float(weight / weights.sum()) for weight in weights]


def _law(dice: np.random.Generator) -> ServiceLaw:
    mean, kind = float(dice.integers(5, 80)), dice.integers(6)
    if kind == 0:
        std, floor = dice.choice([0, 2, mean / 3, mean]), dice.choice([0, 1, 0.7 * mean])
        return Normal(law="normal", mean=mean, std=float(std), floor=float(floor))
    if kind == 1:
        return Lognormal(law="lognormal", mean=mean, std=mean * float(dice.choice([0, 0.1, 0.5, 1])))
    if kind == 2:
        return Gamma(law="gamma", mean=mean, std=mean * float(dice.choice([0.1, 0.5, 1])))
    if kind in {3, 4}:
        count = int(dice.choice([2, 7, 300]))
        return measured(1 + np.round(dice.gamma(4, 10, count), int(dice.integers(3))))
    return Tokens(
        law="tokens",
        prefill_ms_per_token=float(dice.choice([0, 0.05, 0.3])),
        decode_ms_per_token=float(dice.choice([0.1, 0.5])),
        overhead_ms=float(dice.choice([0, 5])),
        prompt_tokens=_length(dice),
        answer_tokens=_length(dice),
    )


def _length(dice: np.random.Generator) -> Normal | Lognormal | Gamma:
    lengths = (
        Lognormal(law="lognormal", mean=float(dice.integers(20, 400)), std=float(dice.choice([0, 100]))),
        Gamma(law="gamma", mean=50, std=40),
        Normal(law="normal", mean=100, std=float(dice.choice([0, 50])), floor=10),
    )
    return lengths[dice.integers(3)]
