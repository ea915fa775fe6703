"""The App client against the sandbox, over HTTP, end to end."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from cio_pipelines.customerio import (
    AppClient,
    BadRequest,
    DataFile,
    DefaultAudience,
    Device,
    Emails,
    Filter,
    IdentifyPerson,
    Ids,
    NotFound,
    PersonEvent,
    PersonIdentifiers,
    PerUserData,
    RateLimited,
    Recipient,
    Region,
    RetryPolicy,
    ServerError,
    SyncAppClient,
    TrackClient,
    TransactionalEmail,
    TransactionalInApp,
    TransactionalInboxMessage,
    TransactionalMessage,
    TransactionalPush,
    TransactionalSms,
    TransportError,
    Unauthorized,
    message_from_json,
)
from cio_pipelines.sandbox import SandboxOptions, SandboxServer

from .conftest import QUICK

pytestmark = pytest.mark.anyio
ANN, BOB = PersonIdentifiers(id="ann"), PersonIdentifiers(id="bob/1")
ANN_EMAIL, BOB_EMAIL = "ann+news@example.com", "bob@example.com"
IN_PRO = {"attribute": {"field": "plan", "operator": "eq", "value": "pro"}}


@pytest.fixture(scope="module")
def running() -> Iterator[SandboxServer]:
    with SandboxServer(SandboxOptions()) as server:
        yield server


@pytest.fixture
async def sandbox(running: SandboxServer) -> SandboxServer:
    """A sandbox in which Ann and Bob are known."""
    running.set_faults([])
    running.reset()
    options = running.options
    async with TrackClient(
        site_id=options.site_id, api_key=options.track_api_key, base_url=running.url
    ) as track:
        result = await track.batch(
            [
                IdentifyPerson(ANN, {"email": ANN_EMAIL, "plan": "pro", "phone": "+15550100"}),
                IdentifyPerson(BOB, {"email": BOB_EMAIL, "plan": "free"}),
                PersonEvent(ANN, "bought", {"sku": 1}),
            ]
        )
    assert result.accepted == 3
    return running


def client_of(sandbox: SandboxServer, retry: RetryPolicy = QUICK, rate: float = 10_000) -> AppClient:
    return AppClient(
        api_key=sandbox.options.app_api_key,
        region=Region.US,
        base_url=sandbox.url,
        requests_per_second=rate,
        transactional_per_second=rate,
        seconds_per_broadcast=1 / rate,
        retry=retry,
    )


@pytest.fixture
async def client(sandbox: SandboxServer) -> AsyncIterator[AppClient]:
    async with client_of(sandbox) as client:
        yield client


MESSAGES: list[TransactionalMessage] = [
    TransactionalEmail(
        to=ANN_EMAIL,
        transactional_message_id="receipt",
        identifiers=ANN,
        subject="Thanks",
        message_data={"order": 7},
        attachments={"a.txt": b"hello"},
        headers={"X-Shop": "1"},
    ),
    TransactionalPush(transactional_message_id=2, identifiers=ANN, device=Device("token-1", "ios")),
    TransactionalSms(transactional_message_id=3, identifiers=ANN, to="+15550100"),
    TransactionalInApp(transactional_message_id=4, identifiers=ANN),
    TransactionalInboxMessage(transactional_message_id=5, identifiers=ANN),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.kind)
async def test_a_message_of_each_kind_is_sent_also_after_it_waited_as_json(
    sandbox: SandboxServer, client: AppClient, message: TransactionalMessage
) -> None:
    first = await client.send(message)
    second = await client.send(message_from_json(message.kind, message.to_json()))
    deliveries = sandbox.deliveries()
    assert [delivery["delivery_id"] for delivery in deliveries] == [first.delivery_id, second.delivery_id]
    assert first.queued_at is not None
    assert abs(first.queued_at - time.time()) < 60
    assert first.send_at is None


async def test_a_message_for_later_says_when(client: AppClient) -> None:
    later = int(time.time()) + 3_600
    sent = await client.send(TransactionalEmail(to=ANN_EMAIL, transactional_message_id=1, send_at=later))
    assert sent.send_at == later


async def test_a_reset_after_acceptance_is_told_as_unknown_and_not_sent_twice(
    sandbox: SandboxServer, client: AppClient
) -> None:
    sandbox.set_faults([{"kind": "reset_after", "path": "/v1/send"}])
    with pytest.raises(TransportError) as caught:
        await client.send(MESSAGES[0])
    assert (caught.value.was_accepted, caught.value.attempts) == ("unknown", 1)
    assert len(sandbox.deliveries()) == 1


async def test_a_truncated_answer_is_told_as_unknown_and_not_sent_twice(
    sandbox: SandboxServer, client: AppClient
) -> None:
    sandbox.set_faults([{"kind": "truncate", "path": "/v1/campaigns"}])
    with pytest.raises(TransportError) as caught:
        await client.trigger_broadcast(1, Ids(["ann"]))
    assert caught.value.was_accepted == "unknown"
    assert len(sandbox.triggers()) == 1


async def test_of_many_messages_under_faults_none_is_sent_twice(
    sandbox: SandboxServer, client: AppClient
) -> None:
    sandbox.set_faults(
        [
            {"kind": "status", "status": 429, "every": 5, "path": "/v1/send", "retry_after": 0},
            {"kind": "status", "status": 500, "every": 11, "path": "/v1/send"},
            {"kind": "reset_after", "every": 7, "path": "/v1/send"},
        ]
    )
    taken = 0
    doubts: list[str] = []
    for number in range(100):
        message = TransactionalEmail(
            to=f"p{number}@example.com", transactional_message_id=1, message_data={"n": number}
        )
        try:
            await client.send(message)
            taken += 1
        except (ServerError, TransportError) as error:
            doubts.append(error.was_accepted)
    counts = sandbox.delivery_counts()
    assert set(counts.values()) == {1}
    assert taken <= len(counts) <= taken + len(doubts)
    assert len(doubts) > 10
    assert set(doubts) == {"unknown"}


async def test_refusals_of_the_sandbox_are_told_with_their_reason(client: AppClient) -> None:
    with pytest.raises(NotFound) as missing:
        await client.broadcast_trigger(9, 9)
    assert missing.value.was_accepted == "no"
    with pytest.raises(BadRequest) as refused:
        await client.trigger_broadcast(1, Ids(["ann", "nobody"]))
    assert (refused.value.status, refused.value.was_accepted) == (422, "no")
    assert refused.value.field
    assert refused.value.field.startswith("/data/attributes/")


async def test_another_key_is_refused(sandbox: SandboxServer) -> None:
    async with AppClient(api_key="another", base_url=sandbox.url) as stranger:
        with pytest.raises(Unauthorized):
            await stranger.segments()


async def test_every_kind_of_audience_is_triggered(
    sandbox: SandboxServer, client: AppClient, tmp_path_factory: pytest.TempPathFactory
) -> None:
    people = [Recipient(ANN, {"code": "x"}), Recipient(PersonIdentifiers(email=BOB_EMAIL))]
    audiences = [
        DefaultAudience(),
        Filter(IN_PRO),
        Ids(["ann", "nobody"], id_ignore_missing=True),
        Emails([BOB_EMAIL, "x@example.com"], email_ignore_missing=True, email_add_duplicates=True),
        PerUserData(people, id_ignore_missing=True),
    ]
    triggers = [await client.trigger_broadcast(3, audience, {"headline": "x"}) for audience in audiences]
    assert triggers == [1, 2, 3, 4, 5]
    told = [await client.broadcast_trigger(3, trigger) for trigger in triggers]
    assert all(trigger.is_processed for trigger in told)
    assert [trigger.recipients_count for trigger in told[1:]] == [1, 1, 1, 2]
    assert [trigger.id for trigger in await client.broadcast_triggers(3)] == triggers
    assert len(sandbox.triggers()) == 5


async def test_errors_of_a_trigger_are_listed_over_all_pages(client: AppClient) -> None:
    with pytest.raises(BadRequest):
        await client.trigger_broadcast(4, Ids([f"nobody-{number}" for number in range(250)]))
    errors = [error async for error in client.broadcast_trigger_errors(4, 1)]
    assert len(errors) == 250
    assert len(set(errors)) == 250


async def test_a_data_file_is_fetched_or_refused_by_address(client: AppClient) -> None:
    with pytest.raises(BadRequest) as caught:
        await client.trigger_broadcast(5, DataFile("https://files.example.com/a.jsonl"))
    assert caught.value.field == "/data/attributes/data_file_url"


async def test_people_are_found_and_read_back(client: AppClient) -> None:
    (found,) = await client.people_by_email(ANN_EMAIL)
    assert (found.id, found.email) == ("ann", ANN_EMAIL)
    assert await client.people_by_email("nobody@example.com") == ()
    by_each = [
        await client.person(ANN),
        await client.person(PersonIdentifiers(email=ANN_EMAIL)),
        await client.person(PersonIdentifiers(cio_id=found.cio_id)),
    ]
    assert {person.id for person in by_each} == {"ann"}
    assert by_each[0].attributes["plan"] == "pro"
    assert [person.id for person in await client.people(["ann", "bob/1", "nobody"])] == ["ann", "bob/1"]
    assert [person.id async for person in client.search_people(IN_PRO)] == ["ann"]
    everybody = client.search_people({"attribute": {"field": "plan", "operator": "exists"}}, limit=1)
    assert [person.id async for person in everybody] == ["ann", "bob/1"]
    with pytest.raises(NotFound):
        await client.person(PersonIdentifiers(id="nobody"))
    assert [a["name"] async for a in client.person_activities(ANN, type="event")] == ["bought"]
    assert len([activity async for activity in client.activities(type="profile_create")]) == 2
    assert await client.person_segments(BOB) == ()
    assert [related async for related in client.person_relationships(BOB)] == []
    assert (await client.subscription_preferences(BOB))["topics"] == []


async def test_messages_of_a_person_are_listed(client: AppClient) -> None:
    sent = [(await client.send(MESSAGES[0])).delivery_id for _ in range(3)]
    messages = [message["id"] async for message in client.person_messages(ANN)]
    assert sorted(messages) == sorted(sent)


async def test_segments_are_made_counted_and_deleted(sandbox: SandboxServer, client: AppClient) -> None:
    made = await client.create_segment("vip", "the best")
    added = httpx.post(
        f"{sandbox.url}/api/v1/segments/{made.id}/add_customers",
        json={"ids": ["ann", "bob/1"]},
        headers={"Authorization": sandbox.track_authorization},
        trust_env=False,
    )
    assert added.status_code == 200
    assert (made.name, made.type) == ("vip", "manual")
    assert made.id in [segment.id for segment in await client.segments()]
    assert await client.segment_count(made.id) == 2
    assert [member.id async for member in client.segment_members(made.id, limit=1)] == ["ann", "bob/1"]
    assert [segment["name"] for segment in await client.person_segments(ANN)] == ["vip"]
    assert [person.id async for person in client.search_people({"segment": {"id": made.id}})] == [
        "ann",
        "bob/1",
    ]
    await client.delete_segment(made.id)
    with pytest.raises(NotFound):
        await client.segment(made.id)


async def test_an_export_is_made_and_fetched(client: AppClient) -> None:
    export = await client.export_people(IN_PRO)
    assert export.id in [each.id for each in await client.exports()]
    assert (await client.export(export.id)).is_done
    url = await client.export_url(export.id)
    text = httpx.get(url, trust_env=False).text
    assert "ann" in text
    assert "bob" not in text
    deliveries = await client.export_deliveries("transactional_message_id", 1)
    assert deliveries.type == "deliveries"


async def test_addresses_are_suppressed_listed_and_released(client: AppClient) -> None:
    addresses = [f"a+{number}@example.com" for number in range(3)]
    for address in addresses:
        await client.suppress_address("spam_reports", address)
    (found,) = await client.suppressed_address(addresses[0])
    assert (found.email, found.category) == (addresses[0], "spam")
    listed = [entry.email async for entry in client.suppressed_addresses("spam_reports", limit=2)]
    assert listed == addresses
    await client.release_address("spam_reports", addresses[0])
    assert await client.suppressed_address(addresses[0]) == ()


def test_the_limits_by_default_are_within_the_service_s_own() -> None:
    options = SandboxOptions(app_requests_per_second=10, transactional_per_second=100)
    with SandboxServer(options) as server:
        app = AppClient(api_key=options.app_api_key, base_url=server.url, retry=RetryPolicy(max_attempts=1))
        with SyncAppClient(app) as client:
            for _ in range(25):
                client.segments()
                client.send(MESSAGES[3])
        hasty = client_of(server, RetryPolicy(max_attempts=1))
        with SyncAppClient(hasty) as client, pytest.raises(RateLimited) as caught:
            [client.segments() for _ in range(25)]
    assert caught.value.retry_after == 1
