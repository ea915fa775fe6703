"""The job that loads storage exports, and the sensor that asks for it."""

import dagster as dg

from cio_pipelines.defs.exports.assets import KEYS
from cio_pipelines.exports.files import dataset_of
from cio_pipelines.landing.discovery import Cursor, Wanted
from cio_pipelines.landing.sweeping import look_at_folder
from cio_pipelines.landing_sensor import evaluate, together
from cio_pipelines.resources import ExportsResource

load_exports = dg.define_asset_job(
    "load_exports",
    selection=dg.AssetSelection.assets(*KEYS.values()),
    executor_def=dg.in_process_executor,
    description="Load the storage exports that are new, and compare them with what was synced.",
)


@dg.sensor(
    job=load_exports,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks for a load of the tables of which there are exports that no run has taken yet.",
)
def export_files(context: dg.SensorEvaluationContext, exports: ExportsResource) -> dg.SensorResult:
    """One run for all tables with something new, and none while one is under way."""
    requests = exports.settings.cio_sensor_requests
    listed, cursor = look_at_folder(
        exports.zone(), "", Cursor.read(context.cursor), dataset_of, requests=requests
    )

    def request(wanted: Wanted) -> dg.RunRequest:
        return dg.RunRequest(wanted.run_key, asset_selection=[KEYS[name] for name in wanted.parts])

    return evaluate(context, "export_files", listed, cursor, together, request)
