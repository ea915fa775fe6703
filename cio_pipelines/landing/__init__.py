"""The landing zone: where what Customer.io delivers is kept, unchanged, before the warehouse has it."""

from cio_pipelines.landing.errors import (
    LandingError,
    LandingUnavailable,
    LoadInProgress,
    ObjectBroken,
    ObjectChanged,
    ObjectExists,
)
from cio_pipelines.landing.stores import LandedObject
from cio_pipelines.landing.zone import LandingZone

__all__ = [
    "LandedObject",
    "LandingError",
    "LandingUnavailable",
    "LandingZone",
    "LoadInProgress",
    "ObjectBroken",
    "ObjectChanged",
    "ObjectExists",
]
