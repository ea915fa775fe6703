"""`cio tokens`: who may use the gateway of `cio serve`."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, cast

import typer
from pydantic import ValidationError
from rich.table import Table

from cio_pipelines.cli.console import err, out
from cio_pipelines.gateway.access import (
    DEFAULT_RATE,
    SCOPES,
    Access,
    AccessError,
    GoogleIdentity,
    Scope,
    locked,
    new_token,
    read_access,
    write_access,
)
from cio_pipelines.settings import LOCAL, Settings, SettingsError, load_settings

app = typer.Typer(
    no_args_is_help=True,
    help="Who may use the gateway of `cio serve`. A running server sees a change within a second.",
)

Scopes = Annotated[
    list[str],
    typer.Option("--scope", help=f"What it may do; repeatable: {', '.join(SCOPES)}, or all of them: all."),
]
Rate = Annotated[float, typer.Option(help="Requests a second.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="The client; a second token of a name is how one is changed.")],
    scope: Scopes,
    rate: Rate = DEFAULT_RATE,
) -> None:
    """Make a token, and print it: this once, for only its hash is kept."""
    with _explained():
        text, token = new_token(name, _checked(scope), rate)
        path = tokens_path(load_settings())
        with locked(path):
            access = _read(path)
            write_access(path, access.model_copy(update={"tokens": (*access.tokens, token)}))
    err.print(f"Token {token.id} of {token.name}, in {path}. It is shown this once:")
    # as it is, for programs: nothing may break or mark the line
    typer.echo(text)


@app.command()
def allow(
    email: Annotated[str, typer.Argument(help="The account, as a service account's e-mail address.")],
    scope: Scopes,
    rate: Rate = DEFAULT_RATE,
) -> None:
    """Take identity tokens that Google signed for an account, in place of what it was allowed before.

    They are taken where CIO_GATEWAY_GOOGLE_AUDIENCE is set.
    """
    with _explained():
        identity = GoogleIdentity(email=email, scopes=_checked(scope), rate=rate)
        path = tokens_path(load_settings())
        with locked(path):
            access = _read(path)
            others = [other for other in access.google if other.email != identity.email]
            write_access(path, access.model_copy(update={"google": (*others, identity)}))
    out.print(f"{identity.email} may {', '.join(identity.scopes)}.")


@app.command("list")
def list_() -> None:
    """Every token and identity, without what is secret."""
    with _explained():
        access = _read(tokens_path(load_settings()))
    if not access.tokens and not access.google:
        out.print("No tokens. Make one: cio tokens create NAME --scope identify")
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("id", "name", "scopes", "rate", "created"):
        table.add_column(column)
    for token in access.tokens:
        created = f"{token.created_at:%Y-%m-%d %H:%M}"
        table.add_row(token.id, token.name, ", ".join(token.scopes), f"{token.rate:g}/s", created)
    for identity in access.google:
        table.add_row("google", identity.email, ", ".join(identity.scopes), f"{identity.rate:g}/s", "")
    out.print(table)


@app.command()
def revoke(
    which: Annotated[str, typer.Argument(help="A name (all its tokens), a token's id, or an account.")],
) -> None:
    """Take tokens back: a running server refuses them within a second."""
    with _explained():
        path = tokens_path(load_settings())
        with locked(path):
            access = _read(path)
            kept = Access(
                tokens=tuple(token for token in access.tokens if which not in (token.name, token.id)),
                google=tuple(other for other in access.google if other.email != which.lower()),
            )
            count = len(access.tokens) + len(access.google) - len(kept.tokens) - len(kept.google)
            if count == 0:
                raise SettingsError(f"There is no {which!r} in {path}. See: cio tokens list")
            write_access(path, kept)
    out.print(f"{count} revoked.")


def tokens_path(settings: Settings) -> Path:
    """The file of tokens."""
    return settings.cio_gateway_tokens or LOCAL / "gateway-tokens.json"


def _read(path: Path) -> Access:
    return read_access(path) if path.exists() else Access()


def _checked(scopes: Sequence[str]) -> tuple[Scope, ...]:
    """In their usual order. Raises SettingsError."""
    unknown = [scope for scope in scopes if scope not in (*SCOPES, "all")]
    if unknown:
        raise SettingsError(f"There is no scope {unknown[0]!r}. Scopes are: {', '.join(SCOPES)}, all.")
    return tuple(cast("Scope", scope) for scope in SCOPES if "all" in scopes or scope in scopes)


@contextmanager
def _explained() -> Generator[None]:
    """Faults of the file and of what was given, in a line."""
    try:
        yield
    except AccessError as error:
        raise SettingsError(f"{error} Correct it, or set CIO_GATEWAY_TOKENS to another file.") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise SettingsError(f"The {first['loc'][0]} is not valid: {first['msg']}.") from None
