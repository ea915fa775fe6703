"""Exports that are asked for by a call: a list of people or deliveries as a CSV file behind a signed link."""

from __future__ import annotations

import csv
import hashlib
import hmac
import io
import time
from collections.abc import Iterator
from typing import Any, cast

from cio_pipelines.sandbox.app.audience import read_filter, value_of
from cio_pipelines.sandbox.app.checks import Refusal, app_refusal, read_object
from cio_pipelines.sandbox.http import Answer, Request, error_meta, json_answer
from cio_pipelines.sandbox.options import SandboxOptions
from cio_pipelines.sandbox.records import Delivery, Person, as_text, unix_now
from cio_pipelines.sandbox.shelf import Export
from cio_pipelines.sandbox.workspace import Workspace

LINK_SECONDS = 15 * 60
"""How long a link to a file is valid."""
_OF = ("newsletter_id", "campaign_id", "transactional_message_id", "action_id")
_COLUMNS = ("delivery_id", "customer_id", "email", "recipient", "subject", "type", "created")
_ROWS_A_PIECE = 1_000


def route(workspace: Workspace, options: SandboxOptions, request: Request) -> Answer | None:
    """Answer a call about exports; None when it is about something else. Raises Refusal."""
    match request.method, request.segments[1:]:
        case "POST", ["exports", "customers" | "deliveries" as kind]:
            return _create(workspace, request, kind)
        case "GET", ["exports"]:
            return json_answer({"exports": [_shown(each) for each in workspace.shelf.exports.values()]})
        case "GET", ["exports", number]:
            return json_answer({"export": _shown(_found(workspace, number))})
        case "GET", ["exports", number, "download"]:
            return _link(workspace, options, request, _found(workspace, number))
        case _:
            return None


def download(workspace: Workspace, options: SandboxOptions, request: Request, number: str) -> Answer:
    """GET /_sandbox/exports/{id}: the file behind a link; without credentials, as the link is signed."""
    export = workspace.shelf.exports.get(number)
    expires = request.query.get("expires", "")
    signature = _signature(options, number, expires)
    if export is None or not hmac.compare_digest(request.query.get("signature", "").encode(), signature):
        return error_meta("the link is not valid", 403)
    if int(expires) < time.time():
        return error_meta("the link has expired: ask for another", 403)
    try:
        rows = list((_people if export.type == "customers" else _deliveries)(workspace, export))
    except Refusal as refusal:  # its segment was deleted since
        return refusal.answer
    return Answer(200, _pieces(rows), "text/csv; charset=utf-8")


def _create(workspace: Workspace, request: Request, kind: str) -> Answer:
    body = read_object(request, app_refusal)
    if kind == "customers":
        read_filter(workspace, body.get("filters"), app_refusal)
    elif sum(isinstance(body.get(name), int) for name in _OF) != 1:
        raise app_refusal(f"exactly one of {', '.join(_OF)} is needed")
    number = len(workspace.shelf.exports) + 1
    now = unix_now()
    export = Export(number, kind, body, now, now + workspace.courses.settings.export_seconds)
    export.total = sum(
        1 for _ in (_of(workspace, export) if kind == "customers" else _sent(workspace, export))
    )
    workspace.shelf.save(export)
    return json_answer({"export": _shown(export) | {"status": "pending"}})


def _found(workspace: Workspace, number: str) -> Export:
    export = workspace.shelf.exports.get(number)
    if export is None:
        raise app_refusal("not found", 404)
    return export


def _shown(export: Export) -> dict[str, Any]:
    return {
        "id": export.number,
        "user_id": 1,
        "user_email": "sandbox@example.com",
        "total": export.total,
        "deduplicate_id": f"{export.number}:{export.created_at}",
        "type": export.type,
        "failed": False,
        "description": f"Export of {export.type}",
        "downloads": export.downloads,
        "created_at": export.created_at,
        "updated_at": export.created_at,
        "status": "done" if export.ready_at <= time.time() else "pending",
    }


def _link(workspace: Workspace, options: SandboxOptions, request: Request, export: Export) -> Answer:
    if export.ready_at > time.time():
        raise app_refusal("the export is not ready", 404)
    export.downloads += 1
    workspace.shelf.save(export)
    expires = str(unix_now() + LINK_SECONDS)
    signature = _signature(options, export.key, expires).decode()
    base = f"{'https' if options.tls else 'http'}://{request.headers.get('host', options.host)}"
    url = f"{base}/_sandbox/exports/{export.key}?expires={expires}&signature={signature}"
    return json_answer({"url": url})


def _signature(options: SandboxOptions, number: str, expires: str) -> bytes:
    text = f"{number}:{expires}".encode()
    return hmac.new(options.app_api_key.encode(), text, hashlib.sha256).hexdigest().encode()


def _of(workspace: Workspace, export: Export) -> list[Person]:
    matches = read_filter(workspace, export.filters["filters"], app_refusal)
    return [person for person in workspace.people.values() if matches(person)]


def _sent(workspace: Workspace, export: Export) -> Iterator[Delivery]:
    wanted = export.filters
    name = next(name for name in _OF if isinstance(wanted.get(name), int))
    metric = wanted.get("metric", "created")
    for delivery in workspace.deliveries.values():
        if delivery.origin.get(name) != wanted[name]:
            continue
        moments = [delivery.created_at] if metric == "created" else _moments(delivery, metric)
        if any(wanted.get("start", 0) <= at < wanted.get("end", 2**62) for at in moments):
            yield delivery


def _moments(delivery: Delivery, metric: str) -> list[int]:
    return [each.at for each in delivery.happened if each.metric == metric]


def _people(workspace: Workspace, export: Export) -> Iterator[list[str]]:
    people = _of(workspace, export)
    names = list(dict.fromkeys(name for person in people for name in person.attributes if name != "email"))
    yield ["cio_id", "id", "email", *names]
    for person in people:
        values = [value_of(person, name) for name in ("cio_id", "id", "email", *names)]
        yield ["" if value is None else as_text(value) for value in values]


def _deliveries(workspace: Workspace, export: Export) -> Iterator[list[str]]:
    attributes = [str(name) for name in cast("list[object]", export.filters.get("attributes") or [])]
    yield [*_COLUMNS, *attributes]
    for delivery in _sent(workspace, export):
        person = workspace.people.get(delivery.person)
        about = [
            "" if person is None or (value := value_of(person, name)) is None else as_text(value)
            for name in ("id", "email", *attributes)
        ]
        message = [delivery.recipient, delivery.subject, delivery.channel, str(delivery.created_at)]
        yield [delivery.delivery_id, *about[:2], *message, *about[2:]]


def _pieces(rows: list[list[str]]) -> Iterator[bytes]:
    text = io.StringIO()
    writer = csv.writer(text)
    for number, row in enumerate(rows, start=1):
        writer.writerow(row)
        if number % _ROWS_A_PIECE == 0:
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode()
