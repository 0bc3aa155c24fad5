"""The reference pages are those of the models and of the command line, and complete."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from carbonroute.cli.app import app
from carbonroute.policies import POLICIES
from carbonroute.scenario import Scenario, builtin_scenarios, builtin_text
from carbonroute.spec import Spec
from documentation import keys
from documentation.docstrings import introduction, meanings
from documentation.generated import PAGES, REFERENCE
from documentation.types import in_words, unit_of
from helpers.pages import ROOT

SCENARIO = (REFERENCE / "scenario.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_not_stale(name: str) -> None:
    written = (REFERENCE / name).read_text(encoding="utf-8")
    assert written == PAGES[name](), f"docs/reference/{name} is stale: run scripts/docs reference"


def test_nothing_else_is_in_the_folder_of_generated_pages() -> None:
    assert {path.name for path in REFERENCE.iterdir()} == set(PAGES)


def test_every_key_has_a_description() -> None:
    assert keys.undescribed() == []


def test_a_key_without_a_description_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    horizon = Scenario.model_fields["horizon"].annotation
    docstring = getattr(horizon, "__doc__", "")
    monkeypatch.setattr(horizon, "__doc__", docstring.replace("    hours\n", "    hour\n"))
    assert keys.undescribed() == ["carbonroute.scenario.written.sections.Horizon.hours"]
    with pytest.raises(keys.UndescribedKeysError, match=r"Horizon\.hours"):
        keys.page()


def test_every_option_says_what_it_does_and_names_no_option_that_its_command_lacks() -> None:
    commands = (REFERENCE / "commands.md").read_text(encoding="utf-8").split("\n## ")
    for command in commands:
        bare = re.findall(r"^\* `[^`]*`:(?: \*\[.*)?$", command, re.MULTILINE)
        assert (command.split("\n")[0], bare) == (command.split("\n")[0], [])
        if "* `--json`" not in command:
            assert "with --json" not in command


def told() -> set[str]:
    """Return the keys that have a line on the page."""
    return {
        key for cell in re.findall(r"^\| (`.*?`) \|", SCENARIO, re.MULTILINE) for key in cell.split("`")[1::2]
    }


def written_keys(text: str) -> set[str]:
    """Return the words that stand before a sign of equality in a scenario, where keys do."""
    lines = [re.sub(r'"[^"]*"', '""', line.split("#")[0]) for line in text.splitlines()]
    return {key for line in lines for key in re.findall(r"(?:^|[{,]\s*)\s*([a-z_0-9]+)\s*=", line)}


def test_keys_that_scenarios_use_are_on_the_page() -> None:
    texts = [builtin_text(name) for name in builtin_scenarios()]
    texts += [path.read_text(encoding="utf-8") for path in sorted((ROOT / "examples").glob("*.toml"))]
    used = {key for text in texts for key in written_keys(text)}
    assert len(used) > 60
    # names of regions, origins, fuels and columns stand there too, but no model's field is left out
    fields = {field for place in keys.all_places() for model in place.models for field in model.model_fields}
    assert used & fields - told() - {"kind", "law"} == set()


def test_every_policy_has_a_section_with_its_parameters() -> None:
    for name, member in POLICIES.members.items():
        section = SCENARIO.split(f"### `[[policies]]` with use `{name}`\n")[1].split("\n##")[0]
        assert introduction(member) in section
        for key in getattr(member, "model_fields", {}):
            assert f"`{key}`" in section


def test_links_of_the_page_lead_to_its_headings() -> None:
    headings = re.findall(r"^#+ (.*)$", SCENARIO, re.MULTILINE)
    slugs = {
        "".join(c for c in one.lower().replace(" ", "-") if c.isalnum() or c in "-_") for one in headings
    }
    linked = set(re.findall(r"\]\(#(.*?)\)", SCENARIO))
    assert len(slugs) == len(headings)
    assert len(linked) > 15
    assert linked <= slugs


def test_every_command_is_on_the_page() -> None:
    text = (REFERENCE / "commands.md").read_text(encoding="utf-8")
    names = [name for name in app if not name.startswith("-")]
    assert len(names) >= 14
    assert [name for name in names if f"\n## carbonroute {name}\n" not in text] == []


class Sample(Spec):
    """A model of its own, for the words of types.

    More of it: ``code`` stays code.

    Attributes
    ----------
    share, part
        Of all
        requests; see `carbonroute.units`.
    wait_ms
        Time.
    """

    share: Annotated[float, Field(ge=0, le=1)]
    part: Annotated[float, Field(gt=0, lt=1)] | None = None
    wait_ms: int = Field(default=3, ge=-5)
    mark: Literal["|", "a"] = "a"
    pairs: tuple[float, float] = (0.0, 1.0)
    names: dict[str, tuple[str, ...]] = Field(default_factory=dict)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("share", "number, 0 to 1"),
        ("part", "number, > 0, < 1"),
        ("wait_ms", "whole number, ms, ≥ −5"),
        ("mark", r'`"\|"`, `"a"`'),
        ("pairs", "list of 2: number"),
        ("names", "table by name: list: text"),
    ],
)
def test_types_in_words(key: str, words: str) -> None:
    schema = Sample.model_json_schema()["properties"][key]
    assert in_words(schema, unit_of(key), "/".join) == words


def test_meanings_are_those_of_the_docstring() -> None:
    assert meanings(Sample) == {"share": "Of all requests.", "part": "Of all requests.", "wait_ms": "Time."}
    assert (
        introduction(Sample)
        == "A model of its own, for the words of types.\n\nMore of it: `code` stays code."
    )


def test_units_are_those_of_the_longest_end_of_a_name() -> None:
    assert unit_of("carbon_g_per_kwh") == "gCO2e/kWh"
    assert unit_of("bandwidth_gb_per_s") == "GB/s"
    assert unit_of("requests_per_hour") == "requests"
    assert unit_of("interval_s") == "s"
    assert unit_of("share") == ""


def test_the_pages_name_no_machine() -> None:
    for name in PAGES:
        assert str(Path.home()) not in (REFERENCE / name).read_text(encoding="utf-8")
