"""Secrets from files: `QUEUE_URL_FILE=/secrets/queue-url` stands for `QUEUE_URL`, and may change meanwhile.

A platform that mounts secrets puts a new version into the file; a variable would stay as it was until the
process is started anew.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

_log = logging.getLogger(__name__)

SUFFIX = "_FILE"

FROM_FILES = frozenset(
    {
        "WAREHOUSE_URL",
        "QUEUE_URL",
        "CUSTOMERIO_SITE_ID",
        "CUSTOMERIO_TRACK_API_KEY",
        "CUSTOMERIO_APP_API_KEY",
        "CUSTOMERIO_WEBHOOK_SIGNING_KEY",
        "CIO_ALERT_WEBHOOK_URL",
        "CIO_ALERT_SMTP_URL",
    }
)
"""Variables that may be given so: secrets, and addresses that may hold one."""


class SecretFileError(Exception):
    """A file cannot stand for its variable. The message quotes nothing of the file."""


def with_files(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment with what the files hold, without white space around it, in place of their names.

    Raises:
        SecretFileError: a file cannot be read or holds nothing, or the variable is given as well.
    """
    read = dict(environment)
    for name in FROM_FILES:
        path = read.pop(name + SUFFIX, "")
        if not path:
            continue
        if read.get(name):
            raise SecretFileError(f"{name} and {name}{SUFFIX} are both set. Unset one of them.")
        read[name] = _content(name, Path(path))
    return read


def secret_values(environment: Mapping[str, str]) -> dict[str, str]:
    """Those variables of the environment that are given by files. Raises SecretFileError."""
    given = {name: environment[name + SUFFIX] for name in FROM_FILES if environment.get(name + SUFFIX)}
    return {name: _content(name, Path(path)) for name, path in given.items()}


@contextmanager
def watched(
    environment: Mapping[str, str], every_seconds: float, changed: Callable[[], None]
) -> Generator[None]:
    """Call `changed`, on a thread of its own, when the content of a file differs, and at each SIGHUP.

    Contents are compared, for a mounted secret's times need not tell of a new version. A file that cannot
    be read is logged once, and what it said before holds. Enter it in the main thread.
    """
    wake, ended = threading.Event(), threading.Event()
    looking = (environment, secret_values(environment), every_seconds, changed, wake, ended)
    before = signal.signal(signal.SIGHUP, lambda *_: wake.set())
    thread = threading.Thread(target=_watch, args=looking, name="secrets", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        wake.set()
        thread.join()
        signal.signal(signal.SIGHUP, before)


def _watch(
    environment: Mapping[str, str],
    known: dict[str, str],
    every_seconds: float,
    changed: Callable[[], None],
    wake: threading.Event,
    ended: threading.Event,
) -> None:
    complained = False
    while True:
        asked = wake.wait(every_seconds)
        wake.clear()
        if ended.is_set():
            return
        try:
            now = secret_values(environment)
        except SecretFileError as error:
            if not complained:
                fields = {"reason": f"{error} What it said before holds."}
                _log.error("a secret's file cannot be read", extra={"fields": fields})
            complained = True
            continue
        complained = False
        if asked or now != known:
            known = now
            changed()


def _content(name: str, path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SecretFileError(
            f"{name}{SUFFIX} names {path}, which cannot be read ({error.strerror}). Correct the path, or "
            "mount the secret there."
        ) from None
    except UnicodeDecodeError:
        raise SecretFileError(f"{name}{SUFFIX} names {path}, which is no text in UTF-8.") from None
    if not text:
        raise SecretFileError(f"{name}{SUFFIX} names {path}, which is empty. Put the secret into it.")
    return text
