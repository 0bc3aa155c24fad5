"""Where an encoding lacks a sign, it is spelled: what a program prints can be read and told apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbonroute.cli.spelling import spelled


@pytest.mark.parametrize(
    ("text", "ascii_text"),
    [
        ("≤ 5 % – 3 × 4", "<= 5 % - 3 x 4"),
        ("g CO₂e, m², 10⁻⁶, 10¹²", "g CO2e, m^2, 10^-6, 10^12"),
        ("µs and μs, Δ, λ, σ", "us and us, Delta, lambda, sigma"),
        ("± 0.1 … ∞", "+/- 0.1 ... inf"),
        ("Zürich, Gdańsk, Łódź, Málaga", "Zurich, Gdansk, Lodz, Malaga"),
        ("東京 🌍", r"\u6771\u4eac \U0001f30d"),
        ("plain", "plain"),
    ],
)
def test_a_sign_has_its_spelling(text: str, ascii_text: str) -> None:
    assert spelled(text, "ascii") == ascii_text
    assert spelled(text, "utf-8") == text


@given(st.text(), st.sampled_from(["ascii", "latin-1", "cp1252", "cp437", "gb2312"]))
def test_any_text_can_be_printed(text: str, encoding: str) -> None:
    """Nothing is lost that the encoding has, and nothing fails."""
    shown = spelled(text, encoding)
    assert shown.encode(encoding).decode(encoding) == shown
    assert spelled(shown, encoding) == shown
    following = iter(shown)
    assert all(one in following for one in text if one.isascii())
