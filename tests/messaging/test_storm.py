"""Every message ends delivered or as a dead letter, whatever is killed meanwhile."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from cio_pipelines.sandbox import SandboxOptions, SandboxServer
from tests.redis import RedisServer

from .storm import check, replay_all, run_storm

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "queue_url", [pytest.param("sqlite", marks=pytest.mark.slow), "redis"], indirect=True
)
async def test_nothing_is_lost_in_a_small_storm(
    queue_url: str, sandbox: SandboxServer, tmp_path: Path
) -> None:
    sent, letters = await run_storm(
        queue_url, sandbox, tmp_path, messages=4_000, mails=40, kills=2, seconds=6
    )
    assert {"attributes.n"} <= {letter.failures[-1].field for letter in letters}
    assert await replay_all(queue_url, sandbox, tmp_path) == 0
    check(sandbox, sent, letters)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_nothing_is_lost_in_a_great_storm(tmp_path: Path) -> None:
    """100,000 messages, ten workers killed, Redis killed and started again with its append-only file."""
    place = tmp_path / "redis"
    place.mkdir()
    with RedisServer(place) as redis, SandboxServer(SandboxOptions()) as sandbox:
        sent, letters = await run_storm(
            redis.url,
            sandbox,
            tmp_path,
            messages=100_000,
            mails=2_000,
            kills=10,
            seconds=40,
            halfway=redis.restart,
        )
        why = Counter((letter.queue, letter.failures[-1].reason) for letter in letters)
        assert await replay_all(redis.url, sandbox, tmp_path) == 0
        twice = check(sandbox, sent, letters)
    print(f"dead letters {dict(why)}, events that arrived twice {twice}")
    # what a killed worker had in flight: ten bodies of a queue at the most
    assert twice <= 10 * 10 * 2_000
