"""Keeps httpx from logging the URLs of our requests: that of a look-up holds an e-mail address or an id."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

_ours: ContextVar[bool] = ContextVar("request_of_a_customerio_client", default=False)


class _OthersOnly(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not _ours.get()


logging.getLogger("httpx").addFilter(_OthersOnly())


@contextmanager
def unlogged() -> Generator[None]:
    """What httpx does within is not logged; requests of anybody else still are."""
    token = _ours.set(True)
    try:
        yield
    finally:
        _ours.reset(token)
