"""A policy's reads are seen when it is asked: declared or not, it has the results and the label of them."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from carbonroute.arrays import Array
from carbonroute.control.chain import journals, records
from carbonroute.engines import ENGINES, sampled
from carbonroute.errors import InputError, PolicyError
from carbonroute.outcome import Outcome
from carbonroute.policies.recording import Observed, ReadsMoreError, RecordingView, until_known
from carbonroute.policies.view import VIEW_FIELDS, View
from carbonroute.runs import run
from carbonroute.scenario import Inputs, builtin_text, load, resolve
from helpers import small

PER_REGION = np.array([[65.0, 5.0]])
VIEW = View(PER_REGION, PER_REGION + 1, np.array([18.0]), np.array([100.0]), turn=np.array([4.0]))


def _matched(view: View) -> Array:
    match view:
        case View(service_ms=seen):
            return seen


#: Ways to read service times from a view, and nothing else.
WAYS: dict[str, Callable[[View], Any]] = {
    "attribute": lambda view: view.service_ms,
    "getattr": lambda view: getattr(view, "service_" + "ms"),
    "object": lambda view: object.__getattribute__(view, "service_ms"),
    "replaced": lambda view: dataclasses.replace(view, slo_ms=view.slo_ms * 2).service_ms,
    "twice replaced": lambda view: dataclasses.replace(dataclasses.replace(view)).service_ms,
    "copied": lambda view: copy.copy(view).service_ms,
    "deep copied": lambda view: copy.deepcopy(view).service_ms,
    "matched": _matched,
}


@pytest.mark.parametrize("way", WAYS)
def test_however_a_field_is_read_it_is_recorded_alone(way: str) -> None:
    read: set[str] = set()
    assert WAYS[way](RecordingView.of(VIEW, read)).tolist() == [18.0]
    assert read - {"slo_ms"} == {"service_ms"}


@pytest.mark.parametrize(
    "all_of",
    [
        vars,
        dataclasses.asdict,
        pickle.dumps,
        repr,
        lambda view: view == view,  # noqa: PLR0124  the comparison is the subject
        lambda view: [getattr(view, field.name) for field in dataclasses.fields(view)],
    ],
    ids=["vars", "asdict", "pickle", "repr", "==", "fields"],
)
def test_whoever_takes_all_fields_has_read_them(all_of: Callable[[View], object]) -> None:
    read: set[str] = set()
    seen = RecordingView.of(
        dataclasses.replace(VIEW, rtt_ms=np.array(1.0), carbon_g_per_kwh=np.array(2.0)), read
    )
    try:
        all_of(seen)
    except ValueError:  # arrays have no one truth: they were looked at all the same
        assert all_of.__name__ == "<lambda>"
    assert read == VIEW_FIELDS


def test_a_view_that_records_is_a_view() -> None:
    read: set[str] = set()
    view = RecordingView.of(VIEW, read)
    assert isinstance(view, View)
    assert vars(pickle.loads(pickle.dumps(view))).keys() == vars(VIEW).keys() == vars(view).keys()
    assert dataclasses.replace(view, service_ms=np.array([1.0])).service_ms.tolist() == [1.0]
    with pytest.raises(dataclasses.FrozenInstanceError):
        view.service_ms = np.array([1.0])  # type: ignore[misc]  # nobody may
    with pytest.raises(AttributeError, match="'View' object has no attribute 'price'"):
        view.price  # type: ignore[attr-defined]  # noqa: B018  there is none


def test_replacing_a_field_does_not_read_it() -> None:
    read: set[str] = set()
    dataclasses.replace(RecordingView.of(VIEW, read), service_ms=np.array([1.0])).service_ms.sum()
    assert read == set()


#: Rules of policies, and all that each reads besides round trips and limits.
RULES: dict[str, tuple[str, set[str]]] = {
    "the README's": ("np.where(view.rtt_ms <= 60, view.carbon_g_per_kwh, np.inf)", {"carbon_g_per_kwh"}),
    "service times": (
        "np.where(view.rtt_ms + view.service_ms[..., None] <= 100, view.carbon_g_per_kwh, np.inf)",
        {"carbon_g_per_kwh", "service_ms"},
    ),
    "in some hours": (
        "np.where(view.carbon_g_per_kwh > 400, view.rtt_ms + 9 * view.service_ms[..., None], view.rtt_ms)"
        " if (view.carbon_g_per_kwh > 400).any() else view.rtt_ms",
        {"carbon_g_per_kwh", "service_ms"},
    ),
    "risk": (
        "view.carbon_g_per_kwh * (1 + 1e3 * view.violation_share)",
        {"carbon_g_per_kwh", "violation_share"},
    ),
    "turns": ("(view.turn[..., None] + np.arange(view.rtt_ms.shape[-1])) % 2", {"turn"}),
    "energy": (
        "view.carbon_g_per_kwh * (1 if view.energy_j is None else view.energy_j)",
        {"carbon_g_per_kwh", "energy_j"},
    ),
    "a copy of the view": (
        "(lambda v: v.rtt_ms + v.service_ms[..., None])(dataclasses.replace(view, rtt_ms=view.rtt_ms))",
        {"service_ms"},
    ),
    "all fields": (
        "sum(getattr(view, f.name)[..., None] for f in dataclasses.fields(view)"
        " if f.name in ('turn', 'service_ms')) * view.rtt_ms",
        {"turn", "service_ms"},
    ),
}
OWN = """\
import dataclasses
import numpy as np
class Own:
    name = "Own"
    {reads}
    def cost(self, view):
        return {rule}
"""


def inputs_of(folder: Path, rule: str, reads: object, service_time: str = "actual") -> Inputs:
    folder.mkdir(exist_ok=True)
    code = OWN.format(rule=rule, reads="" if reads is None else f"reads = {reads}")
    (folder / "own.py").write_text(code, encoding="utf-8")
    changes = ('use = "latency-first"', 'use = "own.py:Own"'), ('"mean"', f'"{service_time}"')
    return resolve(load(small.write(folder, *changes)))


def outcome_of(inputs: Inputs, engine: str) -> Outcome:
    return ENGINES[engine](inputs)[0]


@pytest.mark.parametrize("service_time", ["actual", "mean"])
@pytest.mark.parametrize("engine", ["sampled", "exact", "queued"])
@pytest.mark.parametrize("kind", RULES)
def test_a_policy_that_declares_nothing_has_the_results_of_its_twin(
    kind: str, engine: str, service_time: str, tmp_path: Path
) -> None:
    rule, reads = RULES[kind]
    plain, declared = (
        inputs_of(tmp_path / str(number), rule, stated, service_time)
        for number, stated in enumerate((None, {"rtt_ms", *reads}))
    )
    if engine == "exact" and "turn" in reads:
        for inputs in (plain, declared):
            with pytest.raises(InputError, match="goes by the order of requests"):
                outcome_of(inputs, engine)
        return
    one, other = outcome_of(plain, engine), outcome_of(declared, engine)
    np.testing.assert_array_equal(one.latency_sum_ms, other.latency_sum_ms)
    np.testing.assert_array_equal(one.requests, other.requests)
    assert one.clairvoyant is other.clairvoyant is (service_time == "actual" and "service_ms" in reads)


def test_one_of_many_regions_in_one_hour_is_enough_to_be_clairvoyant(tmp_path: Path) -> None:
    late = "view.rtt_ms + (view.service_ms.sum() if {} else 0)"
    for condition, clairvoyant in (("(view.carbon_g_per_kwh > 400).any()", True), ("False", False)):
        inputs = inputs_of(tmp_path, late.format(condition), None)
        assert outcome_of(inputs, "sampled").clairvoyant is clairvoyant
        assert inputs.candidates[0].clairvoyant is clairvoyant


def test_the_readme_s_policy_is_not_clairvoyant_in_the_published_study(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN.format(rule=RULES["the README's"][0], reads=""), encoding="utf-8")
    scenario = tmp_path / "with-own.toml"
    scenario.write_text(builtin_text("published") + '\n[[policies]]\nuse = "own.py:Own"\n', encoding="utf-8")
    labels = run(scenario, {"horizon.hours": 24}).tables.policies.select("policy", "clairvoyant").rows()
    assert dict(labels)["Own"] is False
    assert dict(labels)["Constrained Hybrid"] is True


COUNTING = """\
import numpy as np
class Own:
    name = "Own"
    rows = []
    def cost(self, view):
        self.rows.append(np.column_stack([view.rtt_ms, view.carbon_g_per_kwh, view.slo_ms]))
        return view.rtt_ms
"""


def test_a_policy_is_asked_once_per_distinct_cell(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(COUNTING, encoding="utf-8")
    inputs = resolve(load(small.write(tmp_path, ('use = "latency-first"', 'use = "own.py:Own"'))))
    sampled.run(inputs)
    policy: Any = inputs.candidates[0].policy
    rows = np.concatenate(type(policy.observed).rows)
    assert len(rows) == len(np.unique(rows, axis=0)) == 6 * 2 * 2


STATEFUL = """\
class Own:
    name = "Own"
    {reads}
    def __init__(self):
        self.asked = 0
    def cost(self, view):
        self.asked += 1
        away = self.asked % 2 * 1000
        return view.rtt_ms + away * (view.rtt_ms < 50) + 0 * view.violation_share
"""


def test_a_run_that_begins_anew_has_forgotten_the_first(tmp_path: Path) -> None:
    sums = []
    for reads in ("", "reads = {'rtt_ms', 'violation_share'}"):
        (tmp_path / "own.py").write_text(STATEFUL.format(reads=reads), encoding="utf-8")
        inputs = resolve(load(small.write(tmp_path, ('use = "latency-first"', 'use = "own.py:Own"'))))
        sums.append(outcome_of(inputs, "sampled").latency_sum_ms)
        policy: Any = inputs.candidates[0].policy
        assert policy.asked == 1
    np.testing.assert_array_equal(sums[0], sums[1])


@pytest.mark.parametrize(
    ("reads", "rule", "more"),
    [
        ({"rtt_ms"}, "view.carbon_g_per_kwh", "carbon_g_per_kwh"),
        ({"rtt_ms", "carbon_g_per_kwh"}, "view.rtt_ms + view.service_ms[..., None]", "service_ms"),
        ({"rtt_ms"}, "view.rtt_ms * view.violation_share", "violation_share"),
        ({"rtt_ms"}, "view.rtt_ms + (0 if (view.rtt_ms < 9).all() else view.wait_ms)", "wait_ms"),
        (set(), "dataclasses.replace(view, slo_ms=view.slo_ms).carbon_g_per_kwh", "carbon_g_per_kwh"),
    ],
)
def test_reading_more_than_declared_is_found_out(
    reads: set[str], rule: str, more: str, tmp_path: Path
) -> None:
    with pytest.raises(PolicyError) as refusal:
        outcome_of(inputs_of(tmp_path, rule, reads or "frozenset()"), "sampled")
    assert f"reads {more}, which its `reads` does not name; name it there, or leave `reads` out" in str(
        refusal.value
    )


def test_round_trips_and_limits_need_no_declaration(tmp_path: Path) -> None:
    rule = "view.carbon_g_per_kwh + 0 * view.rtt_ms + 0 * view.slo_ms[..., None]"
    assert outcome_of(inputs_of(tmp_path, rule, {"carbon_g_per_kwh"}), "sampled").requests.sum() == 300


@pytest.mark.parametrize(
    ("field", "remedy"), [("jitter_ms", "set oracle = True"), ("traffic_share", "set joint = True")]
)
def test_a_field_that_is_never_shown_is_named_when_a_policy_fails_for_want_of_it(
    field: str, remedy: str, tmp_path: Path
) -> None:
    with pytest.raises(PolicyError, match=rf"NoneType.*it reads {field}, which only .* shown: {remedy}"):
        outcome_of(inputs_of(tmp_path, f"view.rtt_ms * view.{field}", None), "sampled")
    guarded = f"view.rtt_ms if view.{field} is None else None"
    assert outcome_of(inputs_of(tmp_path, guarded, None), "sampled").requests.sum() == 300


def test_the_state_of_regions_is_shown_to_whoever_reads_it(tmp_path: Path) -> None:
    pools = '[[pools]]\nservers = 1\n\n[[origins]]\nname = "West"'
    sums = []
    for reads in ("", "reads = {'rtt_ms', 'wait_ms'}"):
        code = OWN.format(rule="view.rtt_ms + view.wait_ms", reads=reads)
        (tmp_path / "own.py").write_text(code, encoding="utf-8")
        changes = ('use = "latency-first"', 'use = "own.py:Own"'), ('[[origins]]\nname = "West"', pools)
        path = small.write(tmp_path, *changes, ("requests_per_hour = 50", "requests_per_hour = 50000"))
        sums.append(outcome_of(resolve(load(path)), "queued"))
    np.testing.assert_array_equal(sums[0].latency_sum_ms, sums[1].latency_sum_ms)
    assert sums[0].queueing is not None


def test_a_journal_of_a_run_that_begins_anew_holds_one_run(tmp_path: Path) -> None:
    path = small.write(tmp_path, ('use = "latency-first"', 'use = "own.py:Own"'))
    (tmp_path / "own.py").write_text(OWN.format(rule="view.rtt_ms", reads=""), encoding="utf-8")
    first, *later = resolve(load(path)).carbon.g_per_kwh[:, 0].tolist()
    assert max(later) > first  # what is read then has been recorded without until then
    late = f"(view.utilisation if (view.carbon_g_per_kwh > {(first + max(later)) / 2}).any() else 0)"
    rule = f"view.rtt_ms + view.wait_ms + {late}"
    (tmp_path / "own.py").write_text(OWN.format(rule=rule, reads=""), encoding="utf-8")
    run(path, engine="queued", journal=tmp_path / "journal")
    kept = list(records(journals(tmp_path / "journal")[0]))
    assert [record.seq for record in kept] == list(range(len(kept)))
    assert kept[0].monotonic_s < 60
    assert all("utilisation" in record.view for record in kept)


class Late:
    """Reads service times for the last request of a run alone."""

    name = "Late"

    def cost(self, view: View) -> Array:
        return view.rtt_ms + (view.service_ms[..., None] if view.carbon_g_per_kwh.max() > 0 else 0)


def test_the_news_comes_home_from_another_process() -> None:
    observed = Observed(Late())
    again = pickle.loads(pickle.dumps(observed))
    assert (again.name, again.reads, again.token) == (observed.name, observed.reads, observed.token)
    error = pickle.loads(pickle.dumps(ReadsMoreError("Late", frozenset({"service_ms"}), again.token)))

    def attempt() -> str:
        if "service_ms" not in observed.reads:
            raise error
        return "done"

    assert until_known([observed], attempt) == "done"
    with pytest.raises(ReadsMoreError, match="reads service_ms in some cases alone"):
        until_known([], lambda: (_ for _ in ()).throw(error))
