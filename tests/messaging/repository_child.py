"""An application in a process of its own: `python -m tests.messaging.repository_child WAREHOUSE URL PLAN`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from cio_pipelines.customerio import TrackClient
from cio_pipelines.messaging.repository import UserMessagingRepository
from cio_pipelines.sync.settings import SyncSettings
from cio_pipelines.warehouse import open_warehouse

LATER = datetime(2026, 5, 1, 1, tzinfo=UTC)


def main(warehouse_url: str, url: str, plan: str) -> None:
    """Sync p1 with this plan, then delete p2, and print what became of both."""
    users = UserMessagingRepository(
        open_warehouse(warehouse_url, memory_limit="500MB", threads=2),
        SyncSettings(workspace="tests"),
        lambda: TrackClient(site_id="sandbox-site", api_key="sandbox-key", base_url=url),
        wait_seconds=100.0,
    )
    print(users.sync_user({"person_id": "p1", "updated_at": LATER, "plan": plan}).outcome, flush=True)
    print(users.on_user_deleted("p2").outcome, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
