"""Track API: version 2's entity and batch, and the region look-up."""

from __future__ import annotations

from cio_pipelines.customerio.errors import InvalidOperation
from cio_pipelines.customerio.regions import Region
from cio_pipelines.sandbox.batch import MalformedBatch, Problem
from cio_pipelines.sandbox.http import Answer, Request, errors_v2, json_answer
from cio_pipelines.sandbox.intake import Intake
from cio_pipelines.sandbox.options import SandboxOptions


def batch(intake: Intake, request: Request) -> Answer:
    """POST /api/v2/batch."""
    try:
        entries = intake.batch(request.body, request.path)
    except MalformedBatch as fault:
        return _malformed(fault)
    return errors_v2(entries, 207) if entries else Answer()


def entity(intake: Intake, request: Request) -> Answer:
    """POST /api/v2/entity."""
    try:
        operation = intake.reader.one(request.body)
    except MalformedBatch as fault:
        return _malformed(fault)
    except InvalidOperation as fault:
        problem = Problem.of(0, fault)
        intake.refuse(None, problem)
        return errors_v2([problem.entry(numbered=False)], 400)
    entries = intake.one(operation, request.path)
    return errors_v2(entries, 400) if entries else Answer()


def region(options: SandboxOptions) -> Answer:
    """GET /api/v1/accounts/region."""
    name = Region(options.region)
    return json_answer(
        {"url": name.track_url, "region": name.value, "environment_id": options.environment_id}
    )


def _malformed(fault: MalformedBatch) -> Answer:
    reason, field, message = fault.args
    return errors_v2([{"reason": reason, "field": field, "message": message}], 400)
