"""Customer.io's OpenAPI documents as validators, with the known faults of the documents loosened."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

SHARED = Path(os.environ.get("CIO_SHARED_DIR") or Path(__file__).parents[2].parent / "shared")
FOLDER = SHARED / "openapi"
TRACK = FOLDER / "customer-io-track-api-openapi.json"
WEBHOOKS = FOLDER / "customer-io-reporting-webhooks-openapi.json"
ALL_2022 = FOLDER / "customer-io-all-apis-openapi-2022-05.yaml"

_APP_PATHS = tuple(
    f"/v1/{name}"
    for name in ("customers", "campaigns", "broadcasts", "segments", "send", "messages", "exports", "esp")
)
needs_documents = pytest.mark.skipif(
    not all(document.is_file() for document in (TRACK, WEBHOOKS, ALL_2022)),
    reason="Customer.io's OpenAPI documents are not there (CIO_SHARED_DIR/openapi)",
)


def _walk(node: Any, change: Callable[[dict[str, Any]], None]) -> Any:
    """Apply `change` to every object of a document, innermost first."""
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _walk(child, change)
    if isinstance(node, dict):
        change(cast("dict[str, Any]", node))
    return node


def _any_of(node: dict[str, Any]) -> None:
    if "oneOf" in node:
        node["anyOf"] = node.pop("oneOf")


def _nullable(node: dict[str, Any]) -> None:
    """OpenAPI 3.0 says `nullable`, which JSON Schema does not know."""
    if node.pop("nullable", False) is True and isinstance(node.get("type"), str):
        node["type"] = [node["type"], "null"]


class Specification:
    """One document; `validator` takes a path of keys to a schema in it."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        resource = Resource(contents=document, specification=DRAFT202012)
        self._registry: Registry[Any] = Registry().with_resource("urn:document", resource)

    def validator(self, *keys: str) -> Draft202012Validator:
        """A validator of the schema at `keys`. Raises KeyError when there is none."""
        node: Any = self.document
        for key in keys:
            node = node[key]
        pointer = "/".join(key.replace("~", "~0").replace("/", "~1") for key in keys)
        return Draft202012Validator({"$ref": f"urn:document#/{pointer}"}, registry=self._registry)

    def request(self, method: str, path: str) -> Draft202012Validator:
        """A validator of the JSON body of a request."""
        return self.validator(
            "paths", path, method.lower(), "requestBody", "content", "application/json", "schema"
        )

    def answer(self, method: str, path: str, status: int) -> Draft202012Validator | None:
        """A validator of an answer; None for a documented status without a body. KeyError: not documented."""
        keys = ("paths", path, method.lower(), "responses", str(status))
        node: Any = self.document
        for key in keys:
            node = node[key]
        if "$ref" in node:
            keys = tuple(node["$ref"].removeprefix("#/").split("/"))
            node = self.document["components"]["responses"][keys[-1]]
        return self.validator(*keys, "content", "application/json", "schema") if "content" in node else None


def track() -> Specification:
    """The Track API. Relationships hold alternatives that all match (README, fault 1), and so do the kinds of
    an activity's data, so "one of" is read as "any of" there."""
    document = json.loads(TRACK.read_bytes())
    schemas = document["components"]["schemas"]
    for name in schemas:
        if "relationship" in name or name in ("object_common_identify", "activityObject"):
            _walk(schemas[name], _any_of)
    return Specification(document)


def app_2022() -> Specification:
    """The App API as it was in 2022, the newest complete document there is."""
    document = yaml.load(ALL_2022.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    paths = {path: item for path, item in document["paths"].items() if path.startswith(_APP_PATHS)}
    # The two kinds of workspaces do not exclude each other there, nor do the forms of a filter.
    for path in ("segments/{segment_id}/membership", "campaigns/{broadcast_id}/triggers/{trigger_id}"):
        _walk(paths[f"/v1/{path}"], _any_of)
    kept = {"paths": paths, "components": document.get("components", {})}
    return Specification(_walk(kept, _nullable))


def webhooks() -> Specification:
    """Reporting webhooks. The document calls the shape of a drafted push attempted (README, fault 9)."""
    document = json.loads(WEBHOOKS.read_bytes())
    drafted = document["components"]["schemas"]["push_drafted"]["allOf"][1]["properties"]["metric"]
    drafted["enum"] = ["drafted"]
    return Specification(document)


def check_event(document: Specification, event: dict[str, Any]) -> None:
    """Hold a reported event to its shape, and its data to the members that the shape knows.

    Raises jsonschema.ValidationError, KeyError when there is no such shape, and AssertionError.
    """
    object_type = event["object_type"]
    prefix = "person" if object_type == "customer" else object_type
    keys = ("components", "schemas", f"{prefix}_{event['metric']}")
    document.validator(*keys).validate(event)
    assert set(event["data"]) <= _members(document, document.validator(*keys).schema)


def _members(document: Specification, node: Any) -> set[str]:
    """Every name that a schema, or one that it refers to, lists as a property or requires."""
    if isinstance(node, list):
        return {name for child in node for name in _members(document, child)}
    if not isinstance(node, dict):
        return set()
    node = cast("dict[str, Any]", node)
    if "$ref" in node:
        return _members(document, document.document["components"]["schemas"][node["$ref"].rpartition("/")[2]])
    names = set(node.get("properties", ())) | set(node.get("required", ()))
    return names.union(*(_members(document, child) for child in _children(node)))


def _children(node: dict[str, Any]) -> list[Any]:
    return [*node.get("properties", {}).values(), node.get("allOf", []), node.get("oneOf", [])]
