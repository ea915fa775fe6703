from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator

import httpx
import pytest
import trustme

from cio_pipelines.customerio import (
    ConfigurationError,
    Region,
    RetryPolicy,
    TrackClient,
    TransportError,
    UnexpectedResponse,
)
from cio_pipelines.customerio.redirects import Origin

from .conftest import API_KEY, QUICK, SITE_ID, people
from .scripted_server import Answer, ScriptedServer

pytestmark = pytest.mark.anyio
Connect = Callable[..., TrackClient]


class Hosts(httpx.AsyncBaseTransport):
    """Stands in for the network, so that no test reaches Customer.io: answers by URL, records requests."""

    def __init__(self, answers: dict[str, httpx.Response]) -> None:
        self.answers = answers
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.answers[str(request.url)]


US = "https://track.customer.io/api/v2/batch"
EU = "https://track-eu.customer.io/api/v2/batch"


def client_of(hosts: Hosts, **settings: object) -> TrackClient:
    return TrackClient(site_id=SITE_ID, api_key=API_KEY, retry=QUICK, transport=hosts, **settings)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_to_the_other_region_keeps_method_body_and_credentials(status: int) -> None:
    hosts = Hosts({US: httpx.Response(status, headers={"Location": EU}), EU: httpx.Response(200, text="{}")})
    async with client_of(hosts) as client:
        result = await client.send(people(2), 0, 2)
    assert (result.accepted, result.requests, result.attempts) == (2, 1, 2)
    first, second = hosts.requests
    assert str(second.url) == EU
    assert second.method == "POST"
    assert second.content == first.content == people(2).body(0, 2)
    assert second.headers["Authorization"] == first.headers["Authorization"]


@pytest.mark.parametrize(
    ("status", "asked"), [(301, [US, EU, EU]), (308, [US, EU, EU]), (307, [US, EU, US, EU])]
)
async def test_only_a_permanent_redirect_is_remembered(status: int, asked: list[str]) -> None:
    hosts = Hosts({US: httpx.Response(status, headers={"Location": EU}), EU: httpx.Response(200, text="{}")})
    async with client_of(hosts) as client:
        await client.send(people(1), 0, 1)
        await client.send(people(1), 0, 1)
    assert [str(request.url) for request in hosts.requests] == asked


@pytest.mark.parametrize(
    "location",
    [
        "https://evil.example/api/v2/batch",
        "https://track.customer.io.evil.example/api/v2/batch",
        "https://evil-customer.io/api/v2/batch",
        "https://other.customer.io/api/v2/batch",
        "http://track.customer.io/api/v2/batch",
        "https://track.customer.io:8443/api/v2/batch",
        "https://user:pw@track-eu.customer.io/api/v2/batch",
        "//evil.example/api/v2/batch",
        "ftp://track.customer.io/",
        "https://[broken",
        "",
    ],
)
async def test_credentials_never_follow_a_redirect_elsewhere(location: str) -> None:
    hosts = Hosts({US: httpx.Response(307, headers={"Location": location})})
    async with client_of(hosts) as client:
        result = await client.send(people(1), 0, 1)
    if location:
        assert len(hosts.requests) == 1
    assert {request.url.host for request in hosts.requests} == {"track.customer.io"}
    assert isinstance(result.error, UnexpectedResponse)
    assert (result.unanswered, result.status) == (((0, 1),), 307)


async def test_a_redirect_without_location_and_a_303_are_unexpected() -> None:
    for answer in (httpx.Response(302), httpx.Response(303, headers={"Location": EU})):
        hosts = Hosts({US: answer})
        async with client_of(hosts) as client:
            result = await client.send(people(1), 0, 1)
        assert isinstance(result.error, UnexpectedResponse)
        assert len(hosts.requests) == 1


async def test_redirects_that_never_end_are_left(server: ScriptedServer, connect: Connect) -> None:
    server.default = Answer(307, headers={"Location": "/again"})
    async with connect() as client:
        result = await client.send(people(1), 0, 1)
    assert isinstance(result.error, UnexpectedResponse)
    assert [request.path for request in server.received] == ["/api/v2/batch", "/again", "/again", "/again"]


async def test_a_custom_host_redirects_only_to_itself(server: ScriptedServer, connect: Connect) -> None:
    with ScriptedServer() as foreign:
        server.script = [Answer(307, headers={"Location": "/v2/batch?x=1"})]
        async with connect() as client:
            followed = await client.send(people(1), 0, 1)
            server.script = [Answer(307, headers={"Location": f"{foreign.url}/api/v2/batch"})]
            other_port = await client.send(people(1), 0, 1)
            server.script = [Answer(307, headers={"Location": EU})]
            customerio = await client.send(people(1), 0, 1)
        assert foreign.received == []
    assert followed.accepted == 1
    assert [request.path for request in server.received[:2]] == ["/api/v2/batch", "/v2/batch?x=1"]
    assert server.received[1].body == server.received[0].body
    assert isinstance(other_port.error, UnexpectedResponse)
    assert isinstance(customerio.error, UnexpectedResponse)


@pytest.mark.parametrize(
    ("here", "there", "allowed"),
    [
        ("http://cio.example", "https://cio.example", True),
        ("https://cio.example", "http://cio.example", False),
        ("http://cio.example:8080", "https://cio.example", False),
        ("https://track.customer.io", "https://api-eu.customer.io", True),
        ("https://cio.example", "https://track.customer.io", False),
    ],
)
async def test_where_credentials_may_go(here: str, there: str, allowed: bool) -> None:
    assert Origin.parse(here).may_send_to(Origin.parse(there)) is allowed


@pytest.mark.parametrize(
    ("region", "host"), [(Region.US, "track.customer.io"), (Region.EU, "track-eu.customer.io")]
)
async def test_a_region_has_its_own_host(region: Region, host: str) -> None:
    hosts = Hosts({f"https://{host}/api/v2/batch": httpx.Response(200, text="{}")})
    async with client_of(hosts, region=region) as client:
        assert (await client.send(people(1), 0, 1)).accepted == 1


async def test_a_base_url_may_have_a_path(server: ScriptedServer, connect: Connect) -> None:
    async with connect(base_url=f"{server.url}/proxy/cio/") as client:
        await client.send(people(1), 0, 1)
    assert server.received[0].path == "/proxy/cio/api/v2/batch"


@pytest.mark.parametrize(
    "base_url",
    ["", "track.customer.io", "ftp://h", "https://u:p@h", "https://h/?a=1", "https://h/#f", "https://[h"],
)
async def test_an_impossible_base_url_is_a_configuration_error(base_url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        TrackClient(site_id=SITE_ID, api_key=API_KEY, base_url=base_url)
    assert caught.value.field == "base_url"


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls_server(authority: trustme.CA) -> Iterator[ScriptedServer]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with ScriptedServer(context) as running:
        yield running


async def test_tls_works_with_a_private_authority_given_as_a_file(
    tls_server: ScriptedServer, authority: trustme.CA, connect: Connect
) -> None:
    with authority.cert_pem.tempfile() as path:
        async with connect(base_url=tls_server.url, verify=path) as client:
            result = await client.send(people(1), 0, 1)
    assert result.accepted == 1


async def test_an_untrusted_certificate_is_not_retried_and_gets_no_credentials(
    tls_server: ScriptedServer, connect: Connect
) -> None:
    async with connect(base_url=tls_server.url, retry=RetryPolicy(base_delay=0.001)) as client:
        result = await client.send(people(1), 0, 1)
    error = result.error
    assert isinstance(error, TransportError)
    assert (error.code, error.may_have_been_received, error.attempts) == ("certificate", False, 1)
    assert "verify" in error.remedy
    assert tls_server.received == []


async def test_a_certificate_store_that_cannot_be_read_is_a_configuration_error(connect: Connect) -> None:
    with pytest.raises(ConfigurationError) as caught:
        connect(verify="/nonexistent/ca.pem")
    assert caught.value.field == "verify"
