"""As `functions.py`, for what reads JSON texts."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from cio_pipelines.warehouse.functions import Dialected
from cio_pipelines.warehouse.postgresql_json import is_valid, readable


class is_json(Dialected):
    """Whether a text is JSON."""

    type = sa.Boolean()
    templates: ClassVar[dict[str, str]] = {
        "duckdb": "json_valid({0})",
        "bigquery": "(SAFE.PARSE_JSON({0}, wide_number_mode => 'round') IS NOT NULL)",
        "postgresql": f"({is_valid('{0}')})",
    }


class is_json_object(Dialected):
    """Whether a text is a JSON object."""

    type = sa.Boolean()
    templates: ClassVar[dict[str, str]] = {
        "duckdb": "coalesce(TRY(json_type({0})) = 'OBJECT', FALSE)",
        "bigquery": "IFNULL(JSON_TYPE(SAFE.PARSE_JSON({0}, wide_number_mode => 'round')) = 'object', FALSE)",
        "postgresql": f"coalesce(json_typeof({readable('{0}')}) = 'object', FALSE)",
    }


class json_texts(FunctionElement[Any]):
    """Members of a JSON text as an array of texts, read in one go; NULL for what is absent or null.

    Of a text that is no JSON the array or all its members are NULL.

    Args:
        text: the JSON.
        paths: dotted names from the root, such as `data.identifiers.id`; written into the SQL as they are.
    """

    type = sa.types.NULLTYPE
    inherit_cache = False

    def __init__(self, text: sa.ColumnElement[Any], *paths: str) -> None:
        super().__init__(text)
        self.paths = paths


@compiles(json_texts, "duckdb")
def _json_texts_duckdb(element: json_texts, compiler: Any, **options: Any) -> str:
    paths = ", ".join(f"'$.{path}'" for path in element.paths)
    return f"TRY(json_extract_string({compiler.process(element.clauses, **options)}, [{paths}]))"


@compiles(json_texts, "bigquery")
def _json_texts_bigquery(element: json_texts, compiler: Any, **options: Any) -> str:
    text = compiler.process(element.clauses, **options)
    # SAFE: a text that is no JSON is one of the things that are asked about
    values = ", ".join(f"SAFE.JSON_VALUE({text}, '$.{path}')" for path in element.paths)
    return f"[{values}]"


@compiles(json_texts, "postgresql")
def _json_texts_postgresql(element: json_texts, compiler: Any, **options: Any) -> str:
    text = compiler.process(element.clauses, **options)
    values = ", ".join(f"parsed.j #>> '{{{path.replace('.', ',')}}}'" for path in element.paths)
    return f"(SELECT ARRAY[{values}] FROM (SELECT {readable(text)} AS j OFFSET 0) AS parsed)"  # noqa: S608


class text_at(FunctionElement[Any]):
    """A member of an array of texts, by its position from 1."""

    type = sa.String()
    inherit_cache = False

    def __init__(self, texts: sa.ColumnElement[Any], position: int) -> None:
        super().__init__(texts)
        self.position = position


@compiles(text_at, "duckdb")
def _text_at_duckdb(element: text_at, compiler: Any, **options: Any) -> str:
    return f"{compiler.process(element.clauses, **options)}[{element.position}]"


@compiles(text_at, "bigquery")
def _text_at_bigquery(element: text_at, compiler: Any, **options: Any) -> str:
    return f"{compiler.process(element.clauses, **options)}[ORDINAL({element.position})]"


@compiles(text_at, "postgresql")
def _text_at_postgresql(element: text_at, compiler: Any, **options: Any) -> str:
    return f"({compiler.process(element.clauses, **options)})[{element.position}]"


class json_members(FunctionElement[Any]):
    """Members of a JSON object as an array of JSON texts, read in one go; NULL for what is absent.

    Args:
        text: the object.
        names: of the members, as they are; none with `*` in it, which paths cannot name.
    """

    type = sa.types.NULLTYPE
    inherit_cache = False

    def __init__(self, text: sa.ColumnElement[Any], *names: str) -> None:
        super().__init__(text)
        self.names = names
        quoted = (name.replace("\\", "\\\\").replace('"', '\\"') for name in names)
        self.paths = [f'$."{name}"' for name in quoted]


@compiles(json_members, "duckdb")
def _json_members_duckdb(element: json_members, compiler: Any, **options: Any) -> str:
    paths = ", ".join(compiler.render_literal_value(path, sa.String()) for path in element.paths)
    return f"TRY(json_extract({compiler.process(element.clauses, **options)}, [{paths}]))"


@compiles(json_members, "bigquery")
def _json_members_bigquery(element: json_members, compiler: Any, **options: Any) -> str:
    text = compiler.process(element.clauses, **options)
    paths = (compiler.render_literal_value(path, sa.String()) for path in element.paths)
    return f"[{', '.join(f'JSON_QUERY({text}, {path})' for path in paths)}]"


@compiles(json_members, "postgresql")
def _json_members_postgresql(element: json_members, compiler: Any, **options: Any) -> str:
    text = compiler.process(element.clauses, **options)
    names = (compiler.render_literal_value(name, sa.String()) for name in element.names)
    values = ", ".join(f"CAST(parsed.j -> {name} AS TEXT)" for name in names)
    return f"(SELECT ARRAY[{values}] FROM (SELECT {readable(text)} AS j OFFSET 0) AS parsed)"  # noqa: S608


class text_of_json(Dialected):
    """What a JSON text says: a string without quotes and escapes, anything else as it is written."""

    type = sa.String()
    templates: ClassVar[dict[str, str]] = {
        "duckdb": "json_extract_string({0}, '$')",
        "bigquery": "COALESCE(JSON_VALUE({0}, '$'), {0})",
        "postgresql": f"CASE WHEN left({{0}}, 1) = '\"' THEN {readable('{0}')} #>> '{{{{}}}}' ELSE {{0}} END",
    }


class json_items(Dialected):
    """Rows: the members of a JSON array, each as JSON text in the column `item`; see `table_valued`."""

    templates: ClassVar[dict[str, str]] = {
        "duckdb": "(SELECT CAST(unnest(CAST({0} AS JSON[])) AS VARCHAR) AS item)",
        "bigquery": "(SELECT item FROM UNNEST(JSON_QUERY_ARRAY({0})) AS item)",
        "postgresql": "(SELECT CAST(json_array_elements(CAST({0} AS JSON)) AS VARCHAR) AS item)",
    }


class json_of_text(Dialected):
    """A text that is JSON as the engine's type for it."""

    templates: ClassVar[dict[str, str]] = {
        "duckdb": "CAST({0} AS JSON)",
        "bigquery": "PARSE_JSON({0}, wide_number_mode => 'round')",
        "postgresql": "CAST({0} AS JSON)",
    }
