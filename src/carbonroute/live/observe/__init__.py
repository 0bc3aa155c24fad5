"""Observation: requests, load, energy and health of the regions, from metrics."""
