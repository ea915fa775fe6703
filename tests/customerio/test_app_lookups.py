"""Every look-up: what it asks for, how it reads the answer, and how it goes on to the next page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import orjson
import pytest

from cio_pipelines.customerio import (
    AppClient,
    BroadcastTrigger,
    CallEvent,
    Export,
    Identity,
    InvalidOperation,
    NotFound,
    Person,
    PersonIdentifiers,
    Segment,
    ServerError,
    SuppressedAddress,
    SyncAppClient,
    UnexpectedResponse,
)

from .scripted_server import RESET, Answer, ScriptedServer

pytestmark = pytest.mark.anyio
Connect = Callable[..., AppClient]
Item = TypeVar("Item")

ODD = PersonIdentifiers(email="jane+news@example.com")
SLASHED = PersonIdentifiers(id="a/b c?d#é")
IN_4: dict[str, Any] = {"segment": {"id": 4}}
ANN = {"email": "ann@example.com", "id": "1", "cio_id": "a3000001"}
ANN_IDENTITY = Identity("a3000001", "1", "ann@example.com")
PROFILE: dict[str, Any] = {
    "id": "1",
    "identifiers": ANN,
    "attributes": {"plan": "pro", "o": '{"a":1}'},
    "timestamps": {"plan": 1_700_000_000},
    "unsubscribed": False,
    "devices": [{"token": "t", "platform": "ios"}],
}
ANN_PERSON = Person(
    "1", ANN_IDENTITY, PROFILE["attributes"], PROFILE["timestamps"], False, tuple(PROFILE["devices"])
)
TRIGGER = {"id": 3, "broadcast_id": 12, "created_at": 5, "processed_at": 9}


async def all_of(items: AsyncIterator[Item]) -> list[Item]:
    return [item async for item in items]


Single = tuple[Callable[[AppClient], Awaitable[object]], str, str, Any, object]
SINGLE: list[Single] = [
    (
        lambda c: c.people_by_email("jane+news@example.com"),
        "GET",
        "/v1/customers?email=jane%2Bnews%40example.com",
        {"results": [ANN, {"cio_id": "b", "id": None, "email": None}]},
        (ANN_IDENTITY, Identity("b")),
    ),
    (
        lambda c: c.person(SLASHED),
        "GET",
        "/v1/customers/a%2Fb%20c%3Fd%23%C3%A9/attributes?id_type=id",
        {"customer": PROFILE},
        ANN_PERSON,
    ),
    (
        lambda c: c.person(PersonIdentifiers(phone="+15550100")),
        "GET",
        "/v1/customers/%2B15550100/attributes?id_type=phone",
        {"customer": {"id": None}},
        Person(),
    ),
    (
        lambda c: c.people(["1", "2", "3"]),
        "POST",
        "/v1/customers/attributes",
        {"customers": [{"customer": PROFILE}, PROFILE]},
        (ANN_PERSON, ANN_PERSON),
    ),
    (
        lambda c: c.person_segments(ODD),
        "GET",
        "/v1/customers/jane%2Bnews%40example.com/segments?id_type=email",
        {"segments": [{"id": "4", "name": "all"}]},
        ({"id": "4", "name": "all"},),
    ),
    (
        lambda c: c.subscription_preferences(PersonIdentifiers(cio_id="a3"), "de"),
        "GET",
        "/v1/customers/a3/subscription_preferences?id_type=cio_id&language=de",
        {"customer": {"unsubscribed": False, "topics": []}},
        {"unsubscribed": False, "topics": []},
    ),
    (
        lambda c: c.segments(),
        "GET",
        "/v1/segments",
        {"segments": [{"id": 4, "name": "all", "type": "dynamic", "tags": None, "progress": None}]},
        (Segment(4, "all", type="dynamic"),),
    ),
    (
        lambda c: c.segment(4),
        "GET",
        "/v1/segments/4",
        {"segment": {"id": 4, "name": "all", "tags": ["a"], "unheard_of": 1}},
        Segment(4, "all", tags=("a",)),
    ),
    (lambda c: c.segment_count(4), "GET", "/v1/segments/4/customer_count", {"count": 12}, 12),
    (
        lambda c: c.create_segment("vip", "the best"),
        "POST",
        "/v1/segments",
        {"segment": {"id": 5, "name": "vip"}},
        Segment(5, "vip"),
    ),
    (
        lambda c: c.export_people(IN_4),
        "POST",
        "/v1/exports/customers",
        {"export": {"id": 8, "status": "pending", "user_email": "ann@example.com"}},
        Export(8, "pending", user_email="ann@example.com"),
    ),
    (
        lambda c: c.export_deliveries("campaign_id", 5, start=10, end=20, attributes=["plan"], metric="sent"),
        "POST",
        "/v1/exports/deliveries",
        {"export": {"id": 8, "status": "pending", "total": 0}},
        Export(8, "pending", total=0),
    ),
    (lambda c: c.exports(), "GET", "/v1/exports", {"exports": [{"id": 8}]}, (Export(8),)),
    (lambda c: c.exports(), "GET", "/v1/exports", {"exports": None}, ()),
    (lambda c: c.export(8), "GET", "/v1/exports/8", {"export": {"id": 8}}, Export(8)),
    (lambda c: c.export_url(8), "GET", "/v1/exports/8/download", {"url": "https://x"}, "https://x"),
    (lambda c: c.export_url(8), "GET", "/v1/exports/8/download", {"link": "https://y"}, "https://y"),
    (
        lambda c: c.broadcast_trigger(12, 3),
        "GET",
        "/v1/campaigns/12/triggers/3",
        {**TRIGGER, "id": "3", "recipients_count": 2, "workflow_action_ids": [1]},
        BroadcastTrigger(3, 12, 5, 9, 2, (1,)),
    ),
    (
        lambda c: c.broadcast_triggers(12),
        "GET",
        "/v1/broadcasts/12/triggers",
        {"triggers": [TRIGGER, {"id": 4, "processed_at": None}]},
        (BroadcastTrigger(3, 12, 5, 9), BroadcastTrigger(4)),
    ),
    (
        lambda c: c.suppressed_address("jane+news@example.com"),
        "GET",
        "/v1/esp/search_suppression/jane%2Bnews%40example.com",
        {
            "category": "bounces",
            "suppressions": [{"created": 5, "email": "e", "reason": "r", "status": "550"}],
        },
        (SuppressedAddress("e", "bounces", 5, "r", "550"),),
    ),
]


@pytest.mark.parametrize(("call", "method", "path", "answer", "result"), SINGLE)
async def test_a_look_up_asks_for_one_thing_and_reads_it(
    server: ScriptedServer,
    connect_app: Connect,
    events: list[CallEvent],
    call: Callable[[AppClient], Awaitable[object]],
    method: str,
    path: str,
    answer: dict[str, Any],
    result: object,
) -> None:
    server.default = Answer(body=orjson.dumps(answer))
    async with connect_app() as client:
        assert await call(client) == result
    (request,) = server.received
    assert (request.method, request.path) == (method, path)
    assert events[0].operation.startswith("app.")
    assert events[0].outcome == "accepted"


async def test_what_is_asked_for_in_a_body(server: ScriptedServer, connect_app: Connect) -> None:
    server.script = [
        Answer(body=b'{"customers":[]}'),
        Answer(body=b'{"segment":{"id":1}}'),
        Answer(body=b'{"export":{"id":1}}'),
        Answer(body=b'{"export":{"id":1}}'),
    ]
    async with connect_app() as client:
        await client.people(["1", "é"])
        await client.create_segment("vip", "the best")
        await client.export_people(IN_4)
        await client.export_deliveries("newsletter_id", 5, start=10, attributes=["plan"], drafts=False)
    assert [orjson.loads(request.body) for request in server.received] == [
        {"ids": ["1", "é"]},
        {"segment": {"name": "vip", "description": "the best"}},
        {"filters": IN_4},
        {"newsletter_id": 5, "start": 10, "attributes": ["plan"], "drafts": False},
    ]


Paged = tuple[Callable[[AppClient], AsyncIterator[object]], str, str, list[Any], list[object]]
PAGED: list[Paged] = [
    (
        lambda c: c.search_people(IN_4),
        "/v1/customers?limit=1000",
        "identifiers",
        [[ANN], [{"cio_id": "b"}]],
        [ANN_IDENTITY, Identity("b")],
    ),
    (
        lambda c: c.segment_members(4),
        "/v1/segments/4/membership?limit=30000",
        "identifiers",
        [[ANN], [{"cio_id": "b", "id": "2"}]],
        [ANN_IDENTITY, Identity("b", "2")],
    ),
    (
        lambda c: c.person_messages(ODD),
        "/v1/customers/jane%2Bnews%40example.com/messages?id_type=email&limit=1000",
        "messages",
        [[{"id": "m1"}], [{"id": "m2"}]],
        [{"id": "m1"}, {"id": "m2"}],
    ),
    (
        lambda c: c.person_relationships(SLASHED),
        "/v1/customers/a%2Fb%20c%3Fd%23%C3%A9/relationships?id_type=id&limit=100",
        "cio_relationships",
        [[{"object_type_id": "1"}], []],
        [{"object_type_id": "1"}],
    ),
    (
        lambda c: c.person_activities(ODD, type="event", name="a&b"),
        "/v1/customers/jane%2Bnews%40example.com/activities?id_type=email&type=event&name=a%26b&limit=100",
        "activities",
        [[{"id": "x"}], [{"id": "y"}]],
        [{"id": "x"}, {"id": "y"}],
    ),
    (
        lambda c: c.activities(type="event", deleted=True),
        "/v1/activities?type=event&deleted=true&limit=100",
        "activities",
        [None, [{"id": "y"}]],
        [{"id": "y"}],
    ),
    (
        lambda c: c.broadcast_trigger_errors(12, 3),
        "/v1/campaigns/12/triggers/3/errors?limit=100",
        "errors",
        [["line 1: no such id"], ["line 9: no such id"]],
        ["line 1: no such id", "line 9: no such id"],
    ),
]


@pytest.mark.parametrize(("call", "path", "key", "pages", "items"), PAGED)
@pytest.mark.parametrize("following", ["t/ok+en=", 17])
async def test_a_list_is_read_to_its_end_page_by_page(
    server: ScriptedServer,
    connect_app: Connect,
    call: Callable[[AppClient], AsyncIterator[object]],
    path: str,
    key: str,
    pages: list[Any],
    items: list[object],
    following: str | int,
) -> None:
    server.script = [Answer(503)]
    server.script.append(Answer(body=orjson.dumps({key: pages[0], "next": following})))
    server.script.append(Answer(body=orjson.dumps({key: pages[1], "next": "" if following == 17 else None})))
    async with connect_app() as client:
        assert await all_of(call(client)) == items
    start = "17" if following == 17 else "t%2Fok%2Ben%3D"
    assert [request.path for request in server.received] == [path, path, f"{path}&start={start}"]
    assert len({request.body for request in server.received}) == 1


async def test_pages_that_go_round_in_a_circle_end(server: ScriptedServer, connect_app: Connect) -> None:
    server.default = Answer(body=b'{"activities":[{"id":"x"}],"next":"same"}')
    async with connect_app() as client:
        assert len(await all_of(client.activities())) == 2
    assert len(server.received) == 2


async def test_no_more_pages_are_read_than_wanted(server: ScriptedServer, connect_app: Connect) -> None:
    server.default = Answer(body=b'{"activities":[{"id":"x"},{"id":"y"}],"next":"more"}')
    async with connect_app() as client:
        async for activity in client.activities():
            assert activity == {"id": "x"}
            break
    assert len(server.received) == 1


async def test_suppressed_addresses_are_paged_by_offset(server: ScriptedServer, connect_app: Connect) -> None:
    def page(*names: str) -> Answer:
        entries = [{"email": name, "created": 1} for name in names]
        return Answer(body=orjson.dumps({"category": "spam", "suppressions": entries}))

    server.script = [page("a", "b"), page("c")]
    async with connect_app() as client:
        found = await all_of(client.suppressed_addresses("spam_reports", "mail.example.com", limit=2))
    assert [(address.email, address.category) for address in found] == [(n, "spam") for n in "abc"]
    query = "limit=2&offset={}&domain=mail.example.com"
    assert [request.path for request in server.received] == [
        f"/v1/esp/suppression/spam_reports?{query.format(offset)}" for offset in (0, 2)
    ]


async def test_addresses_are_suppressed_and_released(server: ScriptedServer, connect_app: Connect) -> None:
    server.script = [Answer(500), Answer(), Answer(204, b"")]
    async with connect_app() as client:
        await client.suppress_address("bounces", "a+b@example.com")
        await client.release_address("blocks", "a+b@example.com")
        await client.delete_segment(4)
    assert [(request.method, request.path) for request in server.received] == [
        ("POST", "/v1/esp/suppression/bounces/a%2Bb%40example.com"),
        ("POST", "/v1/esp/suppression/bounces/a%2Bb%40example.com"),
        ("DELETE", "/v1/esp/suppression/blocks/a%2Bb%40example.com"),
        ("DELETE", "/v1/segments/4"),
    ]


@pytest.mark.parametrize("trouble", [Answer(500), Answer(429), RESET])
async def test_reading_is_repeated_after_any_passing_trouble(
    server: ScriptedServer, connect_app: Connect, trouble: Answer
) -> None:
    server.script = [trouble, Answer(body=b'{"customers":[]}')]
    async with connect_app() as client:
        assert await client.people(["1"]) == ()
    assert len(server.received) == 2


@pytest.mark.parametrize(
    "make",
    [
        lambda c: c.create_segment("vip"),
        lambda c: c.export_people(IN_4),
        lambda c: c.export_deliveries("action_id", 1),
    ],
)
async def test_what_makes_a_new_thing_is_not_repeated_in_doubt(
    server: ScriptedServer, connect_app: Connect, make: Callable[[AppClient], Awaitable[object]]
) -> None:
    server.script = [Answer(429), Answer(500)]
    async with connect_app() as client:
        with pytest.raises(ServerError) as caught:
            await make(client)
    assert (caught.value.was_accepted, len(server.received)) == ("unknown", 2)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b'{"customers":{}}',
        b'{"customers":[5]}',
        b'{"customers":[{"attributes":[]}]}',
        b'{"customers":[{"identifiers":{"email":"ann@example.com"}}]}',
        b'{"customers":[{"id":{"ann@example.com":1}}]}',
    ],
)
async def test_an_answer_of_another_form_is_told_without_quoting_it(
    server: ScriptedServer, connect_app: Connect, body: bytes
) -> None:
    server.default = Answer(body=body)
    async with connect_app() as client:
        with pytest.raises(UnexpectedResponse) as caught:
            await client.people(["1"])
    assert "ann@" not in str(caught.value)
    assert (caught.value.operation, caught.value.attempts) == ("app.people", 1)


async def test_an_unknown_person_and_an_unknown_path_are_told_apart(
    server: ScriptedServer, connect_app: Connect
) -> None:
    unknown = b'{"errors":[{"detail":"not found","status":"404"}]}'
    server.script = [Answer(404, unknown), Answer(404, b"<html>")]
    async with connect_app() as client:
        with pytest.raises(NotFound) as person:
            await client.person(ODD)
        with pytest.raises(NotFound) as path:
            await client.person(ODD)
    assert "identifier" in person.value.remedy
    assert "base URL" in path.value.remedy


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda c: c.people([]), "ids"),
        (lambda c: c.people(["1"] * 101), "ids"),
        (lambda c: c.people([""]), "ids[0]"),
        (lambda c: c.people_by_email(""), "email"),
        (lambda c: c.person(PersonIdentifiers(phone="0155")), "identifiers.phone"),
        (lambda c: c.segment(0), "segment_id"),
        (lambda c: c.segment("4/../.."), "segment_id"),
        (lambda c: c.create_segment(""), "segment.name"),
        (lambda c: c.export_people({}), "filters"),
        (lambda c: c.export_deliveries("broadcast_id", 1), "source"),
        (lambda c: c.export_deliveries("campaign_id", -1), "campaign_id"),
        (lambda c: c.export(True), "export_id"),
        (lambda c: c.broadcast_trigger(1, 0), "trigger_id"),
        (lambda c: c.suppress_address("all", "a@b.c"), "type"),
        (lambda c: c.release_address("bounces", ""), "email"),
    ],
)
async def test_what_cannot_be_looked_up_is_not_asked_for(
    server: ScriptedServer, connect_app: Connect, call: Callable[[Any], Awaitable[object]], field: str
) -> None:
    async with connect_app() as client:
        with pytest.raises(InvalidOperation) as caught:
            await call(client)
    assert caught.value.field == field
    assert server.received == []


async def test_reprs_of_what_was_found_tell_ids_only() -> None:
    suppressed = SuppressedAddress("ann@example.com", reason="ann")
    found = (ANN_IDENTITY, ANN_PERSON, suppressed, Export(1, user_email="ann"))
    assert "ann" not in repr(found)
    assert "pro" not in repr(found)
    assert "a3000001" in repr(found)


async def test_progress_is_told() -> None:
    assert BroadcastTrigger(1, processed_at=5).is_processed
    assert not BroadcastTrigger(1).is_processed
    exports = [Export(1, status) for status in ("pending", "done", "failed")]
    states = [(export.is_done, export.is_failed) for export in exports]
    assert states == [(False, False), (True, False), (False, True)]


def test_the_blocking_client_has_every_call_of_the_async_one(
    server: ScriptedServer, connect_app: Connect
) -> None:
    calls = {name for name in dir(AppClient) if not name.startswith("_")}
    assert calls - set(dir(SyncAppClient)) == set()
    server.script = [
        Answer(body=b'{"count":3}'),
        Answer(body=b'{"activities":[{"id":"x"}],"next":"more"}'),
        Answer(body=b'{"activities":[{"id":"y"}],"next":""}'),
    ]
    client = SyncAppClient(connect_app())
    with pytest.raises(RuntimeError, match="SyncAppClient is used outside"):
        client.segments()
    with pytest.raises(RuntimeError, match="SyncAppClient is used outside"):
        next(client.activities())
    with client:
        assert client.segment_count(4) == 3
        assert [activity["id"] for activity in client.activities(type="event")] == ["x", "y"]
    assert server.connections == 1
