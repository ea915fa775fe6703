"""The broadcasts as assets. None has a schedule: whoever wants one to go out daily gives its asset one."""

from cio_pipelines.broadcasts.specs import BROADCASTS
from cio_pipelines.defs.broadcasts.factory import broadcast_assets

broadcasts = [broadcast_assets(spec) for spec in BROADCASTS]
