"""Whether a delivery comes from Customer.io: who signed it, and when."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from cio_pipelines.customerio.signature import is_signed
from cio_pipelines.webhooks.answers import BAD_SIGNATURE, BAD_TIMESTAMP, FUTURE, STALE, UNSIGNED, Answer

FUTURE_SECONDS = 300
"""How far ahead the sender's clock may be."""

# as Customer.io writes it: another spelling of the number would be signed differently
_SECONDS = re.compile(rb"0|[1-9][0-9]{0,11}")


class Claim(NamedTuple):
    """What the headers say: unix seconds, and the signature in hexadecimal digits."""

    timestamp: int
    signature: str


class KeyRing:
    """The active signing keys: several while one is changed, and others later, without a restart."""

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = _some(keys)

    def replace(self, keys: Sequence[str]) -> None:
        """From now on these; a request that is going on has its keys. May be called on any thread."""
        self.keys = _some(keys)


def _some(keys: Sequence[str]) -> tuple[str, ...]:
    if not keys:
        raise ValueError("there is no signing key: nothing could be accepted")
    return tuple(keys)


class Authenticator:
    """Knows the signing keys.

    Args:
        keys: the active signing keys.
        tolerance_seconds: how old a timestamp may be.
        clock: now, in unix seconds.
    """

    def __init__(
        self, keys: Sequence[str] | KeyRing, tolerance_seconds: float, clock: Callable[[], float]
    ) -> None:
        self._ring = keys if isinstance(keys, KeyRing) else KeyRing(keys)
        self._tolerance = tolerance_seconds
        self._clock = clock

    def claim(self, timestamp: bytes | None, signature: bytes | None) -> Claim | Answer:
        """Read both headers; the answer says why they can be refused without looking at the body."""
        if not timestamp or not signature:
            return UNSIGNED
        if not _SECONDS.fullmatch(timestamp):
            return BAD_TIMESTAMP
        seconds = int(timestamp)
        age = self._clock() - seconds
        if age > self._tolerance:
            return STALE
        if age < -FUTURE_SECONDS:
            return FUTURE
        # some describe the header with the scheme's version before the digits
        return Claim(seconds, signature.decode("latin-1").removeprefix("v0="))

    def key_index(self, claim: Claim, body: bytes) -> int | Answer:
        """Which key, counted from 0, made the signature. Takes the same time whichever it is."""
        made = [is_signed((key,), claim.timestamp, body, claim.signature) for key in self._ring.keys]
        return made.index(True) if True in made else BAD_SIGNATURE
