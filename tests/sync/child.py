"""A sync in a process of its own, to be killed: `python -m tests.sync.child WAREHOUSE URL RUN_ID ENDPOINT`.

WAREHOUSE is a URL; ENDPOINT that of an emulator of BigQuery, or empty.
"""

from __future__ import annotations

import signal
import sys

from cio_pipelines.customerio import TrackClient
from cio_pipelines.sync.engine import PeopleSync, SyncSettings
from cio_pipelines.sync.push import PushSettings
from cio_pipelines.sync.specs import PEOPLE
from cio_pipelines.sync.windows import FULL
from tests.engines.rig import open_url

from .rig import UNGUARDED

FLUSH = PushSettings(max_in_flight=2, flush_people=1_000, flush_seconds=0.2, rows_per_batch=5_000)


def main(warehouse_url: str, url: str, run_id: str, endpoint: str) -> None:
    """Extract, plan and push, and print a word as each begins and the progress of the push."""
    # A shell that runs the tests in the background makes all its children deaf to it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    warehouse = open_url(warehouse_url, endpoint)
    settings = SyncSettings(workspace="tests", guards=UNGUARDED, push=FLUSH)
    engine = PeopleSync(
        warehouse,
        PEOPLE,
        settings,
        lambda: TrackClient(
            site_id="sandbox-site",
            api_key="sandbox-key",
            base_url=url,
            requests_per_second=100_000,
            max_in_flight=2,
        ),
    )
    print("extract", flush=True)
    engine.extract(run_id, FULL)
    print("plan", flush=True)
    engine.plan(run_id)
    print("push", flush=True)
    report = engine.push(run_id, lambda done, total: print(f"{done}/{total}", flush=True))
    print("done", report.outcomes.accepted, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
