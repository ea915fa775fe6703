"""Tables of our own that outlive a release: each part of the project has a version and a list of steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import sqlalchemy as sa

from cio_pipelines.warehouse.errors import StateVersionError
from cio_pipelines.warehouse.functions import UtcTimestamp
from cio_pipelines.warehouse.protocol import WarehouseConnection

Migration = Callable[[WarehouseConnection], None]


def version_table(name: str, metadata: sa.MetaData) -> sa.Table:
    """The table that holds the versions a part has had, one row each."""
    return sa.Table(name, metadata, sa.Column("version", sa.Integer), sa.Column("applied_at", UtcTimestamp))


def creation_of(*tables: sa.Table) -> Migration:
    """A step that creates tables which are not there yet."""

    def create(connection: WarehouseConnection) -> None:
        for table in tables:
            connection.execute(sa.schema.CreateTable(table, if_not_exists=True))

    return create


def migrate(connection: WarehouseConnection, versions: sa.Table, migrations: Sequence[Migration]) -> None:
    """Bring a part's tables to the version of this release, and make its schema when there is none.

    Args:
        connection: not in a transaction.
        versions: the part's version table.
        migrations: number i brings the tables from version i to i + 1; releases only ever append to them.

    Raises:
        StateVersionError: a newer release wrote them.
    """
    connection.execute(sa.schema.CreateSchema(str(versions.schema), if_not_exists=True))
    connection.execute(sa.schema.CreateTable(versions, if_not_exists=True))
    version = int(connection.scalar(sa.select(sa.func.max(versions.c.version))) or 0)
    if version > len(migrations):
        raise StateVersionError(
            f"{versions.fullname} says version {version}, and this release knows {len(migrations)}.",
            "Install the release that wrote it, or a newer one.",
        )
    for number in range(version, len(migrations)):
        with connection.transaction():
            migrations[number](connection)
            connection.execute(versions.insert().values(version=number + 1, applied_at=datetime.now(UTC)))
