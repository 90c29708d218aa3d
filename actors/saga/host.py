"""What a saga actor needs of the daemon around it, as parameters: nothing here is a global."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from actors.clock import Clock
from actors.saga.calls import Calls
from actors.saga.execute import Executor
from actors.saga.prepare import Preparer
from store.journal import Journal
from store.queries import Queries


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
    ) -> None:
        """Put them together. ``passivate``: milliseconds; who waits longer leaves memory."""
        self.journal = journal
        self.queries = queries
        self.preparer = Preparer(calls)
        self.executor = Executor(calls)
        self.secrets = calls.secrets
        self.clock = clock
        self.passivate = passivate
        self.beat = beat
        """Called after each turn of an actor: the watchdog's sign that the loop which does the work goes round."""
        self.draining = False
        """No new step is started; what runs is awaited."""
        self.log = structlog.get_logger("saga")
