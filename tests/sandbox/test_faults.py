"""The fault switches: each goes wrong as told, as often as told, and nothing else does."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from cio_pipelines.sandbox import SandboxError, SandboxOptions, SandboxServer
from cio_pipelines.sandbox.faults import FaultPlan, parse_flag

from .conftest import identify, send, variant


def statuses(track: httpx.Client, times: int) -> list[int]:
    return [send(track, identify(f"p{number}")).status_code for number in range(times)]


def test_after_every_and_count_choose_the_requests(track: httpx.Client, server: SandboxServer) -> None:
    server.set_faults([{"kind": "status", "status": 503, "after": 2, "every": 3, "count": 2}])
    assert statuses(track, 12) == [200, 200, 200, 200, 503, 200, 200, 503, 200, 200, 200, 200]
    (fault,) = server.stats()["faults"]
    assert (fault["seen"], fault["hits"]) == (12, 2)


def test_path_limits_a_fault(track: httpx.Client, server: SandboxServer) -> None:
    server.set_faults([{"kind": "status", "status": 500, "path": "/api/v2/entity"}])
    assert send(track, identify("p")).status_code == 200
    assert track.post("/api/v2/entity", json=identify("p")).status_code == 500


@pytest.mark.parametrize("status", [400, 401, 408, 413, 429, 500, 502, 503])
def test_status_fault_leaves_the_request_undone(
    track: httpx.Client, server: SandboxServer, status: int
) -> None:
    server.set_faults([{"kind": "status", "status": status}])
    answer = send(track, identify("p"))
    assert answer.status_code == status
    assert "retry-after" not in answer.headers
    assert "meta" in answer.json()
    assert server.people() == {}


def test_status_fault_may_ask_to_wait_and_answer_without_json(
    track: httpx.Client, server: SandboxServer
) -> None:
    server.set_faults(
        [
            {"kind": "status", "status": 429, "retry_after": 3, "body": "empty", "count": 1},
            {"kind": "status", "status": 503, "retry_after": "Wed, 21 Oct 2026 07:28:00 GMT", "body": "html"},
        ]
    )
    first, second = send(track, identify("p")), send(track, identify("p"))
    assert (first.status_code, first.headers["retry-after"], first.content) == (429, "3", b"")
    assert second.headers["retry-after"] == "Wed, 21 Oct 2026 07:28:00 GMT"
    assert second.headers["content-type"] == "text/html"


@pytest.mark.parametrize(("kind", "applied"), [("reset", False), ("reset_after", True), ("truncate", True)])
def test_broken_connection_before_or_after_applying(
    track: httpx.Client, server: SandboxServer, kind: str, applied: bool
) -> None:
    server.set_faults([{"kind": kind, "count": 1}])
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        send(track, identify("p"))
    assert ("p" in server.people()) is applied
    assert send(track, identify("q")).status_code == 200


def test_slow_answer_is_applied_at_once(track: httpx.Client, server: SandboxServer) -> None:
    server.set_faults([{"kind": "slow", "seconds": 5}])
    with pytest.raises(httpx.ReadTimeout):
        track.post("/api/v2/batch", json={"batch": [identify("p")]}, timeout=0.2)
    assert "p" in server.people()


def test_slow_body_is_applied_and_comes_whole_to_who_waits(
    track: httpx.Client, server: SandboxServer
) -> None:
    server.set_faults([{"kind": "slow_body", "seconds": 0.4}])
    with pytest.raises(httpx.ReadTimeout):  # no byte comes within this time
        track.post("/api/v2/batch", json={"batch": [identify("p")]}, timeout=0.05)
    assert "p" in server.people()
    answer = track.post("/api/v2/batch", json={"batch": [identify("p")]}, timeout=0.3)
    assert answer.json() == {}
    assert answer.elapsed.total_seconds() >= 0.4


def test_a_page_in_between_says_200_and_nothing_is_applied(
    track: httpx.Client, server: SandboxServer
) -> None:
    server.set_faults([{"kind": "status", "status": 200, "body": "html"}])
    answer = send(track, identify("p"))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html")
    assert server.people() == {}


def test_redirect_names_the_same_path_elsewhere(track: httpx.Client, server: SandboxServer) -> None:
    server.set_faults([{"kind": "redirect", "location": "https://track-eu.example/"}])
    answer = send(track, identify("p"))
    assert (answer.status_code, answer.headers["location"]) == (307, "https://track-eu.example/api/v2/batch")
    assert server.people() == {}


def test_every_nth_operation_is_refused_over_all_requests(track: httpx.Client, server: SandboxServer) -> None:
    server.set_faults([{"kind": "reject", "every": 10, "reason": "invalid", "field": "attributes.plan"}])
    indexes = [
        [e["batch_index"] for e in send(track, *(identify(f"{n}-{i}") for i in range(12))).json()["errors"]]
        for n in range(3)
    ]
    assert indexes == [[9], [7], [5]]
    refused = {o["id"] for o in server.operations() if o["outcome"] == "rejected"}
    assert refused == {"0-9", "1-7", "2-5"}
    assert len(server.people()) == 33


def test_chosen_people_are_refused_every_time(track: httpx.Client, server: SandboxServer) -> None:
    everyone = [identify(f"p{i}") for i in range(60)]
    server.set_faults([{"kind": "reject", "ids": ["p3"], "entries": 2}, {"kind": "reject", "hash_every": 5}])
    first, second = (send(track, *everyone).json()["errors"] for _ in range(2))
    assert first == second
    assert [e["batch_index"] for e in first].count(3) >= 2
    assert 3 < len({e["batch_index"] for e in first}) < 30


def test_refused_entity_is_a_400(track: httpx.Client, server: SandboxServer) -> None:
    server.set_faults([{"kind": "reject", "message": "no"}])
    answer = track.post("/api/v2/entity", json=identify("p"))
    assert answer.status_code == 400
    assert answer.json() == {"errors": [{"reason": "invalid", "field": "attributes", "message": "no"}]}


def test_bogus_index_is_outside_the_batch(track: httpx.Client, server: SandboxServer) -> None:
    server.set_faults([{"kind": "bogus_indexes"}])
    answer = send(track, identify("p"))
    assert (answer.status_code, answer.json()["errors"][0]["batch_index"]) == (207, 1_000_000)


def test_unapplied_operation_is_accepted_and_does_nothing(track: httpx.Client, server: SandboxServer) -> None:
    server.set_faults([{"kind": "unapplied", "ids": ["p"]}])
    assert send(track, identify("p"), identify("q")).json() == {}
    assert set(server.people()) == {"q"}
    assert [(o["outcome"], o["reason"]) for o in server.operations()] == [
        ("accepted", "unapplied_by_fault"),
        ("accepted", ""),
    ]


def test_faults_end_when_they_are_deleted(track: httpx.Client, server: SandboxServer) -> None:
    server.set_faults([{"kind": "status", "status": 500}])
    httpx.delete(f"{server.url}/_sandbox/faults")
    assert httpx.get(f"{server.url}/_sandbox/faults").json() == {"faults": []}
    assert send(track, identify("p")).status_code == 200


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "earthquake"},
        {"kind": "status"},
        {"kind": "status", "status": 200},
        {"kind": "redirect"},
        {"kind": "slow", "every": 0},
        {"kind": "slow", "secnods": 1},
        "slow",
    ],
)
def test_fault_that_makes_no_sense_is_refused_and_the_old_ones_stay(
    server: SandboxServer, fault: Any
) -> None:
    server.set_faults([{"kind": "slow", "seconds": 0}])
    with pytest.raises(SandboxError, match="faults cannot be understood"):
        server.set_faults([fault])
    assert [f["kind"] for f in server.stats()["faults"]] == ["slow"]


def test_faults_can_be_given_as_flags() -> None:
    faults = [
        parse_flag("status,status=429,every=3,retry_after=2,body=empty"),
        parse_flag("slow,seconds=0.5,path=/v1"),
        parse_flag("reject,ids=a+b"),
        parse_flag('{"kind":"reset","count":1}'),
    ]
    described = FaultPlan(faults).described()
    assert [f["kind"] for f in described] == ["status", "slow", "reject", "reset"]
    assert (described[0]["every"], described[1]["seconds"], described[2]["ids"]) == (3, 0.5, ["a", "b"])
    with pytest.raises(SandboxError, match="write seconds=VALUE"):
        parse_flag("slow,seconds")


def test_faults_work_in_discard_mode_too() -> None:
    options = SandboxOptions(discard=True, faults=({"kind": "reject", "every": 2},))
    with variant(options) as sandbox:
        errors = sandbox.track(identify("a"), identify("b"), identify(""), identify("c")).json()["errors"]
        assert [e["batch_index"] for e in errors] == [1, 2]
        assert sandbox.stats()["operations"] == {"accepted": 2, "rejected": 2, "ignored": 0}
        assert (sandbox.people(), sandbox.operations()) == ({}, [])


def test_discard_mode_validates_and_counts_and_keeps_nobody() -> None:
    with variant(SandboxOptions(discard=True)) as sandbox:
        plain = [identify(f"p{n}", plan="x") for n in range(100)]
        errors = sandbox.track(*plain, identify("", plan="x"), identify("p", plan="x" * 1_001)).json()[
            "errors"
        ]
        assert [e["batch_index"] for e in errors] == [100, 101]
        stats = sandbox.stats()
        assert (stats["operations"], stats["people"]) == ({"accepted": 100, "rejected": 2, "ignored": 0}, 0)
        assert stats["operations_by_action"]["person.identify"] == {"accepted": 100}
