"""What is new is found whatever its name and however much there is, with a bounded look at a time."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cio_pipelines.landing import LandedObject, LandingZone
from cio_pipelines.landing import looks as looks_module
from cio_pipelines.landing.discovery import Cursor, decide
from cio_pipelines.landing.looks import Look, fingerprint
from cio_pipelines.landing.sweeping import look, look_at_folder

from .conftest import BUCKET


class CountingZone(LandingZone):
    """Counts the objects that are taken of listings."""

    listed = 0

    def objects(self, prefix: str, *, after: str = "", limit: int | None = None) -> Iterator[LandedObject]:
        for item in super().objects(prefix, after=after, limit=limit):
            self.listed += 1
            yield item


@dataclass
class Sensor:
    """Looks at folders `<part>/<kind>`, and has a run load all of a part that it wants."""

    zone: LandingZone
    recent: int = 2
    cursor: Cursor = field(default_factory=Cursor)
    loaded: set[str] = field(default_factory=set)
    runs: int = 0
    now: float = 0.0

    def parts(self) -> dict[str, list[str]]:
        return {
            part: [f"{part}/{kind}" for kind in self.zone.folders(part)] for part in self.zone.folders("")
        }

    def tick(self, requests: int, *, busy: bool = False) -> int:
        """One look and what it asks for; returns how many runs that is. A busy one waits for a run."""
        self.now += 10_000
        listed, cursor = look(
            self.zone,
            self.parts(),
            Cursor.read(self.cursor.written()),
            recent=self.recent,
            counts=lambda path: not path.endswith(".txt"),
            requests=requests,
        )
        ended = {entry.run_key for entry in cursor.asked.values()}
        wanted, self.cursor = decide(
            "loads",
            listed,
            cursor,
            lambda key: "running" if busy else "succeeded" if key in ended else "missing",
            self.now,
            lambda parts: [[part] for part in parts],
        )
        for item in wanted:
            for folder in self.parts()[item.parts[0]]:
                self.loaded |= {found.path for found in self.zone.objects(folder)}
        self.runs += len(wanted)
        return len(wanted)

    def everything(self) -> set[str]:
        return {
            item.path for folders in self.parts().values() for f in folders for item in self.zone.objects(f)
        }


@pytest.fixture(autouse=True)
def small_pages(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of three, where a test does not need true ones."""
    if "gcs" not in request.fixturenames:
        monkeypatch.setattr(looks_module, "PAGE", 3)
        monkeypatch.setattr("cio_pipelines.landing.sweeping.PAGE", 3)


def test_a_fingerprint_depends_on_what_was_seen_only() -> None:
    objects = [LandedObject(f"a/{number}", number, number) for number in range(20)]
    shuffled = random.Random(1).sample(objects, len(objects))

    def seen(*parts: list[LandedObject]) -> str:
        whole = Look()
        for part in parts:
            whole = whole.with_objects(part).up_to(part)
        return fingerprint([whole])

    assert seen(objects) == seen(shuffled) == seen(objects[:7], objects[7:])
    others = [
        objects[1:],
        [*objects[1:], LandedObject("a/0", 1, 0)],
        [*objects[1:], LandedObject("a/0", 0, 9)],
    ]
    assert len({seen(objects), *map(seen, others)}) == 4


def test_what_is_new_at_the_end_of_a_large_part_is_seen_at_once(tmp_path: Path) -> None:
    zone = CountingZone(f"file://{tmp_path}")
    for number in range(60):
        zone.write(f"2026-01-05/email/{number:04}", b"x")
    sensor = Sensor(zone)
    while sensor.loaded != sensor.everything() or sensor.tick(4):
        sensor.tick(4)

    zone.write("2026-01-05/email/9000", b"x")

    assert sensor.tick(4) == 1
    assert "2026-01-05/email/9000" in sensor.loaded


def test_a_look_costs_no_more_than_it_may(tmp_path: Path) -> None:
    zone = CountingZone(f"file://{tmp_path}")
    for day in range(1, 6):
        for number in range(40):
            zone.write(f"2026-01-0{day}/email/{number:04}", b"x")
    sensor = Sensor(zone)
    for _ in range(60):
        before = zone.listed
        listed, sensor.cursor = look(
            zone, sensor.parts(), sensor.cursor, recent=2, counts=lambda _: True, requests=5
        )
        assert zone.listed - before <= 5 * 3
    assert len(listed) == 5
    assert len(sensor.cursor.written()) < 1_000


def test_a_difference_that_cannot_be_asked_for_yet_is_remembered(tmp_path: Path) -> None:
    sensor = Sensor(LandingZone(f"file://{tmp_path}"), recent=1)
    for day in range(1, 6):
        sensor.zone.write(f"2026-01-0{day}/email/0001", b"x")
    while sensor.tick(20):
        pass
    sensor.zone.write("2026-01-02/email/0000", b"late")
    sensor.zone.write("2026-01-05/email/0002", b"new")
    assert sensor.tick(2) == 1  # the new one
    sensor.loaded.clear()

    for _ in range(30):
        assert sensor.tick(2, busy=True) == 0
    written = sensor.cursor.written()

    assert '"found":{"2026-01-02":' in written
    assert sensor.tick(1) == 1
    assert "2026-01-02/email/0000" in sensor.loaded


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(st.integers(1, 5), st.sampled_from("ab"), st.integers(0, 99), st.integers(0, 3)),
        max_size=40,
    ),
    requests=st.integers(2, 6),
    busy=st.lists(st.booleans(), max_size=40),
)
def test_nothing_is_missed_for_ever(
    steps: list[tuple[int, str, int, int]],
    requests: int,
    busy: list[bool],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Objects with any name come to any part at any time, while runs are under way or not."""
    sensor = Sensor(LandingZone(f"file://{tmp_path_factory.mktemp('zone')}"))
    written: set[str] = set()
    for number, (day, kind, name, ticks) in enumerate(steps):
        path = f"2026-01-0{day}/{kind}/{name:02}"
        if path not in written:
            written.add(path)
            sensor.zone.write(path, b"x")
        for _ in range(ticks):
            sensor.tick(requests, busy=number < len(busy) and busy[number])
    for _ in range(120):
        sensor.tick(requests)

    assert sensor.loaded >= written == sensor.everything()
    runs = sensor.runs
    for _ in range(40):
        sensor.tick(requests)
    assert sensor.runs == runs


@pytest.mark.slow
def test_thousands_of_objects_in_a_bucket_are_looked_at_a_few_requests_at_a_time(
    gcs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs)
    zone = CountingZone(f"gs://{BUCKET}/{uuid4()}")
    for number in range(3_300):
        zone.write(f"2026-01-05/email/{number:06}", b"x")
    sensor = Sensor(zone)
    ticks = 0
    while sensor.loaded != sensor.everything() or sensor.tick(4):
        before = zone.listed
        listed, sensor.cursor = look(
            zone, sensor.parts(), sensor.cursor, recent=2, counts=lambda _: True, requests=4
        )
        assert zone.listed - before <= 4_000
        assert listed
        ticks += 1
        sensor.tick(4)
    assert ticks < 8

    zone.write("2026-01-05/email/000000-late", b"x")
    while "2026-01-05/email/000000-late" not in sensor.loaded:
        sensor.tick(4)
        ticks += 1
    assert ticks < 16


def test_a_folder_of_several_parts_is_seen_in_pages(tmp_path: Path) -> None:
    zone = LandingZone(f"file://{tmp_path}")
    for number in range(7):
        zone.write(f"{'ab'[number % 2]}{number}", b"x")
    zone.write("foreign", b"x")

    def part_of(path: str) -> str | None:
        return path[0] if path[0] in "ab" else None

    def seen(cursor: Cursor, requests: int) -> tuple[dict[str, str], Cursor]:
        return look_at_folder(zone, "", Cursor.read(cursor.written()), part_of, requests=requests)

    at_once, _ = seen(Cursor(), 10)
    assert at_once.keys() == {"a", "b"}
    first, cursor = seen(Cursor(), 1)
    second, cursor = seen(cursor, 1)
    third, cursor = seen(cursor, 1)
    assert (first, second, third) == ({}, {}, at_once)

    zone.write("a0-late", b"x")
    later, _ = seen(cursor, 10)
    assert later["a"] != at_once["a"]
    assert later["b"] == at_once["b"]
