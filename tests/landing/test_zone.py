"""Landing zones: objects are whole, durable and never changed."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from cio_pipelines.landing import LandedObject, LandingUnavailable, LandingZone, ObjectExists


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
