"""The verdict on a run in Dagster: a silent loss is named by a check, and the next run heals it."""

from __future__ import annotations

import dagster as dg
import pytest

from tests.people.project import ERASED, PUSH, Project, checks, failures, metadata, read_back, today

VERIFIED = dg.AssetKey(["customerio", "verified_profiles"])
ANOTHER_DAY = "2015-01-01"


def told(result: dg.ExecuteInProcessResult, name: str, asset: dg.AssetKey = VERIFIED) -> str:
    """A check's words."""
    [found] = [
        each
        for each in result.get_asset_check_evaluations()
        if each.check_name == name and each.asset_key == asset
    ]
    return found.description or ""


def test_a_silent_loss_is_named_by_the_check_and_healed_by_a_run_of_another_day(
    synced: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIO_READ_BACK_WAIT_SECONDS", "0")
    person = synced.rows(
        "select person_id from analytics.customerio_people where not opted_out and deleted_at is null "
        "and length(first_name) < 100 and email is not null order by 1"
    )[0][0]
    synced.rows(
        "update app.users set first_name = 'Renamed', updated_at = now()::timestamp "
        f"where user_id = '{person}'"
    )
    lost = {"kind": "unapplied", "ids": [person], "loss": "attribute", "attribute": "first_name"}
    synced.sandbox.set_faults([lost])

    run = synced.run(partition=today())

    assert run.success, failures(run)
    assert checks(run)["completeness"]
    assert not checks(run)["read_back"]
    assert checks(run)["applied"]
    assert checks(run)["ledger"]
    assert f"{person} first_name" in told(run, "read_back")
    verdict = metadata(run, VERIFIED)
    assert (verdict["verdict"], verdict["differing_people"]) == ("verified with differences", 1)
    [difference] = [record.data for record in verdict["first_differences"].records]
    assert (difference["person_id"], difference["attribute"]) == (person, "first_name")
    assert "Renamed" not in str(verdict)
    synced.sandbox.set_faults([])

    healed = synced.run(partition=ANOTHER_DAY)

    assert healed.success, failures(healed)
    assert metadata(healed, PUSH)["accepted"] == 1
    assert read_back(synced.sandbox)[person]["first_name"] == "Renamed"
    assert checks(healed)["read_back"]
    assert metadata(healed, VERIFIED)["verdict"] == "verified"


def test_a_workspace_without_an_app_key_is_a_warning_and_no_failure(
    synced: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUSTOMERIO_SITE_ID", synced.sandbox.options.site_id)
    monkeypatch.setenv("CUSTOMERIO_TRACK_API_KEY", synced.sandbox.options.track_api_key)
    synced.rows(
        "update app.users set plan = 'pro', updated_at = now()::timestamp where user_id = "
        "(select min(person_id) from analytics.customerio_people where not opted_out)"
    )
    monkeypatch.setenv("CUSTOMERIO_WORKSPACE", "sandbox:sandbox-site")

    run = synced.run(full=True, partition=today())

    assert run.success, failures(run)
    assert "CUSTOMERIO_APP_API_KEY" in told(run, "read_back")
    assert metadata(run, VERIFIED)["verdict"] == "not verifiable"
    assert told(run, "read_back", ERASED).startswith("Nothing was accepted")
