"""Operations as one run of bytes, cut into bodies without touching a row again."""

# pyarrow carries no types
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportUnknownParameterType=false

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cio_pipelines.customerio.errors import InvalidOperation
from cio_pipelines.customerio.limits import BATCH_BODY_BYTES, OPERATION_BYTES

if TYPE_CHECKING:
    from typing_extensions import Buffer

_PREFIX = b'{"batch":['
_SUFFIX = b"]}"
_COMMA = ord(",")
FRAME_BYTES = len(_PREFIX) + len(_SUFFIX) - 1
"""What a body has beyond its operations with their commas; the last comma is left out."""


def bodies_needed(operations: int, size: float) -> int:
    """About how many bodies `EncodedOperations.pack` makes of operations of `size` bytes each.

    The comma behind it counts. A body ends where the next operation does not fit: on average half of one
    is left out.
    """
    room = BATCH_BODY_BYTES - 1 - FRAME_BYTES
    return math.ceil(operations * size / (room - size / 2))


class EncodedOperations:
    """Operations encoded once: number i is `data[offsets[i]:offsets[i + 1] - 1]`, then one comma.

    `data` is a memoryview of bytes, `offsets` an int64 array of shape (n + 1,), both read-only by convention.
    Reprs show counts only.
    """

    __slots__ = ("data", "offsets")

    def __init__(self, data: memoryview, offsets: npt.NDArray[np.int64]) -> None:
        """Raises ValueError when the offsets do not frame operations that each end with a comma."""
        if len(offsets) == 0:
            raise ValueError("offsets must have one more entry than there are operations")
        sizes = np.diff(offsets)
        if len(sizes):
            if int(sizes.min()) < 2 or int(offsets[0]) < 0 or int(offsets[-1]) > data.nbytes:
                raise ValueError("every operation must hold some text and a comma, inside the data")
            text = np.frombuffer(data, dtype=np.uint8)
            if not bool(np.all(text[offsets[1:] - 1] == _COMMA)):
                raise ValueError("every operation must end with a comma")
        self.data = data
        self.offsets = offsets

    @classmethod
    def from_bytes(cls, operations: Iterable[bytes]) -> EncodedOperations:
        """From one JSON text each, without commas."""
        parts = list(operations)
        offsets = np.zeros(len(parts) + 1, dtype=np.int64)
        np.cumsum([len(part) + 1 for part in parts], out=offsets[1:])
        return cls(memoryview(b",".join([*parts, b""])), offsets)

    @classmethod
    def from_arrow(cls, array: pa.Array[Any]) -> EncodedOperations:
        """From a string or large_string array whose every value ends with a comma; the text is not copied.

        Raises TypeError for another type and ValueError for nulls or a missing comma.
        """
        if pa.types.is_large_string(array.type):
            width = np.dtype(np.int64)
        elif pa.types.is_string(array.type):
            width = np.dtype(np.int32)
        else:
            raise TypeError(f"a string or large_string array is needed, not {array.type}")
        if array.null_count:
            raise ValueError("operations must not be null")
        _, positions, text = array.buffers()
        if len(array) == 0 or positions is None or text is None:
            return cls(memoryview(b""), np.zeros(1, dtype=np.int64))
        offsets = np.frombuffer(
            memoryview(cast("Buffer", positions)),
            dtype=width,
            count=len(array) + 1,
            offset=array.offset * width.itemsize,
        ).astype(np.int64, copy=False)
        return cls(memoryview(cast("Buffer", text)), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __repr__(self) -> str:
        size = int(self.offsets[-1] - self.offsets[0])
        return f"EncodedOperations({len(self)} operations, {size} bytes)"

    def operation(self, index: int) -> bytes:
        """JSON text of operation `index`, 0 <= index < len. Raises IndexError."""
        if not 0 <= index < len(self):
            raise IndexError(f"operation {index} of {len(self)}")
        return bytes(self.data[int(self.offsets[index]) : int(self.offsets[index + 1]) - 1])

    def body_size(self, start: int, stop: int) -> int:
        """Bytes of `body(start, stop)`. Raises IndexError unless 0 <= start < stop <= len."""
        if not 0 <= start < stop <= len(self):
            raise IndexError(f"operations [{start}, {stop}) of {len(self)}")
        return int(self.offsets[stop] - self.offsets[start]) + FRAME_BYTES

    def body(self, start: int, stop: int) -> bytes:
        """The request body `{"batch":[...]}` of operations [start, stop). Raises IndexError."""
        self.body_size(start, stop)
        text = self.data[int(self.offsets[start]) : int(self.offsets[stop]) - 1]
        return b"".join((_PREFIX, text, _SUFFIX))

    def pack(
        self, max_body_bytes: int = BATCH_BODY_BYTES - 1, max_operations: int | None = None
    ) -> list[tuple[int, int]]:
        """Cut all operations, in order, into half-open ranges, each as long as fits.

        `max_body_bytes` is the largest allowed body, inclusive; it is never taken above 499,999.
        `max_operations` bounds the operations of a body. One search per body, none per operation.
        Raises InvalidOperation for an operation that no body may hold.
        """
        if max_operations is not None and max_operations < 1:
            raise ValueError("max_operations must be at least 1")
        sizes = np.diff(self.offsets)
        room = min(max_body_bytes, BATCH_BODY_BYTES - 1) - FRAME_BYTES
        too_large = np.flatnonzero((sizes > room) | (sizes > OPERATION_BYTES))
        if len(too_large):
            limit = min(room, OPERATION_BYTES)
            raise InvalidOperation(
                f"batch[{int(too_large[0])}]", "too_long", f"operation must be smaller than {limit} bytes"
            )
        ranges: list[tuple[int, int]] = []
        start, count = 0, len(self)
        while start < count:
            stop = int(np.searchsorted(self.offsets, int(self.offsets[start]) + room, side="right")) - 1
            if max_operations is not None:
                stop = min(stop, start + max_operations)
            ranges.append((start, stop))
            start = stop
        return ranges
