"""Who may call: tokens, their scopes and rates, and what becomes of a changed file while the server runs."""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path

import pytest

from cio_pipelines.gateway.access import (
    PREFIX,
    SCOPES,
    Access,
    AccessError,
    Scope,
    new_token,
    read_access,
    write_access,
)
from cio_pipelines.gateway.callers import LOOK_SECONDS, Callers

from .conftest import PERSON, UNKNOWN_ID, Served, eventually, replace, serving

REQUESTS: list[tuple[Scope, str, str, object]] = [
    ("identify", "POST", "/v1/identify", PERSON),
    ("track", "POST", "/v1/track", {"person_id": "u", "name": "seen"}),
    (
        "transactional",
        "POST",
        "/v1/transactional",
        {"message": {"kind": "in_app", "transactional_message_id": 1, "identifiers": {"id": "u"}}},
    ),
    ("broadcasts", "POST", "/v1/broadcasts", {"broadcast_id": 1, "audience": {"kind": "default"}}),
    ("suppress", "POST", "/v1/suppress", {"person_id": "u"}),
    ("delete", "DELETE", "/v1/people/u", None),
    ("status", "GET", f"/v1/messages/{UNKNOWN_ID}", None),
]


@pytest.mark.parametrize(("scope", "method", "path", "body"), REQUESTS)
def test_a_token_opens_what_its_scope_names_and_nothing_else(
    gateway: Served, scope: Scope, method: str, path: str, body: object
) -> None:
    fitting, other = (
        gateway.add("fitting", [scope]),
        gateway.add("other", [one for one in SCOPES if one != scope]),
    )
    taken = 404 if scope == "status" else 202

    def status(token: str) -> int:
        return gateway.call(method, path, token=token, json=body).status_code

    eventually(lambda: status(fitting) == taken)
    answer = gateway.call(method, path, token=other, json=body)
    assert (answer.status_code, answer.json()["error"]) == (403, "forbidden")
    assert scope in answer.json()["message"]
    assert f'scope="{scope}"' in answer.headers["www-authenticate"]


def test_every_scope_is_tried() -> None:
    assert {scope for scope, *_ in REQUESTS} == set(SCOPES)


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer wrong",
        "Basic dXNlcjpwYXNzd29yZA==",
        f"Bearer {PREFIX}{'A' * 43}",
        f"Bearer {PREFIX}{'ü' * 43}",
        "Bearer a.b.c",
        "TOKEN",
        "Bearer TOKEN x",
        "Bearer HASH",
        "Bearer SHORT",
    ],
)
def test_whoever_has_no_token_is_told_nothing(gateway: Served, authorization: str | None) -> None:
    headers: dict[bytes, bytes] = {}
    if authorization is not None:
        given = authorization.replace("TOKEN", gateway.token).replace("HASH", gateway.entries[0].sha256)
        headers[b"Authorization"] = given.replace("SHORT", gateway.token[:-1]).encode("latin-1")
    for path in ("/v1/identify", "/v1/none", f"/v1/messages/{UNKNOWN_ID}", "/v1/people/%0A"):
        answer = gateway.client.post(path, json=PERSON, headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (401, "unauthenticated")
        assert answer.headers["www-authenticate"] == "Bearer"


def test_the_scheme_is_read_in_any_case(gateway: Served) -> None:
    headers = {"Authorization": f"bearer {gateway.token}"}
    assert gateway.client.post("/v1/identify", json=PERSON, headers=headers).status_code == 202


def test_a_token_is_changed_for_another_without_a_restart(tmp_path: Path) -> None:
    with serving(tmp_path, look_seconds=LOOK_SECONDS) as gateway:
        old, new = gateway.add("shop"), gateway.add("shop")

        def statuses() -> tuple[int, int]:
            first, second = (gateway.post("/v1/identify", PERSON, token=token) for token in (old, new))
            return first.status_code, second.status_code

        eventually(lambda: statuses() == (202, 202))
        gateway.write([entry for entry in gateway.entries if entry.name != "shop"] + gateway.entries[2:])
        started = time.monotonic()
        eventually(lambda: statuses() == (401, 202))
        assert time.monotonic() - started < 5


def test_what_the_file_said_last_holds_while_it_cannot_be_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    valid = "cio_gateway_tokens_file_valid"
    with serving(tmp_path) as gateway:
        assert gateway.service.counted(valid) == 1
        good = gateway.tokens.read_bytes()
        for broken in (b"", b"{", b'{"tokens": [{"name": "ada@example.com"}]}', None):
            if broken is None:
                gateway.tokens.unlink()
            else:
                replace(gateway.tokens, broken)
            eventually(lambda: gateway.service.counted(valid) == 0)
            assert gateway.post("/v1/identify", PERSON).status_code == 202
            answer = gateway.client.get("/readyz")
            assert answer.status_code == 200
            replace(gateway.tokens, good)
            eventually(lambda: gateway.service.counted(valid) == 1)
    told = [record for record in caplog.records if record.message == "the file of tokens is not read"]
    assert len(told) == 4
    assert "ada@" not in repr([record.__dict__ for record in told])


def test_each_token_has_a_rate_of_its_own(gateway: Served) -> None:
    slow, other = gateway.add("slow", rate=2), gateway.add("slow", rate=2)
    eventually(lambda: gateway.post("/v1/identify", {}, token=other).status_code == 422)
    answers = [gateway.post("/v1/identify", PERSON, token=slow) for _ in range(20)]
    refused = [answer for answer in answers if answer.status_code == 429]
    # two at once, and two a second from then on
    assert [answer.status_code for answer in answers[:2]] == [202, 202]
    assert {answer.status_code for answer in answers} == {202, 429}
    assert refused[0].json()["error"] == "rate_limited"
    assert gateway.post("/v1/identify", PERSON, token=other).status_code == 202
    time.sleep(int(refused[0].headers["retry-after"]))
    assert gateway.post("/v1/identify", PERSON, token=slow).status_code == 202


def test_a_rate_below_one_a_second_says_how_long_to_wait(gateway: Served) -> None:
    token = gateway.add("seldom", rate=0.1)
    eventually(lambda: gateway.post("/v1/identify", PERSON, token=token).status_code == 202)
    answer = gateway.post("/v1/identify", PERSON, token=token)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "10")


def test_the_file_holds_no_token_and_is_the_owner_s_alone(tmp_path: Path) -> None:
    text, entry = new_token("shop", ["identify"])
    path = tmp_path / "new" / "tokens.json"
    write_access(path, Access(tokens=(entry,)))
    assert text.removeprefix(PREFIX) not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == ["tokens.json"]
    assert read_access(path).tokens == (entry,)
    assert len({new_token("shop", ["identify"])[0] for _ in range(100)}) == 100


@pytest.mark.parametrize(
    "members",
    [
        {"scopes": []},
        {"scopes": ["everything"]},
        {"rate": 0},
        {"rate": float("inf")},
        {"sha256": "x" * 64},
        {"name": "a\nb"},
        {"created_at": "2026-01-01T00:00:00"},
        {"more": 1},
    ],
)
def test_a_file_with_an_entry_that_is_not_valid_is_refused_as_a_whole(
    tmp_path: Path, members: dict[str, object]
) -> None:
    _, entry = new_token("shop", ["identify"])
    path = tmp_path / "tokens.json"
    path.write_text(json.dumps({"tokens": [{**entry.model_dump(mode="json"), **members}]}))
    with pytest.raises(AccessError, match=r"is not valid at ") as caught:
        Callers(path)
    assert entry.sha256 not in str(caught.value)
