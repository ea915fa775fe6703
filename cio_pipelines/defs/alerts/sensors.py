"""Who is told when a run fails, or a check in it: nobody, until CIO_ALERT_… says who."""

import dagster as dg

from cio_pipelines.alert_sensors import tell
from cio_pipelines.settings import load_settings

_settings = load_settings()
_is_on = dg.DefaultSensorStatus.RUNNING if _settings.alert_channels() else dg.DefaultSensorStatus.STOPPED


@dg.run_failure_sensor(
    default_status=_is_on,
    description="Tells a chat or people by e-mail that a run failed; running when CIO_ALERT_… is set.",
)
def failed_runs(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
    """One alert when a job begins to fail, and one each CIO_ALERT_REMIND_HOURS while it goes on."""
    return tell(context, _settings)


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    default_status=_is_on,
    description="Tells the same of checks that failed in a run which went on to its end.",
)
def failed_checks(context: dg.RunStatusSensorContext) -> dg.SkipReason | None:
    """Warnings are not told."""
    return tell(context, _settings)
