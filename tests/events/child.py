"""An event sync in a process of its own, to be killed: python -m tests.events.child WAREHOUSE URL RUN_ID."""

from __future__ import annotations

import sys

from cio_pipelines.customerio import TrackClient
from cio_pipelines.sync.events.engine import EventSync
from cio_pipelines.sync.push import PushSettings
from cio_pipelines.sync.settings import SyncSettings
from cio_pipelines.sync.specs import EVENTS
from cio_pipelines.sync.windows import FULL
from tests.engines.rig import open_url

FLUSH = PushSettings(max_in_flight=2, flush_people=1_000, flush_seconds=0.2, rows_per_batch=5_000)


def main(warehouse_url: str, url: str, run_id: str) -> None:
    """Plan and push, and print the progress of the push."""

    def connect() -> TrackClient:
        return TrackClient(
            site_id="sandbox-site",
            api_key="sandbox-key",
            base_url=url,
            requests_per_second=100_000,
            max_in_flight=2,
        )

    settings = SyncSettings(workspace="tests", push=FLUSH)
    engine = EventSync(open_url(warehouse_url), EVENTS, settings, connect)
    engine.plan(run_id, FULL)
    engine.push(run_id, lambda done, total: print(f"{done}/{total}", flush=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
