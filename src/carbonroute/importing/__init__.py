"""Importing a user's own files: access logs, metrics, tables and traces become a scenario with its data."""
