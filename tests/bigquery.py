"""Statements as BigQuery would get them. Nothing here talks to BigQuery."""

from __future__ import annotations

import re
from typing import Any

import sqlalchemy as sa
import sqlglot
from sqlalchemy_bigquery import BigQueryDialect

from cio_pipelines.warehouse import WarehouseConnection
from cio_pipelines.warehouse.protocol import Usage
from tests.sync.passing import PassingConnection, PassingWarehouse

_OTHERS = re.compile(
    r"\b(epoch|strlen|concat_ws|list_\w+|make_timestamp|rtrim|json_extract\w*|TRY_CAST|TRY)\b"
)


class RecordingConnection(PassingConnection):
    """Keeps the statements."""

    def __init__(self, inner: WarehouseConnection, statements: list[Any]) -> None:
        super().__init__(inner)
        self._statements = statements

    def passes(self, statement: sa.Executable) -> None:
        self._statements.append(statement)


class BilledWarehouse(PassingWarehouse):
    """A warehouse that seems to bill what is read, so that what is planned is planned as for BigQuery."""

    @property
    def usage(self) -> Usage | None:
        return Usage()


def bigquery(statement: Any) -> str:
    """The statement's text with `@p` for every parameter."""
    text = str(statement.compile(dialect=BigQueryDialect(paramstyle="pyformat")))
    return re.sub(r"%\(([\w.]+)(?::[^)]*)?\)s", "@p", text)


def check(text: str) -> None:
    """The statement is in BigQuery's grammar, and has nothing of DuckDB's that the grammar takes too."""
    sqlglot.parse_one(text, dialect="bigquery")
    assert " FILTER (" not in text, text
    assert "::" not in text, text
    assert not _OTHERS.search(text), text
