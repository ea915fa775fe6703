"""What a sensor asks for, tick by tick, as listings and runs go on."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from cio_pipelines.landing.discovery import (
    FIRST_WAIT,
    LONGEST_WAIT,
    Cursor,
    RunState,
    Wanted,
    decide,
)


@dataclass
class Sensor:
    """The decision with a clock, and runs that end as they are told."""

    listed: dict[str, str] = field(default_factory=dict)
    runs: dict[str, RunState] = field(default_factory=dict)
    now: float = 1_000.0
    cursor: Cursor = field(default_factory=Cursor)

    def tick(self, seconds: float = 30.0) -> list[Wanted]:
        self.now += seconds
        wanted, cursor = decide(
            "loads",
            self.listed,
            self.cursor,
            lambda key: self.runs.get(key, "missing"),
            self.now,
            lambda parts: [[part] for part in parts],
        )
        self.cursor = Cursor.read(cursor.written())
        return wanted

    def start(self, wanted: list[Wanted]) -> None:
        for item in wanted:
            assert item.run_key not in self.runs, "Dagster would not start a second run of this key"
            self.runs[item.run_key] = "running"

    def end(self, state: RunState) -> None:
        for key, now in self.runs.items():
            if now == "running":
                self.runs[key] = state


def test_new_parts_are_asked_for_once() -> None:
    sensor = Sensor({"monday": "a", "tuesday": "b"})
    wanted = sensor.tick()
    assert [item.parts for item in wanted] == [("monday",), ("tuesday",)]

    sensor.start(wanted)
    assert sensor.tick() == []
    sensor.end("succeeded")
    assert sensor.tick() == []
    assert sensor.cursor.done == {"monday": "a", "tuesday": "b"}
    assert sensor.cursor.asked == {}


def test_what_arrives_during_a_run_makes_one_more() -> None:
    sensor = Sensor({"monday": "a"})
    sensor.start(sensor.tick())
    for number in range(50):
        sensor.listed["monday"] = f"b{number}"
        assert sensor.tick() == []
    sensor.end("succeeded")

    wanted = sensor.tick()
    sensor.start(wanted)
    sensor.end("succeeded")

    assert [item.parts for item in wanted] == [("monday",)]
    assert sensor.tick() == []


def test_failed_file_is_retried_with_a_fresh_run_key() -> None:
    sensor = Sensor({"monday": "a"})
    keys: list[str] = []
    waits: list[float] = []
    asked_at = sensor.now + 1
    for _ in range(8):
        wanted = sensor.tick(1)
        while not wanted:
            wanted = sensor.tick(1)
        waits.append(sensor.now - asked_at)
        asked_at = sensor.now
        keys += [item.run_key for item in wanted]
        sensor.start(wanted)
        sensor.end("failed")

    assert len(set(keys)) == 8
    assert waits == [0, 30, 60, 120, 240, 480, 900, 900]
    assert (waits[1], waits[-1]) == (FIRST_WAIT, LONGEST_WAIT)


def test_a_file_that_cannot_be_read_does_not_hold_up_new_ones() -> None:
    sensor = Sensor({"monday": "a"})
    sensor.start(sensor.tick())
    sensor.end("incomplete")
    assert sensor.tick(1) == []  # the same files: wait

    sensor.listed["monday"] = "b"
    wanted = sensor.tick(1)
    assert [item.parts for item in wanted] == [("monday",)]

    sensor.start(wanted)
    sensor.end("incomplete")
    assert sensor.tick(1) == []
    assert len(sensor.tick(LONGEST_WAIT)) == 1


def test_a_request_that_never_became_a_run_is_repeated_with_its_key() -> None:
    sensor = Sensor({"monday": "a"})
    first = sensor.tick()

    assert sensor.tick() == first


def test_a_part_that_is_not_listed_is_left_as_it_is() -> None:
    sensor = Sensor({"monday": "a"})
    sensor.start(sensor.tick())
    sensor.end("succeeded")
    sensor.tick()
    del sensor.listed["monday"]

    assert sensor.tick() == []
    assert sensor.cursor.done == {"monday": "a"}


@given(st.lists(st.tuples(st.sampled_from("mtw"), st.sampled_from("asfmi")), max_size=60))
def test_in_the_end_everything_was_loaded_by_a_run_that_saw_it(steps: list[tuple[str, str]]) -> None:
    """Objects arrive (a) and runs succeed, fail, go missing or stay incomplete, in any order."""
    sensor = Sensor()
    versions = {"m": 0, "t": 0, "w": 0}
    endings: dict[str, RunState] = {"s": "succeeded", "f": "failed", "i": "incomplete"}
    seen: dict[str, set[tuple[str, int]]] = {}

    def tick() -> None:
        wanted = sensor.tick(LONGEST_WAIT)
        for item in wanted:
            seen[item.run_key] = {(part, versions[part]) for part in item.parts}
        sensor.start([item for item in wanted if item.run_key not in sensor.runs])

    for part, step in steps:
        if step == "a":
            versions[part] += 1
            sensor.listed[part] = f"{part}{versions[part]}"
        elif step in endings:
            sensor.end(endings[step])
        tick()
    for _ in range(4):
        sensor.end("succeeded")
        tick()

    loaded = {pair for key, pairs in seen.items() if sensor.runs[key] == "succeeded" for pair in pairs}
    assert {(part, version) for part, version in versions.items() if version} <= loaded
    assert sensor.tick(LONGEST_WAIT) == []
