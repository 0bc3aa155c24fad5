"""``carbonroute init``: a scenario file, or a policy's, to start from."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, TypeVar

from cyclopts import Parameter

from carbonroute.catalogue import cloud_region, cloud_regions, model, models, nearest
from carbonroute.cli.terminal import out
from carbonroute.errors import Fault, InputError, did_you_mean
from carbonroute.files.folder import create_named
from carbonroute.scenario import builtin_scenarios, builtin_text
from carbonroute.scenario.draft import DEFAULT_MODEL, draft
from carbonroute.scenario.written.names import MAX_NAME, NAME_RULE, is_name

T = TypeVar("T")
_STARTER = "starter"


def init(
    file: Path | None = None,
    /,
    *,
    source: Annotated[str | None, Parameter(name="--from")] = None,
    regions: Annotated[str | None, Parameter(name="--regions")] = None,
    served: Annotated[str | None, Parameter(name="--models")] = None,
    name: str | None = None,
    policy: Path | None = None,
) -> int:
    """Write a commented, runnable scenario file, or with --policy the file of a policy.

    Parameters
    ----------
    file
        Where to; a file that is there already is left alone.
    source
        Built-in scenario to start from: `starter`, if nothing else is stated.
    regions
        Cloud regions of the catalogue (`carbonroute regions` lists them), parted by commas, such as
        aws:eu-west-1,aws:us-east-1: a complete scenario of these, every figure with its source or marked as
        assumed.
    served
        Models that these regions serve, parted by commas, such as llama-3.1-70b,bge-large.
    name
        Name of the new scenario, in tables and reports; by default that of the file.
    policy
        Write a policy of your own to start from into this file, instead of a scenario.
    """
    if policy is not None:
        stated = (file, source, regions, served, name)
        return _policy(policy, alone=not any(each is not None for each in stated))
    if file is None:
        fault = Fault("", "missing", "name the new scenario's file, or give --policy my_policy.py")
        raise InputError("FILE", [fault])
    if name is not None and not is_name(name):
        raise InputError("--name", [Fault("", f"found {name!r}", NAME_RULE)])
    called = name or _name_of(file, source or _STARTER)
    if regions is not None:
        if source is not None:
            raise InputError("--from", [Fault("", "found beside --regions", "state one of them")])
        text = _of_regions(called, regions, served)
    elif served is not None:
        remedy = "state the regions that serve them: --regions aws:eu-west-1,aws:us-east-1"
        raise InputError("--models", [Fault("", "found without --regions", remedy)])
    else:
        text = _of_builtin(source or _STARTER, called)
    create_named(file, text.encode())
    run = f"carbonroute simulate {shlex.quote(str(file))}"
    out().print(f"Wrote {file}: scenario {called!r}. Next: {run}", soft_wrap=True)
    return 0


def _name_of(file: Path, source: str) -> str:
    """Return the name of a scenario by its file: never that of the one it is made from."""
    stem = "".join(character for character in file.stem if character.isprintable()).strip()[:MAX_NAME].strip()
    return f"{source}-copy" if stem in {source, ""} else stem


def _of_builtin(source: str, name: str) -> str:
    if source not in builtin_scenarios():
        raise InputError(
            "--from", [Fault("", f"no scenario {source!r}", did_you_mean(source, builtin_scenarios()))]
        )
    return _named(builtin_text(source), name)


def _of_regions(name: str, regions: str, served: str | None) -> str:
    found_regions = _members("--regions", regions, cloud_region, _unknown_region)
    found_models = _members(
        "--models", served or DEFAULT_MODEL, model, lambda name: did_you_mean(name, models())
    )
    return draft(name, found_regions, found_models, chosen=served is not None)


def _members(
    option: str, text: str, find: Callable[[str], T | None], remedy: Callable[[str], str]
) -> Sequence[T]:
    """Return the members of the catalogue that an option names; refuse unknown and repeated ones."""
    names = [name.strip() for name in text.split(",")]
    members = {name: find(name) for name in names}

    def faults() -> Iterator[Fault]:
        for place, name in enumerate(names):
            if members[name] is None:
                yield Fault("", f"the catalogue has no {name!r}", remedy(name), "unknown-name")
            elif members[name] in [members[other] for other in names[:place]]:
                yield Fault("", f"{name!r} stands twice", "names must differ", "repeated-name")

    if refused := list(faults()):
        raise InputError(option, refused)
    return [member for name in names if (member := members[name]) is not None]


def _unknown_region(name: str) -> str:
    near = nearest(name)
    return (
        f"did you mean {', '.join(near)}?"
        if near
        else f"`carbonroute regions` lists all {len(cloud_regions())}"
    )


def _named(text: str, name: str) -> str:
    """Return a scenario's text with another name: a copy is not the original."""
    line = f"name = {json.dumps(name, ensure_ascii=False)}"
    return re.sub(r"^name = .*$", lambda _: line, text, count=1, flags=re.MULTILINE)


def _policy(file: Path, *, alone: bool) -> int:
    if not alone:
        raise InputError("--policy", [Fault("", "found beside a scenario", "write one file at a time")])
    if file.suffix != ".py" or ":" in file.name:
        remedy = "a file of Python is expected, such as my_policy.py"
        raise InputError("--policy", [Fault("", f"found {str(file)!r}", remedy)])
    text = resources.files("carbonroute.policies").joinpath("template.py").read_text(encoding="utf-8")
    create_named(file, text.replace("my_policy.py", file.name).encode())
    check = f"carbonroute policies --check {shlex.quote(f'{file}:MyPolicy')}"
    out().print(f"Wrote {file}. Next: {check}", soft_wrap=True)
    return 0
