"""The batch file that the user names, with the saga files that it names in turn: all that the daemon is sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestrator.cli.failures import Misused
from orchestrator.cli.source import MOST_BYTES, Source, read_source, read_text


def read_batch(name: str, format: str | None) -> tuple[Source, dict[str, str]]:
    """Read a batch file (stdin for ``-``) and the files that it names: their texts, by their names as written.

    They are looked for in the batch file's folder; for stdin, in the current one. Raises Misused with every file that
    cannot be read. What else is wrong the daemon says, which reads the batch file with the same code.
    """
    from orchestrator.files.load import load  # reads YAML, which no other command has to pay for

    source = read_source(name, format)
    document = load(source.text, format=source.format, name=source.name, limit=MOST_BYTES)
    folder = Path() if name == "-" else Path(name).parent
    files: dict[str, str] = {}
    missing: list[str] = []
    for index, file in _named(document.value):
        try:
            if file not in files:
                files[file] = read_text(folder / file, str(folder / file))
        except Misused as unreadable:
            missing.append(str(document.problem(("sagas", index, "file"), " — ".join(unreadable.lines))))
    if missing:
        looked = "in the current folder" if name == "-" else f"in the folder of {name}"
        raise Misused(*missing, f"a saga file is looked for {looked}: mend its name there, or put it there")
    return source, files


def _named(batch: Any) -> Iterator[tuple[int, str]]:
    """Give the files that a batch names, with their places in its list, as far as it can be made out."""
    entries = batch.get("sagas") if isinstance(batch, dict) else None
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        file = entry.get("file") if isinstance(entry, dict) else None
        if isinstance(file, str):
            yield index, file
