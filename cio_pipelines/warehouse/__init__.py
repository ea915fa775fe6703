"""The team's database: run a SQLAlchemy statement, stream Arrow out, append Arrow in.

No orchestrator, no Customer.io.
"""

from cio_pipelines.warehouse.connect import open_warehouse
from cio_pipelines.warehouse.errors import (
    BytesCeilingExceeded,
    LoadRefused,
    StateVersionError,
    WarehouseBusy,
    WarehouseError,
    WarehouseFull,
    WarehouseLocked,
    WarehouseUnavailable,
)
from cio_pipelines.warehouse.protocol import LineLoads, Warehouse, WarehouseConnection

__all__ = [
    "BytesCeilingExceeded",
    "LineLoads",
    "LoadRefused",
    "StateVersionError",
    "Warehouse",
    "WarehouseBusy",
    "WarehouseConnection",
    "WarehouseError",
    "WarehouseFull",
    "WarehouseLocked",
    "WarehouseUnavailable",
    "open_warehouse",
]
