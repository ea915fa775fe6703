"""Verifying what the sync's rig has sent to its sandbox."""

from __future__ import annotations

from typing import Any

import httpx

from cio_pipelines.customerio import AppClient
from cio_pipelines.sandbox import SandboxServer
from cio_pipelines.sync.key import SyncKey
from cio_pipelines.sync.specs import PEOPLE
from cio_pipelines.verification.engine import Verifier
from cio_pipelines.verification.reports import Verification, VerificationSettings
from tests.sync.rig import QUICK, TLS, SyncRig

KEY = SyncKey("tests", PEOPLE.name)


def app(server: SandboxServer, **settings: Any) -> AppClient:
    defaults: dict[str, Any] = {
        "api_key": server.options.app_api_key,
        "base_url": server.url,
        "requests_per_second": 10_000,
        "retry": QUICK,
        "verify": TLS,
    }
    return AppClient(**{**defaults, **settings})


def verify(rig: SyncRig, run_id: str, **settings: Any) -> Verification:
    """Verify a run; nothing is waited for unless that is said."""
    chosen = VerificationSettings(**{"wait_seconds": 0, **settings})
    return Verifier(rig.warehouse, KEY, chosen, lambda: app(rig.sandbox)).verify(run_id)


def told(found: Verification) -> set[tuple[str, str, str]]:
    """(person, attribute, kind) of the differences."""
    return {(each.person_id, each.attribute, each.kind) for each in found.differences}


def write(server: SandboxServer, person: str, **attributes: Any) -> None:
    """Somebody else's write, by the first version of the Track API. `_timestamp` is the time it claims."""
    options = server.options
    answer = httpx.put(
        f"{server.url}/api/v1/customers/{person}",
        json=attributes,
        auth=(options.site_id, options.track_api_key),
        trust_env=False,
    )
    answer.raise_for_status()
