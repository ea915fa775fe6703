"""The gateway keeps to what its OpenAPI document says, whatever is sent: tried by schemathesis."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from cio_pipelines.gateway.access import SCOPES

from .conftest import Served

ROUTES = [
    ("POST", "/v1/identify"),
    ("POST", "/v1/track"),
    ("POST", "/v1/transactional"),
    ("POST", "/v1/broadcasts"),
    ("POST", "/v1/suppress"),
    ("DELETE", "/v1/people/{person_id}"),
    ("GET", "/v1/messages/{message_id}"),
]
# an e-mail without a template needs a subject, bodies have a size as a whole, a file has an http URL
SAID_IN_WORDS = ("/v1/transactional", "/v1/broadcasts")


def document(gateway: Served) -> dict[str, Any]:
    return gateway.client.get("/openapi.json").raise_for_status().json()


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_answer_is_one_that_is_described(
    gateway: Served, method: str, path: str, mode: GenerationMode
) -> None:
    schema = schemathesis.openapi.from_dict(document(gateway))
    headers = {"Authorization": f"Bearer {gateway.token}"}
    statuses: set[int] = set()

    @settings(
        max_examples=15,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    @given(case=schema[path][method].as_strategy(generation_mode=mode))
    def conforms(case: Any) -> None:
        is_valid = mode is GenerationMode.POSITIVE
        if is_valid and isinstance(case.body, dict):
            case.body.pop("not_before", None)  # it is judged by what time it is
        answer = case.call_and_validate(
            base_url=gateway.service.url, headers=headers, excluded_checks=[positive_data_acceptance]
        )
        statuses.add(answer.status_code)
        if is_valid and path not in SAID_IN_WORDS:
            # characters may be few enough where bytes are not, and nothing else is amiss
            faults = answer.json().get("faults", [])
            assert {fault["reason"] for fault in faults} <= {"too_long"}

    conforms()
    assert statuses & ({202, 404} if mode is GenerationMode.POSITIVE else {400, 401, 404, 422})


def test_the_document_shows_every_route_with_its_scope_its_answers_and_an_example(gateway: Served) -> None:
    described = document(gateway)
    schemas = described["components"]["schemas"]
    scopes: list[str] = []
    for method, path in ROUTES:
        operation = described["paths"][path][method.lower()]
        scopes.append(operation["description"].rpartition("Scope: ")[2].rstrip("."))
        assert operation["security"] == [{"HTTPBearer": []}]
        assert {"401", "403", "422", "429", "503"} <= set(operation["responses"])
        if method == "POST":
            name = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].split("/")[-1]
            [example] = schemas[name]["examples"]
            assert gateway.post(path, example).status_code == 202
            whole = {"$ref": f"#/components/schemas/{name}", "components": described["components"]}
            jsonschema.validate(example, whole)
    assert sorted(scopes) == sorted(SCOPES)


def test_the_page_shows_the_gateway_beside_the_webhook(gateway: Served) -> None:
    described = document(gateway)
    assert {"/webhooks/customerio", "/readyz", "/v1/identify"} <= set(described["paths"])
    page = gateway.client.get("/docs")
    assert (page.status_code, "swagger" in page.text.lower()) == (200, True)
