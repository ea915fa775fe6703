"""What a landing zone needs of the place that it is in; `folder.py` and `bucket.py` give it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, order=True)
class LandedObject:
    """An object: `path` inside the zone with `/` between its parts, `size` in bytes.

    `generation` is a bucket's number of what was written under that name; 0 in a folder, which has none.
    """

    path: str
    size: int
    generation: int = field(default=0, compare=False)


class NameTaken(Exception):
    """There is an object of that name."""


class Gone(Exception):
    """There is no object of that name and generation."""


class Store(Protocol):
    """Paths are relative to the zone, without a slash at either end. What it raises else is its own."""

    def create(self, path: str, data: bytes) -> None:
        """Write an object, whole and durable when this returns. Raises NameTaken."""
        ...

    def read(self, path: str, generation: int) -> bytes:
        """The bytes of an object, of this generation unless it is 0. Raises Gone."""
        ...

    def chunks(self, path: str, generation: int, size: int) -> Iterator[bytes]:
        """As `read`, at most `size` bytes at a time."""
        ...

    def folders(self, prefix: str) -> list[str]:
        """Names of the folders directly under a folder."""
        ...

    def objects(self, prefix: str, after: str, limit: int | None) -> Iterator[LandedObject]:
        """Objects directly in a folder by name, from the first after `after` on, at most `limit`."""
        ...

    def check_writable(self) -> None:
        """Do what tells whether `create` works now."""
        ...

    def reason(self, error: Exception) -> str | None:
        """What an error of this store says, without names of accounts; None for an error of others."""
        ...
