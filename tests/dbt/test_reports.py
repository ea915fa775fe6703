"""From events in the landing zone to the marts of what Customer.io reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.dbt.company import Company
from tests.dbt.conftest import Dbt, execute
from tests.webhooks.event_shapes import Shapes, needs_document

BUILD = ("build", "--exclude", "int_people__consent+", "resource_type:unit_test", "--select")
REPORTS = (*BUILD, "stg_customerio__webhook_events+")
MESSAGE = {"campaign_id": 7, "action_id": 42, "recipient": "ada@example.com"}


@pytest.fixture
def company(tmp_path: Path) -> Company:
    return Company(tmp_path)


def test_marts_grow_with_what_is_reported_late_and_are_what_a_full_build_makes(
    dbt: Dbt, company: Company
) -> None:
    company.report(
        company.event("opened", "ada", 30, delivery_id="d1", prefetched=True, proxied=True, **MESSAGE),
        company.event("delivered", "ada", 20, delivery_id="d1", **MESSAGE),
        company.event("sent", "ada", 11, delivery_id="d2", **MESSAGE),
    )
    assert dbt(company.database, *REPORTS).success
    early, other = company.row("deliveries", delivery_id="d1"), company.row("deliveries", delivery_id="d2")
    assert (early["sent_at"], early["delivered_at"]) == (None, company.at(20))
    assert (early["machine_opened_at"], early["human_opened_at"]) == (company.at(30), None)

    company.report(
        company.event("clicked", "ada", 40, delivery_id="d1", machine=False, **MESSAGE),
        company.event("sent", "ada", 10, delivery_id="d1", **MESSAGE),
        company.event("opened", "ada", 40, delivery_id="d1", synthetic=True, **MESSAGE),
        company.event("bounced", "bob", 50, delivery_id="d3", failure_message="no such mailbox"),
        company.event("unsubscribed", "ada", 60, delivery_id="d1", **MESSAGE),
        company.event("unsubscribed", "ada", 60, object_type="customer", email_address="a@example.com"),
        company.event("teleported", None, 70, object_type="teleport", delivery_id="d4"),
    )
    assert dbt(company.database, *REPORTS).success

    late = company.row("deliveries", delivery_id="d1")
    assert [late[f"{name}_at"] for name in ("sent", "first_event", "last_event")] == [
        *(company.at(10), company.at(10), company.at(60))
    ]
    assert (late["human_opened_at"], late["human_clicked_at"]) == (company.at(40), company.at(40))
    assert (late["human_opens"], late["machine_opens"], late["human_clicks"]) == (1, 1, 1)
    assert (late["origin_kind"], late["origin_id"], late["person_id"]) == ("campaign", "7", "ada")
    assert late["loaded_at"] > early["loaded_at"]
    assert company.row("deliveries", delivery_id="d2") == other
    engagement = company.row("person_engagement", person_id="ada")
    assert (engagement["messages_sent"], engagement["last_opened_at"]) == (2, company.at(40))
    kinds = execute(company.database, "select kind, channel from analytics.consent_changes order by all")
    assert kinds == [("hard_bounce", "email"), ("unsubscribed", "email"), ("unsubscribed", None)]

    before = company.tables()
    assert dbt(company.database, *REPORTS).success
    assert company.tables() == before
    assert dbt(company.database, *REPORTS, "--full-refresh").success
    assert company.tables() == before


def test_deliveries_without_news_are_left_alone_and_old_ones_with_news_are_not(
    dbt: Dbt, company: Company
) -> None:
    select = (*BUILD, "stg_customerio__webhook_events", "deliveries")
    company.report(
        company.event("sent", "ada", 10, delivery_id="old", **MESSAGE),
        company.event("sent", "bob", 10, delivery_id="untouched", **MESSAGE),
    )
    execute(company.database, "update customerio.webhook_events set loaded_at = loaded_at - interval 30 day")
    dbt(company.database, *select)
    company.report(company.event("sent", "cyd", 20, delivery_id="new", **MESSAGE))
    dbt(company.database, *select)
    # a row that is built again loses it
    execute(company.database, "update analytics.deliveries set failure_reason = 'kept'")

    company.report(company.event("opened", "ada", 50, delivery_id="old", **MESSAGE))
    # by a machine whose clock is behind
    execute(
        company.database,
        "update customerio.webhook_events set loaded_at = loaded_at - interval 50 minute "
        "where metric = 'opened'",
    )
    dbt(company.database, *select)

    rows = execute(
        company.database,
        "select delivery_id, human_opens, failure_reason from analytics.deliveries order by delivery_id",
    )
    assert rows == [("new", 0, None), ("old", 1, None), ("untouched", 0, "kept")]


@needs_document
def test_every_shape_of_the_specification_is_built(dbt: Dbt, company: Company) -> None:
    shapes = Shapes()
    events: list[dict[str, Any]] = []
    for name in shapes.names:
        for made in shapes.events(name, seed=7):
            number = len(events)
            made |= {"event_id": f"01KAT{number:021d}", "timestamp": 1_764_000_000 + number}
            # the specification misspells it for changed preferences
            made.setdefault("object_type", "customer")
            if "delivery_id" in made["data"]:
                made["data"]["delivery_id"] = f"{name}-{number % 2}"
            events.append(made)
    company.report(*(json.dumps(made).encode() for made in events))

    assert dbt(company.database, *REPORTS).success

    def count(sql: str) -> int:
        return int(execute(company.database, f"select {sql}")[0][0])

    messages = [made for made in events if "delivery_id" in made["data"]]
    assert count("count(*) from analytics.stg_customerio__webhook_events") == len(events) == 69 * 8
    deliveries = len({made["data"]["delivery_id"] for made in messages})
    assert count("count(*) from analytics.deliveries") == deliveries
    assert count("sum(deliveries) from analytics.campaign_performance") == deliveries
    by_machines = [made for made in messages if made["metric"] == "clicked" and made["data"].get("machine")]
    assert count("sum(machine_clicks) from analytics.deliveries") == len(by_machines) > 0
    said = {"unsubscribed", "subscribed", "cio_subscription_preferences_changed", "spammed"}
    bounces = [made for made in events if (made["object_type"], made["metric"]) == ("email", "bounced")]
    assert count("count(*) from analytics.consent_changes") == len(bounces) + sum(
        made["metric"] in said for made in events
    )
    reasons = execute(
        company.database,
        "select event_id, failure_message from analytics.stg_customerio__webhook_events "
        "where metric = 'failed'",
    )
    failed = {made["event_id"]: made["data"] for made in events if made["metric"] == "failed"}
    assert dict(reasons) == {event: data.get("failure_message") for event, data in failed.items()}
