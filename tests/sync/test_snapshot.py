"""Promises 2 and 3: the snapshot moves for accepted rows only, and what is unchanged costs nothing."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo

import pytest

from .rig import Rig


def snapshot(rig: Rig) -> dict[str, str]:
    return dict(rig.state("select person_id, attributes from synced_people"))  # type: ignore[arg-type]


def test_the_snapshot_holds_what_was_accepted_and_nothing_of_what_was_not(rig: Rig) -> None:
    rig.make_mart(10)
    rig.run()
    before = snapshot(rig)
    rig.sql("update analytics.customerio_people set plan = 'pro', updated_at = now()::timestamp")
    with rig.faults({"kind": "reject", "ids": ["p2"]}):
        rig.run()
    after = snapshot(rig)
    assert after["p2"] == before["p2"]
    assert all('"plan":"pro"' in text for person, text in after.items() if person != "p2")


def test_what_is_recorded_is_what_was_hashed_and_sent(rig: Rig) -> None:
    rig.make_mart(3)
    rig.run()
    recorded = rig.state("select attributes, attributes_hash, md5(attributes) from synced_people")
    assert {text for text, _, _ in recorded} == {
        f'{{"email":"p{i}@example.com","first_name":"Ann","plan":"free"}}' for i in range(3)
    }
    assert all(kept == anew for _, kept, anew in recorded)


def test_a_second_run_right_after_the_first_makes_no_request_at_all(rig: Rig) -> None:
    rig.make_mart(100)
    rig.run()
    rig.sandbox.reset()
    ran = rig.run()
    assert (ran.plan.extracted, ran.plan.unchanged, ran.plan.planned) == (100, 100, 0)
    assert ran.report.requests == ran.report.bytes_sent == 0
    assert rig.sandbox.stats()["requests"] == 0
    assert rig.sandbox.operations() == []


def test_only_changed_rows_are_sent_again(rig: Rig) -> None:
    rig.make_mart(100)
    rig.run()
    rig.sandbox.reset()
    rig.change("p7", "plan = 'pro'")
    ran = rig.run()
    assert (ran.plan.whys, ran.plan.unchanged) == ({"changed": 1}, 99)
    assert rig.sent() == {"p7": 1}


def test_null_is_sent_only_for_an_attribute_that_had_a_value(rig: Rig) -> None:
    rig.make_mart(2)
    rig.change("p0", "first_name = null")
    rig.run()
    assert snapshot(rig)["p0"] == '{"email":"p0@example.com","plan":"free"}'
    rig.change("p0", "plan = 'pro'")
    rig.change("p1", "plan = null")
    rig.run()
    planned = dict(rig.state("select person_id, removals from sync_plan where why = 'changed'"))  # type: ignore[arg-type]
    assert planned == {"p0": "", "p1": '"plan":null'}
    assert rig.profile("p1") == {"email": "p1@example.com", "first_name": "Ann"}
    rig.sandbox.reset()
    rig.change("p1", "first_name = 'Bo'")
    rig.run()
    assert rig.state("select removals from sync_plan where attributes like '%Bo%'") == [("",)]


def test_a_person_whose_attributes_all_become_null_loses_them(rig: Rig) -> None:
    rig.make_mart(1)
    rig.run()
    rig.change("p0", "email = null, first_name = null, plan = null")
    rig.run()
    assert rig.profile("p0") == {}
    assert rig.run().plan.planned == 0


def test_the_json_value_null_is_no_value(rig: Rig) -> None:
    rig.make_mart(1)
    rig.sql("alter table analytics.customerio_people add column doc json default 'null'")
    rig.run()
    assert "doc" not in snapshot(rig)["p0"]
    rig.change("p0", "doc = '[1]'")
    rig.run()
    rig.change("p0", "doc = 'null'")
    rig.run()
    assert rig.state("select removals from sync_plan where removals <> ''") == [('"doc":null',)]
    assert "doc" not in (rig.profile("p0") or {"doc": "still"})


def test_a_removal_that_was_refused_is_tried_again(rig: Rig) -> None:
    rig.make_mart(1)
    rig.run()
    rig.change("p0", "plan = null")
    with rig.faults({"kind": "reject"}):
        rig.run()
    rig.run()
    assert "plan" not in (rig.profile("p0") or {"plan": "still"})


def test_a_dropped_column_is_removed_once_and_announced(rig: Rig) -> None:
    rig.make_mart(3)
    rig.change("p1", "plan = null")
    rig.run()
    rig.sql("alter table analytics.customerio_people drop plan")
    ran = rig.run()
    assert ran.plan.mapping_change.removed == ("plan",)
    assert str(ran.plan.mapping_change) == "removed: plan"
    assert ran.plan.whys == {"mapping": 2}  # p1 had no plan: nothing of theirs changes
    assert all("plan" not in profile for profile in rig.profiles().values())
    again = rig.run()
    assert again.plan.planned == 0
    assert again.plan.mapping_change.is_empty


def test_a_new_column_is_announced_and_guarded_apart_from_changes_of_data(rig: Rig) -> None:
    from cio_pipelines.sync.guards import Approvals, GuardLimits, Limits

    few = GuardLimits(Limits(0.3, 2), Limits(0.3, 2), Limits(0.3, 2))
    rig.make_mart(10)
    rig.run(guards=few)
    rig.sql("alter table analytics.customerio_people add column score integer default 7")
    stopped = rig.plan(guards=few)
    assert stopped.blocked
    assert [verdict.name for verdict in stopped.verdicts if not verdict.passed] == ["mapping_change"]
    assert stopped.mapping_change.added == ("score",)
    assert "score" in str(stopped.mapping_change)
    assert rig.plan(guards=few, approvals=Approvals(changed=True)).blocked
    ran = rig.run(guards=few, approvals=Approvals(mapping=True))
    assert ran.plan.whys == {"mapping": 10}
    assert {profile["score"] for profile in rig.profiles().values()} == {7}


def test_the_order_of_columns_does_not_matter(rig: Rig) -> None:
    rig.make_mart(5)
    rig.run()
    rig.sql(
        """create or replace table analytics.customerio_people as
        select plan, first_name, deleted_at, person_id, email, updated_at, opted_out
        from analytics.customerio_people"""
    )
    ran = rig.run()
    assert ran.plan.planned == 0
    assert ran.plan.mapping_change.is_empty


def test_a_column_that_changes_type_shows_as_retyped_and_is_sent_in_the_new_type(rig: Rig) -> None:
    rig.make_mart(2)
    rig.sql("update analytics.customerio_people set plan = '12'")
    rig.run()
    assert (rig.profile("p0") or {})["plan"] == "12"
    rig.sql("alter table analytics.customerio_people alter plan type integer")
    ran = rig.run()
    assert ran.plan.mapping_change.retyped == ("plan",)
    assert ran.plan.whys == {"mapping": 2}
    assert (rig.profile("p0") or {})["plan"] == 12


def test_a_type_that_writes_the_same_json_changes_nobody(rig: Rig) -> None:
    rig.make_mart(2)
    rig.sql("alter table analytics.customerio_people add column age smallint default 40")
    rig.run()
    rig.sql("alter table analytics.customerio_people alter age type bigint")
    assert rig.run().plan.planned == 0


def test_after_a_full_sync_people_whom_a_new_mapping_left_alone_are_of_that_mapping(rig: Rig) -> None:
    rig.make_mart(4)
    rig.run()
    rig.sql("alter table analytics.customerio_people add column note varchar")
    with rig.faults({"kind": "reject", "ids": ["p3"]}):
        rig.change("p3", "plan = 'pro'")
        ran = rig.run()
    assert ran.plan.whys == {"mapping": 1}
    versions = dict(rig.state("select person_id, mapping_version from synced_people"))  # type: ignore[arg-type]
    assert versions["p0"] == versions["p1"] == versions["p2"] == ran.plan.mapping_version
    assert versions["p3"] != ran.plan.mapping_version
    rig.change("p1", "note = 'hello'")
    assert rig.run().plan.whys == {"changed": 1, "mapping": 1}


def test_rows_that_change_while_the_run_goes_on_are_sent_by_the_next(rig: Rig) -> None:
    rig.make_mart(3)
    engine = rig.engine()
    from cio_pipelines.sync.windows import FULL

    engine.extract("a", FULL)
    engine.plan("a")
    rig.change("p1", "plan = 'pro'")
    engine.push("a")
    assert (rig.profile("p1") or {})["plan"] == "free"
    assert rig.run().plan.whys == {"changed": 1}
    assert (rig.profile("p1") or {})["plan"] == "pro"


def test_state_is_kept_apart_by_workspace(rig: Rig) -> None:
    rig.make_mart(3)
    rig.run(workspace="sandbox")
    assert rig.run(workspace="production").plan.whys == {"new": 3}
    assert rig.run(workspace="sandbox").plan.planned == 0


def test_any_column_name_is_an_attribute_of_that_name(rig: Rig) -> None:
    names = ["attributes", "operation", "run_id", "m", 'a"b', "50%", "a:b", "ключ 名", "back\\slash", "tab\t"]
    rig.make_mart(2)
    quoted = ['"' + name.replace('"', '""') + '"' for name in names]
    rig.sql(
        "".join(
            f"alter table analytics.customerio_people add column {n} varchar default 'x';" for n in quoted
        )
    )
    rig.run()
    assert dict.fromkeys(names, "x").items() <= (rig.profile("p1") or {}).items()
    rig.sql(f"update analytics.customerio_people set {', '.join(f'{name} = null' for name in quoted)}")
    rig.run()
    assert not set(names) & (rig.profile("p1") or dict.fromkeys(names)).keys()


def test_what_changes_after_the_clock_went_back_arrives_all_the_same(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ahead(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(hours=1)

    rig.make_mart(3)
    with monkeypatch.context() as clock:
        clock.setattr("cio_pipelines.sync.runs.datetime", Ahead)
        rig.run()
    rig.change("p1", "plan = 'max'")
    rig.run()
    assert (rig.profile("p1") or {})["plan"] == "max"
