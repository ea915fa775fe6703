"""Sending answers over ASGI, and the faults that take their place or break the connection."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from cio_pipelines.sandbox.faults import Fault
from cio_pipelines.sandbox.http import Answer, Request, errors_app, json_answer

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


def instead(fault: Fault | None, request: Request) -> Answer | None:
    """The answer of a fault that leaves the request undone."""
    if fault is None:
        return None
    if fault.kind == "redirect":
        query = f"?{request.query_string}" if request.query_string else ""
        target = fault.location.rstrip("/") + request.path + query
        return Answer(fault.status or 307, b"", headers=(("location", target),))
    if fault.kind != "status":
        return None
    status = fault.status or 503
    headers = (("retry-after", str(fault.retry_after)),) if fault.retry_after is not None else ()
    if fault.body == "empty":
        return Answer(status, b"", headers=headers)
    if fault.body == "html":
        page = f"<html><body><h1>{status}</h1></body></html>".encode()
        return Answer(status, page, "text/html", headers)
    if request.path.startswith("/v1/") and (status == 429 or not request.path.startswith("/v1/send/")):
        return errors_app("a fault of the sandbox", status, headers)
    return json_answer({"meta": {"error": "a fault of the sandbox"}}, status, headers)


async def send_answer(send: Send, answer: Answer) -> None:
    """Send an answer, whole or in pieces."""
    headers = [(b"content-type", answer.content_type.encode())]
    headers += [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
    whole = answer.body if isinstance(answer.body, bytes) else None
    if whole is not None:
        headers.append((b"content-length", str(len(whole)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    if whole is not None:
        await send({"type": "http.response.body", "body": whole})
        return
    for piece in answer.body:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def send_slowly(send: Send, answer: Answer, seconds: float) -> None:
    """Send the head of an answer at once, and its body a byte at a time, evenly over `seconds`."""
    body = answer.body if isinstance(answer.body, bytes) else b"".join(answer.body)
    headers = [(b"content-type", answer.content_type.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    for place in range(len(body)):
        await asyncio.sleep(seconds / len(body))
        await send({"type": "http.response.body", "body": body[place : place + 1], "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def write_half(scope: Scope, answer: Answer) -> None:
    """Promise the whole answer and send half of it."""
    body = answer.body if isinstance(answer.body, bytes) else b"".join(answer.body)
    fields = (
        f"HTTP/1.1 {answer.status} Cut",
        f"content-type: {answer.content_type}",
        f"content-length: {len(body)}",
    )
    scope["sandbox.transport"].write(
        "\r\n".join([*fields, "", ""]).encode("latin-1") + body[: len(body) // 2]
    )


async def drop(scope: Scope, receive: Receive, *, abort: bool) -> None:
    """End the connection: `abort` resets it, else what was written is sent first."""
    transport: asyncio.Transport = scope["sandbox.transport"]
    if abort:
        # Without lingering the peer gets a reset; an abort alone is an orderly end on some event loops.
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()
    # The server sends a 500 of its own unless it has learnt, by then, that the connection is gone.
    while (await receive())["type"] != "http.disconnect":
        pass
