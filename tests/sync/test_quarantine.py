"""Rows that Customer.io would refuse are never sent, and a mart that cannot be synced is named."""

from __future__ import annotations

import pytest

from cio_pipelines.sync.errors import MappingError, SourceContractError, SyncError
from cio_pipelines.sync.reports import Refusals
from cio_pipelines.sync.windows import FULL

from .rig import Rig


def faults(rig: Rig) -> dict[str, tuple[str, str]]:
    """Dead letters of the quarantine: person → (field, reason)."""
    letters = rig.engine().letters()
    assert all(letter.kind == "quarantined" for letter in letters)
    return {letter.person_id: (letter.field, letter.reason) for letter in letters}


def make(rig: Rig, column: str, **values: str) -> None:
    """A mart with one attribute `v` of a type, and one person for each SQL value."""
    rig.sql(
        f"""create or replace table analytics.customerio_people (
            person_id varchar, updated_at timestamp, v {column})"""
    )
    for person, value in values.items():
        rig.sql(f"insert into analytics.customerio_people values (?, now()::timestamp, {value})", person)


def test_the_limit_of_an_id_is_150_bytes_not_characters(rig: Rig) -> None:
    good, bad = "é" * 75, "é" * 75 + "x"
    for person in (good, bad, ""):
        rig.sql("insert into analytics.customerio_people (person_id, updated_at) values (?, now())", person)
    ran = rig.run()
    assert rig.profiles().keys() == {good}
    assert ran.plan.quarantined == (
        Refusals("quarantine", "identifiers.id", "required", 1),
        Refusals("quarantine", "identifiers.id", "too_long", 1),
    ) or {refusal.reason for refusal in ran.plan.quarantined} == {"required", "too_long"}
    assert faults(rig) == {
        bad: ("identifiers.id", "too_long"),
        "": ("identifiers.id", "required"),
    }


def test_the_limit_of_a_value_is_1000_bytes_of_the_text_itself(rig: Rig) -> None:
    make(
        rig,
        "varchar",
        ascii="repeat('x', 1000)",
        multibyte="repeat('é', 500)",
        # six bytes each in JSON, one in the text
        control="repeat(chr(1), 1000)",
        long="repeat('x', 1001)",
        long_multibyte="repeat('é', 500) || 'x'",
    )
    rig.run()
    assert rig.profiles().keys() == {"ascii", "multibyte", "control"}
    assert rig.profile("control") == {"v": "\x01" * 1000}
    assert faults(rig) == dict.fromkeys(["long", "long_multibyte"], ("attributes.v", "too_long"))


@pytest.mark.parametrize("column", ["double", "real"])
def test_numbers_that_json_lacks_are_quarantined(rig: Rig, column: str) -> None:
    make(rig, column, nan="'nan'", inf="'infinity'", minus="'-infinity'", good="1.5", none="null")
    rig.run()
    assert rig.profiles() == {"good": {"v": 1.5}, "none": {}}
    assert faults(rig) == dict.fromkeys(["nan", "inf", "minus"], ("attributes.v", "invalid"))


@pytest.mark.parametrize("column", ["timestamp", "timestamptz", "date"])
def test_infinite_times_are_quarantined(rig: Rig, column: str) -> None:
    make(rig, column, inf="'infinity'", minus="'-infinity'", good="'1970-01-02'")
    rig.run()
    assert rig.profiles() == {"good": {"v": 86400}}
    assert faults(rig) == dict.fromkeys(["inf", "minus"], ("attributes.v", "invalid"))


def test_nan_within_nested_values_is_quarantined_and_the_word_in_a_text_is_not(rig: Rig) -> None:
    make(
        rig,
        "struct(x double[], nan varchar)",
        nan="{'x': [1, 'nan'::double], 'nan': null}",
        inf="{'x': ['-infinity'::double], 'nan': null}",
        good="""{'x': [1.5], 'nan': 'NaN, "infinity" \\ and \\"nan'}""",
    )
    rig.run()
    assert rig.profile("good") == {"v": {"x": [1.5], "nan": 'NaN, "infinity" \\ and \\"nan'}}
    assert faults(rig) == dict.fromkeys(["nan", "inf"], ("attributes.v", "invalid"))


def test_the_limit_of_a_nested_value_is_1000_bytes_of_json(rig: Rig) -> None:
    make(rig, "varchar[]", good="[repeat('x', 996)]", long="[repeat('x', 997)]", quotes="[repeat('\"', 499)]")
    rig.run()
    assert rig.profiles().keys() == {"good"}
    assert faults(rig) == dict.fromkeys(["long", "quotes"], ("attributes.v", "too_long"))


def test_the_limit_of_an_operation_is_32000_bytes(rig: Rig) -> None:
    columns = ", ".join(f"a{i:03} varchar" for i in range(40))
    rig.sql(
        f"""create or replace table analytics.customerio_people (
            person_id varchar, updated_at timestamp, {columns})"""
    )
    rig.sql("insert into analytics.customerio_people (person_id, updated_at) values ('p', now())")
    rig.run()
    frame = rig.sandbox.stats()["body_bytes"] - len('{"batch":[]}') + len('{"a000":""}') - len("{}")
    member = len(',"a001":""')
    filled = 32
    for person, size in (("fits", 31_999), ("big", 32_000)):
        first = size - (frame + len(person) - 1) - (filled - 1) * (member + 1000)
        values = ["x" * first, *["x" * 1000] * (filled - 1)]
        names = ", ".join(f"a{i:03}" for i in range(filled))
        marks = ", ".join("?" * filled)
        rig.sql(
            f"""insert into analytics.customerio_people (person_id, updated_at, {names})
            values ('{person}', now(), {marks})""",
            *values,
        )
    rig.sandbox.reset()
    rig.run()
    assert rig.profiles().keys() == {"fits"}
    assert rig.sandbox.stats()["body_bytes"] == 31_999 + len('{"batch":[]}')
    assert faults(rig) == {"big": ("operation", "too_long")}


def test_people_who_share_an_email_in_any_case_are_quarantined(rig: Rig) -> None:
    rig.make_mart(5)
    rig.change("p1", "email = 'ANN@example.com'")
    rig.change("p2", "email = 'ann@Example.com'")
    rig.change("p3", "email = ''")
    rig.change("p4", "email = ''")
    ran = rig.run()
    assert rig.profiles().keys() == {"p0", "p3", "p4"}
    assert faults(rig) == dict.fromkeys(["p1", "p2"], ("attributes.email", "shared"))
    again = rig.run()
    assert (again.plan.planned, again.plan.left_alone) == (0, 2)
    assert again.plan.extracted == again.plan.unchanged + again.plan.left_alone
    assert ran.report.dead_letters == again.report.dead_letters == 2


def test_a_shared_email_is_free_again_when_the_other_person_changes_theirs(rig: Rig) -> None:
    rig.make_mart(3)
    rig.change("p1", "email = 'ann@example.com'")
    rig.change("p2", "email = 'Ann@example.com'")
    rig.run()
    rig.change("p2", "email = 'bo@example.com'")
    ran = rig.run()
    assert ran.plan.whys == {"new": 2}
    assert {p["email"] for p in rig.profiles().values()} >= {"ann@example.com", "bo@example.com"}
    assert rig.engine().letters() == []


def test_who_is_erased_or_synced_already_keeps_an_email_that_somebody_else_takes(rig: Rig) -> None:
    rig.make_mart(3)
    rig.run()
    rig.change("p1", "email = 'P0@example.com'")
    rig.run()
    assert faults(rig) == {"p1": ("attributes.email", "shared")}
    assert (rig.profile("p0") or {})["email"] == "p0@example.com"
    rig.change("p0", "deleted_at = now()::timestamp")
    rig.run()
    assert (rig.profile("p1") or {})["first_name"] == "Ann"
    assert faults(rig) == {}


def test_of_a_large_mart_a_few_changed_people_are_seen_to_share_an_email(rig: Rig) -> None:
    rig.make_mart(200)
    rig.run()
    rig.change("p7", "email = 'P8@example.com'")
    rig.change("p9", "email = 'new@example.com'")
    rig.change("p10", "email = 'NEW@example.com'")
    rig.change("p11", "email = null")
    rig.change("p12", "email = 'twelve@example.com'")
    ran = rig.run()
    assert ran.outcomes.accepted == 2
    assert faults(rig) == dict.fromkeys(["p7", "p9", "p10"], ("attributes.email", "shared"))
    assert (rig.profile("p12") or {})["email"] == "twelve@example.com"


def test_where_people_are_known_by_id_alone_an_email_may_be_shared(rig: Rig) -> None:
    rig.make_mart(2)
    rig.sql("update analytics.customerio_people set email = 'ann@example.com'")
    ran = rig.run(shared_emails_conflict=False)
    assert ran.plan.quarantined == ()
    assert ran.outcomes.accepted == 2


def test_an_email_column_that_is_no_text_is_no_email(rig: Rig) -> None:
    rig.make_mart(2)
    rig.sql("alter table analytics.customerio_people alter email type integer using 7")
    assert rig.run().outcomes.accepted == 2


def test_a_quarantined_row_is_one_letter_until_it_changes_and_is_sent_when_it_is_right(rig: Rig) -> None:
    rig.make_mart(3)
    rig.change("p1", "plan = repeat('x', 1001)")
    rig.run()
    rig.sandbox.reset()
    again = rig.run()
    assert (again.plan.planned, again.plan.left_alone) == (0, 1)
    assert rig.sandbox.stats()["requests"] == 0
    rig.change("p1", "plan = repeat('y', 1001)")
    assert rig.run().plan.quarantined_people == 1
    assert len(rig.engine().letters()) == 1
    assert rig.engine().replay() == 1
    assert rig.run().plan.quarantined_people == 1
    rig.change("p1", "plan = 'pro'")
    rig.run()
    assert rig.engine().letters() == []
    assert (rig.profile("p1") or {})["plan"] == "pro"


def test_a_synced_row_that_becomes_wrong_keeps_its_last_accepted_profile(rig: Rig) -> None:
    rig.make_mart(2)
    rig.run()
    rig.change("p1", "plan = repeat('x', 1001)")
    rig.run()
    assert (rig.profile("p1") or {})["plan"] == "free"
    assert rig.state("select attributes from synced_people where attributes like '%xxx%'") == []
    rig.change("p1", "plan = 'free'")
    assert rig.run().plan.planned == 0


# a mart that cannot be synced


BREAKAGE = {
    "no mart": ("drop table analytics.customerio_people", SourceContractError, "no table or view analytics"),
    "no id column": (
        "alter table analytics.customerio_people drop person_id",
        SourceContractError,
        "no column person_id",
    ),
    "no updated_at": (
        "alter table analytics.customerio_people drop updated_at",
        SourceContractError,
        "no column updated_at",
    ),
    "updated_at of another type": (
        "alter table analytics.customerio_people alter updated_at type varchar",
        SourceContractError,
        "updated_at is no timestamp",
    ),
    "null ids": (
        "update analytics.customerio_people set person_id = null where person_id in ('p1', 'p2')",
        SourceContractError,
        "2 rows have a null",
    ),
    "repeated ids": (
        "update analytics.customerio_people set person_id = 'p1' where person_id in ('p2', 'p3')",
        SourceContractError,
        "2 rows repeat a",
    ),
    "binary": ("alter table analytics.customerio_people add column v blob", MappingError, "Column v of"),
    "interval": ("alter table analytics.customerio_people add column v interval", MappingError, "JSON"),
    "bits": ("alter table analytics.customerio_people add column v bit", MappingError, "Column v"),
    "reserved": ("alter table analytics.customerio_people add column id varchar", MappingError, "own"),
    "reserved too": (
        "alter table analytics.customerio_people add column cio_relationships varchar",
        MappingError,
        "own",
    ),
    "long name": (
        f"alter table analytics.customerio_people add column {'é' * 75}x varchar",
        MappingError,
        "more than 150 bytes",
    ),
    "too many": (
        "".join(f"alter table analytics.customerio_people add column c{i} int;" for i in range(298)),
        MappingError,
        "301 attributes",
    ),
}


@pytest.mark.parametrize(("statement", "kind", "told"), BREAKAGE.values(), ids=BREAKAGE.keys())
def test_a_mart_that_cannot_be_synced_is_named_with_the_remedy(
    rig: Rig, statement: str, kind: type[SyncError], told: str
) -> None:
    rig.make_mart(5)
    rig.sql(statement)
    with pytest.raises(kind, match=told) as caught:
        rig.engine().extract("a", FULL)
    assert caught.value.remedy
    assert str(caught.value).startswith(caught.value.message)
    assert "@example.com" not in str(caught.value)
    assert rig.sandbox.stats()["requests"] == 0


def test_three_hundred_attributes_are_not_too_many(rig: Rig) -> None:
    rig.make_mart(2)
    add = "alter table analytics.customerio_people add column"
    rig.sql("".join(f"{add} c{i} int default {i};" for i in range(297)))
    ran = rig.run()
    assert (ran.plan.attributes, ran.outcomes.accepted) == (300, 2)
    assert len(rig.profile("p0") or {}) == 300


def test_a_mart_that_breaks_between_extraction_and_plan_leaves_no_lease_behind(rig: Rig) -> None:
    rig.make_mart(2)
    engine = rig.engine()
    engine.extract("a", FULL)
    rig.sql("alter table analytics.customerio_people add column v blob")
    with pytest.raises(MappingError):
        engine.plan("a")
    rig.sql("alter table analytics.customerio_people drop v")
    assert rig.run().outcomes.accepted == 2
