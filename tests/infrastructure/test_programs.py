"""Terraform gives each program the settings that it asks for, and watches what the programs really tell."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from cio_pipelines.gateway.metrics import GatewayMetrics
from cio_pipelines.messaging_setup import app_client, message_queue
from cio_pipelines.settings import Settings, load_settings
from cio_pipelines.webhooks import answers
from cio_pipelines.webhooks.answers import Answer
from cio_pipelines.webhooks.metrics import Metrics
from tests.infrastructure.conftest import TERRAFORM
from tests.infrastructure.tree import Body

_VALUES = {
    "customerio-site-id": "site",
    "customerio-track-api-key": "track-key",
    "customerio-app-api-key": "app-key",
    "customerio-webhook-signing-key": "old,new",
    "queue-url": "rediss://:password@10.0.0.3:6378/0?ssl_ca_certs=/secrets/queue-ca/value",
    "alert-webhook-url": "https://hooks.example.com/x",
    "gateway-tokens": '{"tokens": []}',
}
_NAMED = {
    "var.environment": "prod",
    "var.customerio_region": "eu",
    "var.customerio_workspace": "example-prod",
    "module.landing.url": "gs://bucket/customerio",
    "module.warehouse.url": "bigquery://project/analytics?location=EU",
}


def settings_of(account: str, bodies: Mapping[str, Body], folder: Path) -> Settings:
    """What a program of this account would read, with files where the secrets are mounted."""
    held = bodies["modules/platform"].locals
    environment = {
        name: _NAMED[value.removeprefix("${").removesuffix("}")]
        for name, value in held["environments"][account].items()
    }
    for name, secret in held["secret_files"][account].items():
        path = folder / secret
        path.write_text(_VALUES[secret])
        environment[name] = str(path)
    return load_settings(environment)


def test_receiver_and_gateway_have_all_that_they_ask_for(bodies: Mapping[str, Body], tmp_path: Path) -> None:
    settings = settings_of("receiver", bodies, tmp_path)
    assert settings.webhook_signing_keys() == ("old", "new")
    assert settings.landing_url == "gs://bucket/customerio"
    assert settings.cio_gateway_tokens is not None
    assert settings.cio_gateway_tokens.exists()
    message_queue(settings)
    assert settings.queue_url.startswith("rediss://")
    assert settings.customerio_track_api_key is None, "it sends nothing itself"


def test_the_worker_has_all_that_it_asks_for(bodies: Mapping[str, Body], tmp_path: Path) -> None:
    settings = settings_of("worker", bodies, tmp_path)
    assert settings.track_credentials() == ("site", "track-key")
    assert settings.track_url is None, "it talks to Customer.io itself"
    settings.track_client()
    app_client(settings)
    message_queue(settings)
    assert settings.queue_url.startswith("rediss://")


def test_the_pipelines_have_all_that_they_ask_for(bodies: Mapping[str, Body], tmp_path: Path) -> None:
    settings = settings_of("pipelines", bodies, tmp_path)
    assert settings.engine == "bigquery"
    assert settings.warehouse_location.location == "EU"
    assert settings.workspace == "example-prod"
    assert settings.landing_url == "gs://bucket/customerio"
    assert settings.cio_env == "prod"
    assert len(settings.alert_channels()) == 1
    app_client(settings)
    settings.sync_settings()
    message_queue(settings)


def test_settings_that_nobody_knows_are_found(bodies: Mapping[str, Body], tmp_path: Path) -> None:
    held = bodies["modules/platform"].locals["environments"]["worker"]
    wrong = {
        **bodies["modules/platform"].locals,
        "environments": {"worker": {**held, "CIO_REGION": "var.environment"}},
    }
    with pytest.raises(Exception, match="CIO_REGION is not a setting"):
        settings_of("worker", {"modules/platform": Body(locals=wrong)}, tmp_path)


@dg.asset(key=["customerio", "identified_profiles"])
def pushed() -> None: ...


def _check(name: str, *, passed: bool) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=pushed, name=name)
    def check() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=passed, description="why")

    return check


def _logged(*checks: dg.AssetChecksDefinition) -> str:
    """What Dagster writes into the log of a run in which these were looked at."""
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    logging.getLogger("dagster").addHandler(handler)
    try:
        job = dg.define_asset_job("job", "*")
        definitions = dg.Definitions([pushed], jobs=[job], asset_checks=checks)
        definitions.resolve_job_def("job").execute_in_process()
    finally:
        logging.getLogger("dagster").removeHandler(handler)
    return lines.getvalue()


def _pattern(metric: Mapping[str, Any], check: str = "") -> str:
    found = re.search(r'textPayload=~"(.+)"$', metric["filter"])
    assert found is not None
    return found[1].replace("${each.key}", check)


def test_alerts_look_for_what_dagster_writes(
    bodies: Mapping[str, Body], capfd: pytest.CaptureFixture[str]
) -> None:
    alerts = bodies["modules/alerts"]
    watched = list(alerts.locals["checks"])
    told = _logged(*(_check(name, passed=False) for name in watched)) + capfd.readouterr().err
    well = _logged(*(_check(name, passed=True) for name in watched)) + capfd.readouterr().err
    failed = alerts.resources["google_logging_metric", "failed_check"]
    for name in watched:
        assert re.search(_pattern(failed, name), told), name
        assert not re.search(_pattern(failed, name), well), name
    assert re.search(_pattern(alerts.resources["google_logging_metric", "pushed"]), well)


def test_alerts_watch_checks_that_there_are(bodies: Mapping[str, Body]) -> None:
    from cio_pipelines.definitions import defs

    graph = defs().resolve_asset_graph()
    there = {key.name for key in graph.asset_check_keys}
    assert set(bodies["modules/alerts"].locals["checks"]) <= there
    assert dg.AssetKey(["customerio", "identified_profiles"]) in graph.get_all_asset_keys()


def test_alerts_ask_for_metrics_and_outcomes_that_there_are(bodies: Mapping[str, Body]) -> None:
    metrics = Metrics()
    metrics.registry.register(GatewayMetrics())
    names = {
        name + suffix
        for family in text_string_to_metric_families(metrics.text().decode())
        for name, suffix in [(family.name, "_total" if family.type == "counter" else "")]
    }
    outcomes = {each.reason for each in vars(answers).values() if isinstance(each, Answer)}
    queries = [each["query"] for each in bodies["modules/alerts"].locals["counted"].values()]
    assert queries
    for query in queries:
        assert set(re.findall(r"\bcio_\w+", query)) <= names, query
        for asked in re.findall(r'outcome=~"([^"]+)"', query):
            assert set(asked.split("|")) <= outcomes, query
    refused = {
        each.reason for each in vars(answers).values() if isinstance(each, Answer) and each.status == 503
    }
    assert refused <= set("|".join(re.findall(r'outcome=~"([^"]+)"', queries[0])).split("|"))


def test_the_receiver_listens_where_it_is_looked_for(bodies: Mapping[str, Body]) -> None:
    ((_, service),) = [
        (name, block)
        for (kind, name), block in bodies["modules/receiver"].resources.items()
        if kind == "google_cloud_run_v2_service"
    ]
    receiver = service["template"][0]["containers"][0]
    assert receiver["args"] == ["cio", "serve", "--host", "0.0.0.0", "--port", "8080"]
    assert receiver["ports"] == [{"container_port": 8080}]
    for probe in ("startup_probe", "liveness_probe"):
        assert receiver[probe][0]["http_get"][0]["port"] == 8080


def _rendered(name: str) -> list[Any]:
    """A template with a value for each name in it."""
    text = (TERRAFORM / "modules" / "dagster" / name).read_text(encoding="utf-8")
    values = {"environment": {"CIO_ENV": "prod"}, "secrets": "- resourceName: x\n"}

    def value(found: re.Match[str]) -> str:
        return json.dumps(values.get(found[1], found[1]))

    return list(yaml.safe_load_all(re.sub(r"\$\{(\w+)\}", value, text)))


def test_only_code_location_and_runs_act_as_the_account_that_reads_secrets() -> None:
    (values,) = _rendered("values.yaml.tftpl")
    (location,) = values["dagster-user-deployments"]["deployments"]
    launcher = values["runLauncher"]["config"]["k8sRunLauncher"]
    assert values["dagster-user-deployments"]["serviceAccount"] == {
        "create": False,
        "name": "kubernetes_account",
    }
    assert launcher["runK8sConfig"]["podSpecConfig"]["serviceAccountName"] == "kubernetes_account"
    assert location["includeConfigInLaunchedRuns"] == {"enabled": True}
    assert "secrets" in {volume["name"] for volume in location["volumes"]}
    assert location["env"] == {"CIO_ENV": "prod"}
    for part in ("dagsterWebserver", "dagsterDaemon"):
        assert {volume["name"] for volume in values[part]["volumes"]} == {"tmp"}
        assert "env" not in values[part]
        assert "envSecrets" not in values[part]


def test_no_container_of_dagster_is_root_or_writes_into_its_image() -> None:
    (values,) = _rendered("values.yaml.tftpl")
    (location,) = values["dagster-user-deployments"]["deployments"]
    runs = values["runLauncher"]["config"]["k8sRunLauncher"]["runK8sConfig"]
    parts = [
        *(
            (part["podSecurityContext"], part["securityContext"])
            for part in (values["dagsterWebserver"], values["dagsterDaemon"], location)
        ),
        (runs["podSpecConfig"]["securityContext"], runs["containerConfig"]["securityContext"]),
    ]
    for pod, container in parts:
        assert pod["runAsNonRoot"] is True
        assert container["readOnlyRootFilesystem"] is True
        assert container["allowPrivilegeEscalation"] is False
        assert container["capabilities"] == {"drop": ["ALL"]}


def test_the_cluster_s_instance_is_that_of_a_laptop_but_for_its_stores() -> None:
    (values,) = _rendered("values.yaml.tftpl")
    laptop = yaml.safe_load((TERRAFORM.parent / "dagster.yaml").read_text(encoding="utf-8"))
    pools = values["concurrency"]["pools"]
    monitoring = values["dagsterDaemon"]["runMonitoring"]
    retries = values["dagsterDaemon"]["runRetries"]
    assert pools == {"defaultLimit": laptop["concurrency"]["pools"]["default_limit"], "granularity": "run"}
    assert (
        monitoring["freeSlotsAfterRunEndSeconds"]
        == laptop["run_monitoring"]["free_slots_after_run_end_seconds"]
    )
    assert monitoring["maxResumeRunAttempts"] == laptop["run_monitoring"]["max_resume_run_attempts"]
    assert retries == {
        "enabled": True,
        "maxRetries": laptop["run_retries"]["max_retries"],
        "retryOnAssetOrOpFailure": laptop["run_retries"]["retry_on_asset_or_op_failure"],
    }
    assert values["telemetry"]["enabled"] is laptop["telemetry"]["enabled"]
    assert values["postgresql"]["enabled"] is False
    assert values["generatePostgresqlPasswordSecret"] is False


def test_the_kubernetes_account_is_the_google_account_by_name_and_not_by_key() -> None:
    namespace, account, secrets = _rendered("manifests.yaml.tftpl")
    assert account["metadata"]["annotations"] == {"iam.gke.io/gcp-service-account": "google_account"}
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert yaml.safe_load(secrets["spec"]["parameters"]["secrets"]) == [{"resourceName": "x"}]
