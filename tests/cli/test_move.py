"""A company moves from the embedded default to PostgreSQL by the commands of docs/moving.md."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
import sqlalchemy as sa

from cio_pipelines.sandbox import SandboxServer
from cio_pipelines.warehouse import Warehouse, open_warehouse
from tests.cli.conftest import Cli
from tests.dbt.engines import application

HISTORY = sa.table(
    "app_consent_history",
    *map(
        sa.column,
        ("user_id", "marketing_opt_in", "updated_at", "dbt_scd_id", "dbt_valid_from", "dbt_valid_to"),
    ),
    schema="snapshots",
)


def carry_application(database: Path, target: Warehouse) -> None:
    """What the team does: the application's tables are in the new warehouse too."""
    with target.connect() as connection:
        connection.execute(sa.schema.CreateSchema("app", if_not_exists=True))
        for table in application(database):
            connection.execute(sa.schema.DropTable(table, if_exists=True))
            connection.execute(sa.schema.CreateTable(table))
            with duckdb.connect(str(database), read_only=True) as old:
                rows: pa.Table = old.execute(f"select * from {table.fullname}").to_arrow_table()
            connection.append(table, rows)


def history(warehouse: Warehouse) -> list[tuple[object, ...]]:
    with warehouse.connect() as connection:
        return sorted((tuple(row) for row in connection.rows(sa.select(HISTORY))), key=repr)


@pytest.mark.slow
def test_a_company_moves_and_nobody_is_sent_again(
    cli: Cli, sandbox: SandboxServer, postgres_url: str
) -> None:
    assert cli("sync", "people", "--full").code == 0
    cli.execute("update app.users set marketing_opt_in = not marketing_opt_in where hash(user_id) % 50 = 0")
    assert cli("sync", "people", "--full", "--allow-changes").code == 0
    letters = cli("dead-letters", "list", "--limit", "1000").out
    left, new = f"duckdb:///{cli.database}", open_warehouse(postgres_url)
    carry_application(cli.database, new)
    before = sandbox.operations()
    cli.environment["WAREHOUSE_URL"] = postgres_url

    moved = cli("move", "--from", left)
    assert moved.code == 0, moved.err
    assert "customerio_sync.synced_people" in moved.out
    assert "then `cio move --adopt`" in moved.out
    early = cli("move", "--adopt")
    assert early.code == 1
    assert "has no analytics.customerio_people yet" in early.err

    built = cli("sync", "people", "--full", "--dry-run", "--json")
    assert built.line["planned"] > 0  # by another engine's spelling
    adopted = cli("move", "--adopt", "--json")
    assert adopted.code == 0, adopted.err
    assert adopted.line["adoption"]["differing"] == adopted.line["adoption"]["waiting_differing"] == 0
    assert adopted.line["adoption"]["people"] > 2_000
    synced = cli("sync", "people", "--full", "--json")

    assert synced.code == 0, synced.err
    assert (synced.line["planned"], synced.line["requests"]) == (0, 0)
    assert sandbox.operations() == before
    assert cli("dead-letters", "list", "--limit", "1000").out == letters
    versions = history(new)
    assert versions == history(open_warehouse(left))
    assert len(versions) > 3_000

    with new.connect() as connection:
        users = sa.table("users", sa.column("user_id"), sa.column("marketing_opt_in"), schema="app")
        answered = users.c.marketing_opt_in.is_(False)
        [[turned]] = connection.rows(sa.select(sa.func.min(users.c.user_id)).where(answered))
        connection.execute(users.update().where(users.c.user_id == turned).values(marketing_opt_in=sa.true()))
    assert cli("sync", "people", "--full").code == 0
    noticed = set(history(new)) - set(versions)
    assert [user for user, *_ in noticed] == [turned, turned]
    assert len(history(new)) == len(versions) + 1


def test_what_cannot_be_moved_is_said_in_a_line(cli: Cli, postgres_url: str) -> None:
    here = cli.environment["WAREHOUSE_URL"]
    for arguments, told in (
        ((), "Give --from, --adopt, or both."),
        (("--from", here), "name the same warehouse"),
        (("--from", "mysql://me:secret@host/db"), "--from names no database"),
        (("--from", f"{here}.gone"), "There is no DuckDB file"),
        (("--from", postgres_url, "--only", "people"), "there is no people"),
        (("--adopt", "--replace"), "give --from too"),
    ):
        ended = cli("move", *arguments)

        assert ended.code == 2, (arguments, ended.err)
        assert told in ended.err
        assert "secret" not in ended.err
        assert not Path(f"{cli.database}.gone").exists()
    ended = cli("move", "--from", postgres_url)
    assert ended.code == 1
    assert "has nothing of workspace sandbox:sandbox-site" in ended.err
