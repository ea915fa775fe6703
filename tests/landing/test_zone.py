"""Landing zones: objects are whole, durable and never changed."""

from __future__ import annotations

import threading
from pathlib import Path
from uuid import uuid4

import pytest
from google.api_core.exceptions import Forbidden

from cio_pipelines.landing import (
    LandedObject,
    LandingUnavailable,
    LandingZone,
    ObjectChanged,
    ObjectExists,
)
from cio_pipelines.landing.bucket import BucketStore

from .conftest import BUCKET


@pytest.fixture
def folder(tmp_path: Path) -> LandingZone:
    """A zone on disk."""
    return LandingZone(f"file://{tmp_path / 'zone'}")


def test_an_object_is_read_as_it_was_written(zone: LandingZone) -> None:
    zone.write("a/b/one.bin", b"\x00\xff\n")

    assert zone.read("a/b/one.bin") == b"\x00\xff\n"
    assert list(zone.objects("a/b")) == [LandedObject("a/b/one.bin", 3)]
    assert zone.folders("a") == ["b"]


def test_an_object_is_never_changed(zone: LandingZone) -> None:
    zone.write("a/one", b"first")

    with pytest.raises(ObjectExists, match="a/one"):
        zone.write("a/one", b"second")

    assert zone.read("a/one") == b"first"
    assert [item.path for item in zone.objects("a")] == ["a/one"]


def test_of_many_writers_of_one_name_one_wins(zone: LandingZone) -> None:
    refused: list[int] = []
    start = threading.Barrier(8)

    def write(number: int) -> None:
        start.wait()
        try:
            zone.write("a/one", bytes([number]) * 1_000)
        except LandingUnavailable:
            raise
        except ObjectExists:
            refused.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    (winner,) = set(range(8)) - set(refused)
    assert zone.read("a/one") == bytes([winner]) * 1_000


def test_what_is_still_being_written_is_not_listed(folder: LandingZone, tmp_path: Path) -> None:
    folder.write("a/one", b"x")
    # what a killed writer leaves
    (tmp_path / "zone" / "a" / ".partial-two").write_bytes(b"hal")

    assert [item.path for item in folder.objects("a")] == ["a/one"]


def test_a_folder_that_is_not_there_is_empty(zone: LandingZone) -> None:
    assert zone.folders("nowhere") == []
    assert list(zone.objects("nowhere")) == []


def test_a_zone_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    (tmp_path / "zone").write_text("a file in the folder's place")
    zone = LandingZone(f"file://{tmp_path / 'zone'}")

    with pytest.raises(LandingUnavailable, match=r"Not a directory.*LANDING_URL"):
        zone.write("a/one", b"x")
    with pytest.raises(LandingUnavailable, match="LANDING_URL"):
        zone.check_writable()


def test_a_zone_that_can_be_written_is_left_as_it_was(folder: LandingZone, tmp_path: Path) -> None:
    folder.check_writable()

    assert list((tmp_path / "zone").iterdir()) == []


@pytest.mark.parametrize("url", ["s3://bucket/x", "/folder", "file:/x", ""])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(LandingUnavailable, match="file:///absolute/folder or gs://bucket"):
        LandingZone(url)


def test_a_bucket_that_does_not_exist_is_not_an_empty_one(gcs: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs)
    zone = LandingZone("gs://no-such-bucket/prefix")

    for use in (zone.check_writable, lambda: zone.write("a", b"x"), lambda: zone.folders("a")):
        with pytest.raises(LandingUnavailable, match=r"gs://no-such-bucket/prefix.*LANDING_URL"):
            use()


def test_objects_are_listed_by_name_from_any_name_on(zone: LandingZone) -> None:
    names = [f"{number:02}" for number in range(12)]
    for name in reversed(names):
        zone.write(f"a/{name}", b"x")
    zone.write("a/05-folder/deeper", b"x")
    zone.write("a.b", b"x")

    def listed(after: str, limit: int | None) -> list[str]:
        return [item.path.removeprefix("a/") for item in zone.objects("a", after=after, limit=limit)]

    assert listed("", None) == names
    assert listed("", 5) == names[:5]
    assert listed("03", 4) == names[4:8]
    assert listed("03x", 2) == names[4:6]
    assert listed("11", None) == []


def test_an_object_of_another_generation_is_not_read(gcs: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs)
    zone = LandingZone(f"gs://{BUCKET}/{uuid4()}")
    zone.write("a/one", b"first")
    (item,) = zone.objects("a")
    assert item.generation > 0
    assert zone.read("a/one", item.generation) == b"first"

    for read in (
        lambda: zone.read("a/one", item.generation + 1),
        lambda: list(zone.chunks("a/one", item.generation + 1)),
        lambda: zone.read("a/two"),
    ):
        with pytest.raises(ObjectChanged, match=r"a/\w+ of the landing zone is not there, or is another one"):
            read()


def test_a_large_object_is_read_piece_by_piece(zone: LandingZone) -> None:
    data = bytes(range(256)) * 4_096
    zone.write("large", data)

    pieces = list(zone.chunks("large", size=300_000))

    assert b"".join(pieces) == data
    assert max(map(len, pieces)) == 300_000


def test_a_bucket_is_tried_with_the_right_to_create_alone(gcs: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs)
    zone = LandingZone(f"gs://{BUCKET}/{uuid4()}")

    zone.check_writable()
    zone.check_writable()

    assert zone.read(".writable") == b""
    assert list(zone.objects("")) == []


def test_what_google_says_is_told_without_its_accounts() -> None:
    told = BucketStore("b", "").reason(
        Forbidden("someone@example.com does not have storage.objects.create access to the object.")
    )

    assert told == "Cloud Storage answered 403 Forbidden, the right storage.objects.create is missing"
    assert BucketStore("b", "").reason(KeyError("a")) is None
