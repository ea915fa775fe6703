"""Everything that can go wrong between this project and Customer.io.

    CustomerIOError
    ├── ConfigurationError       settings that cannot work; nothing was sent
    ├── InvalidOperation         an operation that Customer.io would refuse; nothing was sent
    ├── TransportError           no answer: connect, timeout, reset (`may_have_been_received`)
    ├── RetryBudgetExhausted     retrying would be a stampede
    ├── DeadlineExceeded         the call's time is up
    └── ResponseError            an answer that is not a success
        ├── BadRequest           400, 422
        ├── Unauthorized         401: wrong credentials or wrong region
        ├── Forbidden            403
        ├── NotFound             404
        ├── PayloadTooLarge      413
        ├── RateLimited          429 (`retry_after`, seconds)
        ├── ServerError          408 and 5xx
        └── UnexpectedResponse   HTML, truncated JSON, a foreign redirect, an undocumented status

Each carries what a person needs to act: `operation`, `status`, `attempts`, `code`, `field`, `batch_index`
and a `remedy` sentence. None carries a body, a payload, an e-mail address or a secret.

`was_accepted` tells whether the request may have taken effect all the same. `no`: it was refused (4xx but
408), or cannot have left. `unknown`: a timeout or reset after the connection stood, 408, 5xx, a redirect that
leads nowhere, a success that cannot be read. Repeating what must not happen twice is safe after `no` only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

Acceptance = Literal["no", "unknown"]
"""Whether a request that failed may have taken effect."""


@dataclass(frozen=True, slots=True)
class ErrorDetail:
    """One fault as Customer.io words it; every part may be empty. `message` is scrubbed of personal data."""

    reason: str = ""
    field: str = ""
    message: str = ""


class CustomerIOError(Exception):
    """Base of the tree. `code` is Customer.io's `reason` (or our own word) where one is known."""

    default_remedy: ClassVar[str] = "See the message; if it persists, ask Customer.io support."
    default_acceptance: ClassVar[Acceptance] = "unknown"

    def __init__(
        self,
        message: str = "",
        *,
        operation: str | None = None,
        status: int | None = None,
        attempts: int = 0,
        code: str | None = None,
        field: str | None = None,
        batch_index: int | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.operation = operation
        self.status = status
        self.attempts = attempts
        self.code = code
        self.field = field
        self.batch_index = batch_index
        self.remedy = remedy or self.default_remedy
        self.was_accepted: Acceptance = self.default_acceptance

    def __str__(self) -> str:
        context = [
            f"{name}={value}"
            for name, value in (
                ("operation", self.operation),
                ("status", self.status),
                ("code", self.code),
                ("field", self.field),
                ("batch_index", self.batch_index),
                ("attempts", self.attempts or None),
            )
            if value is not None
        ]
        facts = f" ({', '.join(context)})" if context else ""
        return f"{self.message or type(self).__name__}{facts}. {self.remedy}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self}>"


class ConfigurationError(CustomerIOError):
    """A setting is missing or cannot work. Raised before anything is sent."""

    default_remedy = "Correct the setting named here."
    default_acceptance = "no"


class InvalidOperation(CustomerIOError):
    """An operation breaks a documented rule or limit. Raised before anything is sent.

    `field` is dotted as Customer.io writes it (`identifiers.id`, `attributes.plan`); `reason` is one of
    `required`, `invalid`, `too_long`, `too_many`. The message never quotes the value.
    """

    default_remedy = "Correct the row at its source; it is not sent as it is."
    default_acceptance = "no"

    def __init__(self, field: str, reason: str, message: str) -> None:
        super().__init__(message, field=field, code=reason)
        self.args = (field, reason, message)
        self.reason = reason


class TransportError(CustomerIOError):
    """No answer came. `may_have_been_received` is False only when the request cannot have left."""

    default_remedy = "Check that the host is reachable from here (network, proxy, TLS) and run again."

    def __init__(
        self,
        message: str = "",
        *,
        may_have_been_received: bool = True,
        retriable: bool = True,
        operation: str | None = None,
        attempts: int = 0,
        code: str | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(message, operation=operation, attempts=attempts, code=code, remedy=remedy)
        self.may_have_been_received = may_have_been_received
        self.retriable = retriable
        self.was_accepted = "unknown" if may_have_been_received else "no"


class RetryBudgetExhausted(CustomerIOError):
    """Too large a share of the client's requests were retries. Chained to the failure that asked for one."""

    default_remedy = "Customer.io is failing broadly: wait, then run again; unanswered rows are sent then."
    default_acceptance = "no"  # giving up asks for nothing; the client adds what earlier attempts leave open


class DeadlineExceeded(CustomerIOError):
    """The call's overall deadline passed, or the wait that was asked for would outlast it."""

    default_remedy = "Run again later; if it repeats, raise the deadline or lower the rate."
    default_acceptance = "no"


class ResponseError(CustomerIOError):
    """Customer.io answered with something other than success.

    `details` holds every fault it named. `retry_after` is the wait it asked for, in seconds, or None.
    """

    def __init__(
        self,
        status: int,
        message: str = "",
        *,
        details: tuple[ErrorDetail, ...] = (),
        retry_after: float | None = None,
        operation: str | None = None,
        attempts: int = 0,
        code: str | None = None,
        field: str | None = None,
        batch_index: int | None = None,
        remedy: str | None = None,
    ) -> None:
        first = details[0] if details else ErrorDetail()
        super().__init__(
            message,
            operation=operation,
            status=status,
            attempts=attempts,
            code=code or first.reason or None,
            field=field or first.field or None,
            batch_index=batch_index,
            remedy=remedy,
        )
        self.args = (status, message)
        self.details = details
        self.retry_after = retry_after
        self.was_accepted = "no" if 400 <= status < 500 and status != 408 else "unknown"


class BadRequest(ResponseError):
    """The request was refused as malformed or invalid."""

    default_remedy = "The request breaks Customer.io's rules: look at the field and reason given."


class Unauthorized(ResponseError):
    """Wrong credentials or wrong region; Customer.io's answer does not tell which."""

    default_remedy = (
        "Check the Site ID and Track API key (an App API key is not accepted by the Track API, nor the "
        "other way round), then the region: a workspace answers only on the host of its own region."
    )


class Forbidden(ResponseError):
    """The credentials are known but may not do this."""

    default_remedy = "Give the key the scope it needs, or ask whether the plan includes this feature."


class NotFound(ResponseError):
    """Nothing answers at this address."""

    default_remedy = "Check the base URL: Customer.io answers unknown paths with an HTML page and 404."


class PayloadTooLarge(ResponseError):
    """The body exceeds what the server takes."""

    default_remedy = "Send smaller bodies; check that no proxy on the way has a lower limit."


class RateLimited(ResponseError):
    """Too many requests; see `retry_after`."""

    default_remedy = "Lower requests_per_second, or see whether something else uses this workspace."


class ServerError(ResponseError):
    """Trouble at Customer.io's end (408 and 5xx)."""

    default_remedy = "Customer.io is in trouble: see its status page and run again later."


class UnexpectedResponse(ResponseError):
    """An answer that is not Customer.io's contract; it is never taken as acceptance."""

    default_remedy = "See what answers at the base URL: a proxy, a login page or another product may."
