"""What a load holds at a time is bounded, however large a file is."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from cio_pipelines.exports.files import parsed
from cio_pipelines.exports.load import ExportLoad
from cio_pipelines.exports.reading import read_rows
from cio_pipelines.landing import LandedObject
from cio_pipelines.landing.recording import staged_entries
from tests.sync.passing import PassingConnection, PassingWarehouse

from .rig import ExportRig


class CountingConnection(PassingConnection):
    """Notes how large the tables are that are appended to staging tables."""

    sizes: list[tuple[int, int]]

    def append(self, table: sa.Table, rows: pa.Table) -> None:
        if table.name.startswith("staged_") and table is not staged_entries:
            self.sizes.append((rows.num_rows, rows.nbytes))
        super().append(table, rows)


@pytest.fixture
def sizes() -> Iterator[list[tuple[int, int]]]:
    CountingConnection.sizes = []
    yield CountingConnection.sizes
    del CountingConnection.sizes


def test_what_is_held_at_a_time_does_not_grow_with_a_file(
    rig: ExportRig, sizes: list[tuple[int, int]]
) -> None:
    rows = 230_000
    columns = {"delivery_id": [f"d{n}" for n in range(rows)], "seq_num": range(rows)}
    rig.export_table("deliveries", pa.table(columns), row_group_size=rows)
    bodies = pa.array(["x" * 40_000] * 1_200).dictionary_encode()
    contents = {"delivery_id": [f"d{n}" for n in range(1_200)], "body": bodies}
    rig.export_table("delivery_contents", pa.table(contents), row_group_size=1_200)
    load = ExportLoad(PassingWarehouse(rig.warehouse, CountingConnection), rig.zone)

    report = load.run(None, "run", only_new=True)

    assert report.total.inserted == 231_200
    assert sum(count for count, _ in sizes) == 231_200
    assert max(count for count, _ in sizes) <= 50_000
    assert max(size for _, size in sizes) < 25_000_000


class NotingFile(io.BytesIO):
    """Notes how much is read at a time."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.largest = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.largest = max(self.largest, len(data))
        return data


def test_a_file_of_large_rows_is_read_piece_by_piece() -> None:
    bodies = [os.urandom(5_000).hex() for _ in range(1_000)]
    columns = {"delivery_id": [f"d{n}" for n in range(1_000)], "body": bodies}
    written = io.BytesIO()
    pq.write_table(pa.table(columns), written, write_batch_size=10, data_page_size=100_000)
    data = NotingFile(written.getvalue())
    file = parsed(LandedObject("delivery_contents_v4_1_1.parquet", len(written.getvalue())))
    assert file is not None

    batches = [rows for _, rows in read_rows(file, data)]

    assert sum(rows.num_rows for rows in batches) == 1_000
    assert data.largest < 2_000_000 < len(written.getvalue())
