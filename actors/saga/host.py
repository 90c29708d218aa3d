"""What a saga actor needs of the daemon around it, as parameters: nothing here is a global."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import structlog

from actors.clock import Clock
from actors.locks import Locks
from actors.resources import Resources
from actors.saga.calls import Calls
from actors.saga.execute import Executor
from actors.saga.later import Later
from actors.saga.prepare import Preparer
from store.journal import Journal
from store.queries import Queries
from store.records import NewEvent

if TYPE_CHECKING:
    from actors.services import Services

_LOG = structlog.get_logger("saga")


def _log_events(kind: str, events: Sequence[NewEvent]) -> None:
    for event in events:
        _LOG.info(event.type, saga=event.saga, kind=kind, step=event.step, actor=event.actor)


class Host:
    """The journal, the clock, the drivers and the log that all actors of a daemon share."""

    def __init__(
        self,
        *,
        journal: Journal,
        queries: Queries,
        calls: Calls,
        clock: Clock,
        passivate: int,
        beat: Callable[[], None] = lambda: None,
        log_events: Callable[[str, Sequence[NewEvent]], None] = _log_events,
    ) -> None:
        """Put them together. ``passivate``: milliseconds; who waits longer leaves memory."""
        self.journal = journal
        self.queries = queries
        self.locks = Locks()
        self.resources = Resources(queries, calls.registry)
        self.preparer = Preparer(calls, self.locks, self.resources)
        self.executor = Executor(calls, Later(queries))
        self.calls = calls
        self.secrets = calls.secrets
        self._calls = calls
        self.clock = clock
        self.passivate = passivate
        self.beat = beat
        """Called after each turn of an actor: the watchdog's sign that the loop which does the work goes round."""
        self.draining = False
        """No new step is started; what runs is awaited."""
        self.log_events = log_events
        """Called with the saga's kind and a transition's events, once they are durable."""

    @property
    def services(self) -> Services:
        """Whether the drivers' services are asked."""
        return self._calls.services
