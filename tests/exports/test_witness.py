"""What the export says about the people that Customer.io accepted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cio_pipelines.landing.manifest import EXPORTS, FAILED, landed_files
from cio_pipelines.sync import witness
from cio_pipelines.sync.witness import compare_with_export
from cio_pipelines.sync.witness_reports import AttributeFinding
from tests.bigquery import RecordingConnection, bigquery, check
from tests.exports.rig_witness import EARLIER, EXPORTED, LATER, SYNCED, WORKSPACE_ID, WitnessRig
from tests.sync.passing import PassingWarehouse


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[WitnessRig]:
    rig = WitnessRig(tmp_path)
    with rig.warehouse.session():
        yield rig


def test_without_an_export_nothing_is_verified(rig: WitnessRig) -> None:
    rig.accepted("p")

    report = rig.compare()

    assert report.known_until is None
    assert report.unverified == "No export of people is loaded."
    assert report.findings == report.people == 0


def test_an_export_without_moments_verifies_nothing(rig: WitnessRig) -> None:
    rig.there("p", updated_at=None)

    assert rig.compare().unverified == "No row of the export says when it changed."


def test_every_person_of_the_snapshot_has_one_verdict(rig: WitnessRig) -> None:
    rig.mapping("a")
    for person in ("good", "missing", "deleted", "blocked", "other", "newer"):
        rig.accepted(person, {"a": "1"})
    rig.accepted("ours", state="suppressed")
    rig.accepted("erased", state="deleted")
    rig.accepted("alive", state="deleted")
    rig.accepted("late", {"a": "1"}, at=EXPORTED)
    for person in ("good", "other", "newer", "alive"):
        rig.there(person)
    rig.there("deleted", deleted=True)
    rig.there("blocked", suppressed=True)
    rig.there("ours", suppressed=True, deleted=True)
    rig.attribute("good", "a", "1")
    rig.attribute("other", "a", "2")
    rig.attribute("newer", "a", "2", LATER)
    rig.there(None, internal_customer_id="c-anonymous")
    rig.exported()

    report = rig.compare()

    assert report.verdicts == {
        "agreed": 3,
        "missing": 1,
        "removed": 2,
        "different": 1,
        "overwritten": 1,
        "still_there": 1,
        "pending": 1,
    }
    assert report.people == 10
    assert report.compared == 9
    assert report.findings == 5
    assert report.unknown == 2
    assert report.attributes == (AttributeFinding("a", differing=1, overwritten=1),)
    assert report.sample == {
        "missing": ("missing",),
        "removed": ("blocked", "deleted"),
        "different": ("other",),
        "still_there": ("alive",),
    }


ALIKE: list[tuple[Any, str | None]] = [
    ("text", "text"),
    ('quo"te \\ and\nline', 'quo"te \\ and\nline'),
    ("Ünïcode 😀", "Ünïcode 😀"),
    ("0010", "0010"),
    (5, "5"),
    (5, "5.0"),
    (12.5, "12.50"),
    (0.1, "0.10"),
    (1e21, "1000000000000000000000"),
    (-3, "-3"),
    (True, "true"),
    (False, "False"),
    ([1, 2], "[1,2]"),
    ([1, 2], "[1, 2.0]"),
    ({"b": {"c": "é"}, "a": None}, '{"a": null, "b": {"c": "\\u00e9"}}'),
    ("", None),
    ("", ""),
    (None, None),
    (None, ""),
]

OTHERWISE: list[tuple[Any, str | None, str]] = [
    ("text", "Text", "differing"),
    ("text", "text ", "differing"),
    ("10", "10.0", "differing"),
    ("true", "TRUE", "differing"),
    (5, "6", "differing"),
    (5, "five", "differing"),
    (True, "false", "differing"),
    (True, "1", "differing"),
    ([1, 2], "[2,1]", "differing"),
    ({"a": 1}, "no json", "differing"),
    ("text", None, "absent"),
    ("text", "", "absent"),
    (False, None, "absent"),
    (None, "text", "left_over"),
    ("", "text", "left_over"),
]


def test_what_customerio_only_writes_differently_is_alike(rig: WitnessRig) -> None:
    rig.mapping("a")
    for accepted, found in ALIKE:
        rig.pair(f"{accepted!r} as {found!r}", "a", accepted, found)
    rig.exported()

    report = rig.compare(sample=99)

    assert report.sample["different"] == ()
    assert report.verdicts == {"agreed": len(ALIKE)}


def test_another_value_is_a_finding(rig: WitnessRig) -> None:
    names = {f"{accepted!r} as {found!r}": how for accepted, found, how in OTHERWISE}
    rig.mapping(*names)
    for name, (accepted, found, _) in zip(names, OTHERWISE, strict=True):
        rig.pair(name, name, accepted, found)
    rig.exported()

    report = rig.compare()

    found_so = {
        finding.attribute: {how for how in ("differing", "absent", "left_over") if getattr(finding, how)}
        for finding in report.attributes
    }
    assert found_so == {name: {how} for name, how in names.items()}
    assert report.verdicts == {"different": len(names)}


def test_an_attribute_that_was_removed_is_absent(rig: WitnessRig) -> None:
    rig.mapping("a")
    rig.accepted("p", {"a": "text"})
    rig.there("p")
    rig.attribute("p", "a", None)
    rig.exported()

    assert rig.compare().attributes == (AttributeFinding("a", absent=1),)


def test_what_somebody_set_after_the_sync_is_no_finding(rig: WitnessRig) -> None:
    rig.mapping("a")
    rig.pair("p", "a", "text", "other", LATER)
    rig.exported()

    report = rig.compare()

    assert report.attributes == (AttributeFinding("a", overwritten=1),)
    assert report.verdicts == {"overwritten": 1}
    assert report.findings == 0


def test_attributes_that_are_not_the_syncs_do_not_matter(rig: WitnessRig) -> None:
    rig.mapping("a")
    rig.pair("p", "a", "text", "text")
    rig.attribute("p", "score", "17")
    rig.exported()

    assert rig.compare().verdicts == {"agreed": 1}


def test_unsubscribed_is_read_as_customerio_does(rig: WitnessRig) -> None:
    alike = [(False, None), (None, None), (True, "1"), (True, "TRUE"), (False, "no"), (None, "false")]
    others = [(False, "true"), (True, None), (True, "yes"), (None, "1")]
    rig.mapping("unsubscribed")
    for accepted, found in [*alike, *others]:
        rig.pair(f"{accepted} as {found}", "unsubscribed", accepted, found)
    rig.exported()

    report = rig.compare()

    assert set(report.sample["different"]) == {f"{accepted} as {found}" for accepted, found in others}
    assert report.verdicts == {"agreed": len(alike), "different": len(others)}


def test_an_email_is_found_in_either_place_in_any_case(rig: WitnessRig) -> None:
    rig.mapping("email")
    for person in ("a", "b", "c"):
        rig.accepted(person, {"email": f"{person}@example.com"})
    rig.there("a", email_addr="A@example.com")
    rig.there("b")
    rig.attribute("b", "email", "B@Example.com")
    rig.there("c", email_addr="other@example.com")
    rig.exported()

    report = rig.compare()

    assert report.attributes == (AttributeFinding("email", differing=1),)
    assert report.sample["different"] == ("c",)


def test_created_at_is_compared_only_when_the_export_has_it(rig: WitnessRig) -> None:
    rig.mapping("created_at", "cio_subscription_preferences.topics.topic_1", "a*b")
    rig.accepted("p", {"created_at": 1_700_000_000, "a*b": 1})
    rig.there("p", created_at=EARLIER)
    rig.exported()

    without = rig.compare()
    rig.attribute("stranger", "created_at", "1")
    with_it = rig.compare()

    assert without.verdicts == {"agreed": 1}
    assert without.unwitnessed == ("a*b", "cio_subscription_preferences.topics.topic_1", "created_at")
    assert with_it.verdicts == {"different": 1}
    assert with_it.unwitnessed == ("a*b", "cio_subscription_preferences.topics.topic_1")


def test_names_of_any_kind_are_found(rig: WitnessRig) -> None:
    names = ['we"ird', "dotted.name", "back\\slash", "it's", "100%", ":colon", "a b", "$x", "ü", "a[0]"]
    rig.mapping(*names)
    for name in names:
        rig.pair(name, name, "text", "text")
        rig.pair(f"{name}, other", name, "text", "other")
    rig.exported()

    report = rig.compare()

    assert {finding.attribute: finding.differing for finding in report.attributes} == dict.fromkeys(names, 1)
    assert report.verdicts == {"agreed": len(names), "different": len(names)}


def test_many_attributes_are_compared_each_by_itself(rig: WitnessRig) -> None:
    names = [f"attribute_{number}" for number in range(25)]
    rig.mapping(*names)
    rig.accepted("p", {name: name for name in names})
    rig.there("p")
    for name in names:
        if name != "attribute_24":
            rig.attribute("p", name, "other" if name in ("attribute_9", "attribute_10") else name)
    rig.exported()

    assert rig.compare().attributes == (
        AttributeFinding("attribute_10", differing=1),
        AttributeFinding("attribute_24", absent=1),
        AttributeFinding("attribute_9", differing=1),
    )


def test_nested_values_are_settled_over_many_pages(rig: WitnessRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(witness, "_NESTED_AT_ONCE", 2)
    rig.mapping("a", "b")
    for person in ("p", "q", "r"):
        rig.accepted(person, {"a": {"x": 1}, "b": [1]})
        rig.there(person)
        rig.attribute(person, "a", '{"x": 1}')
        rig.attribute(person, "b", "[ 1 ]" if person != "q" else "[ 2 ]")
    rig.exported()

    report = rig.compare()

    assert report.verdicts == {"agreed": 2, "different": 1}
    assert report.attributes == (AttributeFinding("b", differing=1),)


def test_of_two_people_of_one_id_the_living_one_counts(rig: WitnessRig) -> None:
    rig.accepted("p")
    rig.there("p", LATER, internal_customer_id="c-old", deleted=True)
    rig.there("p", EARLIER)
    rig.exported()

    assert rig.compare().verdicts == {"agreed": 1}


def test_who_came_back_after_we_deleted_them_is_somebody_else(rig: WitnessRig) -> None:
    rig.accepted("p", state="deleted")
    rig.there("p", LATER, created_at=LATER)
    rig.exported()

    assert rig.compare().verdicts == {"agreed": 1}


def test_what_the_export_cannot_know_yet_is_pending(rig: WitnessRig) -> None:
    rig.accepted("before", at=EXPORTED - timedelta(minutes=15))
    rig.accepted("within", at=EXPORTED - timedelta(minutes=15, seconds=-1))
    rig.exported()

    report = rig.compare()

    assert report.verdicts == {"missing": 1, "pending": 1}
    assert report.known_until == EXPORTED - timedelta(minutes=15)
    assert rig.compare(margin=timedelta(0)).verdicts == {"missing": 2}


def test_a_moment_in_the_future_makes_the_export_know_no_more(rig: WitnessRig) -> None:
    rig.accepted("p", at=EXPORTED)
    rig.there("stranger", SYNCED)
    rig.attribute("stranger", "a", "1", EXPORTED + timedelta(days=300))

    report = rig.compare()

    assert report.known_until == EXPORTED - timedelta(minutes=15)
    assert report.verdicts == {"pending": 1}


def test_of_several_workspaces_one_must_be_named(rig: WitnessRig) -> None:
    rig.accepted("p")
    rig.there("p")
    rig.exported()
    rig.there("p", EXPORTED, workspace_id=7, deleted=True)

    assert "CUSTOMERIO_WORKSPACE_ID" in str(rig.compare().unverified)
    assert rig.compare(workspace_id=WORKSPACE_ID).verdicts == {"agreed": 1}
    assert rig.compare(workspace_id=7, margin=timedelta(0)).verdicts == {"removed": 1}
    assert "workspace 8" in str(rig.compare(workspace_id=8).unverified)


def test_another_workspaces_snapshot_is_left_alone(rig: WitnessRig) -> None:
    rig.accepted("p")
    rig.there("p")
    rig.exported()

    report = compare_with_export(rig.warehouse, "sandbox:w", "people")

    assert report.people == 0
    assert report.unknown == 2


def test_a_sample_is_bounded(rig: WitnessRig) -> None:
    for number in range(5):
        rig.accepted(f"p{number}")
    rig.exported()

    assert rig.compare(sample=2).sample["missing"] == ("p0", "p1")


def test_exports_that_cannot_be_read_are_counted(rig: WitnessRig) -> None:
    rig.exported()
    rows = [
        {"path": f"{dataset}.parquet", "source": EXPORTS, "dataset": dataset, "status": FAILED}
        for dataset in ("people", "attributes", "metrics")
    ]
    with rig.warehouse.connect() as connection:
        connection.append(landed_files, pa.Table.from_pylist(rows))

    assert rig.compare().failed_files == 2


def test_a_report_holds_no_values(rig: WitnessRig) -> None:
    rig.mapping("a")
    rig.pair("p", "a", "secret one", "secret two")
    rig.exported()

    report = rig.compare()

    assert report.findings == 1
    assert "secret" not in str(report)


def test_every_statement_of_the_witness_is_good_bigquery(rig: WitnessRig) -> None:
    rig.mapping("a", "b", "email", "created_at", 'we"ird')
    rig.accepted("p", {"a": {"x": 1}})
    rig.there("p")
    rig.attribute("p", "a", json.dumps({"x": 1}))
    rig.exported()
    statements: list[Any] = []
    warehouse = PassingWarehouse(rig.warehouse, lambda inner: RecordingConnection(inner, statements))

    compare_with_export(warehouse, "w", "people")

    texts = sorted({bigquery(statement) for statement in statements})
    assert len(texts) > 20
    for text in texts:
        check(text)
