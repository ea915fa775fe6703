"""`cio doctor`, `demo`, `dev`, `dead-letters`, `bench`: what they find, refuse and clean up."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx
import psutil
import pytest

from cio_pipelines.sandbox import SandboxOptions, SandboxServer
from tests.cli.conftest import CIO, Cli


def test_the_doctor_finds_a_new_set_up_healthy_and_says_what_is_still_to_come(cli: Cli) -> None:
    ended = cli("doctor")

    assert ended.code == 0, ended.out
    assert "workspace 1 in region us" in ended.out
    assert "is not built yet" in ended.out


def test_the_doctor_names_everything_that_is_wrong_at_once(cli: Cli) -> None:
    cli.execute("alter table app.users drop column plan", "drop table app.orders")
    cli.environment |= {"CUSTOMERIO_REGION": "eu"}

    ended = cli("doctor")

    assert ended.code == 1
    assert "app.users.plan" in ended.out
    assert "app.orders" in ended.out
    assert "CUSTOMERIO_REGION=us" in ended.out


def test_the_doctor_says_what_production_should_not_have(cli: Cli, sandbox: SandboxServer) -> None:
    cli.environment |= {
        "CIO_ENV": "prod",
        "CUSTOMERIO_SITE_ID": sandbox.options.site_id,
        "CUSTOMERIO_TRACK_API_KEY": sandbox.options.track_api_key,
    }
    told = " ".join(cli("doctor").out.split())
    for fault in (
        "set WAREHOUSE_URL",
        "set QUEUE_URL",
        "set LANDING_URL",
        "CUSTOMERIO_WORKSPACE",
        "alerts.md",
    ):
        assert fault in told, fault


def test_the_doctor_does_not_let_a_laptop_reach_customerio(cli: Cli) -> None:
    del cli.environment["CUSTOMERIO_TRACK_URL"]
    cli.environment |= {"CUSTOMERIO_SITE_ID": "site", "CUSTOMERIO_TRACK_API_KEY": "key"}
    ended = cli("doctor")
    assert ended.code == 1
    assert "Set CIO_ENV=staging" in " ".join(ended.out.split())


def test_the_doctor_talks_tls_with_an_authority_of_ones_own(cli: Cli, tmp_path: Path) -> None:
    with SandboxServer(SandboxOptions(tls=True, ca_file=tmp_path / "ca.pem")) as server:
        cli.environment |= {"CUSTOMERIO_TRACK_URL": server.url}
        distrusted = cli("doctor")
        cli.environment |= {"CUSTOMERIO_CA_BUNDLE": str(server.ca_file)}
        trusted = cli("doctor")

    assert distrusted.code == 1
    assert "certificate is not trusted" in distrusted.out
    assert trusted.code == 0, trusted.out


@pytest.mark.slow
def test_a_dead_letter_is_listed_and_replayed_on_demand(cli: Cli, sandbox: SandboxServer) -> None:
    cli.environment |= {"CIO_MAX_ATTEMPTS": "1", "CIO_MAX_REJECTED_SHARE": "1"}
    cli.execute("delete from app.users where user_id not in ('u0000001', 'u0000002')")
    sandbox.set_faults([{"kind": "reject", "ids": ["u0000001"], "reason": "invalid", "field": "attributes"}])
    first = cli("sync", "people", "--full", "--json")
    sandbox.set_faults([])

    assert first.code == 0, first.err
    listed = cli("dead-letters", "list")
    assert "u0000001" in listed.out
    assert "rejected" in listed.out
    assert cli("dead-letters", "replay").code == 2
    assert cli("dead-letters", "replay", "u0000001").out.startswith("1 dead letters")
    again = cli("sync", "people", "--partition", "2015-01-01", "--json")
    assert again.line["accepted"] == 1
    assert "No dead letters" in cli("dead-letters", "list").out


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"CUSTOMERIO_SITE_ID": "mine", "CUSTOMERIO_TRACK_API_KEY": "key"}, "only ever talks to the sandbox"),
        ({}, "--replace"),
    ],
    ids=["a workspace of one's own", "a warehouse of one's own"],
)
def test_the_demo_touches_nothing_of_ones_own(cli: Cli, environment: dict[str, str], words: str) -> None:
    cli.environment |= environment
    before = cli.execute("select count(*) from app.users")

    ended = cli("demo", "--people", "10")

    assert ended.code == 2, ended.err
    assert words in ended.err
    assert cli.execute("select count(*) from app.users") == before


@pytest.mark.slow
def test_the_demo_adds_nothing_to_events_of_ones_own(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "landing" / "webhooks" / "object_type=email" / "received=2026-11-20"
    folder.mkdir(parents=True)

    ended = cli("demo")

    assert ended.code == 2
    assert "where events have landed" in ended.err
    assert "--replace" in ended.err


def test_the_demo_says_at_once_that_nothing_can_land(cli: Cli) -> None:
    cli.environment["LANDING_URL"] = "file:///proc/none"

    ended = cli("demo")

    assert ended.code == 1
    assert "Check LANDING_URL" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.slow
def test_sending_shows_a_bar_when_a_person_watches(cli: Cli, sandbox: SandboxServer) -> None:
    sandbox.set_faults([{"kind": "slow", "seconds": 0.6, "path": "/api/v2/batch"}])
    screen, terminal = pty.openpty()
    process = subprocess.Popen(
        [CIO, "sync", "people", "--full"],
        env={**os.environ, **cli.environment, "TERM": "xterm", "COLUMNS": "100"},
        stdout=subprocess.DEVNULL,
        stderr=terminal,
    )
    os.close(terminal)
    shown = b""
    while True:
        try:
            piece = os.read(screen, 4096)
        except OSError:  # the other end was closed: the command ended
            break
        if not piece:
            break
        shown += piece
    os.close(screen)

    assert process.wait(30) == 0, shown
    assert b"sending" in shown
    assert b"/2" in shown.replace(b",", b"")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.slow
def test_dev_serves_the_ui_and_leaves_nothing_behind(cli: Cli) -> None:
    port = free_port()
    process = cli.start("dev", "--port", str(port))
    try:
        deadline = time.monotonic() + 120
        while True:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, "the UI did not come up"
            try:
                if httpx.get(f"http://127.0.0.1:{port}/server_info", trust_env=False).status_code == 200:
                    break
            except httpx.HTTPError:
                time.sleep(0.5)
        family = psutil.Process(process.pid).children(recursive=True)
        assert family
    finally:
        process.send_signal(signal.SIGINT)
        ended = cli.finish(process, 60)

    assert ended.code == 0, ended.err
    assert "Traceback" not in ended.err
    gone, alive = psutil.wait_procs(family, timeout=30)
    assert alive == [], [child.cmdline()[:4] for child in alive]
    assert gone


@pytest.mark.slow
def test_the_benchmark_measures_three_syncs(cli: Cli) -> None:
    ended = cli("bench", "people", "--people", "5000", "--json")

    assert ended.code == 0, ended.err
    first, changed, nothing = json.loads(ended.out.splitlines()[-1])
    assert [item["name"] for item in (first, changed, nothing)] == [
        "first sync",
        "1% changed",
        "nothing changed",
    ]
    assert first["accepted"] > 4_900
    assert 0 < changed["accepted"] < 100
    assert nothing["planned"] == nothing["requests"] == 0
    assert "people per second" in ended.out
    assert first["plain_diff"] is None
    # besides the changed it finds those who were refused, whom the sync leaves alone until they change
    refused = nothing["plain_diff"]["people"]
    assert refused < changed["plain_diff"]["people"] <= changed["planned"] + refused
    for item in (changed, nothing):
        took, floor = item["seconds"]["total"], item["plain_diff"]["seconds"]
        assert item["plain_diff"]["ratio"] == pytest.approx(took / floor)
