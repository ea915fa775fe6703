"""The command `cio`, for people and for cron.

Exit codes: 0 all well; 1 a check failed, rows were refused beyond the limit, or the work could not be done;
2 wrong use or settings; 130 interrupted.
"""

from cio_pipelines.cli.main import main

__all__ = ["main"]
