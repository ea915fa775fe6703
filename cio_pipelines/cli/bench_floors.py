"""What no sync can be faster than, measured beside it: a plain SQL diff, and bare sending of ready bodies."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

import httpx
import sqlalchemy as sa

from cio_pipelines.cli.measure import apart, peak_rss_mb
from cio_pipelines.customerio import EncodedOperations
from cio_pipelines.settings import Settings, load_settings
from cio_pipelines.sync.candidates import Mart
from cio_pipelines.sync.key import SyncKey
from cio_pipelines.sync.manners import people_phases
from cio_pipelines.sync.runs import PEOPLE as PEOPLE_RUN
from cio_pipelines.sync.runs import run_key
from cio_pipelines.sync.specs import PEOPLE
from cio_pipelines.sync.state import sync_runs, synced_people
from cio_pipelines.warehouse import WarehouseConnection
from cio_pipelines.warehouse import functions as fn

_READY_BODIES = 200
"""Bodies that are held ready, 100 MB of them; a larger plan's are sent again and again."""

_ANSWER_SECONDS = 60


@dataclass(frozen=True, slots=True)
class PlainDiff:
    """One bare statement over mart and snapshot: how many people differ, in how many seconds."""

    people: int
    seconds: float
    peak_rss_mb: float


@dataclass(frozen=True, slots=True)
class RawSending:
    """As many requests as the last sync made, of its bodies, with nothing else done."""

    requests: int
    bytes_sent: int
    seconds: float


def plain_diff(environment: Mapping[str, str]) -> PlainDiff:
    """The floor of what any sync must do, over the same mart and snapshot."""
    return PlainDiff(**apart(__name__, "diff_here", environment))


def raw_sending(environment: Mapping[str, str]) -> RawSending:
    """The floor of sending the last sync's plan, against the same server."""
    return RawSending(**apart(__name__, "send_here", environment))


def diff_here() -> None:
    """The plain diff in this process, told as one line of JSON."""
    # DuckDB imports it at the first statement with a parameter: start-up of the process, and no diff's time
    import pandas as pd  # noqa: F401  # pyright: ignore[reportUnusedImport]

    settings = load_settings()
    statement = differing(settings.people_sync().mart(), SyncKey(settings.workspace, PEOPLE.name))
    with settings.warehouse().connect() as connection:
        started = time.monotonic()
        people = sum(len(batch) for batch in connection.batches(statement))
        seconds = time.monotonic() - started
    sys.stdout.write(json.dumps({"people": people, "seconds": seconds, "peak_rss_mb": peak_rss_mb()}) + "\n")


def differing(mart: Mart, key: SyncKey) -> sa.Select[tuple[str]]:
    """Ids of people whose canonical text has another MD5 than the snapshot's, or who are not in it."""
    people = mart.candidates(sa.true()).subquery("people")
    snapshot = sa.select(synced_people).where(key.owns(synced_people)).subquery("snapshot")
    joined = people.outerjoin(snapshot, snapshot.c.person_id == people.c.person_id)
    digest = fn.hash_text(people.c.attributes)
    return (
        sa.select(people.c.person_id)
        .select_from(joined)
        .where(snapshot.c.attributes_hash.is_distinct_from(digest))
    )


def send_here() -> None:
    """The bare sending in this process, told as one line of JSON."""
    settings = load_settings()
    with settings.warehouse().connect() as connection:
        requests, ready = ready_bodies(connection, SyncKey(settings.workspace, PEOPLE.name))
    bodies = list(islice(cycle(ready), requests))
    started = time.monotonic()
    asyncio.run(_post(settings, bodies))
    seconds = time.monotonic() - started
    sent = {"requests": requests, "bytes_sent": sum(map(len, bodies)), "seconds": seconds}
    sys.stdout.write(json.dumps(sent) + "\n")


def ready_bodies(connection: WarehouseConnection, key: SyncKey) -> tuple[int, list[bytes]]:
    """How many requests the latest sync of people made, and the first of its bodies, as they were sent."""
    latest = (
        sa.select(sync_runs)
        .where(key.owns(sync_runs), sync_runs.c.kind == PEOPLE_RUN)
        .order_by(sync_runs.c.finished_at.desc())
        .limit(1)
    )
    run = connection.rows(latest)[0]
    ready: list[bytes] = []
    for phase in people_phases(run_key(key, run), int(run.extracted_at.timestamp())):
        for batch in connection.batches(phase):
            encoded = EncodedOperations.from_arrow(batch.column("payload"))
            ready += [encoded.body(start, stop) for start, stop in encoded.pack()]
            if len(ready) >= _READY_BODIES:
                break
    return int(run.requests), ready[:_READY_BODIES]


async def _post(settings: Settings, bodies: Sequence[bytes]) -> None:
    at_once = settings.customerio_max_in_flight
    client = httpx.AsyncClient(
        base_url=settings.track_url or settings.customerio_region.track_url,
        auth=settings.track_credentials(),
        headers={"Content-Type": "application/json"},
        limits=httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once),
        timeout=_ANSWER_SECONDS,
        trust_env=False,
    )
    waiting = iter(bodies)
    async with client:

        async def post() -> None:
            for body in waiting:
                (await client.post("/api/v2/batch", content=body)).raise_for_status()

        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(post())
