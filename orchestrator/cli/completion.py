"""``completion``: the script by which the shell asks sagactl what it offers."""

from __future__ import annotations

from typing import Any

import click
from click.shell_completion import get_completion_class

from orchestrator.cli.failures import DONE
from orchestrator.cli.options import command

_VARIABLE = "_SAGACTL_COMPLETE"


_EXAMPLES = """\
source <(sagactl completion bash)       # in ~/.bashrc
source <(sagactl completion zsh)        # in ~/.zshrc
sagactl completion fish > ~/.config/fish/completions/sagactl.fish"""


@command(examples=_EXAMPLES)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> int:
    """Print the completion script for a shell."""
    found: Any = get_completion_class(shell)
    click.echo(found(ctx.find_root().command, {}, "sagactl", _VARIABLE).source())
    return DONE
