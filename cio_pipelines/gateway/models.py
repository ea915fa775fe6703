"""What may be sent to the gateway, and what it answers. Moments are whole unix seconds.

Customer.io counts bytes of UTF-8 where a JSON schema can only count characters; what passes here and is too
long there is refused all the same, by the operation itself.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictInt, StringConstraints

from cio_pipelines.customerio import limits
from cio_pipelines.messaging.queue.protocol import MessageStatus, QueueName, State

LATEST = 253_402_300_799
"""9999-12-31T23:59:59Z; a present moment in milliseconds is later."""

LATEST_DELAY_DAYS = 365
"""How far ahead a message may be put off: one that never goes takes room from others."""

PersonId = Annotated[
    str,
    StringConstraints(min_length=1, max_length=limits.PERSON_ID_BYTES),
    Field(description="The person's id in the workspace.", examples=["user-123"]),
]


def _whole(value: object) -> object:
    """JSON knows no integers: 3.0 is as whole as 3."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_whole)
"""Stands last in an annotation: what stands before it is not seen in the JSON schema otherwise."""
Moment = Annotated[StrictInt, Field(ge=0, le=LATEST, examples=[1_750_000_000]), WHOLE]
Data = dict[str, Any]
Profile = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=limits.ATTRIBUTE_NAME_BYTES)],
        Any,
    ],
    Field(
        max_length=limits.ATTRIBUTES_PER_PERSON,
        description="Attributes to set. null removes one; those that are not named stay.",
    ),
]


class Body(BaseModel):
    """A request's body: nothing that is not named here."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class Queued(Body):
    """A body that asks for a message."""

    not_before: Annotated[
        Moment | None, Field(description="Deliver it not before then, at most a year ahead.")
    ] = None


def example(**members: Any) -> ConfigDict:
    """A model's configuration with an example, for the page of the API."""
    return ConfigDict(json_schema_extra={"examples": [members]})


class Identify(Queued):
    """Set attributes of a person, who is created when there is none."""

    model_config = example(
        person_id="user-123", attributes={"email": "ada@example.com", "plan": "pro", "seats": 3}
    )

    person_id: PersonId
    attributes: Profile
    timestamp: Annotated[
        Moment | None, Field(description="Of when this is true; it never overwrites what is newer. Now.")
    ] = None


class Track(Queued):
    """Something that a person did."""

    model_config = example(
        person_id="user-123", name="order_placed", attributes={"total": 42.5, "currency": "EUR"}
    )

    person_id: PersonId
    name: Annotated[str, StringConstraints(min_length=1, max_length=limits.EVENT_NAME_BYTES)]
    attributes: Annotated[Data | None, Field(description="The event's data.")] = None
    event_id: Annotated[
        str | None,
        StringConstraints(pattern=r"^[0-7][0-9A-HJKMNP-TV-Z]{25}$"),
        Field(description="A ULID: Customer.io ignores an event whose id it knows."),
    ] = None
    timestamp: Annotated[Moment | None, Field(description="When it happened. Now.")] = None


class Suppress(Queued):
    """Delete a person there and block the id. It destroys history."""

    model_config = example(person_id="user-123")

    person_id: PersonId


class Accepted(BaseModel):
    """The message is durable: it is delivered, or ends as a dead letter."""

    model_config = example(message_id="01K0QYT7C1B0M0WJ8Z3X5V9N2P", status="queued", duplicate=False)

    message_id: str = Field(description="A ULID, to ask for its state with.")
    status: Literal["queued"] = "queued"
    duplicate: bool = Field(
        description="Whether the idempotency key was known: the id is that of the earlier message."
    )


class Attempt(BaseModel):
    """Why one attempt failed."""

    at: float
    reason: str
    field: str
    message: str
    http_status: int | None = Field(description="What Customer.io answered, if it did.")


Status = Literal["queued", "in_flight", "delivered", "dead"]
_STATUSES: dict[State, Status] = {
    "waiting": "queued",
    "in_flight": "in_flight",
    "delivered": "delivered",
    "dead": "dead",
}


class MessageState(BaseModel):
    """What became of a message."""

    model_config = example(
        message_id="01K0QYT7C1B0M0WJ8Z3X5V9N2P",
        queue="transactional",
        status="delivered",
        attempts=1,
        enqueued_at=1_750_000_000.25,
        not_before=None,
        result="RPILAgABcRhIBqSp7kiPekGBIeVh",
        failures=[],
    )

    message_id: str
    queue: QueueName
    status: Status = Field(description="`dead`: it was given up, and can be replayed by an operator.")
    attempts: int
    enqueued_at: float
    not_before: float | None
    result: str = Field(description="The delivery's or the trigger's id at Customer.io, once there is one.")
    failures: list[Attempt] = Field(description="The oldest first.")

    @classmethod
    def of(cls, status: MessageStatus) -> Self:
        """As the queue tells it."""
        return cls(
            message_id=status.message_id,
            queue=status.queue,
            status=_STATUSES[status.state],
            attempts=status.attempts,
            enqueued_at=status.enqueued_at,
            not_before=status.not_before,
            result=status.result,
            failures=[
                Attempt(
                    at=failure.at,
                    reason=failure.reason,
                    field=failure.field,
                    message=failure.message,
                    http_status=failure.status,
                )
                for failure in status.failures
            ],
        )
