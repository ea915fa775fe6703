"""The landing zone: where what Customer.io delivers is kept, unchanged, before the warehouse has it."""

from cio_pipelines.landing.errors import LandingError, LandingUnavailable, ObjectBroken, ObjectExists
from cio_pipelines.landing.zone import LandedObject, LandingZone

__all__ = [
    "LandedObject",
    "LandingError",
    "LandingUnavailable",
    "LandingZone",
    "ObjectBroken",
    "ObjectExists",
]
