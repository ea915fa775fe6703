"""Lines of text that BigQuery reads from a bucket by itself, as a CSV file of one column."""

# the client carries few types
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

from google.api_core.exceptions import GoogleAPICallError
from google.cloud import bigquery

from cio_pipelines.warehouse.errors import LoadRefused

_NEVER = "\x01"
"""Stands between columns. JSON allows no control character but white space, and in strings not even that."""


def as_lines(config: bigquery.LoadJobConfig) -> None:
    """Have a load job take each line as it is: nothing quotes, escapes or divides, and no line may be bad."""
    config.source_format = bigquery.SourceFormat.CSV
    config.field_delimiter = _NEVER
    config.quote_character = ""
    config.encoding = bigquery.Encoding.UTF_8
    config.preserve_ascii_control_characters = True
    config.max_bad_records = 0


def refused(name: str, error: GoogleAPICallError) -> LoadRefused:
    """A load job that failed; what BigQuery says of it may quote a line."""
    return LoadRefused(
        f"{name} could not load objects of the bucket ({error.code} {type(error).__name__}).",
        "Objects are read one by one instead, which tells what is wrong with which.",
    )
