"""Every statement of the sync as BigQuery would get it: it compiles, and BigQuery's grammar takes it.

Recorded from real runs on DuckDB through the `Warehouse` protocol; nothing here talks to BigQuery.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import sqlglot
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import CompileError

import cio_pipelines
from cio_pipelines.sync.candidates import Mart
from cio_pipelines.sync.engine import PeopleSync
from cio_pipelines.sync.key import RunKey, SyncKey
from cio_pipelines.sync.mapping import read_mapping
from cio_pipelines.sync.specs import PEOPLE
from cio_pipelines.sync.state import sync_acks
from cio_pipelines.sync.windows import FULL, Window
from cio_pipelines.warehouse import conversions
from cio_pipelines.warehouse import functions as fn
from cio_pipelines.warehouse import json_functions as js
from tests.bigquery import BilledWarehouse, RecordingConnection, bigquery, check
from tests.golden import assert_golden
from tests.pruning import read_whole

from .rig import YEARS_AGO, Rig

MART = """
create or replace table analytics.customerio_people as select
    'p' || i as person_id, now()::timestamptz as updated_at, i = 3 as opted_out,
    case when i = 4 then now()::timestamp end as deleted_at,
    'p' || i || '@example.com' as email, i as number,
    (i / 3)::decimal(10, 2) as amount, (i / 3)::decimal(38, 9) as total, 0.5::decimal(2, 2) as part,
    i::double as ratio, true as flag, now()::timestamp as at, now()::date as day,
    [i::varchar] as tags, '{}'::json as doc
from range(6) as r(i)
"""


@pytest.fixture
def recorded(rig: Rig) -> list[str]:
    """All distinct statements of a life of a sync, as BigQuery's dialect writes them."""
    rig.sql(MART)
    statements: list[Any] = []
    warehouse = BilledWarehouse(rig.warehouse, lambda inner: RecordingConnection(inner, statements))
    real = rig.engine()

    def engine(**settings: Any) -> PeopleSync:
        return rig.engine(warehouse=warehouse, **settings)

    def run(window: Window) -> None:
        run_id = rig.new_id()
        each = engine()
        each.extract(run_id, window)
        each.plan(run_id)
        each.push(run_id)
        each.outcomes(run_id)

    with rig.faults({"kind": "reject", "ids": ["p1"]}):
        for window in (FULL, YEARS_AGO, YEARS_AGO, FULL):
            run(window)
    rig.sql("update analytics.customerio_people set email = 'a@example.com' where person_id > 'p3'")
    rig.sql("update analytics.customerio_people set opted_out = not opted_out, number = null")
    run(FULL)
    run(FULL)
    each = engine(retention_days=0)
    each.replay(["p1"])
    each.replay()
    each.letters(3)
    each.preview("run-1")
    each.summary("run-1")
    each.plan_erasure("e")
    each.push("e")
    each.extract("e", FULL)
    assert real.letters() == each.letters()
    return sorted({bigquery(statement) for statement in statements})


def test_every_statement_of_the_sync_is_good_bigquery(recorded: list[str]) -> None:
    assert len(recorded) > 50
    for text in recorded:
        check(text)


PARTITIONED = {
    "analytics.customerio_people": "updated_at",
    "customerio_sync.sync_plan": "run_date",
    "customerio_sync.sync_acks": "run_date",
    "customerio_sync.sync_log": "run_date",
}


@pytest.fixture
def scheduled(rig: Rig) -> list[str]:
    """All distinct statements of three runs of a schedule, in two of which somebody is left open."""
    rig.sql(MART.replace("now()::timestamptz as updated_at", "now()::timestamp as updated_at"))
    statements: list[Any] = []
    warehouse = BilledWarehouse(rig.warehouse, lambda inner: RecordingConnection(inner, statements))
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    window = Window(today, today + timedelta(days=1))
    rig.run()  # makes the tables
    with rig.faults({"kind": "reject", "ids": ["p1"]}):
        for change in ("number = 7", "opted_out = true", "opted_out = false"):
            rig.sql(f"update analytics.customerio_people set {change} where person_id <> 'p3'")
            engine = rig.engine(warehouse=warehouse, retention_days=0)
            run_id = rig.new_id()
            engine.extract(run_id, window)
            engine.plan(run_id)
            assert engine.push(run_id).outcomes.complete
    return sorted({bigquery(statement) for statement in statements})


GOLDEN = Path(__file__).with_name("golden")


def test_plan_and_merge_are_these(scheduled: list[str]) -> None:
    plans = [text for text in scheduled if text.startswith("INSERT INTO `customerio_sync`.`sync_plan`")]
    plan = min((text for text in plans if "`mart`" in text), key=len)  # nobody was left open
    [merge] = [text for text in scheduled if text.startswith("MERGE")]
    assert_golden(GOLDEN / "plan.sql", plan)
    assert_golden(GOLDEN / "merge.sql", merge)


def test_a_scheduled_run_reads_only_the_partitions_that_it_is_about(scheduled: list[str]) -> None:
    whole = {text: read for text in scheduled if (read := read_whole(text, PARTITIONED))}
    mart = {"analytics.customerio_people"}
    # Whether two people share an e-mail can only be seen by looking at everybody's.
    shared = [text for text, read in whole.items() if "lower(" in text and read == mart]
    # Whoever was left open is looked up by the id, by which the mart is clustered.
    named = [text for text, read in whole.items() if "`person_id` IN UNNEST" in text and read == mart]
    assert len(shared) == 1
    assert named
    assert whole.keys() == {*shared, *named}, "\n\n".join(whole.keys() - {*shared, *named})
    assert len(scheduled) > 40


def test_a_statement_that_forgets_the_day_would_be_found() -> None:
    key = SyncKey("w", "people")
    without = sa.select(sync_acks.c.person_id).where(key.owns(sync_acks), sync_acks.c.run_id == "r")
    assert read_whole(bigquery(without), PARTITIONED) == {"customerio_sync.sync_acks"}
    run = RunKey(key, "r", date(2026, 11, 25))
    assert not read_whole(bigquery(sa.select(sync_acks.c.person_id).where(run.owns(sync_acks))), PARTITIONED)


def test_every_table_of_the_state_can_be_created_in_bigquery(recorded: list[str]) -> None:
    created = [text for text in recorded if text.strip().startswith("CREATE TABLE")]
    assert len(created) >= 8
    for text in created:
        assert not re.search(r"\b(VARCHAR|BIGINT|DOUBLE)\b", text), text


CANDIDATES = """
SELECT CAST(`customerio_people`.`person_id` AS STRING) AS `person_id`,
 CAST(`customerio_people`.`updated_at` AS TIMESTAMP) AS `updated_at`,
 coalesce(`customerio_people`.`opted_out`, false) AS `opted_out`,
 @p || IFNULL(ARRAY_TO_STRING([@p || CAST(`customerio_people`.`amount` AS STRING),
 @p || CAST(UNIX_SECONDS(CAST(`customerio_people`.`at` AS TIMESTAMP)) AS STRING),
 @p || NULLIF(TO_JSON_STRING(CAST(`customerio_people`.`email` AS STRING)), 'null')], ','), '') || @p
 AS `attributes`,
 CASE WHEN (CAST(`customerio_people`.`person_id` AS STRING) = @p) THEN @p
 WHEN (BYTE_LENGTH(CAST(`customerio_people`.`person_id` AS STRING)) > @p) THEN @p
 WHEN (`customerio_people`.`amount` IS NULL AND FALSE) THEN @p
 WHEN (`customerio_people`.`at` IS NULL AND FALSE) THEN @p
 WHEN (BYTE_LENGTH(CAST(`customerio_people`.`email` AS STRING)) > @p) THEN @p END AS `fault_field`,
 CASE WHEN (CAST(`customerio_people`.`person_id` AS STRING) = @p) THEN @p
 WHEN (BYTE_LENGTH(CAST(`customerio_people`.`person_id` AS STRING)) > @p) THEN @p
 WHEN (`customerio_people`.`amount` IS NULL AND FALSE) THEN @p
 WHEN (`customerio_people`.`at` IS NULL AND FALSE) THEN @p
 WHEN (BYTE_LENGTH(CAST(`customerio_people`.`email` AS STRING)) > @p) THEN @p END AS `fault_reason`
FROM `analytics`.`customerio_people`
WHERE `customerio_people`.`deleted_at` IS NULL
 AND CAST(`customerio_people`.`updated_at` AS TIMESTAMP) >= @p
 AND CAST(`customerio_people`.`updated_at` AS TIMESTAMP) < @p
"""


def test_the_candidates_query_is_this_on_bigquery() -> None:
    columns: dict[str, sa.types.TypeEngine[Any]] = {
        "person_id": sa.String(),
        "updated_at": sa.TIMESTAMP(timezone=True),
        "opted_out": sa.Boolean(),
        "deleted_at": sa.TIMESTAMP(),
        "email": sa.String(),
        "amount": sa.Numeric(10, 2),
        "at": sa.TIMESTAMP(),
    }
    mart = Mart(PEOPLE, read_mapping(PEOPLE, columns, unsubscribes=False), updated_at_has_zone=True)
    text = bigquery(mart.candidates(mart.within(YEARS_AGO)))

    def canonical(sql: str) -> str:
        return sqlglot.parse_one(sql, dialect="bigquery").sql(dialect="bigquery", pretty=True)

    assert canonical(text) == canonical(CANDIDATES)


FUNCTIONS = [
    each
    for module in (fn, conversions, js)
    for each in vars(module).values()
    if isinstance(each, type)
    and issubclass(each, fn.Dialected)
    and each is not fn.Dialected
    and each.__module__ == module.__name__
]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_a_function_is_written_for_all_engines_and_fails_for_others_at_compile_time(function: Any) -> None:
    assert function.templates.keys() == {"duckdb", "bigquery", "postgresql"}
    call = function(sa.column("a"), sa.cast(sa.column("b"), sa.Integer))
    sqlglot.parse_one(bigquery(sa.select(call)), dialect="bigquery")
    sa.select(call).compile(dialect=postgresql.dialect())
    with pytest.raises(CompileError, match="sqlite"):
        sa.select(call).compile(dialect=sqlite.dialect())


DIALECTED = re.compile(
    r"\b(to_json|TO_JSON_STRING|epoch_us|strlen|BYTE_LENGTH|md5|MD5|concat_ws|ARRAY_TO_STRING|isfinite|isinf|"
    r"IS_NAN|json_keys|json_extract\w*|JSON_VALUE|TRY_CAST|regexp_\w+|sa\.text|literal_column|dialect\.name)\b"
)


def test_only_the_modules_of_functions_know_what_engines_spell_differently() -> None:
    package = Path(cio_pipelines.__file__).parent
    rings = ("sync", "warehouse", "landing", "webhooks", "exports", "moving")
    files = [file for ring in rings for file in package.glob(f"{ring}/*.py")]
    knowing = {
        path.name
        for path in files
        for line in path.read_text(encoding="utf-8").splitlines()
        if DIALECTED.search(line.partition("#")[0])
    }
    known = {"functions.py", "conversions.py", "json_functions.py", "postgresql_json.py"}
    assert knowing == known | ({"duckdb.py"} & knowing)


def test_the_library_knows_no_orchestrator() -> None:
    package = Path(cio_pipelines.__file__).parent
    for path in [*package.glob("sync/*.py"), *package.glob("warehouse/*.py")]:
        assert "import dagster" not in path.read_text(encoding="utf-8"), path.name
