"""Dead letters as a resource. Kept apart: a module with a `definitions` function loads nothing else."""

import dagster as dg

from cio_pipelines.resources import LettersResource


@dg.definitions
def resources() -> dg.Definitions:
    return dg.Definitions(resources={"letters": LettersResource()})
