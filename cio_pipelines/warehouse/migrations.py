"""Tables of our own that outlive a release: each part of the project has a version and a list of steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import ExecutableDDLElement

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


class AddColumn(ExecutableDDLElement):
    """Add a column to its table, unless it is there."""

    def __init__(self, column: sa.Column[Any]) -> None:
        self.column = column


@compiles(AddColumn)
def _add_column(addition: AddColumn, compiler: Any, **_: Any) -> str:
    column, preparer = addition.column, compiler.preparer
    kind = compiler.dialect.type_compiler_instance.process(column.type)
    table = preparer.format_table(column.table)
    return f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {preparer.format_column(column)} {kind}"


def migrate(connection: WarehouseConnection, versions: sa.Table, migrations: Sequence[Migration]) -> None:
    """Bring a part's tables to the version of this release, and make its schema when there is none.

    Args:
        connection: not in a transaction.
        versions: the part's version table.
        migrations: number i brings the tables from version i to i + 1; releases only ever append to them.
            Each must be able to follow a try that was killed: not every engine makes tables in a transaction.

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
        migrations[number](connection)
        connection.execute(versions.insert().values(version=number + 1, applied_at=datetime.now(UTC)))
