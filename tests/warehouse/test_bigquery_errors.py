"""What goes wrong with BigQuery, told with what to do. The official client talks to a server that says what
Google's would; what an emulator can say by itself is asked of the emulator.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
import sqlalchemy as sa
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from cio_pipelines.warehouse import (
    BytesCeilingExceeded,
    WarehouseBusy,
    WarehouseError,
    WarehouseUnavailable,
    open_warehouse,
)
from tests.emulators import service_account

URL = "bigquery://proj/marts?storage_api=false"
SECRET = "ann@example.com"


class Google(BaseHTTPRequestHandler):
    """Refuses everything in the way that a test says."""

    status: ClassVar[int]
    message: ClassVar[str]
    reason: ClassVar[str]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        told = {"message": self.message, "reason": self.reason}
        token = {"error": self.reason, "error_description": self.message}
        body = token if self.path == "/token" else {"error": {"code": self.status, **told, "errors": [told]}}
        data = json.dumps(body).encode()
        self.send_response(self.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def google(status: int, message: str, reason: str) -> Iterator[str]:
    handler = type("Answering", (Google,), {"status": status, "message": message, "reason": reason})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def asked(url: str) -> WarehouseError:
    """What a question to the server at `url` ends with."""

    @contextmanager
    def client() -> Iterator[bigquery.Client]:
        with bigquery.Client(
            "proj", credentials=AnonymousCredentials(), client_options={"api_endpoint": url}
        ) as opened:
            yield opened

    warehouse = open_warehouse(URL, maximum_bytes_billed=1_000_000, bigquery_client=client)
    with pytest.raises(WarehouseError) as caught, warehouse.connect() as connection:
        connection.scalar(sa.select(sa.literal(SECRET)))
    assert SECRET not in str(caught.value)
    return caught.value


CASES: dict[str, tuple[int, str, str, type[WarehouseError], str, str]] = {
    "no right to run jobs": (
        403,
        "Access Denied: Project proj: User does not have bigquery.jobs.create permission in project proj.",
        "accessDenied",
        WarehouseUnavailable,
        "lack the right bigquery.jobs.create on project proj",
        "docs/bigquery.md",
    ),
    "no right on a table": (
        403,
        "Access Denied: Table proj:app.users: User does not have permission to query table proj:app.users, "
        "or perhaps it does not exist.",
        "accessDenied",
        WarehouseUnavailable,
        "lack a right on table proj:app.users",
        "docs/bigquery.md",
    ),
    "the ceiling": (
        400,
        "Query exceeded limit for bytes billed: 1000000. 10485760 or higher required.",
        "bytesBilledLimitExceeded",
        BytesCeilingExceeded,
        "would bill 10,485,760 bytes, and the ceiling is 1,000,000",
        "WAREHOUSE_MAX_BYTES_BILLED",
    ),
    "a quota": (
        403,
        "Quota exceeded: Your project exceeded quota for free query bytes scanned.",
        "quotaExceeded",
        WarehouseUnavailable,
        "over a quota",
        "Wait",
    ),
    "two runs at once": (
        400,
        "Transaction is aborted due to concurrent update against table proj:customerio_sync.synced_people.",
        "invalidQuery",
        WarehouseBusy,
        "changed the same table",
        "Run again",
    ),
    "a column that is gone": (
        400,
        "Unrecognized name: phase at [1:8]",
        "invalidQuery",
        WarehouseError,
        "a table has no column phase",
        "cio doctor",
    ),
    "a column of a table that is gone": (
        400,
        "Name phase not found inside sync_plan at [1:8]",
        "invalidQuery",
        WarehouseError,
        "a table has no column phase",
        "cio doctor",
    ),
    "a column of another type": (
        400,
        "Query column 3 has type STRING which cannot be inserted into column phase, which has type INT64",
        "invalidQuery",
        WarehouseError,
        "a table has no column phase, or another type of it",
        "cio doctor",
    ),
    "a value that it quotes": (
        400,
        f"Bad int64 value: {SECRET}",
        "invalidQuery",
        WarehouseError,
        "failed with BadRequest 400",
        "cio doctor",
    ),
    "the wrong project": (
        404,
        "Not found: Project proj",
        "notFound",
        WarehouseError,
        "has no project proj",
        "WAREHOUSE_URL",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_what_bigquery_refuses_is_told_with_the_remedy(
    case: tuple[int, str, str, type[WarehouseError], str, str],
) -> None:
    status, message, reason, kind, told, remedy = case
    with google(status, message, reason) as url:
        error = asked(url)
    assert type(error) is kind
    assert told in error.message
    assert remedy in error.remedy


def test_expired_credentials_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        google(400, "Token has been expired or revoked.", "invalid_grant") as url,
        service_account(tmp_path) as key_file,
    ):
        account = json.loads(key_file.read_text()) | {"token_uri": f"{url}/token"}
        key_file.write_text(json.dumps(account))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key_file))
        with pytest.raises(WarehouseUnavailable, match="expired or were revoked") as caught:
            _ask()
    assert "gcloud auth application-default login" in caught.value.remedy


def test_missing_credentials_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")  # it would look for Google's metadata server
    with pytest.raises(WarehouseUnavailable, match="no Google credentials") as caught:
        _ask()
    assert "GOOGLE_APPLICATION_CREDENTIALS" in caught.value.remedy


def test_a_host_that_does_not_answer_is_told() -> None:
    @contextmanager
    def client() -> Iterator[bigquery.Client]:
        with bigquery.Client(
            "proj",
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": "http://127.0.0.1:1"},
        ) as opened:
            # as it is, the client tries for ten minutes
            client_, any_client = cast("Any", opened), cast("Any", bigquery.Client)
            client_.query_and_wait = lambda query, **options: any_client.query_and_wait(
                opened, query, **options | {"retry": None, "job_retry": None}
            )
            yield opened

    with (
        pytest.raises(WarehouseUnavailable, match="cannot be reached"),
        open_warehouse(URL, bigquery_client=client).connect() as connection,
    ):
        connection.scalar(sa.select(sa.literal(1)))


def _ask() -> None:
    with open_warehouse(URL).connect() as connection:
        connection.scalar(sa.select(sa.literal(1)))


def test_a_url_of_bigquery_needs_a_project_and_a_dataset() -> None:
    for url in ("bigquery://", "bigquery://proj", "bigquery:///marts", "bigquery://proj/marts?locaton=EU"):
        with pytest.raises(WarehouseUnavailable, match="WAREHOUSE_URL"):
            open_warehouse(url)
