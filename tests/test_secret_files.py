"""Secrets that stand in files, and what happens when somebody changes them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cio_pipelines.secret_files import secret_values, watched
from cio_pipelines.settings import SettingsError, load_settings


def test_a_file_stands_for_its_variable(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("first,second\n")
    settings = load_settings({"CUSTOMERIO_WEBHOOK_SIGNING_KEY_FILE": str(tmp_path / "key")})
    assert settings.webhook_signing_keys() == ("first", "second")


@pytest.mark.parametrize(
    ("environment", "content", "told"),
    [
        ({"QUEUE_URL_FILE": "missing"}, None, "QUEUE_URL_FILE names missing, which cannot be read"),
        ({"QUEUE_URL_FILE": "{file}"}, b" \n", "which is empty"),
        ({"QUEUE_URL_FILE": "{file}"}, b"\xff\xfe", "no text in UTF-8"),
        ({"QUEUE_URL_FILE": "{file}", "QUEUE_URL": "sqlite:///q"}, b"redis://q", "are both set"),
        ({"QUEUE_URLFILE": "{file}"}, b"redis://q", "Did you mean QUEUE_URL_FILE?"),
        ({"CIO_ENV_FILE": "{file}"}, b"prod", "CIO_ENV_FILE is not a setting"),
        ({"QUEUE_URL_FILE": "{file}", "CUSTOMERIO_REGION": "xx"}, b"redis://:hunter2@q", "CUSTOMERIO_REGION"),
    ],
)
def test_a_file_that_cannot_stand_for_it_is_told_and_not_quoted(
    environment: dict[str, str], content: bytes | None, told: str, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    given = {name: value.format(file=file) for name, value in environment.items()}
    with pytest.raises(SettingsError) as refused:
        load_settings(given)
    assert told in str(refused.value)
    assert "hunter2" not in str(refused.value)


class Changes:
    """Counts them, and waits for the next."""

    def __init__(self) -> None:
        self.count = 0
        self._seen = threading.Semaphore(0)

    def __call__(self) -> None:
        self.count += 1
        self._seen.release()

    def wait(self) -> bool:
        return self._seen.acquire(timeout=10)


@contextmanager
def watching(environment: dict[str, str]) -> Iterator[Changes]:
    changes = Changes()
    with watched(environment, 0.02, changes):
        yield changes


def test_a_changed_content_is_told_once_though_times_and_size_are_the_same(tmp_path: Path) -> None:
    import os

    file = tmp_path / "key"
    file.write_text("aaaa")
    stat = file.stat()
    with watching({"QUEUE_URL_FILE": str(file)}) as changes:
        file.write_text("bbbb")
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert changes.wait()
        threading.Event().wait(0.2)
    assert changes.count == 1


def test_a_file_that_is_away_for_a_while_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "key"
    file.write_text("aaaa")
    environment = {"QUEUE_URL_FILE": str(file)}
    with watching(environment) as changes:
        file.rename(tmp_path / "away")
        threading.Event().wait(0.2)
        (tmp_path / "away").rename(file)
        threading.Event().wait(0.2)
    assert changes.count == 0
    assert [record.message for record in caplog.records] == ["a secret's file cannot be read"]
    assert secret_values(environment) == {"QUEUE_URL": "aaaa"}
