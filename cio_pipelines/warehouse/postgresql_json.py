r"""JSON texts as PostgreSQL can read them.

Its `json` type takes any JSON, but what looks into one ends the statement with an error at `\u0000` and at
halves of surrogate pairs, which its texts cannot hold, and where arrays and objects are nested too deeply for
the server's stack. All of these are in texts that strangers send.
"""

from __future__ import annotations

_CONTAINERS = 2_000
"""So deep is safe: PostgreSQL 18 reads 10,000 levels and not 20,000 with its default stack of 2 MB."""

_HEX = "[0-9a-fA-F]"
_HIGH = rf"\\u[dD][89abAB]{_HEX}{_HEX}"
_LOW = rf"\\u[dD][c-fC-F]{_HEX}{_HEX}"
_HALVES = rf"{_HIGH}(?!{_LOW})|(?<!{_HIGH}){_LOW}"
_UNREADABLE = rf"\\u0000|{_HALVES}"

# braces by their code: these are parts of templates
_OPENING = "'[' || chr(123)"
_INNERMOST = r"\[[^][\x7b\x7d]*\]|\x7b[^][\x7b\x7d]*\x7d"


def _openings(text: str) -> str:
    return f"length({text}) - length(translate({text}, {_OPENING}, ''))"


def is_shallow(text: str) -> str:
    """SQL of whether a text, given as SQL, is not nested too deeply to be looked into.

    A large text is no deep one: without what is innermost, twice, little is left of it.
    """
    inner = f"regexp_replace(regexp_replace({text}, '{_INNERMOST}', '', 'g'), '{_INNERMOST}', '', 'g')"
    return (
        f"CASE WHEN octet_length({text}) <= {_CONTAINERS} OR {_openings(text)} <= {_CONTAINERS} THEN TRUE "
        f"ELSE {_openings(inner)} <= {_CONTAINERS} END"
    )


def readable(text: str) -> str:
    """SQL of a text as `json`, U+FFFD in the place of what texts cannot hold; NULL for what is no JSON."""
    mended = f"regexp_replace({_unescaped(text)}, '{_UNREADABLE}', '\\ufffd', 'g')"
    plain = f"CASE WHEN strpos({text}, '\\u') = 0 THEN {text} ELSE {mended} END"
    return f"CASE WHEN {is_valid(text)} THEN CAST({plain} AS JSON) END"


def is_valid(text: str) -> str:
    """SQL of whether a text is JSON that can be looked into."""
    return f"CASE WHEN {is_shallow(text)} THEN pg_input_is_valid({text}, 'json') ELSE FALSE END"


def has_halves(text: str) -> str:
    """SQL of whether a JSON text has halves of surrogate pairs, which other parsers refuse."""
    return f"CASE WHEN strpos({text}, '\\u') = 0 THEN FALSE ELSE {_unescaped(text)} ~ '{_HALVES}' END"


def _unescaped(text: str) -> str:
    """Without escaped backslashes: then each backslash that is left begins an escape."""
    return f"replace({text}, '\\\\', '\\u005c')"
