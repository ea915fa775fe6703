"""MERGE, which SQLAlchemy does not have; PostgreSQL and BigQuery write it alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import visitors
from sqlalchemy.sql.expression import ClauseElement, Executable


class Merge(Executable, ClauseElement):
    """Bring the rows of a query into a table: those whose key is there replace it, the others are added.

    Args:
        table: the target.
        rows: a query whose columns are all of the table's, by name, and those of `key` unique in it.
        key: names of the columns that tell rows apart.
        scope: a condition on the target with constants only, from which the engine can see which part of
            the table to read; rows outside are never matched.
        replaces: whether a row that is there is replaced; else it stays.
    """

    inherit_cache = False

    def __init__(
        self,
        table: sa.Table,
        rows: sa.Select[Any],
        key: Sequence[str],
        *,
        scope: sa.ColumnElement[bool] | None = None,
        replaces: bool = True,
    ) -> None:
        self.table = table
        self.rows = rows.subquery("source")
        self.key = list(key)
        self.scope = scope
        self.replaces = replaces

    def parts(self) -> list[sa.Executable]:
        """The same as statements to be run one after the other, in one transaction.

        DuckDB's own MERGE joins all columns of both sides: ten thousand rows into a million took 45 times as
        long as these.
        """
        table, names = self.table, [column.name for column in self.table.columns]
        rows: sa.FromClause = self.rows
        before: list[sa.Executable] = []
        after: list[sa.Executable] = []
        if any(element is table for element in visitors.iterate(self.rows.element)):
            # once rows are deleted the query would not find them again
            copies = (sa.Column(column.name, column.type) for column in table.columns)
            rows = sa.Table("merged_rows", sa.MetaData(), *copies, prefixes=["TEMPORARY"])
            found = sa.select(*(self.rows.c[name] for name in names))
            before = [sa.schema.CreateTable(rows), rows.insert().from_select(names, found)]
            after = [sa.schema.DropTable(rows)]
        same = [table.c[name] == rows.c[name] for name in self.key]
        scope = [] if self.scope is None else [self.scope]
        added = sa.select(*(rows.c[name] for name in names))
        if not self.replaces:
            unknown = ~sa.exists().where(*same, *scope)
            return [*before, table.insert().from_select(names, added.where(unknown)), *after]
        gone = table.delete().where(*scope, sa.exists().where(*same))
        return [*before, gone, table.insert().from_select(names, added), *after]


@compiles(Merge)
def _compile(merge: Merge, compiler: Any, **options: Any) -> str:
    quote = compiler.preparer.quote
    names = [column.name for column in merge.table.columns]
    target, alias = compiler.preparer.format_table(merge.table), quote(merge.table.name)

    def of_source(name: str) -> str:
        return f"source.{quote(name)}"

    matches = [f"{alias}.{quote(name)} = {of_source(name)}" for name in merge.key]
    if merge.scope is not None:
        matches.append(f"({compiler.process(merge.scope, **options)})")
    source = compiler.process(merge.rows.element, **options)
    lines = [f"MERGE INTO {target} USING ({source}) AS source ON {' AND '.join(matches)}"]
    if merge.replaces:
        updated = [name for name in names if name not in merge.key]
        assigned = ", ".join(f"{quote(name)} = {of_source(name)}" for name in updated)
        lines.append(f"WHEN MATCHED THEN UPDATE SET {assigned}")
    columns, values = ", ".join(map(quote, names)), ", ".join(map(of_source, names))
    added = f"INSERT ({columns}) VALUES ({values})"  # noqa: S608  # names, quoted
    lines.append(f"WHEN NOT MATCHED THEN {added}")
    return "\n".join(lines)
