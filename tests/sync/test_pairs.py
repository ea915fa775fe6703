"""Consent and erasure: pairs of operations in acknowledged order, and who is left alone."""

from __future__ import annotations

from cio_pipelines.sync.reports import Outcomes

from .rig import YEARS_AGO, Rig


def states(rig: Rig) -> dict[str, str]:
    return dict(rig.state("select person_id, state from synced_people"))  # type: ignore[arg-type]


def opted_out_and_back(rig: Rig, people: int = 3) -> None:
    """Everybody synced, then p1 suppressed and opted in again, with nothing sent about that yet."""
    rig.make_mart(people)
    rig.run()
    rig.change("p1", "opted_out = true")
    rig.run()
    rig.change("p1", "opted_out = false")
    rig.sandbox.set_faults([])


def test_who_opts_out_of_everything_is_suppressed_once(rig: Rig) -> None:
    rig.make_mart(3)
    rig.run()
    rig.change("p1", "opted_out = true")
    ran = rig.run()
    assert ran.plan.operations == {"suppress": 1}
    assert ran.plan.whys == {"opted_out": 1}
    assert rig.sandbox.people()["p1"]["suppressed"] is True
    assert states(rig) == {"p0": "identified", "p1": "suppressed", "p2": "identified"}
    rig.change("p1", "plan = 'pro'")
    assert rig.run().plan.planned == 0


def test_who_was_never_synced_and_opted_out_is_suppressed_and_never_identified(rig: Rig) -> None:
    rig.make_mart(2)
    rig.change("p1", "opted_out = true")
    rig.run()
    assert rig.log().count(("suppress", "p1", "accepted")) == 1
    assert rig.profiles().keys() == {"p0"}


def test_an_attribute_that_is_too_long_does_not_keep_anybody_from_opting_out(rig: Rig) -> None:
    rig.make_mart(2)
    rig.change("p1", "opted_out = true, plan = repeat('x', 5000), first_name = repeat('é', 600)")
    ran = rig.run()
    assert ran.outcomes == Outcomes(2, 2, 0, 0, 0, 0)
    assert states(rig)["p1"] == "suppressed"


def test_unknown_consent_is_no_opt_out(rig: Rig) -> None:
    rig.make_mart(2)
    rig.change("p1", "opted_out = null")
    rig.run()
    assert states(rig) == {"p0": "identified", "p1": "identified"}


def test_a_mart_without_consent_and_tombstones_is_fine(rig: Rig) -> None:
    rig.make_mart(2)
    for column in ("opted_out", "deleted_at"):
        rig.sql(f"alter table analytics.customerio_people drop {column}")
    rig.run()
    assert rig.profiles().keys() == {"p0", "p1"}
    assert rig.erase().plan.planned == 0


def test_unsuppress_is_acknowledged_before_identify_is_sent(rig: Rig) -> None:
    opted_out_and_back(rig, people=1200)
    rig.sql("update analytics.customerio_people set opted_out = true, updated_at = now()::timestamp")
    rig.run()
    rig.sql("update analytics.customerio_people set opted_out = false, updated_at = now()::timestamp")
    rig.sandbox.reset()
    ran = rig.run()
    assert ran.plan.operations == {"unsuppress": 1200, "identify": 1200}
    assert ran.plan.whys == {"returned": 1200}
    assert ran.plan.planned == ran.outcomes.accepted == 2400
    actions = [action for action, _, _ in rig.log()]
    assert actions == ["unsuppress"] * 1200 + ["identify"] * 1200
    assert len(rig.profiles()) == 1200
    assert rig.run().plan.planned == 0


def test_identify_waits_while_unsuppress_is_refused_and_both_follow_later(rig: Rig) -> None:
    opted_out_and_back(rig)
    rig.change("p2", "plan = 'pro'")
    rig.sandbox.reset()
    with rig.faults({"kind": "reject", "ids": ["p1"]}):
        ran = rig.run()
    assert rig.log() == [("unsuppress", "p1", "rejected"), ("identify", "p2", "accepted")]
    assert ran.outcomes == Outcomes(planned=3, accepted=1, rejected=1, quarantined=0, due=1, unaccounted=0)
    assert rig.state("select person_id, operation, outcome, attempts from open_people") == [
        ("p1", "unsuppress", "rejected", 1)
    ]
    assert states(rig)["p1"] == "suppressed"
    after = rig.run(YEARS_AGO)
    assert after.outcomes.accepted == 2
    assert states(rig)["p1"] == "identified"
    assert rig.profile("p1") is not None


def test_an_unsuppress_refused_three_times_is_one_dead_letter_and_costs_no_more(rig: Rig) -> None:
    opted_out_and_back(rig)
    with rig.faults({"kind": "reject", "ids": ["p1"]}):
        for _ in range(3):
            rig.run()
        rig.sandbox.reset()
        ran = rig.run()
    assert (ran.plan.planned, ran.plan.left_alone) == (0, 1)
    assert [(x.person_id, x.operation, x.attempts) for x in rig.engine().letters()] == [
        ("p1", "unsuppress", 3)
    ]
    assert rig.engine().replay() == 1
    assert rig.run(YEARS_AGO).outcomes.accepted == 2
    assert rig.profile("p1") is not None


def test_who_is_unblocked_but_not_identified_is_identified_by_the_next_run(rig: Rig) -> None:
    opted_out_and_back(rig)
    rig.sandbox.reset()
    # p1's first operation passes, the second is refused.
    with rig.faults({"kind": "reject", "ids": ["p1"], "after": 1}):
        ran = rig.run()
    assert ran.outcomes == Outcomes(2, 1, 1, 0, 0, 0)
    assert "p1" not in states(rig)
    after = rig.run(YEARS_AGO)
    assert after.plan.operations == {"identify": 1}
    assert states(rig)["p1"] == "identified"


def test_who_opts_out_again_before_the_identify_was_accepted_is_suppressed(rig: Rig) -> None:
    opted_out_and_back(rig)
    with rig.faults({"kind": "reject", "ids": ["p1"], "after": 1}):
        rig.run()
    rig.change("p1", "opted_out = true")
    assert rig.run().plan.operations == {"suppress": 1}
    assert states(rig)["p1"] == "suppressed"


def test_opting_out_may_set_unsubscribed_instead(rig: Rig) -> None:
    rig.defaults["unsubscribe_opted_out"] = True
    rig.make_mart(2)
    rig.change("p1", "opted_out = true")
    ran = rig.run()
    assert ran.plan.operations == {"identify": 2}
    # absence is subscribed; `false` would subscribe again who unsubscribed there
    assert "unsubscribed" not in (rig.profile("p0") or {})
    assert (rig.profile("p1") or {})["unsubscribed"] is True
    rig.change("p1", "opted_out = false")
    rig.run()
    assert "unsubscribed" not in (rig.profile("p1") or {})


def test_people_suppressed_before_are_taken_back_when_opting_out_only_unsubscribes(rig: Rig) -> None:
    rig.make_mart(2)
    rig.change("p1", "opted_out = true")
    rig.run()
    ran = rig.run(unsubscribe_opted_out=True)
    assert ran.plan.operations == {"unsuppress": 1, "identify": 1}
    assert (rig.profile("p1") or {})["unsubscribed"] is True


# erasure


def erased(rig: Rig) -> None:
    """p0 … p4 synced, p1 and p2 erased."""
    rig.make_mart(5)
    rig.run()
    rig.change("p1", "deleted_at = now()::timestamp")
    rig.change("p2", "deleted_at = now()::timestamp")
    rig.sandbox.reset()
    rig.erase()


def test_a_tombstone_leads_to_suppress_and_then_delete(rig: Rig) -> None:
    erased(rig)
    log = rig.log()
    assert [action for action, _, _ in log] == ["suppress", "suppress", "delete", "delete"]
    assert {person for _, person, _ in log} == {"p1", "p2"}
    assert states(rig) | {"p0": ""} == {
        **dict.fromkeys(["p3", "p4"], "identified"),
        "p0": "",
        "p1": "deleted",
        "p2": "deleted",
    }
    assert rig.erase().plan.planned == 0


def test_who_is_erased_by_two_operations_is_counted_once(rig: Rig) -> None:
    rig.make_mart(3)
    rig.run()
    rig.change("p1", "deleted_at = now()::timestamp")
    ran = rig.erase()
    summary = rig.engine().summary(ran.plan.run_id)
    assert (summary.outcomes.planned, summary.whys) == (2, {"tombstone": 1})
    assert ran.plan.whys == summary.whys


def test_the_people_sync_leaves_tombstones_to_the_erasure(rig: Rig) -> None:
    rig.make_mart(3)
    rig.change("p1", "deleted_at = now()::timestamp")
    ran = rig.run()
    assert (ran.plan.tombstoned, ran.plan.planned) == (1, 2)
    assert "p1" not in rig.profiles()


def test_nothing_of_an_erased_person_stays(rig: Rig) -> None:
    rig.make_mart(3)
    rig.change("p1", "email = 'unforgettable@example.com'")
    rig.run()
    rig.change("p1", "plan = repeat('x', 2000)")
    rig.run()
    assert [letter.person_id for letter in rig.engine().letters()] == ["p1"]
    rig.change("p1", "deleted_at = now()::timestamp, email = null")
    rig.erase()
    tables = rig.sql(
        "select table_name from information_schema.tables where table_schema = 'customerio_sync'"
    )
    for (table,) in tables:
        assert "unforgettable" not in str(rig.state(f"select * from {table}")), table
    assert rig.engine().letters() == []
    assert rig.state("select attributes from sync_plan where person_id = 'p1'") == [(None,)] * 4
    assert rig.state("select count(*) from sync_plan where attributes like '%p0@example.com%'") == [(1,)]


def test_delete_waits_while_suppress_is_refused(rig: Rig) -> None:
    rig.make_mart(2)
    rig.run()
    rig.change("p1", "deleted_at = now()::timestamp")
    rig.sandbox.reset()
    with rig.faults({"kind": "reject", "ids": ["p1"]}):
        ran = rig.erase()
    assert rig.log() == [("suppress", "p1", "rejected")]
    assert ran.outcomes == Outcomes(2, 0, 1, 0, 1, 0)
    assert "@" in str(rig.state("select attributes from sync_plan where person_id = 'p1'"))
    rig.run()  # a people sync in between neither sends nor forgets anything of it
    assert rig.log() == [("suppress", "p1", "rejected")]
    assert rig.erase().outcomes.accepted == 2
    assert states(rig)["p1"] == "deleted"


def test_a_delete_refused_after_its_suppress_is_sent_alone_by_the_next_erasure(rig: Rig) -> None:
    rig.make_mart(2)
    rig.run()
    rig.change("p1", "deleted_at = now()::timestamp")
    with rig.faults({"kind": "reject", "ids": ["p1"], "after": 1}):
        rig.erase()
    assert states(rig)["p1"] == "suppressed"
    rig.sandbox.reset()
    rig.erase()
    assert [entry[:2] for entry in rig.log()] == [("delete", "p1")]
    assert states(rig)["p1"] == "deleted"


def test_an_erasure_refused_three_times_is_a_dead_letter_that_can_be_replayed(rig: Rig) -> None:
    rig.make_mart(2)
    rig.run()
    rig.change("p1", "deleted_at = now()::timestamp")
    with rig.faults({"kind": "reject", "ids": ["p1"]}):
        reports = [rig.erase() for _ in range(3)]
        assert reports[-1].report.dead_letters == 1
        last = rig.erase()
    assert (last.plan.planned, last.plan.left_alone) == (0, 1)
    assert rig.engine().replay() == 1
    assert rig.erase().outcomes.accepted == 2


def test_refusals_of_an_opt_out_do_not_count_against_the_erasure(rig: Rig) -> None:
    rig.make_mart(2)
    rig.run()
    rig.change("p1", "opted_out = true")
    with rig.faults({"kind": "reject", "ids": ["p1"]}):
        rig.run()
        rig.run()
        rig.change("p1", "deleted_at = now()::timestamp")
        rig.erase()
    assert rig.engine().letters() == []
    assert rig.state("select attempts from open_people") == [(1,)]


def test_who_returns_after_an_erasure_is_new_and_is_identified(rig: Rig) -> None:
    erased(rig)
    rig.change("p1", "deleted_at = null, plan = 'pro'")
    rig.sandbox.reset()
    ran = rig.run()
    assert ran.plan.operations == {"unsuppress": 1, "identify": 1}
    assert rig.state("select removals from sync_plan where why = 'returned' and operation = 'identify'") == [
        (None,)
    ]
    assert [entry[0] for entry in rig.log()] == ["unsuppress", "identify"]
    assert rig.profile("p1") == {"email": "p1@example.com", "first_name": "Ann", "plan": "pro"}
    assert states(rig)["p1"] == "identified"


def test_who_is_merely_absent_is_left_alone_and_counted(rig: Rig) -> None:
    rig.make_mart(4)
    rig.run()
    rig.sql("delete from analytics.customerio_people where person_id in ('p1', 'p2')")
    rig.sandbox.reset()
    ran = rig.run()
    assert (ran.plan.planned, ran.plan.absent) == (0, 2)
    assert rig.erase().plan.planned == 0
    assert rig.log() == []
    assert rig.run(YEARS_AGO).plan.absent is None


def test_an_id_that_cannot_be_sent_is_quarantined_from_erasure_too(rig: Rig) -> None:
    rig.make_mart(1)
    rig.sql(
        "update analytics.customerio_people set person_id = repeat('x', 151), deleted_at = now()::timestamp"
    )
    ran = rig.erase()
    assert ran.outcomes == Outcomes(2, 0, 0, 2, 0, 0)
    assert rig.sandbox.operations() == []
    assert rig.erase().plan.left_alone == 1
