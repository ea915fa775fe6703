"""Nothing that was sent, answered or looked for, and no key, comes out of the App client."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Awaitable, Callable

import httpx
import orjson
import pytest

from cio_pipelines.customerio import (
    AppClient,
    CallEvent,
    CustomerIOError,
    Emails,
    PersonIdentifiers,
    RetryPolicy,
    SyncAppClient,
    TransactionalEmail,
)

from .conftest import API_KEY
from .scripted_server import RESET, Answer, Received, ScriptedServer
from .test_privacy import EMAIL, NAME, PHONE, TOKEN, assert_clean

pytestmark = pytest.mark.anyio
Connect = Callable[..., AppClient]
Act = Callable[[AppClient], Awaitable[object]]

MESSAGE = TransactionalEmail(
    to=f'"{NAME}" <{EMAIL}>',
    transactional_message_id=1,
    identifiers=PersonIdentifiers(email=EMAIL),
    subject=f"For {NAME}",
    message_data={"phone": PHONE},
    attachments={f"{NAME}.txt": TOKEN.encode()},
)


async def send(client: AppClient) -> object:
    return await client.send(MESSAGE)


async def trigger(client: AppClient) -> object:
    return await client.trigger_broadcast(1, Emails([EMAIL]), {"who": NAME})


async def look_up(client: AppClient) -> object:
    return await client.person(PersonIdentifiers(email=EMAIL))


async def search(client: AppClient) -> object:
    who = {"attribute": {"field": "name", "operator": "eq", "value": NAME}}
    return [person async for person in client.search_people(who)]


async def suppress(client: AppClient) -> object:
    return await client.suppress_address("bounces", EMAIL)


def echo(request: Received) -> Answer:
    """Quotes what it was sent, where it was sent to, and the key, in every form of error there is."""
    told = f'{EMAIL} "{NAME}" {PHONE} \'{TOKEN}\' "{request.headers["authorization"]}"'
    entry = {"detail": told, "code": EMAIL, "source": {"pointer": f"/data/{EMAIL}"}, "status": "422"}
    return Answer(422, orjson.dumps({"errors": [entry]}))


def meta(request: Received) -> Answer:
    return Answer(400, orjson.dumps({"meta": {"error": f"bad address {EMAIL} of '{NAME}'"}}))


@pytest.mark.parametrize("act", [send, trigger, look_up, search, suppress])
@pytest.mark.parametrize(
    "answer",
    [
        echo,
        meta,
        Answer(200, f"<html>{EMAIL}</html>".encode()),
        Answer(404, orjson.dumps({"errors": [{"detail": f"no {EMAIL}"}]})),
        Answer(500, NAME.encode()),
        Answer(429, EMAIL.encode()),
        RESET,
        Answer(307, headers={"Location": f"https://evil.example/{EMAIL}"}),
    ],
)
async def test_errors_events_and_logs_are_clean(
    server: ScriptedServer,
    connect_app: Connect,
    events: list[CallEvent],
    caplog: pytest.LogCaptureFixture,
    act: Act,
    answer: Answer | Callable[[Received], Answer],
) -> None:
    server.default = answer
    caplog.set_level(logging.INFO)
    async with connect_app(retry=RetryPolicy(max_attempts=2, base_delay=0.001)) as client:
        with pytest.raises(CustomerIOError) as caught:
            await act(client)
    text = "".join(traceback.format_exception(caught.value))
    for shown in (str(caught.value), repr(caught.value), text, repr(events), caplog.text):
        assert_clean(shown)
    chain: BaseException | None = caught.value
    while chain is not None:
        assert isinstance(chain, CustomerIOError)
        assert_clean(repr(vars(chain)))
        chain = chain.__cause__ or chain.__context__


async def test_requests_of_others_are_logged_as_ever(
    server: ScriptedServer, connect_app: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server.default = Answer(body=b'{"results":[]}')
    async with connect_app() as client, httpx.AsyncClient(trust_env=False) as other:
        await client.people_by_email(EMAIL)
        assert caplog.text == ""
        await other.get(f"{server.url}/elsewhere")
    assert "/elsewhere" in caplog.text


async def test_no_repr_shows_the_key(connect_app: Connect) -> None:
    client = connect_app()
    for shown in (repr(client), repr(SyncAppClient(client)), repr(vars(client))):
        assert API_KEY not in shown
