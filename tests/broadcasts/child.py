"""A process that triggers until it is killed: `python -m tests.broadcasts.child DATABASE URL`."""

from __future__ import annotations

import sys

from cio_pipelines.broadcasts.engine import Broadcast
from cio_pipelines.warehouse import open_warehouse

from .rig import SPEC, TODAY, WORKSPACE, client_of

if __name__ == "__main__":
    database, url = sys.argv[1:]
    warehouse = open_warehouse(f"duckdb:///{database}")
    with Broadcast(warehouse, WORKSPACE, SPEC, lambda: client_of(url)) as broadcast:
        broadcast.run(TODAY, "child")
