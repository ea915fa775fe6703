"""What jobs cost, and the labels by which they are found again."""

# the client carries few types
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from cio_pipelines.warehouse.protocol import Usage

_KEPT_LINKS = 20
_LABEL_LENGTH = 63


class Meter:
    """Adds up what the jobs of a warehouse cost."""

    def __init__(self) -> None:
        self._jobs = 0
        self._bytes_billed = 0
        self._slot_milliseconds = 0
        self._links: deque[str] = deque(maxlen=_KEPT_LINKS)

    def add(self, job: Any) -> None:
        """Count a job of the client that has ended."""
        self._jobs += 1
        self._bytes_billed += getattr(job, "total_bytes_billed", None) or 0
        self._slot_milliseconds += getattr(job, "slot_millis", None) or 0
        self._links.append(link(job.project, job.location, job.job_id))

    @property
    def usage(self) -> Usage:
        """All so far."""
        return Usage(self._jobs, self._bytes_billed, self._slot_milliseconds, tuple(self._links))


def link(project: str, location: str | None, job_id: str) -> str:
    """Where Google's console shows a job."""
    job = quote(f"bq:{location or ''}:{job_id}", safe=":")
    return f"https://console.cloud.google.com/bigquery?project={quote(project)}&j={job}&page=queryresults"


def labelled(labels: Mapping[str, str]) -> dict[str, str]:
    """Labels as BigQuery takes them: lower-case letters, digits, `_` and `-`, at most 63 of them."""
    return {
        re.sub(r"[^a-z0-9_-]", "_", name.lower())[:_LABEL_LENGTH]: re.sub(r"[^a-z0-9_-]", "_", value.lower())[
            :_LABEL_LENGTH
        ]
        for name, value in labels.items()
    }
