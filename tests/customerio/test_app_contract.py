"""Every request of the App client, held to Customer.io's own OpenAPI documents."""

from __future__ import annotations

import json
from typing import Any, cast

import orjson
import pytest
import yaml

from cio_pipelines.customerio import (
    AppClient,
    Audience,
    DefaultAudience,
    Ids,
    PersonIdentifiers,
    TransactionalMessage,
)
from cio_pipelines.customerio.audiences import trigger_body
from tests.sandbox.specification import ALL_2022, TRACK, Specification, needs_documents

from .scripted_server import Answer, ScriptedServer
from .test_app_sends import Connect
from .test_audiences import AUDIENCE_BODIES, HAS_PLAN, IN_4, ON_PRO
from .test_messages import FULL, kind_of

pytestmark = [needs_documents, pytest.mark.anyio]

SCHEMAS = {
    "email": "sendemail",
    "push": "sendpush",
    "sms": "sendsms",
    "in_app": "sendinapp",
    "inbox_message": "sendinbox",
}
AMBIGUOUS = ("udienceFilter", "campaignRequest")
"""Schemas whose alternatives all match at once, for they require nothing (README, fault 8)."""
NOT_IN_THE_DOCUMENT = {"push": {"title"}}
"""Members that the official clients send and the document leaves out."""


def loosened(node: Any) -> Any:
    """`one of` read as `any of`."""
    if isinstance(node, list):
        return [loosened(child) for child in cast("list[Any]", node)]
    if isinstance(node, dict):
        members = cast("dict[str, Any]", node)
        return {("anyOf" if name == "oneOf" else name): loosened(child) for name, child in members.items()}
    return node


@pytest.fixture(scope="module")
def schemas() -> Specification:
    """The App API's schemas of 2026, which Customer.io's Track document holds."""
    document = json.loads(TRACK.read_bytes())
    components = document["components"]["schemas"]
    for name, schema in components.items():
        if any(part in name for part in AMBIGUOUS):
            components[name] = loosened(schema)
    # Typed as text; its example and all official clients give an object (README, fault 7).
    components["headers"] = {"type": "object", "additionalProperties": {"type": "string"}}
    return Specification(document)


@pytest.fixture(scope="module")
def paths() -> Specification:
    """The App API of 2022, the newest complete document there is."""
    document = yaml.load(ALL_2022.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return Specification(loosened({"paths": document["paths"], "components": document["components"]}))


def documented_members(document: Specification, node: Any) -> set[str]:
    """The names at the top level of a schema."""
    if "$ref" in node:
        name = node["$ref"].rpartition("/")[2]
        return documented_members(document, document.document["components"]["schemas"][name])
    parts = [*node.get("allOf", ()), *node.get("oneOf", ()), *node.get("anyOf", ())]
    return set(node.get("properties", ())).union(*(documented_members(document, part) for part in parts))


@pytest.mark.parametrize("message", FULL, ids=kind_of)
async def test_a_message_is_as_documented(schemas: Specification, message: TransactionalMessage) -> None:
    validator = schemas.validator("components", "schemas", SCHEMAS[message.kind])
    body = orjson.loads(message.encode())
    validator.validate(body)
    reference = {"$ref": f"#/components/schemas/{SCHEMAS[message.kind]}"}
    known = documented_members(schemas, reference) | NOT_IN_THE_DOCUMENT.get(message.kind, set())
    assert set(body) - known == set()
    assert not validator.is_valid({**body, "identifiers": {"id": 1}})


async def test_every_documented_member_of_a_message_can_be_given(schemas: Specification) -> None:
    for message in FULL:
        known = documented_members(schemas, {"$ref": f"#/components/schemas/{SCHEMAS[message.kind]}"})
        names = {"from": "sender", "custom_device": "device"}
        assert {names.get(name, name) for name in known} - set(type(message).__dataclass_fields__) == set()


@pytest.mark.parametrize("audience", [audience for audience, _ in AUDIENCE_BODIES])
async def test_a_trigger_is_as_documented(
    schemas: Specification, paths: Specification, audience: Audience
) -> None:
    body = orjson.loads(trigger_body(audience, {"headline": "x"}))
    schemas.validator("components", "schemas", "campaignRequest").validate(body)
    if not isinstance(audience, DefaultAudience):  # the document of 2022 leaves it out
        paths.request("POST", "/v1/campaigns/{broadcast_id}/triggers").validate(body)
    known = documented_members(schemas, {"$ref": "#/components/schemas/campaignRequest"})
    assert set(body) - known == set()


ANN = PersonIdentifiers(id="ann")
TRIGGERS = "/v1/campaigns/{broadcast_id}/triggers"
ADDRESS = "/v1/esp/suppression/{suppression_type}/{email_address}"
CALLS: dict[tuple[str, str], Any] = {
    ("POST", "/v1/send/email"): lambda c: c.send(FULL[0]),
    ("POST", TRIGGERS): lambda c: c.trigger_broadcast(1, Ids(["1"])),
    ("GET", f"{TRIGGERS}/{{trigger_id}}"): lambda c: c.broadcast_trigger(1, 2),
    ("GET", f"{TRIGGERS}/{{trigger_id}}/errors"): lambda c: c.broadcast_trigger_errors(1, 2),
    ("GET", "/v1/broadcasts/{broadcast_id}/triggers"): lambda c: c.broadcast_triggers(1),
    ("GET", "/v1/customers"): lambda c: c.people_by_email("a@b.c"),
    ("POST", "/v1/customers"): lambda c: c.search_people({"and": [IN_4, {"or": [ON_PRO, HAS_PLAN]}]}),
    ("GET", "/v1/customers/{customer_id}/attributes"): lambda c: c.person(ANN),
    ("POST", "/v1/customers/attributes"): lambda c: c.people(["1"]),
    ("GET", "/v1/customers/{customer_id}/segments"): lambda c: c.person_segments(ANN),
    ("GET", "/v1/customers/{customer_id}/messages"): lambda c: c.person_messages(ANN),
    ("GET", "/v1/customers/{customer_id}/activities"): lambda c: c.person_activities(
        ANN, type="event", name="x"
    ),
    ("GET", "/v1/activities"): lambda c: c.activities(type="event", name="x", deleted=False),
    ("GET", "/v1/segments"): lambda c: c.segments(),
    ("POST", "/v1/segments"): lambda c: c.create_segment("vip"),
    ("GET", "/v1/segments/{segment_id}"): lambda c: c.segment(4),
    ("DELETE", "/v1/segments/{segment_id}"): lambda c: c.delete_segment(4),
    ("GET", "/v1/segments/{segment_id}/customer_count"): lambda c: c.segment_count(4),
    ("GET", "/v1/segments/{segment_id}/membership"): lambda c: c.segment_members(4),
    ("GET", "/v1/exports"): lambda c: c.exports(),
    ("GET", "/v1/exports/{export_id}"): lambda c: c.export(8),
    ("GET", "/v1/exports/{export_id}/download"): lambda c: c.export_url(8),
    ("POST", "/v1/exports/customers"): lambda c: c.export_people({"not": IN_4}),
    ("POST", "/v1/exports/deliveries"): lambda c: c.export_deliveries(
        "campaign_id", 5, start=1, metric="sent"
    ),
    ("GET", "/v1/esp/search_suppression/{email_address}"): lambda c: c.suppressed_address("a@b.c"),
    ("GET", "/v1/esp/suppression/{suppression_type}"): lambda c: c.suppressed_addresses("bounces"),
    ("POST", ADDRESS): lambda c: c.suppress_address("blocks", "a@b.c"),
    ("DELETE", ADDRESS): lambda c: c.release_address("blocks", "a@b.c"),
}
NEWER = {"limit", "offset", "domain"}
"""Parameters of the address lists that came after 2022."""
ANSWER = {
    "id": 1,
    "delivery_id": "d",
    "count": 1,
    "url": "https://x",
    "segment": {"id": 1},
    "export": {"id": 1},
    "customer": {"id": "1"},
}


@pytest.mark.parametrize(("method", "template"), list(CALLS))
async def test_a_call_is_as_documented(
    server: ScriptedServer, connect_app: Connect, paths: Specification, method: str, template: str
) -> None:
    server.default = Answer(body=orjson.dumps(ANSWER))
    async with connect_app() as client:
        await made(client, method, template)
    (request,) = server.received
    path, _, query = request.path.partition("?")
    assert request.method == method
    given = path.split("/")
    assert len(given) == len(template.split("/"))
    for part, expected in zip(given, template.split("/"), strict=True):
        assert part == expected or expected.startswith("{")
    item = paths.document["paths"][template]
    operation = item[method.lower()]
    parameters = [*item.get("parameters", ()), *operation.get("parameters", ())]
    known = {parameter["name"] for parameter in parameters if parameter.get("in") == "query"}
    assert {pair.partition("=")[0] for pair in query.split("&") if pair} <= known | NEWER
    if "requestBody" in operation and template != "/v1/send/email":
        paths.request(method, template).validate(orjson.loads(request.body))
    elif template != "/v1/send/email":
        assert request.body == b""


async def made(client: AppClient, method: str, template: str) -> None:
    call = CALLS[method, template](client)
    if hasattr(call, "__aiter__"):
        async for _ in call:
            pass
    else:
        await call
