"""The asset that counts dead letters, and the checks that call for somebody."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import dagster as dg
import pytest

from cio_pipelines.definitions import defs
from cio_pipelines.messaging.queue import open_queue
from cio_pipelines.messaging.queue.protocol import Buried, Failure, NewMessage


@pytest.fixture
def queue_of_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """One dead letter, refused for a field, and one message that waits."""
    url = f"sqlite://{tmp_path / 'queue.sqlite'}"
    monkeypatch.setenv("QUEUE_URL", url)
    monkeypatch.setenv("WAREHOUSE_URL", f"duckdb:///{tmp_path / 'warehouse.duckdb'}")

    async def fill() -> None:
        async with open_queue(url) as queue:
            await queue.put([NewMessage("identify", "person:ada", b'{"action":"identify"}')])
            [taken] = await queue.take("identify", 1, 60)
            failure = Failure(time.time(), "invalid", "attributes.plan", "too long", 207)
            await queue.settle([Buried(taken, failure)])
            await queue.put([NewMessage("track", "person:bob", b'{"action":"event"}')])

    asyncio.run(fill())
    return url


def materialize() -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        return defs().resolve_job_def("count_dead_letters").execute_in_process(instance=instance)


@pytest.mark.usefixtures("queue_of_two")
def test_letters_are_counted_by_what_is_wrong_and_nothing_personal_is_told() -> None:
    result = materialize()

    [event] = result.asset_materializations_for_node("customerio__dead_letters")
    assert event.metadata["dead_letters"].value == 1
    assert event.metadata["waiting/track"].value == 1
    table = event.metadata["by_reason"]
    assert isinstance(table, dg.TableMetadataValue)
    [record] = table.records
    told = [record.data[name] for name in ("kind", "field", "letters")]
    assert told == ["identify", "attributes.plan", 1]
    assert "person:ada" not in repr(event)
    assert {check.check_name: check.passed for check in result.get_asset_check_evaluations()} == {
        "few_dead_letters": True,
        "young_dead_letters": True,
        "moving_queues": True,
    }


@pytest.mark.usefixtures("queue_of_two")
def test_each_check_calls_when_its_limit_is_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIO_MAX_DEAD_LETTERS", "0")
    monkeypatch.setenv("CIO_DEAD_LETTER_HOURS", "0.000001")
    monkeypatch.setenv("CIO_QUEUE_STALL_MINUTES", "0.000001")
    time.sleep(0.01)

    checks = {check.check_name: check for check in materialize().get_asset_check_evaluations()}

    assert not any(check.passed for check in checks.values())
    assert checks["young_dead_letters"].severity == dg.AssetCheckSeverity.WARN
    assert "cio worker" in str(checks["moving_queues"].description)
    assert "cio dead-letters list" in str(checks["few_dead_letters"].description)
