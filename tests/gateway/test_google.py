"""Identity tokens signed by a key of the test's, whose certificate is served on loopback."""

from __future__ import annotations

import asyncio
import base64
import datetime
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from cio_pipelines.gateway.access import Access, GoogleIdentity, write_access
from cio_pipelines.gateway.google import GoogleIdentities
from cio_pipelines.gateway.problems import IdentityUnavailable

from .conftest import PERSON, Served, eventually, serving

AUDIENCE = "https://gateway.example.com"
EMAIL = "worker@project.iam.gserviceaccount.com"


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


def certificate(key: rsa.RSAPrivateKey) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return built.public_bytes(serialization.Encoding.PEM).decode()


KEY, OTHER_KEY = new_key(), new_key()


def segment(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def token(*, key: rsa.RSAPrivateKey = KEY, header: dict[str, Any] | None = None, **claims: Any) -> str:
    """What Google would sign, with claims in other values; None leaves one out."""
    now = int(time.time())
    payload = {
        "iss": "https://accounts.google.com",
        "aud": AUDIENCE,
        "email": EMAIL,
        "email_verified": True,
        "iat": now,
        "exp": now + 3_600,
        **claims,
    }
    payload = {name: value for name, value in payload.items() if value is not None}
    signed = f"{segment({'alg': 'RS256', 'kid': 'one', **(header or {})})}.{segment(payload)}"
    signature = key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{signed}.{segment(signature)}"


class Certificates(ThreadingHTTPServer):
    """Serves certificates, counts how often it is asked, and fails when told to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.body = json.dumps({"one": certificate(KEY)}).encode()
        self.status = 200
        self.asked = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/certs"


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Certificates)
        server.asked += 1
        self.send_response(server.status)
        self.send_header("Cache-Control", "public, max-age=600")
        self.end_headers()
        self.wfile.write(server.body)

    def log_message(self, format: str, *args: object) -> None:
        del format, args


@pytest.fixture
def certificates() -> Iterator[Certificates]:
    with Certificates() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def emails(identities: GoogleIdentities, *tokens: str) -> list[str | None]:
    async def ask() -> list[str | None]:
        return [await identities.email_of(one) for one in tokens]

    return asyncio.run(ask())


def test_a_token_of_google_s_tells_its_account(certificates: Certificates) -> None:
    identities = GoogleIdentities(AUDIENCE, certificates.url)
    tokens = [token(), token(iss="accounts.google.com", email=EMAIL.upper()), token()]
    assert emails(identities, *tokens) == [EMAIL] * 3
    assert certificates.asked == 1


@pytest.mark.parametrize(
    "made",
    [
        token(key=OTHER_KEY),
        token(aud="https://other.example.com"),
        token(aud=None),
        token(iss="https://accounts.example.com"),
        token(iss=None),
        token(exp=int(time.time()) - 60),
        token(exp=None),
        token(iat=int(time.time()) + 600),
        token(email_verified=False),
        token(email_verified="true"),
        token(email_verified=None),
        token(email=None),
        token(email=["x"]),
        token(header={"kid": "two"}),
        token(header={"kid": None}),
        token(header={"kid": ["one"]}),
        token(header={"alg": "none"}),
        token(header={"alg": "HS256"}),
        token(header={"alg": "ES256"}),
        token(header={"alg": []}),
        token() + "x" * 8_000,
        token()[:-4],
        token().rpartition(".")[0] + ".",
        f"{segment([])}.{segment({})}.{segment(b'x')}",
        f"{segment({'alg': 'RS256', 'kid': 'one'})}.{segment([])}.{segment(b'x')}",
        f"{segment({'alg': 'RS256', 'kid': 'one'})}.{segment(b'{')}.{segment(b'x')}",
        "a.b.c",
        "..",
        "ü.ü.ü",
        "\x00.\x00.\x00",
    ],
)
def test_a_token_that_proves_nothing_is_nobody_s(certificates: Certificates, made: str) -> None:
    assert emails(GoogleIdentities(AUDIENCE, certificates.url), made, token()) == [None, EMAIL]


def test_certificates_are_fetched_anew_when_they_are_old_or_a_key_is_new(certificates: Certificates) -> None:
    clock = Clock()
    identities = GoogleIdentities(AUDIENCE, certificates.url, clock)
    assert emails(identities, token()) == [EMAIL]
    clock.now += 599
    assert emails(identities, token()) == [EMAIL]
    assert certificates.asked == 1
    clock.now += 2
    assert emails(identities, token()) == [EMAIL]
    assert certificates.asked == 2
    # a new key is asked for, but not with every token that names one
    new = token(key=OTHER_KEY, header={"kid": "two"})
    certificates.body = json.dumps({"two": certificate(OTHER_KEY)}).encode()
    assert emails(identities, new, new, new) == [None] * 3
    assert certificates.asked == 2
    clock.now += 61
    assert emails(identities, new, token()) == [EMAIL, None]
    assert certificates.asked == 3


@pytest.mark.parametrize(
    ("status", "body"), [(500, b""), (200, b"[]"), (200, b"{"), (200, b"{}"), (200, b" " * 200_000)]
)
def test_without_certificates_it_is_not_said_that_the_token_is_wrong(
    certificates: Certificates, status: int, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    good = certificates.body
    certificates.status, certificates.body = status, body
    clock = Clock()
    identities = GoogleIdentities(AUDIENCE, certificates.url, clock)
    for _ in range(3):
        with pytest.raises(IdentityUnavailable):
            emails(identities, token())
    # not with every request
    assert certificates.asked == 1
    assert [record.message for record in caplog.records] == ["Google's certificates cannot be fetched"]
    certificates.status, certificates.body = 200, good
    clock.now += 6
    assert emails(identities, token()) == [EMAIL]


def test_old_certificates_are_trusted_for_a_day_when_no_new_ones_come(certificates: Certificates) -> None:
    clock = Clock()
    identities = GoogleIdentities(AUDIENCE, certificates.url, clock)
    assert emails(identities, token()) == [EMAIL]
    certificates.status = 503
    clock.now += 86_000
    assert emails(identities, token()) == [EMAIL]
    clock.now += 500
    with pytest.raises(IdentityUnavailable):
        emails(identities, token())


def with_identity(gateway: Served, *, rate: float = 1_000) -> None:
    identity = GoogleIdentity(email=EMAIL, scopes=("identify",), rate=rate)
    write_access(gateway.tokens, Access(tokens=tuple(gateway.entries), google=(identity,)))


def test_an_account_that_is_allowed_may_what_its_scopes_say(
    tmp_path: Path, certificates: Certificates
) -> None:
    with serving(tmp_path, identities=GoogleIdentities(AUDIENCE, certificates.url)) as gateway:
        assert gateway.post("/v1/identify", PERSON, token=token()).status_code == 401
        with_identity(gateway)
        eventually(lambda: gateway.post("/v1/identify", PERSON, token=token()).status_code == 202)
        assert gateway.post("/v1/suppress", {"person_id": "u"}, token=token()).status_code == 403
        assert gateway.post("/v1/identify", PERSON, token=token(email="x@y.z")).status_code == 401
        assert gateway.post("/v1/identify", PERSON, token=token(key=OTHER_KEY)).status_code == 401
        # tokens of the file go on working
        assert gateway.post("/v1/identify", PERSON).status_code == 202
        first = gateway.post("/v1/identify", PERSON, token=token(), key="k").json()
        again = gateway.post("/v1/identify", PERSON, token=token(iat=int(time.time()) - 9), key="k").json()
        assert again == {**first, "duplicate": True}


def test_google_s_tokens_are_nobody_s_where_no_audience_is_set(
    tmp_path: Path, certificates: Certificates
) -> None:
    with serving(tmp_path) as gateway:
        with_identity(gateway)
        time.sleep(0.1)
        assert gateway.post("/v1/identify", PERSON, token=token()).status_code == 401
    assert certificates.asked == 0
