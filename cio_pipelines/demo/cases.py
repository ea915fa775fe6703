"""How many people are odd, and in which way.

A company of n people has ranks 0 … n-1 in each of two spaces, handed out by a permutation of the people.
A case owns a run of ranks in one space, so its size is known exactly and no two cases of a space meet in one
person. Cases of the space `row` shape ids, e-mails, given names, sign-up dates, plans, tombstones and
consent; those of `extra` shape family names and one order of the person.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from cio_pipelines.demo.names import NAMES, PLAIN

SURE_FROM = 1_000
"""Companies of this many people have every case at least once."""

_ROW_SHARES = {
    "null_email": 0.005,
    "empty_email": 0.001,
    "shared_email": 0.002,
    "shared_email_in_other_case": 0.002,
    "null_first_name": 0.005,
    "first_name_too_long_ascii": 0.0001,
    "first_name_too_long_multibyte": 0.0001,
    "first_name_1000_bytes_ascii": 0.0001,
    "first_name_1000_bytes_multibyte": 0.0001,
    "control_characters": 0.001,
    "quotes": 0.001,
    "backslashes": 0.001,
    "newlines": 0.001,
    "tabs": 0.001,
    "line_separators": 0.001,
    "null_created_at": 0.002,
    "created_before_1970": 0.001,
    "created_in_2100": 0.0005,
    "created_in_9999": 0.0005,
    "null_plan": 0.005,
    "id_with_slash": 0.0001,
    "id_with_quotes": 0.0001,
    "id_150_bytes": 0.0001,
    "id_too_long": 0.0001,
    "deleted": 0.003,
    "opted_out": 0.015,
    "marketing_refused": 0.135,
    "transactional_refused": 0.01,
    "marketing_unknown": 0.02,
    "transactional_unknown": 0.01,
    "consent_unknown": 0.01,
}

ORDER_CASES = (
    "large_amount",
    "tiny_amount",
    "null_amount",
    "null_currency",
    "null_status",
    "null_ordered_at",
)
"""Cases that are odd in one order of the person, who therefore has at least one."""

_EXTRA_SHARES = {
    **dict.fromkeys([script for script in NAMES if script != PLAIN], 0.02),
    "null_last_name": 0.005,
    **dict.fromkeys(ORDER_CASES, 0.001),
}

_ORDERS_OF_UNKNOWN_USERS = 0.001

_PAIRED = ("shared_email", "shared_email_in_other_case")

REFUSED = ("first_name_too_long_ascii", "first_name_too_long_multibyte", "id_too_long")
"""Cases that break Customer.io's limits: values over 1,000 bytes, ids over 150 bytes."""


@dataclass(frozen=True, slots=True)
class Case:
    """A run of ranks `[low, high)` in one space that is odd in one way."""

    name: str
    low: int
    high: int

    @property
    def count(self) -> int:
        return self.high - self.low


def row_cases(people: int) -> list[Case]:
    """The cases that shape the user's row, from rank 0 up without gaps."""
    return _runs(_ROW_SHARES, people)


def extra_cases(people: int) -> list[Case]:
    """The cases that shape the family name or one order, from rank 0 up without gaps."""
    return _runs(_EXTRA_SHARES, people)


def orders_of_unknown_users(people: int) -> int:
    """How many orders belong to nobody in the users table."""
    return _count(_ORDERS_OF_UNKNOWN_USERS, people)


def permutation_step(people: int, seed: int, space: int) -> int:
    """A factor that permutes 0 … people-1 by multiplication modulo `people` (coprime with it)."""
    step = max(1, int(people * (0.6180339887 if space == 0 else 0.7548776662)) + seed % 1_000)
    while math.gcd(step, people) != 1:
        step += 1
    return step


def _runs(shares: dict[str, float], people: int) -> list[Case]:
    cases: list[Case] = []
    low = 0
    for name, share in shares.items():
        count = _count(share, people)
        if name in _PAIRED:
            count += count % 2
        cases.append(Case(name, low, low + count))
        low += count
    return cases


def _count(share: float, people: int) -> int:
    return max(int(share * people + 1e-9), 1 if people >= SURE_FROM else 0)
