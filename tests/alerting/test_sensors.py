"""What is told of runs of a real Dagster instance, and what is not."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest

from cio_pipelines.alert_sensors import tell
from cio_pipelines.alerting import AlertError
from cio_pipelines.settings import Settings, load_settings

from .chat import Chat, listening


class Switches:
    """What the job of the tests does next."""

    crashes = False
    refuses = False
    misses = False
    warns = False


@dg.asset(key=["tests", "pushed"])
def pushed() -> None:
    if Switches.crashes:
        raise ValueError("ada@example.com is no number")
    if Switches.refuses:
        raise dg.Failure("Customer.io answered 401.", allow_retries=False)


@dg.asset_check(asset=pushed)
def completeness() -> dg.AssetCheckResult:
    """Everything has an outcome."""
    return dg.AssetCheckResult(passed=not Switches.misses, description="2 of 5 have no outcome.")


@dg.asset_check(asset=pushed)
def young() -> dg.AssetCheckResult:
    """Nothing is old."""
    return dg.AssetCheckResult(passed=not Switches.warns, severity=dg.AssetCheckSeverity.WARN)


definitions = dg.Definitions(
    assets=[pushed],
    asset_checks=[completeness, young],
    jobs=[dg.define_asset_job("sync_people", selection=[pushed], executor_def=dg.in_process_executor)],
)


@pytest.fixture
def instance(monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    for name in ("crashes", "refuses", "misses", "warns"):
        monkeypatch.setattr(Switches, name, False)
    with dg.instance_for_test() as made:
        yield made


@pytest.fixture
def chat() -> Iterator[Chat]:
    with listening() as listener:
        yield listener


def settings(chat: Chat, **more: str) -> Settings:
    return load_settings({"CIO_ALERT_WEBHOOK_URL": chat.url, **more})


def run(instance: dg.DagsterInstance, chosen: Settings, *, crashes: bool = False, refuses: bool = False,
        misses: bool = False, warns: bool = False) -> str | None:  # fmt: skip
    """Run the job and look at what happened, as the sensor does; why nothing was told, None if it was."""
    Switches.crashes, Switches.refuses, Switches.misses, Switches.warns = crashes, refuses, misses, warns
    job = definitions.resolve_job_def("sync_people")
    ran = job.execute_in_process(instance=instance, raise_on_error=False)
    event = ran.get_run_success_event() if ran.success else ran.get_run_failure_event()
    context = dg.build_run_status_sensor_context(
        "failed", dagster_event=event, dagster_instance=instance, dagster_run=ran.dagster_run
    )
    said = tell(context, chosen)
    return said.skip_message if said is not None else None


def test_a_step_that_failed_is_told_in_the_projects_own_words(
    instance: dg.DagsterInstance, chat: Chat
) -> None:
    chosen = settings(chat, CIO_DAGSTER_URL="https://dagster.example/", CIO_ENV="prod")
    assert run(instance, chosen, refuses=True) is None
    [told] = chat.told
    headline, line, link = told["text"].splitlines()
    assert headline == "cio_pipelines (prod): sync_people failed"
    assert line == "• tests__pushed: Customer.io answered 401."
    assert link.startswith("https://dagster.example/runs/")


@pytest.mark.prints_personal_data("the run's own log has an error's text; the alert must not")
def test_of_an_error_that_quotes_a_row_only_its_kind_is_told(
    instance: dg.DagsterInstance, chat: Chat
) -> None:
    assert run(instance, settings(chat), crashes=True) is None
    assert "tests__pushed: ValueError" in chat.told[0]["text"]
    assert "ada@" not in chat.told[0]["text"]


def test_a_failed_check_is_told_and_a_warning_is_not(instance: dg.DagsterInstance, chat: Chat) -> None:
    assert run(instance, settings(chat), warns=True) == "Nothing failed."
    assert run(instance, settings(chat), misses=True) is None
    [told] = chat.told
    assert "sync_people ended with failed checks" in told["text"]
    assert "tests/pushed: completeness: 2 of 5 have no outcome." in told["text"]


def test_what_goes_on_failing_is_told_once_until_something_else_fails(
    instance: dg.DagsterInstance, chat: Chat
) -> None:
    chosen = settings(chat)
    assert run(instance, chosen, misses=True) is None
    assert run(instance, chosen, misses=True) == "It goes on failing, which was told already."
    assert run(instance, chosen, refuses=True) is None
    assert run(instance, chosen) == "Nothing failed."
    assert run(instance, chosen, refuses=True) is None
    assert len(chat.told) == 3


def test_with_nobody_to_tell_nothing_is_looked_at(instance: dg.DagsterInstance) -> None:
    said = run(instance, load_settings({}), refuses=True)
    assert said == "Neither CIO_ALERT_WEBHOOK_URL nor CIO_ALERT_SMTP_URL is set."


def test_an_alert_that_did_not_go_out_fails_the_tick(instance: dg.DagsterInstance, chat: Chat) -> None:
    chat.status = 500
    with pytest.raises(AlertError, match="answered 500"):
        run(instance, settings(chat), refuses=True)


@pytest.mark.parametrize(
    ("environment", "running"),
    [({}, False), ({"CIO_ALERT_WEBHOOK_URL": "https://chat.example/hook"}, True)],
    ids=["off by default", "on when there is somebody to tell"],
)
def test_the_sensors_run_when_there_is_somebody_to_tell(
    environment: dict[str, str], running: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib

    from cio_pipelines.defs.alerts import sensors

    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    loaded = importlib.reload(sensors)
    wanted = dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED
    try:
        assert {loaded.failed_runs.default_status, loaded.failed_checks.default_status} == {wanted}
    finally:
        monkeypatch.undo()
        importlib.reload(sensors)


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"CIO_ALERT_WEBHOOK_URL": "hooks.example"}, "CIO_ALERT_WEBHOOK_URL is not valid"),
        ({"CIO_ALERT_SMTP_URL": "imap://SECRETWORD@x"}, "CIO_ALERT_SMTP_URL is not valid"),
        ({"CIO_ALERT_SMTP_URL": "smtp://h"}, "CIO_ALERT_EMAIL_FROM is not set"),
        (
            {"CIO_ALERT_SMTP_URL": "smtp://h", "CIO_ALERT_EMAIL_FROM": "a@b", "CIO_ALERT_EMAIL_TO": " , "},
            "CIO_ALERT_EMAIL_TO is not set",
        ),
    ],
)
def test_settings_that_cannot_work_are_named(environment: dict[str, str], told: str) -> None:
    from cio_pipelines.settings import SettingsError

    with pytest.raises(SettingsError, match=told) as wrong:
        load_settings(environment).alert_channels()
    assert "SECRETWORD" not in str(wrong.value)
