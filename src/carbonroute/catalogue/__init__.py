"""Facts about cloud regions, grid zones, models and GPUs, each with its source, as typed records."""

from __future__ import annotations

from carbonroute.catalogue.gpus import Gpu, gpu, gpus, search_gpus
from carbonroute.catalogue.language_models import (
    LanguageModel,
    language_model,
    language_models,
    search_language_models,
)
from carbonroute.catalogue.models import Model, model, models
from carbonroute.catalogue.regions import (
    CloudRegion,
    cloud_region,
    cloud_regions,
    nearest,
    remedy_for,
    search,
)
from carbonroute.catalogue.zones import Zone, correlations, zones

__all__ = [
    "CloudRegion",
    "Gpu",
    "LanguageModel",
    "Model",
    "Zone",
    "cloud_region",
    "cloud_regions",
    "correlations",
    "gpu",
    "gpus",
    "language_model",
    "language_models",
    "model",
    "models",
    "nearest",
    "remedy_for",
    "search",
    "search_gpus",
    "search_language_models",
    "zones",
]
