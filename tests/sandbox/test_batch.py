"""The quick reading of batches comes to the same verdicts as the thorough one, and as our own client."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from cio_pipelines.customerio import IdentifyPerson, InvalidOperation, PersonIdentifiers
from cio_pipelines.sandbox.batch import BatchReader

TEXT = st.text(alphabet=st.characters(codec="utf-8"), max_size=40)
LONG = st.builds(
    lambda text, times: text * times, st.sampled_from(["x", "é", "名", "\n", '"']), st.integers(0, 1_100)
)
NAMES = st.sampled_from(["plan", "city", "é", "", "n" * 150, "n" * 151, "é" * 76])
VALUES: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXT,
    LONG,
    st.lists(LONG, max_size=2),
    st.dictionaries(TEXT, LONG, max_size=2),
)
ATTRIBUTES = st.dictionaries(NAMES, VALUES, max_size=5)
IDENTIFIERS = st.one_of(
    st.builds(lambda text: {"id": text}, st.one_of(TEXT, LONG)),
    st.builds(lambda text: {"email": text}, TEXT),
    st.sampled_from([{}, {"id": 7}, {"id": None}, {"id": "a", "email": "b"}, {"x": "y"}, {"cio_id": "1"}]),
)
OPERATIONS = st.fixed_dictionaries(
    {"type": st.sampled_from(["person", "person", "robot"]), "action": st.sampled_from(["identify", "fly"])},
    optional={
        "identifiers": IDENTIFIERS,
        "attributes": st.one_of(ATTRIBUTES, st.just([]), st.none()),
        "timestamp": st.sampled_from([1_700_000_000, "now", None, 1.5, True]),
        "cio_relationships": st.sampled_from([[], [1], None]),
    },
)


def reader(*, warm: bool) -> BatchReader:
    made = BatchReader(exact=False, id_only=False, max_item_bytes=32_768)
    if warm:
        made.read(
            b'{"batch":[{"type":"person","action":"identify","identifiers":{"id":"w"},"attributes":'
            + orjson.dumps({"plan": 1, "city": 2, "é": 3, "n" * 150: 4})
            + b"}]}",
            keep=False,
        )
    return made


@settings(max_examples=150, deadline=None)
@given(st.lists(OPERATIONS, min_size=1, max_size=5))
def test_known_names_change_no_verdict(operations: list[dict[str, Any]]) -> None:
    body = orjson.dumps({"batch": operations})
    quick = reader(warm=True).read(body, keep=False)
    thorough = [
        reader(warm=False).read(orjson.dumps({"batch": [operation]}), keep=True) for operation in operations
    ]
    assert [problem.index for problem in quick.problems] == [
        index for index, reading in enumerate(thorough) if reading.problems
    ]
    assert [problem.entry(numbered=False) for problem in quick.problems] == [
        problem.entry(numbered=False) for reading in thorough for problem in reading.problems
    ]
    assert sum(quick.accepted.values()) == len(operations) - len(quick.problems)


@settings(max_examples=150, deadline=None)
@given(st.one_of(TEXT, LONG), ATTRIBUTES)
def test_client_refuses_before_sending_what_the_sandbox_would_refuse(
    person_id: str, attributes: dict[str, Any]
) -> None:
    refused = False
    try:
        text = IdentifyPerson(PersonIdentifiers(id=person_id), attributes).encode()
    except InvalidOperation:
        refused = True
        text = orjson.dumps(
            {
                "type": "person",
                "action": "identify",
                "identifiers": {"id": person_id},
                "attributes": attributes,
            }
        )
    reading = reader(warm=True).read(b'{"batch":[' + text + b"]}", keep=False)
    assert bool(reading.problems) is refused
