"""/_sandbox: what was received, what is stored, and the fault switches. For this machine only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import msgspec

from cio_pipelines.sandbox import browse, happenings, tallies
from cio_pipelines.sandbox.app_api import shown
from cio_pipelines.sandbox.http import Answer, Request, errors_app, json_answer, lines
from cio_pipelines.sandbox.loopback import is_loopback
from cio_pipelines.sandbox.options import SandboxError
from cio_pipelines.sandbox.records import Person
from cio_pipelines.sandbox.wire import decode
from cio_pipelines.sandbox.workspace import Workspace

if TYPE_CHECKING:
    from cio_pipelines.sandbox.asgi import Sandbox

BODY_BYTES = 512_000_000
"""Largest body of a control request."""


def refuse(request: Request, host: str) -> Answer | None:
    """403 for whoever is not a program or a page of this machine.

    The Host and Origin checks keep a web page elsewhere from reading people through a visitor's browser.
    """
    if request.client and not is_loopback(request.client):
        return errors_app("the sandbox shows its contents to this machine only", 403)
    named = _name(request.headers.get("host", ""))
    if named != host and not is_loopback(named):
        return errors_app("the Host header names another machine", 403)
    origin = request.headers.get("origin")
    if origin is not None and origin.split("://")[-1] != request.headers.get("host"):
        return errors_app("a page of another origin may not use the sandbox", 403)
    return None


def route(sandbox: Sandbox, request: Request) -> Answer:
    """Answer a request under /_sandbox."""
    if request.too_large:
        return errors_app(f"the body cannot be longer than {BODY_BYTES} bytes: send it in parts", 413)
    workspace = sandbox.workspace
    match request.method, request.segments[1:]:
        case "GET", ["page.css" | "page.js" as name]:
            return browse.asset(name)
        case "GET", ["browse", _]:
            return browse.route(workspace, sandbox.reporter, request)
        case "GET", ["stats"]:
            return json_answer(sandbox.report())
        case "POST", ["reset"]:
            sandbox.reset()
            return Answer()
        case "GET", ["faults"]:
            return json_answer({"faults": sandbox.faults.described()})
        case "PUT", ["faults"]:
            return _set_faults(sandbox, request.body)
        case "DELETE", ["faults"]:
            sandbox.faults.set([])
            return Answer()
        case "GET", ["people"]:
            return lines(person_record(person) for person in list(workspace.people.values()))
        case "GET", ["suppressed"]:
            return lines(blocked_records(workspace))
        case "GET", ["operations"]:
            first = request.number("after", 0, 10**18, minimum=0)
            log = list(workspace.log.values())
            return lines(msgspec.to_builtins(entry) for entry in log if entry.sequence > first)
        case "GET", ["activities"]:
            return lines(shown(activity) for activity in list(workspace.activities.values()))
        case "GET", _ if (told := tallies.route(workspace, request)) is not None:
            return told
        case _:
            return happenings.route(sandbox, request)


def person_record(person: Person) -> dict[str, Any]:
    """A person as the control endpoints give one: values of the types they were sent with."""
    return {
        "key": person.key,
        "id": person.id,
        "email": person.email,
        "phone": person.phone,
        "cio_id": person.cio_id,
        "attributes": person.attributes,
        "devices": list(person.devices.values()),
        "relationships": person.relationships,
        "created_at": person.created_at,
        "updated_at": person.updated_at,
        "suppressed": False,
    }


def blocked_records(workspace: Workspace) -> Iterator[dict[str, Any]]:
    """Blocked identifiers: kind, value and when (unix seconds)."""
    for (kind, value), at in list(workspace.blocked.items()):
        yield {"kind": kind, "value": value, "at": at}


def _set_faults(sandbox: Sandbox, body: bytes) -> Answer:
    try:
        sent = cast("dict[str, Any] | list[Any]", decode(body))
        sandbox.faults.set(sent.get("faults") if isinstance(sent, dict) else sent)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return errors_app("the body is not valid JSON", 400)
    except SandboxError as error:
        return errors_app(str(error), 400)
    return json_answer({"faults": sandbox.faults.described()})


def _name(host: str) -> str:
    """The name in a Host header, without the port and the brackets of IPv6."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if ":" in host else host
