"""The commands, by what they are for. A command's module is loaded when it is called, and for nothing else."""

from __future__ import annotations

from importlib import import_module
from typing import NamedTuple

import click

from orchestrator.cli.options import SETTINGS, everywhere, of_version

HELP = """Run changes to this machine and its services as sagas: ordered steps, each with a way back.

\b
  sagactl validate publish.yaml
  sagactl submit publish.yaml -i page=hello --wait
  sagactl show last
"""

EPILOG = """ID is a saga's id, the beginning of one, or `last`. `sagactl COMMAND --help` says more about each command.

Exit codes: 0 done · 1 error · 2 usage or invalid file · 3 rolled back · 4 failed · 5 on hold · 6 not found ·
7 conflict · 8 not allowed · 9 daemon not reachable · 124 wait timed out · 130 interrupted.
"""


class Entry(NamedTuple):
    """Where a command is, and its line in the help."""

    module: str
    summary: str


SECTIONS: dict[str, dict[str, Entry]] = {
    "Run": {
        "submit": Entry("submit", "Start a saga from a file."),
        "validate": Entry("submit", "Say what is wrong with a saga file, without running it."),
        "rehearse": Entry("rehearse", "Say what a saga would leave behind, whatever goes wrong."),
        "watch": Entry("watch", "Follow a saga until it has ended or needs somebody."),
        "plan": Entry("stacks", "Say what applying a stack file would change."),
        "apply": Entry("stacks", "Bring what is there to what a stack file wants."),
        "batch": Entry("batch", "Run many sagas together; see them, and take them back, as one."),
    },
    "Look": {
        "ls": Entry("listing", "List sagas, the newest first."),
        "show": Entry("show", "Show a saga: its steps, what they did, what is left behind."),
        "why": Entry("show", "Say in one sentence what a saga is waiting for."),
        "events": Entry("events", "List what has happened to a saga."),
        "executions": Entry("executions", "List what a saga did to the world, and what undid it."),
        "resources": Entry("resources", "List, show, import and forget what sagad keeps."),
        "drift": Entry("drift", "Find, list, accept, revert and ignore drift."),
        "audit": Entry("audit", "Prove the record, and tell what it says."),
    },
    "Steer": {
        "cancel": Entry("verbs", "Stop a saga and take back what it has done."),
        "pause": Entry("verbs", "Stop before the next step or undo."),
        "resume": Entry("verbs", "Go on after a pause or a quarantine."),
        "retry": Entry("verbs", "Start a failed step or undo anew."),
        "skip": Entry("verbs", "Go on without a step or an undo."),
        "resolve": Entry("verbs", "Say what became of a step whose outcome is unknown."),
        "rollback": Entry("verbs", "Take back a saga that has ended."),
        "correct": Entry("correct", "Run a saga that makes up for one that has ended."),
        "approve": Entry("verbs", "Let a saga go on that waits for approval."),
        "reject": Entry("verbs", "Refuse what a saga asks for."),
        "abandon": Entry("verbs", "Give a saga up as it is: nothing more is done or undone."),
    },
    "Node": {
        "providers": Entry("providers", "Show what steps can do here."),
        "backup": Entry("backup", "Take all that is on record as one file."),
        "restore": Entry("backup", "Bring a backup back, while the daemon is stopped."),
        "doctor": Entry("doctor", "Look at everything that can be wrong with this node."),
        "reload": Entry("node", "Have the daemon read its settings again."),
        "drain": Entry("node", "Take no new steps; return when what runs has ended."),
        "api": Entry("node", "Send any request to the daemon's API."),
        "version": Entry("node", "Show the versions of sagactl and of the daemon."),
        "completion": Entry("completion", "Print the completion script for a shell."),
    },
}

COMMANDS = {name: entry for section in SECTIONS.values() for name, entry in section.items()}
_WIDEST = max(map(len, COMMANDS))


class Program(click.Group):
    """sagactl itself: knows its commands by name and loads the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Give the commands' names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a command."""
        if (entry := COMMANDS.get(cmd_name)) is None:
            return None
        found: click.Command = getattr(import_module(f"orchestrator.cli.{entry.module}"), cmd_name)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that was typed, or say which was probably meant."""
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            raise click.NoSuchCommand(error.command_name, possibilities=COMMANDS, ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by section, without loading any."""
        for title, entries in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(_WIDEST), entry.summary) for name, entry in entries.items()])

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands before the options: they are what one comes for."""
        self.format_commands(ctx, formatter)
        with formatter.section("Options, here or after the command"):
            formatter.write_dl(
                [record for param in self.get_params(ctx) if (record := param.get_help_record(ctx))]
            )


program = Program(
    "sagactl", help=HELP, epilog=EPILOG, params=[*everywhere(), of_version()], context_settings=SETTINGS
)
