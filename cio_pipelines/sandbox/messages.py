"""Sending to many by a control call: who gets a message, and what becomes of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Annotated, Any

import msgspec

from cio_pipelines.sandbox.consent import UNSUBSCRIBED, is_unsubscribed
from cio_pipelines.sandbox.deliveries import happen, new_delivery, recipient_of
from cio_pipelines.sandbox.outcomes import Course, Step, read_mix
from cio_pipelines.sandbox.records import Delivery, Person
from cio_pipelines.sandbox.shapes import Channel
from cio_pipelines.sandbox.workspace import Workspace

_TRANSACTIONAL = ("email", "push")
"""Channels whose published shapes know transactional messages."""

_LATEST = 4_102_444_800
Moment = Annotated[int, msgspec.Meta(ge=0, le=_LATEST)]


class Campaign(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An action of a campaign."""

    campaign_id: int
    action_id: int = 1


class Newsletter(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A newsletter, or one of its variants."""

    newsletter_id: int
    content_id: int | None = None


class Broadcast(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An action of an API-triggered broadcast, for one trigger."""

    broadcast_id: int
    trigger_id: int
    action_id: int = 1


class Transactional(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A transactional message; it is also sent to people who unsubscribed."""

    transactional_message_id: int


class Sending(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to send, of exactly one origin.

    To everybody who can receive it; with `ids` to those people only, with `people` to the first so many.
    `mix` is as `outcomes.Mix`. Everything happens within `hours` after `at` (unix seconds), and without `at`
    so that it ends now; with 0 hours all events are of that second. The same `seed` gives the same
    outcome for the same people.
    """

    channel: Channel = "email"
    campaign: Campaign | None = None
    newsletter: Newsletter | None = None
    broadcast: Broadcast | None = None
    transactional: Transactional | None = None
    subject: str = "News from the sandbox"
    ids: list[str] | None = None
    people: Annotated[int, msgspec.Meta(ge=0)] | None = None
    mix: dict[str, float] = {}
    hours: Annotated[float, msgspec.Meta(ge=0, le=24 * 366)] = 1.0
    at: Moment | None = None
    seed: int | None = None

    @property
    def origin(self) -> Campaign | Newsletter | Broadcast | Transactional:
        """What it is of. Raises msgspec.ValidationError unless it is one thing."""
        given = [
            origin
            for origin in (self.campaign, self.newsletter, self.broadcast, self.transactional)
            if origin is not None
        ]
        if len(given) != 1:
            raise msgspec.ValidationError(
                "exactly one of campaign, newsletter, broadcast and transactional says what is sent"
            )
        return given[0]


def send(workspace: Workspace, sending: Sending) -> dict[str, Any]:
    """Send, and let everything happen at once. Raises msgspec.ValidationError; then nothing was done.

    Returns:
        deliveries and events (numbers), metrics (metric → number), skipped (why → people).
    """
    origin, mix = sending.origin, read_mix(sending.mix)
    if isinstance(origin, Transactional) and sending.channel not in _TRANSACTIONAL:
        raise msgspec.ValidationError(
            f"no shape is published for transactional messages by {sending.channel}"
        )
    length = int(sending.hours * 3600)
    start = int(time.time()) - length if sending.at is None else sending.at
    course = Course(sending.channel, mix, Random(sending.seed), start, start + length)  # noqa: S311  # no secret
    skipped: Counter[str] = Counter()
    happening: list[tuple[Step, Delivery]] = []
    for person in _audience(workspace, sending, skipped):
        steps = course.draw()
        recipient, channel = recipient_of(person, sending.channel), sending.channel
        delivery = new_delivery(
            workspace,
            person,
            channel,
            recipient,
            sending.subject,
            msgspec.to_builtins(origin),
            steps[0].at,
        )
        happening += [(step, delivery) for step in steps]
    happening.sort(key=lambda each: each[0].at)
    for step, delivery in happening:
        happen(workspace, step, delivery)
    return {
        "deliveries": len({delivery.delivery_id for _, delivery in happening}),
        "events": len(happening),
        "metrics": dict(Counter(step.metric for step, _ in happening)),
        "skipped": dict(skipped),
    }


def _audience(workspace: Workspace, sending: Sending, skipped: Counter[str]) -> Iterator[Person]:
    """Who gets it; the others are counted with the reason."""
    chosen = list(workspace.people.values())
    if sending.ids is not None:
        found = [workspace.find("id", identifier) for identifier in dict.fromkeys(sending.ids)]
        chosen = [person for person in found if person is not None]
        skipped["unknown"] += len(found) - len(chosen)
    left = sending.people
    for person in chosen:
        if left is not None and left <= 0:
            break
        if workspace.is_blocked("id", person.id or ""):
            skipped["suppressed"] += 1
        elif sending.transactional is None and is_unsubscribed(person.attributes.get(UNSUBSCRIBED)):
            skipped["unsubscribed"] += 1
        elif not recipient_of(person, sending.channel):
            skipped["no_address"] += 1
        else:
            left = None if left is None else left - 1
            yield person
    for reason in [reason for reason, number in skipped.items() if not number]:
        del skipped[reason]
