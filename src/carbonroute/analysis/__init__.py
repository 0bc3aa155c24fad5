"""Analyses: many evaluations of one scenario, for one question each."""
