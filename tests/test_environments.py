"""What one environment must not touch of another."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from google.cloud import bigquery

from cio_pipelines.environments import refused_dataset
from cio_pipelines.messaging_setup import app_client
from cio_pipelines.settings import SettingsError, load_settings
from tests.emulators import Emulator

_CREDENTIALS = {
    "CUSTOMERIO_SITE_ID": "site",
    "CUSTOMERIO_TRACK_API_KEY": "hunter2",
    "CUSTOMERIO_APP_API_KEY": "hunter3",
}


@pytest.mark.parametrize(
    "address",
    [
        {},
        {"CUSTOMERIO_TRACK_URL": "https://track.customer.io"},
        {"CUSTOMERIO_TRACK_URL": "https://TRACK-eu.customer.io/"},
    ],
)
def test_a_local_run_never_talks_to_customerio(address: dict[str, str]) -> None:
    settings = load_settings(_CREDENTIALS | address)
    with pytest.raises(SettingsError, match="CIO_ENV=staging") as refused:
        settings.track_client()
    assert "hunter" not in str(refused.value)


@pytest.mark.parametrize("address", [{}, {"CUSTOMERIO_APP_URL": "https://api.customer.io"}])
def test_a_local_run_never_sends_messages_by_customerio(address: dict[str, str]) -> None:
    # the Track API's address alone is a sandbox's: the App API's would be Customer.io's
    sandboxed = {"CUSTOMERIO_TRACK_URL": "http://127.0.0.1:8471"}
    with pytest.raises(SettingsError, match="CUSTOMERIO_APP_URL"):
        app_client(load_settings(_CREDENTIALS | sandboxed | address))


@pytest.mark.parametrize("environment", ["staging", "prod"])
def test_other_environments_talk_to_their_workspace(environment: str) -> None:
    settings = load_settings(_CREDENTIALS | {"CIO_ENV": environment})
    settings.track_client()
    app_client(settings)


def test_a_local_run_talks_to_a_sandbox_elsewhere() -> None:
    sandbox = {"CUSTOMERIO_TRACK_URL": "http://sandbox:8471", "CUSTOMERIO_APP_URL": "http://sandbox:8471"}
    settings = load_settings(_CREDENTIALS | sandbox)
    settings.track_client()
    app_client(settings)


@pytest.mark.parametrize(
    ("environment", "labels", "refused"),
    [
        ("local", {"environment": "prod"}, True),
        ("staging", {"environment": "prod"}, True),
        ("prod", {"environment": "staging"}, True),
        ("prod", {"environment": "prod"}, False),
        ("local", {}, False),
        ("local", {"team": "growth"}, False),
    ],
)
def test_a_dataset_of_another_environment_is_not_used(
    environment: str, labels: dict[str, str], *, refused: bool
) -> None:
    told = refused_dataset(environment, "project.analytics", labels)
    assert (told is not None) is refused
    if told:
        assert "project.analytics" in told
        assert f"CIO_ENV={labels['environment']}" in told


def test_a_dataset_s_label_stops_a_run_before_it_reads(
    bigquery_emulator: Emulator, google_credentials: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in bigquery_emulator.environment(google_credentials).items():
        monkeypatch.setenv(name, value)
    with bigquery.Client() as client:
        dataset = bigquery.Dataset(f"{client.project}.of_production")
        dataset.labels = {"environment": "prod"}
        client.create_dataset(dataset)
        url = f"bigquery://{client.project}/of_production"
    refused = load_settings({"WAREHOUSE_URL": url}).warehouse()
    with pytest.raises(SettingsError, match="labelled environment=prod"), refused.connect():
        pass
    meant = load_settings({"WAREHOUSE_URL": url, "CIO_ENV": "prod"}).warehouse()
    with meant.connect() as connection:
        assert connection.scalar(sa.select(sa.literal(1))) == 1
