"""What can go wrong with a queue.

QueueError
├── QueueUnavailable   the store cannot be reached or opened; of a put it is not known whether it was kept
├── QueueFull          the bound on waiting messages is reached; nothing was kept
├── IdempotencyError   an idempotency key came again with another message; nothing was kept
└── QueueVersionError  a newer release wrote the store
"""

from __future__ import annotations


class QueueError(Exception):
    """Base of the tree. The message quotes no payload; `remedy` says what to do next."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message, remedy)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}"


class QueueUnavailable(QueueError):
    """The store cannot be reached or opened, or refused what was asked of it."""


class QueueFull(QueueError):
    """As many messages wait as may."""


class IdempotencyError(QueueError):
    """A key was used before, for another message. `position` is that of the message among those given."""

    def __init__(self, message: str, remedy: str, position: int) -> None:
        super().__init__(message, remedy)
        self.position = position


class QueueVersionError(QueueError):
    """The store has a layout that this release does not know."""
