"""Customer.io's own Python client, unchanged and over TLS, against the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from customerio import CustomerIO, CustomerIOException  # pyright: ignore[reportMissingTypeStubs]

from cio_pipelines.sandbox import SandboxOptions, SandboxServer

ULID = "01E4C4CT6YDC7Y5M7FE1GWWPQJ"


@pytest.fixture(scope="module")
def secure() -> Iterator[SandboxServer]:
    with SandboxServer(SandboxOptions(tls=True)) as server:
        yield server


@pytest.fixture
def sdk(secure: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[CustomerIO]:
    secure.reset()
    secure.set_faults([])
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(secure.ca_file))
    monkeypatch.setenv("NO_PROXY", "*")
    with CustomerIO("sandbox-site", "sandbox-key", host="127.0.0.1", port=secure.port) as client:
        yield client


def test_people_events_and_devices(sdk: CustomerIO, secure: SandboxServer) -> None:
    born = datetime(2020, 1, 1, tzinfo=UTC)
    sdk.identify(id="a/b c", email="ann@example.com", plan="pro", created_at=born, score=float("nan"))
    sdk.track(customer_id="a/b c", name="bought", data={"sku": 1}, id=ULID, timestamp=born)
    sdk.track(customer_id="a/b c", name="bought", id=ULID)
    sdk.pageview("a/b c", "/pricing", referrer="x")
    sdk.backfill("a/b c", "signed_up", 1_600_000_000, source="web")
    sdk.track_anonymous(anonymous_id="anon", name="looked")
    sdk.add_device("a/b c", "token/1", "ios", last_used=1_700_000_000)
    sdk.add_device("a/b c", "token/2", "android")
    sdk.delete_device("a/b c", "token/1")
    person = secure.people()["a/b c"]
    assert person["attributes"] == {"email": "ann@example.com", "plan": "pro", "created_at": 1_577_836_800}
    assert [device["token"] for device in person["devices"]] == ["token/2"]
    events = [(a["type"], a["name"], a["timestamp"]) for a in secure.activities() if a["name"]]
    assert events[0] == ("event", "bought", 1_577_836_800)
    assert [name for _, name, _ in events] == ["bought", "/pricing", "signed_up", "looked"]


def test_suppression_merge_and_delete(sdk: CustomerIO, secure: SandboxServer) -> None:
    sdk.identify(id="1", a=1)
    sdk.identify(id="2", b=2)
    sdk.merge_customers("id", "1", "id", "2")
    assert {k: p["attributes"] for k, p in secure.people().items()} == {"1": {"a": 1, "b": 2}}
    sdk.suppress("1")
    sdk.identify(id="1", a=3)
    assert secure.people()["1"]["suppressed"] is True
    sdk.unsuppress("1")
    sdk.identify(id="1", a=4)
    assert secure.people()["1"]["attributes"] == {"a": 4}
    sdk.delete("1")
    assert secure.people() == {}


def test_batch_names_the_refused_operations(sdk: CustomerIO, secure: SandboxServer) -> None:
    answer = sdk.batch(
        [
            {"type": "person", "action": "identify", "identifiers": {"id": "1"}, "attributes": {"a": 1}},
            {"type": "person", "action": "identify", "identifiers": {"id": ""}},
        ]
    )
    assert answer.status_code == 207
    assert [error["batch_index"] for error in answer.json()["errors"]] == [1]
    assert set(secure.people()) == {"1"}


def test_refusals_reach_the_caller(sdk: CustomerIO, secure: SandboxServer) -> None:
    with pytest.raises(CustomerIOException, match="event name cannot be longer than 100 bytes"):
        sdk.track(customer_id="1", name="n" * 101)
    with (
        CustomerIO("sandbox-site", "wrong", host="127.0.0.1", port=secure.port) as stranger,
        pytest.raises(CustomerIOException, match="Unauthorized request"),
    ):
        stranger.identify(id="1")


def test_server_errors_are_retried_by_the_client_until_they_pass(
    sdk: CustomerIO, secure: SandboxServer
) -> None:
    secure.set_faults([{"kind": "status", "status": 503, "count": 2}])
    sdk.identify(id="1", a=1)
    assert secure.stats()["answers_by_status"] == {"503": 2, "200": 1}
