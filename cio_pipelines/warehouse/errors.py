"""What can go wrong with a warehouse, and what a person does about it.

WarehouseError
├── WarehouseUnavailable   cannot be opened: no such file, no rights, not a database
│   └── WarehouseLocked    another process holds the file
├── WarehouseFull          no room left on the disk, or the memory limit was reached
├── WarehouseBusy          another run changed the same table at the same moment
├── BytesCeilingExceeded   a query would read more than WAREHOUSE_MAX_BYTES_BILLED allows
├── LoadRefused            objects of a bucket could not be read by the engine
└── StateVersionError      the state tables were written by a newer release
"""

from __future__ import annotations


class WarehouseError(Exception):
    """A warehouse operation failed.

    Args:
        message: what happened and to which database or table; never a row's content.
        remedy: one sentence that says what to do next.
    """

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(f"{message} {remedy}")
        self.message = message
        self.remedy = remedy


class WarehouseUnavailable(WarehouseError):
    """The database cannot be opened."""


class WarehouseLocked(WarehouseUnavailable):
    """Another process has the database file open; DuckDB allows one writing process at a time."""


class WarehouseFull(WarehouseError):
    """The disk is full or the memory limit was reached; the transaction was rolled back."""


class WarehouseBusy(WarehouseError):
    """Another run changed the same table at the same moment; nothing of this one's statement was kept."""


class BytesCeilingExceeded(WarehouseError):
    """A query would read more than the ceiling that was set; it did not run and costs nothing."""


class LoadRefused(WarehouseError):
    """The engine could not read objects of a bucket as what they should be; nothing of them was kept."""


class StateVersionError(WarehouseError):
    """The state tables are of a version that this release does not know."""
