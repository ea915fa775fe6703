"""`cio worker` while its credentials are changed."""

from __future__ import annotations

import asyncio
from pathlib import Path

from cio_pipelines.messaging.queue import open_queue
from cio_pipelines.messaging.queued import QueuedMessagingService
from cio_pipelines.sandbox import SandboxServer
from tests.cli.conftest import Cli
from tests.webhooks.conftest import eventually


def test_changed_credentials_are_used_without_a_restart_and_no_message_is_lost(
    cli: Cli, sandbox: SandboxServer, tmp_path: Path
) -> None:
    key, queue = tmp_path / "key", f"sqlite://{tmp_path}/rotated.sqlite"
    key.write_text(sandbox.options.track_api_key)
    cli.environment |= {
        "QUEUE_URL": queue,
        "CUSTOMERIO_SITE_ID": sandbox.options.site_id,
        "CUSTOMERIO_TRACK_API_KEY_FILE": str(key),
        "CIO_SECRET_LOOK_SECONDS": "0.1",
    }

    async def put(*people: str) -> None:
        async with QueuedMessagingService(open_queue(queue)) as service:
            for person in people:
                await service.enqueue_identify(person, {"plan": "pro"})

    asyncio.run(put("a", "b"))
    worker = cli.start("worker", "--queue", "identify")
    assert worker.stderr is not None
    try:
        eventually(lambda: {"a", "b"} <= set(sandbox.people()))
        key.write_text("a key that Customer.io does not know")
        logged = ""
        while logged.count('"working"') < 2:
            line = worker.stderr.readline()
            assert line, logged
            logged += line
        asyncio.run(put("c"))
    finally:
        # it ends by itself: it had the new key, which was refused
        ended = cli.finish(worker, 30)
    assert ended.code == 1
    assert "What was taken is back in the queue" in ended.err
    assert "secrets were read again" in logged
    key.write_text(sandbox.options.track_api_key)
    assert cli("worker", "--queue", "identify", "--until-empty").code == 0
    assert set(sandbox.people()) == {"a", "b", "c"}
