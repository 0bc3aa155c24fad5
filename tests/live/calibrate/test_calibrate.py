"""Calibration: known rates, laws and energies come out of a journal, and the scenario of them runs."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import t

import carbonroute
from carbonroute.cli.app import run as command
from carbonroute.engines.queued import run
from carbonroute.errors import InputError, RunFolderError
from carbonroute.files.toml import document as toml
from carbonroute.live.calibrate import QuantityRow, calibrate
from carbonroute.live.calibrate.evidence import Measurements, of_journal
from carbonroute.live.calibrate.rates import count_interval, dispersion, rates
from carbonroute.live.calibrate.rows import Part
from carbonroute.live.calibrate.service import service_times
from carbonroute.runs.journals import written
from carbonroute.scenario import Inputs, load
from helpers import llm
from helpers.live import bed
from helpers.queued_runs import Document, document, inputs_of

WORKLOAD = document()["workloads"][0] | {
    "share": 0.7,
    "energy_j": 2.0,
    "service_ms": {"law": "gamma", "mean": 500, "std": 400},
}
#: Two origins and workloads; near, each workload has servers of its own, and far both share them.
TRUTH: Document = {
    "horizon": {"hours": 1},
    "traffic": {"kind": "poisson", "requests_per_hour": 1500},
    "origins": [{"name": "here", "share": 0.6}, {"name": "there", "share": 0.4}],
    "network": {"rtt_ms": {"here": {"near": 10, "far": 40}, "there": {"near": 40, "far": 10}}},
    "workloads": [
        WORKLOAD,
        {**WORKLOAD, "id": "v", "share": 0.3, "service_ms": {"law": "gamma", "mean": 200, "std": 150}},
    ],
    "regions": [
        {
            "name": "near",
            "carbon_g_per_kwh": 400,
            "pools": [{"servers": 2, "workloads": ["w"]}, {"servers": 1, "workloads": ["v"]}],
        },
        {"name": "far", "carbon_g_per_kwh": 50, "pools": [{"servers": 2}]},
    ],
    "policies": [{"use": "least-loaded"}],
}


def journal_of(folder: Path, **changes: Any) -> tuple[Path, Inputs]:
    """Run the first policy of a scenario; return its journal."""
    inputs = inputs_of(**{**TRUTH, **changes})
    with written(inputs, folder) as journals:
        run(inputs, journals=journals)
    return folder, inputs


def told_rates(evidence: Measurements, inputs: Inputs) -> Part:
    return rates(evidence, inputs.scenario, inputs.expected_per_s)


def told_times(evidence: Measurements, inputs: Inputs) -> Part:
    ids = [workload.id for workload in inputs.scenario.workloads]
    return service_times(evidence, ids, inputs.laws, inputs.capacity)


def file_of(path: Path, **changes: Any) -> Path:
    path.write_text(toml(document(**{**TRUTH, **changes})), encoding="utf-8")
    return path


@pytest.mark.parametrize("seeds", [24, pytest.param(200, marks=pytest.mark.full)])
def test_the_truth_lies_in_the_intervals_as_often_as_they_say(seeds: int, tmp_path: Path) -> None:
    held: dict[str, list[bool]] = {}
    for seed in range(seeds):
        path, inputs = journal_of(tmp_path / str(seed), sampling={"seed": seed})
        evidence = of_journal(path, inputs)
        for row in (*told_rates(evidence, inputs).rows, *told_times(evidence, inputs).rows):
            held.setdefault(row.quantity, []).append(row.holds)
            assert row.interval[1] - row.interval[0] < 0.6 * row.measured
    assert len(held) == 11
    # Five standard deviations of a binomial count; intervals may hold more often, as φ is 1 at least.
    least = 0.95 * seeds - 5 * math.sqrt(0.95 * 0.05 * seeds)
    assert {name: sum(each) for name, each in held.items() if sum(each) < least} == {}


def test_a_wrong_scenario_is_set_right(tmp_path: Path) -> None:
    """Half the rate, other shares, other service times: the journal's are written, and they simulate."""
    longer = {"horizon": {"hours": 4}, "traffic": {"kind": "poisson", "requests_per_hour": 3000}}
    path, truth = journal_of(tmp_path / "journal", **longer)
    wrong = file_of(
        tmp_path / "wrong.toml",
        horizon={"hours": 4},
        traffic={"kind": "poisson", "requests_per_hour": 1000},
        origins=[{"name": "here", "share": 0.2}, {"name": "there", "share": 0.8}],
        workloads=[
            {**WORKLOAD, "share": 0.5, "service_ms": {"law": "gamma", "mean": 250, "std": 200}},
            {**WORKLOAD, "id": "v", "share": 0.5, "service_ms": {"law": "gamma", "mean": 400, "std": 300}},
        ],
    )
    output = tmp_path / "right.toml"
    arguments = ["calibrate", str(path), "--scenario", str(wrong), "--output", str(output)]
    assert command(arguments) == 0
    right = load(output)
    near = pytest.approx
    assert right.traffic.model_dump()["requests_per_hour"] == near(3000, rel=0.05)
    assert [one.share for one in right.origins] == near([0.6, 0.4], abs=0.03)
    assert math.fsum(one.share for one in right.origins) == near(1, abs=1e-9)
    assert [one.share for one in right.workloads] == near([0.7, 0.3], abs=0.03)
    means = [one.service_ms.model_dump()["mean"] for one in right.workloads]
    assert means == near([500, 200], rel=0.1)
    assert [one.service_ms.model_dump()["std"] for one in right.workloads] == near([400, 150], rel=0.1)
    assert (
        command(["simulate", str(output), "--output", str(tmp_path / "out"), "--no-figures", "--quiet"]) == 0
    )
    assert truth.scenario.regions == right.regions


def figures(path: Path, seed: int) -> list[float]:
    """Return the mean latency, ms, the share within limits, %, and the emissions, g, of a simulated run."""
    (row,) = carbonroute.run(load(path, {"sampling.seed": seed})).tables.policies.to_dicts()
    return [row["avg_latency_ms"], 100 - row["slo_violation_pct"], 1000 * row["total_kg"]]


def test_simulated_again_a_calibrated_scenario_meets_the_run_that_it_was_measured_on(tmp_path: Path) -> None:
    """Of 12 runs with seeds of their own, all figures hold the run's in 99.9 % intervals of prediction.

    The variance of a difference is that of the run, of the runs' mean, and of the calibration, which goes by
    one run as well: s²·(1 + 1/n + 1).
    """
    busy = {"horizon": {"hours": 2}, "traffic": {"kind": "poisson", "requests_per_hour": 12_000}}
    wrong = {
        "horizon": {"hours": 2},
        "traffic": {"kind": "poisson", "requests_per_hour": 8_000},
        "origins": [{"name": "here", "share": 0.3}, {"name": "there", "share": 0.7}],
        "workloads": [
            {**WORKLOAD, "share": 0.5, "service_ms": {"law": "gamma", "mean": 350, "std": 300}},
            {**WORKLOAD, "id": "v", "share": 0.5, "service_ms": {"law": "gamma", "mean": 300, "std": 250}},
        ],
    }
    path, _ = journal_of(tmp_path / "journal", **busy, sampling={"seed": 3})
    measured = np.array(figures(file_of(tmp_path / "true.toml", **busy), 3))
    scenario = file_of(tmp_path / "wrong.toml", **wrong)
    calibrated = tmp_path / "right.toml"
    calibrated.write_text(calibrate(path, scenario, calibrated).text, encoding="utf-8")
    meets = {}
    for name, file in (("wrong", scenario), ("calibrated", calibrated)):
        runs = np.array([figures(file, seed) for seed in range(100, 112)])
        half = t.ppf(0.9995, 11) * runs.std(axis=0, ddof=1) * math.sqrt(2 + 1 / 12)
        meets[name] = (np.abs(runs.mean(axis=0) - measured) <= half).tolist()
        assert (half[[0, 2]] < 0.2 * measured[[0, 2]]).all()
        assert half[1] < 5
    assert meets == {"wrong": [False] * 3, "calibrated": [True] * 3}


def test_the_table_says_what_lies_outside_and_what_is_unknown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = journal_of(tmp_path / "journal")
    wrong = file_of(tmp_path / "wrong.toml", traffic={"kind": "fixed-rate", "requests_per_hour": 3000})
    output = tmp_path / "right.toml"
    arguments = ["calibrate", str(path), "--scenario", str(wrong), "--output", str(output)]
    assert command(arguments) == 0
    printed = capsys.readouterr().out
    assert "the scenario's value lies outside" in printed
    assert "energies: the journal has no measured energy" in printed
    assert "no journal measures them" in printed
    assert isinstance(load(output).traffic.model_dump()["requests_per_hour"], int)
    assert command(arguments) == 2
    assert "--force" in capsys.readouterr().err
    assert command([*arguments, "--force", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["rows"][0]["quantity"] == "requests"
    assert (
        report["changes"]["traffic.requests_per_hour"]
        == load(output).traffic.model_dump()["requests_per_hour"]
    )


REFUSED: dict[str, tuple[Callable[[Path], Path], dict[str, Any], str]] = {
    "no journal": (lambda folder: folder, {}, "is no journal of decisions"),
    "other names": (
        lambda folder: journal_of(folder / "j")[0],
        {"regions": [{"name": "near", "carbon_g_per_kwh": 1}, {"name": "afar", "carbon_g_per_kwh": 1}]}
        | {"network": {"rtt_ms": {o: {"near": 1, "afar": 1} for o in ("here", "there")}}},
        "the scenario has near, afar",
    ),
    "other pools": (
        lambda folder: journal_of(folder / "j")[0],
        {"regions": [{"name": name, "carbon_g_per_kwh": 1} for name in ("near", "far")]},
        "the journal has another number",
    ),
    "several": (
        lambda folder: journal_of(folder / "j", policies=[{"use": "least-loaded"}, {"use": "spill"}])[0],
        {},
        "name one of them",
    ),
    "no readings": (
        lambda folder: journal_of(folder / "j", policies=[{"use": "latency-first"}])[0],
        {},
        "go by the hour alone",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_calibrated_is_refused(case: str, tmp_path: Path) -> None:
    make, changes, problem = REFUSED[case]
    scenario = file_of(tmp_path / "s.toml", **changes)
    with pytest.raises((InputError, RunFolderError), match=problem):
        calibrate(make(tmp_path), scenario, tmp_path / "c.toml")


def test_a_scenario_with_files_is_written_beside_them(tmp_path: Path) -> None:
    path, _ = journal_of(tmp_path / "journal")
    (tmp_path / "rtt.csv").write_text("from,near,far\nhere,10,40\nthere,40,10\n", encoding="utf-8")
    scenario = file_of(tmp_path / "s.toml", network={"rtt_file": "rtt.csv"})
    with pytest.raises(InputError, match=r"reads rtt\.csv"):
        calibrate(path, scenario, tmp_path / "elsewhere" / "c.toml")
    assert calibrate(path, scenario, tmp_path / "c.toml").changes


def test_bursts_widen_the_interval(tmp_path: Path) -> None:
    widths = {}
    for name, traffic in {
        "poisson": {"kind": "poisson", "requests_per_hour": 1500},
        "bursts": {"kind": "gamma-renewal", "requests_per_hour": 1500, "cv": 3.0},
    }.items():
        path, inputs = journal_of(tmp_path / name, horizon={"hours": 4}, traffic=traffic)
        low, high = told_rates(of_journal(path, inputs), inputs).rows[0].interval
        widths[name] = high - low
    # Nine times the variance, and estimates of it of some 45 windows.
    assert widths["bursts"] > 2 * widths["poisson"]


def test_a_rise_of_traffic_is_no_dispersion() -> None:
    dice = np.random.default_rng(4)
    expected = np.full(480, 100.0)
    rise = np.linspace(80, 120, 480)
    for factor in (1, 4):
        each = [dispersion((dice.poisson(rise) * factor).astype(np.float64), expected) for _ in range(200)]
        # The variance of one estimate of 48 windows is 3/48 φ²; 1 at least adds a tenth to those of 1.
        assert np.mean(each) == pytest.approx(factor, rel=0.2)
    assert dispersion(np.ones(5), np.ones(5)) == 1.0


@pytest.mark.parametrize("phi", [1.0, 4.0])
def test_intervals_of_counts_hold_as_often_as_they_say(phi: float) -> None:
    dice = np.random.default_rng(6)
    counts = dice.poisson(90 / phi, 2000) * phi
    held = sum(low <= 90 <= high for low, high in (count_interval(float(n), phi) for n in counts))
    assert held >= 1900 - 5 * math.sqrt(2000 * 0.05 * 0.95)
    assert count_interval(0.0, phi)[0] == 0


def test_pools_that_reject_tell_no_service_time(tmp_path: Path) -> None:
    """Rejected requests came, and were never served: busy time per request that came would be too low."""
    short = [
        {"name": "near", "carbon_g_per_kwh": 400, "pools": [{"servers": 1, "queue_limit": 1}]},
        {"name": "far", "carbon_g_per_kwh": 50, "pools": [{"servers": 1, "queue_limit": 1}]},
    ]
    path, inputs = journal_of(
        tmp_path, regions=short, traffic={"kind": "poisson", "requests_per_hour": 20_000}
    )
    evidence = of_journal(path, inputs)
    assert evidence.rejecting.all()
    part = told_times(evidence, inputs)
    assert not part.rows
    assert "near is left out, as its queue was full" in "\n".join(part.notes)


# -- Live journals --------------------------------------------------------------------------------------


def test_replicas_that_batch_tell_no_service_time(tmp_path: Path) -> None:
    """Busy time counts a request's part of a full replica, much less than the time that it is served."""
    others = 'use = "latency-first"\n[[policies]]\nuse = "carbon-first"\n[[policies]]\n'
    inputs = llm.inputs(tmp_path, (others, ""))
    with written(inputs, tmp_path / "journal") as journals:
        run(inputs, journals=journals)
    part = told_times(of_journal(tmp_path / "journal", inputs), inputs)
    assert (part.rows, part.changes) == ((), None)
    assert any("log of its requests" in note for note in part.notes)


def live(path: Path, measured: Callable[[int, dict[str, Any]], dict[str, Any] | None]) -> Path:
    """Write a journal again as one of live control, with what was measured beside each reading."""
    (file,) = path.rglob("*.jsonl")
    lines, prev = [], ""
    for place, line in enumerate(file.read_bytes().splitlines()):
        record = json.loads(line)
        del record["sha256"]
        record |= {"prev": prev, "mode": "live"}
        record["live"] = {
            "by": "policy",
            "in_force": record["weights"],
            "planned": record["weights"],
            "switchback": False,
            "traffic": "measured",
            "baselines": {},
            "energy_j": None,
            "alarms": [],
            "measured": measured(place, record),
        }
        body = json.dumps(record, separators=(",", ":")).encode()
        prev = sha256(body).hexdigest()
        lines.append(body[:-1] + f',"sha256":"{prev}"}}\n'.encode())
    file.write_bytes(b"".join(lines))
    return path


def rows_of(rows: tuple[QuantityRow, ...]) -> Iterator[tuple[str, QuantityRow]]:
    return ((row.quantity, row) for row in rows)


def test_energies_and_service_times_come_from_what_a_live_sensor_measured(tmp_path: Path) -> None:
    path, _ = journal_of(tmp_path / "journal")
    dice = np.random.default_rng(8)

    def measured(_place: int, _record: dict[str, Any]) -> dict[str, Any]:
        requests = dice.poisson([[20, 10], [8, 4]] * dice.random((2, 2)) * 2)
        energy_j = 70 * 60 + np.array([2.5, 9.0]) @ requests + dice.normal(0, 2, 2)
        service_ms = np.array([[600.0, 600.0], [150.0, "nan"]], dtype=object)
        return {
            "range_s": 60.0,
            "requests": requests.tolist(),
            "service_ms": service_ms.tolist(),
            "energy_j": [float(energy_j[0]), "nan"],
        }

    scenario = file_of(tmp_path / "s.toml")
    result = calibrate(live(path, measured), scenario, tmp_path / "c.toml")
    rows = dict(rows_of(result.rows))
    one = rows["energy of one more request, w, near"]
    assert one.interval[0] < 2.5 < one.interval[1]
    assert rows["energy of one more request, v, near"].measured == pytest.approx(9, rel=0.1)
    assert rows["idle power, near"].measured == pytest.approx(70, rel=0.02)
    assert "energies: far: 0 windows of time are too few" in result.notes
    assert result.changes["workloads[0].energy_j"] == pytest.approx(2.5, rel=0.1)
    assert rows["mean service time, w"].scenario == 500


def test_a_live_journal_without_service_times_says_so(tmp_path: Path) -> None:
    """Busy servers of a live reading may follow from the scenario's own service times: that is no proof."""
    path, _ = journal_of(tmp_path / "journal")
    scenario = file_of(tmp_path / "s.toml")
    result = calibrate(live(path, lambda *_: None), scenario, tmp_path / "c.toml")
    assert any("service times: unknown" in note for note in result.notes)
    assert not any("service_ms" in key for key in result.changes)


def test_intervals_in_which_not_all_was_counted_tell_no_rate(tmp_path: Path) -> None:
    path, inputs = journal_of(tmp_path / "journal")

    def measured(place: int, record: dict[str, Any]) -> None:
        if place % 2:
            record["reading"]["available"] = [[True, True, False]]
            record["reading"]["requests"] = [[1000.0] * 4]

    evidence = of_journal(live(path, measured), inputs)
    assert evidence.left_out["not all requests were counted"] == 30
    row = told_rates(evidence, inputs).rows[0]
    assert row.measured == pytest.approx(1500, rel=0.2)


def test_expected_traffic_is_no_measurement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EM_TOKEN", "canary-token")
    world = bed(tmp_path)
    with world.running() as parts:
        for _ in range(5):
            parts.controller.tick()
            world.clock.wait(60)
    journal = tmp_path / "journal"
    with pytest.raises(InputError, match="fewer than two measurements"):
        of_journal(journal, world.setup().inputs)
