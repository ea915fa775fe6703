"""The `Warehouse` protocol, which every engine keeps in the same way."""

from __future__ import annotations

import contextlib
from datetime import UTC, date, datetime

import pyarrow as pa
import pytest
import sqlalchemy as sa

from cio_pipelines.warehouse import WarehouseConnection, WarehouseError
from cio_pipelines.warehouse.functions import UtcTimestamp
from cio_pipelines.warehouse.merge import Merge

from .rig import EngineRig

metadata = sa.MetaData(schema="tests")
pets = sa.Table(
    "pets",
    metadata,
    sa.Column("name", sa.String),
    sa.Column("legs", sa.BigInteger),
    sa.Column("born", sa.Date),
    sa.Column("seen_at", UtcTimestamp),
    sa.Column("weight", sa.Double),
    sa.Column("tame", sa.Boolean),
)
passing = sa.Table("passing", sa.MetaData(), sa.Column("name", sa.String), prefixes=["TEMPORARY"])


@pytest.fixture
def rig(rig: EngineRig) -> EngineRig:
    """With an empty table."""
    with rig.warehouse.connect() as connection:
        connection.execute(sa.schema.CreateSchema("tests", if_not_exists=True))
        connection.execute(sa.schema.CreateTable(pets, if_not_exists=True))
        connection.execute(pets.delete())
    return rig


def add(connection: WarehouseConnection, name: str) -> int:
    return connection.execute(pets.insert().values(name=name, legs=4))


def names(rig: EngineRig) -> list[str]:
    return [name for (name,) in rig.rows(sa.select(pets.c.name).order_by(pets.c.name))]


def test_statements_outside_a_transaction_are_kept_one_by_one(rig: EngineRig) -> None:
    with contextlib.suppress(ZeroDivisionError), rig.warehouse.connect() as connection:
        assert add(connection, "Rex") == 1
        raise ZeroDivisionError
    assert names(rig) == ["Rex"]


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_a_transaction_is_kept_as_a_whole_or_not_at_all(rig: EngineRig, error: type[BaseException]) -> None:
    with rig.warehouse.connect() as connection:
        with connection.transaction():
            add(connection, "Rex")
            connection.append(pets, pa.table({"name": ["Eva"]}))
            with connection.transaction():  # joins the outer one
                add(connection, "Tom")
        with contextlib.suppress(error), connection.transaction():
            add(connection, "Ada")
            connection.append(pets, pa.table({"name": ["Ian"]}))
            raise error
        add(connection, "Zoe")
    assert names(rig) == ["Eva", "Rex", "Tom", "Zoe"]


def test_a_transaction_with_a_statement_that_fails_leaves_nothing(rig: EngineRig) -> None:
    nowhere = sa.table("nowhere", sa.column("name"), schema="tests")

    def failing(connection: WarehouseConnection) -> None:
        with connection.transaction():
            add(connection, "Bob")
            connection.execute(pets.insert().from_select(["name"], sa.select(nowhere.c.name)))

    with rig.warehouse.connect() as connection:
        with pytest.raises(WarehouseError, match="nowhere"):
            failing(connection)
        add(connection, "Zoe")
    assert names(rig) == ["Zoe"]


def test_a_transaction_only_writes(rig: EngineRig) -> None:
    with (
        rig.warehouse.connect() as connection,
        pytest.raises(RuntimeError, match="read before"),
        connection.transaction(),
    ):
        connection.scalar(sa.select(sa.func.count()).select_from(pets))


def test_execute_tells_how_many_rows_it_changed(rig: EngineRig) -> None:
    with rig.warehouse.connect() as connection:
        for name in ("Rex", "Tom"):
            add(connection, name)
        assert connection.execute(pets.update().where(sa.true()).values(legs=3)) == 2
        assert connection.execute(pets.delete().where(pets.c.name == "Rex")) == 1
        assert connection.scalar(sa.select(pets.c.name)) == "Tom"
        assert connection.scalar(sa.select(pets.c.name).where(sa.false())) is None


MANY = 10_000


def test_batches_are_bounded_and_see_what_was_committed_before(rig: EngineRig) -> None:
    with rig.warehouse.connect() as connection:
        connection.append(pets, pa.table({"name": [f"p{i}" for i in range(MANY)], "legs": range(MANY)}))
        batches = connection.batches(
            sa.select(pets.c.name, pets.c.legs).where(
                pets.c.legs >= sa.bindparam("low", type_=sa.BigInteger)
            ),
            {"low": 5},
            rows_per_batch=3000,
        )
        first = next(batches)
        add(connection, "later")
        rest = list(batches)
    assert max(batch.num_rows for batch in [first, *rest]) <= 3000
    assert first.num_rows + sum(batch.num_rows for batch in rest) == MANY - 5
    assert first.schema.names == ["name", "legs"]


def test_batches_that_are_left_unread_leave_the_table_to_others(rig: EngineRig) -> None:
    with rig.warehouse.connect() as connection:
        connection.append(pets, pa.table({"name": [f"p{i}" for i in range(MANY)]}))
        batches = connection.batches(sa.select(pets), rows_per_batch=1000)
        next(batches)
        batches.close()  # type: ignore[attr-defined]
        connection.execute(sa.schema.DropTable(pets))


def test_a_column_without_values_keeps_its_type_in_batches(rig: EngineRig) -> None:
    with rig.warehouse.connect() as connection:
        add(connection, "Rex")
        [batch] = connection.batches(sa.select(pets))
    types = {field.name: field.type for field in batch.schema}
    assert pa.types.is_date32(types["born"])
    assert pa.types.is_timestamp(types["seen_at"])
    assert pa.types.is_float64(types["weight"])
    assert pa.types.is_boolean(types["tame"])
    assert batch.to_pylist()[0]["born"] is None


TEXTS = [
    *("", None, "a\nb", "\\.", "\\N", "NULL", "x\ty", "say \"so\", 'so'", "a\\b", "\r\n"),
    "Zoë 王小明 👩🏽‍🚀",
]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_appended_texts_arrive_as_they_are(rig: EngineRig, kind: pa.DataType) -> None:
    rows = pa.table({"legs": range(len(TEXTS)), "name": pa.array(TEXTS, pa.string()).cast(kind)})
    with rig.warehouse.connect() as connection:
        connection.append(pets, rows)
    assert [name for (name,) in rig.rows(sa.select(pets.c.name).order_by(pets.c.legs))] == TEXTS


@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Kathmandu"])
def test_appended_values_arrive_as_they_are(rig: EngineRig, zone: str | None) -> None:
    moment = datetime(2026, 7, 1, 12, 30, 0, 123456, tzinfo=UTC)
    plain = pa.array([moment.replace(tzinfo=None), None], pa.timestamp("us"))
    rows = pa.table(
        {
            "legs": [1, None],
            "born": [date(1969, 12, 31), None],
            # a plain one is UTC
            "seen_at": plain
            if zone is None
            else plain.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us", zone)),
            "weight": [0.1, None],
            "tame": [False, None],
        }
    )
    with rig.warehouse.connect() as connection:
        connection.append(pets, rows)
    one, other = sorted(rig.rows(sa.select(pets)), key=repr, reverse=True)
    assert {one, other} == {(None, 1, date(1969, 12, 31), moment, 0.1, False), (None,) * 6}


def test_appended_columns_are_matched_by_name_and_missing_ones_are_null(rig: EngineRig) -> None:
    with rig.warehouse.connect() as connection:
        connection.append(pets, pa.table({"legs": [4, 2], "name": ["Rex", "Tom"]}))
        connection.append(pets, pa.table({"name": pa.array(["Ada"])}))
        connection.append(pets, pa.table({"name": pa.array([], pa.string())}))
    found = rig.rows(sa.select(pets.c.name, pets.c.legs).order_by(pets.c.name))
    assert found == [("Ada", None), ("Rex", 4), ("Tom", 2)]


def test_a_temporary_table_lives_as_long_as_its_connection(rig: EngineRig) -> None:
    with rig.warehouse.connect() as connection:
        connection.execute(sa.schema.CreateTable(passing))
        connection.append(passing, pa.table({"name": ["Rex"]}))
        with connection.transaction():
            connection.execute(pets.insert().from_select(["name"], sa.select(passing.c.name)))
        assert connection.execute(passing.delete()) == 1
    assert names(rig) == ["Rex"]
    with rig.warehouse.connect() as connection, pytest.raises(WarehouseError):
        connection.scalar(sa.select(sa.func.count()).select_from(passing))


def test_columns_are_in_the_table_s_order_and_empty_for_no_table(rig: EngineRig) -> None:
    assert list(rig.warehouse.columns("tests", "pets")) == [column.name for column in pets.columns]
    assert rig.warehouse.columns("tests", "nowhere") == {}
    assert rig.warehouse.columns("nowhere", "pets") == {}


def test_a_merge_replaces_and_adds_and_leaves_what_is_out_of_its_scope(rig: EngineRig) -> None:
    fresh = sa.Table("fresh", sa.MetaData(), *(sa.Column(c.name, c.type) for c in pets.columns))
    fresh = fresh.to_metadata(sa.MetaData(), schema="tests")
    with rig.warehouse.connect() as connection:
        connection.execute(sa.schema.DropTable(fresh, if_exists=True))
        connection.execute(sa.schema.CreateTable(fresh))
        connection.append(fresh, pa.table({"name": ["Rex", "Ada"], "legs": [3, 2]}))
        for name in ("Rex", "Zoe"):
            add(connection, name)
        scope = pets.c.name != "Zoe"
        connection.execute(Merge(pets, sa.select(fresh), ("name",), scope=scope))
        connection.execute(Merge(pets, sa.select(fresh), ("name",), scope=scope, replaces=False))
    found = rig.rows(sa.select(pets.c.name, pets.c.legs).order_by(pets.c.name))
    assert found == [("Ada", 2), ("Rex", 3), ("Zoe", 4)]


def test_an_error_quotes_no_value_and_the_connection_goes_on(rig: EngineRig) -> None:
    secret = "ann.secret@example.com"
    with rig.warehouse.connect() as connection:
        add(connection, secret)
        with pytest.raises(WarehouseError) as caught:
            connection.scalar(sa.select(sa.cast(pets.c.name, sa.BigInteger)))
        assert secret not in str(caught.value)
        assert caught.value.__cause__ is None
        assert connection.scalar(sa.select(pets.c.name)) == secret


def test_what_is_not_there_is_named(rig: EngineRig) -> None:
    with rig.warehouse.connect() as connection:
        with pytest.raises(WarehouseError, match="nowhere"):
            connection.scalar(sa.select(sa.column("x")).select_from(sa.table("nowhere", schema="tests")))
        with pytest.raises(WarehouseError, match="wings"):
            connection.scalar(sa.select(sa.column("wings")).select_from(pets))
