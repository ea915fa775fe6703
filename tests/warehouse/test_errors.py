"""What goes wrong with a DuckDB file is said in words that name the thing and the remedy."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
import sqlalchemy as sa

from cio_pipelines.warehouse import (
    Warehouse,
    WarehouseError,
    WarehouseFull,
    WarehouseLocked,
    WarehouseUnavailable,
    open_warehouse,
)

SECRET = "ann.secret@example.com"


def warehouse_at(path: Path, **settings: object) -> Warehouse:
    return open_warehouse(f"duckdb:///{path}", threads=1, **settings)  # type: ignore[arg-type]


def one(warehouse: Warehouse) -> int:
    with warehouse.connect() as connection:
        return connection.scalar(sa.select(sa.literal(1)))


@contextlib.contextmanager
def held(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the file open."""
    script = (
        f"import duckdb, sys; c = duckdb.connect({str(path)!r}); print('open', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_file_that_another_process_has_open_is_locked_by_that_process(tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    with held(path) as other:
        with pytest.raises(WarehouseLocked) as caught:
            one(warehouse_at(path))
        assert str(path) in caught.value.message
        assert str(other.pid) in caught.value.message
        assert "close the other program" in caught.value.remedy
    assert one(warehouse_at(path)) == 1


def test_a_missing_folder_is_named_and_not_made(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "w.duckdb"
    with pytest.raises(WarehouseUnavailable, match=r"folder of the DuckDB file .*nowhere.* does not exist"):
        one(warehouse_at(path))
    assert not path.parent.exists()


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text(f"{SECRET}\n" * 1000)
    with pytest.raises(WarehouseUnavailable, match=r"notes\.txt") as caught:
        one(warehouse_at(path))
    assert SECRET not in str(caught.value)
    assert "WAREHOUSE_URL" in caught.value.remedy
    assert path.read_text().startswith(SECRET)


def test_a_folder_instead_of_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WarehouseUnavailable, match=str(tmp_path)):
        one(warehouse_at(tmp_path))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "duckdb://",
        "duckdb:///:memory:",
        "mysql://ann:hunter2@host/db",
        "not a url",
        "sqlite:///x.db",
    ],
)
def test_a_url_that_names_no_file_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(WarehouseUnavailable, match="WAREHOUSE_URL") as caught:
        open_warehouse(url)
    assert "duckdb:///path" in caught.value.remedy
    assert "hunter2" not in str(caught.value)


def test_a_conversion_error_does_not_quote_the_row(tmp_path: Path) -> None:
    with warehouse_at(tmp_path / "w.duckdb").connect() as connection:
        with pytest.raises(WarehouseError, match="ConversionException") as caught:
            connection.scalar(sa.select(sa.cast(sa.literal(SECRET), sa.Integer)))
        assert SECRET not in str(caught.value)
        assert caught.value.__cause__ is None
        assert connection.scalar(sa.select(sa.literal(1))) == 1


def test_a_statement_about_what_is_not_there_names_it(tmp_path: Path) -> None:
    with warehouse_at(tmp_path / "w.duckdb").connect() as connection:
        with pytest.raises(WarehouseError, match="nowhere"):
            connection.scalar(sa.select(sa.column("x")).select_from(sa.table("nowhere")))
        assert connection.scalar(sa.select(sa.literal(1))) == 1


def test_beyond_the_memory_limit_the_setting_to_raise_is_named_and_nothing_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("create table t (x varchar)")
    warehouse = warehouse_at(path, memory_limit="20MB")
    # one value cannot be spilled to disk
    big = sa.text("insert into t select string_agg(repeat('x', 1000), '') from range(60000)")
    with warehouse.connect() as connection:
        with pytest.raises(WarehouseFull) as caught:
            connection.execute(big)
        assert "WAREHOUSE_MEMORY_LIMIT" in caught.value.remedy
        assert connection.scalar(sa.text("select count(*) from t")) == 0


FILL = """
import resource, signal, sys
import sqlalchemy as sa
from pathlib import Path
from cio_pipelines.warehouse import WarehouseFull, open_warehouse

path = Path(sys.argv[1])
warehouse = open_warehouse("duckdb:///" + str(path), threads=1)
with warehouse.session(), warehouse.connect() as connection:
    connection.execute(sa.text("create table t (x varchar)"))
    connection.execute(sa.text("insert into t values ('kept')"))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
    try:
        with connection.transaction():
            connection.execute(sa.text(
                "insert into t select 'ann.secret' || md5(i::varchar) || repeat(md5((i * 7)::varchar), 9) "
                "from range(200000) r(i)"))
    except WarehouseFull as error:
        print("full:", error)
    # what follows on the same connection is told the same, not a riddle
    try:
        connection.execute(sa.text("insert into t values ('more')"))
        print("went on")
    except WarehouseFull as error:
        print("still full")
"""


def test_a_full_disk_is_said_to_be_full_and_nothing_that_was_there_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(path)], capture_output=True, text=True, check=False, timeout=60
    )
    said = done.stdout.splitlines()
    assert said, done.stderr
    assert said[0].startswith(f"full: There is no room left on the disk of the DuckDB file {path}.")
    assert "free space" in said[0]
    assert "ann.secret" not in done.stdout + done.stderr
    assert said[1] in ("still full", "went on")
    with duckdb.connect(str(path)) as connection:
        kept = connection.execute("select x from t").fetchall()
    assert kept[0] == ("kept",)
    assert len(kept) <= 2


READ_ONLY = """
import os, sys
import cio_pipelines.warehouse as warehouse

# whatever opening imports: after the change of user Python's own files may be out of reach
with warehouse.open_warehouse("duckdb:///" + sys.argv[1] + ".other").connect():
    pass
if os.getuid() == 0:
    os.setuid(65534)  # root may write everything
try:
    with warehouse.open_warehouse("duckdb:///" + sys.argv[1]).connect():
        print("opened")
except warehouse.WarehouseUnavailable as error:
    print(error)
"""


def test_a_file_that_may_not_be_written_is_named() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # pytest's own folders are closed to other users
        path = Path(folder) / "w.duckdb"
        duckdb.connect(str(path)).close()
        path.chmod(0o444)
        done = subprocess.run(
            [sys.executable, "-c", READ_ONLY, str(path)], capture_output=True, text=True, check=False
        )
    assert str(path) in done.stdout, done.stderr
    assert "rights" in done.stdout


def test_after_an_error_the_file_is_let_go(tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    warehouse = warehouse_at(path)
    with pytest.raises(WarehouseError), warehouse.connect() as connection:
        connection.execute(sa.text("select * from nowhere"))
    with held(path):
        pass


def test_the_path_of_a_url_is_absolute_and_may_begin_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    from cio_pipelines.warehouse.connect import parse_url

    monkeypatch.setenv("HOME", "/somewhere")
    assert parse_url("duckdb:///~/w.duckdb").path == Path("/somewhere/w.duckdb")
    assert parse_url("duckdb:////data/w.duckdb").path == Path("/data/w.duckdb")
    assert parse_url("duckdb:///w.duckdb").path == Path.cwd() / "w.duckdb"
