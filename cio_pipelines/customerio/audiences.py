"""Who a broadcast goes to: one class for each kind of audience, with the flags that fit it and no others.

An audience cannot create people. `trigger_body` checks the documented limits and gives the request;
`audience_to_json` and `audience_from_json` carry an audience through a queue. Reprs show counts only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, fields
from typing import ClassVar, cast

import httpx
import orjson

from cio_pipelines.customerio import checks, limits
from cio_pipelines.customerio.errors import InvalidOperation
from cio_pipelines.customerio.identifiers import PersonIdentifiers
from cio_pipelines.customerio.jsontext import dumps
from cio_pipelines.customerio.members import Masked


@dataclass(frozen=True, slots=True, repr=False)
class Audience(Masked, ABC):
    """Base of all audiences."""

    kind: ClassVar[str]

    @abstractmethod
    def members(self) -> dict[str, object]:
        """The checked members of the request, JSON-ready. Raises InvalidOperation."""


@dataclass(frozen=True, slots=True, repr=False)
class DefaultAudience(Audience):
    """The people whom the broadcast names in Customer.io."""

    kind: ClassVar[str] = "default"

    def members(self) -> dict[str, object]:
        return {}


@dataclass(frozen=True, slots=True, repr=False)
class Filter(Audience):
    """People that a filter finds, as `{"and": [{"segment": {"id": 4}}, {"attribute": {...}}]}`."""

    kind: ClassVar[str] = "filter"
    recipients: Mapping[str, object]

    def members(self) -> dict[str, object]:
        return {"recipients": checks.audience_filter("recipients", self.recipients)}


@dataclass(frozen=True, slots=True, repr=False)
class Ids(Audience):
    """Up to 10,000 people by id. A missing one fails the broadcast unless `id_ignore_missing`."""

    kind: ClassVar[str] = "ids"
    ids: Sequence[str]
    _: KW_ONLY
    id_ignore_missing: bool = False

    def members(self) -> dict[str, object]:
        ids = _recipients("ids", self.ids)
        for number, identifier in enumerate(ids):
            limits.check_person_id(f"ids[{number}]", identifier)
        return {"ids": ids, **_flags(self)}


@dataclass(frozen=True, slots=True, repr=False)
class Emails(Audience):
    """Up to 10,000 people by e-mail address.

    A missing one fails the broadcast unless `email_ignore_missing`, one that several people share unless
    `email_add_duplicates`.
    """

    kind: ClassVar[str] = "emails"
    emails: Sequence[str]
    _: KW_ONLY
    email_ignore_missing: bool = False
    email_add_duplicates: bool = False

    def members(self) -> dict[str, object]:
        emails = _recipients("emails", self.emails)
        for number, address in enumerate(emails):
            checks.line(f"emails[{number}]", address)
        return {"emails": emails, **_flags(self)}


@dataclass(frozen=True, slots=True, repr=False)
class Recipient(Masked):
    """One person, by id or e-mail address, with data of their own for the message (up to 2 MB)."""

    identifiers: PersonIdentifiers
    data: Mapping[str, object] | None = None

    def wire(self, field: str) -> dict[str, object]:
        """The checked JSON object. Raises InvalidOperation."""
        if self.identifiers.kind not in ("id", "email"):
            raise InvalidOperation(f"{field}.{self.identifiers.kind}", "invalid", "give an id or email")
        entry = self.identifiers.wire(field)
        if self.data is not None:
            entry["data"] = checks.mapping(f"{field}.data", self.data)
            if len(dumps(entry["data"])) > limits.RECIPIENT_DATA_BYTES:
                told = f"no more than {limits.RECIPIENT_DATA_BYTES} bytes"
                raise InvalidOperation(f"{field}.data", "too_long", told)
        return entry


@dataclass(frozen=True, slots=True, repr=False)
class PerUserData(Audience):
    """Up to 10,000 people with data for each. Flags as of Ids and Emails."""

    kind: ClassVar[str] = "per_user_data"
    per_user_data: Sequence[Recipient]
    _: KW_ONLY
    id_ignore_missing: bool = False
    email_ignore_missing: bool = False
    email_add_duplicates: bool = False

    def members(self) -> dict[str, object]:
        entries: list[object] = []
        for number, recipient in enumerate(_recipients("per_user_data", self.per_user_data)):
            field = f"per_user_data[{number}]"
            if not isinstance(recipient, Recipient):
                raise InvalidOperation(field, "invalid", "give a Recipient")
            entries.append(recipient.wire(field))
        return {"per_user_data": entries, **_flags(self)}


@dataclass(frozen=True, slots=True, repr=False)
class DataFile(Audience):
    """People and data in a file of JSON lines that Customer.io fetches from `data_file_url`.

    Up to 10 GB, 2 MB a person; it may be compressed with gzip. Flags as of Ids and Emails.
    """

    kind: ClassVar[str] = "data_file"
    data_file_url: str
    _: KW_ONLY
    id_ignore_missing: bool = False
    email_ignore_missing: bool = False
    email_add_duplicates: bool = False

    def members(self) -> dict[str, object]:
        address = checks.line("data_file_url", self.data_file_url)
        try:
            url = httpx.URL(address)
        except httpx.InvalidURL:
            url = httpx.URL("")
        if url.scheme not in ("http", "https") or not url.host:
            raise InvalidOperation("data_file_url", "invalid", "value must be an http(s) URL")
        return {"data_file_url": address, **_flags(self)}


AUDIENCES: Mapping[str, type[Audience]] = {
    audience.kind: audience for audience in (DefaultAudience, Filter, Ids, Emails, PerUserData, DataFile)
}
"""The class of each kind."""


def trigger_body(audience: Audience, data: Mapping[str, object] | None = None) -> bytes:
    """The request that triggers a broadcast, at most 1 MB; `data` at most 50,000 bytes.

    Raises InvalidOperation naming the member.
    """
    members: dict[str, object] = {}
    if data is not None:
        members["data"] = checks.mapping("data", data)
        if len(dumps(members["data"])) > limits.TRIGGER_DATA_BYTES:
            raise InvalidOperation("data", "too_long", f"no more than {limits.TRIGGER_DATA_BYTES} bytes")
    text = dumps({**members, **audience.members()})
    if len(text) > limits.TRIGGER_BYTES:
        told = f"a trigger has no more than {limits.TRIGGER_BYTES} bytes: give more people in a data file"
        raise InvalidOperation(audience.kind, "too_long", told)
    return text


def audience_to_json(audience: Audience) -> dict[str, object]:
    """An audience as a JSON object: its `kind`, and the members of the request. Raises InvalidOperation."""
    return {"kind": audience.kind, **orjson.loads(dumps(audience.members()))}


def audience_from_json(value: Mapping[str, object]) -> Audience:
    """The audience that `audience_to_json` gave.

    Raises InvalidOperation for an unknown kind or member; `trigger_body` checks the rest.
    """
    members = dict(value)
    kind = members.pop("kind", None)
    made = AUDIENCES.get(kind) if isinstance(kind, str) else None
    if made is None:
        raise InvalidOperation("kind", "invalid", f"an audience's kind is one of {', '.join(AUDIENCES)}")
    known = [item.name for item in fields(made)]
    unknown = sorted(set(members) - set(known))
    if unknown:
        raise InvalidOperation(unknown[0][:60], "invalid", f"an audience of kind {kind} has no such member")
    checks.require(members, *known[:1])
    if made is PerUserData:
        entries = _recipients("per_user_data", members["per_user_data"])
        members["per_user_data"] = tuple(
            _recipient(f"per_user_data[{number}]", entry) for number, entry in enumerate(entries)
        )
    return cast("Callable[..., Audience]", made)(**members)


def _recipient(field: str, value: object) -> Recipient:
    entry = checks.exactly(field, value, ("id", "email", "data"))
    data = entry.pop("data", None)
    return Recipient(PersonIdentifiers(**entry), checks.mapping(f"{field}.data", data) if data else None)


def _recipients(field: str, value: object) -> list[object]:
    if not isinstance(value, (list, tuple)):
        raise InvalidOperation(field, "invalid", "value must be a list")
    recipients = list(cast("Sequence[object]", value))
    if not recipients:
        raise InvalidOperation(field, "required", "give at least one recipient")
    if len(recipients) > limits.TRIGGER_RECIPIENTS:
        raise InvalidOperation(field, "too_many", f"no more than {limits.TRIGGER_RECIPIENTS} recipients")
    return recipients


def _flags(audience: Audience) -> dict[str, object]:
    """The flags that are set: all are false when they are not given."""
    flags = {item.name: getattr(audience, item.name) for item in fields(audience)[1:]}
    return {name: True for name, value in flags.items() if checks.flag(name, value)}
