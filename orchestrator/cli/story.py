"""What the record tells, as a story: when, who, what, to which resource, why, and what made up for what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orchestrator.cli.client import Client, saga_route
from orchestrator.cli.draw import Words
from orchestrator.cli.events import status_of_type
from orchestrator.cli.executions import nature
from orchestrator.cli.failures import NOT_FOUND, Refused
from orchestrator.cli.sagas import error_text, saga_of, state
from orchestrator.cli.text import brief, clock

_LONGEST = 200
_WIDEST_ACTOR = 8
_ABOUT = {"rollback_of": "takes back", "corrects": "makes up for"}
_WHY = ("reason", "why", "detail")

Event = dict[str, Any]


class Story:
    """Tells events in order; what they refer to is looked up once."""

    def __init__(self, client: Client) -> None:
        """Ask this daemon what sagas and executions are."""
        self._client = client
        self._told: str | None = ""
        self._heads: dict[str, str] = {}
        self._executions: dict[str, dict[str, Any]] = {}

    def lines(self, event: Event) -> Iterator[Words]:
        """Tell an event, behind a line that says of which saga where that has changed."""
        saga = event.get("saga")
        if saga != self._told:
            self._told = saga
            yield [(self._head(saga), "strong")]
        kind = str(event.get("type", ""))
        actor = str(event.get("actor") or "")
        why = self._why(event)
        yield [
            (f"{event.get('seq', '')!s:>6}  {clock(event.get('at'))}  ", "faint"),
            (f"{actor:<{_WIDEST_ACTOR}}  ", "" if actor == "sagad" else "strong"),
            (self._what(event), status_of_type(kind)),
            (f": {why}" if why else "", ""),
        ]

    def _head(self, saga: str | None) -> str:
        if saga is None:
            return "of the node"
        if saga not in self._heads:
            self._heads[saga] = f"saga {saga}"
            try:
                self._look_up(saga)
            except Refused as refused:
                if refused.exit_code != NOT_FOUND:  # pruned: the events stay, what they refer to is gone
                    raise
        return self._heads[saga]

    def _look_up(self, saga: str) -> None:
        document = saga_of(self._client.get(saga_route(saga)).document())
        about = "".join(f"  {words} {document[name]}" for name, words in _ABOUT.items() if document.get(name))
        reason = f": {brief(document['reason'], _LONGEST)}" if document.get("reason") else ""
        self._heads[saga] = (
            f"saga {saga}  {document.get('kind')}  {state(document)}{about}"
            f"  submitted by {document.get('submitted_by')}{reason}"
        )
        found = self._client.get(saga_route(saga, "executions")).document().get("executions", [])
        self._executions |= {str(each["id"]): each for each in found}

    def _what(self, event: Event) -> str:
        about, _, happened = str(event.get("type", "")).partition(".")
        if about == "lock":
            return f"lock {happened} {' '.join(self._lock(event))}".rstrip()
        subject = f"{about} of" if about in ("hook", "undo") else about
        subject = f"{subject} {event.get('step') or ''}".rstrip()
        return " ".join([subject, happened.replace("_", " "), ", ".join(self._done(event))]).rstrip()

    def _done(self, event: Event) -> Iterator[str]:
        """Name the operation, its resource and its execution, where the event is an execution's beginning."""
        began = (event.get("data") or {}).get("execution")
        execution = self._executions.get(str(began), {})
        if began:
            what = f"({execution['operation']}, {nature(execution)})" if execution else ""
            where = f"on {event['resource']}" if event.get("resource") else ""
            yield " ".join(part for part in (what, where, f"as execution {began}") if part)
        if settled := (event.get("data") or {}).get("as"):
            yield f"as {settled.replace('_', ' ')}"
        if (event.get("data") or {}).get("force"):
            yield "by force"
        if execution.get("compensates"):
            yield f"which makes up for {execution['compensates']}"
        if execution.get("compensated_by"):
            yield f"which was made up for by {', '.join(execution['compensated_by'])}"

    def _lock(self, event: Event) -> Iterator[str]:
        """Say of what a lock is, for which step, and who is first."""
        data = event.get("data") or {}
        if event.get("resource"):
            yield f"on {event['resource']} for step {event.get('step')}"
        if data.get("behind"):
            yield f"behind saga {data['behind']}"
        if data.get("sagas"):
            yield f"among the sagas {', '.join(data['sagas'])}"

    def _why(self, event: Event) -> str:
        data = event.get("data") or {}
        found = [str(data[name]) for name in _WHY if data.get(name)]
        if data.get("error"):
            found.append(error_text(data["error"]))
        return brief("; ".join(found), _LONGEST)
