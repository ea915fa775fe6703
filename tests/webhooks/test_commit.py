"""When an event is answered: once it is durable, and in time whatever the landing zone does."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from cio_pipelines.landing import LandingZone
from cio_pipelines.webhooks.commit import CommitLimits
from cio_pipelines.webhooks.service import ServiceLimits

from .conftest import event, eventually, landed, receiving, signed


class StuckZone(LandingZone):
    """A landing zone whose writes of one object type do not come back until it is let go."""

    def __init__(self, folder: Path, object_type: str = "email") -> None:
        super().__init__(f"file://{folder}")
        self._stuck = f"object_type={object_type}/"
        self._release = threading.Event()
        self.tried = 0

    def write(self, path: str, data: bytes) -> None:
        if self._stuck in path:
            self.tried += 1
            assert self._release.wait(30)
        super().write(path, data)

    def let_go(self) -> None:
        self._release.set()


@pytest.fixture
def stuck(tmp_path: Path) -> Iterator[StuckZone]:
    zone = StuckZone(tmp_path)
    yield zone
    zone.let_go()


@pytest.fixture
def senders() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(40) as pool:
        yield pool


def limited(**limits: float) -> ServiceLimits:
    return ServiceLimits(commit=CommitLimits(**limits))  # pyright: ignore[reportArgumentType]


def reasons(answers: list[Future[httpx.Response]]) -> list[str]:
    return [answer.result().json().get("error", "accepted") for answer in answers]


def objects(folder: Path) -> Counter[str]:
    """How many objects there are of each type."""
    return Counter(file.parts[-3].removeprefix("object_type=") for file in folder.rglob("*.ndjson.gz"))


class RepeatingZone(LandingZone):
    """Writes twice, as a client does that lost the answer to its first try."""

    def write(self, path: str, data: bytes) -> None:
        super().write(path, data)
        super().write(path, data)


def test_an_event_is_durable_though_the_answer_to_its_write_was_lost(tmp_path: Path) -> None:
    zone = RepeatingZone(f"file://{tmp_path}")

    with receiving(tmp_path, zone=zone) as service:
        assert service.post(event(1)).status_code == 200

    assert [body for _, body in landed(tmp_path)] == [event(1)]


def test_events_that_come_together_are_written_together(tmp_path: Path, senders: ThreadPoolExecutor) -> None:
    bodies = [event(number, ("email", "push")[number % 2]) for number in range(400)]
    with receiving(tmp_path) as service:
        answers = list(senders.map(service.post, bodies))
        written = service.counted("cio_webhook_commit_events_count")
        assert service.counted("cio_webhook_commit_events_sum") == 400

    assert {answer.status_code for answer in answers} == {200}
    assert Counter(body for _, body in landed(tmp_path)) == Counter(bodies)
    assert objects(tmp_path).total() == written < 200


def test_an_event_is_not_answered_before_it_is_written(
    stuck: StuckZone, tmp_path: Path, senders: ThreadPoolExecutor
) -> None:
    with receiving(tmp_path, zone=stuck) as service:
        answer = senders.submit(service.post, event())
        eventually(lambda: stuck.tried == 1)
        assert not answer.done()
        assert service.counted("cio_webhook_waiting_events") == 1
        assert landed(tmp_path) == []
        stuck.let_go()
        assert answer.result().status_code == 200
        assert service.counted("cio_webhook_waiting_events") == 0
    assert landed(tmp_path) == [("email", event())]


def test_other_types_do_not_wait_for_one_that_hangs(
    stuck: StuckZone, tmp_path: Path, senders: ThreadPoolExecutor
) -> None:
    with receiving(tmp_path, zone=stuck) as service:
        late = senders.submit(service.post, event(1))
        eventually(lambda: stuck.tried == 1)
        assert service.post(event(2, "push")).status_code == 200
        assert not late.done()
        stuck.let_go()


def test_the_answer_comes_in_time_when_the_zone_hangs(
    stuck: StuckZone, tmp_path: Path, senders: ThreadPoolExecutor
) -> None:
    with receiving(tmp_path, zone=stuck, limits=limited(answer_seconds=0.3)) as service:
        started = time.monotonic()
        for rounds in range(1, 4):
            answers = [senders.submit(service.post, event(10 * rounds + number)) for number in range(3)]
            assert reasons(answers) == ["not_stored_in_time"] * 3
            assert {answer.result().status_code for answer in answers} == {503}
        assert time.monotonic() - started < 3
        assert landed(tmp_path) == []
        # what was given up still counts as waiting: it is still in memory
        assert service.counted("cio_webhook_waiting_events") == 9
        stuck.let_go()
        eventually(lambda: service.counted("cio_webhook_waiting_events") == 0)
        assert service.post(event(99)).status_code == 200
    assert {body for _, body in landed(tmp_path)} >= {event(99), event(10)}


def test_the_default_leaves_customer_io_time_to_hear_the_answer() -> None:
    assert CommitLimits().answer_seconds <= 3.5 < 4


def test_what_waits_is_bounded_in_events(
    stuck: StuckZone, tmp_path: Path, senders: ThreadPoolExecutor
) -> None:
    with receiving(tmp_path, zone=stuck, limits=limited(waiting_events=3)) as service:
        waiting = [senders.submit(service.post, event(number)) for number in range(3)]
        eventually(lambda: service.counted("cio_webhook_waiting_events") == 3)
        started = time.monotonic()
        refused = service.post(event(3))
        assert time.monotonic() - started < 1
        assert (refused.status_code, refused.json()["error"]) == (503, "busy")
        assert refused.headers["retry-after"] == "1"
        stuck.let_go()
        assert reasons(waiting) == ["accepted"] * 3
        assert service.post(event(3)).status_code == 200
    assert len(landed(tmp_path)) == 4


def test_what_waits_is_bounded_in_bytes(
    stuck: StuckZone, tmp_path: Path, senders: ThreadPoolExecutor
) -> None:
    large = event(1, text="x" * 600)
    with receiving(tmp_path, zone=stuck, limits=limited(waiting_bytes=1_000)) as service:
        waiting = senders.submit(service.post, large)
        eventually(lambda: service.counted("cio_webhook_waiting_bytes") == len(large))
        assert service.post(large).json()["error"] == "busy"
        assert service.post(event(2, "push")).status_code == 200
        stuck.let_go()
        assert waiting.result().status_code == 200


def test_bodies_that_arrive_count_too(tmp_path: Path) -> None:
    with receiving(tmp_path, limits=limited(waiting_bytes=1_000)) as service:
        answer = service.post(event(text="x" * 2_000))
        assert (answer.status_code, answer.json()["error"]) == (503, "busy")
        assert service.post(event()).status_code == 200


def test_a_failing_zone_is_answered_503_until_it_works_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "landing"
    with receiving(folder) as service:
        assert service.post(event(1)).status_code == 200
        folder.rename(tmp_path / "away")
        folder.write_text("a file where the folder was")
        for _ in range(3):
            answer = service.post(event(2))
            assert (answer.status_code, answer.json()["error"]) == (503, "not_stored")
            assert answer.headers["retry-after"] == "5"
        assert service.counted("cio_webhook_commit_failures_total") == 3
        folder.unlink()
        (tmp_path / "away").rename(folder)
        assert service.post(event(2)).status_code == 200
    assert Counter(landed(folder)) == {("email", event(1)): 1, ("email", event(2)): 1}
    told = [record.getMessage() for record in caplog.records]
    assert told == ["events cannot be stored, and are answered 503", "events are stored again"]
    assert "Check LANDING_URL" in caplog.records[0].__dict__["fields"]["reason"]


def test_when_one_type_fails_the_others_are_answered_as_stored(
    tmp_path: Path, senders: ThreadPoolExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "webhooks").mkdir()
    (tmp_path / "webhooks" / "object_type=push").write_text("a file where a folder should be")
    bodies = [event(number, ("email", "push")[number % 2]) for number in range(20)]
    with receiving(tmp_path) as service:
        answers = list(senders.map(service.post, bodies))

    assert [answer.status_code for answer in answers] == [200, 503] * 10
    assert Counter(landed(tmp_path)) == Counter(("email", body) for body in bodies[::2])
    assert [record.__dict__["fields"]["object_type"] for record in caplog.records] == ["push"]


def test_the_day_of_receipt_is_in_utc_and_changes_at_midnight(tmp_path: Path) -> None:
    now = datetime(2026, 11, 25, 23, 59, 59, 999_000, tzinfo=UTC).timestamp()
    moments = iter([now, now, now + 0.002, now + 0.002])
    with receiving(tmp_path, clock=lambda: next(moments)) as service:
        for number in range(2):
            assert service.post(event(number), signed(event(number), at=now)).status_code == 200

    days = sorted(file.parts[-2] for file in tmp_path.rglob("*.ndjson.gz"))
    assert days == ["received=2026-11-25", "received=2026-11-26"]
    assert len(landed(tmp_path)) == 2


def test_a_large_group_does_not_wait_for_its_window(tmp_path: Path, senders: ThreadPoolExecutor) -> None:
    bodies = [event(number, text="x" * 3_000_000) for number in range(3)]
    with receiving(tmp_path, limits=limited(window_seconds=60)) as service:
        answers: list[Future[httpx.Response]] = [senders.submit(service.post, body) for body in bodies]
        assert reasons(answers) == ["accepted"] * 3


def test_what_waits_is_stored_and_answered_when_the_service_ends(
    stuck: StuckZone, tmp_path: Path, senders: ThreadPoolExecutor
) -> None:
    with receiving(tmp_path, zone=stuck) as service:
        answers = [senders.submit(service.post, event(number)) for number in range(5)]
        eventually(lambda: service.counted("cio_webhook_waiting_events") == 5)
        threading.Timer(0.3, stuck.let_go).start()
    assert reasons(answers) == ["accepted"] * 5
    assert len(landed(tmp_path)) == 5
