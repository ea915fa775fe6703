"""Whatever is sent to the App API gets an answer that is documented, and leaves the sandbox working."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cio_pipelines.sandbox import SandboxOptions

from .conftest import Variant, identify, variant

CALLS = (
    *(f"/v1/send/{channel}" for channel in ("email", "push", "sms", "whatsapp", "in_app", "inbox_message")),
    "/v1/campaigns/7/triggers",
    "/v1/customers",
    "/v1/customers/attributes",
    "/v1/segments",
    "/v1/exports/customers",
    "/v1/exports/deliveries",
)
NAMES = st.sampled_from(
    """to from subject body transactional_message_id identifiers message_data send_at headers attachments
    custom_device ids emails per_user_data recipients data data_file_url id_ignore_missing filter filters
    segment newsletter_id metric attributes start and or not attribute""".split()  # noqa: SIM905
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(
        [
            "a@example.com",
            "+15550100",
            "all",
            "exists",
            "eq",
            "{{message_data.a}}",
            "{{x.y.z | default: 'd'}}",
        ]
    ),
)
KEYS = st.one_of(NAMES, st.sampled_from(["id", "email", "cio_id", "field", "operator", "value", "a"]))
VALUES = st.recursive(
    LEAVES, lambda v: st.one_of(st.lists(v, max_size=3), st.dictionaries(KEYS, v, max_size=3)), max_leaves=8
)
PLAUSIBLE: dict[str, Any] = {
    "to": "a@example.com",
    "transactional_message_id": 4,
    "identifiers": {"id": "a"},
    "newsletter_id": 1,
    "segment": {"name": "S"},
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Variant]:
    with variant(SandboxOptions()) as running:
        running.track(identify("a", email="a@example.com"))
        yield running


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from(CALLS), change=st.dictionaries(NAMES, VALUES, max_size=4), plausible=st.booleans()
)
def test_any_body_is_answered(sandbox: Variant, path: str, change: dict[str, Any], plausible: bool) -> None:
    body = {**(PLAUSIBLE if plausible else {}), **change}
    answer = sandbox.app("POST", path, json=body)
    assert answer.status_code in (200, 400, 403, 413, 422), answer.text
    told = answer.json()
    assert answer.status_code == 200 or told.get("meta", {}).get("error") or told["errors"]
    for look in ("deliveries", "triggers", "browse/messages"):
        assert sandbox.request("GET", f"/_sandbox/{look}").status_code == 200


@pytest.mark.parametrize("path", [*CALLS, "/api/v1/events", "/api/v2/entity", "/api/v2/batch"])
def test_what_is_nested_too_deeply_is_refused(sandbox: Variant, path: str) -> None:
    for depth in (300, 700, *range(900, 1_000, 9), 100_000):
        nested = "[" * depth + "]" * depth
        event = {"type": "person", "action": "event", "identifiers": {"id": "a"}, "name": "e"}
        body = json.dumps(PLAUSIBLE | event)[:-1] + "".join(
            f', "{name}": {{"a": {nested}}}' for name in ("message_data", "data", "attributes", "filters")
        )
        content = body.encode() + b"}"
        if path == "/api/v2/batch":
            content = b'{"batch":[%b]}' % content
        call = sandbox.track_raw if path == "/api/v2/batch" else None
        answer = call(content) if call else _post(sandbox, path, content)
        assert answer.status_code in (200, 207, 400, 422), answer.text
        assert sandbox.request("GET", "/_sandbox/deliveries").status_code == 200
        assert sandbox.request("GET", "/_sandbox/activities").status_code == 200


def _post(sandbox: Variant, path: str, content: bytes) -> Any:
    if path.startswith("/v1/"):
        return sandbox.app("POST", path, content=content)
    return sandbox.request("POST", path, content=content, auth=("sandbox-site", "sandbox-key"))
