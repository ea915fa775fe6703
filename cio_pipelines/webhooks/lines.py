"""The lines of a landed object as Arrow, in pieces of bounded size."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import pyarrow as pa

from cio_pipelines.landing import ObjectBroken

PIECE_BYTES = 8_000_000
"""Bytes that are decompressed at a time; a piece ends with a line, so one with a longer line is larger."""

_NEWLINE = 10


def read_lines(path: str, data: bytes, piece_bytes: int = PIECE_BYTES) -> Iterator[pa.Table]:
    """Decompress an object and cut it into lines.

    Args:
        path: of the object, for the rows and messages.
        data: the object as it is stored, gzip.
        piece_bytes: how much is decompressed at a time.

    Yields:
        Tables of `file`, `line` (int64, from 1), `text` (string, with its line end) and `fault` (string, NULL
        for a line that can be read). Empty lines are left out, but counted.

    Raises:
        ObjectBroken: it is not gzip, or ends too early. Lines may have been yielded before.
    """
    line = 0
    for piece in _pieces(path, data, piece_bytes):
        table, count = _cut(path, piece, line)
        line += count
        yield table


def _pieces(path: str, data: bytes, piece_bytes: int) -> Iterator[bytes]:
    rest = b""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            while part := file.read(piece_bytes):
                whole, newline, rest_of_part = part.rpartition(b"\n")
                if not newline:
                    rest += part
                    continue
                yield rest + whole + newline
                rest = rest_of_part
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ObjectBroken(
            f"The landed object {path} is not whole gzip ({error}).",
            "If it was written by something else than `cio serve`, write it again under another name.",
        ) from None
    if rest:
        yield rest + b"\n"


def _cut(path: str, piece: bytes, before: int) -> tuple[pa.Table, int]:
    ends = np.flatnonzero(np.frombuffer(piece, dtype=np.uint8) == _NEWLINE) + 1
    offsets = np.concatenate(([0], ends)).astype(np.int64)
    buffers = [None, pa.array(offsets).buffers()[1], pa.py_buffer(piece)]
    raw: Any = pa.Array.from_buffers(pa.large_binary(), len(ends), buffers)
    text: Any
    fault: Any
    try:
        text = raw.cast(pa.large_string())
        fault = pa.nulls(len(ends), pa.string())
    except pa.ArrowInvalid:
        text, fault = _with_faults(raw)
    # one text for all rows, not one each
    files: Any = cast("Any", pa.DictionaryArray).from_arrays(np.zeros(len(ends), np.int32), pa.array([path]))
    table = pa.table(
        {
            "file": files,
            "line": pa.array(np.arange(before + 1, before + 1 + len(ends))),
            "text": text,
            "fault": fault,
        }
    )
    filled = np.diff(offsets) > 1
    return (table if filled.all() else table.filter(pa.array(filled))), len(ends)


def _with_faults(raw: Any) -> tuple[Any, Any]:
    """The lines of a piece in which some are not UTF-8: those keep what can be shown of them."""
    texts: list[str] = []
    faults: list[str | None] = []
    for line in raw.to_pylist():
        try:
            texts.append(line.decode())
            faults.append(None)
        except UnicodeDecodeError:
            texts.append(line.decode(errors="replace"))
            faults.append("the line is not UTF-8")
    return pa.array(texts, pa.large_string()), pa.array(faults, pa.string())
