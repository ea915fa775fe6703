"""Who a broadcast goes to on a day, as the model says: counted in the warehouse, then read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa

from cio_pipelines.broadcasts.errors import AudienceTooLarge, RecipientsError
from cio_pipelines.broadcasts.specs import BroadcastSpec
from cio_pipelines.customerio import Audience, Emails, Ids, PersonIdentifiers, PerUserData, Recipient
from cio_pipelines.customerio.limits import TRIGGER_RECIPIENTS
from cio_pipelines.sync.specs import PEOPLE
from cio_pipelines.sync.state import SCHEMA, synced_people
from cio_pipelines.warehouse import Warehouse, WarehouseConnection


@dataclass(frozen=True, slots=True)
class Counted:
    """How many people an audience has. `unsynced` of them are not identified in the workspace.

    `known` are all who are, by the people sync. For audiences by e-mail address `unsynced` is None.
    """

    people: int
    known: int
    unsynced: int | None


@dataclass(frozen=True, slots=True)
class Recipients:
    """The rows of a model for a day."""

    spec: BroadcastSpec
    workspace: str
    day: date
    table: sa.Table

    def count(self, warehouse: Warehouse, connection: WarehouseConnection) -> Counted:
        """How many there are.

        Raises RecipientsError when an identifier is NULL, empty or there twice.
        """
        name, identifier = self._identifier_name, self._identifier
        rows = sa.select(identifier.label(name)).where(self._of_day).subquery("recipients")
        column = rows.c[name]
        found = connection.rows(
            sa.select(
                sa.func.count().label("number"),
                sa.func.count(sa.func.nullif(column, "")).label("named"),
                sa.func.count(sa.distinct(column)).label("different"),
            ).select_from(rows)
        )[0]
        nameless, repeated = found.number - found.named, found.number - found.different
        if nameless or repeated:
            what = f"{nameless:,} have no" if nameless else f"{repeated:,} repeat another's"
            raise RecipientsError(
                f"Of {found.number:,} rows of {self.spec.relation} for {self.day} {what} "
                f"{self.spec.identifier}; nothing was sent.",
                "Correct the model: each recipient is named, and once a day.",
            )
        if not warehouse.columns(SCHEMA, synced_people.name):
            return Counted(int(found.number), 0, int(found.number) if self._is_by_id else None)
        known = sa.and_(
            synced_people.c.workspace == self.workspace,
            synced_people.c.sync == PEOPLE.name,
            synced_people.c.state == "identified",
        )
        number = connection.scalar(sa.select(sa.func.count()).select_from(synced_people).where(known))
        return Counted(int(found.number), int(number), self._unsynced(connection, rows, known))

    def read(self, connection: WarehouseConnection) -> tuple[list[str], Audience]:
        """The identifiers in the order of the request, and the audience.

        Raises AudienceTooLarge when they do not fit into one trigger.
        """
        columns = [self.table.c[name] for name in self.spec.person_data]
        rows = connection.rows(
            sa.select(self._identifier.label(self._identifier_name), *columns)
            .where(self._of_day)
            .order_by(self._identifier)
            .limit(TRIGGER_RECIPIENTS + 1)
        )
        if len(rows) > TRIGGER_RECIPIENTS:
            raise too_large(self.spec, f"the {TRIGGER_RECIPIENTS:,} people of one trigger")
        return [row[0] for row in rows], self._audience(rows)

    def _audience(self, rows: Sequence[sa.Row[Any]]) -> Audience:
        spec = self.spec
        if self._is_by_id:
            flags = {"id_ignore_missing": spec.ignore_missing}
        else:
            flags = {
                "email_ignore_missing": spec.ignore_missing,
                "email_add_duplicates": spec.add_duplicates,
            }
        if not spec.person_data:
            made = Ids if self._is_by_id else Emails
            return made([row[0] for row in rows], **flags)
        people: list[Recipient] = []
        for row in rows:
            named = PersonIdentifiers(**{spec.identified_by: row[0]})
            values = zip(spec.person_data, row[1:], strict=True)
            people.append(Recipient(named, {name: value for name, value in values if value is not None}))
        return PerUserData(people, **flags)

    def _unsynced(
        self, connection: WarehouseConnection, rows: sa.Subquery, known: sa.ColumnElement[bool]
    ) -> int | None:
        if not self._is_by_id:
            return None
        same = synced_people.c.person_id == rows.c[self._identifier_name]
        unknown = sa.select(sa.func.count()).select_from(rows).where(~sa.exists().where(known, same))
        return int(connection.scalar(unknown))

    @property
    def _is_by_id(self) -> bool:
        return self.spec.identified_by == "id"

    @property
    def _identifier_name(self) -> str:
        # of its own: a column of data may be the identifier too
        return "recipient_identifier"

    @property
    def _identifier(self) -> sa.ColumnElement[str]:
        return sa.cast(self.table.c[self.spec.identifier], sa.String)

    @property
    def _of_day(self) -> sa.ColumnElement[bool]:
        return sa.true() if self.spec.day is None else self.table.c[self.spec.day] == sa.literal(self.day)


def too_large(spec: BroadcastSpec, limit: str) -> AudienceTooLarge:
    """What to raise of an audience beyond a limit of Customer.io's."""
    return AudienceTooLarge(
        f"The audience of {spec.name} is beyond {limit}, Customer.io's limit; nothing was sent.",
        "Several triggers would be several broadcasts. Narrow the model or its columns of data; or sync an "
        "attribute that says who shall have it, and send to its segment from Customer.io.",
    )


def recipients_of(warehouse: Warehouse, spec: BroadcastSpec, workspace: str, day: date) -> Recipients:
    """The model of a broadcast. Raises RecipientsError when it is not there or not as the spec says."""
    found = {name.lower(): kind for name, kind in warehouse.columns(spec.schema, spec.table).items()}
    if not found:
        raise RecipientsError(
            f"The model {spec.relation} of the broadcast {spec.name} is not in the warehouse.",
            "Build it (dbt), or correct the broadcast's spec.",
        )
    missing = [name for name in spec.columns if name.lower() not in found]
    if missing:
        raise RecipientsError(
            f"The model {spec.relation} of the broadcast {spec.name} has no column {', '.join(missing)}.",
            "Add it to the model, or correct the broadcast's spec.",
        )
    if spec.day is not None and not isinstance(found[spec.day.lower()], sa.Date):
        raise RecipientsError(
            f"The column {spec.day} of {spec.relation} is not of dates.", "Make the model cast it to a date."
        )
    # One object for all statements, whose schema may have another name in a warehouse.
    names = dict.fromkeys(spec.columns)
    table = sa.Table(
        spec.table,
        sa.MetaData(),
        *(sa.Column(name, found[name.lower()]) for name in names),
        schema=spec.schema,
    )
    return Recipients(spec, workspace, day, table)
