"""A receiver that is started beside another command says why it does not come up."""

from __future__ import annotations

import os

import pytest

from cio_pipelines.cli.receiver import ReceiverError, ReceiverProcess


def test_a_receiver_that_cannot_start_is_told_with_what_to_do() -> None:
    environment = {**os.environ, "LANDING_URL": "file:///proc/none"}

    with pytest.raises(ReceiverError, match=r"did not come up: The landing zone .*LANDING_URL") as caught:
        ReceiverProcess(environment).start()

    assert "cio serve --port" in str(caught.value)
    assert "Traceback" not in str(caught.value)
