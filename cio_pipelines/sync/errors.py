"""What ends a sync, and what a person does about it.

    SyncError
    ├── SourceContractError    the mart is missing, lacks a column, or holds ids that cannot be synced
    ├── MappingError           a column cannot be an attribute
    ├── SyncInProgress         another run holds the lease of this workspace
    ├── UnknownRun             no such run in the ledger, or it is in the wrong state for the call
    ├── InvalidUser            an application's word on a person cannot be what it says it is
    ├── PlanOutdated           the lease under which the plan was made is gone
    ├── ApprovalRefused        the plan that is to be approved is none that can be
    └── MoveRefused            there is nothing to move, or it would mix with what is there

A row's fault is never an exception: it is an outcome in the ledger.
"""

from __future__ import annotations


class SyncError(Exception):
    """A sync cannot go on. `message` says what happened and to which thing, `remedy` what to do next."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(f"{message} {remedy}")
        self.message = message
        self.remedy = remedy


class SourceContractError(SyncError):
    """The mart is not what the sync needs."""


class MappingError(SyncError):
    """A column of the mart cannot be sent as an attribute."""


class SyncInProgress(SyncError):
    """Another run is syncing this workspace."""


class UnknownRun(SyncError):
    """The ledger has no such run, or it is not in a state that allows the call."""


class PlanOutdated(SyncError):
    """The plan may no longer fit the snapshot: another run could have synced in between."""


class ApprovalRefused(SyncError):
    """The plan that somebody approved is unknown, forgotten or carried out already; nothing was sent."""


class InvalidUser(SyncError):
    """What an application says of a person names no column, or is of another type. Nothing was sent.

    Neither the person nor the value is named: both can be personal.
    """


class MoveRefused(SyncError):
    """A move to another warehouse would find nothing, or mix with what is there; nothing was moved."""
