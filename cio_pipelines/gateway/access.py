"""Who may do what: the file of tokens and of Google's identities.

A token is 256 random bits, of which the file keeps the SHA-256. A slow hash (bcrypt, argon2) would buy
nothing: it is there for passwords, which can be guessed, while nobody guesses 256 bits however fast the hash
is; and it would cost every request tens of milliseconds.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import secrets
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

Scope = Literal["identify", "track", "transactional", "broadcasts", "suppress", "delete", "status"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

PREFIX = "ciogw_"
"""Begins every token, so that scanners for secrets and people know one when they see it."""

DEFAULT_RATE = 100.0
"""Requests a second."""

_FORM = re.compile(re.escape(PREFIX) + r"[A-Za-z0-9_-]{43}", re.ASCII)
_ID_DIGITS = 12

Rate = Annotated[float, Field(gt=0, le=100_000)]


class AccessError(Exception):
    """The file cannot be read, written or understood. The message quotes nothing of it."""


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)]
    rate: Rate = DEFAULT_RATE


class Token(_Entry):
    """One token of a client. Several may bear one name: that is how one is changed for another."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$")]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    created_at: AwareDatetime

    @property
    def id(self) -> str:
        """Tells one token of a name from another: the first digits of the hash."""
        return self.sha256[:_ID_DIGITS]


class GoogleIdentity(_Entry):
    """An account, mostly a service account, whose identity tokens are taken."""

    email: Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+$", to_lower=True, max_length=320)]


class Access(BaseModel):
    """The file as a whole."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    version: Literal[1] = 1
    tokens: tuple[Token, ...] = ()
    google: tuple[GoogleIdentity, ...] = ()


def new_token(name: str, scopes: Sequence[Scope], rate: float = DEFAULT_RATE) -> tuple[str, Token]:
    """A token's text, which is kept nowhere, and its entry. Raises ValidationError."""
    text = PREFIX + secrets.token_urlsafe(32)
    now = datetime.now(UTC).replace(microsecond=0)
    return text, Token(name=name, sha256=hashed(text), scopes=tuple(scopes), rate=rate, created_at=now)


def hashed(text: str) -> str:
    """What the file keeps of a token, in hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def looks_like_a_token(text: str) -> bool:
    """Whether this can be one of ours at all."""
    return _FORM.fullmatch(text) is not None


def read_access(path: Path) -> Access:
    """What the file says. Raises AccessError."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise AccessError(f"The file of tokens {path} cannot be read ({error.strerror}).") from None
    try:
        return Access.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"][:3]) or "the whole"
        # the text of an error in JSON's form quotes no more than a character
        raise AccessError(f"The file of tokens {path} is not valid at {where}: {first['type']}.") from None


@contextmanager
def locked(path: Path) -> Generator[None]:
    """Keeps two changes of the file from undoing one another. Raises AccessError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(f".{path.name}.lock").open("w")
    except OSError as error:
        raise AccessError(f"The file of tokens {path} cannot be changed ({error.strerror}).") from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write_access(path: Path, access: Access) -> None:
    """Replace the file at once, for its owner alone. Raises AccessError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # made with mode 0600
        handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(access.model_dump(mode="json"), file, indent=2)
                file.write("\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, path)
        except BaseException:
            Path(beside).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise AccessError(f"The file of tokens {path} cannot be written ({error.strerror}).") from None
