"""BigQuery's stand-ins, each a process in an environment of its own (`make emulators`).

Each is kept by a process of its own (`python -m tests.emulators PROGRAM …`), which ends it when its standard
input ends: whatever becomes of the tests, a killed run of them too, no emulator is left.

`local_bigquery` is the better SQL engine (sessions, transactions, load jobs); dbt-bigquery builds in
`bqemulator` only. A test that needs what neither can do says so by name.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

ROOT = Path(__file__).parents[1]
ENVIRONMENTS = ROOT / ".venvs"
PROJECT = "emulated"
START_SECONDS = 60
"""Three seconds on an idle machine."""


class EmulatorError(Exception):
    """An emulator did not start; the message ends with what it wrote."""


@dataclass(frozen=True)
class Emulator:
    """A running stand-in for BigQuery."""

    url: str
    """Of the REST API, `http://127.0.0.1:<port>`."""

    grpc: str
    """Of the Storage API, `127.0.0.1:<port>`, without TLS."""

    buckets: Path
    """`gs://bucket/name` is the file `bucket/name` in it, unless another server holds the objects."""

    def environment(self, credentials: Path) -> dict[str, str]:
        """With these variables Google's clients, and all that is made of them, speak with this emulator."""
        return {
            "BIGQUERY_EMULATOR_HOST": self.url,
            "GOOGLE_APPLICATION_CREDENTIALS": str(credentials),
            "GOOGLE_CLOUD_PROJECT": PROJECT,
        }


def missing(name: str) -> str | None:
    """Why the environment of this name cannot be used, or None when it can."""
    if (ENVIRONMENTS / name / ".installed").exists():
        return None
    needs = " (it needs a Python 3.13)" if name == "local-bigquery" else ""
    return f"the environment .venvs/{name} is not here: make emulators{needs}"


@contextmanager
def local_bigquery(folder: Path, storage: str | None = None) -> Iterator[Emulator]:
    """local-bigquery, empty. Objects are files in `folder`, or in the GCS emulator at the URL `storage`."""
    objects = {"STORAGE_EMULATOR_HOST": storage} if storage else {"GCS_LOCAL_ROOT": str(folder)}
    rest, grpc = _free_ports()
    with tempfile.TemporaryDirectory(prefix="local-bigquery-") as data:
        options = ["serve", "--host=127.0.0.1", f"--port={rest}", f"--grpc-port={grpc}", f"--data-dir={data}"]
        with _process("local-bigquery", options, objects, rest):
            yield Emulator(f"http://127.0.0.1:{rest}", f"127.0.0.1:{grpc}", folder)


@contextmanager
def bqemulator(folder: Path) -> Iterator[Emulator]:
    """bqemulator, empty. Objects are files in `folder`."""
    rest, grpc = _free_ports()
    options = ["start", f"--rest-port={rest}", f"--grpc-port={grpc}", "--ephemeral", "--log-level=warning"]
    with _process("bqemulator", options, {"BQEMU_GCS_LOCAL_ROOT": str(folder)}, rest):
        yield Emulator(f"http://127.0.0.1:{rest}", f"127.0.0.1:{grpc}", folder)


@contextmanager
def service_account(folder: Path) -> Iterator[Path]:
    """A key file that no Google account knows, and the server that gives out tokens for it."""
    with HTTPServer(("127.0.0.1", 0), _Tokens) as server:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        account = {
            "type": "service_account",
            "project_id": PROJECT,
            "private_key_id": "none",
            "private_key": pem,
            "client_email": f"nobody@{PROJECT}.invalid",
            "token_uri": f"http://127.0.0.1:{server.server_port}/token",
        }
        path = folder / "service-account.json"
        path.write_text(json.dumps(account))
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield path
        finally:
            server.shutdown()
            thread.join()


class _Tokens(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({"access_token": "none", "expires_in": 3600, "token_type": "Bearer"}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


@contextmanager
def _process(name: str, options: list[str], variables: dict[str, str], port: int) -> Iterator[None]:
    folder = ENVIRONMENTS / name
    command = [folder / "bin" / name]
    if name == "local-bigquery":
        command = [folder / "bin" / "python", Path(__file__).with_name("start_local_bigquery.py")]
    # nothing of the caller's, who may speak with another emulator; DuckDB's extensions lie in that HOME
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder / "home"), **variables}
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, *command, *options],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=log,
            stdin=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the tests, which stop it then
        )
        try:
            deadline = time.monotonic() + START_SECONDS
            while not _answers(port):
                code = process.poll()
                if code is not None or time.monotonic() > deadline:
                    log.seek(0)
                    tail = "".join(log.readlines()[-30:])
                    what = "does not answer" if code is None else f"ended with {code}"
                    raise EmulatorError(f"{name} {what}:\n{tail}")
                time.sleep(0.1)
            yield
        finally:
            process.communicate(timeout=START_SECONDS)


def _answers(port: int) -> bool:
    try:
        url = f"http://127.0.0.1:{port}/bigquery/v2/projects/{PROJECT}/datasets"
        return httpx.get(url, timeout=5, trust_env=False).is_success
    except httpx.TransportError:
        return False


def _keep(command: list[str]) -> int:
    """Run a program until it ends, or standard input does; the program's exit status."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as program:
        threading.Thread(target=lambda: (sys.stdin.read(), program.kill()), daemon=True).start()
        return program.wait()


if __name__ == "__main__":
    sys.exit(_keep(sys.argv[1:]))
