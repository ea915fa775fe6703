"""A parquet file of an export as rows to stage, a bounded number at a time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from cio_pipelines.exports.columns import (
    Column,
    arrow_type,
    compute,
    converted,
    json_of_rows,
    nulls,
    repeated,
)
from cio_pipelines.exports.datasets import FILE, FILE_ORDER, OTHER_COLUMNS, WORKSPACE, Dataset
from cio_pipelines.exports.files import ExportFile
from cio_pipelines.exports.tables import DATASETS, OTHER
from cio_pipelines.landing import ObjectBroken

_OTHER_ROWS = 5_000
"""Rows of an unknown table that are read at a time: they may be of any width."""

_BUFFER = 1 << 20
"""Bytes of a column that are read at a time."""


def read_rows(file: ExportFile, data: BinaryIO) -> Iterator[tuple[str, pa.Table]]:
    """The rows of a file, to be staged: each time with the name of the dataset that they are for, or OTHER.

    Args:
        file: as its name tells.
        data: its bytes, seekable.

    Raises:
        ObjectBroken: it is not whole parquet, or a column is missing or of a type that does not fit. The
            message names the column and quotes no value.
    """
    dataset = DATASETS.get(file.dataset)
    first = 1
    with _opened(file, data) as parquet:
        for batch in _batches(file, parquet, dataset.rows_at_once if dataset else _OTHER_ROWS):
            rows = pa.Table.from_batches([batch])
            positions = pa.chunked_array([pa.array(range(first, first + len(rows)), pa.int64())])
            first += len(rows)
            if dataset is None:
                yield OTHER, _kept_whole(file, rows, positions, "this release has no table for it")
            else:
                yield from _staged(file, dataset, rows, positions)


def _opened(file: ExportFile, data: BinaryIO) -> pq.ParquetFile:
    try:
        # with pre_buffer, which is the default, what was read of the file is held until its end
        parquet = pq.ParquetFile(data, buffer_size=_BUFFER, pre_buffer=False)
    except (pa.ArrowException, OSError):
        raise _broken(file, "is not whole parquet") from None
    names = parquet.schema_arrow.names
    if len(set(names)) < len(names):
        raise _broken(file, "has two columns of one name")
    return parquet


def _batches(file: ExportFile, parquet: pq.ParquetFile, rows: int) -> Iterator[pa.RecordBatch]:
    batches = parquet.iter_batches(batch_size=rows)  # pyright: ignore[reportUnknownMemberType]
    while True:
        try:
            batch = next(batches, None)
            if batch is not None:
                batch.validate(full=True)  # texts that are not UTF-8 pass the reader
        except (pa.ArrowException, OSError):
            raise _broken(file, "is not whole parquet") from None
        if batch is None:
            return
        yield batch


def _staged(
    file: ExportFile, dataset: Dataset, rows: pa.Table, positions: Column
) -> Iterator[tuple[str, pa.Table]]:
    count = len(rows)
    columns = {column.name: _column(file, dataset, column, rows) for column in dataset.columns}
    unknown = rows.select([name for name in rows.column_names if name not in columns])
    others = _json(file, unknown) if unknown.num_columns else [None] * count
    columns |= {
        OTHER_COLUMNS: pa.chunked_array([others], pa.string()),
        FILE: repeated(file.path, count),
        FILE_ORDER: repeated(file.order, count),
        "position": positions,
    }
    has_key = reduce(compute.and_, (_is_filled(columns[name]) for name in dataset.key))
    yield dataset.name, pa.Table.from_pydict(columns).filter(has_key)
    keyless = compute.invert(has_key)
    if compute.any(keyless).as_py():
        reason = f"its key is not whole: {', '.join(dataset.key)}"
        yield OTHER, _kept_whole(file, rows.filter(keyless), positions.filter(keyless), reason)


def _is_filled(values: Column) -> Column:
    valid = compute.is_valid(values)
    if not pa.types.is_string(values.type):
        return valid
    return compute.and_(valid, compute.not_equal(compute.fill_null(values, ""), ""))


def _column(file: ExportFile, dataset: Dataset, column: sa.Column[Any], rows: pa.Table) -> Column:
    name = column.name
    if name in rows.column_names:
        values = converted(rows.column(name), column, file.path)
    elif name in dataset.key and name != WORKSPACE:
        raise _broken(file, f"has no column {name}, by which its rows are told apart")
    else:
        values = nulls(len(rows), arrow_type(column))
    return compute.fill_null(values, file.workspace_id) if name == WORKSPACE else values


def _kept_whole(file: ExportFile, rows: pa.Table, positions: Column, reason: str) -> pa.Table:
    """Rows for `export_other`."""
    count = len(rows)
    return pa.Table.from_pydict(
        {
            "dataset": repeated(file.table, count),
            WORKSPACE: repeated(file.workspace_id, count),
            FILE: repeated(file.path, count),
            "position": positions,
            "reason": repeated(reason, count),
            "content": pa.chunked_array([[text or "{}" for text in _json(file, rows)]], pa.string()),
        }
    )


def _json(file: ExportFile, rows: pa.Table) -> list[str | None]:
    try:
        return json_of_rows(rows)
    except (TypeError, ValueError, OverflowError):
        raise _broken(file, f"has values that JSON cannot hold, in one of {rows.column_names}") from None


def _broken(file: ExportFile, what: str) -> ObjectBroken:
    return ObjectBroken(
        f"{file.path} {what}.",
        "It is tried again; look whether the export wrote it to the end, or whether its format is a new one.",
    )
