"""Observation of regions and traffic: one inference server or proxy, one file, and one line here."""

from __future__ import annotations

from carbonroute.live.observe.sensor import LiveSensor, NoSensor
from carbonroute.live.observe.settings import Observe

__all__ = ["LiveSensor", "NoSensor", "Observe"]
