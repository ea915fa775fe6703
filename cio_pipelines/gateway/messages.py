"""Transactional messages and broadcasts as the gateway takes them, in Customer.io's own member names."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StringConstraints

from cio_pipelines.customerio import Audience, TransactionalMessage, limits
from cio_pipelines.customerio.audiences import audience_from_json
from cio_pipelines.customerio.transactional import message_from_json
from cio_pipelines.gateway.models import WHOLE, Body, Data, Moment, Queued, example

Line = Annotated[str, StringConstraints(min_length=1, max_length=10_000, pattern=r"^[^\r\n]+$")]
Text = Annotated[str, StringConstraints(min_length=1)]
Flag = StrictBool | None
Address = Annotated[str, StringConstraints(min_length=1, max_length=320, pattern=r"^[^\r\n]+$")]
Id = Annotated[str, StringConstraints(min_length=1, max_length=limits.PERSON_ID_BYTES)]
ONE_OF_THEM = {"minProperties": 1, "maxProperties": 1}


class Identifiers(Body):
    """Exactly one of them."""

    model_config = ConfigDict(json_schema_extra={**ONE_OF_THEM, "examples": [{"id": "user-123"}]})

    id: Id | None = None
    email: Address | None = None
    cio_id: Id | None = None


class PushDevice(Body):
    """A device, which is added to the person."""

    token: Line
    platform: Literal["ios", "android"]
    last_used: Moment | None = None
    attributes: dict[str, str] | None = None


Template = Annotated[
    Annotated[StrictInt, Field(ge=1), WHOLE] | Line,
    Field(description="The template's number or trigger name."),
]
Person = Annotated[Identifiers, Field(description="The person it is about.")]


class _Message(Body):
    message_data: Annotated[Data | None, Field(description="What fills the template.")] = None
    send_at: Annotated[Moment | None, Field(description="Sent by Customer.io then, up to 90 days ahead.")] = (
        None
    )
    language: Line | None = None
    queue_draft: Flag = None
    auto_create: Flag = None


class _FromTemplate(_Message):
    transactional_message_id: Template
    identifiers: Person


class Email(_Message):
    """An e-mail. Without a template it needs subject, from and a body."""

    kind: Literal["email"]
    transactional_message_id: Template | None = None
    identifiers: Person | None = None
    to: Annotated[Line, Field(description="Addresses by commas, 15 in all of to, cc and bcc.")]
    sender: Annotated[Line | None, Field(alias="from")] = None
    reply_to: Line | None = None
    cc: Line | None = None
    bcc: Line | None = None
    fake_bcc: Flag = None
    subject: Line | None = None
    preheader: Line | None = None
    body: Text | None = None
    body_plain: Text | None = None
    body_amp: Text | None = None
    headers: dict[str, str] | None = None
    attachments: Annotated[
        dict[str, str] | None, Field(description="Base64 by file name, less than 2 MB of content in all.")
    ] = None
    tracked: Flag = None
    send_to_unsubscribed: Flag = None
    disable_message_retention: Flag = None
    disable_css_preprocessing: Flag = None


class Push(_FromTemplate):
    """A push notification."""

    kind: Literal["push"]
    to: Annotated[Line | None, Field(description="all (the default), last_used or a device's token.")] = None
    title: Line | None = None
    message: Text | None = None
    image_url: Line | None = None
    link: Text | None = None
    sound: Literal["default", "none"] | None = None
    custom_data: Data | None = None
    custom_payload: Data | None = None
    custom_device: PushDevice | None = None
    send_to_unsubscribed: Flag = None
    disable_message_retention: Flag = None


class Sms(_FromTemplate):
    """A text message."""

    kind: Literal["sms"]
    to: Annotated[Line, Field(description="In E.164 form, or Liquid that finds it on the person.")]
    sender: Annotated[Line | None, Field(alias="from")] = None
    tracked: Flag = None
    send_to_unsubscribed: Flag = None
    disable_message_retention: Flag = None


class InApp(_FromTemplate):
    """A message within the application."""

    kind: Literal["in_app"]


class InboxMessage(_FromTemplate):
    """A message in the application's inbox."""

    kind: Literal["inbox_message"]
    to: Line | None = None


class Transactional(Queued):
    """A message to one person."""

    model_config = example(
        message={
            "kind": "email",
            "to": "ada@example.com",
            "transactional_message_id": "receipt",
            "identifiers": {"id": "user-123"},
            "message_data": {"order": "4711", "total": "42.50 EUR"},
        }
    )

    message: Annotated[Email | Push | Sms | InApp | InboxMessage, Field(discriminator="kind")]
    after_profile: Annotated[
        StrictBool,
        Field(description="Deliver it not before what was put about identifiers.id earlier."),
    ] = False

    def typed(self) -> TransactionalMessage:
        """As the client sends it. Raises InvalidOperation."""
        return message_from_json(self.message.kind, _members(self.message))


class DefaultAudience(Body):
    """Whom the broadcast names in Customer.io."""

    kind: Literal["default"]


class Filter(Body):
    """Whom a filter finds."""

    kind: Literal["filter"]
    recipients: Annotated[
        Data, Field(examples=[{"and": [{"segment": {"id": 4}}]}], min_length=1, max_length=1)
    ]


class Ids(Body):
    """People by id."""

    kind: Literal["ids"]
    ids: Annotated[list[Id], Field(min_length=1, max_length=limits.TRIGGER_RECIPIENTS)]
    id_ignore_missing: StrictBool = False


class _ByAddress(Body):
    email_ignore_missing: StrictBool = False
    email_add_duplicates: StrictBool = False


class Emails(_ByAddress):
    """People by e-mail address."""

    kind: Literal["emails"]
    emails: Annotated[list[Address], Field(min_length=1, max_length=limits.TRIGGER_RECIPIENTS)]


class Recipient(Body):
    """A person, by id or e-mail address, with data of their own."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["id"]}, {"required": ["email"]}]})

    id: Id | None = None
    email: Address | None = None
    data: Data | None = None


class PerUserData(_ByAddress):
    """People with data for each."""

    kind: Literal["per_user_data"]
    per_user_data: Annotated[list[Recipient], Field(min_length=1, max_length=limits.TRIGGER_RECIPIENTS)]
    id_ignore_missing: StrictBool = False


class DataFile(_ByAddress):
    """People in a file of JSON lines, which Customer.io fetches."""

    kind: Literal["data_file"]
    data_file_url: Annotated[Line, Field(examples=["https://example.com/recipients.jsonl"])]
    id_ignore_missing: StrictBool = False


class Broadcast(Queued):
    """Trigger an API-triggered broadcast. At most 1 MB, and data of at most 50,000 bytes."""

    model_config = example(
        broadcast_id=12,
        audience={"kind": "ids", "ids": ["user-123", "user-124"], "id_ignore_missing": True},
        data={"headline": "The shop is open"},
    )

    broadcast_id: Annotated[StrictInt, Field(ge=1, le=2**53), WHOLE]
    audience: Annotated[
        DefaultAudience | Filter | Ids | Emails | PerUserData | DataFile, Field(discriminator="kind")
    ]
    data: Annotated[Data | None, Field(description="What fills the broadcast.")] = None

    def typed(self) -> Audience:
        """Whom it goes to. Raises InvalidOperation."""
        return audience_from_json({"kind": self.audience.kind, **_members(self.audience)})


def _members(model: BaseModel) -> dict[str, Any]:
    """What was given, in Customer.io's names."""
    return model.model_dump(by_alias=True, exclude_none=True, exclude={"kind"})
