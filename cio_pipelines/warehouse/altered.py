"""Whether tables of our own are still as this release made them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from cio_pipelines.warehouse.protocol import Warehouse


def altered(warehouse: Warehouse, tables: Iterable[sa.Table]) -> list[str]:
    """What somebody else has changed: columns that are gone or of another kind. More columns do not matter.

    Args:
        warehouse: the database.
        tables: of our own; one that is not there yet is as it should be.

    Returns:
        A line a column, such as `customerio_sync.sync_plan.phase is gone`.

    Raises:
        WarehouseError: the warehouse cannot be read.
    """
    found: list[str] = []
    with warehouse.session():
        for table in tables:
            columns = warehouse.columns(str(table.schema), table.name)
            for column in table.columns if columns else ():
                name = f"{table.fullname}.{column.name}"
                if column.name not in columns:
                    found.append(f"{name} is gone")
                elif _kind(columns[column.name]) != _kind(column.type):
                    found.append(f"{name} is {columns[column.name]} now")
    return found


def _kind(type_: sa.types.TypeEngine[Any]) -> object:
    """What Python makes of a column's values; None for what nothing of ours is made of."""
    plain = type_.impl_instance if isinstance(type_, sa.types.TypeDecorator) else type_
    try:
        return plain.python_type
    except NotImplementedError:
        return None
