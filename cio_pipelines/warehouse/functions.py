"""The SQL functions whose spelling differs between engines; only this module, `conversions.py` and
`json_functions.py` know dialects.

Each class is a SQLAlchemy function: `hash_text(column)` compiles to `md5(column)` on DuckDB and to
`TO_HEX(MD5(column))` on BigQuery. A dialect that is not listed fails when the statement is compiled.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.exc import CompileError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from cio_pipelines.warehouse.postgresql_json import has_halves, readable


def evaluated_once(rows: sa.Select[Any]) -> sa.Select[Any]:
    """A query, to be selected from, whose columns are computed once a row.

    PostgreSQL would write them into each place that names them, and compute them there.
    """
    return rows.suffix_with("OFFSET 0", dialect="postgresql")


class Dialected(FunctionElement[Any]):
    """A function with one template per dialect; `{0}`, `{1}` are arguments, `{all}` all of them."""

    templates: ClassVar[dict[str, str]]

    def __init_subclass__(cls) -> None:
        cls.inherit_cache = True  # SQLAlchemy looks for it on each class itself
        super().__init_subclass__()


@compiles(Dialected)
def _compile(element: Dialected, compiler: Any, **options: Any) -> str:
    template = element.templates.get(compiler.dialect.name)
    if template is None:
        raise CompileError(f"{type(element).__name__} has no SQL for the engine {compiler.dialect.name!r}")
    arguments = [compiler.process(clause, **options) for clause in element.clauses]
    return template.format(*arguments, all=", ".join(arguments))


class json_text(Dialected):
    """The JSON text of a value: quoted and escaped text, or an array or object. NULL for NULL."""

    type = sa.String()
    templates: ClassVar[dict[str, str]] = {
        "duckdb": "CAST(to_json({0}) AS VARCHAR)",
        # of NULL it makes the text null
        "bigquery": "NULLIF(TO_JSON_STRING({0}), 'null')",
        "postgresql": "CAST(to_json({0}) AS VARCHAR)",
    }


class json_document_text(Dialected):
    """The JSON text of a column that holds JSON itself."""

    type = sa.String()
    templates: ClassVar[dict[str, str]] = {
        "duckdb": "CAST(to_json({0}) AS VARCHAR)",
        "bigquery": "TO_JSON_STRING({0})",
        # as `jsonb`, whose text depends on what the JSON says alone; what it cannot hold stays as it is
        "postgresql": (
            "CASE WHEN pg_input_is_valid(CAST({0} AS VARCHAR), 'jsonb') "
            "THEN CAST(CAST({0} AS JSONB) AS VARCHAR) ELSE CAST({0} AS VARCHAR) END"
        ),
    }


class decimal_text(Dialected):
    """A decimal of scale 1 or more as a JSON number: exact, no exponent, no trailing zeros."""

    type = sa.String()
    templates: ClassVar[dict[str, str]] = {
        "duckdb": "rtrim(rtrim(CAST({0} AS VARCHAR), '0'), '.')",
        "bigquery": "CAST({0} AS STRING)",
        "postgresql": "CAST(trim_scale({0}) AS VARCHAR)",
    }


class wide_decimal_text(Dialected):
    """`decimal_text` of {0}, whose type is wide; {1} is a CAST of it to a type of 18 digits and equal scale.

    DuckDB writes decimals of more than 18 digits five times slower; nearly all values fit into fewer.
    """

    type = sa.String()
    templates: ClassVar[dict[str, str]] = {
        "duckdb": ("rtrim(rtrim(coalesce(CAST(TRY_{1} AS VARCHAR), CAST({0} AS VARCHAR)), '0'), '.')"),
        "bigquery": "CAST({0} AS STRING)",
        "postgresql": "CAST(trim_scale({0}) AS VARCHAR)",
    }


class fraction_text(Dialected):
    """As `decimal_text`, of a type without whole digits: DuckDB writes `.05`, which is no JSON."""

    type = sa.String()
    templates: ClassVar[dict[str, str]] = {
        "duckdb": (r"rtrim(rtrim(regexp_replace(CAST({0} AS VARCHAR), '^(-?)\.', '\10.'), '0'), '.')"),
        "bigquery": "CAST({0} AS STRING)",
        "postgresql": "CAST(trim_scale({0}) AS VARCHAR)",
    }


class unix_seconds(Dialected):
    """Whole seconds since 1970, rounded down, of a timestamp (one without a zone is UTC)."""

    type = sa.BigInteger()
    templates: ClassVar[dict[str, str]] = {
        "duckdb": "(epoch_us(date_trunc('second', {0})) // 1000000)",
        "bigquery": "UNIX_SECONDS(CAST({0} AS TIMESTAMP))",
        "postgresql": "CASE WHEN isfinite({0}) THEN CAST(floor(extract(epoch FROM {0})) AS BIGINT) END",
    }


class unix_milliseconds(Dialected):
    """As `unix_seconds`, in milliseconds. DuckDB rounds those before 1970 up."""

    type = sa.BigInteger()
    templates: ClassVar[dict[str, str]] = {
        "duckdb": "(epoch_us({0}) // 1000)",
        "bigquery": "UNIX_MILLIS(CAST({0} AS TIMESTAMP))",
        "postgresql": (
            "CASE WHEN isfinite({0}) THEN CAST(floor(extract(epoch FROM {0}) * 1000) AS BIGINT) END"
        ),
    }


class unix_seconds_of_date(Dialected):
    """Seconds since 1970 of a date's midnight in UTC. DuckDB has dates that its timestamps cannot hold."""

    type = sa.BigInteger()
    templates: ClassVar[dict[str, str]] = {
        "duckdb": "CAST(epoch({0}) AS BIGINT)",
        "bigquery": "(UNIX_DATE({0}) * 86400)",
        "postgresql": "CASE WHEN isfinite({0}) THEN ({0} - DATE '1970-01-01') * CAST(86400 AS BIGINT) END",
    }


class utc_timestamp(Dialected):
    """A date, timestamp or instant as the engine's plain timestamp in UTC."""

    type = sa.TIMESTAMP()
    templates: ClassVar[dict[str, str]] = {
        "duckdb": "make_timestamp(epoch_us({0}))",
        "bigquery": "CAST({0} AS TIMESTAMP)",
        "postgresql": "CAST({0} AS TIMESTAMP)",
    }


class join_text(Dialected):
    """Texts joined by commas; NULLs are left out."""

    type = sa.String()
    templates: ClassVar[dict[str, str]] = {
        "duckdb": "concat_ws(',', {all})",
        # of nothing but NULLs the emulator makes NULL, and the documentation says nothing
        "bigquery": "IFNULL(ARRAY_TO_STRING([{all}], ','), '')",
        "postgresql": "array_to_string(ARRAY[{all}], ',')",
    }


class hash_text(Dialected):
    """MD5 of a text's UTF-8 bytes as 32 lower-case hex digits."""

    type = sa.String()
    templates: ClassVar[dict[str, str]] = {
        "duckdb": "md5({0})",
        "bigquery": "TO_HEX(MD5({0}))",
        "postgresql": "md5({0})",
    }


class byte_length(Dialected):
    """Bytes of a text in UTF-8."""

    type = sa.BigInteger()
    templates: ClassVar[dict[str, str]] = {
        "duckdb": "strlen({0})",
        "bigquery": "BYTE_LENGTH({0})",
        "postgresql": "octet_length({0})",
    }


class is_not_finite(Dialected):
    """Whether a float is NaN or infinite."""

    type = sa.Boolean()
    templates: ClassVar[dict[str, str]] = {
        "duckdb": "(NOT isfinite({0}))",
        "bigquery": "(IS_NAN({0}) OR IS_INF({0}))",
        "postgresql": "({0} IN ('NaN', 'Infinity', '-Infinity'))",
    }


class is_no_decimal(Dialected):
    """Whether a decimal is NaN or infinite, which those of some engines can be."""

    type = sa.Boolean()
    templates: ClassVar[dict[str, str]] = {
        "duckdb": "({0} IS NULL AND FALSE)",
        "bigquery": "({0} IS NULL AND FALSE)",
        "postgresql": "({0} IN ('NaN', 'Infinity', '-Infinity'))",
    }


class is_infinite_time(Dialected):
    """Whether a date or timestamp is one of the infinities that some engines have."""

    type = sa.Boolean()
    templates: ClassVar[dict[str, str]] = {
        "duckdb": "isinf({0})",
        "bigquery": "({0} IS NULL AND FALSE)",
        "postgresql": "(NOT isfinite({0}))",
    }


_JSON_STRING = r'"(?:[^"\\]|\\.)*"'


class is_broken_json(Dialected):
    """Whether a JSON text is none: nested NaN and infinities make it so on DuckDB."""

    type = sa.Boolean()
    templates: ClassVar[dict[str, str]] = {
        # json_valid() lets them pass. Outside its strings, nothing else in a JSON text has these letters.
        "duckdb": ("regexp_matches(regexp_replace({0}, '" + _JSON_STRING + "', '', 'g'), '(?i)nan|inf')"),
        "bigquery": "({0} IS NOT NULL AND SAFE.PARSE_JSON({0}, wide_number_mode => 'round') IS NULL)",
        # its own arrays and rows write NaN as a text
        "postgresql": has_halves("{0}"),
    }


class removed_keys(Dialected):
    """`"key":null` for each top-level key of object {0} that object {1} lacks, by commas; '' for none."""

    type = sa.String()
    templates: ClassVar[dict[str, str]] = {
        "duckdb": (
            "array_to_string(list_transform(list_filter(json_keys({0}), "
            "lambda k: NOT list_contains(json_keys({1}), k)), "
            "lambda k: CAST(to_json(k) AS VARCHAR) || ':null'), ',')"
        ),
        "bigquery": (
            "ARRAY_TO_STRING(ARRAY(SELECT CONCAT(TO_JSON_STRING(k), ':null') "
            "FROM UNNEST(JSON_KEYS(PARSE_JSON({0}, wide_number_mode => 'round'), 1)) AS k "
            "WHERE k NOT IN UNNEST(JSON_KEYS(PARSE_JSON({1}, wide_number_mode => 'round'), 1))), ',')"
        ),
        "postgresql": (
            "(SELECT coalesce(string_agg(to_json(k) || ':null', ',' ORDER BY n), '') "  # noqa: S608
            f"FROM json_object_keys({readable('{0}')}) WITH ORDINALITY AS before (k, n) "
            f"WHERE k NOT IN (SELECT json_object_keys({readable('{1}')})))"
        ),
    }


class UtcTimestamp(sa.types.TypeDecorator[datetime]):
    """Aware datetimes in Python; in the database an instant, or UTC without a zone as DuckDB keeps it."""

    impl = sa.TIMESTAMP
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment needs a time zone")
        moment = value.astimezone(UTC)
        return moment if dialect.name == "bigquery" else moment.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


@compiles(sa.schema.CreateTable, "bigquery")
def _partitioned(statement: sa.schema.CreateTable, compiler: Any, **options: Any) -> str:
    """`info` of a table: `partition_by` a column of dates, `cluster_by` up to four columns."""
    clauses = ""
    info = statement.element.info
    if "partition_by" in info:
        clauses += f"\nPARTITION BY {info['partition_by']}"
    if "cluster_by" in info:
        clauses += f"\nCLUSTER BY {', '.join(info['cluster_by'])}"
    # they stand between the columns and the table's options
    columns, end, table_options = compiler.visit_create_table(statement, **options).rpartition("\n)")
    return f"{columns}{end}{clauses}{table_options}"


@compiles(sa.Delete, "bigquery")
def _delete(statement: sa.Delete, compiler: Any, **options: Any) -> str:
    """BigQuery demands a condition, also to delete everything."""
    return compiler.visit_delete(
        statement if statement.whereclause is not None else statement.where(sa.true()), **options
    )
