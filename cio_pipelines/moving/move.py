"""Moving to another warehouse: what the sync and the loads remember, without sending or loading it again.

    report = move(source, target, SyncKey(workspace, "people"), max_attempts=3)

The source stays as it was, but for runs that were killed, which are finished there. The target changes in one
transaction: a move that is killed has moved nothing, and is simply run again. What a warehouse writes in its
own spelling is made to fit by `adoption.py`.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from uuid import uuid4

import sqlalchemy as sa

from cio_pipelines.broadcasts.state import prepare_broadcasts
from cio_pipelines.exports.tables import prepare_exports
from cio_pipelines.landing import manifest
from cio_pipelines.landing.lease import loading
from cio_pipelines.moving import copying, tables
from cio_pipelines.moving.contents import keep_contents
from cio_pipelines.moving.copying import Moved
from cio_pipelines.moving.tables import BROADCASTS, EVENTS, EXPORTS, HISTORY, PARTS, STATE
from cio_pipelines.sync.base_commit import BaseCommit
from cio_pipelines.sync.candidates import Mart
from cio_pipelines.sync.commit import Commit, finish_killed
from cio_pipelines.sync.errors import MoveRefused, PlanOutdated
from cio_pipelines.sync.key import SyncKey
from cio_pipelines.sync.lease import Lease
from cio_pipelines.sync.state import prepare_state
from cio_pipelines.warehouse import Warehouse, WarehouseConnection
from cio_pipelines.warehouse.leases import Heartbeat
from cio_pipelines.webhooks.tables import prepare_webhooks

_LOADS = {EVENTS: manifest.WEBHOOKS, EXPORTS: manifest.EXPORTS}
"""Parts that loads write, with the source whose lease they take."""


@dataclass(frozen=True, slots=True)
class MoveReport:
    """What was moved: rows by table, and of how many dead letters and open people the text is known."""

    rows: Mapping[str, int] = field(default_factory=dict[str, int])
    contents: int = 0


def move(
    source: Warehouse,
    target: Warehouse,
    key: SyncKey,
    *,
    max_attempts: int,
    mart: Mart | None = None,
    parts: Sequence[str] = PARTS,
    replace: bool = False,
    commit: type[BaseCommit] = Commit,
) -> MoveReport:
    """Move a workspace's state, and what was loaded of Customer.io.

    Args:
        source: where it is.
        target: where it shall be.
        key: whose state.
        max_attempts: refusals that make a dead letter, for runs of the source that are finished first.
        mart: of the source, which knows the contents of dead letters; None when it has none.
        parts: of `tables.PARTS`; those of which the source has nothing are left alone.
        replace: whether what the target has of these parts is given up.
        commit: of the sync whose state it is.

    Raises:
        MoveRefused: there is nothing to move, or the target has something of its own.
        SyncInProgress: a run of either side is going on; LoadInProgress likewise.
        WarehouseError: a warehouse cannot be read or written.
    """
    with source.session(), target.session(), source.connect() as old, target.connect() as new:
        for connection in (old, new):
            prepare_state(connection)
            if BROADCASTS in parts:
                prepare_broadcasts(connection)
            if EVENTS in parts:
                prepare_webhooks(connection)
            if EXPORTS in parts:
                prepare_exports(connection)
        with _held(old, new, key, [name for part, name in _LOADS.items() if part in parts]) as held:
            for connection in (old, new):
                finish_killed(connection, key, max_attempts, commit)
            items = _items(source, target, old, new, key, parts)
            if not replace:
                _demand_room(new, key, items, target.name)
            rows: dict[str, int] = {}
            for moved in items:
                name = moved.table.fullname
                rows[name] = rows.get(name, 0) + copying.stage(old, new, moved, held.beat)
            contents = keep_contents(old, new, key, mart, held.beat) if _has_state(items) else 0
            held.demand()
            with new.transaction():
                copying.put(new, items)
            copying.forget(new, items)
    return MoveReport(rows, contents)


def has_state(source: Warehouse, key: SyncKey) -> bool:
    """Whether a warehouse remembers anything of a sync. Raises WarehouseError."""
    with source.session(), source.connect() as connection:
        prepare_state(connection)
        return any(connection.scalar(moved.is_any) for moved in tables.of(STATE, key))


def _has_state(items: Sequence[Moved]) -> bool:
    return any(moved.part == STATE for moved in items)


def _items(
    source: Warehouse,
    target: Warehouse,
    old: WarehouseConnection,
    new: WarehouseConnection,
    key: SyncKey,
    parts: Sequence[str],
) -> list[Moved]:
    """What there is to move. Raises MoveRefused when there is nothing, or no state of this workspace."""
    wanted = {part: tables.of(part, key) for part in parts if part != HISTORY}
    if HISTORY in parts and (columns := tables.history_columns(source)):
        there = tables.history_columns(target)
        if there and there.keys() != columns.keys():
            differing = ", ".join(sorted(there.keys() ^ columns.keys()))
            raise MoveRefused(
                f"{tables.HISTORY_TABLE} of {source.name} and of {target.name} differ in columns: "
                f"{differing}.",
                "Drop that of the target, which the move then makes anew, or leave it out with --only.",
            )
        wanted[HISTORY] = [tables.history(columns)]
    found = {part: items for part, items in wanted.items() if any(old.scalar(item.is_any) for item in items)}
    if not found or (STATE in parts and STATE not in found):
        known = [f"{row.workspace} ({row.sync})" for row in old.rows(tables.workspaces())]
        raise MoveRefused(
            f"The {source.name} has nothing of workspace {key.workspace} ({key.sync}).",
            f"It has state of: {', '.join(known) or 'nobody'}. Check --from, and the settings that name the "
            "workspace (CUSTOMERIO_WORKSPACE, else CUSTOMERIO_SITE_ID).",
        )
    if HISTORY in found and not tables.history_columns(target):
        table = found[HISTORY][0].table
        new.execute(sa.schema.CreateSchema(str(table.schema), if_not_exists=True))
        new.execute(sa.schema.CreateTable(table, if_not_exists=True))
    return [item for items in found.values() for item in items]


def _demand_room(target: WarehouseConnection, key: SyncKey, items: Sequence[Moved], name: str) -> None:
    """Raises MoveRefused when the target has something of a part that cannot be built again."""
    parts = dict.fromkeys(moved.part for moved in items)
    history = [moved for moved in items if moved.part == HISTORY]
    full = [
        part for part in parts if any(target.scalar(query) for query in tables.of_its_own(part, key, history))
    ]
    if full:
        raise MoveRefused(
            f"The {name} already has {' and '.join(tables.WORDS[part] for part in full)}.",
            "If that was moved before, nothing is left to do but `cio move --adopt`. To give it up for what "
            "the other warehouse has, add --replace; to move other parts alone, --only.",
        )


@contextmanager
def _held(
    old: WarehouseConnection, new: WarehouseConnection, key: SyncKey, sources: Sequence[str]
) -> Generator[Heartbeat]:
    """The leases of both sides, of syncs and of loads.

    Yields:
        Their heartbeat, which raises MoveRefused or LoadInProgress when another run took one over.
    """
    owner = f"move-{uuid4().hex[:12]}"
    syncs: list[tuple[Lease, WarehouseConnection]] = []
    loads: list[Heartbeat] = []

    def renew() -> None:
        for lease, connection in syncs:
            try:
                lease.renew(connection)
            except PlanOutdated as error:
                raise MoveRefused(error.message, "Nothing was moved: run the move again.") from None
        for load in loads:
            load.demand()

    with ExitStack() as stack:
        for connection in (old, new):
            lease = Lease(key, owner)
            lease.acquire(connection)
            stack.callback(lease.release, connection)
            syncs.append((lease, connection))
            loads += [stack.enter_context(loading(connection, source, owner)) for source in sources]
        yield Heartbeat(renew)
