"""Which tables a statement of BigQuery reads whole, though they are partitioned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import sqlglot
from sqlglot import exp

_COMPARISONS = (exp.GTE, exp.GT, exp.LTE, exp.LT, exp.EQ)


def read_whole(statement: str, partitioned: Mapping[str, str]) -> set[str]:
    """The partitioned tables that a statement reads without leaving out partitions.

    Partitions are left out where the statement that reads a table compares the column that partitions it with
    an expression of constants. What a subquery or another table says leaves out nothing.

    Args:
        statement: one statement.
        partitioned: by `dataset.table`, the column that it is partitioned by.
    """
    tree = sqlglot.parse_one(statement, dialect="bigquery")
    whole: set[str] = set()
    for table in tree.find_all(exp.Table):
        name = f"{table.db}.{table.name}"
        column = partitioned.get(name)
        if column is None or (
            isinstance(tree, exp.Create | exp.Drop) and table.find_ancestor(exp.Select) is None
        ):
            continue
        written = (
            tree.this.this if isinstance(tree, exp.Insert) and isinstance(tree.this, exp.Schema) else None
        )
        if table is written or _counts_only(table):
            continue
        parts = [part for condition in _conditions(tree, table) for part in _parts(condition)]
        if not any(_leaves_out(part, column, table.alias_or_name) for part in parts):
            whole.add(name)
    return whole


def _counts_only(table: exp.Table) -> bool:
    """Whether all that is asked of a table is how many rows it has, which BigQuery knows."""
    select = table.find_ancestor(exp.Select)
    if select is None or select.args.get("where") or select.args.get("joins"):
        return False
    return all(isinstance(each.unalias(), exp.Count) and each.find(exp.Star) for each in select.expressions)


def _conditions(tree: exp.Expr, table: exp.Table) -> Iterator[exp.Expr | None]:
    """What the statement says of the rows that it reads of a table."""
    if isinstance(tree, exp.Merge) and table.parent is tree:
        yield tree.args["on"]
        return
    if isinstance(table.parent, exp.Join):
        yield table.parent.args.get("on")
        if table.parent.side:
            return
    reader = table.find_ancestor(exp.Select, exp.Update, exp.Delete)
    if isinstance(reader, exp.Select) and not reader.args.get("expressions"):
        reader = None
    where = reader.args.get("where") if reader else None
    yield where.this if where else None
    if isinstance(reader, exp.Select) and table.parent is not None and not isinstance(table.parent, exp.Join):
        # the other side of an inner join says it too
        for join in reader.args.get("joins") or ():
            if not join.side:
                yield join.args.get("on")


def _parts(condition: exp.Expr | None) -> Iterator[exp.Expr]:
    """What must all be true."""
    condition = condition.unnest() if condition else None
    if isinstance(condition, exp.And):
        yield from _parts(condition.left)
        yield from _parts(condition.right)
    elif condition is not None:
        yield condition


def _leaves_out(part: exp.Expr, column: str, alias: str) -> bool:
    if isinstance(part, exp.Boolean):
        return not part.this
    if not isinstance(part, _COMPARISONS) or not isinstance(part.left, exp.Column):
        return False
    is_its = part.left.name == column and part.left.table in ("", alias)
    return is_its and part.right.find(exp.Column, exp.Query) is None
