"""Text to values: YAML, TOML and JSON by the same rules, with every problem named by line and column."""

from __future__ import annotations

from typing import Any, Literal, get_args

import msgspec

from orchestrator.files.document import Document, Mark, check_plain
from orchestrator.files.problems import suggest

Format = Literal["yaml", "toml", "json"]

DOCUMENT_BYTES = 1024 * 1024
_SUFFIXES: dict[str, Format] = {"yaml": "yaml", "yml": "yaml", "toml": "toml", "json": "json"}


def format_of(name: str) -> Format | None:
    """Give the format that a file's name promises by its suffix."""
    _, dot, suffix = name.rpartition(".")
    return _SUFFIXES.get(suffix.lower()) if dot else None


def load(
    source: bytes | str, *, format: str | None = None, name: str = "", limit: int = DOCUMENT_BYTES
) -> Document:
    """Read a document of at most ``limit`` bytes. Never raises: what is wrong is in the document's problems.

    The format is the given one, else the one of the name's suffix.
    """
    document = Document(name=name)
    chosen = format or format_of(name)
    text = _text(document, source, limit)
    if chosen is None or chosen not in get_args(Format):
        what = f"unknown format `{chosen}`" if chosen else "the format is not known"
        hint = (
            suggest(chosen, get_args(Format)) if chosen else "say yaml, toml or json, or name the file by it"
        )
        document.problems.append(document.problem((), what, hint))
    elif text is not None:
        document.marks = Mark(
            1, 1
        )  # of an empty text, or one that is a single number, at least the beginning is known
        _parse(document, text, chosen)
        if document.value is not msgspec.UNSET:
            check_plain(document)
    return document


def load_object(value: Any) -> Document:
    """Take values that came as an object (``saga: {…}`` of the API). Its places are paths."""
    document = Document(value)
    check_plain(document)
    return document


def _parse(document: Document, text: str, format: str) -> None:
    # Imported here: a daemon that is only ever given JSON objects needs none of them, and YAML takes memory.
    match format:
        case "yaml":
            from orchestrator.files import from_yaml as reader
        case "toml":
            from orchestrator.files import from_toml as reader  # type: ignore[no-redef]
        case _:
            from orchestrator.files import from_json as reader  # type: ignore[no-redef]
    reader.read(document, text)


def _text(document: Document, source: bytes | str, limit: int) -> str | None:
    size = len(source)
    if size <= limit and isinstance(source, str):
        source = source.encode("utf-8", "surrogatepass")
        size = len(source)
    if size > limit:
        what = f"the file is larger than it may be: {size:,} of at most {limit:,} bytes"
        hint = "keep contents in files of their own (`source`), or raise limits.document_bytes"
        document.problems.append(document.problem((), what, hint))
        return None
    raw = source if isinstance(source, bytes) else source.encode("utf-8", "surrogatepass")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        what = f"not UTF-8: byte {error.start}, on line {line}, is 0x{raw[error.start]:02x}"
        document.add((), (line, None), what, "save the file as UTF-8")
        return None
