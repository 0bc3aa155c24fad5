"""Analyses of one scenario over many evaluations: frontier, sensitivity, headroom."""
