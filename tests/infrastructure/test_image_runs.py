"""The Dockerfile's commands carried out, and its programs run as nobody on a tree that is only read."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
import sqlalchemy as sa

from cio_pipelines.sandbox import SandboxServer
from tests.infrastructure import image_rig
from tests.infrastructure.dockerfile import read_stages
from tests.infrastructure.image_rig import Image
from tests.infrastructure.provider_schema import ROOT
from tests.postgres import Postgres
from tests.webhooks.conftest import KEY, event, signed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_200)]

_PORT = 8080
_MEMORY = 512 * 2**20
"""What Cloud Run grants."""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    if reason := image_rig.missing():
        pytest.skip(reason)
    made = Image(tmp_path_factory.mktemp("image"))
    try:
        made.build()
        yield made
    finally:
        made.close()


def until(holds: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.3)


def answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def memory_of(process: int) -> int:
    """Resident bytes of what runs below."""
    return sum(each.memory_info().rss for each in psutil.Process(process).children(recursive=True)) or (
        psutil.Process(process).memory_info().rss
    )


def test_nothing_can_be_written_but_scratch_and_nobody_is_root(image: Image) -> None:
    told = image.run(
        ["sh", "-c", "id -u; touch /app/x /app/manifests/x /etc/x; touch /tmp/x && echo scratch"]
    )
    assert told.stdout.split() == ["10001", "scratch"]
    assert told.stderr.count("cannot touch") == 3


def test_there_is_no_pip_in_the_environments_and_versions_are_the_lock_s(image: Image) -> None:
    told = image.run(
        ["python", "-c", "import importlib.util as u; print(u.find_spec('pip'), u.find_spec('setuptools'))"]
    )
    lock = (ROOT / "requirements" / "image.txt").read_text(encoding="utf-8")
    assert "None" in told.stdout.split()[0], told
    listed = image.run(
        [
            "python",
            "-c",
            "import importlib.metadata as m\n"
            "for d in m.distributions(): print(d.metadata['Name'].lower(), d.version)",
        ]
    )
    # a release may depend on Python's: then the lock names several
    pins = set(re.findall(r"^([a-z0-9-]+)==([^ ;]+)", lock, re.MULTILINE))
    installed = [line.split() for line in listed.stdout.splitlines()]
    wrong = {
        (name, version) for name, version in installed if (re.sub(r"[._]", "-", name), version) not in pins
    }
    assert len(installed) > 100
    assert not wrong


def test_receiver_gateway_and_worker_work(image: Image, sandbox: SandboxServer) -> None:
    queue = {"QUEUE_URL": "sqlite:////mnt/data/queue.sqlite"}
    token = image.run(
        ["cio", "tokens", "create", "shop", "--scope", "identify"], {"CIO_GATEWAY_TOKENS": "/mnt/data/tokens"}
    ).stdout.strip()
    image.write("/mnt/data/key", KEY)
    environment = queue | {
        "CIO_ENV": "staging",
        "LANDING_URL": "file:///mnt/data/landing",
        "CUSTOMERIO_WEBHOOK_SIGNING_KEY_FILE": "/mnt/data/key",
        "CIO_GATEWAY_TOKENS": "/mnt/data/tokens",
    }
    stage = read_stages()["image"]
    command = json.loads(stage.all("CMD")[-1])
    with image.started(command, environment) as serve:
        base = f"http://127.0.0.1:{_PORT}"
        until(lambda: answers(f"{base}/readyz"))
        body = event(1)
        with httpx.Client(trust_env=False) as client:
            assert (
                client.post(f"{base}/webhooks/customerio", content=body, headers=signed(body)).status_code
                == 200
            )
            person = {"person_id": "ada", "attributes": {"plan": "pro"}}
            put = client.post(
                f"{base}/v1/identify", json=person, headers={"Authorization": f"Bearer {token}"}
            )
            assert put.status_code == 202, put.text
        (health,) = stage.all("HEALTHCHECK")
        assert image.run(json.loads(health[health.index("[") :])).returncode == 0
        assert memory_of(serve.pid) < _MEMORY
    assert serve.returncode == 0
    workspace = {
        "CIO_ENV": "staging",
        "CUSTOMERIO_TRACK_URL": sandbox.url,
        "CUSTOMERIO_SITE_ID": sandbox.options.site_id,
        "CUSTOMERIO_TRACK_API_KEY": sandbox.options.track_api_key,
    }
    worked = image.run(["cio", "worker", "--queue", "identify", "--until-empty"], queue | workspace)
    assert worked.returncode == 0, worked.stderr
    assert "ada" in sandbox.people()


def test_dagster_s_programs_work_with_the_prepared_manifest(image: Image, postgres_server: Postgres) -> None:
    database = sa.make_url(postgres_server.new_database()).database
    (socket,) = (path for path in postgres_server.folder.glob(".s.PGSQL.*") if path.suffix != ".lock")
    image.let_in(socket, "/mnt/postgres")
    instance = (ROOT / "compose" / "dagster.yaml").read_text(encoding="utf-8")
    for said, here in (
        ("hostname: postgres", "hostname: localhost\n      params: {host: /mnt/postgres}"),
        ("port: 5432", f"port: {socket.suffix[1:]}"),
        ("username: cio", "username: postgres"),
        ("db_name: dagster", f"db_name: {database}"),
    ):
        assert said in instance
        instance = instance.replace(said, here)
    image.write("/mnt/dagster/dagster.yaml", instance)
    workspace = (ROOT / "compose" / "workspace.yaml").read_text(encoding="utf-8")
    image.write("/mnt/data/workspace.yaml", workspace.replace("host: code-location", "host: 127.0.0.1"))
    dagster = {"POSTGRES_PASSWORD": "none is asked for"}
    location = dagster | {"CIO_ENV": "staging", "WAREHOUSE_URL": "postgresql://cio@postgres/warehouse"}
    # a run, with a home that cannot be written to
    ran = image.run(
        [
            "dagster",
            "asset",
            "materialize",
            "-m",
            "cio_pipelines.definitions",
            "--select",
            "customerio/dead_letters",
        ],
        location
        | {
            "WAREHOUSE_URL": f"postgresql://postgres@/{database}?host=/mnt/postgres&port={socket.suffix[1:]}",
            "QUEUE_URL": "sqlite:////mnt/data/queue.sqlite",
            "CUSTOMERIO_WORKSPACE": "example",
        },
    )
    assert ran.returncode == 0, ran.stderr[-3_000:]
    assert "RUN_SUCCESS" in ran.stderr
    code_server = ["dagster", "code-server", "start", "--host", "127.0.0.1", "--port", "4000"]
    served = ["--workspace", "/mnt/data/workspace.yaml"]
    webserver = ["dagster-webserver", "--host", "127.0.0.1", "--port", "3000", *served]
    with image.started([*code_server, "--module-name", "cio_pipelines.definitions"], location):
        until(lambda: image.run(["dagster", "api", "grpc-health-check", "--port", "4000"]).returncode == 0)
        with image.started(webserver, dagster), image.started(["dagster-daemon", "run", *served], dagster):
            until(lambda: answers("http://127.0.0.1:3000/server_info"))
            asked = (
                "{ repositoriesOrError { ... on RepositoryConnection { nodes { name assetNodes { id } } } } }"
            )

            def assets() -> int:
                told = httpx.post(
                    "http://127.0.0.1:3000/graphql", json={"query": asked}, trust_env=False, timeout=30
                ).json()
                nodes = told["data"]["repositoriesOrError"].get("nodes", [])
                return sum(len(node["assetNodes"]) for node in nodes)

            until(lambda: assets() > 10)
            until(lambda: image.run(["dagster-daemon", "liveness-check"], dagster).returncode == 0)


def test_dbt_for_bigquery_reads_the_project(image: Image) -> None:
    parsed = image.run(
        ["python", "-c", "from cio_pipelines.dbt import dbt_project; print(dbt_project().manifest_path)"],
        {"WAREHOUSE_URL": "bigquery://project/analytics?location=EU", "DBT_TARGET_PATH": "/tmp/manifests"},
    )
    assert parsed.returncode == 0, parsed.stderr
    assert Path(parsed.stdout.strip()).parts[-2] == "project.analytics"
