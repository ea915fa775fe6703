"""`cio sync events` as people and cron use it."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from cio_pipelines.sandbox import SandboxServer
from tests.cli.conftest import Cli


def taken(sandbox: SandboxServer) -> Counter[str]:
    """How often the sandbox holds the event of each order."""
    return Counter(each["data"]["order_id"] for each in sandbox.activities() if each["type"] == "event")


@pytest.mark.slow
def test_a_range_sends_the_orders_of_its_days_and_a_repetition_none(cli: Cli, sandbox: SandboxServer) -> None:
    today = datetime.now(UTC).date()
    days = f"{today - timedelta(days=30)}...{today - timedelta(days=1)}"

    first = cli("sync", "events", "--range", days, "--json")

    assert first.code == 0, first.err
    line = first.line
    assert line["planned"] == line["extracted"] == line["accepted"] > 100
    assert taken(sandbox) == Counter(dict.fromkeys(taken(sandbox), 1))
    assert len(taken(sandbox)) == line["accepted"]
    assert line["why"]["late"] > 0
    assert "than 72 hours: stored" in first.out

    again = cli("sync", "events", "--range", days, "--json").line

    assert (again["planned"], again["unchanged"], again["requests"]) == (0, line["accepted"], 0)


def test_a_dry_run_shows_the_plan_and_sends_nothing(cli: Cli, sandbox: SandboxServer) -> None:
    ended = cli("sync", "events", "--full", "--dry-run", "--json")

    assert ended.code == 0, ended.err
    assert ended.line["status"] == "dry_run"
    assert ended.line["operations"] == {"event": ended.line["planned"]}
    assert ended.line["planned"] > 1_000
    assert "order_placed/" in ended.out
    assert "@example.com" not in ended.out
    assert sandbox.stats()["requests"] == 0
