"""Questions about what was loaded, which the checks ask."""

from __future__ import annotations

import sqlalchemy as sa

from cio_pipelines.exports.files import list_exports
from cio_pipelines.exports.tables import OTHER, TABLES, prepare_exports
from cio_pipelines.landing import LandingZone
from cio_pipelines.landing.manifest import EXPORTS, FAILED, entries_of
from cio_pipelines.landing.reports import Unloaded
from cio_pipelines.warehouse import Warehouse


class ExportAudit:
    """Looks at a landing zone and at what a warehouse has of it. Every method raises WarehouseError."""

    def __init__(self, warehouse: Warehouse, zone: LandingZone) -> None:
        self._warehouse = warehouse
        self._zone = zone

    def unloaded(self, dataset: str | None = None) -> Unloaded:
        """The files of a dataset, or of all, against the manifest. Raises LandingUnavailable too.

        `foreign` are objects of the zone that are no exports; of the datasets OTHER tells them.
        """
        exports = list_exports(self._zone)
        names = list(TABLES) if dataset is None else [dataset]
        paths = [file.path for name in names for file in exports.files[name]]
        with self._warehouse.session(), self._warehouse.connect() as connection:
            prepare_exports(connection)
            known = entries_of(connection, EXPORTS)
        return Unloaded(
            files=len(paths),
            unread=tuple(path for path in paths if path not in known),
            failed={p: known[p].reason or "" for p in paths if p in known and known[p].status == FAILED},
            foreign=exports.foreign if OTHER in names else (),
        )

    def rows(self, dataset: str) -> int:
        """Rows of a dataset's table."""
        with self._warehouse.session(), self._warehouse.connect() as connection:
            prepare_exports(connection)
            return int(connection.scalar(sa.select(sa.func.count()).select_from(TABLES[dataset])))
