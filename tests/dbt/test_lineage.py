"""Column lineage read off the SQL that dbt compiles."""

from __future__ import annotations

import logging
import time
from copy import deepcopy
from typing import Any

import pytest

from cio_pipelines.lineage import LineageError, column_lineage, trace_model
from tests.dbt.conftest import NO_DATABASE, Dbt

DELIVERIES = "model.cio_pipelines.deliveries"
HISTORY = "snapshot.cio_pipelines.app_consent_history"
EVENTS = "source.cio_pipelines.customerio.webhook_events"
MART = "model.cio_pipelines.customerio_people"
USERS = "source.cio_pipelines.app.users"
ORDERS = "source.cio_pipelines.app.orders"


@pytest.fixture(scope="module")
def manifest(dbt: Dbt) -> dict[str, Any]:
    """Compiled without a warehouse, as the code location is built."""
    return dbt(NO_DATABASE, "compile").manifest


def models(manifest: dict[str, Any]) -> list[str]:
    return [unique_id for unique_id in manifest["nodes"] if unique_id.startswith("model.")]


def sources_of(manifest: dict[str, Any], unique_id: str, column: str) -> set[tuple[str, str]]:
    if unique_id.startswith("source.") or column.startswith("dbt_"):
        return {(unique_id, column)}
    origins = column_lineage(manifest, unique_id)[column]
    return {source for origin in origins for source in sources_of(manifest, *origin)}


def rewritten(manifest: dict[str, Any], sql: str) -> dict[str, Any]:
    changed = deepcopy(manifest)
    changed["nodes"][MART]["compiled_code"] = sql
    changed["nodes"][MART]["columns"] = {}
    return changed


def test_the_plan_comes_from_the_application_through_staging(manifest: dict[str, Any]) -> None:
    assert column_lineage(manifest, MART)["plan"] == [("model.cio_pipelines.stg_app__users", "plan")]
    assert sources_of(manifest, MART, "plan") == {(USERS, "plan")}


@pytest.mark.parametrize(
    ("column", "origins"),
    [
        ("person_id", {(USERS, "user_id")}),
        ("opted_out", {(USERS, "marketing_opt_in"), (USERS, "transactional_opt_in")}),
        (
            "updated_at",
            {
                *((USERS, "updated_at"), (USERS, "created_at"), (ORDERS, "ordered_at")),
                *((EVENTS, "loaded_at"), (HISTORY, "dbt_valid_from")),
            },
        ),
        ("deleted_at", {(USERS, "deleted_at")}),
        ("orders_count", {(ORDERS, "order_id")}),
        ("lifetime_value", {(ORDERS, "amount"), (ORDERS, "status")}),
    ],
)
def test_columns_reach_their_sources(
    manifest: dict[str, Any], column: str, origins: set[tuple[str, str]]
) -> None:
    assert sources_of(manifest, MART, column) == origins


@pytest.mark.parametrize(
    ("column", "origins"),
    [
        ("delivery_id", {"delivery_id"}),
        ("origin_id", {"broadcast_id", "newsletter_id", "transactional_message_id", "campaign_id"}),
        ("sent_at", {"metric", "event_at"}),
        ("machine_clicks", {"metric", "event", "event_id"}),
        ("loaded_at", {"loaded_at"}),
    ],
)
def test_what_became_of_messages_reaches_the_reported_events(
    manifest: dict[str, Any], column: str, origins: set[str]
) -> None:
    assert sources_of(manifest, DELIVERIES, column) == {(EVENTS, origin) for origin in origins}


@pytest.mark.parametrize("column", ["marketing_opt_in", "unsubscribed"])
def test_what_people_said_in_customerio_reaches_their_consent(manifest: dict[str, Any], column: str) -> None:
    found = sources_of(manifest, MART, column)

    assert {(EVENTS, "metric"), (EVENTS, "event_at"), (USERS, "marketing_opt_in")} <= found


def test_a_snapshot_is_traced_without_the_columns_that_dbt_adds(manifest: dict[str, Any]) -> None:
    traced = trace_model(manifest, HISTORY)

    assert traced.untraced == {}
    assert traced.columns["updated_at"] == (("model.cio_pipelines.stg_app__users", "updated_at"),)


CONSTANTS = {"model.cio_pipelines.customerio_events": {"name"}}
"""Columns that are made of no column."""


def test_every_column_of_every_model_is_traced(manifest: dict[str, Any]) -> None:
    for unique_id in models(manifest):
        traced = trace_model(manifest, unique_id)
        assert traced.untraced == {}
        assert list(traced.columns) == list(manifest["nodes"][unique_id]["columns"])
        assert {name for name, origins in traced.columns.items() if not origins} == CONSTANTS.get(
            unique_id, set()
        )


def test_origins_are_direct_parents(manifest: dict[str, Any]) -> None:
    for unique_id in models(manifest):
        parents = set(manifest["nodes"][unique_id]["depends_on"]["nodes"])
        origins = {node for found in column_lineage(manifest, unique_id).values() for node, _ in found}
        assert origins <= parents


def test_the_whole_project_takes_less_than_a_second(manifest: dict[str, Any]) -> None:
    started = time.perf_counter()
    for unique_id in models(manifest):
        column_lineage(rewritten(manifest, manifest["nodes"][unique_id]["compiled_code"] + " -- cold"), MART)

    assert time.perf_counter() - started < 1


def test_unions_and_subqueries_are_followed(manifest: dict[str, Any]) -> None:
    sql = """
    select email as a, (select max(amount) from memory.app.orders) as b from memory.app.users
    union all
    select last_name, 1 from memory.app.users
    """

    assert column_lineage(rewritten(manifest, sql), MART) == {
        "a": [(USERS, "email"), (USERS, "last_name")],
        "b": [(ORDERS, "amount")],
    }


def test_bigquery_names_are_understood(manifest: dict[str, Any]) -> None:
    changed = rewritten(manifest, "with u as (select * from `acme`.`app`.`users`) select u.plan from u")
    for node in (*changed["nodes"].values(), *changed["sources"].values()):
        if node.get("relation_name"):
            node["relation_name"] = node["relation_name"].replace('"memory"', '"acme"').replace('"', "`")

    assert column_lineage(changed, MART, dialect="bigquery") == {"plan": [(USERS, "plan")]}


def test_a_column_made_from_none_has_no_origin_and_is_not_untraced(manifest: dict[str, Any]) -> None:
    traced = trace_model(rewritten(manifest, "select 1 as a, count(*) as b from memory.app.users"), MART)

    assert traced.columns == {"a": (), "b": ()}
    assert traced.untraced == {}


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("with u as (select * from memory.app.users) select u.x from u", "no column x"),
        ("select x from elsewhere.app.users", "not in the manifest"),
        ("with u as (select * from elsewhere) select x from u", "does not declare"),
    ],
)
def test_what_cannot_be_traced_is_reported_and_kept(
    manifest: dict[str, Any], caplog: pytest.LogCaptureFixture, sql: str, reason: str
) -> None:
    changed = rewritten(manifest, sql)

    with caplog.at_level(logging.WARNING):
        assert column_lineage(changed, MART) == {"x": []}

    assert reason in trace_model(changed, MART).untraced["x"]
    assert MART in caplog.text
    assert reason in caplog.text


def test_a_declared_column_that_is_not_selected_is_reported(manifest: dict[str, Any]) -> None:
    changed = rewritten(manifest, "select plan from memory.app.users")
    changed["nodes"][MART]["columns"] = {"plan": {}, "colour": {}}

    assert "does not select it" in trace_model(changed, MART).untraced["colour"]


def test_a_model_that_is_not_compiled_is_an_error(manifest: dict[str, Any]) -> None:
    changed = deepcopy(manifest)
    del changed["nodes"][MART]["compiled_code"]

    with pytest.raises(LineageError, match="no compiled SQL"):
        column_lineage(changed, MART)


@pytest.mark.parametrize("sql", ["selec from where", "delete from memory.app.users"])
def test_what_is_no_query_is_an_error(manifest: dict[str, Any], sql: str) -> None:
    with pytest.raises(LineageError, match="cannot be read as duckdb"):
        column_lineage(rewritten(manifest, sql), MART)


def test_an_unknown_model_is_an_error(manifest: dict[str, Any]) -> None:
    with pytest.raises(LineageError, match=r"no model model\.nowhere"):
        column_lineage(manifest, "model.nowhere")
