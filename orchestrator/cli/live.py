"""A saga's tree on a terminal, redrawn as it goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from orchestrator.cli.draw import console, picture
from orchestrator.cli.failures import Failure
from orchestrator.cli.follow import Follower
from orchestrator.cli.sagas import Saga
from orchestrator.cli.session import Session
from orchestrator.cli.text import speaks_unicode
from orchestrator.cli.tree import tree

if TYPE_CHECKING:
    from rich.console import RenderableType

REDRAWN_PER_SECOND = 8


def draw_live(session: Session, follower: Follower, stream: TextIO) -> None:
    """Draw the saga until it is settled; what remains on the screen is how it ended."""
    from rich.live import Live

    view = _View(follower, unicode=speaks_unicode(stream))
    paper = console(session, stream)
    follower.note = paper.print  # a line printed past it would tear the picture
    with Live(get_renderable=view.drawn, console=paper, refresh_per_second=REDRAWN_PER_SECOND):
        for _ in follower.events():
            view.stale = True
        view.settle()


class _View:
    """What is drawn. Rich's own thread asks for it at its own pace, so a busy saga is read no oftener than drawn."""

    def __init__(self, follower: Follower, *, unicode: bool) -> None:
        self.follower = follower
        self.unicode = unicode
        self.saga: Saga = follower.saga
        self.stale = False

    def drawn(self) -> RenderableType:
        if self.stale:
            self.stale = False
            self._look()
        return picture(tree(self.saga, unicode=self.unicode))

    def settle(self) -> None:
        self.stale = False
        self.saga = self.follower.saga

    def _look(self) -> None:
        try:
            self.saga = self.follower.look()
        except Failure:
            self.stale = True  # the follower finds out what is the matter, and says so
