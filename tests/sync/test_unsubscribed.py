"""The attribute `unsubscribed`: what the mart says of it, alone and together with people who opted out."""

from __future__ import annotations

from typing import Any

import pytest

from cio_pipelines.sync.errors import MappingError
from cio_pipelines.sync.windows import FULL

from .rig import EVERYTHING, Rig

ADD = "alter table analytics.customerio_people add column unsubscribed"
MODES = pytest.mark.parametrize("unsubscribes", [False, True], ids=["suppress", "unsubscribe"])


def unsubscribed(rig: Rig, person: str) -> Any:
    """The attribute as Customer.io has it; `absent` when it has none."""
    return (rig.profile(person) or {}).get("unsubscribed", "absent")


@MODES
def test_a_new_column_without_values_sends_nobody_again(rig: Rig, unsubscribes: bool) -> None:
    rig.defaults["unsubscribe_opted_out"] = unsubscribes
    rig.make_mart(3)
    rig.run()
    rig.sandbox.reset()
    rig.sql(f"{ADD} boolean")

    ran = rig.run()

    assert ran.plan.planned == 0
    assert rig.sandbox.stats()["requests"] == 0


def test_only_people_of_whom_something_was_reported_are_sent_it(rig: Rig) -> None:
    rig.make_mart(3)
    rig.run()
    rig.sql(f"{ADD} boolean")
    rig.change("p1", "unsubscribed = true")
    rig.change("p2", "unsubscribed = false")

    ran = rig.run()

    assert ran.plan.operations == {"identify": 2}
    assert [unsubscribed(rig, person) for person in ("p0", "p1", "p2")] == ["absent", True, False]


def test_the_column_is_announced_as_a_change_of_the_mapping_only_where_it_is_an_attribute(rig: Rig) -> None:
    rig.make_mart(2)
    rig.run()
    rig.sql(f"{ADD} boolean default true")
    assert rig.plan(approvals=EVERYTHING).mapping_change.added == ("unsubscribed",)

    rig.run(approvals=EVERYTHING, unsubscribe_opted_out=True)
    rig.sql("alter table analytics.customerio_people drop column unsubscribed")
    assert rig.plan(approvals=EVERYTHING, unsubscribe_opted_out=True).mapping_change.is_empty


def test_an_opt_out_and_the_reported_word_combine_to_the_restrictive_one(rig: Rig) -> None:
    rig.defaults["unsubscribe_opted_out"] = True
    rig.make_mart(6)
    rig.sql(f"{ADD} boolean")
    cases = {
        "p0": ("false", "null", "absent"),
        "p1": ("false", "false", False),
        "p2": ("false", "true", True),
        "p3": ("true", "null", True),
        "p4": ("true", "false", True),
        "p5": ("true", "true", True),
    }
    for person, (opted_out, reported, _) in cases.items():
        rig.change(person, f"opted_out = {opted_out}, unsubscribed = {reported}")

    ran = rig.run()

    assert ran.plan.operations == {"identify": 6}
    assert {person: unsubscribed(rig, person) for person in cases} == {
        person: expected for person, (_, _, expected) in cases.items()
    }


def test_whoever_opts_in_again_has_it_removed(rig: Rig) -> None:
    rig.defaults["unsubscribe_opted_out"] = True
    rig.make_mart(1)
    rig.sql(f"{ADD} boolean")
    rig.change("p0", "opted_out = true")
    rig.run()
    rig.change("p0", "opted_out = false")

    rig.run()

    assert unsubscribed(rig, "p0") == "absent"


@MODES
def test_a_change_undoes_no_unsubscribe_that_was_not_heard_of_yet(rig: Rig, unsubscribes: bool) -> None:
    rig.defaults["unsubscribe_opted_out"] = unsubscribes
    rig.make_mart(1)
    rig.sql(f"{ADD} boolean")
    rig.run()
    rig.sandbox.unsubscribe("p0")
    rig.change("p0", "email = 'new@example.com'")

    assert rig.run().plan.operations == {"identify": 1}

    assert unsubscribed(rig, "p0") is True


def test_an_unsubscribe_in_customerio_suppresses_nobody(rig: Rig) -> None:
    rig.make_mart(1)
    rig.sql(f"{ADD} boolean default true")

    assert rig.run().plan.operations == {"identify": 1}
    assert unsubscribed(rig, "p0") is True


def test_a_column_that_is_no_boolean_is_refused_only_where_the_sync_decides_by_it(rig: Rig) -> None:
    rig.make_mart(1)
    rig.sql(f"{ADD} varchar default 'yes'")
    rig.run()
    assert unsubscribed(rig, "p0") == "yes"

    with pytest.raises(MappingError, match=r"unsubscribed .* no boolean") as caught:
        rig.engine(unsubscribe_opted_out=True).extract("a", FULL)
    assert "CIO_OPTED_OUT" in str(caught.value)
