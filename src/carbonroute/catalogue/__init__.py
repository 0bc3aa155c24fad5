"""Facts about cloud regions, grid zones and models, each with its source: package data and typed records."""

from __future__ import annotations

from carbonroute.catalogue.models import Model, model, models
from carbonroute.catalogue.regions import CloudRegion, cloud_region, cloud_regions, nearest, search
from carbonroute.catalogue.zones import Zone, correlations, zones

__all__ = [
    "CloudRegion",
    "Model",
    "Zone",
    "cloud_region",
    "cloud_regions",
    "correlations",
    "model",
    "models",
    "nearest",
    "search",
    "zones",
]
