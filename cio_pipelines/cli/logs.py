"""Logs of commands that serve: one JSON object a line, or text when a person is watching."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any


class JsonLines(logging.Formatter):
    """`time`, `severity` and `message`, named as Google Cloud Logging has them, and the record's `fields`.

    Of an exception its type and where it was raised are told: its text may hold personal data.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "severity": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
            **_fields(record),
        }
        return json.dumps(line, ensure_ascii=False, default=str)


class Text(logging.Formatter):
    """The same for a person."""

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC)
        told = "  ".join(f"{name}={value}" for name, value in _fields(record).items())
        return f"{when:%H:%M:%S} {record.levelname.lower():<7} {record.getMessage()}  {told}".rstrip()


def log_to_standard_error() -> None:
    """Send all logs of this process there, those of the libraries from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Text() if sys.stderr.isatty() else JsonLines())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("cio_pipelines").setLevel(logging.INFO)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = dict(getattr(record, "fields", {}))
    if record.exc_info and record.exc_info[0]:
        fields["error"] = record.exc_info[0].__name__
        frames = traceback.extract_tb(record.exc_info[2])
        fields["where"] = [f"{frame.filename}:{frame.lineno}" for frame in frames[-5:]]
    return fields
