"""What is PostgreSQL's own: errors in our words, and texts that it cannot hold."""

from __future__ import annotations

import socket
import threading

import psycopg
import pyarrow as pa
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from cio_pipelines.sync.mapping import kind_of
from cio_pipelines.warehouse import (
    Warehouse,
    WarehouseError,
    WarehouseFull,
    WarehouseUnavailable,
    open_warehouse,
)
from cio_pipelines.warehouse.errors import WarehouseBusy
from tests.postgres import Postgres

pets = sa.Table(
    "pets", sa.MetaData(schema="zoo"), sa.Column("name", sa.String), sa.Column("legs", sa.Integer)
)
SECRET = "ann.secret@example.com"


def one(warehouse: Warehouse) -> int:
    with warehouse.connect() as connection:
        return connection.scalar(sa.select(sa.literal(1)))


@pytest.fixture
def warehouse(postgres_url: str) -> Warehouse:
    """With an empty table."""
    warehouse = open_warehouse(postgres_url)
    with warehouse.connect() as connection:
        connection.execute(sa.schema.CreateSchema("zoo"))
        connection.execute(sa.schema.CreateTable(pets))
    return warehouse


def administer(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)  # type: ignore[arg-type]


def test_a_server_that_is_not_there_is_named_without_the_password() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    warehouse = open_warehouse(f"postgresql://ann:hunter2@127.0.0.1:{port}/shop")
    with pytest.raises(WarehouseUnavailable, match=f"shop on 127.0.0.1:{port} cannot be reached") as caught:
        one(warehouse)
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(warehouse) + warehouse.name


def test_a_database_and_a_user_that_are_not_there_are_told_apart(postgres_server: Postgres) -> None:
    with pytest.raises(WarehouseUnavailable, match=r"nowhere on .* does not exist"):
        one(open_warehouse(postgres_server.url("nowhere")))
    with pytest.raises(WarehouseUnavailable, match="does not know the user"):
        one(open_warehouse(postgres_server.url("postgres", user="nobody")))


def test_an_option_that_the_driver_does_not_know_is_the_url_s(postgres_url: str) -> None:
    with pytest.raises(WarehouseError, match="WAREHOUSE_URL"):
        one(open_warehouse(f"{postgres_url}&colour=blue"))


def test_a_right_that_is_missing_is_named(warehouse: Warehouse, postgres_url: str) -> None:
    administer(postgres_url, "DROP ROLE IF EXISTS guest", "CREATE ROLE guest LOGIN")
    guest = open_warehouse(postgres_url.replace("//postgres@", "//guest@"))
    read, write = sa.select(pets.c.name), pets.insert().values(name="Rex")
    with guest.connect() as connection:
        with pytest.raises(WarehouseUnavailable, match=r"right on schema zoo .* Grant USAGE"):
            connection.scalar(read)
        administer(postgres_url, "GRANT USAGE ON SCHEMA zoo TO guest")
        with pytest.raises(WarehouseUnavailable, match=r"right on table pets .* Grant SELECT, INSERT"):
            connection.scalar(read)
        administer(postgres_url, "GRANT SELECT ON zoo.pets TO guest")
        assert connection.scalar(read) is None
        with pytest.raises(WarehouseUnavailable, match=r"right on table pets"):
            connection.execute(write)
        with pytest.raises(WarehouseUnavailable, match=r"right on table pets"):
            connection.append(pets, pa.table({"name": ["Rex"]}))
        with pytest.raises(WarehouseUnavailable, match=r"right on database .* Grant CREATE"):
            connection.execute(sa.schema.CreateSchema("own"))
    administer(postgres_url, "DROP OWNED BY guest")


def test_a_table_that_somebody_altered_is_said_to_be(warehouse: Warehouse, postgres_url: str) -> None:
    administer(postgres_url, "ALTER TABLE zoo.pets DROP COLUMN legs")
    with warehouse.connect() as connection:
        with pytest.raises(WarehouseError, match=r"legs.*does not exist.*Somebody altered"):
            connection.scalar(sa.select(pets.c.legs))
        with pytest.raises(WarehouseError, match=r"legs.*does not exist"):
            connection.append(pets, pa.table({"legs": [4]}))


def test_no_error_quotes_a_value(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        connection.append(pets, pa.table({"name": [SECRET]}))
        for failing in (
            sa.select(sa.cast(pets.c.name, sa.Integer)),
            sa.select(sa.cast(pets.c.name, sa.Date)),
            sa.select(sa.cast(pets.c.name, JSONB)),
        ):
            with pytest.raises(WarehouseError) as caught:
                connection.rows(failing)
            assert SECRET not in str(caught.value)
            assert caught.value.__cause__ is None
        with pytest.raises(WarehouseError) as caught:
            connection.append(pets, pa.table({"legs": [SECRET]}))
        assert SECRET not in str(caught.value)


def test_a_deadlock_keeps_nothing_and_says_to_run_again(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        connection.append(pets, pa.table({"name": ["Rex", "Tom"], "legs": [4, 4]}))
    both = threading.Barrier(2, timeout=20)
    told: list[WarehouseError] = []

    def cross(first: str, then: str) -> None:
        def set_legs(name: str) -> None:
            connection.execute(pets.update().where(pets.c.name == name).values(legs=3))

        try:
            with warehouse.connect() as connection, connection.transaction():
                set_legs(first)
                both.wait()
                set_legs(then)
        except WarehouseError as error:
            told.append(error)

    threads = [threading.Thread(target=cross, args=names) for names in (("Rex", "Tom"), ("Tom", "Rex"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    [error] = told
    assert isinstance(error, WarehouseBusy)
    assert "run again" in error.remedy


def test_two_who_make_the_same_tables_at_once_both_go_on(postgres_server: Postgres) -> None:
    failed: list[BaseException] = []
    for _ in range(5):
        warehouse = open_warehouse(postgres_server.new_database())
        both = threading.Barrier(4, timeout=20)

        def make(warehouse: Warehouse = warehouse, both: threading.Barrier = both) -> None:
            try:
                with warehouse.connect() as connection:
                    both.wait()
                    connection.execute(sa.schema.CreateSchema("zoo", if_not_exists=True))
                    connection.execute(sa.schema.CreateTable(pets, if_not_exists=True))
            except WarehouseError as error:
                failed.append(error)

        threads = [threading.Thread(target=make) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert failed == []


def test_a_statement_that_runs_out_of_time_or_room_says_so(warehouse: Warehouse, postgres_url: str) -> None:
    with warehouse.connect() as connection:
        connection.execute(sa.text("SET statement_timeout = '50ms'"))
        with pytest.raises(WarehouseError, match="statement_timeout"):
            connection.rows(sa.select(sa.func.pg_sleep(5)))
        connection.execute(sa.text("SET statement_timeout = 0"))
        connection.execute(sa.text("SET temp_file_limit = '1MB'"))
        connection.execute(sa.text("SET work_mem = '64kB'"))
        many = sa.text(
            "SELECT count(*) FROM (SELECT md5(i::text) m FROM generate_series(1, 200000) i ORDER BY 1) s"
        )
        with pytest.raises(WarehouseFull, match="free space"):
            connection.scalar(many.columns(sa.column("count")))


def test_a_connection_that_the_server_ends_is_lost_and_the_next_one_works(
    warehouse: Warehouse, postgres_url: str
) -> None:
    with warehouse.connect() as connection:
        own = connection.scalar(sa.select(sa.func.pg_backend_pid()))
        administer(postgres_url, f"SELECT pg_terminate_backend({own})")
        with pytest.raises(WarehouseUnavailable, match="cannot be reached or broke off"):
            connection.scalar(sa.select(sa.literal(1)))
    assert one(warehouse) == 1


def test_a_character_that_its_texts_cannot_hold_is_replaced(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        connection.append(pets, pa.table({"name": ["a\0b"]}))
        assert connection.scalar(sa.select(pets.c.name)) == "a\ufffdb"


def test_a_session_is_utc_and_says_who_it_is(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        settings = sa.select(
            *(sa.func.current_setting(name) for name in ("TimeZone", "application_name", "work_mem"))
        )
        assert tuple(connection.rows(settings)[0]) == ("UTC", "cio_pipelines", "256MB")


def test_types_that_json_cannot_hold_are_refused_and_row_types_are_nested(
    warehouse: Warehouse, postgres_url: str
) -> None:
    administer(
        postgres_url,
        "CREATE TYPE zoo.pair AS (a integer, b text[])",
        "CREATE TABLE zoo.odd (one zoo.pair, many zoo.pair[], raw bytea, span interval, at point, bits bit)",
    )
    kinds = {name: kind_of(kind) for name, kind in warehouse.columns("zoo", "odd").items()}
    assert {name for name, kind in kinds.items() if kind is None} == {"raw", "span", "at", "bits"}
    assert {kind.name for kind in kinds.values() if kind is not None} == {"nested"}
