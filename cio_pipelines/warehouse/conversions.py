"""As `functions.py`, for what makes values of texts and numbers."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa

from cio_pipelines.warehouse.functions import Dialected, UtcTimestamp


class integer_of_text(Dialected):
    """A text as a whole number, NULL when it is none."""

    type = sa.BigInteger()
    templates: ClassVar[dict[str, str]] = {
        # its cast alone would round a fraction and take hexadecimal texts
        "duckdb": "CASE WHEN regexp_full_match({0}, '-?[0-9]+') THEN TRY_CAST({0} AS BIGINT) END",
        # its cast takes hexadecimal texts
        "bigquery": "IF(REGEXP_CONTAINS({0}, '^-?[0-9]+$'), SAFE_CAST({0} AS INT64), NULL)",
        "postgresql": (
            "CASE WHEN {0} ~ '^-?[0-9]+$' AND pg_input_is_valid({0}, 'bigint') THEN CAST({0} AS BIGINT) END"
        ),
    }


class timestamp_of_text(Dialected):
    """A moment in ISO 8601 with its zone as a UTC timestamp, NULL when it is none."""

    type = UtcTimestamp()
    templates: ClassVar[dict[str, str]] = {
        "duckdb": "TRY_CAST({0} AS TIMESTAMP)",
        "bigquery": "SAFE_CAST({0} AS TIMESTAMP)",
        "postgresql": (
            # its casts take `now`, `infinity` and more
            "CASE WHEN {0} ~ '^[0-9]+-[0-9]' AND pg_input_is_valid({0}, 'timestamptz') "
            "THEN CAST(CAST({0} AS TIMESTAMPTZ) AS TIMESTAMP) END"
        ),
    }


class timestamp_of_seconds(Dialected):
    """Whole seconds since 1970 as a UTC timestamp."""

    type = UtcTimestamp()
    templates: ClassVar[dict[str, str]] = {
        "duckdb": "make_timestamp({0} * 1000000)",
        "bigquery": "TIMESTAMP_SECONDS({0})",
        "postgresql": "CAST(to_timestamp({0}) AS TIMESTAMP)",
    }


class number_of_text(Dialected):
    """A text as a floating-point number, NULL when it is none."""

    type: sa.types.TypeEngine[Any] = sa.Double()
    templates: ClassVar[dict[str, str]] = {
        "duckdb": "TRY_CAST({0} AS DOUBLE)",
        "bigquery": "SAFE_CAST({0} AS FLOAT64)",
        "postgresql": "CASE WHEN pg_input_is_valid({0}, 'float8') THEN CAST({0} AS FLOAT8) END",
    }
