"""What moves to another warehouse: which tables, and which of their rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from cio_pipelines.broadcasts.state import broadcast_errors, broadcast_triggers
from cio_pipelines.exports.tables import TABLES as EXPORT_TABLES
from cio_pipelines.landing import manifest
from cio_pipelines.landing.manifest import landed_files
from cio_pipelines.moving.copying import Moved
from cio_pipelines.sync.key import SyncKey
from cio_pipelines.sync.state import (
    accepted_events,
    dead_letters,
    open_people,
    sync_acks,
    sync_differences,
    sync_log,
    sync_plan,
    sync_runs,
    sync_verifications,
    synced_people,
)
from cio_pipelines.warehouse import Warehouse
from cio_pipelines.warehouse.functions import UtcTimestamp
from cio_pipelines.webhooks.tables import webhook_events, webhook_quarantine

STATE, BROADCASTS, EVENTS, EXPORTS, HISTORY = "state", "broadcasts", "events", "exports", "history"
PARTS = (STATE, BROADCASTS, EVENTS, EXPORTS, HISTORY)

WORDS: Mapping[str, str] = {
    STATE: "a snapshot of this workspace",
    BROADCASTS: "broadcasts that were triggered",
    EVENTS: "events that were reported",
    EXPORTS: "storage exports",
    HISTORY: "a history of consent",
}
"""How a part is called to people."""

HISTORY_SCHEMA, HISTORY_NAME = "snapshots", "app_consent_history"
HISTORY_TABLE = f"{HISTORY_SCHEMA}.{HISTORY_NAME}"
"""What dbt noted of the application's consent columns, which no build can make again."""

_VALID_TO = "dbt_valid_to"

_SNAPSHOT = (synced_people, accepted_events, open_people, dead_letters)
_RUNS = (sync_runs, sync_plan, sync_acks, sync_log, sync_verifications, sync_differences)

Column = sa.ColumnElement[Any]


def of(part: str, key: SyncKey) -> list[Moved]:
    """The tables of a part but the history, whose columns are dbt's.

    With the state go plans and ledgers, so that a run's summary says the same on both sides. Leases do not.
    """
    everything: Column = sa.true()
    if part == STATE:
        return [Moved(part, table, key.owns(table)) for table in (*_SNAPSHOT, *_RUNS)]
    if part == BROADCASTS:
        triggered = (broadcast_triggers, broadcast_errors)
        return [Moved(part, table, table.c.workspace == key.workspace) for table in triggered]
    if part == EVENTS:
        events = [Moved(part, table, everything) for table in (webhook_events, webhook_quarantine)]
        return [*events, _manifest(part, manifest.WEBHOOKS)]
    exports = [Moved(part, table, everything) for table in EXPORT_TABLES.values()]
    return [*exports, _manifest(part, manifest.EXPORTS)]


def _manifest(part: str, source: str) -> Moved:
    return Moved(part, landed_files, landed_files.c.source == source)


def of_its_own(part: str, key: SyncKey, history: Sequence[Moved]) -> list[sa.Select[Any]]:
    """Queries that find a row where a target has of a part what nothing would make again.

    Runs that only planned and a consent history as a first build makes it are not: both come about by looking
    at what a first sync would send.
    """
    if part == STATE:
        ran = sync_runs.c.status.in_(["planned", "sending", "committed"])
        committed = Moved(part, sync_runs, sa.and_(key.owns(sync_runs), ran))
        return [item.is_any for item in (*(Moved(part, t, key.owns(t)) for t in _SNAPSHOT), committed)]
    if part == HISTORY:
        return [Moved(part, item.table, item.table.c[_VALID_TO].is_not(None)).is_any for item in history]
    return [item.is_any for item in of(part, key)]


def workspaces() -> sa.Select[Any]:
    """Of whom there is state."""
    table = sync_runs.c
    return sa.select(table.workspace, table.sync).distinct().order_by(table.workspace, table.sync)


def history_columns(warehouse: Warehouse) -> dict[str, sa.types.TypeEngine[Any]]:
    """The columns of the consent history and what they are; empty when it was never built."""
    return {name: _plain(kind) for name, kind in warehouse.columns(HISTORY_SCHEMA, HISTORY_NAME).items()}


def history(columns: Mapping[str, sa.types.TypeEngine[Any]]) -> Moved:
    """The consent history, all of it."""
    table = sa.Table(
        HISTORY_NAME,
        sa.MetaData(),
        *(sa.Column(name, kind) for name, kind in columns.items()),
        schema=HISTORY_SCHEMA,
    )
    return Moved(HISTORY, table, sa.true())


def _plain(kind: sa.types.TypeEngine[Any]) -> sa.types.TypeEngine[Any]:
    """A type that every engine has."""
    if isinstance(kind, sa.Boolean):
        return sa.Boolean()
    if isinstance(kind, sa.Integer):
        return sa.BigInteger()
    if isinstance(kind, sa.DateTime):
        return UtcTimestamp()
    if isinstance(kind, sa.Date):
        return sa.Date()
    return sa.Text()
