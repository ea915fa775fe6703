"""A whole loop that goes wrong in many ways tells nobody's name, address or key to anybody."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import httpx
import pytest

from cio_pipelines.cli.receiver import ReceiverProcess
from cio_pipelines.sandbox import SandboxServer
from tests.cli.conftest import Cli, Ended
from tests.leaks import leaks_below

PLANTED = ("Plantedfirst", "Plantedlast", "planted.", "PLANTEDSECRET")
KEY = "PLANTEDSECRET-signing-key"


def told_nothing(ended: Ended) -> Ended:
    for word in PLANTED:
        assert word not in ended.out + ended.err, ended.out + ended.err
    return ended


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_loop_that_goes_wrong_everywhere_tells_nothing(
    cli: Cli, sandbox: SandboxServer, tmp_path: Path, dagster_home: Path
) -> None:
    cli.execute(
        "update app.users set email = 'planted.' || user_id || '@example.com', first_name = 'Plantedfirst', "
        "last_name = 'Plantedlast'"
    )
    cli.environment |= {"CUSTOMERIO_WEBHOOK_SIGNING_KEY": KEY}

    def run(*arguments: str) -> Ended:
        return told_nothing(cli(*arguments))

    quoting = {"kind": "reject", "hash_every": 40, "message": "planted.7@example.com (Plantedfirst) is bad"}
    sandbox.set_faults([quoting])
    assert run("sync", "people", "--full", "--verbose", "--json").code == 1
    run("dead-letters", "list")
    run("sync", "people", "--dry-run")
    sandbox.set_faults([{"kind": "status", "status": 400, "body": "html"}])
    run("sync", "events", "--full", "--verbose")
    sandbox.set_faults([])
    run("sync", "events", "--full")

    # what Customer.io reports, good, forged and broken, while the receiver logs
    with ReceiverProcess({**cli.environment}) as receiver:
        for body in (b'{"planted.8@example.com": ', b"\xff\xfePlantedfirst", b"[]"):
            answer = httpx.post(receiver.url, content=body)
            assert answer.status_code in (400, 401)
            assert "planted" not in answer.text
        forged = {"X-CIO-Timestamp": str(int(time.time())), "X-CIO-Signature": "0" * 64}
        event = json.dumps({"event_id": "1", "recipient": "planted.9@example.com"}).encode()
        assert httpx.post(receiver.url, content=event, headers=forged).status_code == 401
    run("load", "webhooks", "--verbose")

    # a value that no cast takes, which the database quotes in its error
    cli.execute(
        "alter table app.orders alter amount type varchar",
        "update app.orders set amount = 'planted.10@example.com' where order_id in "
        "(select min(order_id) from app.orders)",
    )
    for command in (("sync", "people"), ("sync", "people", "--verbose")):
        assert run(*command).code == 1
    run("doctor")

    # killed with a traceback's worth of state
    process = cli.start("sync", "people", "--full", "--verbose")
    time.sleep(4)
    process.send_signal(signal.SIGTERM)
    told_nothing(cli.finish(process))

    written = leaks_below(dagster_home)
    assert written == {}
    for path in dagster_home.rglob("*"):
        if path.is_file():
            text = path.read_bytes().decode("latin-1")
            assert [word for word in PLANTED if word in text] == [], path
