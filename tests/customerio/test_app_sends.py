"""What is sent once, what again, and what the error says of a message that may have gone out."""

from __future__ import annotations

import pickle
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
import trustme

from cio_pipelines.customerio import (
    AppClient,
    BadRequest,
    CallEvent,
    ConfigurationError,
    CustomerIOError,
    DeadlineExceeded,
    DeletePerson,
    Forbidden,
    Ids,
    InvalidOperation,
    NotFound,
    PayloadTooLarge,
    PersonIdentifiers,
    RateLimited,
    RetryBudgetExhausted,
    RetryPolicy,
    Sent,
    ServerError,
    Timeouts,
    TrackClient,
    TransactionalEmail,
    TransactionalSms,
    TransportError,
    Unauthorized,
    UnexpectedResponse,
)

from .conftest import API_KEY
from .scripted_server import RESET, Answer, ScriptedServer
from .test_retries import FakeTime

pytestmark = pytest.mark.anyio
Connect = Callable[..., AppClient]
ANN = PersonIdentifiers(id="ann")
RECEIPT = TransactionalEmail(to="ann@example.com", transactional_message_id=3, identifiers=ANN)
TAKEN = b'{"delivery_id":"RPIyMTM6OjEyMzQ=","queued_at":1700000000,"id":7}'


async def send(client: AppClient) -> object:
    return await client.send(RECEIPT)


async def trigger(client: AppClient) -> object:
    return await client.trigger_broadcast(12, Ids(["ann"]), {"headline": "Roadrunner spotted"})


@pytest.fixture(params=[send, trigger], ids=["message", "broadcast"])
def act(request: pytest.FixtureRequest) -> Callable[[AppClient], Awaitable[object]]:
    """Either of the calls that must not happen twice."""
    return request.param


Act = Callable[[AppClient], Awaitable[object]]


async def failure_of(client: AppClient, act: Act) -> CustomerIOError:
    async with client:
        with pytest.raises(CustomerIOError) as caught:
            await act(client)
    return caught.value


async def test_a_message_that_was_taken_gives_its_delivery(
    server: ScriptedServer, connect_app: Connect, events: list[CallEvent]
) -> None:
    server.default = Answer(body=b'{"delivery_id":"d1","queued_at":1700000000,"send_at":1700000500}')
    async with connect_app() as client:
        sent = await client.send(RECEIPT)
    assert sent == Sent("d1", 1_700_000_000, 1_700_000_500)
    (request,) = server.received
    assert (request.method, request.path) == ("POST", "/v1/send/email")
    assert request.headers["authorization"] == f"Bearer {API_KEY}"
    assert [(e.operation, e.outcome, e.operations, e.attempts) for e in events] == [
        ("app.send_email", "accepted", 1, 1)
    ]


async def test_a_broadcast_gives_the_number_of_its_trigger(
    server: ScriptedServer, connect_app: Connect
) -> None:
    server.default = Answer(body=b'{"id":7}')
    async with connect_app() as client:
        assert await client.trigger_broadcast(12) == 7
        assert await client.trigger_broadcast(12, Ids(["a"]), {"n": 1}) == 7
    assert [(r.path, r.body) for r in server.received] == [
        ("/v1/campaigns/12/triggers", b"{}"),
        ("/v1/campaigns/12/triggers", b'{"data":{"n":1},"ids":["a"]}'),
    ]


@pytest.mark.parametrize("header", [None, "7"])
async def test_a_429_was_surely_not_taken_so_it_is_tried_again(
    server: ScriptedServer, connect_app: Connect, act: Act, header: str | None
) -> None:
    fake = FakeTime()
    server.script = [Answer(429, headers={"Retry-After": header} if header else {})]
    server.default = Answer(body=TAKEN)
    async with connect_app(retry=fake.policy()) as client:
        await act(client)
    assert len(server.received) == 2
    assert server.received[0].body == server.received[1].body
    assert fake.slept == [7.0 if header else 0.5]


async def test_a_lasting_429_says_that_nothing_was_taken(
    server: ScriptedServer, connect_app: Connect, act: Act
) -> None:
    detail = b'{"errors":[{"detail":"rate limited to 10 requests per 1s (reference x)","status":"429"}]}'
    server.default = Answer(429, detail)
    policy = RetryPolicy(max_attempts=3, base_delay=0.001)
    error = await failure_of(connect_app(retry=policy), act)
    assert isinstance(error, RateLimited)
    assert (error.was_accepted, error.attempts, len(server.received)) == ("no", 3, 3)
    assert "rate limited to 10 requests per 1s" in error.message


class Unreachable(httpx.AsyncHTTPTransport):
    """A network on which the first connections fail to be made."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.left = times

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.left:
            self.left -= 1
            raise httpx.ConnectError("refused")
        return await super().handle_async_request(request)


async def test_a_connection_that_was_never_made_is_tried_again(
    server: ScriptedServer, connect_app: Connect, act: Act
) -> None:
    server.default = Answer(body=TAKEN)
    async with connect_app(transport=Unreachable(2)) as client:
        await act(client)
    assert len(server.received) == 1


async def test_a_host_that_stays_unreachable_says_that_nothing_was_taken(
    connect_app: Connect, act: Act
) -> None:
    policy = RetryPolicy(max_attempts=3, base_delay=0.001)
    # Port 9 (discard) of loopback has no listener here.
    error = await failure_of(connect_app(base_url="http://127.0.0.1:9", retry=policy), act)
    assert isinstance(error, TransportError)
    assert (error.was_accepted, error.attempts) == ("no", 3)


async def test_an_untrusted_certificate_says_that_nothing_was_taken(connect_app: Connect, act: Act) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with ScriptedServer(context) as server:
        error = await failure_of(connect_app(base_url=server.url), act)
    assert (error.was_accepted, error.code, server.received) == ("no", "certificate", [])


UNKNOWN = [
    pytest.param(RESET, TransportError, id="reset before the answer"),
    pytest.param(Answer(200, TAKEN, cut=9), TransportError, id="reset within the answer"),
    pytest.param(Answer(delay=5), TransportError, id="timeout"),
    pytest.param(Answer(408), ServerError, id="408"),
    pytest.param(Answer(500), ServerError, id="500"),
    pytest.param(Answer(503, headers={"Retry-After": "1"}), ServerError, id="503 with Retry-After"),
    pytest.param(Answer(200, b'{"delivery_id":"d1'), UnexpectedResponse, id="truncated JSON"),
    pytest.param(Answer(200, b"<html>Sign in</html>"), UnexpectedResponse, id="HTML"),
    pytest.param(Answer(200, b"{}"), UnexpectedResponse, id="no id"),
    pytest.param(Answer(200, b'{"delivery_id":{},"id":"x"}'), UnexpectedResponse, id="an id that is none"),
    pytest.param(Answer(200, b'{"delivery_id":null,"id":null}'), UnexpectedResponse, id="null"),
    pytest.param(Answer(202, TAKEN), UnexpectedResponse, id="undocumented success"),
    pytest.param(Answer(200, TAKEN, {"Content-Encoding": "gzip"}), UnexpectedResponse, id="encoding"),
    pytest.param(Answer(302), UnexpectedResponse, id="redirect to nowhere"),
]


@pytest.mark.parametrize(("answer", "kind"), UNKNOWN)
async def test_what_may_have_been_taken_is_never_sent_again(
    server: ScriptedServer, connect_app: Connect, act: Act, answer: Answer, kind: type[CustomerIOError]
) -> None:
    server.default = answer
    error = await failure_of(connect_app(timeout=Timeouts(read=0.15)), act)
    assert type(error) is kind
    assert (error.was_accepted, error.attempts, len(server.received)) == ("unknown", 1, 1)


async def test_a_reset_of_a_connection_that_stood_is_doubt_enough(
    server: ScriptedServer, connect_app: Connect, act: Act
) -> None:
    server.hang_ups = 5
    error = await failure_of(connect_app(), act)
    assert isinstance(error, TransportError)
    assert (error.was_accepted, error.attempts, server.connections) == ("unknown", 1, 1)


REFUSALS = [
    (400, BadRequest),
    (401, Unauthorized),
    (402, UnexpectedResponse),
    (403, Forbidden),
    (404, NotFound),
    (409, UnexpectedResponse),
    (413, PayloadTooLarge),
    (422, BadRequest),
]


@pytest.mark.parametrize(("status", "kind"), REFUSALS)
async def test_a_refusal_is_final_and_says_that_nothing_was_taken(
    server: ScriptedServer, connect_app: Connect, act: Act, status: int, kind: type[CustomerIOError]
) -> None:
    server.default = Answer(status, b'{"meta":{"error":"no such template"}}')
    error = await failure_of(connect_app(), act)
    assert type(error) is kind
    assert (error.was_accepted, error.status, len(server.received)) == ("no", status, 1)
    assert "no such template" in error.message


async def test_a_deadline_in_the_middle_of_an_exchange_leaves_the_outcome_open(
    server: ScriptedServer, connect_app: Connect, act: Act
) -> None:
    server.default = Answer(delay=5)
    error = await failure_of(connect_app(retry=RetryPolicy(deadline=0.2)), act)
    assert isinstance(error, DeadlineExceeded)
    assert (error.was_accepted, len(server.received)) == ("unknown", 1)


async def test_a_deadline_that_a_wait_would_outlast_leaves_nothing_open(
    server: ScriptedServer, connect_app: Connect, act: Act
) -> None:
    server.default = Answer(429, headers={"Retry-After": "60"})
    error = await failure_of(connect_app(), act)
    assert isinstance(error, DeadlineExceeded)
    assert (error.was_accepted, len(server.received)) == ("no", 1)


async def test_a_spent_retry_budget_leaves_nothing_open_after_a_429(
    server: ScriptedServer, connect_app: Connect, act: Act
) -> None:
    server.default = Answer(429)
    policy = RetryPolicy(base_delay=0.001, budget_ratio=0, budget_reserve=0)
    error = await failure_of(connect_app(retry=policy), act)
    assert isinstance(error, RetryBudgetExhausted)
    assert (error.was_accepted, len(server.received)) == ("no", 1)


async def test_doubt_of_an_earlier_attempt_outlives_a_later_refusal(
    server: ScriptedServer, connect: Callable[..., TrackClient]
) -> None:
    async with connect() as client:
        for first, doubt in ((Answer(500), "unknown"), (RESET, "unknown"), (Answer(429), "no")):
            server.script = [first, Answer(400)]
            with pytest.raises(BadRequest) as caught:
                await client.entity(DeletePerson(ANN))
            assert (caught.value.was_accepted, caught.value.attempts) == (doubt, 2)


async def test_what_is_refused_here_is_not_sent(
    server: ScriptedServer, connect_app: Connect, events: list[CallEvent]
) -> None:
    async with connect_app() as client:
        with pytest.raises(InvalidOperation):
            await client.trigger_broadcast(1, Ids([]))
        with pytest.raises(InvalidOperation) as caught:
            await client.send(TransactionalSms(to="0123", transactional_message_id=1, identifiers=ANN))
        with pytest.raises(InvalidOperation) as other:
            await client.trigger_broadcast(0)
    assert (caught.value.field, caught.value.was_accepted) == ("to", "no")
    assert other.value.field == "broadcast_id"
    assert server.received == []
    assert [(e.operation, e.outcome, e.error, e.attempts) for e in events] == [
        ("app.trigger_broadcast", "failed", "InvalidOperation", 0),
        ("app.send_sms", "failed", "InvalidOperation", 0),
    ]


async def test_errors_of_the_app_api_are_told_in_its_own_forms(
    server: ScriptedServer, connect_app: Connect
) -> None:
    pointed = {"pointer": "/data/attributes/per_user_data"}
    server.default = Answer(
        422,
        b'{"errors":[{"detail":"Errors for \'ann@example.com\', see trigger 12","status":"422",'
        b'"code":"invalid_data","source":{"pointer":"/data/attributes/per_user_data"}},{"detail":"more"}]}',
    )
    error = await failure_of(connect_app(), trigger)
    assert isinstance(error, BadRequest)
    assert (error.field, error.code, len(error.details)) == (pointed["pointer"], "invalid_data", 2)
    assert error.message == "Customer.io answered 422: Errors for <value>, see trigger 12"


@pytest.mark.parametrize(
    ("error", "accepted"),
    [
        (ConfigurationError("x"), "no"),
        (InvalidOperation("to", "invalid", "x"), "no"),
        (TransportError("x", may_have_been_received=False), "no"),
        (TransportError("x"), "unknown"),
        (CustomerIOError("x"), "unknown"),
        (UnexpectedResponse(200), "unknown"),
        (UnexpectedResponse(409), "no"),
    ],
)
async def test_the_answer_survives_a_process_boundary(error: CustomerIOError, accepted: str) -> None:
    assert error.was_accepted == accepted
    assert pickle.loads(pickle.dumps(error)).was_accepted == accepted


@pytest.mark.parametrize(
    "settings",
    [
        {"api_key": ""},
        {"api_key": " k"},
        {"api_key": "ключ"},
        {"requests_per_second": 0},
        {"transactional_per_second": -1},
        {"seconds_per_broadcast": 0},
        {"base_url": "ftp://x"},
    ],
)
async def test_settings_that_cannot_work_are_refused(connect_app: Connect, settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        connect_app(**settings)
