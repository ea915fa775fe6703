"""A signing key is changed while events come in, without a restart."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import httpx

from .conftest import KEY, Command, event, eventually, landed, signed


def test_a_key_is_changed_without_a_restart_and_without_a_lost_event(
    command: Callable[..., Command], tmp_path: Path
) -> None:
    file = tmp_path / "keys"
    file.write_text(KEY)
    environment = {"CUSTOMERIO_WEBHOOK_SIGNING_KEY": "", "CUSTOMERIO_WEBHOOK_SIGNING_KEY_FILE": str(file)}
    serve = command("--port", "0", CIO_SECRET_LOOK_SECONDS="0.1", **environment)
    url = serve.first_line()["url"]
    with httpx.Client(trust_env=False) as client:

        def status(number: int, key: str) -> int:
            body = event(number)
            return client.post(url, content=body, headers=signed(body, key=key)).status_code

        numbers = iter(range(1_000))
        assert status(next(numbers), "new") == 401
        file.write_text(f"{KEY},new")
        eventually(lambda: status(next(numbers), "new") == 200)
        assert status(next(numbers), KEY) == 200
        file.write_text("")
        assert status(next(numbers), "new") == 200
        file.write_text("new")
        eventually(lambda: status(next(numbers), KEY) == 401)
        assert status(next(numbers), "new") == 200
        # platforms that tell by a signal
        file.write_text(f"new,{KEY}")
        serve.process.send_signal(signal.SIGHUP)
        eventually(lambda: status(next(numbers), KEY) == 200)
    code, _, logged = serve.end()
    assert code == 0
    assert "signing keys were read again" in logged
    assert KEY not in logged
    assert landed(serve.folder)
