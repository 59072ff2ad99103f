"""Options that commands share. Each decorator adds them and hands the function what they mean."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from holdfast.commands.output import Output

if TYPE_CHECKING:
    from holdfast.conversations.domain import Domain
    from holdfast.endpoints import Endpoints

Function = Callable[..., Any]

DEFAULT_ENDPOINTS = Path("endpoints.yml")
DEFAULT_DOMAIN = Path("domain.yml")


def as_id(text: str) -> str:
    """Type of an argument: an id or a name, taken as it is."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise click.BadParameter(f"{text!r} is not UTF-8 text.") from None
    return text


def output(function: Function) -> Function:
    """`--json` and `-v`, handed over as `out`, an `Output`."""

    @click.option("--json", "as_json", is_flag=True, help="Write for a program: one JSON document, or one a line.")
    @click.option("-v", "--verbose", is_flag=True, help="Say more.")
    @wraps(function)
    def with_output(*args: Any, as_json: bool, verbose: bool, **kwargs: Any) -> Any:
        return function(*args, out=Output(as_json=as_json, verbose=verbose), **kwargs)

    return with_output


def endpoints(function: Function) -> Function:
    """`--endpoints`, handed over as `endpoints`, the path or `None`."""
    return click.option(
        "--endpoints",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help=f"Where storages are configured; {DEFAULT_ENDPOINTS} by default, where there is one.",
    )(function)


def domain(function: Function) -> Function:
    """`--domain`, handed over as `domain`, the path or `None`."""
    return click.option(
        "--domain",
        metavar="PATH",
        type=click.Path(path_type=Path),
        help=f"Domain file or directory: slots and sessions; {DEFAULT_DOMAIN} by default, where there is one.",
    )(function)


def remote_storage(function: Function) -> Function:
    """`--remote-storage`, handed over as `remote_storage`."""
    return click.option(
        "--remote-storage", metavar="TYPE", help="Use this persistor instead of the one in endpoints.yml."
    )(function)


def yes(function: Function) -> Function:
    """`--yes`, handed over as `yes`."""
    return click.option("-y", "--yes", is_flag=True, help="Do not ask.")(function)


def load_endpoints(path: Path | None, out: Output) -> Endpoints:
    """What endpoints.yml says.

    Raises:
        ConfigurationError: it is wrong, or the one that was named does not exist.
    """
    from holdfast.commands.redaction import remember
    from holdfast.endpoints import read_endpoints

    if path is None and not DEFAULT_ENDPOINTS.exists():
        out.detail(f"there is no {DEFAULT_ENDPOINTS} here: the defaults apply")
    found = read_endpoints(path or DEFAULT_ENDPOINTS, required=path is not None)
    remember(found)
    return found


def load_domain(path: Path | None, out: Output) -> Domain | None:
    """The domain, or `None` if none was named and there is no `domain.yml` here.

    Raises:
        DomainError: it is wrong, or the one that was named does not exist.
    """
    from holdfast.conversations.domain import Domain

    if path is None and not DEFAULT_DOMAIN.is_file():
        out.detail(f"no domain ({DEFAULT_DOMAIN} is not here, --domain not given): every slot an event sets exists")
        return None
    return Domain.load(path or DEFAULT_DOMAIN)


def confirm(question: str, *, yes: bool) -> bool:
    """Ask a person at a terminal; without a terminal, only `--yes` will do."""
    if yes:
        return True
    if not is_asked_at_terminal():
        raise click.UsageError("there is no terminal to ask at; give --yes if you are sure.")
    return click.confirm(question, default=False, err=True)


def is_asked_at_terminal() -> bool:
    """Whether somebody can answer."""
    return sys.stdin.isatty()
