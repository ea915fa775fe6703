"""The whole loop on a PostgreSQL server, by configuration alone: the commands as people and cron use them."""

from __future__ import annotations

import os
import shutil
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cio_pipelines.cli.receiver import ReceiverProcess
from cio_pipelines.sandbox import SandboxServer

from .commands import (
    WarehouseCli,
    environment,
    profiles,
    subscriber,
    times_sent,
    told,
    wait_for_bodies,
)
from .conftest import OnDuckDB


@pytest.fixture
def cli(
    tmp_path: Path, postgres_url: str, sandbox: SandboxServer, on_duckdb: OnDuckDB, home: Path
) -> WarehouseCli:
    """`cio` on a database with the company's tables, of which nothing was synced."""
    database = Path(shutil.copy(on_duckdb.company, tmp_path / "application.duckdb"))
    cli = WarehouseCli(database, {**environment(tmp_path, postgres_url, sandbox), "DAGSTER_HOME": str(home)})
    cli.take()
    return cli


@pytest.mark.slow
def test_the_loop(cli: WarehouseCli, sandbox: SandboxServer, on_duckdb: OnDuckDB) -> None:
    first = cli("sync", "people", "--full", "--json")

    assert first.code == 0, first.err
    assert told(first.line) == told(on_duckdb.lines[0])
    assert profiles(sandbox) == on_duckdb.profiles[0]

    # a hundredth changes
    cli.database = on_duckdb.changed
    cli.take()
    before = times_sent(sandbox)
    second = cli("sync", "people", "--full", "--json")

    assert second.code == 0, second.err
    assert told(second.line) == told(on_duckdb.lines[1])
    assert profiles(sandbox) == on_duckdb.profiles[1]
    sent = times_sent(sandbox) - before
    assert sent.total() == second.line["operations"]["identify"] < 60

    # somebody says no to Customer.io
    person = subscriber(sandbox)
    sandbox.unsubscribe(person)
    with ReceiverProcess({**os.environ, **cli.environment}) as receiver:
        sandbox.set_webhook(url=receiver.url)
        sandbox.wait_until_reported()
    sandbox.set_webhook(url=None)
    loaded = cli("load", "webhooks", "--json")
    third = cli("sync", "people", "--json")

    assert (loaded.code, loaded.line["inserted"], loaded.line["events_in_warehouse"]) == (0, 1, 1)
    assert cli.rows("select metric from customerio.webhook_events") == [("unsubscribed",)]
    assert cli.rows("select person_id from analytics.consent_changes") == [(person,)]
    assert (third.code, third.line["planned"], third.line["accepted"]) == (0, 1, 1)
    attributes = sandbox.people()[person]["attributes"]
    assert (attributes["unsubscribed"], attributes["marketing_opt_in"]) == (True, False)

    # and nothing more is to be said
    assert cli("sync", "people", "--full", "--json").line["planned"] == 0


@pytest.mark.slow
def test_killed_while_sending_the_same_command_ends_with_everybody_right(
    cli: WarehouseCli, sandbox: SandboxServer, on_duckdb: OnDuckDB
) -> None:
    cli.environment |= {"CUSTOMERIO_MAX_IN_FLIGHT": "1", "CIO_FLUSH_PEOPLE": "1"}
    sandbox.set_faults([{"kind": "slow", "seconds": 0.7, "path": "/api/v2/batch"}])
    process = cli.start("sync", "people", "--full")
    wait_for_bodies(sandbox, process, 3)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    sandbox.set_faults([])

    again = cli("sync", "people", "--full", "--json")

    assert again.code == 0, again.err
    assert 0 < again.line["planned"] < on_duckdb.lines[0]["planned"]
    assert profiles(sandbox) == on_duckdb.profiles[0]
    times = times_sent(sandbox)
    # one body was in flight since the last flush, at most a good thousand people
    assert max(times.values()) <= 2
    assert sum(count > 1 for count in times.values()) <= 1_500
    assert cli("sync", "people", "--full", "--json").line["planned"] == 0


@pytest.mark.slow
def test_of_two_syncs_one_is_told_to_wait_and_nothing_is_doubled(
    cli: WarehouseCli, sandbox: SandboxServer, on_duckdb: OnDuckDB
) -> None:
    cli.environment |= {"CUSTOMERIO_MAX_IN_FLIGHT": "1"}
    assert cli("sync", "people", "--full", "--dry-run").code == 0  # builds the mart
    sandbox.set_faults([{"kind": "slow", "seconds": 15, "path": "/api/v2/batch"}])
    first = cli.start("sync", "people", "--full", "--json")
    wait_for_bodies(sandbox, first, 1)

    second = cli("sync", "people", "--full", "--json")

    assert first.poll() is None, "it was over too early"
    sandbox.set_faults([])
    ended = cli.finish(first)
    assert ended.code == 0, ended.err
    assert second.code == 1
    assert "is syncing this workspace" in second.err
    assert "Traceback" not in second.err
    assert profiles(sandbox) == on_duckdb.profiles[0]
    assert set(times_sent(sandbox).values()) == {1}


@pytest.mark.slow
def test_refused_rows_end_as_told_and_are_tried_again(
    cli: WarehouseCli, sandbox: SandboxServer, on_duckdb: OnDuckDB
) -> None:
    sandbox.set_faults([{"kind": "reject", "every": 10, "reason": "invalid", "field": "attributes.plan"}])

    refused = cli("sync", "people", "--full", "--json")

    assert refused.code == 1
    assert refused.line["failed_checks"] == ["rejection_rate"]
    assert "attributes.plan invalid" in refused.out
    rejected = [each for each in sandbox.operations() if each["outcome"] == "rejected"]
    assert len(rejected) > 290
    assert cli.rows(
        "select operation, person_id from customerio_sync.sync_log where entry = 'rejected'"
    ) == sorted(((each["action"], each["id"]) for each in rejected), key=repr)

    sandbox.set_faults([])
    again = cli("sync", "people", "--full", "--json")

    assert again.code == 0, again.err
    # of the rejected some are erasures, which a run of their own tells of
    refusals = refused.line["rejected"] - refused.line["quarantined"]
    assert again.line["planned"] == again.line["accepted"] == refusals > 290
    assert profiles(sandbox) == on_duckdb.profiles[0]


@pytest.mark.slow
def test_a_range_of_days_in_one_run_equals_its_days(cli: WarehouseCli) -> None:
    today = datetime.now(UTC).date()
    days = [(today - timedelta(days=back)).isoformat() for back in (3, 2, 1)]

    cli.environment["CUSTOMERIO_WORKSPACE"] = "one run"
    assert cli("sync", "people", "--range", f"{days[0]}...{days[-1]}").code == 0
    cli.environment["CUSTOMERIO_WORKSPACE"] = "single days"
    for day in days:
        assert cli("sync", "people", "--partition", day).code == 0

    people = cli.snapshot("one run")
    assert {row[-1].date().isoformat() for row in people} == set(days)
    assert cli.snapshot("single days") == people
