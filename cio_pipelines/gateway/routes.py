"""The routes: each keeps one message, or tells what became of one."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Path, Request, Security
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.responses import Response

from cio_pipelines.gateway import problems
from cio_pipelines.gateway.intake import Called, Intake, intake_of
from cio_pipelines.gateway.messages import Broadcast, Transactional
from cio_pipelines.gateway.models import Accepted, Identify, MessageState, PersonId, Suppress, Track
from cio_pipelines.gateway.problems import Problem, ProblemBody


class _PersonConvertor(Convertor[str]):
    """An id as it stands in a path: with slashes and line breaks, if it has any."""

    regex = r"[\s\S]*"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("person", _PersonConvertor())

_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.ASCII)

_ALWAYS: dict[int | str, dict[str, Any]] = {
    401: {"description": "No token, or one that is not known."},
    403: {"description": "The token lacks the scope."},
    422: {"description": "Something in the request breaks a rule: `faults` says what."},
    429: {"description": "The token's rate is used up. Wait for `Retry-After` seconds."},
    500: {"description": "A fault of the service."},
    503: {"description": "The queue is full or cannot be used. The same request may be sent again."},
}
_KEEPING: dict[int | str, dict[str, Any]] = {
    **_ALWAYS,
    409: {"description": "The idempotency key was used for another request."},
}
_SENDING: dict[int | str, dict[str, Any]] = {
    **_KEEPING,
    400: {"description": "The body is not JSON."},
    408: {"description": "The body did not arrive in time."},
    413: {"description": "The body is too large."},
    415: {"description": "The body is not sent as JSON, or is compressed."},
}


def _with_body(responses: dict[int | str, dict[str, Any]]) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": ProblemBody, **responses[status]} for status in sorted(responses, key=str)}


_bearer = HTTPBearer(auto_error=False, description="A token made with `cio tokens create`.")
_router = APIRouter(tags=["gateway"], dependencies=[Security(_bearer)])
_posted: dict[str, Any] = {"status_code": 202, "responses": _with_body(_SENDING)}


@_router.post("/identify", **_posted)
async def identify(body: Identify, call: Called) -> Accepted:
    """Set attributes of a person. Scope: identify."""
    return await call.keep(
        body.not_before,
        lambda service, options: service.enqueue_identify(
            body.person_id, body.attributes, timestamp=body.timestamp, options=options
        ),
    )


@_router.post("/track", **_posted)
async def track(body: Track, call: Called) -> Accepted:
    """Record what a person did. Scope: track."""
    return await call.keep(
        body.not_before,
        lambda service, options: service.enqueue_track(
            body.person_id,
            body.name,
            body.attributes,
            event_id=body.event_id,
            timestamp=body.timestamp,
            options=options,
        ),
    )


@_router.post("/suppress", **_posted)
async def suppress(body: Suppress, call: Called) -> Accepted:
    """Delete a person at Customer.io and block the id. Scope: suppress."""
    return await call.keep(
        body.not_before,
        lambda service, options: service.enqueue_suppress(body.person_id, options=options),
    )


@_router.post("/transactional", **_posted)
async def transactional(body: Transactional, call: Called) -> Accepted:
    """Send a message to one person. Scope: transactional."""
    return await call.keep(
        body.not_before,
        lambda service, options: service.enqueue_transactional(
            body.typed(), after_profile=body.after_profile, options=options
        ),
        named=lambda field: f"message.{field}",
    )


@_router.post("/broadcasts", **_posted)
async def broadcasts(body: Broadcast, call: Called) -> Accepted:
    """Trigger a broadcast. Scope: broadcasts."""
    return await call.keep(
        body.not_before,
        lambda service, options: service.enqueue_broadcast(
            body.broadcast_id, body.typed(), body.data, options=options
        ),
        named=lambda field: field if field.split(".")[0] in ("data", "broadcast_id") else f"audience.{field}",
    )


@_router.delete("/people/{person_id:person}", status_code=202, responses=_with_body(_KEEPING))
async def delete(person_id: Annotated[PersonId, Path()], call: Called) -> Accepted:
    """Delete a person at Customer.io; an id with a slash is sent with %2F. Scope: delete."""
    return await call.keep(None, lambda service, options: service.enqueue_delete(person_id, options=options))


@_router.get(
    "/messages/{message_id}",
    responses=_with_body({**_ALWAYS, 404: {"description": "Nothing is known of such a message."}}),
)
async def message(
    request: Request,
    message_id: Annotated[str, Path(examples=["01K0QYT7C1B0M0WJ8Z3X5V9N2P"])],
) -> MessageState:
    """What became of a message, while that is kept. Scope: status."""
    found = await intake_of(request).status(message_id) if _ULID.fullmatch(message_id) else None
    if found is None:
        raise problems.NotFound("Nothing is known of such a message: it never was, or it ended long ago.")
    return MessageState.of(found)


def build_routes(intake: Intake) -> FastAPI:
    """The routes as an application, to be mounted behind the guard."""
    app = FastAPI(
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={
            Problem: _on_problem,
            RequestValidationError: _on_invalid,
            HTTPException: _on_http,
            Exception: _on_trouble,
        },
    )
    app.include_router(_router)
    app.state.intake = intake
    return app


async def _on_problem(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, Problem)  # noqa: S101  # what it is registered for
    return error.response()


async def _on_invalid(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, RequestValidationError)  # noqa: S101
    errors = error.errors()
    if any(one["type"] == "json_invalid" for one in errors):
        return problems.Malformed("The body is not JSON in UTF-8.").response()
    return problems.Invalid(problems.faults_of(errors)).response()


async def _on_http(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, HTTPException)  # noqa: S101
    if error.status_code == 404:
        return problems.NotFound("There is nothing at this address. /docs shows what there is.").response()
    if error.status_code == 405:
        return problems.WrongMethod(
            "This address takes another method; `Allow` says which.", headers=error.headers
        ).response()
    return problems.Malformed("The body is not JSON in UTF-8.").response()


async def _on_trouble(request: Request, error: Exception) -> Response:
    del request, error  # the guard logs it
    return problems.Trouble().response()
