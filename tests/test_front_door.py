from __future__ import annotations

import re
from pathlib import Path

import pytest

import carbonroute

ROOT = Path(__file__).parents[1]


def test_every_public_name_is_there_and_comes_from_its_home() -> None:
    for name in carbonroute.__all__:
        assert getattr(carbonroute, name).__name__ == name
    assert sorted(carbonroute.__all__) == carbonroute.__all__
    assert len(carbonroute.__all__) <= 20
    assert set(carbonroute.__all__) < set(dir(carbonroute))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = carbonroute.nothing_like_it


def test_the_version_is_the_newest_in_the_changelog() -> None:
    newest = re.search(
        r"^## (\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert newest is not None
    assert newest[1] == carbonroute.__version__
