"""Following a batch, or the saga that takes one back: no event of theirs says what becomes of the sagas in them."""

from __future__ import annotations

from typing import Any

from orchestrator.cli.client import batch_route
from orchestrator.cli.follow import Follower
from orchestrator.cli.sagas import Saga, has_ended, needs_somebody, settled

_LOOK_SECONDS = 2.0


class BatchFollower(Follower):
    """Follows one; its sagas are looked at in between, because it stands when they do."""

    quiet = _LOOK_SECONDS

    def __init__(self, *args: Any, batch: str, **options: Any) -> None:
        """Take what a Follower takes, and the batch that it is about."""
        super().__init__(*args, **options)
        self.batch = batch

    def look(self) -> Saga:
        """Read it as it now is, with the hold of what it waits for."""
        saga = super().look()
        if settled(saga) is not None:
            return saga
        document = self.client.get(batch_route(self.batch)).document()
        hold = document.get("hold") if self.id == self.batch else _hold(document.get("rollbacks") or [])
        if hold is not None:
            self.held = f"{hold.get('reason')}: {hold.get('detail')}"
        return saga | {"hold": hold}


def _hold(rollbacks: list[Saga]) -> dict[str, Any] | None:
    """Give the hold of one of the rollbacks where none goes on without somebody."""
    live = [saga for saga in rollbacks if not has_ended(saga)]
    if not live or not all(map(needs_somebody, live)):
        return None
    saga, hold = live[0]["id"], live[0]["hold"]
    told: dict[str, Any] = hold | {"detail": f"saga {saga}: {hold.get('detail')}; `sagactl why {saga}`"}
    return told
