"""Checking and trying out files of either kind, saga or stack, without running them."""

from __future__ import annotations

from collections.abc import Callable

from config.settings import Access
from orchestrator import answers, documents
from orchestrator.access import Caller, require
from orchestrator.applying import Applying
from orchestrator.files.document import Document
from orchestrator.files.load import load, load_object
from orchestrator.files.stack import is_stack
from orchestrator.rehearsing import Rehearsing
from orchestrator.requests import FileSubmission
from orchestrator.submitting import Submitting


class Checking:
    """Says of files what is wrong with them, or what they would leave behind."""

    def __init__(
        self,
        submitting: Submitting,
        applying: Applying,
        rehearsing: Rehearsing,
        access: Callable[[], Access],
    ) -> None:
        """Check sagas as at their submission, stacks as for a plan. ``access``: who has which role now."""
        self._access = access
        self._submitting = submitting
        self._applying = applying
        self._rehearsing = rehearsing

    async def validate(self, submission: FileSubmission) -> bytes:
        """Say what is wrong with a file. Of a saga inputs are looked at only if some are given."""
        document = self._stack(submission)
        if document is None:
            return self._submitting.validate(submission)
        stack = self._applying.check(document)
        found = answers.Validated(
            problems=list(stack.problems), warnings=list(stack.warnings), kind=stack.name or None, steps=None
        )
        return documents.encode(found)

    async def rehearse(self, caller: Caller, submission: FileSubmission) -> bytes:
        """Say what a file would leave behind, whatever goes wrong. Raises Invalid.

        Of a stack it is what applying it now would: to plan that, what is there is read with the node's own secrets. So
        it is for operators; others get NotAllowed.
        """
        document = self._stack(submission)
        if document is None:
            return await self._rehearsing.rehearse(submission)
        require(caller, "operator", self._access())
        compiled = await self._applying.rehearsable(document)
        if compiled is None:
            return documents.encode(_nothing(document.value["stack"]))
        return await self._rehearsing.rehearse_compiled(compiled, {})

    def _stack(self, submission: FileSubmission) -> Document | None:
        """Give the document of what is a stack file."""
        if submission.stack is not None:
            return load_object(submission.stack)
        if submission.source is None or "stack" not in submission.source:
            return None
        limit = self._submitting.compiler.limit
        document = load(submission.source, format=submission.format or "yaml", limit=limit)
        return document if is_stack(document.value) else None


def _nothing(stack: str) -> answers.Rehearsed:
    return answers.Rehearsed(
        kind=stack,
        steps=0,
        rehearsed=0,
        clean=True,
        cases=[],
        warnings=[],
        notes=["everything is as the file wants it: applying it would do nothing"],
    )
