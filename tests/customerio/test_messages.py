from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cio_pipelines.customerio import (
    Device,
    InvalidOperation,
    PersonIdentifiers,
    TransactionalEmail,
    TransactionalInApp,
    TransactionalInboxMessage,
    TransactionalMessage,
    TransactionalPush,
    TransactionalSms,
    message_from_json,
)
from cio_pipelines.customerio.transactional import MESSAGES

ANN = PersonIdentifiers(id="ann")
EMAIL, NAME, PHONE, TOKEN = "wilhelmina.q@example.org", "Quackenbush", "+15550104477", "apns-token-889900"
SOON = int(time.time()) + 86_400

FULL: list[TransactionalMessage] = [
    TransactionalEmail(
        transactional_message_id="Receipt",
        identifiers=ANN,
        to=f'"Quackenbush, W." <{EMAIL}>',
        sender="shop@example.com",
        reply_to="help@example.com",
        cc="a@example.com, b@example.com",
        bcc="c@example.com",
        fake_bcc=False,
        subject=f"Thank you, {NAME}",
        preheader="Your order",
        body=f"<p>{NAME}\n</p>",
        body_plain=f"{NAME}\n",
        body_amp="<html amp4email></html>",
        headers={"X-Shop": "1"},
        attachments={"receipt.pdf": b"%PDF \x00\xff", "ü.txt": b""},
        message_data={"name": NAME, "items": [{"price": Decimal("12.50")}], "at": datetime(2026, 1, 1)},  # noqa: DTZ001
        send_at=SOON,
        language="de",
        tracked=True,
        queue_draft=True,
        auto_create=False,
        send_to_unsubscribed=True,
        disable_message_retention=True,
        disable_css_preprocessing=True,
    ),
    TransactionalPush(
        transactional_message_id=4,
        identifiers=PersonIdentifiers(cio_id="cio_03000001"),
        to="last_used",
        title=NAME,
        message=f"Hello {NAME}",
        image_url="https://example.com/a.png",
        link="shop://orders/1",
        sound="none",
        custom_data={"who": NAME},
        custom_payload={"ios": {"aps": {"alert": {"title": NAME}}}},
        device=Device(TOKEN, "ios", last_used=1_700_000_000, attributes={"owner": NAME}),
        message_data={"who": NAME},
        send_to_unsubscribed=False,
    ),
    TransactionalSms(
        transactional_message_id=5,
        identifiers=PersonIdentifiers(email=EMAIL),
        to=PHONE,
        sender="+15550100",
        tracked=False,
        language="de",
    ),
    TransactionalInApp(transactional_message_id=6, identifiers=ANN, message_data={"who": NAME}),
    TransactionalInboxMessage(transactional_message_id=7, identifiers=ANN, to="x", queue_draft=True),
]


def kind_of(message: TransactionalMessage) -> str:
    return message.kind


def test_there_is_a_message_of_every_kind() -> None:
    assert [message.kind for message in FULL] == list(MESSAGES)


def test_members_go_out_in_customer_io_s_names_and_the_unset_ones_not_at_all() -> None:
    push = orjson.loads(FULL[1].encode())
    assert push["custom_device"] == {
        "token": TOKEN,
        "platform": "ios",
        "last_used": 1_700_000_000,
        "attributes": {"owner": NAME},
    }
    assert push["identifiers"] == {"cio_id": "03000001"}
    assert "device" not in push
    assert "language" not in push
    email = orjson.loads(FULL[0].encode())
    assert (email["from"], "sender" in email) == ("shop@example.com", False)
    assert email["attachments"]["receipt.pdf"] == base64.b64encode(b"%PDF \x00\xff").decode()
    assert email["message_data"] == {"name": NAME, "items": [{"price": 12.5}], "at": 1_767_225_600}
    assert b'"price":12.50' in FULL[0].encode()
    assert FULL[0].path == "/v1/send/email"
    assert orjson.loads(TransactionalEmail(to="a@b.c", transactional_message_id=1).encode()) == {
        "to": "a@b.c",
        "transactional_message_id": 1,
    }


@pytest.mark.parametrize("message", FULL, ids=kind_of)
def test_a_message_comes_back_from_its_json_and_is_sent_alike(message: TransactionalMessage) -> None:
    stored = orjson.dumps(message.to_json())
    again = message_from_json(message.kind, orjson.loads(stored))
    assert type(again) is type(message)
    assert orjson.loads(again.encode()) == orjson.loads(message.encode())
    assert message_from_json(again.kind, again.to_json()) == again


@pytest.mark.parametrize("message", FULL, ids=kind_of)
def test_reprs_tell_the_template_and_mask_the_rest(message: TransactionalMessage) -> None:
    text = repr(message)
    assert [told for told in (EMAIL, NAME, PHONE, TOKEN, "Hello", "example") if told in text] == []
    assert f"transactional_message_id={message.transactional_message_id!r}" in text


def test_the_person_and_the_recipient_of_a_message() -> None:
    assert [message.person_id for message in FULL] == ["ann", None, None, "ann", "ann"]
    unnamed = TransactionalEmail(to="a@b.c", transactional_message_id=1)
    assert (unnamed.person_id, unnamed.recipient) == (None, "a@b.c")
    assert FULL[0].recipient == "id:ann"


WRONG: list[tuple[str, str, str, Mapping[str, Any]]] = [
    ("email", "to", "required", {"to": ""}),
    ("email", "to", "invalid", {"to": "a@b.c\nBcc: d@e.f"}),
    ("email", "to", "invalid", {"to": ["a@b.c"]}),
    ("email", "to", "too_many", {"cc": ", ".join(f"a{n}@b.c" for n in range(15))}),
    ("email", "subject", "required", {"transactional_message_id": None}),
    ("email", "from", "required", {"transactional_message_id": None, "subject": "s"}),
    ("email", "body", "required", {"transactional_message_id": None, "subject": "s", "sender": "a@b.c"}),
    ("email", "subject", "invalid", {"subject": "a\r\nb"}),
    ("email", "transactional_message_id", "invalid", {"transactional_message_id": 0}),
    ("email", "transactional_message_id", "invalid", {"transactional_message_id": True}),
    ("email", "transactional_message_id", "required", {"transactional_message_id": ""}),
    ("email", "identifiers.phone", "invalid", {"identifiers": PersonIdentifiers(phone=PHONE)}),
    ("email", "identifiers", "invalid", {"identifiers": {"id": "1"}}),
    ("email", "identifiers.id", "required", {"identifiers": PersonIdentifiers(id="")}),
    ("email", "send_at", "invalid", {"send_at": int(time.time()) + 91 * 86_400}),
    ("email", "send_at", "invalid", {"send_at": int(time.time()) * 1_000}),
    ("email", "send_at", "invalid", {"send_at": "tomorrow"}),
    ("email", "headers", "invalid", {"headers": {"X-Name": "Zoë"}}),
    ("email", "headers", "invalid", {"headers": {"X Name": "1"}}),
    ("email", "headers", "invalid", {"headers": {"X-Name": "a\nBcc: d@e.f"}}),
    ("email", "headers", "invalid", {"headers": "X-Name: 1"}),
    ("email", "attachments", "too_long", {"attachments": {"a": bytes(1_000_000), "b": bytes(1_000_000)}}),
    ("email", "attachments", "invalid", {"attachments": {"a": "text"}}),
    ("email", "attachments", "invalid", {"attachments": [b"a"]}),
    ("email", "message", "too_long", {"body": "x" * 999_990}),
    ("email", "body", "too_long", {"body": "x" * 1_000_001}),
    ("email", "body", "invalid", {"body": "\ud800"}),
    ("email", "tracked", "invalid", {"tracked": "yes"}),
    ("email", "queue_draft", "invalid", {"queue_draft": 1}),
    ("email", "message_data", "invalid", {"message_data": [1]}),
    ("email", "message_data.n", "invalid", {"message_data": {"n": float("nan")}}),
    ("push", "transactional_message_id", "required", {"transactional_message_id": None}),
    ("push", "identifiers", "required", {"identifiers": None}),
    ("push", "sound", "invalid", {"sound": "loud"}),
    ("push", "custom_device", "invalid", {"device": {"token": "t"}}),
    ("push", "device.platform", "invalid", {"device": Device("t", "tv")}),  # pyright: ignore[reportArgumentType]
    ("push", "custom_data", "invalid", {"custom_data": "x"}),
    ("sms", "to", "invalid", {"to": "0155501"}),
    ("sms", "identifiers", "required", {"identifiers": None}),
    ("in_app", "transactional_message_id", "required", {"transactional_message_id": None}),
    ("inbox_message", "identifiers", "required", {"identifiers": None}),
]


@pytest.mark.parametrize(("kind", "field", "reason", "members"), WRONG)
def test_what_is_documented_as_refused_is_refused_here_by_name(
    kind: str, field: str, reason: str, members: Mapping[str, Any]
) -> None:
    basis: dict[str, Any] = {"transactional_message_id": 1, "identifiers": ANN}
    if kind in ("email", "sms"):
        basis["to"] = EMAIL if kind == "email" else PHONE
    made: Callable[..., TransactionalMessage] = MESSAGES[kind]  # pyright: ignore[reportArgumentType]
    made(**basis).validate()
    message = made(**{**basis, **members})
    with pytest.raises(InvalidOperation) as caught:
        message.encode()
    assert (caught.value.field, caught.value.reason) == (field, reason)
    assert [told for told in (EMAIL, PHONE, "Zoë") if told in str(caught.value)] == []


def test_limits_are_met_exactly() -> None:
    fifteen = ", ".join(f'"Last, First" <a{number}@b.c>' for number in range(14))
    TransactionalEmail(to=EMAIL, bcc=fifteen, transactional_message_id=1).validate()
    frame = len(TransactionalEmail(to=EMAIL, body="x", transactional_message_id=1).encode()) - 1
    body = "x" * (1_000_000 - frame)
    full = TransactionalEmail(to=EMAIL, body=body, transactional_message_id=1)
    assert len(full.encode()) == 1_000_000
    heavy = TransactionalEmail(
        to=EMAIL, body=body, transactional_message_id=1, attachments={"a": bytes(1_999_999)}
    )
    assert len(heavy.encode()) > 3_600_000
    for when in (datetime.now(UTC) + timedelta(days=89, hours=23), 0, datetime(2020, 1, 1, tzinfo=UTC)):
        TransactionalEmail(to=EMAIL, transactional_message_id=1, send_at=when).validate()


def test_liquid_may_find_the_phone_number() -> None:
    TransactionalSms(to="{{customer.phone}}", transactional_message_id=1, identifiers=ANN).validate()


@pytest.mark.parametrize(
    ("kind", "members", "field"),
    [
        ("fax", {}, "kind"),
        ("email", {}, "to"),
        ("email", {"to": None}, "to"),
        ("sms", {}, "to"),
        ("email", {"to": "a@b.c", "sender": "a@b.c"}, "sender"),
        ("email", {"to": "a@b.c", "nonsense": 1}, "nonsense"),
        ("push", {"device": {"token": "t", "platform": "ios"}}, "device"),
        ("push", {"custom_device": {"token": "t"}}, "platform"),
        (
            "push",
            {"custom_device": {"token": "t", "platform": "ios", "attributes": [1]}},
            "custom_device.attributes",
        ),
        ("push", {"custom_device": "t"}, "custom_device"),
        ("in_app", {"to": "x"}, "to"),
        ("in_app", {"identifiers": {"id": "1", "email": "a@b.c"}}, "identifiers"),
        ("in_app", {"identifiers": {"phone": "+1555"}}, "identifiers"),
        ("in_app", {"identifiers": {}}, "identifiers"),
        ("in_app", {"identifiers": "1"}, "identifiers"),
        ("email", {"to": "a@b.c", "attachments": {"a": "no base64!"}}, "attachments"),
        ("email", {"to": "a@b.c", "attachments": {"a": 1}}, "attachments"),
    ],
)
def test_json_that_is_no_message_is_refused_by_name(kind: str, members: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidOperation) as caught:
        message_from_json(kind, members)
    assert caught.value.field == field


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
_NAMES = st.sampled_from(
    [
        "to",
        "from",
        "identifiers",
        "custom_device",
        "attachments",
        "headers",
        "send_at",
        "body",
        "tracked",
        "id",
    ]
)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(list(MESSAGES)), st.dictionaries(_NAMES, _JSON, max_size=5))
def test_any_json_makes_a_message_or_an_invalid_operation(kind: str, members: dict[str, Any]) -> None:
    try:
        message = message_from_json(kind, members)
        again = message_from_json(kind, message.to_json())
    except InvalidOperation:
        return
    assert again.encode()
