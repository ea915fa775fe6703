from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cio_pipelines.customerio import (
    Audience,
    DataFile,
    DefaultAudience,
    Emails,
    Filter,
    Ids,
    InvalidOperation,
    PersonIdentifiers,
    PerUserData,
    Recipient,
    audience_from_json,
    audience_to_json,
)
from cio_pipelines.customerio.audiences import AUDIENCES, trigger_body

EMAIL = "wilhelmina.q@example.org"
IN_4: dict[str, Any] = {"segment": {"id": 4}}
ON_PRO: dict[str, Any] = {"attribute": {"field": "plan", "operator": "eq", "value": "pro"}}
HAS_PLAN: dict[str, Any] = {"attribute": {"field": "plan", "operator": "exists"}}

AUDIENCE_BODIES: list[tuple[Audience, dict[str, Any]]] = [
    (DefaultAudience(), {}),
    (Filter(IN_4), {"recipients": IN_4}),
    (
        Filter({"and": [IN_4, {"or": [ON_PRO, HAS_PLAN]}, {"not": HAS_PLAN}]}),
        {"recipients": {"and": [IN_4, {"or": [ON_PRO, HAS_PLAN]}, {"not": HAS_PLAN}]}},
    ),
    (Ids(["1", "2"]), {"ids": ["1", "2"]}),
    (Ids(["1"], id_ignore_missing=True), {"ids": ["1"], "id_ignore_missing": True}),
    (Emails([EMAIL]), {"emails": [EMAIL]}),
    (
        Emails([EMAIL], email_ignore_missing=True, email_add_duplicates=True),
        {"emails": [EMAIL], "email_ignore_missing": True, "email_add_duplicates": True},
    ),
    (
        PerUserData(
            [
                Recipient(PersonIdentifiers(id="1"), {"voucher": "FM7uL"}),
                Recipient(PersonIdentifiers(email=EMAIL)),
            ],
            id_ignore_missing=True,
        ),
        {
            "per_user_data": [{"id": "1", "data": {"voucher": "FM7uL"}}, {"email": EMAIL}],
            "id_ignore_missing": True,
        },
    ),
    (
        DataFile("https://example.com/a.jsonl?sig=s3cret", email_add_duplicates=True),
        {"data_file_url": "https://example.com/a.jsonl?sig=s3cret", "email_add_duplicates": True},
    ),
]


@pytest.mark.parametrize(("audience", "members"), AUDIENCE_BODIES)
def test_a_trigger_has_the_members_of_its_audience_and_no_others(
    audience: Audience, members: dict[str, Any]
) -> None:
    assert orjson.loads(trigger_body(audience)) == members
    assert orjson.loads(trigger_body(audience, {"headline": "x"})) == {"data": {"headline": "x"}, **members}


@pytest.mark.parametrize("audience", [audience for audience, _ in AUDIENCE_BODIES])
def test_an_audience_comes_back_from_its_json_and_triggers_alike(audience: Audience) -> None:
    stored = orjson.dumps(audience_to_json(audience))
    again = audience_from_json(orjson.loads(stored))
    assert type(again) is type(audience)
    assert trigger_body(again) == trigger_body(audience)


@pytest.mark.parametrize("audience", [audience for audience, _ in AUDIENCE_BODIES])
def test_reprs_show_neither_addresses_nor_data(audience: Audience) -> None:
    assert [told for told in (EMAIL, "s3cret", "FM7uL", "pro") if told in repr(audience)] == []
    assert type(audience).__name__ in repr(audience)


def test_every_kind_is_shown_here() -> None:
    assert {audience.kind for audience, _ in AUDIENCE_BODIES} == set(AUDIENCES)


def one(data: dict[str, Any] | None) -> PerUserData:
    return PerUserData([Recipient(PersonIdentifiers(id="1"), data)])


@pytest.mark.parametrize(
    ("audience", "field", "reason"),
    [
        (Ids([]), "ids", "required"),
        (Ids("1"), "ids", "invalid"),
        (Ids(["1", ""]), "ids[1]", "required"),
        (Ids(["x" * 151]), "ids[0]", "too_long"),
        (Ids([1]), "ids[0]", "invalid"),  # pyright: ignore[reportArgumentType]
        (Ids(["1"] * 10_001), "ids", "too_many"),
        (Ids(["1"], id_ignore_missing="yes"), "id_ignore_missing", "invalid"),  # pyright: ignore[reportArgumentType]
        (Ids(["i" * 150] * 9_000), "ids", "too_long"),
        (Emails([]), "emails", "required"),
        (Emails(["a@b.c"] * 10_001), "emails", "too_many"),
        (Emails(["a@b.c\n"]), "emails[0]", "invalid"),
        (PerUserData([]), "per_user_data", "required"),
        (PerUserData(list(one(None).per_user_data) * 10_001), "per_user_data", "too_many"),
        (PerUserData(["1"]), "per_user_data[0]", "invalid"),  # pyright: ignore[reportArgumentType]
        (PerUserData([Recipient(PersonIdentifiers(cio_id="1"))]), "per_user_data[0].cio_id", "invalid"),
        (one({"x": "y" * 2_000_000}), "per_user_data[0].data", "too_long"),
        (one({"x": "y" * 1_000_000}), "per_user_data", "too_long"),
        (one({"x": float("inf")}), "per_user_data[0].data.x", "invalid"),
        (DataFile("file:///etc/passwd"), "data_file_url", "invalid"),
        (DataFile("example.com/a"), "data_file_url", "invalid"),
        (DataFile("https:///a"), "data_file_url", "invalid"),
        (DataFile(""), "data_file_url", "required"),
        (Filter({}), "recipients", "invalid"),
        (Filter({**IN_4, **ON_PRO}), "recipients", "invalid"),
        (Filter({"xor": []}), "recipients", "invalid"),
        (Filter({"and": []}), "recipients.and", "invalid"),
        (Filter({"and": IN_4}), "recipients.and", "invalid"),
        (Filter({"not": [IN_4]}), "recipients.not", "invalid"),
        (Filter({"or": [IN_4, "x"]}), "recipients.or", "invalid"),
        (Filter({"segment": {"id": "4"}}), "recipients.segment.id", "invalid"),
        (Filter({"segment": {}}), "recipients.segment.id", "invalid"),
        (Filter({"attribute": {"field": "a", "operator": "gt"}}), "recipients.attribute.operator", "invalid"),
        (Filter({"attribute": {"field": "a", "operator": "eq"}}), "recipients.attribute.value", "invalid"),
        (Filter({"attribute": {"operator": "exists"}}), "recipients.attribute.field", "invalid"),
        (Filter({"attribute": {"field": "a", "is": 1}}), "recipients.attribute", "invalid"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_documented_as_refused_is_refused_here_by_name(
    audience: Audience, field: str, reason: str
) -> None:
    with pytest.raises(InvalidOperation) as caught:
        trigger_body(audience)
    assert (caught.value.field, caught.value.reason) == (field, reason)


def test_data_of_a_trigger_has_a_limit_of_its_own() -> None:
    room = 50_000 - len(b'{"x":""}')
    trigger_body(DefaultAudience(), {"x": "y" * room})
    with pytest.raises(InvalidOperation, match="50000 bytes") as caught:
        trigger_body(DefaultAudience(), {"x": "y" * (room + 1)})
    assert caught.value.field == "data"


def test_ten_thousand_ids_are_taken() -> None:
    assert len(orjson.loads(trigger_body(Ids([str(n) for n in range(10_000)])))["ids"]) == 10_000


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({}, "kind"),
        ({"kind": "everybody"}, "kind"),
        ({"kind": ["ids"]}, "kind"),
        ({"kind": "ids"}, "ids"),
        ({"kind": "ids", "ids": ["1"], "email_ignore_missing": True}, "email_ignore_missing"),
        ({"kind": "default", "ids": ["1"]}, "ids"),
        ({"kind": "per_user_data", "per_user_data": {}}, "per_user_data"),
        ({"kind": "per_user_data", "per_user_data": [{"id": "1", "name": "x"}]}, "per_user_data[0]"),
        ({"kind": "per_user_data", "per_user_data": [{}]}, "identifiers"),
        ({"kind": "per_user_data", "per_user_data": [{"id": "1", "data": [1]}]}, "per_user_data[0].data"),
    ],
)
def test_json_that_is_no_audience_is_refused_by_name(value: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidOperation) as caught:
        audience_from_json(value)
    assert caught.value.field == field


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
_ENTRY = st.fixed_dictionaries({}, optional={"id": _JSON, "email": _JSON, "data": _JSON})


@settings(max_examples=300, deadline=None)
@given(
    st.fixed_dictionaries(
        {"kind": st.sampled_from(list(AUDIENCES))},
        optional={
            "recipients": st.just(IN_4) | _JSON | st.dictionaries(st.sampled_from(["and", "not"]), _JSON),
            "ids": _JSON | st.lists(st.text(), min_size=1),
            "emails": _JSON,
            "per_user_data": _JSON | st.lists(_ENTRY, min_size=1),
            "data_file_url": _JSON | st.text().map(lambda text: f"https://{text}"),
            "id_ignore_missing": _JSON,
        },
    )
)
def test_any_json_makes_an_audience_or_an_invalid_operation(value: dict[str, Any]) -> None:
    # One member that names people and perhaps a flag: with more of them nothing would be an audience.
    kind = value["kind"]
    own = {"filter": "recipients", "data_file": "data_file_url"}.get(kind, kind)
    value = {name: value[name] for name in ("kind", own, "id_ignore_missing") if name in value}
    try:
        audience = audience_from_json(value)
        body = trigger_body(audience)
    except InvalidOperation:
        return
    assert trigger_body(audience_from_json(audience_to_json(audience))) == body
