"""``carbonroute init``: a scenario file to start from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

from cyclopts import Parameter

from carbonroute.catalogue import cloud_region, cloud_regions, model, models, nearest
from carbonroute.cli.terminal import out
from carbonroute.errors import Fault, InputError, did_you_mean
from carbonroute.files.folder import create_named
from carbonroute.scenario import builtin_scenarios, builtin_text
from carbonroute.scenario.draft import DEFAULT_MODEL, draft

T = TypeVar("T")
_STARTER = "starter"


def init(
    file: Path,
    /,
    *,
    source: Annotated[str | None, Parameter(name="--from")] = None,
    regions: Annotated[str | None, Parameter(name="--regions")] = None,
    served: Annotated[str | None, Parameter(name="--models")] = None,
) -> int:
    """Write a commented, runnable scenario file.

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
    """
    if regions is not None:
        if source is not None:
            raise InputError("--from", [Fault("", "found beside --regions", "state one of them")])
        text = _of_regions(file, regions, served)
    elif served is not None:
        remedy = "state the regions that serve them: --regions aws:eu-west-1,aws:us-east-1"
        raise InputError("--models", [Fault("", "found without --regions", remedy)])
    else:
        text = _of_builtin(source or _STARTER)
    create_named(file, text.encode())
    out().print(f"Wrote {file}. Next: carbonroute simulate {file}", soft_wrap=True)
    return 0


def _of_builtin(source: str) -> str:
    if source not in builtin_scenarios():
        raise InputError(
            "--from", [Fault("", f"no scenario {source!r}", did_you_mean(source, builtin_scenarios()))]
        )
    return builtin_text(source)


def _of_regions(file: Path, regions: str, served: str | None) -> str:
    found_regions = _members("--regions", regions, cloud_region, _unknown_region)
    found_models = _members(
        "--models", served or DEFAULT_MODEL, model, lambda name: did_you_mean(name, models())
    )
    name = "".join(c for c in file.stem if c.isprintable()).strip()[:100] or "regions"
    return draft(name, found_regions, found_models, chosen=served is not None)


def _members(
    option: str, text: str, find: Callable[[str], T | None], remedy: Callable[[str], str]
) -> Sequence[T]:
    """Return the members of the catalogue that an option names; refuse unknown and repeated ones."""
    names = [name.strip() for name in text.split(",")]
    found = {name: find(name) for name in names}

    def faults() -> Iterator[Fault]:
        for place, name in enumerate(names):
            if found[name] is None:
                yield Fault("", f"the catalogue has no {name!r}", remedy(name), "unknown-name")
            elif found[name] in [found[other] for other in names[:place]]:
                yield Fault("", f"{name!r} stands twice", "names must differ", "repeated-name")

    if refused := list(faults()):
        raise InputError(option, refused)
    return [member for name in names if (member := found[name]) is not None]


def _unknown_region(name: str) -> str:
    near = nearest(name)
    return (
        f"did you mean {', '.join(near)}?"
        if near
        else f"`carbonroute regions` lists all {len(cloud_regions())}"
    )
