"""Questions about what was loaded, which the checks ask."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from cio_pipelines.exports.files import list_exports, unloaded
from cio_pipelines.exports.tables import OTHER, TABLES, prepare_exports
from cio_pipelines.landing import LandingZone
from cio_pipelines.landing.manifest import EXPORTS, failed_entries, loaded_objects
from cio_pipelines.landing.reports import Unloaded
from cio_pipelines.warehouse import Warehouse


class ExportAudit:
    """Looks at a landing zone and at what a warehouse has of it. Every method raises WarehouseError."""

    def __init__(self, warehouse: Warehouse, zone: LandingZone) -> None:
        self._warehouse = warehouse
        self._zone = zone

    def unloaded(self, datasets: Iterable[str] | None = None) -> dict[str, Unloaded]:
        """The files of datasets, or of all, against the manifest. Raises LandingUnavailable too.

        `foreign` are objects of the zone that are no exports; of the datasets OTHER tells them.
        """
        exports = list_exports(self._zone)
        with self._warehouse.session(), self._warehouse.connect() as connection:
            prepare_exports(connection)
            loaded = loaded_objects(connection, EXPORTS)
            failed = failed_entries(connection, EXPORTS)
        found: dict[str, Unloaded] = {}
        for name in TABLES if datasets is None else datasets:
            left = [file.path for file in unloaded(exports.files[name], loaded)]
            found[name] = Unloaded(
                files=len(exports.files[name]),
                unread=tuple(path for path in left if path not in failed),
                failed={path: failed[path].reason or "" for path in left if path in failed},
                foreign=exports.foreign if name == OTHER else (),
            )
        return found

    def rows(self, datasets: Iterable[str] | None = None) -> dict[str, int]:
        """How many rows the tables of datasets, or of all, have."""
        with self._warehouse.session(), self._warehouse.connect() as connection:
            prepare_exports(connection)
            return {
                name: int(connection.scalar(sa.select(sa.func.count()).select_from(TABLES[name])))
                for name in (TABLES if datasets is None else datasets)
            }
