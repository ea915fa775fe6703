"""What BigQuery is asked for when it loads objects of a bucket by itself."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from google.api_core.exceptions import BadRequest
from google.cloud import bigquery
from sqlalchemy_bigquery import BigQueryDialect

from cio_pipelines.landing import LandingZone
from cio_pipelines.warehouse.bigquery.lines import as_lines, refused
from cio_pipelines.warehouse.bigquery.rows import schema_of
from cio_pipelines.webhooks import native


def test_a_load_job_takes_lines_as_they_are() -> None:
    config = bigquery.LoadJobConfig(
        schema=schema_of(native.landed_texts, ["text"], BigQueryDialect(paramstyle="pyformat"))
    )

    as_lines(config)

    # as it goes over the wire; an emulator may not heed all of it
    assert config.to_api_repr()["load"] == {
        "schema": {"fields": [{"name": "text", "type": "STRING", "mode": "NULLABLE"}]},
        "sourceFormat": "CSV",
        "fieldDelimiter": "\x01",
        "quote": "",
        "encoding": "UTF-8",
        "preserveAsciiControlCharacters": True,
        "maxBadRecords": 0,
    }


def test_what_a_refused_job_says_of_a_line_is_not_told() -> None:
    error = refused("BigQuery project p", BadRequest("Error in line: somebody@example.com"))

    assert str(error).startswith("BigQuery project p could not load objects of the bucket (400 BadRequest).")
    assert "example.com" not in str(error)


def test_a_folder_is_read_here_whatever_the_engine_can(tmp_path: Any) -> None:
    class Loads:
        def load_lines(self, table: sa.Table, uris: list[str]) -> int:
            raise AssertionError

    connection: Any = Loads()

    assert native.supports(connection, LandingZone(f"file://{tmp_path}")) is None
    assert native.supports(connection, LandingZone("gs://bucket/prefix")) is connection
    other: Any = object()
    assert native.supports(other, LandingZone("gs://bucket/prefix")) is None


@pytest.mark.parametrize(
    ("url", "uri"), [("gs://b/p/", "gs://b/p/webhooks/x"), ("gs://b", "gs://b/webhooks/x")]
)
def test_an_object_has_an_address(url: str, uri: str) -> None:
    assert LandingZone(url).uri("webhooks/x") == uri
