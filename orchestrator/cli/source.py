"""The file that the user names, as text for the daemon: it may be a pipe, the wrong file, or no text at all."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import BinaryIO, NamedTuple

from orchestrator.cli.failures import Misused

MOST_BYTES = 64 * 1024 * 1024
"""What is larger is not even sent. The daemon's own limit is far below, and is the one that names the setting."""

FORMATS = ("yaml", "toml", "json")
_OF_SUFFIX = {".yaml": "yaml", ".yml": "yaml", ".toml": "toml", ".json": "json"}


class Source(NamedTuple):
    """A file's text, and how it is written."""

    name: str
    text: str
    format: str


def read_source(name: str, format: str | None) -> Source:
    """Read a saga file, or stdin for ``-``; raise Misused, with the place, where that is not possible."""
    shown = "<stdin>" if name == "-" else name
    text = read_text(None if name == "-" else Path(name), shown)
    return Source(shown, text, format or _OF_SUFFIX.get(Path(name).suffix.lower(), "yaml"))


def read_text(path: Path | None, shown: str) -> str:
    """Read a file's text, or stdin's for None; raise Misused with the name that it is ``shown`` by."""
    try:
        raw = _read(path)
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte
        what = error.strerror if isinstance(error, OSError) else None
        raise Misused(f"cannot read {shown}: {what or error}") from error
    if len(raw) > MOST_BYTES:
        what = f"{shown} is larger than a saga file may be: more than {MOST_BYTES // 1024**2} MiB"
        raise Misused(what, "keep contents in files of their own, and name them with `source`")
    return _decoded(shown, raw)


def _read(path: Path | None) -> bytes:
    if path is None:
        return _at_most(sys.stdin.buffer)
    with path.open("rb") as file:
        return _at_most(file)


def _at_most(file: BinaryIO) -> bytes:
    # One byte more tells "too large" from "just fits", and a file that never ends from both.
    return file.read(MOST_BYTES + 1)


def _decoded(shown: str, raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - (raw.rfind(b"\n", 0, error.start) + 1) + 1
        what = f"{shown}:{line}:{column}: not UTF-8: byte {error.start} is 0x{raw[error.start]:02x}"
        raise Misused(what, "save the file as UTF-8") from error
