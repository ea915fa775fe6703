"""The `Warehouse` protocol as DuckDB keeps it."""

from __future__ import annotations

import contextlib
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
import sqlalchemy as sa

from cio_pipelines.warehouse import Warehouse, WarehouseConnection, WarehouseError, open_warehouse

metadata = sa.MetaData()
pets = sa.Table("pets", metadata, sa.Column("name", sa.String), sa.Column("legs", sa.Integer))


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    warehouse = open_warehouse(f"duckdb:///{tmp_path / 'w.duckdb'}", memory_limit="200MB", threads=1)
    with warehouse.connect() as connection:
        connection.execute(sa.schema.CreateTable(pets))
    return warehouse


def add(connection: WarehouseConnection, name: str) -> int:
    return connection.execute(pets.insert().values(name=name, legs=4))


def names(warehouse: Warehouse) -> list[str]:
    with warehouse.connect() as connection:
        return [row.name for row in connection.rows(sa.select(pets).order_by(pets.c.name))]


def test_statements_outside_a_transaction_are_kept_one_by_one(warehouse: Warehouse) -> None:
    with contextlib.suppress(ZeroDivisionError), warehouse.connect() as connection:
        assert add(connection, "Rex") == 1
        raise ZeroDivisionError
    assert names(warehouse) == ["Rex"]


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_a_transaction_is_kept_as_a_whole_or_not_at_all(
    warehouse: Warehouse, error: type[BaseException]
) -> None:
    with warehouse.connect() as connection:
        with connection.transaction():
            add(connection, "Rex")
            with connection.transaction():  # joins the outer one
                add(connection, "Tom")
        with contextlib.suppress(error), connection.transaction():
            add(connection, "Ada")
            raise error
        with contextlib.suppress(WarehouseError), connection.transaction():
            add(connection, "Bob")
            connection.execute(sa.text("select * from nowhere"))
        add(connection, "Zoe")
    assert names(warehouse) == ["Rex", "Tom", "Zoe"]


def test_execute_tells_how_many_rows_it_changed(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        for name in ("Rex", "Tom"):
            add(connection, name)
        assert connection.execute(pets.update().values(legs=3)) == 2
        assert connection.execute(pets.delete().where(pets.c.name == "Rex")) == 1
        assert connection.scalar(sa.select(pets.c.name)) == "Tom"
        assert connection.scalar(sa.select(pets.c.name).where(sa.false())) is None


def test_batches_are_read_beside_the_connection_s_own_work(warehouse: Warehouse) -> None:
    with warehouse.session(), warehouse.connect() as connection:
        connection.execute(sa.text("insert into pets select 'p' || i, i from range(10000) r(i)"))
        batches = connection.batches(
            sa.select(pets).where(pets.c.legs >= sa.bindparam("low")), {"low": 5}, rows_per_batch=3000
        )
        first = next(batches)
        add(connection, "later")
        rest = list(batches)
    assert max(batch.num_rows for batch in [first, *rest]) <= 3000
    assert first.num_rows + sum(batch.num_rows for batch in rest) == 9995


def test_batches_that_are_left_unread_hold_nothing_open_once_closed(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    with warehouse.connect() as connection:
        connection.execute(sa.text("insert into pets select 'p' || i, i from range(100000) r(i)"))
        batches = connection.batches(sa.select(pets), rows_per_batch=1000)
        next(batches)
        batches.close()  # type: ignore[attr-defined]
    duckdb.connect(str(tmp_path / "w.duckdb"), config={"threads": 2}).close()


def test_appended_rows_are_matched_by_name_and_missing_columns_are_null(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        connection.append(pets, pa.table({"legs": [4, 2], "name": ["Rex", "Tom"]}))
        connection.append(pets, pa.table({"name": pa.array(["Ada"])}))
        connection.append(pets, pa.table({"name": pa.array([], pa.string())}))
        with contextlib.suppress(WarehouseError), connection.transaction():
            connection.append(pets, pa.table({"name": ["Bob"]}))
            connection.append(pets, pa.table({"name": ["Bob"], "legs": ["four"]}))
        rows = connection.rows(sa.select(pets).order_by(pets.c.name))
    assert [tuple(row) for row in rows] == [("Ada", None), ("Rex", 4), ("Tom", 2)]


def test_columns_are_in_the_table_s_order_and_empty_for_no_table(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        connection.execute(sa.text("create view only_names as select name from pets"))
    assert list(warehouse.columns("main", "pets")) == ["name", "legs"]
    assert list(warehouse.columns("main", "only_names")) == ["name"]
    assert warehouse.columns("main", "nowhere") == {}
    assert warehouse.columns("nowhere", "pets") == {}


def test_nothing_stays_open_between_connections(warehouse: Warehouse, tmp_path: Path) -> None:
    path = str(tmp_path / "w.duckdb")
    with warehouse.connect() as connection:
        add(connection, "Rex")
    duckdb.connect(path, config={"threads": 2}).close()
    with warehouse.session(), pytest.raises(duckdb.ConnectionException):
        duckdb.connect(path, config={"threads": 2})
    duckdb.connect(path, config={"threads": 2}).close()


def test_the_limits_given_are_in_force(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        setting = sa.text("select current_setting('threads'), current_setting('memory_limit')")
        row = connection.rows(setting)[0]
    assert row[0] == 1
    assert row[1].startswith("190.7")  # MiB
