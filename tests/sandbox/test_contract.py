"""Our client's requests and the sandbox's answers, held to Customer.io's own OpenAPI documents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
import pytest

from cio_pipelines.customerio import (
    AddObjectRelationships,
    AddPersonDevice,
    AddPersonRelationships,
    AnonymousIdentifiers,
    DeleteObject,
    DeleteObjectRelationships,
    DeletePerson,
    DeletePersonDevice,
    DeletePersonRelationships,
    DeliveryEvent,
    Device,
    IdentifyAnonymousObject,
    IdentifyObject,
    IdentifyPerson,
    MergePeople,
    ObjectIdentifiers,
    Operation,
    PersonEvent,
    PersonIdentifiers,
    PersonPage,
    PersonScreen,
    Relationship,
    SuppressPerson,
    TrackClient,
    UnsuppressPerson,
)
from cio_pipelines.sandbox import SandboxServer

from .conftest import identify, person, send
from .specification import Specification, app_2022, needs_documents, track

pytestmark = needs_documents

ANN, BOB = PersonIdentifiers(id="ann"), PersonIdentifiers(email="bob@example.com")
ACME = ObjectIdentifiers(object_type_id="1", object_id="acme")
TO_ACME = (Relationship(ACME, {"role": "admin", "gone": None}),)
TO_ANN = (Relationship(ANN, {"role": "admin"}), Relationship(BOB))
ULID = "01E4C4CT6YDC7Y5M7FE1GWWPQJ"
OPERATIONS: list[Operation] = [
    IdentifyPerson(ANN, {"plan": "pro", "n": 1.5, "gone": None, "o": {"a": [1]}}, timestamp=1_700_000_000),
    IdentifyPerson(BOB, {"plan": "pro"}, update_only=True, relationships=TO_ACME),
    IdentifyPerson(PersonIdentifiers(cio_id="cio_03000001"), {"id": "x"}),
    PersonEvent(ANN, "bought", {"sku": 1}, id=ULID, timestamp=1_700_000_000),
    PersonPage(ANN, "/pricing", {"referrer": "x"}),
    PersonScreen(ANN, "home"),
    AddPersonDevice(ANN, Device("t1", "ios", last_used=1_700_000_000, attributes={"device_os": "17"})),
    DeletePersonDevice(ANN, "t1"),
    AddPersonRelationships(ANN, TO_ACME),
    DeletePersonRelationships(ANN, TO_ACME),
    IdentifyObject(ACME, {"name": "Acme"}, relationships=TO_ANN),
    IdentifyAnonymousObject(ACME, relationships=(Relationship(AnonymousIdentifiers(anonymous_id="a")),)),
    AddObjectRelationships(ACME, TO_ANN),
    DeleteObjectRelationships(ACME, TO_ANN),
    DeleteObject(ACME),
    MergePeople(ANN, BOB),
    SuppressPerson(ANN),
    UnsuppressPerson(ANN),
    DeletePerson(ANN),
    DeliveryEvent("RPIyMTM6OjEyMzQ=", "opened", "t1"),
]


@dataclass(frozen=True)
class Exchange:
    method: str
    path: str
    sent: bytes
    status: int
    answer: bytes


class Recorder(httpx.AsyncBaseTransport):
    """The network, with a note of what went over it."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self._network = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        sent = await request.aread()
        answer = await self._network.handle_async_request(request)
        content = await answer.aread()
        self.exchanges.append(Exchange(request.method, request.url.path, sent, answer.status_code, content))
        return answer

    async def aclose(self) -> None:
        await self._network.aclose()


@pytest.fixture(scope="module")
def specification() -> Specification:
    return track()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    yield recorder
    assert recorder.exchanges


def hold_to(specification: Specification, exchange: Exchange) -> None:
    """Both directions of an exchange are as documented."""
    if exchange.sent:
        specification.request(exchange.method, exchange.path).validate(orjson.loads(exchange.sent))
    answer = specification.answer(exchange.method, exchange.path, exchange.status)
    if answer is not None:
        answer.validate(orjson.loads(exchange.answer))
    elif exchange.status == 200:
        assert exchange.answer == b"{}"


def connect(server: SandboxServer, recorder: Recorder) -> TrackClient:
    return TrackClient(
        site_id=server.options.site_id,
        api_key=server.options.track_api_key,
        base_url=server.url,
        requests_per_second=10_000,
        transport=recorder,
    )


@pytest.mark.anyio
async def test_every_operation_of_the_client_is_as_documented_and_accepted(
    server: SandboxServer, recorder: Recorder, specification: Specification
) -> None:
    async with connect(server, recorder) as client:
        result = await client.batch(OPERATIONS)
        assert result.rejections == ()
        for operation in OPERATIONS:
            await client.entity(operation)
        await client.region()
    assert [e.status for e in recorder.exchanges] == [200] * (len(OPERATIONS) + 2)
    for exchange in recorder.exchanges:
        hold_to(specification, exchange)


def test_the_operations_cover_every_documented_pair(specification: Specification) -> None:
    documented = {
        (operation.type, operation.action)
        for operation in OPERATIONS
        if specification.request("POST", "/api/v2/entity").is_valid(orjson.loads(operation.encode()))
    }
    assert len(documented) == 18


@pytest.mark.anyio
async def test_refusals_are_as_documented(
    server: SandboxServer, recorder: Recorder, specification: Specification
) -> None:
    server.set_faults([{"kind": "reject", "ids": ["ann"]}])
    async with connect(server, recorder) as client:
        result = await client.batch([IdentifyPerson(ANN), IdentifyPerson(BOB)])
        assert [(r.index, r.status) for r in result.rejections] == [(0, 207)]
        with pytest.raises(Exception, match="refused by a fault"):
            await client.entity(IdentifyPerson(ANN))
    assert [exchange.status for exchange in recorder.exchanges] == [207, 400]
    for exchange in recorder.exchanges:
        hold_to(specification, exchange)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/api/v2/batch", b"{", 400),
        ("POST", "/api/v1/events", b'{"name":""}', 400),
        ("POST", "/api/v1/events", b'{"name":"looked","anonymous_id":"a"}', 200),
        ("POST", "/api/v1/merge_customers", b'{"primary":{"id":"1"}}', 400),
        ("GET", "/api/v1/accounts/region", b"", 200),
    ],
)
def test_answers_by_hand_are_as_documented(
    track: httpx.Client, specification: Specification, method: str, path: str, body: bytes, status: int
) -> None:
    answer = track.request(method, path, content=body)
    assert answer.status_code == status
    documented = specification.answer(method, path, status)
    if documented is not None:
        documented.validate(answer.json())
    else:
        assert answer.json() == {}


def test_read_back_is_as_documented(
    track: httpx.Client, app: httpx.Client, specification: Specification
) -> None:
    send(
        track,
        identify("1", email="a@example.com", n=1, o={"a": 1}, unsubscribed=True),
        identify({"email": "b@example.com"}),
        person("add_device", "1", device={"token": "t", "platform": "ios", "last_used": 5}),
        person("event", "1", name="bought", attributes={"sku": 1}),
        person("event", {"anonymous_id": "x"}, name="looked"),
        identify("2", email="a@example.com"),
        identify("3", 1_700_000_000, a=1),
        identify("3", 1_600_000_000, a=2),
        person("delete", "2"),
    )
    old = app_2022()
    attributes = "/v1/customers/{customer_id}/attributes"
    one = app.get("/v1/customers/1/attributes").json()
    for validator in (
        old.answer("GET", attributes, 200),
        specification.validator("components", "schemas", "customerAttributesObject"),
    ):
        assert validator is not None
        validator.validate(one)
    without_id = app.get("/v1/customers/b%40example.com/attributes", params={"id_type": "email"}).json()
    checks: list[tuple[str, str, Any]] = [
        ("GET", attributes, without_id),
        ("GET", "/v1/customers", app.get("/v1/customers", params={"email": "a@example.com"}).json()),
        (
            "POST",
            "/v1/customers/attributes",
            app.post("/v1/customers/attributes", json={"ids": ["1", "3"]}).json(),
        ),
    ]
    for method, path, answer in checks:
        validator = old.answer(method, path, 200)
        assert validator is not None
        validator.validate(answer)
    activity = specification.validator("components", "schemas", "activityObject")
    activities = app.get("/v1/activities", params={"limit": 100}).json()["activities"]
    assert {"event", "profile_create", "profile_delete", "skipped_update", "device_change"} <= {
        entry["type"] for entry in activities
    }
    for entry in activities:
        activity.validate(entry)
