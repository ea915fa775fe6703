"""The stand-ins for BigQuery start, answer Google's clients and end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from dagster_gcp import BigQueryResource
from google.cloud import bigquery

from tests import emulators
from tests.emulators import Emulator


@pytest.mark.parametrize("fixture", ["bigquery_emulator", "dbt_emulator"])
def test_googles_client_asks_an_emulator(
    fixture: str, google_credentials: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator: Emulator = request.getfixturevalue(fixture)
    for name, value in emulator.environment(google_credentials).items():
        monkeypatch.setenv(name, value)

    with BigQueryResource().get_client() as client:
        [row] = client.query_and_wait("SELECT SUM(x) AS total FROM UNNEST([1, 2, 4]) AS x")

    assert row["total"] == 7


def test_a_load_reads_files_as_objects(
    bigquery_emulator: Emulator, google_credentials: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in bigquery_emulator.environment(google_credentials).items():
        monkeypatch.setenv(name, value)
    folder = bigquery_emulator.buckets / "a-bucket"
    folder.mkdir()
    (folder / "one.jsonl").write_text('{"a": 1}\n{"a": 2}\n')
    config = bigquery.LoadJobConfig(
        source_format="NEWLINE_DELIMITED_JSON", schema=[bigquery.SchemaField("a", "INT64")]
    )

    with bigquery.Client() as client:
        client.create_dataset("loads")
        load = client.load_table_from_uri("gs://a-bucket/*.jsonl", "loads.t", job_config=config)
        load.result()

    assert load.output_rows == 2


def test_an_emulator_that_was_left_is_gone(tmp_path: Path) -> None:
    if reason := emulators.missing("bqemulator"):
        pytest.skip(reason)
    with emulators.bqemulator(tmp_path) as emulator:
        url = emulator.url

    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_what_does_not_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bqemulator" / "bin" / "bqemulator"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho the port is taken\nexit 3\n")
    os.chmod(program, 0o700)
    monkeypatch.setattr(emulators, "ENVIRONMENTS", tmp_path)

    with (
        pytest.raises(emulators.EmulatorError, match="ended with 3:\nthe port is taken"),
        emulators.bqemulator(tmp_path),
    ):
        pass


def test_an_environment_that_is_not_here_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulators, "ENVIRONMENTS", tmp_path)

    assert emulators.missing("local-bigquery") == (
        "the environment .venvs/local-bigquery is not here: make emulators (it needs a Python 3.13)"
    )


def test_an_emulator_ends_with_whoever_started_it(tmp_path: Path) -> None:
    if reason := emulators.missing("bqemulator"):
        pytest.skip(reason)
    code = (
        "import pathlib, sys; from tests.emulators import bqemulator\n"
        f"with bqemulator(pathlib.Path({str(tmp_path)!r})) as emulator:\n"
        "    print(emulator.url, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout is not None
        url = starter.stdout.readline().strip()
        assert httpx.get(f"{url}/healthz").is_success

        starter.kill()

        deadline = time.monotonic() + 20
        while _is_there(url) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not _is_there(url)


def _is_there(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz").is_success
    except httpx.TransportError:
        return False
