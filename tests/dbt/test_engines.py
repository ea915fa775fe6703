"""The models on PostgreSQL and on BigQuery's stand-in: row by row what DuckDB makes of the same tables.

Two builds each, of which the second finds tables that are there. What the stand-in cannot do:

- create a table by a list of columns and a query at once, as an enforced contract asks for: its copy of the
  project enforces none, and a test looks at those statements instead.
- leave out partitions, or count bytes: tests look at all statements of a build for that.
"""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from sqlglot import exp

from cio_pipelines.dbt import PROJECT_DIR
from cio_pipelines.dbt_build import without_values
from cio_pipelines.lineage import trace_model
from tests.dbt.conftest import Dbt, execute
from tests.dbt.engines import BigQueryTarget, Built, PostgreSQLTarget, Row, Target, comparable, run_dbt
from tests.dbt.story import Story
from tests.emulators import Emulator
from tests.postgres import Postgres
from tests.pruning import read_whole

BUILD = ("build", "--exclude-resource-type", "unit_test")
MODELS = (
    *("stg_app__users", "stg_app__orders", "stg_customerio__webhook_events"),
    *("int_people__orders", "int_people__consent", "customerio_people", "customerio_events"),
    *("deliveries", "consent_changes", "person_engagement", "campaign_performance"),
    "customerio_win_back_recipients",
)
HISTORY = "app_consent_history"
NOTICED = "turned"
"""Whose answer changed between the builds: the row is as new as the build that noticed."""
BUILT_LATE = ("int_people__consent", "customerio_people")

PARTITIONED = {
    "customerio.webhook_events": "event_date",
    "models.stg_customerio__webhook_events": "event_date",
    "models.deliveries": "first_event_at",
    "models.consent_changes": "changed_at",
}
READ_WHOLE = {
    # sums over all time
    "person_engagement": {"models.deliveries"},
    "campaign_performance": {"models.deliveries"},
    # one column, the key
    "unique_deliveries_delivery_id": {"models.deliveries"},
    # of all events few are about consent
    "int_people__consent": {"models.consent_changes"},
    "unique_consent_changes_event_id": {"models.consent_changes"},
}
"""What reads a whole table in every build, and why it may."""

# what the grammar takes and BigQuery does not
FOREIGN = re.compile(
    r"->>|::|\bfilter \(|\bdate_trunc\s*\(\s*'"
    r"|\b(arg_max|try|make_timestamp|epoch_us|strftime|varchar|double)\b",
    re.IGNORECASE,
)

Tables = dict[str, tuple[list[str], list[Row]]]


class Chapters:
    """The story as DuckDB's dbt has it, and the database's file after each chapter."""

    def __init__(self, dbt: Dbt, folder: Path) -> None:
        self.story = Story(folder)
        self.files: list[Path] = []
        self.tables: list[Tables] = []
        for number, chapter in enumerate((self.story.first, self.story.second)):
            chapter()
            built = dbt(self.story.database, *BUILD)
            assert built.success
            self.manifest = built.manifest
            self.files.append(Path(shutil.copy(self.story.database, folder / f"after-{number}.duckdb")))
            self.tables.append(
                {model: self.story.rows("analytics", model) for model in MODELS}
                | {HISTORY: self.story.rows("snapshots", HISTORY)}
            )


@pytest.fixture(scope="module")
def chapters(dbt: Dbt, tmp_path_factory: pytest.TempPathFactory) -> Chapters:
    return Chapters(dbt, tmp_path_factory.mktemp("story"))


class Retold:
    """The story on another engine."""

    def __init__(self, chapters: Chapters, target: Target, folder: Path, project: Path, schema: str) -> None:
        self.target, self.folder, self.project, self.schema = target, folder, project, schema
        self.builds: list[Built] = []
        self.statements: list[dict[str, list[str]]] = []
        self.tables: list[Tables] = []
        for file in chapters.files:
            target.take(file)
            self.builds.append(self.build())
            self.statements.append(target.statements())
            self.manifest = json.loads((folder / "state" / "manifest.json").read_text())
            self.tables.append({model: self.rows(model) for model in (*MODELS, HISTORY)})

    def build(self, *arguments: str) -> Built:
        return run_dbt(self.target, self.folder / "state", *BUILD, *arguments, project=self.project)

    def rows(self, model: str) -> tuple[list[str], list[Row]]:
        schema = "snapshots" if model == HISTORY else self.schema
        columns = self.target.columns(schema, model)
        return columns, self.target.rows(schema, model, columns)


@pytest.fixture(scope="module")
def on_postgresql(
    chapters: Chapters, postgres_server: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Retold:
    target = PostgreSQLTarget(postgres_server.new_database())
    return Retold(chapters, target, tmp_path_factory.mktemp("postgresql"), PROJECT_DIR, "analytics")


@pytest.fixture(scope="module")
def on_bigquery(
    chapters: Chapters, dbt_emulator: Emulator, tmp_path_factory: pytest.TempPathFactory
) -> Retold:
    folder = tmp_path_factory.mktemp("bigquery")
    project = without_contracts(folder / "project")
    return Retold(chapters, BigQueryTarget(dbt_emulator, folder), folder, project, "models")


def without_contracts(folder: Path) -> Path:
    """A copy of the project that enforces no contract."""
    shutil.copytree(PROJECT_DIR, folder, ignore=shutil.ignore_patterns("target", "logs"))
    file = folder / "dbt_project.yml"
    text = file.read_text()
    assert text.count("enforced: true") == 1
    file.write_text(text.replace("enforced: true", "enforced: false"))
    return folder


@pytest.fixture(params=["on_postgresql", "on_bigquery"])
def retold(request: pytest.FixtureRequest) -> Retold:
    return request.getfixturevalue(request.param)


def told(tables: Tables, model: str) -> list[dict[str, Any]]:
    """The rows of a model that do not depend on when they were built, in an order of their own."""
    columns, rows = tables[model]
    found: list[dict[str, Any]] = []
    for row in rows:
        made = dict(zip(columns, map(comparable, row), strict=True))
        if NOTICED in (made.get("person_id"), made.get("user_id")) and model in BUILT_LATE:
            made.pop("updated_at")
        found.append({name: value for name, value in made.items() if not name.startswith("dbt_")})
    return sorted(found, key=lambda made: json.dumps(made, sort_keys=True, default=str))


def test_models_are_on_every_engine_what_they_are_on_duckdb(chapters: Chapters, retold: Retold) -> None:
    for number in range(2):
        for model in (*MODELS, HISTORY):
            expected = told(chapters.tables[number], model)

            assert told(retold.tables[number], model) == expected, model
            assert expected


def test_every_node_was_built_and_every_test_passed(retold: Retold) -> None:
    for built in retold.builds:
        assert len(built.statuses) == 28
        assert {name for name, status in built.statuses.items() if status not in ("success", "pass")} == {
            "orders_belong_to_known_users"
        }, built.said
        assert built.statuses["orders_belong_to_known_users"] == "warn"


def test_history_knows_when_an_answer_turned(retold: Retold) -> None:
    columns, rows = retold.tables[1][HISTORY]
    versions = [dict(zip(columns, map(comparable, row), strict=True)) for row in rows]
    first, later = sorted(
        (row for row in versions if row["user_id"] == NOTICED), key=lambda row: row["dbt_valid_from"]
    )

    assert (first["marketing_opt_in"], later["marketing_opt_in"]) == (False, True)
    assert first["dbt_valid_to"] == later["dbt_valid_from"]
    assert later["dbt_valid_to"] is None
    age = datetime.now(UTC).replace(tzinfo=None) - later["dbt_valid_from"]
    assert timedelta(0) < age < timedelta(hours=1)


@pytest.mark.slow
def test_on_bigquery_a_message_of_long_ago_waits_for_a_full_refresh(
    chapters: Chapters, on_bigquery: Retold
) -> None:
    chapters.story.news_of_the_ancient()
    on_bigquery.target.take(chapters.story.database)

    def ancient() -> list[dict[str, Any]]:
        columns, rows = on_bigquery.rows("deliveries")
        made = [dict(zip(columns, row, strict=True)) for row in rows]
        return [row for row in made if row["delivery_id"] == "ancient"]

    on_bigquery.build("--select", "stg_customerio__webhook_events", "deliveries")
    assert [row["human_opens"] for row in ancient()] == [1]

    on_bigquery.build("--select", "deliveries", "--full-refresh")
    assert [row["human_opens"] for row in ancient()] == [2]


def test_every_statement_is_bigquerys(on_bigquery: Retold) -> None:
    for build in on_bigquery.statements:
        for node, found in build.items():
            for statement in found:
                sqlglot.parse(statement, dialect="bigquery")
                assert not FOREIGN.search(statement), (node, FOREIGN.search(statement))
    assert len(on_bigquery.statements[1]) == 28


def test_a_build_that_adds_reads_only_partitions_with_news(on_bigquery: Retold) -> None:
    whole = {
        node: read
        for node, found in on_bigquery.statements[1].items()
        if (read := set().union(*(read_whole(statement, PARTITIONED) for statement in found)))
    }

    assert whole == READ_WHOLE
    # and that is told by the same means
    first = on_bigquery.statements[0]
    assert read_whole(first["stg_customerio__webhook_events"][-1], PARTITIONED) == {
        "customerio.webhook_events"
    }


def test_tables_that_grow_are_partitioned_and_clustered(on_bigquery: Retold) -> None:
    def physical(model: str) -> str:
        [created] = [text for text in on_bigquery.statements[0][model] if "create or replace table" in text]
        return " ".join(re.findall(r"partition by .*|cluster by .*", created))

    assert physical("stg_customerio__webhook_events") == (
        "partition by event_date cluster by loaded_at, delivery_id"
    )
    assert physical("deliveries") == "partition by timestamp_trunc(first_event_at, day) cluster by person_id"
    assert physical("consent_changes") == (
        "partition by timestamp_trunc(changed_at, month) cluster by person_id"
    )
    assert physical("customerio_people") == (
        "partition by timestamp_trunc(updated_at, day) cluster by person_id"
    )
    assert physical("customerio_events") == (
        "partition by timestamp_trunc(occurred_at, day) cluster by event_id"
    )
    assert physical("customerio_win_back_recipients") == (
        "partition by date_trunc(day, month) cluster by day"
    )


def test_a_merge_replaces_what_lies_in_partitions_that_it_reads(on_bigquery: Retold) -> None:
    [merge] = [text for text in on_bigquery.statements[1]["deliveries"] if "merge into" in text]
    [earliest] = re.findall(r"DBT_INTERNAL_DEST.first_event_at >= timestamp '([^']+)'", merge)

    columns, rows = on_bigquery.tables[1]["deliveries"]
    began = [comparable(row[columns.index("first_event_at")]) for row in rows]
    # of all deliveries, `late` is the earliest that the second build made
    assert str(sorted(began)[1]) == earliest.removesuffix(".000000")


@pytest.mark.slow
def test_contracts_are_bigquerys_too(on_bigquery: Retold, tmp_path: Path) -> None:
    # no other is made of these: the stand-in loses them
    models = ("customerio_people", "person_engagement", "campaign_performance")

    built = run_dbt(on_bigquery.target, tmp_path, "run", "--select", *models)

    assert set(built.statuses.values()) == {"error"}, "the stand-in has learned it: enforce contracts there"
    written = {path.stem: path.read_text() for path in (tmp_path / "run").rglob("*.sql")}
    assert written.keys() == set(models)
    for text in written.values():
        [created] = sqlglot.parse(text, dialect="bigquery")
        assert isinstance(created, exp.Create)
        assert isinstance(created.this, exp.Schema)
        assert all(column.args["kind"] for column in created.this.find_all(exp.ColumnDef))


def test_columns_have_the_same_origins_on_every_engine(chapters: Chapters, retold: Retold) -> None:
    dialect = retold.manifest["metadata"]["adapter_type"]

    for model in (*(f"model.cio_pipelines.{name}" for name in MODELS), f"snapshot.cio_pipelines.{HISTORY}"):
        traced = trace_model(retold.manifest, model, dialect)

        assert not traced.untraced, model
        assert {name: set(origins) for name, origins in traced.columns.items()} == {
            name: set(origins) for name, origins in trace_model(chapters.manifest, model).columns.items()
        }, model


@pytest.mark.slow
def test_what_postgresql_says_of_a_value_is_not_shown(on_postgresql: Retold, chapters: Chapters) -> None:
    database = Path(shutil.copy(chapters.files[1], on_postgresql.folder / "damaged.duckdb"))
    execute(
        database,
        "alter table app.users alter marketing_opt_in type varchar",
        "update app.users set marketing_opt_in = 'ada@example.com' where user_id = 'ada'",
    )
    on_postgresql.target.take(database)

    built = on_postgresql.build()

    assert built.statuses["app_consent_history"] == "error"
    assert "ada@example.com" in built.said
    told = without_values(built.said[built.said.index("Database Error") :])
    assert "ada@example.com" not in told
    assert "is not shown" in told
