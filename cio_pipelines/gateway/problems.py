"""Every way in which a request of the gateway can fail, in one shape.

What no repetition can mend is 4xx. What can be repeated as it is, is 429 or 503 with `Retry-After`. No answer
quotes a value that was sent; names of members are told, cut short.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse

_NAME_SHOWN = 60


class Fault(BaseModel):
    """What is wrong with one member of a request."""

    field: str = Field(description="Where, dotted; empty for the request as a whole.", examples=["person_id"])
    reason: str = Field(description="A word for programs.", examples=["too_long"])
    message: str = Field(description="A sentence for people; it quotes no value.")


class ProblemBody(BaseModel):
    """Why a request was not taken. Nothing was kept."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "error": "invalid",
                    "message": "The request is not valid; nothing was kept.",
                    "faults": [
                        {"field": "person_id", "reason": "required", "message": "Field required"},
                    ],
                }
            ]
        }
    )

    error: str = Field(description="A word for programs.", examples=["invalid"])
    message: str = Field(description="What happened, and what to do next.")
    faults: list[Fault] = Field(description="Of a request that is not valid, what is wrong with it.")


class Problem(Exception):
    """A request ends here. `status` is the HTTP status, `error` the word for it."""

    status: ClassVar[int]
    error: ClassVar[str]

    def __init__(
        self, message: str, *, faults: Sequence[Fault] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.faults = tuple(faults)
        self.headers = dict(headers or {})

    def response(self) -> JSONResponse:
        """The answer."""
        body = ProblemBody(error=self.error, message=self.message, faults=list(self.faults))
        return JSONResponse(body.model_dump(), self.status, self.headers)


class Malformed(Problem):
    """The body is not JSON."""

    status, error = 400, "malformed"


class Unauthenticated(Problem):
    """No token, or none that is known."""

    status, error = 401, "unauthenticated"

    def __init__(self, message: str) -> None:
        super().__init__(message, headers={"WWW-Authenticate": "Bearer"})


class NotAllowed(Problem):
    """The token lacks the scope."""

    status, error = 403, "forbidden"

    def __init__(self, scope: str) -> None:
        super().__init__(
            f"The token is right, but lacks the scope {scope}. Ask for a token that has it.",
            headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'},
        )


class NotFound(Problem):
    """No such message, or no such route."""

    status, error = 404, "not_found"


class WrongMethod(Problem):
    """The route has other methods."""

    status, error = 405, "wrong_method"


class TooSlow(Problem):
    """The body did not arrive in time."""

    status, error = 408, "slow_body"


class Conflict(Problem):
    """The idempotency key stands for another message."""

    status, error = 409, "idempotency_conflict"


class TooLarge(Problem):
    """The body is larger than is taken."""

    status, error = 413, "too_large"


class WrongType(Problem):
    """The body is not sent as JSON."""

    status, error = 415, "wrong_type"


class Invalid(Problem):
    """The request breaks a rule; `faults` says which."""

    status, error = 422, "invalid"

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("The request is not valid; nothing was kept.", faults=faults)


class TooMany(Problem):
    """The token's rate is used up."""

    status, error = 429, "rate_limited"


class Trouble(Problem):
    """A fault of ours."""

    status, error = 500, "internal"

    def __init__(self) -> None:
        super().__init__("The request failed by a fault of this service; whether it was kept is not known.")


class Unavailable(Problem):
    """The queue cannot be used now."""

    status, error = 503, "queue_unavailable"


class Full(Problem):
    """The queue holds as many messages as it may."""

    status, error = 503, "queue_full"


class IdentityUnavailable(Problem):
    """Who calls cannot be verified now."""

    status, error = 503, "identity_unavailable"


class Busy(Problem):
    """Too many large bodies arrive at the same time."""

    status, error = 503, "busy"


def faults_of(errors: Iterable[Mapping[str, Any]]) -> list[Fault]:
    """pydantic's errors as faults: places, kinds and messages, without what was given."""
    return [
        Fault(
            field=".".join(_part(part) for part in _place(error["loc"])),
            reason=_REASONS.get(error["type"], "invalid"),
            message=_message(error),
        )
        for error in errors
    ]


_REASONS = {
    "missing": "required",
    "string_too_short": "too_short",
    "string_too_long": "too_long",
    "bytes_too_long": "too_long",
    "too_short": "too_short",
    "too_long": "too_many",
    "extra_forbidden": "unknown",
}


def _message(error: Mapping[str, Any]) -> str:
    if error["type"] == "union_tag_invalid":  # the one message of pydantic's that quotes what was given
        return f"Input should be one of {error['ctx']['expected_tags']}"
    return error["msg"]


def _place(loc: Sequence[object]) -> Sequence[object]:
    """Without where in the request it is, and without the kind that stands behind a member of several."""
    within = [part for part in loc[1:] if not str(part).startswith("constrained-")]
    return [*within[:1], *within[2:]] if within[:1] in (["message"], ["audience"]) else within


def _part(part: object) -> str:
    text = str(part).encode("utf-8", "replace").decode()
    return text if len(text) <= _NAME_SHOWN else f"{text[:_NAME_SHOWN]}…"
