"""docs/reference/scenario.md and live.md: every key of a scenario and of a live file, from their models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeAlias, get_args, get_origin

from pydantic import BaseModel

from carbonroute.live.config import LiveConfig
from carbonroute.policies import POLICIES
from carbonroute.scenario import Scenario
from carbonroute.scenario.written.entry import PolicyEntry
from carbonroute.spec import Spelled
from documentation.docstrings import introduction, meanings
from documentation.types import code, in_words, unit_of

Model: TypeAlias = type[BaseModel]

_TOP = """# Scenario keys

Every key that a scenario file can have, with its type, its default and its meaning. This page is made from
the models that read scenarios (`scripts/docs reference`); a key that is not on it is refused.
[The model](../model.md) has the formulas and the rules for data.

A scenario is a TOML file. `[name]` is a table that stands once, `[[name]]` one of several; a short table may
stand on one line: `horizon = { hours = 24 }`. A *required* key has no default; one whose default is *none*
may be left out. Hours of the day and offsets of time are in hours.
"""

_LIVE = """# Keys of a live file

Every key that a live file can have, with its type, its default and its meaning; [live](../live.md) explains
how they work together. This page is made from the models that read live files; a key that is not on it is
refused.
Keys whose name ends in `_env` hold the name of an environment variable, never a secret.
"""

#: The keys that tell the members of a family apart.
_TELLS = ("kind", "law")


class UndescribedKeysError(Exception):
    """Keys have no description in the docstring of their model."""


@dataclass(frozen=True)
class Row:
    """A key of a table: its name, and the Markdown of its type, default and meaning."""

    key: str
    type: str
    default: str
    meaning: str


@dataclass(frozen=True)
class Place:
    """A place of a scenario that holds a table: its path, and the models that can stand there."""

    path: str
    models: tuple[Model, ...]

    @property
    def level(self) -> str:
        """The signs of its heading."""
        return "###" if " " in self.path else "##"

    def heading(self, model: Model) -> str:
        """Return the heading of one of its models, or of all, where there is one alone."""
        if len(self.models) == 1:
            return f"`{self.path}`"
        key, value = _told_by(model)
        return f"`{self.path}` of {key} `{value}`"


def page() -> str:
    """Return the page of scenarios.

    Raises
    ------
    UndescribedKeysError
        If the docstring of a model lacks a key.
    """
    return _page(_TOP, Scenario, Places(list(all_places())))


def live_page() -> str:
    """Return the page of live files; tables that scenarios have too are on theirs.

    Raises
    ------
    UndescribedKeysError
        If the docstring of a model lacks a key.
    """
    scenario = list(all_places())
    there = {model for place in scenario for model in place.models}
    return _page(_LIVE, LiveConfig, Places(list(all_places(LiveConfig, there)), scenario, "scenario.md"))


def _page(top: str, root: Model, places: Places) -> str:
    parts = [top, "## The file\n", _table(_rows(root, places))]
    for place in places.here:
        parts += _section(place, places)
        if PolicyEntry in place.models:
            parts += _policies(places)
    return "\n".join(parts).rstrip() + "\n"


def undescribed() -> list[str]:
    """Return the keys without a description, as `module.Model.key`."""
    models: list[Model] = [Scenario, *(model for place in all_places() for model in place.models)]
    models += [LiveConfig, *(model for place in all_places(LiveConfig, models) for model in place.models)]
    models += (member for member in POLICIES.members.values() if issubclass(member, BaseModel))
    return [
        f"{model.__module__}.{model.__qualname__}.{name}"
        for model in models
        for name in model.model_fields
        if name not in meanings(model) and not _is_fixed(model, name)
    ]


def all_places(root: Model = Scenario, elsewhere: Iterable[Model] = ()) -> Iterator[Place]:
    """Yield the places of a file's tables, each above those below it; a model has one, or is elsewhere."""
    sections = dict(_tables(root))
    known = {model for models in sections.values() for model in models} | set(elsewhere)
    for key, models in sections.items():
        many = _is_list(root.model_fields[key].annotation)
        waiting = [Place(f"[[{key}]]" if many else f"[{key}]", models)]
        while waiting:
            place = waiting.pop(0)
            yield place
            for one in (below for model in place.models for below in _tables(model)):
                if not known.issuperset(one[1]):
                    known.update(one[1])
                    waiting.append(Place(f"{place.path} {one[0]}", one[1]))


def _tables(owner: Model) -> Iterator[tuple[str, tuple[Model, ...]]]:
    """Yield the keys of a model that hold tables of their own, and the models of these."""
    for name, field in owner.model_fields.items():
        if models := tuple(_named(field.annotation, *field.metadata)):
            yield field.alias or name, models


def _named(*annotations: Any) -> Iterator[Model]:
    """Yield the models that annotations name."""
    for one in annotations:
        if get_origin(one) is None and isinstance(one, type) and issubclass(one, BaseModel):
            yield one
        else:
            yield from _named(*get_args(one))


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) is tuple or any(map(_is_list, get_args(annotation)))


def _is_fixed(model: Model, name: str) -> bool:
    """Whether a field has one value alone, which tells its model from the others."""
    return name in _TELLS and len(get_args(model.model_fields[name].annotation)) == 1


def _told_by(model: Model) -> tuple[str, str]:
    """Return the key that tells a family's members apart, and this one's value."""
    key = next(key for key in _TELLS if key in model.model_fields)
    return key, get_args(model.model_fields[key].annotation)[0]


def _section(place: Place, places: Places) -> Iterator[str]:
    yield f"{place.level} `{place.path}`\n"
    rows = {model: _rows(model, places) for model in place.models}
    if len(rows) == 1:
        ((model, own),) = rows.items()
        yield f"{introduction(model)}\n"
        yield _table(own)
        return
    shared = _shared(rows)
    for models, common in shared.items():
        key = _told_by(models[0])[0]
        values = ", ".join(f"`{_told_by(model)[1]}`" for model in models)
        yield f"Keys of {key} {values}:\n" if len(models) < len(rows) else f"Keys of every {key}:\n"
        yield _table(common)
    told = {row for common in shared.values() for row in common}
    for model, all_of_it in rows.items():
        yield f"{place.level}# {place.heading(model)}\n"
        yield f"{introduction(model)}\n"
        yield _table([row for row in all_of_it if row not in told and row.key not in _TELLS])


def _shared(rows: Mapping[Model, Sequence[Row]]) -> dict[tuple[Model, ...], list[Row]]:
    """Return the rows that three models and more of a family share, by these models."""
    groups: dict[tuple[Model, ...], list[Row]] = {}
    for row in dict.fromkeys(row for own in rows.values() for row in own):
        models = tuple(model for model, own in rows.items() if row in own)
        if len(models) >= 3:
            groups.setdefault(models, []).append(row)
    return groups


def _policies(places: Places) -> Iterator[str]:
    for name, member in POLICIES.members.items():
        yield f"### `[[policies]]` with use `{name}`\n"
        yield f"{introduction(member)}\n"
        yield _table(_rows(member, places))


def _rows(model: Model, places: Places) -> list[Row]:
    schema, described = model.model_json_schema()["properties"], meanings(model)
    rows = []
    for name, field in model.model_fields.items():
        key = field.alias or name
        if name not in described and not _is_fixed(model, name):
            raise UndescribedKeysError(", ".join(undescribed()))
        meaning = described.get(name, "Always this one.").replace("|", "\\|")
        default = (
            "required" if field.is_required() else _default(field.get_default(call_default_factory=True))
        )
        default = schema[key].get("left_out", default)
        rows.append(Row(key, in_words(schema[key], unit_of(key), places), default, meaning))
    return rows


def _default(value: Any) -> str:
    if value in (None, "", (), {}):
        return "none"
    if isinstance(value, BaseModel):
        return "its defaults"
    return code(str(value) if isinstance(value, Spelled) else value)


@dataclass(frozen=True)
class Places:
    """The places of tables on a page, and on another one that it leads to."""

    here: Sequence[Place]
    there: Sequence[Place] = ()
    other_page: str = ""

    def __call__(self, names: Sequence[str]) -> str:
        """Return links to the sections of models: one to a whole family, or one to each of some members."""
        pages = [(place, "") for place in self.here] + [(place, self.other_page) for place in self.there]
        place, page = next(one for one in pages if names[0] in {model.__name__ for model in one[0].models})
        if len(names) == len(place.models):
            return _link(f"`{place.path}`", f"`{place.path}`", page)
        chosen = [model for model in place.models if model.__name__ in names]
        return " or ".join(_link(f"`{_told_by(model)[1]}`", place.heading(model), page) for model in chosen)


def _link(text: str, heading: str, page: str) -> str:
    slug = "".join(c for c in heading.lower().replace(" ", "-") if c.isalnum() or c in "-_")
    return f"[{text}]({page}#{slug})"


def _table(rows: Sequence[Row]) -> str:
    """Return a table of keys; neighbours that differ in their names alone share a line."""
    if not rows:
        return ""
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for (kind, default, meaning), group in groupby(rows, lambda row: (row.type, row.default, row.meaning)):
        keys = ", ".join(f"`{row.key}`" for row in group)
        lines.append(f"| {keys} | {kind} | {default} | {meaning} |")
    return '<div class="keys" markdown>\n\n' + "\n".join(lines) + "\n\n</div>\n"
