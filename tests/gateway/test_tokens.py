"""`cio tokens`: made, shown once, listed without what is secret, revoked."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cio_pipelines.cli.main import app
from cio_pipelines.gateway.access import Access, locked, new_token, read_access, write_access
from cio_pipelines.settings import SettingsError


class Place:
    """Where tokens are, and the command on them in this process."""

    def __init__(self, folder: Path) -> None:
        self.tokens = folder / "tokens.json"

    def cio(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, ["tokens", *arguments], env={"CIO_GATEWAY_TOKENS": str(self.tokens)})


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_tokens_are_made_listed_and_revoked(place: Place) -> None:
    assert "No tokens." in place.cio("list").stdout
    made = place.cio("create", "shop", "--scope", "track", "--scope", "identify", "--rate", "5")
    [token] = made.stdout.splitlines()
    assert token not in made.stderr
    other = place.cio("create", "shop", "--scope", "all").stdout.strip()
    assert token != other
    allowed = place.cio("allow", "Worker@project.iam.gserviceaccount.com", "--scope", "identify")
    assert allowed.exit_code == 0
    listed = place.cio("list").stdout
    rows = [line.split()[0] for line in listed.splitlines()[1:]]
    assert rows[2] == "google"
    assert "identify, track" in listed
    assert "5/s" in listed
    assert "worker@project.iam.gserviceaccount.com" in listed
    assert not any(text in listed + place.tokens.read_text() for text in (token, other))
    # one by its id, one by its account, the rest by their name
    assert place.cio("revoke", rows[0]).stdout == "1 revoked.\n"
    assert place.cio("revoke", "worker@project.iam.gserviceaccount.com").stdout == "1 revoked.\n"
    assert json.loads(place.tokens.read_text())["google"] == []
    assert place.cio("revoke", "shop").stdout == "1 revoked.\n"
    nobody = place.cio("revoke", "shop")
    assert isinstance(nobody.exception, SettingsError)
    assert "There is no 'shop'" in str(nobody.exception)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["create", "Shop!", "--scope", "all"], "The name is not valid"),
        (["create", "shop", "--scope", "none"], "There is no scope 'none'"),
        (["create", "shop", "--scope", "all", "--rate", "0"], "The rate is not valid"),
        (["allow", "nobody", "--scope", "all"], "The email is not valid"),
    ],
)
def test_what_is_no_token_is_refused_with_the_reason(place: Place, arguments: list[str], told: str) -> None:
    made = place.cio(*arguments)
    assert made.stdout == ""
    assert isinstance(made.exception, SettingsError)
    assert told in str(made.exception)
    assert not place.tokens.exists()


def test_a_file_that_is_not_valid_is_left_as_it_is(place: Place) -> None:
    place.tokens.write_text('{"tokens": "ada@example.com"}')
    made = place.cio("create", "shop", "--scope", "all")
    assert isinstance(made.exception, SettingsError)
    assert "is not valid at tokens" in str(made.exception)
    assert "ada" not in str(made.exception)
    assert place.tokens.read_text() == '{"tokens": "ada@example.com"}'


def test_changes_at_the_same_time_do_not_undo_one_another(place: Place) -> None:
    write_access(place.tokens, Access())

    def add(number: int) -> None:
        _, entry = new_token(f"client-{number}", ["identify"])
        with locked(place.tokens):
            before = read_access(place.tokens)
            write_access(place.tokens, Access(tokens=(*before.tokens, entry)))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_access(place.tokens).tokens) == 16
