"""The gateway keeps to what its OpenAPI document says, whatever is sent: tried by schemathesis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings

from .conftest import Served, serving

ROUTES = {
    ("POST", "/v1/identify"),
    ("POST", "/v1/track"),
    ("POST", "/v1/transactional"),
    ("POST", "/v1/broadcasts"),
    ("POST", "/v1/suppress"),
    ("DELETE", "/v1/people/{person_id}"),
    ("GET", "/v1/messages/{message_id}"),
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("openapi")) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def document(served: Served) -> dict[str, Any]:
    return served.client.get("/openapi.json").json()


@pytest.fixture
def api(served: Served) -> Any:
    schema = schemathesis.openapi.from_url(f"{served.service.url}/openapi.json")
    return schema.include(path_regex="^/v1/")


schema = schemathesis.pytest.from_fixture("api")


@schema.parametrize()
@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_answer_is_one_that_is_described(case: Any, served: Served) -> None:
    case.call_and_validate(headers={"Authorization": f"Bearer {served.token}"})
