"""Addresses that the e-mail provider does not write to; nothing to do with people who are suppressed."""

from __future__ import annotations

from typing import Any

from cio_pipelines.sandbox.http import Answer, Request, json_answer
from cio_pipelines.sandbox.records import unix_now
from cio_pipelines.sandbox.shelf import Refused
from cio_pipelines.sandbox.workspace import Workspace

_CATEGORIES = {
    "blocks": "blocks",
    "bounces": "bounces",
    "spam_reports": "spam",
    "invalid_emails": "invalid",
}
_DEFAULT = 100
_AT_ONCE = 1_000


def route(workspace: Workspace, request: Request) -> Answer | None:
    """Answer a call about suppressed addresses; None when it is about something else."""
    refused = workspace.shelf.refused
    match request.method, request.segments[1:]:
        case "GET", ["esp", "search_suppression", email]:
            found = [each for each in refused.values() if each.email.casefold() == email.casefold()]
            category = {"category": _CATEGORIES[found[0].list]} if found else {}
            return json_answer({**category, "suppressions": [_shown(each) for each in found]})
        case "GET", ["esp", "suppression", name] if name in _CATEGORIES:
            start = request.number("offset", 0, 10**9, minimum=0)
            end = start + request.number("limit", _DEFAULT, _AT_ONCE)
            found = [each for each in refused.values() if each.list == name]
            page = [_shown(each) for each in found[start:end]]
            return json_answer({"category": _CATEGORIES[name], "suppressions": page})
        case "POST", ["esp", "suppression", name, email] if name in _CATEGORIES and "@" in email:
            workspace.shelf.save(Refused(name, email, "Uploaded by a call", "550", unix_now()))
            return Answer()
        case "DELETE", ["esp", "suppression", name, email] if name in _CATEGORIES:
            record = refused.get(f"{name}/{email.casefold()}")
            if record is not None:
                workspace.shelf.remove(record)
            return Answer(204, b"")
        case _:
            return None


def _shown(refused: Refused) -> dict[str, Any]:
    return {
        "created": refused.created_at,
        "email": refused.email,
        "reason": refused.reason,
        "status": refused.status,
    }
