"""Two chapters of a company, the same for every engine: users and events of all kinds, then what is new."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.dbt.company import Company
from tests.dbt.conftest import execute

DAY = 86_400
MESSAGE = {"campaign_id": 7, "action_id": 42, "recipient": "ada@example.com", "subject": 'Grüße 👋 "x" \\'}

ODD_USERS = """
insert into app.users values
    ('ünï 💌', ' A@example.com ', 'A', '', 'pro', '2024-01-01 00:00:00.123456', '2024-02-01', false, false),
    ('2', '', '', 'O''Bo"', 'free', '1900-01-01', '2999-01-01', false, null),
    ('3', null, 'Cy', null, null, null, null, null, null),
    ('cyd', 'c@example.com', 'Cyd', 'Dee', 'free', '2024-01-01', null, true, true);
insert into app.orders values
    ('o1', 'ada', 'completed', 10, 'EUR', '2024-03-01 08:00:00'),
    ('o2', 'ada', 'completed', 5, 'EUR', '2024-01-01 08:00:00'),
    ('o3', 'ada', 'Refunded', 99, 'EUR', '2024-02-01 08:00:00'),
    ('o4', 'ada', 'completed', 5, 'EUR', null),
    ('o5', '3', 'cancelled', 5, 'EUR', '2024-04-01 08:00:00'),
    ('o6', 'guest', 'completed', null, 'EUR', '2024-05-01 08:00:00'),
    ('o7', null, null, 5, null, '2024-05-01 08:00:00');
"""


class Story:
    """A company whose tables are taken over by other engines after each of its two chapters."""

    def __init__(self, folder: Path) -> None:
        self.company = Company(folder)
        self.database = self.company.database

    def _report(self, *events: bytes, days_ago: int = 0) -> None:
        """Events that are received some days ago and loaded now."""
        at = datetime.now(UTC) - timedelta(days=days_ago)
        self.company.landing.land(events, day=at.date(), at=at)
        assert self.company.landing.run(at.date()).quarantined == {}

    def _age(self, days: int) -> None:
        """What was loaded today was loaded some days ago."""
        for table in ("webhook_events", "landed_files"):
            execute(
                self.database,
                f"update customerio.{table} set loaded_at = loaded_at - interval {days} day "
                "where loaded_at > get_current_timestamp() at time zone 'UTC' - interval 1 day",
            )

    def first(self) -> None:
        """All there was when the first build ran."""
        event = self.company.event
        execute(self.database, ODD_USERS)
        for user, marketing in (("ada", True), ("bob", True), ("turned", False), ("seldom", True)):
            self.company.user(user, marketing)
        self._report(
            event("sent", "seldom", -200 * DAY, delivery_id="ancient", newsletter_id=5, content_id=9),
            event("opened", "seldom", -199 * DAY, delivery_id="ancient", newsletter_id=5, content_id=9),
            days_ago=198,
        )
        self._age(60)
        self._report(
            event("sent", "ada", 5, delivery_id="d1", **MESSAGE),
            event("opened", "ada", 30, delivery_id="d1", prefetched=True, proxied=True, **MESSAGE),
            event("delivered", "ada", 20, delivery_id="d1", **MESSAGE),
            event("sent", "ada", 11, delivery_id="untouched", **MESSAGE),
            event("opened", "bob", 11, delivery_id="d3", synthetic=True, transactional_message_id="welcome"),
            event("clicked", "bob", 11, delivery_id="d3", machine=True, href='https://example.com/?q="x"'),
            event("unsubscribed", "bob", 60, object_type="customer", email_address="b@example.com"),
            event("spammed", "turned", 20, delivery_id="d5", broadcast_id=3, trigger_id=4),
            event("sent", None, 10, object_type="in_app", delivery_id="d6"),
        )

        self._age(30)

    def second(self) -> None:
        """What is new when the second build runs."""
        event = self.company.event
        self.company.user("turned", True, at=100)
        execute(self.database, "delete from app.users where user_id = '3'")
        execute(self.database, "insert into app.orders values ('o8', 'bob', 'paid', 7, 'EUR', '2024-06-01')")
        # received long ago and loaded only now
        self._report(
            event("sent", "cyd", -153 * DAY, delivery_id="late", **MESSAGE),
            event("unsubscribed", "cyd", -152 * DAY, delivery_id="late", **MESSAGE),
            days_ago=150,
        )
        self._report(
            event("clicked", "ada", 40, delivery_id="d1", machine=False, **MESSAGE),
            event("opened", "ada", 40, delivery_id="d1", synthetic=True, **MESSAGE),
            event("sent", "ada", 4, delivery_id="d1", **MESSAGE),
            event("bounced", "bob", 50, delivery_id="d7", failure_message="no such mailbox: „bob“"),
            event(
                "failed",
                "bob",
                50,
                delivery_id="d8",
                object_type="push",
                recipients=[{"failure_message": "gone"}],
            ),
            event("subscribed", "bob", 90, object_type="customer"),
            event(
                "cio_subscription_preferences_changed",
                "ada",
                70,
                object_type="customer",
                content='{"topics":{}}',
            ),
            event("teleported", None, 70, object_type="teleport", delivery_id="d9"),
        )

        self._age(2)

    def news_of_the_ancient(self) -> None:
        """A message of long ago is opened once more."""
        self._report(
            self.company.event("opened", "seldom", 20, delivery_id="ancient", newsletter_id=5, content_id=9)
        )

    def rows(self, schema: str, relation: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Columns and rows of a relation that DuckDB's dbt has made."""
        columns = [row[0] for row in execute(self.database, f"describe {schema}.{relation}")]
        return columns, execute(self.database, f"select * from {schema}.{relation}")
