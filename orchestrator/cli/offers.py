"""What is offered when the user presses tab."""

from __future__ import annotations

from click.shell_completion import CompletionItem

from orchestrator.cli.failures import Failure
from orchestrator.cli.session import Session

_SECONDS = 1.0  # nobody waits longer for a tab


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
