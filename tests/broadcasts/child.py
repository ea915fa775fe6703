"""A process that triggers until it is killed: `python -m tests.broadcasts.child DATABASE URL`."""

from __future__ import annotations

import sys

from cio_pipelines.broadcasts.engine import Broadcast
from cio_pipelines.warehouse import open_warehouse

from .rig import SPEC, TODAY, WORKSPACE, client_of

if __name__ == "__main__":
    database, url = sys.argv[1:]
    broadcast = Broadcast(open_warehouse(f"duckdb:///{database}"), WORKSPACE, SPEC, lambda: client_of(url))
    broadcast.run(TODAY, "child")
