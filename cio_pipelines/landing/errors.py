"""What can go wrong with a landing zone, and what a person does about it.

LandingError
├── LandingUnavailable   cannot be reached, read or written
├── ObjectExists         an object of that name is there: objects are never changed
├── ObjectChanged        an object is no longer the one that was listed
├── ObjectBroken         an object cannot be read as what its name says it is
└── LoadInProgress       another run is loading the same objects
"""

from __future__ import annotations


class LandingError(Exception):
    """An operation on the landing zone failed.

    Args:
        message: what happened and to which object; never its content.
        remedy: one sentence that says what to do next.
    """

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(f"{message} {remedy}")
        self.message = message
        self.remedy = remedy


class LandingUnavailable(LandingError):
    """The zone cannot be reached, read or written. Trying again later may help."""


class ObjectExists(LandingError):
    """There is an object of that name."""


class ObjectChanged(LandingError):
    """The object was removed or written anew since it was listed."""


class ObjectBroken(LandingError):
    """The object is there and is not what its name says, such as a gzip file that ends too early."""


class LoadInProgress(LandingError):
    """Another run is loading the same objects, or took over because this one did not show that it lives."""
