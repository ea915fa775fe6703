"""What ends a broadcast, and what a person does about it.

    BroadcastError
    ├── RecipientsError       the model is missing, lacks a column, or holds identifiers that cannot be used
    ├── AudienceTooLarge      more people than Customer.io takes in one trigger
    ├── PartitionLate         the day is long over: its messages would come too late
    ├── BroadcastInProgress   another run is triggering this broadcast
    ├── TriggerUnclear        nobody can tell whether Customer.io took an earlier request
    ├── TriggerRefused        Customer.io said no; nobody was sent anything
    └── TriggerUnread         it is triggered, and what became of it could not be read

None carries an identifier of a person or anything about one.
"""

from __future__ import annotations

from collections.abc import Mapping


class BroadcastError(Exception):
    """A broadcast cannot go on. `message` says what happened and to which one, `remedy` what to do next."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(f"{message} {remedy}")
        self.message = message
        self.remedy = remedy


class RecipientsError(BroadcastError):
    """The model of recipients is not what a broadcast needs."""


class AudienceTooLarge(BroadcastError):
    """The audience does not fit into one trigger."""


class PartitionLate(BroadcastError):
    """The day of the partition is over for longer than the broadcast allows."""


class BroadcastInProgress(BroadcastError):
    """Another run holds the lease of this broadcast."""


class TriggerUnclear(BroadcastError):
    """A request was made, or was about to be, and whether Customer.io took it is not known."""


class TriggerRefused(BroadcastError):
    """Customer.io refused a trigger. `reasons` counts what it said of single recipients, scrubbed."""

    def __init__(self, message: str, remedy: str, reasons: Mapping[str, int]) -> None:
        super().__init__(message, remedy)
        self.args = (message, remedy, reasons)
        self.reasons = reasons

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}"


class TriggerUnread(BroadcastError):
    """Customer.io took the trigger; how far it is could not be read."""
