"""Statements as SQLAlchemy would send them, held back: to be estimated, joined into a script, or streamed."""

# the client carries few types
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.cloud import bigquery

# SQLAlchemy's dialect of BigQuery writes `%(name:TYPE)s`, and `%%` for a percent sign
_PLACEHOLDER = re.compile(r"%%|%\((\w+):([^()]*)(?:\([^()]*\))?\)s")

Parameter = bigquery.ScalarQueryParameter | bigquery.ArrayQueryParameter

_SCRIPT = "BEGIN TRANSACTION;\n{statements}\nCOMMIT TRANSACTION;"

# in a session a transaction outlives the script that fails
_SCRIPT_IN_SESSION = f"""BEGIN
{_SCRIPT}
EXCEPTION WHEN ERROR THEN
ROLLBACK TRANSACTION;
RAISE;
END;"""


@dataclass(frozen=True, slots=True)
class Captured:
    """The text and the values that SQLAlchemy handed to the driver."""

    text: str
    values: Mapping[str, Any]

    def query(self, prefix: str = "") -> tuple[str, list[Parameter]]:
        """The statement with `@name` for its values, and these; `prefix` begins every name."""
        types: dict[str, str] = {}

        def named(found: re.Match[str]) -> str:
            if found[0] == "%%":
                return "%"
            types[found[1]] = found[2].strip()
            return f"@{prefix}{found[1]}"

        text = _PLACEHOLDER.sub(named, self.text)
        return text, [_bound(f"{prefix}{name}", kind, self.values[name]) for name, kind in types.items()]


def _bound(name: str, kind: str, value: Any) -> Parameter:
    if isinstance(value, list | tuple):
        return bigquery.ArrayQueryParameter(name, kind, list(value))
    return bigquery.ScalarQueryParameter(name, kind, value)


def script(statements: Sequence[Captured], *, in_session: bool) -> tuple[str, list[Parameter]]:
    """Statements as one transaction, which BigQuery rolls back as a whole when one of them fails."""
    texts: list[str] = []
    bound: list[Parameter] = []
    for number, statement in enumerate(statements):
        text, values = statement.query(f"s{number}_")
        texts.append(f"{text.strip()};")
        bound += values
    template = _SCRIPT_IN_SESSION if in_session else _SCRIPT
    return template.replace("{statements}", "\n".join(texts)), bound
