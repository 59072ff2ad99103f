"""A click group that imports a command when it is called, not when it is listed."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from holdfast.commands import exit_codes
from holdfast.commands.extensions import Extension, extensions, load
from holdfast.commands.output import message


class LazyGroup(click.Group):
    """A group of commands in modules of their own.

    Args:
        lazy: for each command its place (`module:attribute`) and its line in the overview.
        extensible: whether installed distributions add commands, see `extensions`.
    """

    def __init__(
        self, *args: Any, lazy: Mapping[str, tuple[str, str]], extensible: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.no_args_is_help = False  # `parse_args` does it, the same for every version of click
        self._lazy = lazy
        self._extensible = extensible

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args and not ctx.resilient_parsing:
            message(ctx.get_help())
            ctx.exit(exit_codes.USAGE)
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's
        return [*self._lazy, *self._extensions()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click's
        if cmd_name in self._lazy:
            module, _, attribute = self._lazy[cmd_name][0].partition(":")
            command: click.Command = getattr(import_module(module), attribute)
            return command
        extension = self._extensions().get(cmd_name)
        return None if extension is None else load(extension)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not name.startswith("-") and name not in self._lazy and name not in self._extensions():
            close = difflib.get_close_matches(name, self.list_commands(ctx), n=1)
            meant = f" Did you mean {close[0]!r}?" if close else ""
            ctx.fail(f"There is no command {name!r}.{meant}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # click's
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self._lazy.items()])
        if self._extensions():
            with formatter.section("Commands of plugins"):
                formatter.write_dl([(name, f"from {each.origin}") for name, each in self._extensions().items()])

    def _extensions(self) -> Mapping[str, Extension]:
        if not self._extensible:
            return {}
        return {name: found for name, found in extensions().items() if name not in self._lazy}
