"""Lines of objects staged in bounded portions: by the warehouse itself where it can, else from here."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from cio_pipelines.landing import LandedObject, LandingError, LandingZone
from cio_pipelines.warehouse import WarehouseConnection
from cio_pipelines.webhooks import native, parsing
from cio_pipelines.webhooks.layout import Place, place_of
from cio_pipelines.webhooks.lines import PIECE_BYTES, read_lines

PORTION_FILES = 1_000
"""Objects after which a portion that is read here is closed."""


@dataclass(frozen=True, slots=True)
class Staged:
    """An object whose lines are staged, or with a fault, of which none are."""

    item: LandedObject
    place: Place
    checksum: str | None = None
    fault: str | None = None


class Staging:
    """Stages the lines of objects of one load.

    Args:
        connection: its staging tables are there, and empty.
        zone: where the objects are.
        portion_bytes: of lines, decompressed, after which a portion that is read here is closed; an object is
            never divided.
        was_tried: whether an object failed before: it may again, and a whole portion with it.
        beat: called now and then, while something takes long.
    """

    def __init__(
        self,
        connection: WarehouseConnection,
        zone: LandingZone,
        *,
        portion_bytes: int,
        was_tried: Callable[[str], bool],
        beat: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._zone = zone
        self._portion_bytes = portion_bytes
        self._was_tried = was_tried
        self._beat = beat
        loads = native.supports(connection, zone)
        self._native = native.NativeStaging(connection, loads, zone) if loads is not None else None
        self.by_warehouse = 0
        self.read_here: Counter[str] = Counter()
        """Reason → objects that the warehouse could have loaded, and did not."""

    def portions(self, objects: Iterable[LandedObject]) -> Iterator[list[Staged]]:
        """Stage objects; yields those of a portion when their lines are staged."""
        if self._native is None:
            yield from self._read(objects)
            return
        doubtful: list[LandedObject] = []
        for batch in _batches(objects, doubtful, self._was_tried):
            self._beat()
            reason = self._native.stage(batch)
            if reason is None:
                self.by_warehouse += len(batch)
                yield [Staged(item, place) for item in batch if (place := place_of(item.path)) is not None]
            else:
                self.read_here[reason] += len(batch)
                yield from self._read(batch)
        self.read_here["it failed before"] += len(doubtful)
        yield from self._read(doubtful)

    def _read(self, objects: Iterable[LandedObject]) -> Iterator[list[Staged]]:
        lines = _Lines(self._connection)
        portion: list[Staged] = []
        for item in objects:
            place = place_of(item.path)
            if place is None:
                continue
            self._beat()
            portion.append(self._stage(lines, item, place))
            if lines.bytes >= self._portion_bytes or len(portion) >= PORTION_FILES:
                lines.flush()
                yield portion
                portion = []
                lines.bytes = 0
        if portion:
            lines.flush()
            yield portion

    def _stage(self, staging: _Lines, item: LandedObject, place: Place) -> Staged:
        """Stage the lines of an object, all or none."""
        checksum: str | None = None
        try:
            data = self._zone.read(item.path, item.generation)
            checksum = hashlib.sha256(data).hexdigest()
            for lines in read_lines(item.path, data):
                staging.add(item.path, lines)
        except LandingError as error:
            staging.drop(item.path)
            return Staged(item, place, checksum, error.message)
        return Staged(item, place, checksum)


class _Lines:
    """Lines on their way into the staging table; those of small objects go together."""

    def __init__(self, connection: WarehouseConnection) -> None:
        self._connection = connection
        self._waiting: list[tuple[str, pa.Table]] = []
        self._waiting_bytes = 0
        self._written: set[str] = set()
        self.bytes = 0

    def add(self, path: str, lines: pa.Table) -> None:
        self._waiting.append((path, lines))
        self._waiting_bytes += lines.nbytes
        self.bytes += lines.nbytes
        if self._waiting_bytes >= PIECE_BYTES:
            self.flush()

    def drop(self, path: str) -> None:
        """Forget the lines of an object."""
        self._waiting = [(of, lines) for of, lines in self._waiting if of != path]
        if path in self._written:
            self._connection.execute(parsing.landed_lines.delete().where(parsing.landed_lines.c.file == path))

    def flush(self) -> None:
        """Write what waits."""
        if self._waiting:
            self._connection.append(
                parsing.landed_lines, pa.concat_tables([lines for _, lines in self._waiting])
            )
            # only of the last one there may be more to come
            self._written = {self._waiting[-1][0]}
        self._waiting, self._waiting_bytes = [], 0


def _batches(
    objects: Iterable[LandedObject], doubtful: list[LandedObject], was_tried: Callable[[str], bool]
) -> Iterator[list[LandedObject]]:
    """Objects in batches that one load job takes; those that were tried before go into `doubtful`."""
    batch: list[LandedObject] = []
    size = 0
    for item in objects:
        if was_tried(item.path):
            doubtful.append(item)
            continue
        batch.append(item)
        size += item.size
        if len(batch) >= native.OBJECTS_PER_JOB or size >= native.BYTES_PER_JOB:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
