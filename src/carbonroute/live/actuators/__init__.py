"""Actuators: what carries weights to the traffic machinery; each in one file and one line here."""
