"""The tables of docs/live.md are read as they stand."""

from __future__ import annotations

import tomllib
from typing import get_args

import pytest

from carbonroute.live.actuators import TARGETS
from carbonroute.live.observe import Observe
from carbonroute.live.signals import PROVIDERS
from helpers.pages import ROOT, blocks

PAGE = ROOT / "docs" / "live.md"
TABLES = [tomllib.loads(block) for block in blocks(PAGE, "toml")]
BY_KIND = {get_args(target.model_fields["kind"].annotation)[0]: target for target in TARGETS}


@pytest.mark.parametrize("tables", TABLES, ids=lambda tables: str(tables["live"]["actuators"][0]["kind"]))
def test_a_table_of_the_page_is_read(tables: dict[str, dict[str, object]]) -> None:
    actuators = tables["live"].get("actuators", [])
    assert isinstance(actuators, list)
    for stated in actuators:
        target = BY_KIND[stated["kind"]].model_validate(stated)
        assert list(target.faults(("eu", "us", "ap"))) == []
    if "observe" in tables["live"]:
        Observe.model_validate(tables["live"]["observe"])


def test_the_page_names_every_kind() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert not [kind for kind in BY_KIND if f"`{kind}`" not in text]
    kinds = [get_args(provider.model_fields["kind"].annotation)[0] for provider in PROVIDERS]
    assert not [kind for kind in kinds if f"`{kind}`" not in text]
