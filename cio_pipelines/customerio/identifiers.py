"""Who or what an operation is about. Reprs show ids and mask e-mail addresses and phone numbers."""

from __future__ import annotations

from dataclasses import dataclass

from cio_pipelines.customerio import limits
from cio_pipelines.customerio.errors import InvalidOperation

MASK = "<masked>"
_CIO_PREFIX = "cio_"


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonIdentifiers:
    """Exactly one of `id`, `email`, `phone` (E.164) and `cio_id`, as a string.

    The `cio_` prefix that v1 paths put before a cio_id is stripped. E-mail and phone work only where the
    workspace has them enabled. Raises InvalidOperation when none, several or an empty one is given.
    """

    id: str | None = None
    email: str | None = None
    phone: str | None = None
    cio_id: str | None = None

    def __post_init__(self) -> None:
        given = [name for name in ("id", "email", "phone", "cio_id") if getattr(self, name) is not None]
        if len(given) != 1:
            reason = "invalid" if given else "required"
            raise InvalidOperation("identifiers", reason, "give exactly one of id, email, phone, cio_id")
        if self.cio_id is not None and str(self.cio_id).startswith(_CIO_PREFIX):
            object.__setattr__(self, "cio_id", self.cio_id.removeprefix(_CIO_PREFIX))

    @property
    def kind(self) -> str:
        """Name of the one identifier that is set."""
        if self.id is not None:
            return "id"
        if self.email is not None:
            return "email"
        return "phone" if self.phone is not None else "cio_id"

    def wire(self, field: str = "identifiers") -> dict[str, object]:
        """The checked JSON object. Raises InvalidOperation naming `field`.kind."""
        kind = self.kind
        value = getattr(self, kind)
        path = f"{field}.{kind}"
        if kind == "id":
            limits.check_person_id(path, value)
        else:
            limits.check_text(path, value)
        if self.phone is not None:
            limits.check_phone(path, self.phone)
        return {kind: value}

    def __repr__(self) -> str:
        shown = MASK if self.kind in ("email", "phone") else repr(getattr(self, self.kind))
        return f"PersonIdentifiers({self.kind}={shown})"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectIdentifiers:
    """`object_type_id` (numeric text from "1") and `object_id`, or `cio_object_id` alone (updates only)."""

    object_type_id: str | None = None
    object_id: str | None = None
    cio_object_id: str | None = None

    def __post_init__(self) -> None:
        pair = (self.object_type_id is not None, self.object_id is not None)
        if all(pair) == (self.cio_object_id is not None) or any(pair) != all(pair):
            raise InvalidOperation(
                "identifiers", "required", "give object_type_id and object_id, or cio_object_id alone"
            )

    def wire(self, field: str = "identifiers") -> dict[str, object]:
        """The checked JSON object. Raises InvalidOperation."""
        if self.cio_object_id is not None:
            limits.check_text(f"{field}.cio_object_id", self.cio_object_id)
            return {"cio_object_id": self.cio_object_id}
        limits.check_object_type_id(f"{field}.object_type_id", self.object_type_id)
        limits.check_person_id(f"{field}.object_id", self.object_id)
        return {"object_type_id": self.object_type_id, "object_id": self.object_id}


@dataclass(frozen=True, slots=True, kw_only=True)
class AnonymousIdentifiers:
    """A person not yet known, in the relationships of an object's `identify_anonymous`."""

    anonymous_id: str

    def wire(self, field: str = "identifiers") -> dict[str, object]:
        """The checked JSON object. Raises InvalidOperation."""
        limits.check_text(f"{field}.anonymous_id", self.anonymous_id)
        return {"anonymous_id": self.anonymous_id}
