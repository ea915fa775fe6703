"""What people say to Customer.io comes back: sandbox, receiver, load, mart and sync as their commands."""

from __future__ import annotations

import os
from pathlib import Path

import httpx

from cio_pipelines.cli.receiver import ReceiverProcess
from cio_pipelines.sandbox import SandboxServer

from .conftest import Cli


def consent(cli: Cli, person: str) -> tuple[bool | None, bool | None, bool]:
    """Of one person in the mart: marketing_opt_in, unsubscribed, opted_out."""
    (row,) = cli.execute(
        "select marketing_opt_in, unsubscribed, opted_out from analytics.customerio_people "
        f"where person_id = '{person}'"
    )
    return row


def test_an_unsubscribe_reaches_the_mart_and_survives_the_next_sync(cli: Cli, sandbox: SandboxServer) -> None:
    assert cli("sync", "people", "--full").code == 0
    known = sandbox.people()
    person = next(name for name, who in known.items() if who["attributes"].get("marketing_opt_in") is True)
    assert consent(cli, person) == (True, None, False)
    sandbox.unsubscribe(person)
    with ReceiverProcess({**os.environ, **cli.environment}) as receiver:
        sandbox.set_webhook(url=receiver.url)
        sandbox.wait_until_reported()
    sandbox.set_webhook(url=None)

    loaded = cli("load", "webhooks", "--json")
    synced = cli("sync", "people", "--json")
    after = cli("sync", "people", "--full", "--json")

    assert (loaded.code, loaded.line["inserted"], loaded.line["quarantined"]) == (0, 1, 0)
    assert loaded.line["events_in_warehouse"] == 1
    assert consent(cli, person) == (False, True, False)
    # the person is told to Customer.io as unsubscribed, once, and nothing undoes it
    assert (synced.line["planned"], synced.line["accepted"]) == (1, 1)
    assert after.line["planned"] == 0
    attributes = sandbox.people()[person]["attributes"]
    assert (attributes["unsubscribed"], attributes["marketing_opt_in"]) == (True, False)


def test_storage_exports_are_loaded_by_a_command(cli: Cli, sandbox: SandboxServer, tmp_path: Path) -> None:
    httpx.post(
        f"{sandbox.url}/api/v2/entity",
        json={
            "type": "person",
            "action": "identify",
            "identifiers": {"id": "ada"},
            "attributes": {"plan": "pro"},
        },
        headers={"authorization": sandbox.track_authorization},
        trust_env=False,
    ).raise_for_status()
    folder = tmp_path / "landing" / "exports"
    folder.mkdir(parents=True)
    sandbox.export(folder)

    ended = cli("load", "exports")

    assert ended.code == 0
    assert cli.execute("select customer_id from customerio.export_people") == [("ada",)]
    assert "export_people" in ended.out
    assert "1 rows" in ended.out


def test_a_load_without_anything_landed_says_so(cli: Cli) -> None:
    ended = cli("load", "webhooks")

    assert ended.code == 0
    assert "Nothing has landed" in ended.out


def test_a_load_refuses_what_is_no_day(cli: Cli) -> None:
    assert cli("load", "webhooks", "--partition", "yesterday").code == 2
    both = cli("load", "webhooks", "--partition", "2026-05-20", "--range", "2026-05-01...2026-05-20")
    assert (both.code, "only one of" in both.err) == (2, True)
