"""What a stand-in lacks or answers otherwise than BigQuery's documentation says.

One table: tests named here are not run (`lacks`), or are expected to fail (`differs`: when an emulator learns
better, the test says so). `docs/engines.md` lists the same words.
"""

from __future__ import annotations

from typing import Literal, NamedTuple


class Limit(NamedTuple):
    """Why a test of an engine does not hold."""

    kind: Literal["lacks", "differs"]
    reason: str


LIMITS: dict[tuple[str, str], Limit] = {
    ("bigquery", "test_a_value_arrives_as_it_is[the last moment]"): Limit(
        "differs", "UNIX_SECONDS of moments in the year 9999 is rounded; BigQuery rounds down"
    ),
}
"""(engine, name of the test, with the case in brackets if it is about one) → limit."""
