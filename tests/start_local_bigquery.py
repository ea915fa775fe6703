"""Starts local-bigquery on DuckDB 1.5.5, in an environment of its own.

It expects DuckDB 2, which only refuses a transaction inside another one; 1.5.5 ends the outer one with it. So
a MERGE, for which the emulator begins one, could not be part of a script's transaction. Nothing else of the
emulator is touched.
"""

# the emulator is installed in another environment than the one that checks types
# pyright: reportMissingImports=false

import sys
from typing import Any

import duckdb
from local_bigquery.cli import main
from local_bigquery.jobs import merge

_run = merge.run


class _Cursor:
    """A cursor that refuses a second transaction by itself."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)

    def execute(self, sql: str, *arguments: Any) -> Any:
        if sql == "BEGIN" and self._is_in_transaction():
            raise duckdb.TransactionException("there is a transaction already")
        return self._cursor.execute(sql, *arguments)

    def _is_in_transaction(self) -> bool:
        # now() is when a transaction began: outside of one each statement has its own
        first, second = (self._cursor.execute("SELECT epoch_us(now())").fetchone() for _ in range(2))
        return first == second


def _merge(cursor: Any, *arguments: Any) -> Any:
    return _run(_Cursor(cursor), *arguments)


merge.run = _merge

if __name__ == "__main__":
    sys.exit(main())
