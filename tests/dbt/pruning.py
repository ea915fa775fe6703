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
        if isinstance(tree, exp.Merge) and table.parent is tree:
            condition = tree.args["on"]
        else:
            select = table.find_ancestor(exp.Select)
            where = select.args.get("where") if select else None
            condition = where.this if where else None
        if not any(_leaves_out(part, column) for part in _parts(condition)):
            whole.add(name)
    return whole


def _parts(condition: exp.Expr | None) -> Iterator[exp.Expr]:
    """What must all be true."""
    condition = condition.unnest() if condition else None
    if isinstance(condition, exp.And):
        yield from _parts(condition.left)
        yield from _parts(condition.right)
    elif condition is not None:
        yield condition


def _leaves_out(part: exp.Expr, column: str) -> bool:
    if isinstance(part, exp.Boolean):
        return not part.this
    if not isinstance(part, _COMPARISONS) or not isinstance(part.left, exp.Column):
        return False
    return part.left.name == column and part.right.find(exp.Column, exp.Query) is None
