"""A failure that goes on is told the first time, and then once in a while."""

from __future__ import annotations

import pytest

from cio_pipelines.alerting import Outcome, is_due

HOUR = 3_600.0


def told(*failed: bool, every: float = 900.0) -> list[bool]:
    """Of runs each `every` seconds, the oldest first: which failures are told, with a reminder an hour."""
    ran: list[Outcome] = []
    due: list[bool] = []
    for number, is_bad in enumerate(failed):
        at = number * every
        due.append(is_bad and is_due(at, reversed(ran), HOUR))
        ran.append(Outcome(at, is_bad))
    return due


def test_the_first_failure_is_told_and_those_right_after_are_not() -> None:
    assert told(False, True, True, True) == [False, True, False, False]


def test_one_that_goes_on_is_told_again_each_hour() -> None:
    assert [number for number, is_told in enumerate(told(*[True] * 14)) if is_told] == [0, 4, 8, 12]


def test_after_a_good_run_a_failure_is_news() -> None:
    assert told(True, False, True) == [True, False, True]


@pytest.mark.parametrize("every", [HOUR, 5 * HOUR])
def test_runs_less_often_than_the_reminder_are_told_each_time(every: float) -> None:
    assert told(True, True, True, every=every) == [True, True, True]
