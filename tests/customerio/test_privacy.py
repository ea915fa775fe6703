"""Nothing personal and nothing secret comes out of errors, reprs, events and logs."""

from __future__ import annotations

import logging
import pickle
import traceback
from collections.abc import Callable

import pytest

from cio_pipelines.customerio import (
    AddPersonDevice,
    AnonymousIdentifiers,
    CallEvent,
    ConfigurationError,
    CustomerIOError,
    DeletePersonDevice,
    DeliveryEvent,
    Device,
    EncodedOperations,
    IdentifyAnonymousObject,
    IdentifyPerson,
    InvalidOperation,
    MergePeople,
    ObjectIdentifiers,
    Operation,
    PersonEvent,
    PersonIdentifiers,
    RateLimited,
    Relationship,
    RetryPolicy,
    ServerError,
    SyncTrackClient,
    TrackClient,
    TransportError,
    Unauthorized,
)
from cio_pipelines.customerio import errors as tree
from cio_pipelines.customerio.replies import scrub

from .conftest import API_KEY, SITE_ID
from .scripted_server import RESET, Answer, Received, ScriptedServer, errors

pytestmark = pytest.mark.anyio
Connect = Callable[..., TrackClient]

EMAIL = "wilhelmina.q@example.org"
NAME = "Wilhelmina Quackenbush"
PHONE = "+15550104477"
TOKEN = "apns-token-889900"
PRIVATE = (EMAIL, NAME, PHONE, TOKEN, "Quackenbush", API_KEY, SITE_ID)

OPERATIONS: list[Operation] = [
    IdentifyPerson(PersonIdentifiers(email=EMAIL), {"name": NAME, "phone": PHONE}),
    PersonEvent(PersonIdentifiers(phone=PHONE), "purchase", {"recipient": EMAIL, "who": [NAME]}),
    AddPersonDevice(PersonIdentifiers(id="u1"), Device(TOKEN, "ios", attributes={"owner": NAME})),
    DeletePersonDevice(PersonIdentifiers(id="u1"), TOKEN),
    MergePeople(PersonIdentifiers(email=EMAIL), PersonIdentifiers(id="u2")),
    DeliveryEvent("delivery-1", "opened", TOKEN),
    IdentifyAnonymousObject(
        ObjectIdentifiers(object_type_id="1", object_id="o1"),
        {"owner": NAME},
        relationships=[Relationship(AnonymousIdentifiers(anonymous_id="an1"), {"name": NAME})],
    ),
]


def assert_clean(text: str) -> None:
    assert [secret for secret in PRIVATE if secret in text] == []


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: type(operation).__name__)
async def test_reprs_of_operations_name_the_kind_and_mask_the_rest(operation: Operation) -> None:
    for text in (repr(operation), str(operation), f"{[operation]}"):
        assert_clean(text)
        assert type(operation).__name__ in text


async def test_reprs_show_ids_which_help_to_find_the_row() -> None:
    text = repr(IdentifyPerson(PersonIdentifiers(id="u-42"), {"a": 1, "b": 2}, timestamp=7))
    assert text == (
        "IdentifyPerson(identifiers=PersonIdentifiers(id='u-42'), attributes=<2>, timestamp=7, "
        "relationships=<0>, update_only=<masked>)"
    )


def echo(request: Received) -> Answer:
    """A server that quotes what it was sent, and the credentials with it."""
    said = f'{NAME} <{EMAIL}> {PHONE} "{TOKEN}" {request.credentials}'
    return Answer(400, said.encode())


@pytest.mark.parametrize(
    "answer",
    [
        echo,
        Answer(401, EMAIL.encode()),
        Answer(403, NAME.encode()),
        Answer(404, f"<html>{EMAIL}</html>".encode()),
        Answer(200, f"<html>{EMAIL}</html>".encode()),
        Answer(207, f'{{"errors":[{{"batch_index":"{EMAIL}"}}]}}'.encode()),
        Answer(307, headers={"Location": f"https://evil.example/{EMAIL}"}),
        Answer(429, EMAIL.encode()),
        Answer(500, NAME.encode()),
        Answer(200, b"{}", headers={"Content-Encoding": "gzip"}),
        Answer(200, b"{}", headers={"Bad Header": EMAIL}),
        Answer(200, EMAIL.encode() * 9, cut=4),
        RESET,
        errors(
            {"reason": "invalid", "field": "email", "message": f"bad e-mail {EMAIL}, '{NAME}', {PHONE}"},
            status=400,
        ),
    ],
)
async def test_errors_and_events_hold_nothing_of_what_was_sent_or_answered(
    server: ScriptedServer,
    connect: Connect,
    events: list[CallEvent],
    caplog: pytest.LogCaptureFixture,
    answer: Answer | Callable[[Received], Answer],
) -> None:
    server.default = answer
    caplog.set_level(logging.INFO)
    policy = RetryPolicy(max_attempts=2, base_delay=0.001)
    async with connect(retry=policy) as client:
        with pytest.raises(CustomerIOError) as caught:
            await client.entity(OPERATIONS[0])
        result = await client.batch(OPERATIONS)
    error = caught.value
    assert error.operation == "track.entity"
    assert error.remedy
    text = "".join(traceback.format_exception(error))
    for shown in (str(error), repr(error), text, repr(result), repr(events), caplog.text, repr(client)):
        assert_clean(shown)
    chain: BaseException | None = error
    while chain is not None:
        # A chained httpx error would hold the request, with its body and credentials.
        assert isinstance(chain, CustomerIOError)
        assert_clean(repr(vars(chain)))
        chain = chain.__cause__ or chain.__context__


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (
            "property value cannot be longer than 1000 bytes",
            "property value cannot be longer than 1000 bytes",
        ),
        (f"no {EMAIL}.", "no <email>"),
        ('value "Jane" is no plan', "value <value> is no plan"),
        ("call +1 (555) 010-4477 now", "call <number> now"),
        (None, ""),
        (7, ""),
        ("x" * 500, "x" * 199 + "…"),
    ],
)
async def test_server_text_is_scrubbed(said: object, kept: str) -> None:
    assert scrub(said) == kept


@pytest.mark.parametrize(
    "attributes",
    [
        {"name": NAME * 100},
        {"name": float("nan"), "n": NAME},
        {"name": {NAME, EMAIL}},
        {"who": {"email": EMAIL, EMAIL: float("inf")}},
        {"name": NAME + "\ud800"},
        {NAME * 10: 1},
    ],
)
async def test_invalid_operations_name_the_field_but_not_the_value(attributes: dict[str, object]) -> None:
    with pytest.raises(InvalidOperation) as caught:
        IdentifyPerson(PersonIdentifiers(email=EMAIL), attributes).validate()
    assert caught.value.field.startswith("attributes")  # pyright: ignore[reportOptionalMemberAccess]
    assert_clean("".join(traceback.format_exception(caught.value)))


async def test_clients_and_encoded_operations_show_neither_secrets_nor_payloads(connect: Connect) -> None:
    client = connect()
    for shown in (client, vars(client), SyncTrackClient(client)):
        assert_clean(repr(shown))
    assert_clean(repr(EncodedOperations.from_bytes([OPERATIONS[0].encode()])))


@pytest.mark.parametrize(
    ("site_id", "api_key"), [("", "k"), ("s", ""), (" s", "k"), ("s", "k\n"), ("a:b", "k")]
)
async def test_credentials_that_cannot_work_are_refused_without_quoting_them(
    site_id: str, api_key: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        TrackClient(site_id=site_id, api_key=api_key)
    assert caught.value.field in ("site_id", "api_key")
    assert "a:b" not in str(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        InvalidOperation("attributes.plan", "too_long", "value too long"),
        RateLimited(429, "slow down", retry_after=3.0, operation="track.batch", attempts=2),
        ServerError(503, "down"),
        Unauthorized(401),
        TransportError("no answer", may_have_been_received=False),
    ],
)
async def test_errors_survive_pickling(error: CustomerIOError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert (str(copy), vars(copy)) == (str(error), vars(error))


async def test_the_drawn_tree_is_the_real_one() -> None:
    drawn = tree.__doc__ or ""
    classes = [
        item for item in vars(tree).values() if isinstance(item, type) and issubclass(item, CustomerIOError)
    ]
    assert len(classes) == 15
    for item in classes:
        assert item.__name__ in drawn
        assert item is CustomerIOError or item.default_remedy


async def test_an_error_says_what_happened_where_and_what_to_do() -> None:
    error = ServerError(503, "Customer.io answered 503", operation="track.batch", attempts=6)
    assert str(error) == (
        "Customer.io answered 503 (operation=track.batch, status=503, attempts=6). "
        "Customer.io is in trouble: see its status page and run again later."
    )
