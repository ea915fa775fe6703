"""The dbt project on PostgreSQL and on BigQuery's stand-in, with the tables that a DuckDB file has.

The tables are carried over as they are, so that all engines build from the same rows.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import duckdb
import psycopg
import sqlalchemy as sa
import yaml
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from psycopg import sql
from sqlalchemy.dialects import postgresql
from sqlalchemy_bigquery import BigQueryDialect

from cio_pipelines.dbt import PROJECT_DIR
from cio_pipelines.dbt_target import dbt_environment, dbt_executable, profiles_folder
from cio_pipelines.landing.manifest import landed_files
from cio_pipelines.settings import load_settings
from cio_pipelines.webhooks.tables import webhook_events
from tests.emulators import PROJECT, Emulator

LOADED = (webhook_events, landed_files)
Row = tuple[Any, ...]


def application(database: Path) -> list[sa.Table]:
    """The tables of the schema `app` of a DuckDB file."""
    found: dict[str, sa.Table] = {}
    types = {"VARCHAR": sa.String(), "BOOLEAN": sa.Boolean(), "INTEGER": sa.BigInteger(), "DATE": sa.Date()}
    with duckdb.connect(str(database), read_only=True) as connection:
        columns = connection.execute(
            "select table_name, column_name, data_type from information_schema.columns "
            "where table_schema = 'app' order by table_name, ordinal_position"
        ).fetchall()
    metadata = sa.MetaData(schema="app")
    for table, column, kind in columns:
        made = found.setdefault(table, sa.Table(table, metadata))
        default = sa.TIMESTAMP() if kind.startswith("TIMESTAMP") else sa.Numeric(38, 9)
        made.append_column(sa.Column(column, types.get(kind, default)))
    return list(found.values())


def rows_of(database: Path, table: sa.Table) -> list[Row]:
    """All rows of a table of a DuckDB file."""
    names = ", ".join(column.name for column in table.columns)
    with duckdb.connect(str(database), read_only=True) as connection:
        connection.execute("set timezone = 'UTC'")
        return connection.execute(f"select {names} from {table.fullname}").fetchall()


@dataclass(frozen=True)
class Built:
    """How a dbt command ended: each node's status, the SQL of each, and what dbt said."""

    statuses: dict[str, str]
    compiled: dict[str, str]
    said: str


class Target(Protocol):
    """A warehouse that dbt builds in."""

    @property
    def environment(self) -> dict[str, str]:
        """The settings that name it."""
        ...

    def take(self, database: Path) -> None:
        """Replace the source tables by those of a DuckDB file."""
        ...

    def statements(self) -> dict[str, list[str]]:
        """What dbt ran since the last call, by node; nothing where the server does not tell."""
        ...

    def columns(self, schema: str, table: str) -> list[str]:
        """The columns of a table or view, in order."""
        ...

    def rows(self, schema: str, table: str, columns: Sequence[str]) -> list[Row]:
        """All rows of a table or view."""
        ...


def run_dbt(target: Target, folder: Path, *arguments: str, project: Path = PROJECT_DIR) -> Built:
    """Run the dbt that the settings choose, with its state in a folder."""
    settings = load_settings(target.environment)
    environment = {**os.environ, **target.environment, **dbt_environment(settings, "a-run")}
    environment |= {"DBT_TARGET_PATH": str(folder), "DBT_LOG_PATH": str(folder)}
    profiles = target.environment.get("DBT_PROFILES_DIR") or str(profiles_folder(PROJECT_DIR))
    where = ["--project-dir", str(project), "--profiles-dir", profiles]
    done = subprocess.run(
        [dbt_executable(settings), *arguments, *where],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    if not (folder / "run_results.json").exists():
        raise AssertionError(done.stdout)
    results = json.loads((folder / "run_results.json").read_text())["results"]
    nodes = json.loads((folder / "manifest.json").read_text())["nodes"]
    return Built(
        statuses={result["unique_id"].split(".")[2]: result["status"] for result in results},
        compiled={
            node["name"]: node["compiled_code"]
            for node in nodes.values()
            if node["resource_type"] in ("model", "snapshot") and node.get("compiled_code")
        },
        said=done.stdout,
    )


class PostgreSQLTarget:
    """A database of a PostgreSQL server."""

    def __init__(self, url: str) -> None:
        self.environment = {"WAREHOUSE_URL": url}
        self._url = sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)

    def take(self, database: Path) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            for table in (*application(database), *LOADED):
                for statement in (
                    f"create schema if not exists {table.schema}",
                    f"drop table if exists {table.fullname} cascade",
                    str(sa.schema.CreateTable(table).compile(dialect=postgresql.dialect())),
                ):
                    connection.execute(statement.encode())
                with connection.cursor().copy(f"copy {table.fullname} from stdin".encode()) as copy:
                    for row in rows_of(database, table):
                        copy.write_row(row)

    def statements(self) -> dict[str, list[str]]:
        return {}

    def columns(self, schema: str, table: str) -> list[str]:
        with psycopg.connect(self._url) as connection:
            cursor = connection.execute(
                sql.SQL("select * from {} limit 0").format(sql.Identifier(schema, table))
            )
            return [column.name for column in cursor.description or ()]

    def rows(self, schema: str, table: str, columns: Sequence[str]) -> list[Row]:
        query = sql.SQL("select {} from {}").format(
            sql.SQL(", ").join(map(sql.Identifier, columns)), sql.Identifier(schema, table)
        )
        with psycopg.connect(self._url) as connection:
            return connection.execute(query).fetchall()


class BigQueryTarget:
    """The stand-in for BigQuery, with a profile of its own: it knows no credentials."""

    def __init__(self, emulator: Emulator, folder: Path) -> None:
        profile: dict[str, Any] = yaml.safe_load((PROJECT_DIR / "profiles.yml").read_text())
        output = profile["cio_pipelines"]["outputs"]["prod"]
        output |= {"method": "oauth-secrets", "token": "none", "api_endpoint": emulator.url}
        profile["cio_pipelines"]["outputs"] = {"prod": output}
        (folder / "profiles.yml").write_text(yaml.safe_dump(profile))
        self.environment = {
            "WAREHOUSE_URL": f"bigquery://{PROJECT}/models?location=EU",
            "DBT_PROFILES_DIR": str(folder),
        }
        self._url = emulator.url
        self._seen: set[str] = set()

    def statements(self) -> dict[str, list[str]]:
        """What dbt ran since the last call, by the node that it was run for."""
        found: dict[str, list[str]] = {}
        with closing(self._client()) as client:
            jobs = [job for job in client.list_jobs(max_results=1000) if isinstance(job, bigquery.QueryJob)]
        for job in jobs:
            statement = str(job.query)
            comment = re.search(r"/\* (.*) \*/;?\s*$", statement)
            if comment and job.job_id not in self._seen:
                found.setdefault(json.loads(comment[1])["model"], []).append(statement)
        self._seen |= {str(job.job_id) for job in jobs}
        return found

    def _client(self) -> bigquery.Client:
        return bigquery.Client(
            PROJECT, credentials=AnonymousCredentials(), client_options={"api_endpoint": self._url}
        )

    def take(self, database: Path) -> None:
        with closing(self._client()) as client:
            for table in (*application(database), *LOADED):
                client.create_dataset(str(table.schema), exists_ok=True)
                client.delete_table(table.fullname, not_found_ok=True)
                made = str(sa.schema.CreateTable(table).compile(dialect=BigQueryDialect()))
                client.query_and_wait(made)
                names = [column.name for column in table.columns]
                rows = rows_of(database, table)
                lines = (json.dumps(dict(zip(names, map(_json, row), strict=True))) for row in rows)
                if rows:
                    client.load_table_from_file(
                        io.BytesIO("\n".join(lines).encode()),
                        table.fullname,
                        job_config=bigquery.LoadJobConfig(
                            source_format="NEWLINE_DELIMITED_JSON", write_disposition="WRITE_APPEND"
                        ),
                    ).result()

    def columns(self, schema: str, table: str) -> list[str]:
        with closing(self._client()) as client:
            found = client.get_table(f"{schema}.{table}")
            return [column.name for column in found.schema]

    def rows(self, schema: str, table: str, columns: Sequence[str]) -> list[Row]:
        with closing(self._client()) as client:
            found = client.query_and_wait(f"select {', '.join(columns)} from `{schema}.{table}`")
            return [tuple(row.values()) for row in found]


def _json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat() + "Z"
    if isinstance(value, date | Decimal):
        return str(value)
    return value


def comparable(value: Any) -> Any:
    """A value as all engines have it: moments in UTC without a zone, decimals without trailing zeros."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).replace(tzinfo=None)
    if isinstance(value, Decimal):
        return value.normalize()
    return value
