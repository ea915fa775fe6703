"""Every way in which a delivery of Customer.io can end, with the answer that it gets.

Our own trouble is always 503: Customer.io tries that again soon, with growing waits, while it waits an hour
after 429, 500 or 502. What no repetition can mend is 4xx. No answer repeats anything that was sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.types import Send


class Answer:
    """An answer that can be given any number of times.

    Args:
        reason: what it is counted under, and `error` of its body.
        status: HTTP status.
        message: for the person who reads Customer.io's log of the webhook.
        headers: beside content type and length.
    """

    def __init__(
        self, reason: str, status: int, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        self.reason = reason
        self.status = status
        self.message = message
        self.body = orjson.dumps(
            {"status": reason} if status == 200 else {"error": reason, "message": message}
        )
        self.headers: Mapping[str, str] = {
            "content-type": "application/json",
            "content-length": str(len(self.body)),
            **(headers or {}),
        }
        self._raw_headers = [(name.encode(), value.encode()) for name, value in self.headers.items()]

    async def give(self, send: Send) -> None:
        """Send it."""
        head: dict[str, Any] = {"type": "http.response.start", "status": self.status}
        head["headers"] = list(self._raw_headers)  # whoever stands in between may add to them
        await send(head)
        await send({"type": "http.response.body", "body": self.body})


_CLOSE = {"connection": "close"}
_SOON = {"retry-after": "1"}
_LATER = {"retry-after": "5"}

ACCEPTED = Answer("accepted", 200, "The event is stored.")
NOT_JSON = Answer("not_json", 400, "The signature is right, but the body is not JSON in UTF-8.")
UNSIGNED = Answer("unsigned", 401, "X-CIO-Timestamp or X-CIO-Signature is missing.")
BAD_TIMESTAMP = Answer("bad_timestamp", 401, "X-CIO-Timestamp is not a number of seconds.")
STALE = Answer("stale", 401, "X-CIO-Timestamp is too old.")
FUTURE = Answer("future", 401, "X-CIO-Timestamp is in the future: a clock is wrong.")
BAD_SIGNATURE = Answer("bad_signature", 401, "No signing key of this service made X-CIO-Signature.")
WRONG_METHOD = Answer("wrong_method", 405, "Events are sent with POST.", {"allow": "POST"})
SLOW_BODY = Answer("slow_body", 408, "The body did not arrive in time.", _CLOSE)
TOO_LARGE = Answer("too_large", 413, "The body is larger than this service takes.", _CLOSE)
ENCODED = Answer(
    "encoded", 415, "The body must be sent without content encoding.", {"accept-encoding": "identity"}
)
BUSY = Answer("busy", 503, "Too many events wait to be stored.", _SOON)
NOT_STORED = Answer("not_stored", 503, "The event could not be stored.", _LATER)
NOT_STORED_IN_TIME = Answer("not_stored_in_time", 503, "The event could not be stored in time.", _LATER)
TROUBLE = Answer("trouble", 503, "Something went wrong here; the event is not stored.", _LATER)

ANSWERS = (
    ACCEPTED,
    NOT_JSON,
    UNSIGNED,
    BAD_TIMESTAMP,
    STALE,
    FUTURE,
    BAD_SIGNATURE,
    WRONG_METHOD,
    SLOW_BODY,
    TOO_LARGE,
    ENCODED,
    BUSY,
    NOT_STORED,
    NOT_STORED_IN_TIME,
    TROUBLE,
)
