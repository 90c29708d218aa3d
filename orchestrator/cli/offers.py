"""What is offered when the user presses tab."""

from __future__ import annotations

from click.shell_completion import CompletionItem

from orchestrator.cli.failures import Failure
from orchestrator.cli.session import Session

_SECONDS = 1.0  # nobody waits longer for a tab


def saga_ids(session: Session, incomplete: str) -> list[CompletionItem]:
    """Offer ids of sagas, the newest first. A tab never complains: without a daemon there is nothing to offer."""
    return _offered(session, "sagas", "kind", ("last", "the newest saga"), incomplete)


def batch_ids(session: Session, incomplete: str) -> list[CompletionItem]:
    """Offer ids of batches, the newest first."""
    return _offered(session, "batches", "batch", ("last", "the newest batch"), incomplete)


def _offered(
    session: Session, what: str, name: str, last: tuple[str, str], incomplete: str
) -> list[CompletionItem]:
    try:
        found = session.client.ask("GET", f"/v1/{what}", timeout=_SECONDS).document().get(what, [])
    except Failure:
        return []
    offers = [last, *((each["id"], f"{each.get(name)} {each.get('status')}") for each in found)]
    return [CompletionItem(value, help=about) for value, about in offers if value.startswith(incomplete)]
