"""Who in this process wants to know how a push goes on: the command line, if anybody."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from cio_pipelines.sync.push import Progress

_listener: ContextVar[Progress | None] = ContextVar("progress", default=None)


def listener() -> Progress | None:
    """Whom to tell, if anybody."""
    return _listener.get()


@contextmanager
def watched_by(progress: Progress) -> Generator[None]:
    """Tell `progress` of every answered body of pushes made inside."""
    token = _listener.set(progress)
    try:
        yield
    finally:
        _listener.reset(token)
