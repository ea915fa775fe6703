"""Events made from Customer.io's specification of reporting webhooks: every shape, every variant of data."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from ..sandbox.specification import FOLDER, Specification

WEBHOOKS = FOLDER / "customer-io-reporting-webhooks-openapi.json"

needs_document = pytest.mark.skipif(
    not WEBHOOKS.is_file(), reason="the specification of webhooks is not there (CIO_SHARED_DIR/openapi)"
)

_TEXTS = ("", "plain", "Zoë 名前 🦉", 'quoted "text", a \\ and a \u2028 line', "a\nb\tc\u0000", "x" * 500)

_UNDESCRIBED = {"type": "string"}


class Shapes:
    """The event shapes of the specification, by name such as `email_opened`."""

    def __init__(self) -> None:
        self._document = json.loads(WEBHOOKS.read_bytes())
        self._schemas = self._document["components"]["schemas"]
        self._specification = Specification(self._document)
        [body] = self._document["webhooks"].values()
        families = body["post"]["requestBody"]["content"]["application/json"]["schema"]["oneOf"]
        self.names = [_name(shape) for family in families for shape in self._schemas[_name(family)]["oneOf"]]

    def events(self, name: str, seed: int) -> Iterator[dict[str, Any]]:
        """An event for every variant of a shape's data, with random values and optional members."""
        chosen = random.Random(f"{name} {seed}")
        for variant in range(8):
            yield self._value({"$ref": f"#/components/schemas/{name}"}, chosen, variant)

    def is_valid(self, name: str, event: dict[str, Any]) -> bool:
        """Whether the specification agrees that an event has a shape."""
        validator = self._specification.validator("components", "schemas", name)
        # the variants of data are not told apart by what they may hold: one that matches two is no fault
        return all(error.validator == "oneOf" for error in validator.iter_errors(event))

    def _value(self, schema: dict[str, Any], chosen: random.Random, variant: int) -> Any:
        schema = self._resolved(schema)
        if "allOf" in schema:
            merged: dict[str, Any] = {}
            for part in schema["allOf"]:
                merged |= self._value(part, chosen, variant)
            return merged
        if "oneOf" in schema:
            return self._value(schema["oneOf"][variant % len(schema["oneOf"])], chosen, variant)
        if "enum" in schema:
            return chosen.choice(schema["enum"])
        match schema.get("type", "string"):
            case "object":
                required = schema.get("required", ())
                # one shape (email failed) requires a member that it does not describe
                members = {**dict.fromkeys(required, _UNDESCRIBED), **schema.get("properties", {})}
                return {
                    name: self._value(member, chosen, variant)
                    for name, member in members.items()
                    if name in required or chosen.random() < 0.7
                }
            case "array":
                return [self._value(schema["items"], chosen, variant) for _ in range(chosen.randrange(3))]
            case "integer":
                return chosen.choice((0, 42, 2**53 + 1, -1))
            case "boolean":
                return chosen.random() < 0.5
            case "null":
                return None
            case _:
                return chosen.choice(_TEXTS)

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in schema:
            schema = self._schemas[_name(schema)]
        return schema


def _name(reference: dict[str, str]) -> str:
    return reference["$ref"].rpartition("/")[2]
