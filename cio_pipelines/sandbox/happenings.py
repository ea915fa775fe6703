"""/_sandbox, the part that makes things happen: messages, clicks, events, exports; and how reporting goes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from cio_pipelines.sandbox.app.exports import download
from cio_pipelines.sandbox.app.sending import release_all
from cio_pipelines.sandbox.consent import set_unsubscribed
from cio_pipelines.sandbox.generate import Generate, generate
from cio_pipelines.sandbox.http import Answer, Request, errors_app, json_answer, lines, not_found
from cio_pipelines.sandbox.messages import Sending, send
from cio_pipelines.sandbox.options import SandboxError
from cio_pipelines.sandbox.records import unix_now
from cio_pipelines.sandbox.workspace import Workspace

if TYPE_CHECKING:
    from cio_pipelines.sandbox.asgi import Sandbox

_Wanted = TypeVar("_Wanted")


class _Whom(msgspec.Struct, forbid_unknown_fields=True):
    id: str | None = None
    email: str | None = None
    cio_id: str | None = None


class _Export(msgspec.Struct, forbid_unknown_fields=True):
    folder: str
    version: int = 4


class _Data(msgspec.Struct):
    identifiers: dict[str, Any] = {}
    customer_id: str = ""


class _Event(msgspec.Struct):
    event_id: str = ""
    data: _Data = msgspec.field(default_factory=_Data)


def route(sandbox: Sandbox, request: Request) -> Answer:
    """Answer a request under /_sandbox that is none of `control`'s own."""
    try:
        return _answer(sandbox, request)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return errors_app(f"the body cannot be understood: {error}", 400)
    except SandboxError as error:
        return errors_app(str(error), 500)


def _answer(sandbox: Sandbox, request: Request) -> Answer:
    match request.method, request.segments[1:]:
        case "GET", ["webhooks"]:
            return json_answer(sandbox.reporter.report())
        case "GET", ["webhooks", "events"]:
            return lines(sandbox.workspace.outbox.records())
        case "PUT", ["webhooks"]:
            sandbox.reporter.configure(sandbox.reporter.settings.changed(_read(request, dict[str, Any])))
            return json_answer(sandbox.reporter.report())
        case "GET", ["exports", number]:
            return download(sandbox.workspace, sandbox.options, request, number)
        case "GET", ["courses"]:
            return json_answer(sandbox.workspace.courses.settings)
        case "PUT", ["courses"]:
            sandbox.workspace.courses.configure(_read(request, dict[str, Any]))
            return json_answer(sandbox.workspace.courses.settings)
        case "POST", ["scheduled", "send"]:
            told = {"sent": release_all(sandbox.workspace)}
        case "POST", ["events"]:
            return json_answer({"events": _emit(sandbox, request)})
        case "POST", ["send"]:
            told = send(sandbox.workspace, _read(request, Sending))
        case "POST", ["unsubscribe" | "resubscribe" as click]:
            return _click(sandbox, _read(request, _Whom), wanted=click == "unsubscribe")
        case "POST", ["export"]:
            told = _export(sandbox.workspace, _read(request, _Export))
        case _:
            return not_found()
    sandbox.settle()
    return json_answer(told)


def _read(request: Request, kind: type[_Wanted]) -> _Wanted:
    """The body as what is wanted. Raises msgspec.DecodeError, which names the member that is wrong."""
    return msgspec.json.decode(request.body, type=kind)


def _click(sandbox: Sandbox, whom: _Whom, *, wanted: bool) -> Answer:
    named = {kind: value for kind, value in msgspec.structs.asdict(whom).items() if value is not None}
    if len(named) != 1:
        return errors_app("exactly one of id, email and cio_id says who clicks", 400)
    person = sandbox.workspace.find(*next(iter(named.items())))
    if person is None:
        return errors_app("nobody has that identifier", 404)
    changed = set_unsubscribed(sandbox.workspace, person, wanted, unix_now())
    sandbox.settle()
    return json_answer({"changed": changed})


def _emit(sandbox: Sandbox, request: Request) -> int:
    """Put events into the outbox: a list as it is, or as many as a `Generate` says.

    Raises UnicodeDecodeError: what is no text could be sent, and not be shown.
    """
    request.body.decode()
    outbox = sandbox.workspace.outbox
    if not request.body.lstrip().startswith(b"["):
        wanted = _read(request, Generate)
        for person, event_id, body in generate(wanted):
            outbox.add(person, event_id, body)
        number = wanted.generate
    else:
        bodies = _read(request, list[msgspec.Raw])
        for body in bodies:
            event_id, person = _known_of(bytes(body))
            outbox.add(person, event_id, bytes(body))
        number = len(bodies)
    sandbox.settle()
    return number


def _known_of(body: bytes) -> tuple[str, str]:
    """Event id and person, as far as an event tells them; anything may be sent, to see it refused."""
    try:
        event = msgspec.json.decode(body, type=_Event)
    except msgspec.ValidationError:
        return "", ""
    identifiers = event.data.identifiers
    return event.event_id, str(identifiers.get("id") or identifiers.get("cio_id") or event.data.customer_id)


def _export(workspace: Workspace, wanted: _Export) -> dict[str, Any]:
    from cio_pipelines.sandbox.exports import export  # pyarrow takes long to load

    return export(workspace, Path(wanted.folder), cast("Any", wanted.version))
