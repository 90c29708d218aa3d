"""``completion``: what the shell asks when the user presses tab."""

from __future__ import annotations

from typing import Any

import click
from click.shell_completion import CompletionItem, get_completion_class

from orchestrator.cli.failures import DONE, Failure
from orchestrator.cli.options import command
from orchestrator.cli.session import Session

_VARIABLE = "_SAGACTL_COMPLETE"
_SECONDS = 1.0  # nobody waits longer for a tab


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


def saga_ids(session: Session, incomplete: str) -> list[CompletionItem]:
    """Offer ids of sagas, the newest first. A tab never complains: without a daemon there is nothing to offer."""
    try:
        sagas = session.client.ask("GET", "/v1/sagas", timeout=_SECONDS).document().get("sagas", [])
    except Failure:
        return []
    offers = [
        ("last", "the newest saga"),
        *((saga["id"], f"{saga.get('kind')} {saga.get('status')}") for saga in sagas),
    ]
    return [CompletionItem(value, help=about) for value, about in offers if value.startswith(incomplete)]
