"""The command `holdfast`: what it offers, and how it ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import click

from holdfast import __version__
from holdfast.commands import exit_codes
from holdfast.commands.explanation import explain
from holdfast.commands.lazy import LazyGroup
from holdfast.commands.output import ClosedPipe, message, report_error, silence

_HERE = "holdfast.commands"
_COMMANDS = {
    "run": (f"{_HERE}.run:run", "Deploy the model, open the tracker store, keep both in order."),
    "models": (f"{_HERE}.models.group:models", "Push, pull, list, verify and delete models."),
    "conversations": (f"{_HERE}.conversations.group:conversations", "List, show, delete, export and import dialogues."),
    "check": (f"{_HERE}.check:check", "Validate endpoints.yml, connect, and say what is there."),
    "plugins": (f"{_HERE}.plugins:plugins", "List the backends that are installed."),
}
_EPILOG = "\b\nExit codes:\n" + "\n".join(f"  {code:>3}  {text}" for code, text in exit_codes.MEANINGS.items())


class Main(LazyGroup):
    """Turns every end of a command into a message and an exit code."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        arguments = sys.argv[1:] if args is None else list(args)
        if not standalone_mode:
            return super().main(arguments, prog_name, complete_var, standalone_mode=False, **extra)
        as_json = "--json" in arguments[: arguments.index("--") if "--" in arguments else None]
        try:
            code = self._ended(arguments, as_json, prog_name=prog_name, complete_var=complete_var, **extra)
        except ClosedPipe:  # even stderr is gone
            code = exit_codes.CLOSED_PIPE
        sys.exit(code)

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        with _closed_pipe():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with _closed_pipe():
            return super().invoke(ctx)

    def _ended(self, arguments: Sequence[str], as_json: bool, **extra: Any) -> int:
        try:
            ended = super().main(arguments, standalone_mode=False, **extra)
            return ended if isinstance(ended, int) else exit_codes.OK
        except click.ClickException as error:
            if as_json:
                report_error("UsageError", error.format_message(), as_json=True)
            else:
                message(_usage(error))
            return error.exit_code
        except ClosedPipe:
            return exit_codes.CLOSED_PIPE
        except (click.Abort, KeyboardInterrupt):
            return exit_codes.INTERRUPTED
        except Exception as error:  # noqa: BLE001  # the last resort of a program
            report_error(type(error).__name__, explain(error), as_json=as_json)
            _trace(error)
            return exit_codes.exit_code(error)


@contextmanager
def _closed_pipe() -> Iterator[None]:
    """Tell a pipe that was closed under click's own output, which click would end with exit code 1."""
    try:
        yield
    except BrokenPipeError:
        silence(sys.stdout)
        raise ClosedPipe from None


def _usage(error: click.ClickException) -> str:
    ctx = getattr(error, "ctx", None)
    hint = f"\nTry '{ctx.command_path} --help'." if ctx is not None else ""
    return f"error: {error.format_message()}{hint}"


def _trace(error: BaseException) -> None:
    if os.environ.get("HOLDFAST_DEBUG") == "1":
        import traceback

        message("".join(traceback.format_exception(error)).rstrip())


@click.group(
    "holdfast",
    cls=Main,
    lazy=_COMMANDS,
    extensible=True,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="holdfast", message="%(prog)s %(version)s")
def holdfast() -> None:
    """Keeps what an assistant must not lose: its models and its conversations.

    Where they are kept stands in endpoints.yml, in the working directory or where --endpoints says.
    """


def main() -> NoReturn:
    """Run the command that `sys.argv` names, and end the process."""
    holdfast.main(prog_name="holdfast")
    raise AssertionError("unreachable")
