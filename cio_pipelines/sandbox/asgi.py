"""The sandbox as an ASGI application: faults first, then credentials, then the API that the path names."""

from __future__ import annotations

import asyncio
import base64
import hmac
import zlib
from typing import Any

from cio_pipelines.sandbox import app_api, browse, control, track, track_reports, track_v1
from cio_pipelines.sandbox.answering import (
    Receive,
    Scope,
    Send,
    drop,
    instead,
    send_answer,
    send_slowly,
    write_half,
)
from cio_pipelines.sandbox.app import segments
from cio_pipelines.sandbox.app.throttles import Throttles
from cio_pipelines.sandbox.duties import Duties
from cio_pipelines.sandbox.faults import FaultPlan
from cio_pipelines.sandbox.http import (
    Answer,
    Request,
    error_meta,
    errors_app,
    errors_v2,
    not_found,
    unauthorized,
)
from cio_pipelines.sandbox.intake import Intake
from cio_pipelines.sandbox.options import SandboxError, SandboxOptions
from cio_pipelines.sandbox.stats import Stats
from cio_pipelines.sandbox.store import Store
from cio_pipelines.sandbox.webhooks import Reporter
from cio_pipelines.sandbox.workspace import Workspace

_APP_BODY_BYTES = 8_000_000
"""Largest body of an App API call that is read: more than any may have, so that each tells its own limit."""
_BATCHES = ("/api/v2/batch", "/api/v2/entity")
_FAMILIES = ("/api/v1", "/v1/send", "/v1/campaigns", "/v1")
_DROPPED = ("reset", "reset_after", "truncate")


class Sandbox:
    """One workspace behind HTTP. Serves ASGI `http` scopes; see `server.run_sandbox`."""

    def __init__(self, options: SandboxOptions) -> None:
        """Raises SandboxError for faults that cannot be understood and a database that cannot be used."""
        self.options = options
        self.workspace = Workspace(options)
        self.stats = Stats()
        self.faults = FaultPlan(options.faults)
        self.intake = Intake(options, self.workspace, self.stats, self.faults, self.settle)
        self._store = Store(options.database) if options.database is not None else None
        if self._store is not None:
            self._store.load(self.workspace)
        self.reporter = Reporter(options.webhook(), self.workspace.outbox, self.settle)
        self._throttles = Throttles(options)
        self.duties = Duties(self.workspace, self.settle)
        self.duties.restore()
        credentials = f"{options.site_id}:{options.track_api_key}".encode()
        self._basic = "Basic " + base64.b64encode(credentials).decode()
        self._bearer = f"Bearer {options.app_api_key}"

    def report(self) -> dict[str, Any]:
        """Counters, sizes and the settings that explain them."""
        return self.stats.report() | {
            "people": len(self.workspace.people),
            "suppressed": len(self.workspace.blocked),
            "objects": len(self.workspace.objects),
            "discard": self.options.discard,
            "region": self.options.region,
            "environment_id": self.options.environment_id,
            "workspace_kind": self.options.workspace_kind,
            "kept_in": f"kept in {self.options.database.name}" if self.options.database else "kept in memory",
            "faults": self.faults.described(),
            "deliveries": len(self.workspace.deliveries),
            "webhook": {
                "queued": self.reporter.queued,
                "acknowledged": self.workspace.outbox.acknowledged,
                "failing": self.reporter.failing(),
            },
        }

    def reset(self) -> None:
        """Forget people, logs, counters, what waits to be applied or reported; settings and faults stay."""
        self.intake.forget()
        self.duties.forget()
        self.reporter.forget()
        self.workspace.clear()
        self.stats.reset()
        if self._store is not None:
            self._store.clear()

    def settle(self) -> None:
        """Write down what has changed. Raises SandboxError when the database cannot take it."""
        if self._store is not None:
            self._store.write(self.workspace)

    def close(self) -> None:
        """Release the database."""
        if self._store is not None:
            self._store.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = await self._receive(scope, receive)
        if request is None:
            return
        if request.path.startswith("/_sandbox"):
            refusal = control.refuse(request, self.options.host)
            self.duties.perform()
            await send_answer(send, refusal or control.route(self, request))
            return
        if request.path == "/" and request.method == "GET":
            await send_answer(send, control.refuse(request, self.options.host) or browse.asset("index.html"))
            return
        await self._api(request, scope, receive, send)

    async def _api(self, request: Request, scope: Scope, receive: Receive, send: Send) -> None:
        self.stats.request(_family(request.path), len(request.body))
        faults = self.faults.for_request(request.path)
        terminal = next((fault for fault in faults if fault.kind != "slow"), None)
        if terminal is not None and terminal.kind == "reset":
            self.stats.answered("reset")
            await drop(scope, receive, abort=True)
            return
        answer = instead(terminal, request) or self._answer(request)
        for fault in faults:
            if fault.kind == "slow":
                await asyncio.sleep(fault.seconds)
        if terminal is not None and terminal.kind in _DROPPED:
            self.stats.answered(terminal.kind)
            if terminal.kind == "truncate":
                write_half(scope, answer)
            await drop(scope, receive, abort=terminal.kind != "truncate")
            return
        if terminal is not None and terminal.kind == "bogus_indexes" and request.path == "/api/v2/batch":
            detail: dict[str, object] = {
                "batch_index": 1_000_000,
                "reason": "invalid",
                "field": "",
                "message": "",
            }
            answer = errors_v2([detail], 207)
        self.stats.answered(answer.status)
        if terminal is not None and terminal.kind == "slow_body":
            await send_slowly(send, answer, terminal.seconds)
            return
        await send_answer(send, answer)

    def _answer(self, request: Request) -> Answer:
        path, method = request.path, request.method
        if path.startswith("/v1/"):
            if not _same(request.headers.get("authorization", ""), self._bearer):
                return unauthorized(track=False)
            return self._throttles.refuse(request) or self._app(request)
        if path not in _BATCHES and (told := track_reports.route(self.workspace, request)) is not None:
            return self._settled(told)
        if not path.startswith("/api/"):
            return not_found()
        if not _same(request.headers.get("authorization", ""), self._basic):
            return unauthorized(track=True)
        refusal = self._read_body(request)
        if refusal is not None:
            return refusal
        return self._settled(self._track(method, path, request))

    def _settled(self, answer: Answer) -> Answer:
        """An answer, once what it says is written down."""
        try:
            self.settle()
        except SandboxError as error:
            return error_meta(str(error), 500)
        return answer

    def _app(self, request: Request) -> Answer:
        self.duties.perform()
        faults = self.faults.for_operations(request.path)
        answer = app_api.route(self.workspace, self.options, faults, request)
        self.duties.perform()
        try:
            self.settle()
        except SandboxError as error:
            return errors_app(str(error), 500)
        return answer

    def _track(self, method: str, path: str, request: Request) -> Answer:
        match method, path:
            case "POST", "/api/v2/batch":
                return track.batch(self.intake, request)
            case "POST", "/api/v2/entity":
                return track.entity(self.intake, request)
            case "GET", "/api/v1/accounts/region":
                return track.region(self.options)
            case "POST", _ if path.startswith("/api/v1/segments/") and len(request.segments) == 5:
                number, action = request.segments[3:]
                known = action in ("add_customers", "remove_customers")
                return segments.fill(self.workspace, request, number, action) if known else not_found()
            case _ if path.startswith("/api/v1/"):
                return track_v1.route(self.intake, request, id_only=self.workspace.id_only)
            case _:
                return not_found()

    def _read_body(self, request: Request) -> Answer | None:
        """Undo compression where that is allowed, and refuse what is too large."""
        encoding = request.headers.get("content-encoding", "identity").lower()
        limit = self.options.max_body_bytes
        if encoding == "gzip" and self.options.accept_gzip and not request.too_large:
            try:
                request.body = zlib.decompressobj(31).decompress(request.body, limit + 1)
            except zlib.error:
                return _refused("the body is not valid gzip")
            request.too_large = len(request.body) > limit
        elif encoding != "identity":
            return _refused(f"content-encoding {encoding[:20]} is not supported")
        if request.too_large:
            return _refused(f"the body cannot be longer than {limit} bytes", self.options.oversize_status)
        return None

    async def _receive(self, scope: Scope, receive: Receive) -> Request | None:
        """The whole request; None when the client went away. A body beyond the limit is read and dropped."""
        parts: list[bytes] = []
        size = 0
        own = scope["raw_path"].startswith(b"/_sandbox")
        app = scope["raw_path"].startswith(b"/v1/")
        limit = control.BODY_BYTES if own else _APP_BODY_BYTES if app else self.options.max_body_bytes
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return None
            part = message.get("body", b"")
            size += len(part)
            if size <= limit:
                parts.append(part)
            if not message.get("more_body"):
                break
        client = scope.get("client")
        return Request(
            method=scope["method"],
            path=scope["raw_path"].decode("latin-1"),
            query_string=scope["query_string"].decode("latin-1"),
            headers={name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
            body=b"".join(parts) if size <= limit else b"",
            client=client[0] if client else "",
            too_large=size > limit,
        )


def _family(path: str) -> str:
    """What requests are counted under: the path of a version 2 call, else which API it belongs to."""
    if path in _BATCHES:
        return path
    return next((prefix for prefix in _FAMILIES if path.startswith(f"{prefix}/")), "other")


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())


def _refused(message: str, status: int = 400) -> Answer:
    return errors_v2([{"reason": "invalid", "field": "", "message": message}], status)
