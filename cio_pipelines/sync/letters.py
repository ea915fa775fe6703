"""Dead letters: listing them, and giving them another chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from cio_pipelines.sync.key import SyncKey
from cio_pipelines.sync.runs import UNFINISHED
from cio_pipelines.sync.state import ERASURE_HASH, dead_letters, open_people, sync_runs
from cio_pipelines.warehouse import WarehouseConnection


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An operation left alone. `kind` is `quarantined` (never sent) or `rejected` (by Customer.io).

    `event_id` is empty but for events.
    """

    person_id: str
    operation: str
    kind: str
    attempts: int
    field: str
    reason: str
    message: str
    since: datetime
    event_id: str = ""


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Which letters are meant; None is any. They were given up in [`after`, `before`), with a zone."""

    reason: str | None = None
    after: datetime | None = None
    before: datetime | None = None

    def chooses(self, key: SyncKey) -> sa.ColumnElement[bool]:
        """Whether a letter of the sync is meant."""
        since, zoned = dead_letters.c.since, dead_letters.c.since.type
        return sa.and_(
            key.owns(dead_letters),
            *([dead_letters.c.reason == self.reason] if self.reason is not None else []),
            *([since >= sa.literal(self.after, zoned)] if self.after is not None else []),
            *([since < sa.literal(self.before, zoned)] if self.before is not None else []),
        )


ANY = LetterFilter()


@dataclass(frozen=True, slots=True)
class LetterCount:
    """How many letters say the same, and since when the oldest of them is one."""

    kind: str
    field: str
    reason: str
    letters: int
    oldest: datetime


def list_letters(
    connection: WarehouseConnection, key: SyncKey, *, limit: int | None = None, wanted: LetterFilter = ANY
) -> list[DeadLetter]:
    """The newest first, at most `limit`."""
    letters = (
        sa.select(dead_letters)
        .where(wanted.chooses(key))
        .order_by(dead_letters.c.since.desc(), key.subject_of(dead_letters))
        .limit(limit)
    )
    return [
        DeadLetter(
            row.person_id or "",
            row.operation,
            row.kind,
            row.attempts,
            row.field or "",
            row.reason or "",
            row.message or "",
            row.since,
            row.event_id or "",
        )
        for row in connection.rows(letters)
    ]


def count_letters(connection: WarehouseConnection, key: SyncKey) -> int:
    """How many dead letters there are."""
    letters = sa.select(sa.func.count()).select_from(dead_letters).where(key.owns(dead_letters))
    return int(connection.scalar(letters))


def letter_counts(connection: WarehouseConnection, key: SyncKey) -> list[LetterCount]:
    """Letters by what is wrong, the most first."""
    number = sa.func.count()
    what = (dead_letters.c.kind, dead_letters.c.field, dead_letters.c.reason)
    counts = (
        sa.select(*what, number.label("letters"), sa.func.min(dead_letters.c.since).label("oldest"))
        .where(key.owns(dead_letters))
        .group_by(*what)
        .order_by(number.desc(), *what)
    )
    return [
        LetterCount(row.kind, row.field or "", row.reason or "", int(row.letters), row.oldest)
        for row in connection.rows(counts)
    ]


def replay(
    connection: WarehouseConnection,
    key: SyncKey,
    subjects: Sequence[str] | None,
    wanted: LetterFilter = ANY,
) -> int:
    """Take dead letters up again, with all their attempts: of these people or events, or of all (None).

    The next sync plans them whatever its window. Returns how many letters there were.
    """
    chosen = wanted.chooses(key)
    if subjects is not None:
        chosen = sa.and_(chosen, key.subject_of(dead_letters).in_(subjects))
    count = int(connection.scalar(sa.select(sa.func.count()).select_from(dead_letters).where(chosen)))
    if not count:
        return 0
    given = {
        "outcome": sa.literal("due"),
        "attempts": sa.literal(0),
        "since": sa.literal(_after_runs(connection, key), open_people.c.since.type),
    }
    columns = [
        (given[column.name] if column.name in given else dead_letters.c[column.name]).label(column.name)
        for column in open_people.c
    ]
    waiting = sa.select(key.subject_of(open_people)).where(key.owns(open_people))
    # An erasure needs no open row: it is planned anew whenever no letter is in its way.
    rows = sa.select(*columns).where(
        chosen,
        dead_letters.c.attributes_hash != ERASURE_HASH,
        key.subject_of(dead_letters).not_in(waiting),
    )
    with connection.transaction():
        connection.execute(open_people.insert().from_select([c.name for c in open_people.c], rows))
        connection.execute(dead_letters.delete().where(chosen))
    return count


def _after_runs(connection: WarehouseConnection, key: SyncKey) -> datetime:
    """Now, or after every run that is going on: none of them has looked at what is taken up now.

    The time of a run is a whole second, so that a letter of the same second would count as looked at.
    """
    latest = sa.select(sa.func.max(sync_runs.c.extracted_at)).where(
        key.owns(sync_runs), sync_runs.c.status.in_(UNFINISHED)
    )
    now = datetime.now(UTC)
    found: datetime | None = connection.scalar(latest)
    return now if found is None else max(now, found + timedelta(seconds=1))
