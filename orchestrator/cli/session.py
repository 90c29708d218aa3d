"""What holds for one call of sagactl, whichever the command: where the daemon is, and how to speak to the user."""

from __future__ import annotations

import os
import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from orchestrator.cli.text import clean

if TYPE_CHECKING:
    from orchestrator.cli.client import Answer, Client


class Session:
    """The options that every command takes, and the two streams: data to stdout, all else to stderr."""

    def __init__(self) -> None:
        """Begin with what the environment says; the options then change it."""
        self.socket: Path | None = None
        self.json = False
        self.quiet = False
        self.color = not os.environ.get("NO_COLOR")

    @cached_property
    def client(self) -> Client:
        """The daemon's API. Loaded by the first command that needs it, which `--help` does not."""
        from config.paths import default_socket
        from orchestrator.cli.client import Client

        return Client(self.socket or default_socket(os.environ))

    def say(self, text: str) -> None:
        """Print a line of data."""
        sys.stdout.write(clean(text) + "\n")

    def note(self, text: str) -> None:
        """Print a line that is not data: a warning, progress, what to do next."""
        sys.stderr.write(clean(text) + "\n")

    def warn(self, lines: list[str]) -> None:
        """Print warnings, one a line."""
        for line in lines:
            self.note(f"warning: {line}")

    def document(self, answer: Answer) -> None:
        """Print the API's own document: as it came, or with indents where a person is reading."""
        if sys.stdout.isatty():
            self.document_of(answer.document(), indent=2)
        else:
            sys.stdout.flush()
            sys.stdout.buffer.write(answer.body.rstrip(b"\n") + b"\n")
            sys.stdout.buffer.flush()

    def document_of(self, document: Any, indent: int | None = None) -> None:
        """Print a document that is not one answer alone: of several pages, or one event of a stream."""
        import json

        ascii_only = not (sys.stdout.encoding or "").lower().startswith("utf")
        sys.stdout.write(json.dumps(document, indent=indent, ensure_ascii=ascii_only) + "\n")

    def draws_on(self, stream: TextIO) -> bool:
        """Tell whether a live picture can be drawn there."""
        return stream.isatty() and os.environ.get("TERM") not in ("dumb", None)


def on_terminal() -> bool:
    """Tell whether somebody is there who can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()
