"""The frontier: its front, its knee and its recommendation, against plain loops; its entries, run anew."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbonroute import runs
from carbonroute.analysis.frontier import (
    Frontier,
    ServiceLimits,
    burden,
    entry_text,
    explore,
    finding,
    knee,
    on_front,
    recommended,
    run,
)
from carbonroute.analysis.sweep import Choice, distinct, left_out, sweep
from carbonroute.arrays import Array
from carbonroute.engines.routing import Dispatcher
from carbonroute.metrics.slo import late_in_words
from carbonroute.policies import POLICIES, Policy, View
from carbonroute.policies.base import Trial
from carbonroute.policies.trials import Setting, roundest
from carbonroute.scenario import Inputs, load, resolve
from carbonroute.spec import Spec
from carbonroute.traffic import Requests
from helpers import small
from helpers.grids import examples, grid

#: Slow regions are clean, and no region is clean at all hours: every rule has something to choose.
VARIED = (
    ("hours = 6", "hours = 12"),
    ("noise = 0.1", "noise = 0.5\ndiurnal_amplitude = 0.6"),
    ("West = { A = 5, B = 65 }", "West = { A = 5, B = 65, C = 72 }"),
    ("East = { A = 80, B = 10 }", "East = { A = 80, B = 10, C = 75 }"),
    (
        'name = "B"\ncarbon_g_per_kwh = 50',
        'name = "B"\ncarbon_g_per_kwh = 200\n[[regions]]\nname = "C"\ncarbon_g_per_kwh = 100',
    ),
)
ENERGIES = (
    ("slo_ms = 100", "slo_ms = 100\nenergy_j = 10"),
    ("slo_ms = 300", "slo_ms = 300\nenergy_j = 1000"),
    ("carbon_g_per_kwh = 100", "carbon_g_per_kwh = 100\npue = 2.5"),
)


def found(folder: Path, *changes: small.Change, limits: ServiceLimits | None = None) -> Frontier:
    return run(small.write(folder, *VARIED, *changes), limits or ServiceLimits(1.0))


@pytest.fixture(scope="module")
def varied(tmp_path_factory: pytest.TempPathFactory) -> Frontier:
    return found(tmp_path_factory.mktemp("varied"))


@pytest.fixture(scope="module")
def in_grams(tmp_path_factory: pytest.TempPathFactory) -> Frontier:
    return found(tmp_path_factory.mktemp("grams"), *ENERGIES)


@pytest.fixture(scope="module")
def published() -> Frontier:
    return run("published", ServiceLimits(1.0), {"horizon.hours": 24})


def dominated(mine: Sequence[float], others: Sequence[Sequence[float]]) -> bool:
    return any(
        other[0] <= mine[0] and other[1] <= mine[1] and (other[0] < mine[0] or other[1] < mine[1])
        for other in others
    )


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=40))
@settings(max_examples=examples(200))
def test_the_front_is_what_nothing_dominates(pairs: list[tuple[int, int]]) -> None:
    carbon, violations = np.array(pairs, dtype=float).T
    assert on_front(carbon, violations).tolist() == [not dominated(pair, pairs) for pair in pairs]


@pytest.mark.parametrize("name", ["varied", "in_grams", "published"])
def test_the_front_of_a_scenario_is_of_policies_that_a_router_can_run(
    name: str, request: pytest.FixtureRequest
) -> None:
    points = request.getfixturevalue(name).points
    column = "emissions_g_per_request" if name == "in_grams" else "avg_carbon_g_per_kwh"
    limited = "slo_violation_pct" if name == "published" else "worst_violations_pct"
    rows = list(points.select(column, limited, "clairvoyant").iter_rows())
    runnable = [row for row in rows if not row[2]]
    assert len(runnable) < len(rows)  # the bound
    assert points["on_front"].to_list() == [not row[2] and not dominated(row, runnable) for row in rows]
    assert 3 < points["on_front"].sum() < points.height


CURVES: dict[str, tuple[Callable[[Array], Array], float]] = {
    # Furthest below the chord 1 − u is (1 − u)^p where its slope is −1.
    "square": (lambda u: (1 - u) ** 2, 0.5),
    "fourth power": (lambda u: (1 - u) ** 4, 1 - 0.25 ** (1 / 3)),
    "corner": (lambda u: np.maximum(1 - 5 * u, 0.05 * (1 - u)), 0.192),
}


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize(("width", "height"), [(1, 1), (300, 70), (1e-6, 1e6)])
def test_the_knee_of_a_known_curve(curve: str, width: float, height: float) -> None:
    of, where = CURVES[curve]
    u = np.random.default_rng(1).permutation(np.linspace(0, 1, 1001))
    place = knee(50 + width * u, height * of(u))
    assert place is not None
    assert u[place] == pytest.approx(where, abs=1e-3)


@pytest.mark.parametrize(
    ("carbon", "violations"),
    [
        ([1.0], [1.0]),
        ([1.0, 2.0], [3.0, 1.0]),
        ([1.0, 2.0, 3.0], [3.0, 2.0, 1.0]),  # a straight line
        ([0.0, 1.0, 2.0], [3.0, 2.9, 0.0]),  # bent the other way
        ([1.0, 1.0], [2.0, 2.0]),
    ],
)
def test_a_front_that_does_not_bend_has_no_knee(carbon: list[float], violations: list[float]) -> None:
    assert knee(np.array(carbon), np.array(violations)) is None


def test_the_knee_of_a_scenario_is_furthest_below_the_chord(varied: Frontier) -> None:
    front = varied.points.filter("on_front").sort("avg_carbon_g_per_kwh")
    x, y = front["avg_carbon_g_per_kwh"].to_list(), front["slo_violation_pct"].to_list()
    below = [
        1 - (a - x[0]) / (x[-1] - x[0]) - (b - y[-1]) / (y[0] - y[-1]) for a, b in zip(x, y, strict=True)
    ]
    assert front["knee"].to_list() == [value == max(below) for value in below]
    assert varied.knee is not None
    assert varied.points["knee"].sum() == 1


Per: TypeAlias = Literal["workload", "all"]
LIMITS = [
    ServiceLimits(1.0),
    ServiceLimits(0.03),
    ServiceLimits(20.0),
    ServiceLimits(None, 210.0),
    ServiceLimits(None, None, 80.0),
    ServiceLimits(5.0, 200.0),
    ServiceLimits(50.0, 217.0, 100.0),
]


@pytest.mark.parametrize("per", ["workload", "all"])
@pytest.mark.parametrize("limits", LIMITS, ids=str)
@pytest.mark.parametrize("name", ["varied", "in_grams"])
def test_the_recommendation_is_the_least_carbon_within_the_limits(
    name: str, limits: ServiceLimits, per: Per, request: pytest.FixtureRequest
) -> None:
    points, limits = request.getfixturevalue(name).points, replace(limits, per=per)
    limited = "worst_violations_pct" if per == "workload" else "slo_violation_pct"
    carbon = "emissions_g_per_request" if name == "in_grams" else "avg_carbon_g_per_kwh"
    kept = [
        (row[carbon], row[limited], place)
        for place, row in enumerate(points.rows(named=True))
        if not row["clairvoyant"]
        and all(
            limit is None or row[column] <= limit * (1 + 1e-8)
            for column, limit in (
                (limited, limits.slo_violation_pct),
                ("p95_latency_ms", limits.p95_latency_ms),
                ("avg_latency_ms", limits.avg_latency_ms),
            )
        )
    ]
    assert len(kept) > 1
    assert recommended(points, limits) == min(kept)[2]


def test_equal_carbon_goes_to_the_fewest_violations_and_then_to_the_simplest(varied: Frontier) -> None:
    points = varied.points.head(5).with_columns(
        pl.Series("clairvoyant", [False] * 5),
        pl.Series("avg_carbon_g_per_kwh", [2.0, 1.0, 1.0, 1.0, 1.0]),
        pl.Series("slo_violation_pct", [0.0, 0.9, 0.5, 0.5, 1.1]),
    )
    assert recommended(points, ServiceLimits(1.0)) == 2
    assert recommended(points, ServiceLimits(0.4)) == 0
    assert recommended(points[1:], ServiceLimits(0.4)) is None


@pytest.mark.parametrize("name", ["varied", "in_grams", "published"])
def test_the_table_marks_what_is_recommended_and_states_the_limits(
    name: str, request: pytest.FixtureRequest
) -> None:
    frontier = request.getfixturevalue(name)
    assert frontier.points["recommended"].arg_true().to_list() == [frontier.recommended]
    assert frontier.recommended == recommended(frontier.points, frontier.limits)
    assert frontier.points["max_slo_violation_pct"].unique().to_list() == [1.0]
    assert frontier.points["max_p95_latency_ms"].null_count() == frontier.points.height


def test_energy_and_not_intensity_decides_where_it_is_stated(in_grams: Frontier) -> None:
    points = in_grams.points
    assert burden(points).tolist() == points["emissions_g_per_request"].to_list()
    # region C is clean, but takes two and a half times the energy
    assert points["emissions_g_per_request"].arg_min() != points["avg_carbon_g_per_kwh"].arg_min()


def test_no_clairvoyant_policy_is_recommended_whatever_it_saves(tmp_path: Path) -> None:
    seer = '[[policies]]\nuse = "constrained-hybrid"\nlabel = "Seer"\n'
    seer += 'information = { service_time = "actual" }\n'
    last = 'use = "constrained-hybrid"\nmargin_ms = 5\n'
    frontier = found(tmp_path, (last, last + seer), limits=ServiceLimits(4.5))
    points, row = frontier.points, frontier.recommended
    assert row is not None
    assert not points["clairvoyant"][row]
    rivals = points.filter("clairvoyant", pl.col("slo_violation_pct") <= 4.5)
    assert rivals.height == 2  # the seer and the bound
    assert min(rivals["avg_carbon_g_per_kwh"]) < points["avg_carbon_g_per_kwh"][row]
    assert not points.filter("clairvoyant")["on_front"].any()


def test_where_no_policy_keeps_the_limits_the_nearest_is_named(tmp_path: Path) -> None:
    limits = ServiceLimits(0.5, 30.0, 20.0)
    frontier = found(tmp_path, limits=limits)
    assert frontier.recommended is None
    excess = [
        max(row["worst_violations_pct"] / 0.5, row["p95_latency_ms"] / 30, row["avg_latency_ms"] / 20)
        if not row["clairvoyant"]
        else np.inf
        for row in frontier.points.rows(named=True)
    ]
    assert frontier.nearest == int(np.argmin(excess))
    name = frontier.points["policy"][frontier.nearest]
    assert finding(frontier)[0].startswith(
        "No policy that a router can run keeps to at most 0.5 % SLO violations in every workload and a P95 "
        f"of at most 30 ms and a mean latency of at most 20 ms; {name} comes nearest: it is the baseline"
    )


def test_the_nearest_policy_exceeds_its_worst_limit_least_and_can_be_run(varied: Frontier) -> None:
    points = varied.points.head(4).with_columns(
        pl.Series("clairvoyant", [False, False, False, True]),
        pl.Series("slo_violation_pct", [4.0, 1.0, 2.0, 1.0]),
        pl.Series("p95_latency_ms", [10.0, 500.0, 250.0, 200.0]),
    )
    frontier = replace(varied, points=points, limits=ServiceLimits(1.0, 100.0))
    assert frontier.nearest == 2  # 2.5 times a limit; the others 4 and 5 times, and the last is clairvoyant
    assert replace(frontier, limits=ServiceLimits(0.0)).nearest == 1


FIGURES = (
    "slo_violation_pct",
    "avg_carbon_g_per_kwh",
    "carbon_reduction_pct",
    "p95_latency_ms",
    "avg_latency_ms",
)
GRAMS = ("emissions_g_per_request", "total_kg", "emissions_reduction_pct")


@pytest.mark.parametrize("grams", grid([True, False], one_of=2))
def test_every_entry_reaches_its_point_when_it_is_pasted_into_the_scenario(
    grams: bool, tmp_path: Path
) -> None:
    frontier = found(tmp_path, *(ENERGIES if grams else ()))
    families = set(frontier.points["family"])
    assert {
        "latency-first",
        "hybrid",
        "nearest-greenest",
        "constrained-hybrid",
        "clairvoyant-bound",
    } <= families
    entries = [entry_text(frontier, row) for row in range(frontier.points.height)]
    path = tmp_path / "small.toml"
    path.write_text("\n\n".join([path.read_text(encoding="utf-8"), *entries]), encoding="utf-8")
    result = runs.run(path, engine="exact").tables.policies.tail(len(entries))
    for name in (*FIGURES, *(GRAMS if grams else ())):
        expected = frontier.points[name].to_list()
        assert result[name].to_list() == pytest.approx(expected, rel=1e-9, abs=1e-12), name
    assert result["clairvoyant"].to_list() == frontier.points["clairvoyant"].to_list()


@pytest.mark.parametrize(
    "limits", [ServiceLimits(1.0), ServiceLimits(0.05), ServiceLimits(None, 150.0)], ids=str
)
def test_the_recommended_entry_of_the_published_study_keeps_what_it_promises(
    limits: ServiceLimits, tmp_path: Path
) -> None:
    from carbonroute.scenario import builtin_text

    frontier = run("published", limits, {"horizon.hours": 6})
    assert frontier.recommended is not None
    entry = entry_text(frontier, frontier.recommended)
    path = tmp_path / "mine.toml"
    path.write_text(f"{builtin_text('published')}\n{entry}\n", encoding="utf-8")
    row = runs.run(path, {"horizon.hours": 6}, engine="exact").tables.policies.row(-1, named=True)
    point = frontier.points.row(frontier.recommended, named=True)
    assert row["policy"] == f"Recommended: {point['policy']}"
    assert not row["clairvoyant"]  # although the study's information is
    for name in FIGURES:
        assert row[name] == pytest.approx(point[name], rel=1e-9)
    for name, limit in limits.given().items():
        assert row[name] <= limit * (1 + 1e-9)


def test_an_entry_has_a_label_of_its_own(varied: Frontier) -> None:
    row = varied.recommended or 0
    first = tomllib.loads(entry_text(varied, row))["policies"][0]["label"]
    scenario = varied.inputs.scenario
    once = scenario.policies[0].model_copy(update={"label": first})
    twice = scenario.policies[0].model_copy(update={"label": f"{first} (2)"})
    for extra, label in (((once,), f"{first} (2)"), ((once, twice), f"{first} (3)")):
        inputs = replace(
            varied.inputs, scenario=scenario.model_copy(update={"policies": (*scenario.policies, *extra)})
        )
        again = tomllib.loads(entry_text(replace(varied, inputs=inputs), row))["policies"][0]
        assert again["label"] == label
        assert {k: v for k, v in again.items() if k != "label"} == dict(varied.choices[row].entry)


def test_an_own_policy_is_spelt_as_in_the_scenario(tmp_path: Path) -> None:
    code = (
        "import numpy as np\n\n\nclass Odd:\n    name = 'Odd'\n\n    def __init__(self, words, far_ms=1.5):\n"
        "        self.far_ms = far_ms\n\n    def cost(self, view):\n"
        "        return np.where(view.rtt_ms <= self.far_ms, view.carbon_g_per_kwh, np.inf)\n"
    )
    (tmp_path / "odd.py").write_text(code, encoding="utf-8")
    last = 'use = "constrained-hybrid"\nmargin_ms = 5\n'
    mine = (
        '[[policies]]\nuse = "odd.py:Odd"\nwords = { a = ["x\\"", 1, true] }\nfar_ms = 70.5\n'
        'information = { carbon_age = "3h" }\n'
    )
    frontier = found(tmp_path, (last, last + mine))
    row = frontier.points["policy"].to_list().index("Odd")
    entry = tomllib.loads(entry_text(frontier, row))["policies"][0]
    assert entry == {
        "use": "odd.py:Odd",
        "label": "Recommended: Odd",
        "words": {"a": ['x"', 1, True]},
        "far_ms": 70.5,
        "information": {"service_time": "mean", "carbon_age": "3h"},
    }
    point = frontier.points.row(row, named=True)
    assert (point["family"], point["parameter"], point["value"], point["own"]) == (
        "odd.py:Odd",
        "far_ms",
        70.5,
        True,
    )


def tried(inputs: Inputs) -> list[Choice]:
    return list(sweep(inputs))


def of(choices: Sequence[Choice], use: str, parameter: str) -> list[Choice]:
    return [choice for choice in choices if choice.entry["use"] == use and choice.parameter == parameter]


def test_what_is_tried(published: Frontier) -> None:
    choices = tried(published.inputs)
    alphas = [choice.entry["alpha"] for choice in of(choices, "hybrid", "alpha") if not choice.own]
    assert sorted(alphas) == [step / 100 for step in range(101)]
    margins = of(choices, "constrained-hybrid", "margin_ms")
    assert margins[0].entry["margin_ms"] == 0  # the simplest
    assert margins[0].candidate.information.service_time == "mean"
    near = [choice.entry["k"] for choice in of(choices, "nearest-greenest", "k")]
    assert near == [1, 2, 3, 4, 5]
    risky = of(choices, "constrained-hybrid", "max_violation")
    for budget in (None, "per-workload"):
        risks = sorted(
            choice.entry["max_violation"] for choice in risky if choice.entry.get("budget") == budget
        )
        assert (risks[0], risks[-1]) == (1e-5, 0.47)
        assert {1e-4, 1e-3, 0.01, 0.1} <= set(risks)
        assert max(b / a for a, b in pairwise(risks)) < 1.16
    assert {role for choice in choices for role in choice.roles} == {"baseline", "static", "bound"}
    assert [choice.candidate.label for choice in choices if choice.own] == [
        entry.shown for entry in published.inputs.scenario.policies
    ]
    assert {choice.candidate.label for choice in choices if choice.candidate.clairvoyant} == {
        "Constrained Hybrid",
        "Clairvoyant bound",
    }


class Farthest(Spec, Policy):
    """A new member: one file, which is this class, and one line in POLICIES."""

    reads: ClassVar[frozenset[str]] = frozenset({"rtt_ms"})
    power: int

    @classmethod
    def trials(cls, setting: Setting) -> Iterator[Trial]:
        yield from (Trial(cls(power=power)) for power in range(setting.rtt_ms.shape[1]))

    def cost(self, view: View) -> Array:
        return -(view.rtt_ms**self.power)


def test_a_policy_says_itself_what_a_sweep_tries(
    published: Frontier, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [choice.entry["use"] for choice in tried(published.inputs)]
    monkeypatch.setitem(POLICIES.members, "farthest", Farthest)
    choices = tried(published.inputs)
    assert [choice.entry for choice in of(choices, "farthest", "power")] == [
        {"use": "farthest", "power": power} for power in range(5)
    ]
    assert [choice.entry["use"] for choice in choices if choice.entry["use"] != "farthest"] == before
    uses = [choice.entry["use"] for choice in choices if not choice.own]  # the simplest first
    assert uses.index("nearest-greenest") < uses.index("farthest") < uses.index("hybrid")


@pytest.mark.parametrize("share", [None, 0.5, 0.9, 0.999])
def test_no_margin_is_left_out_that_makes_a_difference(share: float | None, published: Frontier) -> None:
    inputs = published.inputs
    laws = [law.average() if share is None else law.quantile(share) for law in inputs.laws]
    slack_ms = inputs.slo_ms - np.array(laws) - inputs.rtt_ms[:, :, np.newaxis]
    margins = of(tried(inputs), "constrained-hybrid", "margin_ms")
    sets = set()
    for choice in margins:
        estimates = np.array([choice.candidate.information.service_estimate_ms(law) for law in inputs.laws])
        left_ms = inputs.slo_ms - estimates - inputs.rtt_ms[:, :, np.newaxis]
        sets.add((left_ms >= choice.entry["margin_ms"]).tobytes())
    for margin_ms in np.arange(0, slack_ms.max(), 0.37):
        assert (slack_ms >= margin_ms).tobytes() in sets
    assert len(sets) == len(margins)  # and none twice


@given(low=st.floats(0, 1e3), width=st.floats(1e-9, 1e3))
@settings(max_examples=examples(200))
def test_the_roundest_number_between_two_lies_between_them(low: float, width: float) -> None:
    high = low + width
    if low < (low + high) / 2 < high:
        assert low < roundest(low, high) < high


def test_policies_are_merged_just_where_they_decide_alike(tmp_path: Path) -> None:
    """In all hours, not in those of the first day alone."""
    inputs = resolve(load(small.write(tmp_path, *VARIED, ("hours = 12", "hours = 40"))))
    hour, origin, workload = np.indices(inputs.shape[:3]).reshape(3, -1)
    cells = Requests(hour, origin, workload)
    plain = [choice for choice in tried(inputs) if not choice.candidate.by_request(inputs.site)]
    decisions = []
    for choice in plain:
        answer = Dispatcher.of(choice.candidate, inputs).ask(cells)
        decisions.append(answer if answer.ndim == 2 else np.eye(inputs.shape[3])[answer])
    first = [
        next(place for place, other in enumerate(decisions) if np.array_equal(other, mine))
        for mine in decisions
    ]
    expected = [plain[place].candidate.label for place in dict.fromkeys(first)]
    assert [choice.candidate.label for choice in distinct(inputs, plain)[0]] == expected
    assert len(expected) < len(plain) / 2


def test_a_policy_is_asked_about_the_cells_of_a_few_days_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = resolve(load(small.write(tmp_path, *VARIED, ("hours = 12", "hours = 40"))))
    asked, ask = Counter[str](), Dispatcher._answer

    def counted(dispatcher: Dispatcher, *question: Any) -> Any:
        asked[dispatcher.candidate.label] += 1
        return ask(dispatcher, *question)

    monkeypatch.setattr(Dispatcher, "_answer", counted)
    plain = tuple(choice for choice in tried(inputs) if not choice.candidate.by_request(inputs.site))
    once = explore(inputs, plain, ServiceLimits())
    assert set(asked.values()) == {1}
    monkeypatch.setattr("carbonroute.analysis.sweep._FEW_CELLS", 0)
    again = explore(inputs, plain, ServiceLimits())
    assert max(asked.values()) > 2
    assert once.points.equals(again.points)


def test_who_stands_for_another_takes_over_its_role_and_says_so(tmp_path: Path) -> None:
    twin = '[[policies]]\nuse = "hybrid"\nalpha = 1\nlabel = "Twin"\n'
    first = '[[policies]]\nuse = "latency-first"\n'
    frontier = found(tmp_path, (first, first + twin))
    points = frontier.points
    assert points["baseline"].unique().to_list() == ["Latency-First"]
    assert "Twin" not in points["policy"].to_list()
    assert "Decides exactly like Latency-First: Twin" in frontier.notes
    only = found(tmp_path, (first, twin))
    assert only.points["baseline"].unique().to_list() == ["Twin"]  # in whose name Latency-First runs
    assert only.points["carbon_reduction_pct"][0] == 0


def test_the_baseline_is_latency_first_whatever_the_scenario_begins_with(tmp_path: Path) -> None:
    frontier = found(tmp_path, ('use = "latency-first"', 'use = "carbon-first"'))
    zero = frontier.points.filter(pl.col("carbon_reduction_pct") == 0)
    assert zero["policy"].to_list() == ["Latency-First"]
    assert frontier.points["baseline"].unique().to_list() == ["Latency-First"]
    assert frontier.points["carbon_reduction_pct"][0] > 0


def test_policies_that_cannot_be_worked_out_are_left_out_and_named(tmp_path: Path) -> None:
    code = (
        "class Seer:\n    name = 'Seer'\n    oracle = True\n"
        "    reads = {'rtt_ms', 'service_ms', 'jitter_ms'}\n\n"
        "    def cost(self, view):\n        return view.jitter_ms + view.rtt_ms\n"
    )
    (tmp_path / "seer.py").write_text(code, encoding="utf-8")
    more = '[[policies]]\nuse = "round-robin"\n[[policies]]\nuse = "seer.py:Seer"\n'
    last = 'use = "constrained-hybrid"\nmargin_ms = 5\n'
    frontier = found(tmp_path, (last, last + more))
    assert not {"Round-Robin", "Seer"} & set(frontier.points["policy"])
    notes = [note for note in frontier.notes if note.startswith("Left out: ")]
    assert len(notes) == 2
    assert notes[0].startswith("Left out: Round-Robin goes by the order of requests")
    assert notes[1].startswith("Left out: Seer is shown jitter")


def test_a_bound_that_cannot_be_worked_out_is_left_out_and_named(tmp_path: Path) -> None:
    """The grams of a request's own tokens decide which region takes least, and they are not known."""
    times = "overhead_ms = 5, decode_ms_per_token = 0.4, prefill_ms_per_token = 0.1"
    prompt, answer = (f'{{ law = "gamma", mean = {mean}, std = 15 }}' for mean in (50, 30))
    law = f'{{ law = "tokens", {times}, prompt_tokens = {prompt}, answer_tokens = {answer} }}'
    tokens = f"service_ms = {law}\nenergy_j_per_answer_token = 1\npayload_mb = 1"
    path = small.write(
        tmp_path,
        ('service_ms = { law = "normal", mean = 20, std = 4 }', tokens),
        ('service_ms = { law = "normal", mean = 120, std = 25, floor = 1 }', tokens),
        ("jitter_std_ms = 3", "jitter_std_ms = 3\nenergy_j_per_gb = 10000"),
        ("carbon_g_per_kwh = 50", "carbon_g_per_kwh = 50\npue = 10"),
        ("hours = 6", "hours = 1"),
    )
    inputs = resolve(load(path))
    assert not [choice for choice in tried(inputs) if "bound" in choice.roles]
    assert [note.partition(" goes by")[0] for note in left_out(inputs)] == ["Left out: Clairvoyant bound"]


def test_the_user_s_own_limit_is_among_the_risks(tmp_path: Path) -> None:
    frontier = found(tmp_path, limits=ServiceLimits(1.37))
    values = frontier.points.filter(pl.col("parameter") == "max_violation")["value"].to_list()
    assert {0.0137, 0.02055, 0.0274} <= set(values)  # no workload may use up more, and few use up as much
    assert frontier.recommended is not None
    assert 1.2 < frontier.points["worst_violations_pct"][frontier.recommended] <= 1.37 * (1 + 1e-9)


def test_figures_are_those_of_the_exact_engine(published: Frontier) -> None:
    result = runs.run("published", {"horizon.hours": 24}, engine="exact").tables.policies
    both = published.points.join(result, on="policy", suffix="_run").filter("own")
    assert both.height == 6  # two of the seven decide alike
    assert published.points["alike"].to_list().count("Hybrid (α=0.3)") == 1
    for name in FIGURES:
        assert both[name].to_list() == pytest.approx(both[f"{name}_run"].to_list(), rel=1e-12)


@pytest.mark.parametrize("age", ["0h", "2h"])
def test_information_of_the_scenario_is_that_of_every_policy(age: str, tmp_path: Path) -> None:
    frontier = found(tmp_path, ('service_time = "mean"', f'service_time = "actual"\ncarbon_age = "{age}"'))
    swept = [choice for choice in frontier.choices if not choice.own and not choice.candidate.oracle]
    assert {choice.candidate.information.carbon_age for choice in swept} == {age}
    assert not any(choice.candidate.clairvoyant for choice in swept)
    told = [choice.entry.get("information", {}) for choice in swept if choice.parameter == "margin_ms"]
    assert all(entry["service_time"] != "actual" for entry in told)  # else pasting would make it clairvoyant
    assert {entry.get("carbon_age", "0h") for entry in told} == {age}


def test_missing_carbon_that_nobody_asked_for_ends_nothing(tmp_path: Path) -> None:
    inputs = resolve(load(small.write(tmp_path, ('use = "hybrid"\nalpha = 0.5', 'use = "random"'))))
    measured = inputs.carbon.measured_g_per_kwh.copy()
    measured[2, 0] = np.nan
    inputs = replace(inputs, carbon=replace(inputs.carbon, measured_g_per_kwh=measured))
    choices = tried(inputs)
    rules = {choice.candidate.information.carbon_missing for choice in of(choices, "hybrid", "alpha")}
    assert rules == {"latency-only"}


def test_the_findings_say_what_the_points_say(published: Frontier) -> None:
    said = " ".join(finding(published))
    points: list[dict[str, Any]] = published.points.rows(named=True)
    assert published.recommended is not None
    for row in (
        points[published.recommended],
        next(row for row in points if row["static_baseline"]),
        next(row for row in points if row["bound"]),
        next(row for row in points if row["knee"]),
    ):
        assert row["policy"] in said
        assert f"saves {row['carbon_reduction_pct']:.1f} % " in said
        assert f"({late_in_words(row)}, P95 {row['p95_latency_ms']:.1f} ms" in said
    assert said.startswith("For at most 1 % SLO violations, use ")
    assert said.count("of mean carbon intensity against Latency-First") == 1  # for all of them
    for sentence in finding(published):
        violations = float(sentence.partition("(violations ")[2].partition(" %")[0])
        assert sentence.endswith(", beyond the limits.") is (violations > 1)
    static = published.points.row(by_predicate=pl.col("static_baseline"), named=True)
    assert 1 < static["slo_violation_pct"] < 2
