"""How commands are declared: the options that all of them take, in any position, and arguments that many share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from orchestrator import VERSION
from orchestrator.cli.session import Session

F = TypeVar("F", bound=Callable[..., Any])

SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def _set_socket(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.ensure_object(Session).socket = Path(value)


def _set_output(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.ensure_object(Session).json = value == "json"


def _set_quiet(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's signature
    if value:
        ctx.ensure_object(Session).quiet = True


def _set_no_color(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's signature
    if value:
        ctx.ensure_object(Session).color = False


def everywhere() -> list[click.Option]:
    """Give the options that the program and each of its commands take, new ones for each."""
    shared: dict[str, Any] = {"expose_value": False, "is_eager": True}
    where = "The daemon's socket; else $SAGAD_SOCKET."
    what = "How to print: json is the API's own document."
    return [
        click.Option(["--socket"], metavar="PATH", callback=_set_socket, help=where, **shared),
        click.Option(
            ["-o", "printed"],
            type=click.Choice(["table", "json"]),
            callback=_set_output,
            help=what,
            **shared,
        ),
        click.Option(["-q", "--quiet"], is_flag=True, callback=_set_quiet, help="Print ids alone.", **shared),
        click.Option(
            ["--no-color"],
            is_flag=True,
            callback=_set_no_color,
            help="No colour; as with $NO_COLOR.",
            **shared,
        ),
    ]


def of_version() -> click.Option:
    """Give ``--version``, as most programs have it; the command says the daemon's too."""

    def show(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's signature
        if value and not ctx.resilient_parsing:
            click.echo(f"sagactl {VERSION}")
            ctx.exit()

    shown = "sagactl's version; `sagactl version` says the daemon's too."
    return click.Option(
        ["--version"], is_flag=True, expose_value=False, is_eager=True, callback=show, help=shown
    )


class Command(click.Command):
    """A command whose help shows its own options apart from those that every command takes."""

    def __init__(self, *args: Any, examples: str = "", **kwargs: Any) -> None:
        """Add the options that every command takes. ``examples`` are lines for the help, printed as they are."""
        self.examples = examples
        kwargs["context_settings"] = SETTINGS | kwargs.get("context_settings", {})
        super().__init__(*args, **kwargs)
        self.params = [*self.params, *everywhere()]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options in two groups."""
        common = {option.name for option in everywhere()} | {"help"}
        records = [
            (param.name in common, param.get_help_record(ctx))
            for param in self.get_params(ctx)
            if isinstance(param, click.Option)
        ]
        for title, shared in (("Options", False), ("Everywhere", True)):
            rows = [record for is_common, record in records if record and is_common is shared]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, each line as it is."""
        if self.examples:
            with formatter.section("Examples"):
                for line in self.examples.splitlines():
                    formatter.write(f"{'':>{formatter.current_indent}}{line}\n")


class Group(click.Group):
    """A command of commands, whose help shows the options that every command takes as `Command` does."""

    command_class = Command

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Add the options that every command takes."""
        kwargs["context_settings"] = SETTINGS | kwargs.get("context_settings", {})
        super().__init__(*args, **kwargs)
        self.params = [*self.params, *everywhere()]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, then the options that they all take."""
        self.format_commands(ctx, formatter)
        with formatter.section("Everywhere"):
            records = (param.get_help_record(ctx) for param in self.get_params(ctx))
            formatter.write_dl([record for record in records if record])

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Give the commands in the order in which they were declared."""
        return list(self.commands)


def command(*, cls: type[click.Command] = Command, examples: str = "") -> Callable[[F], click.Command]:
    """Declare a command of sagactl."""

    def declare(function: F) -> click.Command:
        return click.command(cls=cls, examples=examples)(function)

    return declare


def _complete_id(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[Any]:
    from orchestrator.cli.offers import saga_ids

    return saga_ids(ctx.ensure_object(Session), incomplete)


def _complete_batch(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[Any]:
    from orchestrator.cli.offers import batch_ids

    return batch_ids(ctx.ensure_object(Session), incomplete)


def batch_argument(function: F) -> F:
    """Take ID: a batch's id, the beginning of one, or ``last``."""
    return click.argument("id", metavar="ID", shell_complete=_complete_batch)(function)


def saga_argument(function: F) -> F:
    """Take ID: a saga's id, the beginning of one, or ``last``."""
    return click.argument("id", metavar="ID", shell_complete=_complete_id)(function)


def saga_filter(function: F) -> F:
    """Take SAGA, where it may be left out."""
    return click.argument("saga", metavar="[SAGA]", required=False, shell_complete=_complete_id)(function)


def reason_option(function: F) -> F:
    """Take --reason: the word that goes on the record."""
    return click.option("--reason", metavar="TEXT", help="Why; goes on the record.")(function)


def reveal_options(function: F) -> F:
    """Take --reveal, and --reason, which goes on the record with it."""
    what = "Show what is kept sealed as well: for admins, and it goes on the record."
    return click.option("--reveal", is_flag=True, help=what)(reason_option(function))


def revealing(*, reveal: bool, reason: str | None) -> dict[str, Any]:
    """Give the query of what can be asked to reveal something."""
    if reason is not None and not reveal:
        raise click.UsageError("--reason goes with --reveal")
    return {"reveal": "1" if reveal else None, "reason": reason}


def assignments(texts: tuple[str, ...], option: str) -> dict[str, str]:
    """Read ``NAME=VALUE`` words of an option that may be repeated."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.UsageError(f"{option} {text!r}: write NAME=VALUE")
        if name in found:
            raise click.UsageError(f"{option} {name!r} is given twice")
        found[name] = value
    return found
