"""Measurements: medians and ratios, never a gate."""
