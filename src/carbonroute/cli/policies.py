"""``carbonroute policies``: list the policies, or check one of your own."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.table import Table

from carbonroute.cli.options import Json
from carbonroute.cli.terminal import DONE, MISSED, empty_table, out, print_json, results_alone
from carbonroute.errors import Fault, InputError, described, is_interrupt
from carbonroute.policies import POLICIES, PolicyLike, splits
from carbonroute.registry import UnknownReferenceError

if TYPE_CHECKING:
    from carbonroute.policies.checks import PolicyReport


def policies(
    *,
    check: Annotated[str | None, Parameter(help="Check a policy: file.py:Class, or any name of use.")] = None,
    as_json: Json = False,
) -> int:
    """List the policies that a scenario can use, with their parameters, or check one against the contract."""
    if check is not None:
        return _checked(check, as_json=as_json)
    if as_json:
        print_json([{"use": name, "rule": rule, "parameters": keys} for name, rule, keys in _members()])
        return DONE
    table = Table("use", "rule", "parameters")
    for name, rule, keys in _members():
        table.add_row(name, rule, ", ".join(keys))
    console = out()
    console.print(table)
    console.print(
        "Your own: use = 'my_policy.py:MyPolicy' beside the scenario, or 'my_package.my_module:MyPolicy'.\n"
        "Write one: carbonroute init --policy my_policy.py. Check it: carbonroute policies --check "
        "my_policy.py:MyPolicy.",
        soft_wrap=True,
    )
    return DONE


def _members() -> Iterator[tuple[str, str, list[str]]]:
    """Yield name, rule and parameters of each policy that a scenario can use."""
    for name, member in POLICIES.members.items():
        rule = (inspect.getdoc(member) or "").partition("\n")[0]
        yield name, rule, list(inspect.signature(member).parameters)
    for name, reference in sorted(POLICIES.installed().items()):
        yield name, f"installed: {reference}", []


def _checked(use: str, *, as_json: bool) -> int:
    from carbonroute.policies.checks import check_policy

    with results_alone():
        reports = [check_policy(policy, strict=False) for policy in _members_of(use)]
    if as_json:
        documents = [{"use": use, **asdict(report), "kept": report.kept} for report in reports]
        print_json(documents[0] if len(documents) == 1 else documents)
    else:
        for report in reports:
            _print(report)
    return DONE if all(report.kept for report in reports) else MISSED


def _members_of(use: str) -> list[PolicyLike]:
    """Return the policy that a reference names, with its defaults; or else its class's own examples."""
    place, separator, attribute = use.rpartition(":")
    if separator and place in POLICIES.members:
        from carbonroute.scenario.written.entry import PolicyEntry
        from carbonroute.scenario.written.load import validated

        return [validated(PolicyEntry, {"use": use}, "--check", Path()).policy]
    path = Path(place)
    folder, reference = (path.parent, f"{path.name}:{attribute}") if place.endswith(".py") else (Path(), use)
    try:
        member = POLICIES.find(reference, folder).member
    except UnknownReferenceError as error:
        remedy = error.remedy if separator or not use.endswith(".py") else f"{use}:Class is expected"
        raise InputError(use, [Fault("", error.found, remedy, line=error.line)]) from error
    if not any(callable(getattr(member, name, None)) for name in ("cost", "weights")):
        remedy = "a policy returns a cost per region, or weights"
        raise InputError(use, [Fault("", "has no method cost(view)", remedy)])
    needed = [key for key, one in inspect.signature(member).parameters.items() if _is_needed(one)]
    try:
        made = list(member.examples()) if needed and hasattr(member, "examples") else [member()]
    except BaseException as error:  # a policy may be anyone's code: say what it raised
        if is_interrupt(error):
            raise
        remedy = "give every parameter a default, or yield policies from a class method examples()"
        raise InputError(use, [Fault("", f"cannot be made ({described(error)})", remedy)]) from error
    for policy in made:
        method = "weights" if splits(policy) else "cost"
        if not callable(getattr(policy, method, None)):
            remedy = "splits = True is for classes that return weights(view), and only for them"
            raise InputError(use, [Fault("", f"has no method {method}(view)", remedy)])
    return made


def _is_needed(parameter: inspect.Parameter) -> bool:
    named = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    return named and parameter.default is parameter.empty


def _print(report: PolicyReport) -> None:
    console, table = out(), empty_table(report.policy, headings=False)
    clairvoyant = {
        False: "no",
        True: 'yes, where information.service_time = "actual"'
        if "service_ms" in report.reads
        else "yes, it is a bound",
    }
    declared = (
        "nothing: the reads above were recorded" if report.declared is None else ", ".join(report.declared)
    )
    for name, value in (
        ("reads", ", ".join(report.reads) or "nothing"),
        ("declares", declared),
        ("clairvoyant", clairvoyant[report.clairvoyant]),
        ("deterministic", {True: "yes", False: "no", None: "not known"}[report.deterministic]),
        ("states its breaks", "yes" if report.breaks else "no: exact results search for them"),
        ("contract", "kept" if report.kept else "broken"),
    ):
        table.add_row(name, value)
    console.print(table)
    for fault in report.faults:
        console.print(f"– {fault}", soft_wrap=True)
