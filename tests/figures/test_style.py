"""Colours can be told apart, and belong to the same policy in every figure."""

from __future__ import annotations

import itertools

import numpy as np
import polars as pl
import pytest
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from carbonroute import figures
from carbonroute.figures.style import POLICY_COLOURS, REGION_COLOURS, policy_styles, region_styles

from . import factory

# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB.
VISION = {
    "usual": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


def linear(colour: str) -> np.ndarray:
    channels = np.array(to_rgb(colour))
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* (D65) of linear sRGB."""
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ rgb
    ratio = xyz / [0.9505, 1.0, 1.089]
    f = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("palette", [POLICY_COLOURS, REGION_COLOURS], ids=["policies", "regions"])
def test_colours_differ_for_every_kind_of_colour_vision(palette: tuple[str, ...], vision: str) -> None:
    seen = [lab(np.clip(VISION[vision] @ linear(colour), 0, 1)) for colour in palette]
    nearest = min(
        (float(np.linalg.norm(one - other)), a, b)
        for (a, one), (b, other) in itertools.combinations(zip(palette, seen, strict=True), 2)
    )
    assert nearest[0] > 10, nearest


@pytest.mark.parametrize("colour", POLICY_COLOURS + REGION_COLOURS)
def test_colours_stand_out_from_white(colour: str) -> None:
    luminance = float(linear(colour) @ [0.2126, 0.7152, 0.0722])
    assert 1.05 / (luminance + 0.05) > 2.1


def test_thirty_policies_and_regions_all_look_different() -> None:
    names = [f"P{index}" for index in range(24)]
    for styles in (
        policy_styles(pl.DataFrame({"policy": names, "clairvoyant": [False] * 24})),
        region_styles(pl.DataFrame({"region": names})),
    ):
        assert len({style.colour for style in styles.values()}) == 24
        assert len({(style.hatch, style.colour) for style in styles.values()}) == 24
        assert len({(style.marker, style.line) for style in styles.values()}) == 24


def colours(name: str) -> set[str]:
    """Give the colours of all marks of a figure of policies."""
    ax = figures.draw(name, factory.make(policies=15))
    page = ax.get_figure(root=True)
    assert page is not None
    lines = {str(line.get_color()) for axes in [ax, *ax.child_axes] for line in axes.lines}
    bars = {
        patch.get_facecolor() if patch.get_facecolor()[:3] != (1, 1, 1) else patch.get_edgecolor()
        for axes in [ax, *ax.child_axes]
        for patch in axes.patches
        if isinstance(patch, Rectangle)
    }
    from matplotlib.colors import to_hex

    return {to_hex(colour) for colour in lines | bars}


@pytest.mark.parametrize(
    "name",
    [
        "tradeoff_curve",
        "workload_slo_violations",
        "radar_policy_comparison",
        "latency_cdf",
        "bubble_tradeoff",
        "carbon_savings_bar",
    ],
)
def test_a_policy_has_one_colour_in_all_figures(name: str) -> None:
    styles = policy_styles(factory.make(policies=15).policies)
    assert {style.colour.lower() for style in styles.values()} <= colours(name)
