"""`cio dead-letters` over both stores: what the syncs and what the message queue gave up."""

from __future__ import annotations

import asyncio
import json

from cio_pipelines.customerio import PersonIdentifiers, TransactionalEmail
from cio_pipelines.messaging.queue import open_queue
from cio_pipelines.messaging.queued import QueuedMessagingService
from cio_pipelines.sandbox import SandboxServer

from .conftest import Cli


def put(cli: Cli, *people: str) -> None:
    async def putting() -> None:
        async with QueuedMessagingService(open_queue(cli.environment["QUEUE_URL"])) as service:
            for person in people:
                await service.enqueue_identify(person, {"plan": "a secret plan"})
            mail = TransactionalEmail(
                to="ada@example.com",
                transactional_message_id=7,
                identifiers=PersonIdentifiers(id="ada"),
                message_data={"code": "a secret code"},
            )
            await service.enqueue_transactional(mail)

    asyncio.run(putting())


def listed(cli: Cli, *filters: str) -> list[dict[str, object]]:
    ended = cli("dead-letters", "list", "--json", *filters)
    assert ended.code == 0, ended.err
    return [json.loads(line) for line in ended.out.splitlines()]


def test_letters_of_the_queue_and_of_the_sync_are_one_list(cli: Cli, sandbox: SandboxServer) -> None:
    cli.environment["CUSTOMERIO_APP_URL"] = sandbox.url
    assert cli("sync", "people", "--full").code == 0
    of_sync = listed(cli)
    assert {letter["origin"] for letter in of_sync} == {"people"}
    sandbox.set_faults(
        [
            {"kind": "reject", "ids": ["bad"], "field": "attributes.plan"},
            {"kind": "status", "status": 400, "path": "/v1/send/email"},
        ]
    )
    put(cli, "bad", "good")
    worked = cli("worker", "--until-empty")
    assert worked.code == 0, worked.err

    letters = listed(cli)

    assert len(letters) == len(of_sync) + 2
    by_kind = {letter["kind"]: letter for letter in letters if letter["origin"] == "queue"}
    assert (by_kind["identify"]["field"], by_kind["identify"]["operation"]) == ("attributes.plan", "identify")
    assert by_kind["transactional"]["operation"] == "email"
    assert listed(cli, "--queue", "identify") == [by_kind["identify"]]
    assert listed(cli, "--from", "people") == of_sync
    assert listed(cli, "--before", "2020-01-01") == []
    shown = cli("dead-letters", "show", str(by_kind["transactional"]["id"]))
    assert "BadRequest" in shown.out or "400" in shown.out
    for text in (shown.out, shown.err, worked.err, json.dumps(letters)):
        assert "secret" not in text
        assert "example.com" not in text
    assert (
        "a secret code" in cli("dead-letters", "show", str(by_kind["transactional"]["id"]), "--payload").out
    )


def test_a_replayed_message_is_delivered_once_and_a_purged_one_is_gone(
    cli: Cli, sandbox: SandboxServer
) -> None:
    cli.environment["CUSTOMERIO_APP_URL"] = sandbox.url
    sandbox.set_faults(
        [{"kind": "reject", "ids": ["bad", "worse"]}, {"kind": "status", "status": 400, "path": "/v1/send"}]
    )
    put(cli, "bad", "worse")
    assert cli("worker", "--until-empty").code == 0
    sandbox.set_faults([])
    worse = next(
        str(letter["id"]) for letter in listed(cli, "--from", "queue") if letter["operation"] == "email"
    )

    assert cli("dead-letters", "purge", worse, "--yes").out.startswith("1 messages are forgotten")
    replayed = cli("dead-letters", "replay", "--all", "--from", "queue")
    assert "2 messages wait in the queue again" in replayed.out
    assert "2 messages" not in cli("dead-letters", "replay", "--all", "--from", "queue").out
    assert cli("worker", "--until-empty").code == 0

    assert {"bad", "worse"} <= sandbox.people().keys()
    assert sandbox.deliveries() == []
    assert listed(cli, "--from", "queue") == []


def test_wrong_filters_are_told(cli: Cli) -> None:
    assert "people, events, queue" in cli("dead-letters", "list", "--from", "mars").err
    assert "There is no queue mars" in cli("dead-letters", "list", "--queue", "mars").err
    assert cli("dead-letters", "replay").code == 2
    assert cli("dead-letters", "purge").code == 2
    unknown = cli("dead-letters", "show", "01ARZ3NDEKTSV4RRFFQ69G5FAV")
    assert unknown.code == 1
    assert "has no dead letter" in unknown.err
